//! Losses as transformers' TensorFlow classes define them (`modeling_tf_utils.py`), in f64 from logits.

use albert::output::Array;
use albert::{AlbertConfig, IGNORE_INDEX};

use crate::error::{Result, input};

/// A name for messages, and whole numbers.
pub(crate) type Labels<'a> = (&'static str, &'a [i64]);

/// Whether the configuration asks for the losses of older releases of transformers: those of each labelled token.
pub(crate) fn legacy(config: &AlbertConfig) -> bool {
    config
        .extra
        .get("tf_legacy_loss")
        .and_then(|value| value.as_bool())
        == Some(true)
}

pub(crate) fn check_count(what: &str, found: usize, expected: usize, shape: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(input(
        what,
        format!("{shape} = {expected} elements"),
        format!("{found} elements"),
    ))
}

/// −log softmax(row)[label] of every row of logits [n, C] that `kept` keeps.
fn cross_entropy(
    logits: &Array,
    (what, labels): Labels<'_>,
    kept: impl Fn(i64) -> bool,
    ignored: &str,
) -> Result<Vec<f64>> {
    let classes = logits.shape.last().copied().unwrap_or(1).max(1);
    let rows = logits.data.chunks_exact(classes).zip(labels).enumerate();
    let kept = rows.filter(|(_, (_, label))| kept(**label));
    let one = |(i, (row, label)): (usize, (&[f32], &i64))| {
        let target = usize::try_from(*label)
            .ok()
            .filter(|target| *target < classes);
        let target = target.ok_or_else(|| {
            input(
                &format!("{what}, element {i}"),
                format!("0 to {}{ignored}", classes - 1),
                label,
            )
        })?;
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row
            .iter()
            .map(|x| (f64::from(*x) - f64::from(top)).exp())
            .sum();
        Ok(sum.ln() + f64::from(top) - f64::from(row[target]))
    };
    kept.map(one).collect()
}

fn array(values: impl IntoIterator<Item = f64>) -> Array {
    let data: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    Array {
        shape: vec![data.len()],
        data,
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// Loss of each example `[n]` for logits [n, C].
pub(crate) fn each(logits: &Array, labels: Labels<'_>, shape: &str) -> Result<Array> {
    check_count(labels.0, labels.1.len(), logits.shape[0], shape)?;
    Ok(array(cross_entropy(logits, labels, |_| true, "")?))
}

/// Mean over the labels that are not −100 `[1]`, NaN without any; in older releases the loss of each of them.
pub(crate) fn masked_lm(config: &AlbertConfig, logits: &Array, labels: &[i64]) -> Result<Array> {
    let losses = words(logits, labels)?;
    Ok(match legacy(config) {
        true => array(losses),
        false => array([mean(&losses)]),
    })
}

fn words(logits: &Array, labels: &[i64]) -> Result<Vec<f64>> {
    check_count(
        "labels",
        labels.len(),
        logits.shape[0] * logits.shape[1],
        "[B, S]",
    )?;
    cross_entropy(
        logits,
        ("labels", labels),
        |label| label != IGNORE_INDEX,
        " or -100",
    )
}

/// Mean over the labels that are not negative `[1]`, NaN without any; in older releases the loss of each label that is not −1, or
/// not −100 where none is −1.
pub(crate) fn tokens(config: &AlbertConfig, logits: &Array, labels: &[i64]) -> Result<Array> {
    check_count(
        "labels",
        labels.len(),
        logits.shape[0] * logits.shape[1],
        "[B, S]",
    )?;
    let labels = ("labels", labels);
    if legacy(config) {
        let (ignored, or) = if labels.1.contains(&-1) {
            (-1, " or -1")
        } else {
            (IGNORE_INDEX, " or -100")
        };
        let kept = |label| label != ignored;
        return Ok(array(cross_entropy(logits, labels, kept, or)?));
    }
    let losses = cross_entropy(logits, labels, |label| label >= 0, " or negative")?;
    Ok(array([mean(&losses)]))
}

/// The sum of the two means `[1]`; in older releases, for each labelled pair `[n]`, its loss and the mean of every n-th labelled word.
pub(crate) fn pretraining(
    config: &AlbertConfig,
    words_logits: &Array,
    order_logits: &Array,
    labels: &[i64],
    orders: &[i64],
) -> Result<Array> {
    let (words, what) = (words(words_logits, labels)?, "sentence_order_label");
    // transformers views the logits as rows of two, whatever num_labels is.
    let pairs = Array {
        shape: vec![order_logits.data.len() / 2, 2],
        data: order_logits.data.clone(),
    };
    check_count(
        what,
        orders.len(),
        pairs.shape[0],
        "one for each row of two logits",
    )?;
    let kept = |label| label != IGNORE_INDEX;
    let orders = cross_entropy(&pairs, (what, orders), kept, " or -100")?;
    if !legacy(config) {
        return Ok(array([mean(&words) + mean(&orders)]));
    }
    if orders.is_empty() || !words.len().is_multiple_of(orders.len()) {
        let expected = format!(
            "a multiple of the {} labels of pairs (config tf_legacy_loss true)",
            orders.len()
        );
        return Err(input("labels that are not -100", expected, words.len()));
    }
    let rows = words.len() / orders.len();
    let column = |i: usize| words.iter().skip(i).step_by(orders.len()).sum::<f64>() / rows as f64;
    Ok(array(
        orders
            .iter()
            .enumerate()
            .map(|(i, order)| column(i) + order),
    ))
}

/// Squared error of each example `[B]` for logits [B, 1].
pub(crate) fn squared(logits: &Array, targets: &[f64]) -> Result<Array> {
    check_count("labels", targets.len(), logits.shape[0], "[B]")?;
    let pairs = logits.data.iter().zip(targets);
    Ok(array(pairs.map(|(x, y)| (f64::from(*x) - y).powi(2))))
}

/// Half the sum of two losses of each example.
pub(crate) fn half_sum(a: &Array, b: &Array) -> Array {
    let pairs = a.data.iter().zip(&b.data);
    array(pairs.map(|(a, b)| (f64::from(*a) + f64::from(*b)) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(shape: &[usize], data: &[f32]) -> Array {
        Array {
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    fn config(legacy: bool) -> AlbertConfig {
        let mut config = AlbertConfig::base_v2();
        config
            .extra
            .insert("tf_legacy_loss".to_owned(), legacy.into());
        config
    }

    /// ln 4 and ln 4/3: rows with the weights 1 and 3.
    const THIRDS: [f32; 2] = [0.0, 1.098_612_3];
    const LN_4: f32 = 1.386_294_4;
    const LN_4_3: f32 = 0.287_682_07;

    #[track_caller]
    fn check(array: &Array, expected: &[f32]) {
        assert_eq!(array.shape, [expected.len()]);
        for (a, b) in array.data.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{array:?}, expected {expected:?}");
        }
    }

    #[test]
    fn one_loss_for_each_example() {
        let two = logits(&[2, 2], &[THIRDS, THIRDS].concat());
        check(
            &each(&two, ("labels", &[0, 1]), "[B]").expect("a loss"),
            &[LN_4, LN_4_3],
        );
        for labels in [&[0, 2][..], &[0, -100], &[0]] {
            let error = each(&two, ("labels", labels), "[B]")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("labels"), "{error}");
            assert!(!error.contains("or -100"), "{error}");
        }
        let a = logits(&[2], &[1.0, 2.0]);
        check(&half_sum(&a, &a), &[1.0, 2.0]);
        check(
            &squared(&logits(&[2, 1], &[1.0, 2.0]), &[3.0, 2.0]).expect("a loss"),
            &[4.0, 0.0],
        );
        assert!(squared(&logits(&[2, 1], &[1.0, 2.0]), &[3.0]).is_err());
    }

    #[test]
    fn means_over_labelled_tokens() {
        let three = logits(&[1, 3, 2], &[THIRDS, THIRDS, THIRDS].concat());
        let both = [(LN_4 + LN_4_3) / 2.0];
        let labels = [0, -100, 1];
        check(
            &masked_lm(&config(false), &three, &labels).expect("a loss"),
            &both,
        );
        check(
            &masked_lm(&config(true), &three, &labels).expect("a loss"),
            &[LN_4, LN_4_3],
        );
        check(
            &tokens(&config(false), &three, &[0, -7, 1]).expect("a loss"),
            &both,
        );
        check(
            &tokens(&config(true), &three, &[0, -1, 1]).expect("a loss"),
            &[LN_4, LN_4_3],
        );
        check(
            &tokens(&config(true), &three, &[0, -100, 1]).expect("a loss"),
            &[LN_4, LN_4_3],
        );
        let none = masked_lm(&config(false), &three, &[-100; 3]).expect("a loss");
        assert!(none.shape == [1] && none.data[0].is_nan(), "{none:?}");
        let error = masked_lm(&config(false), &three, &[0, -1, 1])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "labels, element 1: expected 0 to 1 or -100, found -1"
        );
        let error = tokens(&config(false), &three, &[0, 1])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "labels: expected [B, S] = 3 elements, found 2 elements"
        );
    }

    #[test]
    fn words_and_pairs() {
        let words = logits(&[2, 2, 2], &[THIRDS, THIRDS, THIRDS, THIRDS].concat());
        let orders = logits(&[2, 2], &[THIRDS, THIRDS].concat());
        let loss = |legacy, labels: &[i64], orders_of: &[i64]| {
            pretraining(&config(legacy), &words, &orders, labels, orders_of)
        };
        let labels = [0, -100, -100, 1];
        check(
            &loss(false, &labels, &[0, -100]).expect("a loss"),
            &[(LN_4 + LN_4_3) / 2.0 + LN_4],
        );
        check(
            &loss(true, &labels, &[0, 0]).expect("a loss"),
            &[LN_4 + LN_4, LN_4_3 + LN_4],
        );
        assert!(loss(true, &[0, 0, 0, -100], &[0, 0]).is_err());
        assert!(loss(false, &labels, &[0]).is_err());
    }
}
