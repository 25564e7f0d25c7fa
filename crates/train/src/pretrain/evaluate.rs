//! How well a model predicts masked words and the order of segments, under the names of `run_pretraining.py`.

use albert::heads::PreTrainingLabels;
use albert::ops::Backend;
use albert::{AlbertForPreTraining, IGNORE_INDEX};

use super::options::Objective;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::learner::Metrics;
use crate::measure::{best, cross_entropy, mean, numbers, plan};

/// Measures a model on samples whose masks are fixed: `masked_lm_accuracy` and `masked_lm_loss` over all masked tokens,
/// where samples have a second label its accuracy and loss, named `sentence_order_…` or, if that is the objective,
/// `next_sentence_…`, and `loss`, the sum of both losses. A batch holds at most `batch_tokens` tokens; logits of the vocabulary
/// are computed at masked tokens alone.
///
/// # Errors
/// Samples that cannot be read or do not fit the model; outputs that are no numbers.
pub fn evaluate<B: Backend>(
    model: &AlbertForPreTraining<B>,
    data: &dyn Dataset<PreTrainingLabels>,
    objective: Objective,
    batch_tokens: usize,
) -> Result<Metrics> {
    let (mut words, mut orders) = (Score::default(), Score::default());
    for batch in plan(data, batch_tokens) {
        let (inputs, labels) = data.batch(&batch)?;
        let known = labels.labels.iter().flatten().enumerate();
        let masked: Vec<(usize, i64)> = known
            .filter(|(_, label)| **label != IGNORE_INDEX)
            .map(|(i, label)| (i, *label))
            .collect();
        let place = |&(i, _): &(usize, i64)| (i / inputs.length, i % inputs.length);
        let places: Vec<(usize, usize)> = masked.iter().map(place).collect();
        let (logits, second) = model.logits_at(&inputs, &places)?;
        words.add(
            &numbers(&logits.data)?,
            masked.iter().map(|(_, label)| *label),
        );
        if let Some(labels) = labels.sentence_order_label {
            orders.add(&numbers(&second.data)?, labels.into_iter());
        }
    }
    let mut metrics = Metrics::new();
    let mut loss = 0.0;
    let second = objective.second_label();
    for (name, score) in [("masked_lm", words), (second, orders)] {
        if !score.losses.is_empty() {
            let mean = mean(&score.losses);
            loss += mean;
            let right = score.right as f64 / score.losses.len() as f64;
            metrics.insert(format!("{name}_accuracy"), right);
            metrics.insert(format!("{name}_loss"), mean);
        }
    }
    metrics.insert("loss".to_owned(), loss);
    Ok(metrics)
}

#[derive(Default)]
struct Score {
    losses: Vec<f64>,
    right: usize,
}

impl Score {
    /// Logits [n, C] and n labels.
    fn add(&mut self, logits: &[f64], labels: impl ExactSizeIterator<Item = i64>) {
        let cols = logits.len() / labels.len().max(1);
        for (row, label) in logits.chunks_exact(cols.max(1)).zip(labels) {
            let label = usize::try_from(label).unwrap_or(usize::MAX);
            self.losses.push(cross_entropy(row, label));
            self.right += usize::from(best(row) == label);
        }
    }
}
