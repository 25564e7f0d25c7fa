//! A model over a set of samples: batches of samples of like length, numbers in f64.

use std::collections::BTreeSet;

use albert::ops::Backend;
use albert::{Albert, AlbertConfig, Head, Inputs, Keep};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// Runs `model` over all samples without labels; `each` gets the numbers of a batch's samples, the batch, and the output.
/// A batch holds samples of one group and at most `tokens` tokens, or a single sample.
pub(crate) fn run<B: Backend, H: Head<B>>(
    model: &Albert<H, B>,
    data: &impl Dataset<H::Labels>,
    tokens: usize,
    mut each: impl FnMut(&[usize], &Inputs, H::Output) -> Result<()>,
) -> Result<()> {
    for batch in plan(data, tokens) {
        let (inputs, _) = data.batch(&batch)?;
        let output = model.forward(&inputs, None, Keep::default())?;
        each(&batch, &inputs, output)?;
    }
    Ok(())
}

/// Samples batch by batch: of one group, the longest first, at most `budget` tokens or a single sample.
pub(crate) fn plan<L>(data: &(impl Dataset<L> + ?Sized), budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..data.len()).collect();
    order.sort_by_key(|&i| (data.group(i), std::cmp::Reverse(data.tokens(i))));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut used = 0;
    for i in order {
        let tokens = data.tokens(i);
        match batches.last_mut() {
            Some(batch) if used + tokens <= budget && data.group(batch[0]) == data.group(i) => {
                batch.push(i);
                used += tokens;
            }
            _ => {
                batches.push(vec![i]);
                used = tokens;
            }
        }
    }
    batches
}

/// What the model computed, refused where it is no number.
pub(crate) fn numbers<T: Copy + Into<f64>>(values: &[T]) -> Result<Vec<f64>> {
    let number = |&x: &T| match x.into() {
        x if x.is_finite() => Ok(x),
        x => Err(Error::input(
            "the model's output",
            "finite numbers; training diverged (lower the learning rate) or its weights are damaged",
            x,
        )),
    };
    values.iter().map(number).collect()
}

/// −log softmax(logits)[target]
pub(crate) fn cross_entropy(logits: &[f64], target: usize) -> f64 {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - top).exp()).sum();
    sum.ln() + top - logits[target]
}

/// Binary cross-entropy of a logit.
pub(crate) fn binary_cross_entropy(x: f64, target: f64) -> f64 {
    x.max(0.0) - x * target + (-x.abs()).exp().ln_1p()
}

/// The place of the largest number, the first of equal ones.
pub(crate) fn best(scores: &[f64]) -> usize {
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    best
}

/// For each label of the task the place of its output in the model: by name where the model has the task's names, perhaps in
/// another order; else in order, where it has none of them.
pub(crate) fn outputs(config: &AlbertConfig, names: &[String]) -> Result<Vec<usize>> {
    let of_model = &config.id2label;
    let place = |name: &String| {
        let same = |other: &String| other.eq_ignore_ascii_case(name);
        let exact = of_model.iter().position(|other| other == name);
        exact.or_else(|| of_model.iter().position(same))
    };
    let found: Vec<usize> = names.iter().filter_map(place).collect();
    let distinct: BTreeSet<&usize> = found.iter().collect();
    if of_model.len() == names.len() && found.is_empty() {
        return Ok((0..names.len()).collect());
    }
    if of_model.len() != names.len() || distinct.len() != names.len() {
        return Err(Error::input(
            "model",
            format!(
                "the labels of the data in config id2label: {}",
                names.join(", ")
            ),
            of_model.join(", "),
        ));
    }
    Ok(found)
}

/// A mean; NaN of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_found_by_name() {
        let of = |model: &[&str]| {
            let mut config = AlbertConfig::base_v2();
            config.set_labels(model.iter().copied());
            let names = ["contradiction", "entailment", "neutral"].map(str::to_owned);
            outputs(&config, &names).ok()
        };
        assert_eq!(
            of(&["ENTAILMENT", "neutral", "contradiction"]),
            Some(vec![2, 0, 1])
        );
        assert_eq!(of(&["LABEL_0", "LABEL_1", "LABEL_2"]), Some(vec![0, 1, 2]));
        assert_eq!(of(&["neutral", "entailment", "no"]), None);
        assert_eq!(of(&["neutral", "neutral", "entailment"]), None);
        assert_eq!(of(&["contradiction", "entailment"]), None);
        assert_eq!(of(&["x", "y"]), None);
    }
}
