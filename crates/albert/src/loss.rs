//! Losses over logits, summed in f64.

use crate::error::{Error, Result};

/// The label that takes part in no loss.
pub const IGNORE_INDEX: i64 = -100;

/// −log softmax(logits)[target]
pub(crate) fn negative_log_likelihood<T: Copy + Into<f64>>(logits: &[T], target: usize) -> f64 {
    let top = logits
        .iter()
        .map(|&x| x.into())
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|&x| (x.into() - top).exp()).sum();
    sum.ln() + top - logits[target].into()
}

/// Mean cross-entropy over the rows [n, C] whose label is not `ignore`; NaN when there is none, as PyTorch.
///
/// # Errors
/// A label outside 0..C.
pub(crate) fn cross_entropy<'a, T: Copy + Into<f64> + 'a>(
    what: &str,
    rows: impl Iterator<Item = &'a [T]>,
    labels: impl Iterator<Item = i64>,
    ignore: i64,
) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (i, (row, label)) in rows.zip(labels).enumerate() {
        if label == ignore {
            continue;
        }
        let target = usize::try_from(label).ok().filter(|t| *t < row.len());
        let target = target.ok_or_else(|| {
            Error::input(
                format!("{what}, element {i}"),
                format!("0 to {} or {ignore}", row.len() - 1),
                label,
            )
        })?;
        sum += negative_log_likelihood(row, target);
        count += 1;
    }
    Ok(sum / count as f64)
}

/// Σ −log softmax(row)[label] over the rows whose label is not `ignore`, as [`cross_entropy`]; `gradient` [n, C] becomes
/// (softmax(row) − onehot(label))·scale, or 0 where the label is ignored.
///
/// # Errors
/// A label outside 0..C.
pub(crate) fn cross_entropy_gradient(
    what: &str,
    logits: &[f64],
    labels: impl Iterator<Item = i64>,
    ignore: i64,
    scale: f64,
    gradient: &mut [f64],
) -> Result<f64> {
    let mut sum = 0.0;
    let labels: Vec<i64> = labels.collect();
    let cols = logits.len() / labels.len().max(1);
    let rows = logits
        .chunks_exact(cols)
        .zip(gradient.chunks_exact_mut(cols));
    for (i, ((row, gradient), &label)) in rows.zip(&labels).enumerate() {
        if label == ignore {
            gradient.fill(0.0);
            continue;
        }
        sum += cross_entropy(what, std::iter::once(row), std::iter::once(label), ignore).map_err(
            |_| {
                Error::input(
                    format!("{what}, element {i}"),
                    format!("0 to {} or {ignore}", cols - 1),
                    label,
                )
            },
        )?;
        for (c, g) in gradient.iter_mut().enumerate() {
            *g = (-negative_log_likelihood(row, c)).exp() * scale;
        }
        gradient[label as usize] -= scale;
    }
    Ok(sum)
}

/// Mean squared error over all elements.
pub(crate) fn mean_squared_error<T: Copy + Into<f64>>(logits: &[T], targets: &[f64]) -> f64 {
    let sum: f64 = logits
        .iter()
        .zip(targets)
        .map(|(&x, y)| (x.into() - y).powi(2))
        .sum();
    sum / targets.len() as f64
}

/// Mean binary cross-entropy with logits over all elements: max(x, 0) − x·y + ln(1 + e^−|x|).
pub(crate) fn binary_cross_entropy<T: Copy + Into<f64>>(logits: &[T], targets: &[f64]) -> f64 {
    let one = |x: f64, y: f64| x.max(0.0) - x * y + (-x.abs()).exp().ln_1p();
    let sum: f64 = logits
        .iter()
        .zip(targets)
        .map(|(&x, y)| one(x.into(), *y))
        .sum();
    sum / targets.len() as f64
}
