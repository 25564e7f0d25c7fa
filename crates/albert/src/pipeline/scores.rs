//! From logits to probabilities, in f64, and the best of them.

/// exp(x − max) / Σ exp(x − max)
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut scores: Vec<f64> = logits.iter().map(|x| (x - highest).exp()).collect();
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
    scores
}

/// 1 / (1 + exp(−x))
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Places of the `k` largest scores, the largest first; of equal scores the earlier place first.
pub(crate) fn top(scores: &[f64], k: usize) -> Vec<usize> {
    let k = k.min(scores.len());
    if k == 0 {
        return Vec::new();
    }
    let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.select_nth_unstable_by(k - 1, better);
    order.truncate(k);
    order.sort_unstable_by(better);
    order
}

/// The place of the largest score, the earliest of equal ones.
pub(crate) fn best(scores: &[f64]) -> usize {
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    best
}

/// Σ weight · row / Σ weight over rows of equal length.
pub(crate) fn weighted_mean(rows: &[(f64, Vec<f64>)]) -> Vec<f64> {
    let total: f64 = rows.iter().map(|(weight, _)| weight).sum();
    let mut mean = vec![0.0; rows.first().map_or(0, |(_, row)| row.len())];
    for (weight, row) in rows {
        for (sum, x) in mean.iter_mut().zip(row) {
            *sum += weight / total * x;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_stable_and_sums_to_one() {
        let scores = softmax(&[1000.0, 1001.0, -1e30]);
        let e = 1.0f64.exp();
        assert!((scores[1] - e / (1.0 + e)).abs() < 1e-15);
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert_eq!(softmax(&[]), Vec::<f64>::new());
    }

    #[test]
    fn sigmoid_has_its_known_values() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert!((sigmoid(1.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
        assert_eq!((sigmoid(800.0), sigmoid(-800.0)), (1.0, 0.0));
    }

    #[test]
    fn the_largest_come_first_and_the_earlier_of_equals() {
        let scores = [0.1, 0.5, 0.2, 0.5, 0.0];
        assert_eq!(top(&scores, 3), [1, 3, 2]);
        assert_eq!(top(&scores, 9), [1, 3, 2, 0, 4]);
        assert_eq!(top(&scores, 0), Vec::<usize>::new());
        assert_eq!(best(&scores), 1);
    }

    #[test]
    fn means_are_weighted() {
        let rows = [(1.0, vec![0.0, 4.0]), (3.0, vec![4.0, 0.0])];
        assert_eq!(weighted_mean(&rows), [3.0, 1.0]);
        assert_eq!(weighted_mean(&[]), Vec::<f64>::new());
    }
}
