//! Measures of answers against labels: of classes, of real numbers, of entities (`tags`), of answers to questions
//! (`squad`). All lie between −1 or 0 and 1, but for
//! [`squad_v1`] and [`squad_v2`], which are in percent as in the official scripts, and [`mean_squared_error`].

mod squad;
mod tags;

pub use squad::{answer_f1, exact_match, normalize_answer, squad_v1, squad_v2};
pub use tags::{Entity, EntityScores, entities, entity_f1, entity_scores, micro_f1};

/// The share of equal elements; NaN of none.
///
/// # Panics
/// When the lengths differ.
pub fn accuracy<T: PartialEq>(predicted: &[T], expected: &[T]) -> f64 {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "a prediction for each label"
    );
    let hits = predicted
        .iter()
        .zip(expected)
        .filter(|(p, e)| p == e)
        .count();
    hits as f64 / predicted.len() as f64
}

/// F1 of one class: 2·tp / (2·tp + fp + fn), 0 where the class is neither predicted nor expected.
///
/// # Panics
/// When the lengths differ.
pub fn f1(predicted: &[usize], expected: &[usize], class: usize) -> f64 {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "a prediction for each label"
    );
    let both = predicted
        .iter()
        .zip(expected)
        .filter(|&(&p, &e)| p == class && e == class);
    let of = |list: &[usize]| list.iter().filter(|&&x| x == class).count();
    f1_of_counts(both.count(), of(predicted), of(expected))
}

/// The mean of the F1 of all classes that are predicted or expected; NaN of none.
///
/// # Panics
/// When the lengths differ.
pub fn macro_f1(predicted: &[usize], expected: &[usize]) -> f64 {
    let classes: std::collections::BTreeSet<usize> =
        predicted.iter().chain(expected).copied().collect();
    let sum: f64 = classes.iter().map(|&c| f1(predicted, expected, c)).sum();
    sum / classes.len() as f64
}

/// F1 of many labels at once, [n, C] in rows: micro-averaged over all elements, and the mean of the F1 of the C labels.
///
/// # Panics
/// When the lengths differ, or are no multiple of C.
pub fn multilabel_f1(predicted: &[bool], expected: &[bool], labels: usize) -> [f64; 2] {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "a prediction for each label"
    );
    assert!(
        labels > 0 && predicted.len().is_multiple_of(labels),
        "rows of {labels} labels"
    );
    let mut counts = vec![[0_usize; 3]; labels];
    for (i, (&p, &e)) in predicted.iter().zip(expected).enumerate() {
        let [hits, ps, es] = &mut counts[i % labels];
        (*hits, *ps, *es) = (
            *hits + usize::from(p && e),
            *ps + usize::from(p),
            *es + usize::from(e),
        );
    }
    let [hits, p, e] = [0, 1, 2].map(|k| counts.iter().map(|count| count[k]).sum());
    let each = counts.iter().map(|&[hits, p, e]| f1_of_counts(hits, p, e));
    [f1_of_counts(hits, p, e), each.sum::<f64>() / labels as f64]
}

/// The mean of the squared differences; NaN of none.
///
/// # Panics
/// When the lengths differ.
pub fn mean_squared_error(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "pairs");
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / x.len() as f64
}

/// 2·hits / (predicted + expected), 0 where there are neither.
fn f1_of_counts(hits: usize, predicted: usize, expected: usize) -> f64 {
    2.0 * hits as f64 / (predicted + expected).max(1) as f64
}

/// Matthews' correlation of classes, of two or more (Gorodkin 2004), 0 where one side has a single class.
///
/// # Panics
/// When the lengths differ.
pub fn matthews(predicted: &[usize], expected: &[usize]) -> f64 {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "a prediction for each label"
    );
    let classes = predicted
        .iter()
        .chain(expected)
        .max()
        .map_or(0, |&top| top + 1);
    let counts = |list: &[usize]| {
        let mut counts = vec![0.0; classes];
        list.iter().for_each(|&class| counts[class] += 1.0);
        counts
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (p, e) = (counts(predicted), counts(expected));
    let n = predicted.len() as f64;
    let hits = predicted
        .iter()
        .zip(expected)
        .filter(|(p, e)| p == e)
        .count() as f64;
    let scale = ((n * n - dot(&p, &p)) * (n * n - dot(&e, &e))).sqrt();
    if scale == 0.0 {
        return 0.0;
    }
    (hits * n - dot(&p, &e)) / scale
}

/// Pearson's correlation; NaN where a side is constant or there are fewer than two.
///
/// # Panics
/// When the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "pairs");
    // The mean of equal numbers may differ from them in the last bit.
    let constant = |list: &[f64]| list.iter().all(|x| *x == list[0]);
    if constant(x) || constant(y) {
        return f64::NAN;
    }
    let (x, y) = (centred(x), centred(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    xy / (xx * yy).sqrt()
}

/// Numbers less their mean, times a power of two: so that no sum or product of them overflows or vanishes.
fn centred(list: &[f64]) -> Vec<f64> {
    let list = scaled(list);
    let mean = list.iter().sum::<f64>() / list.len() as f64;
    scaled(&list.iter().map(|x| x - mean).collect::<Vec<f64>>())
}

/// Numbers times the power of two that brings the largest between 1/2 and 2; zeros as they are.
fn scaled(list: &[f64]) -> Vec<f64> {
    let top = list.iter().fold(0.0, |top: f64, x| top.max(x.abs()));
    if top == 0.0 {
        return list.to_vec();
    }
    // In two steps: 2^1074 is more than f64 holds.
    let half = -top.log2().floor() / 2.0;
    let (first, second) = (half.floor().exp2(), half.ceil().exp2());
    list.iter().map(|x| x * first * second).collect()
}

/// Spearman's correlation: Pearson's of the ranks, equal numbers sharing the mean of theirs.
///
/// # Panics
/// When the lengths differ.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(list: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by(|&a, &b| list[a].total_cmp(&list[b]));
    let mut ranks = vec![0.0; list.len()];
    for group in order.chunk_by(|&a, &b| list[a] == list[b]) {
        // Ranks from 1, the mean of those of the group.
        let first = order.partition_point(|&i| list[i] < list[group[0]]);
        for &i in group {
            ranks[i] = first as f64 + (group.len() + 1) as f64 / 2.0;
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    //! Expected numbers: scikit-learn 1.9.1 (`accuracy_score`, `f1_score`, `matthews_corrcoef`) and SciPy 1.17.1
    //! (`pearsonr`, `spearmanr`) on the lists here, `python -c "…; print(repr(…))"`.

    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-15,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn classes_are_measured_as_scikit_learn_does() {
        let (p, e) = (
            [1, 0, 1, 1, 0, 0, 1, 0, 1, 1],
            [1, 0, 0, 1, 0, 1, 1, 0, 1, 0],
        );
        near(accuracy(&p, &e), 0.7);
        near(f1(&p, &e, 1), 0.7272727272727273);
        near(matthews(&p, &e), 0.408248290463863);
        let (p, e) = ([0, 1, 2, 2, 1, 0, 0, 2], [0, 1, 1, 2, 1, 0, 2, 2]);
        near(accuracy(&p, &e), 0.75);
        near(matthews(&p, &e), 0.6428571428571429);
    }

    #[test]
    fn what_is_undefined_is_said() {
        assert!(accuracy::<usize>(&[], &[]).is_nan());
        assert_eq!(
            (f1(&[0, 0], &[0, 0], 1), matthews(&[0, 0], &[0, 1])),
            (0.0, 0.0)
        );
        assert_eq!(matthews(&[], &[]), 0.0);
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_nan() && pearson(&[], &[]).is_nan());
    }

    #[test]
    fn correlations_do_not_depend_on_the_scale() {
        let x = [1.5, 2.0, 2.0, 3.5, -1.0, 0.25, 7.0];
        let y = [1.0, 2.5, 1.5, 4.0, -0.5, 1.0, 3.0];
        let expected = pearson(&x, &y);
        for scale in [2f64.powi(1020), 2f64.powi(-1000), 2f64.powi(510)] {
            let times = |list: &[f64]| list.iter().map(|x| x * scale).collect::<Vec<f64>>();
            assert_eq!(pearson(&times(&x), &y), expected, "{scale}");
            assert_eq!(pearson(&times(&x), &times(&y)), expected, "{scale}");
        }
        near(
            pearson(&[1e300, 2e300, -1e300], &[1e300, 2e300, -1e300]),
            1.0,
        );
        near(
            pearson(&[1e300, 2e300, -1e300], &[-1e-300, -2e-300, 1e-300]),
            -1.0,
        );
    }

    #[test]
    fn constants_correlate_with_nothing() {
        // The sum of three is not three times 0.1.
        assert!(pearson(&[0.1; 3], &[1.0, 2.0, 4.0]).is_nan());
        assert!(pearson(&[1.0, 2.0, 4.0], &[0.1; 3]).is_nan());
        assert!(spearman(&[0.1; 3], &[1.0, 2.0, 4.0]).is_nan());
        assert!(pearson(&[1.0, f64::NAN], &[1.0, 2.0]).is_nan());
    }

    #[test]
    fn correlations_are_those_of_scipy() {
        let x = [1.5, 2.0, 2.0, 3.5, -1.0, 0.25, 7.0];
        let y = [1.0, 2.5, 1.5, 4.0, -0.5, 1.0, 3.0];
        near(pearson(&x, &y), 0.7839258712943762);
        near(spearman(&x, &y), 0.9454545454545454);
    }
}
