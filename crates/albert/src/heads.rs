//! The heads, one file for each task.

mod base;
mod choice;
mod masked_lm;
mod pretraining;
mod question;
mod sequence;
mod token;

pub use base::Base;
pub use choice::MultipleChoice;
pub use masked_lm::MaskedLm;
pub use pretraining::{PreTraining, PreTrainingLabels};
pub use question::{QuestionAnswering, QuestionLabels};
pub use sequence::{ClassLabels, SequenceClassification};
pub use token::TokenClassification;

use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::loss::{IGNORE_INDEX, cross_entropy};
use crate::model::plain;
use crate::ops::Backend;
use crate::output::{Array, LogitsOutput, trace, unpack};
use crate::params::Linear;
use crate::pretrained::Pass;

/// x·Wᵀ + b as numbers on the host.
fn linear_values<B: Backend>(
    device: &B,
    linear: &Linear<B>,
    x: &B::Buffer,
    rows: usize,
) -> Vec<B::Scalar> {
    let (n, _) = device.weight_shape(&linear.weight);
    let mut out = device.buffer(rows, n);
    device.linear(x, &linear.weight, plain(linear), &mut out);
    device.values(&out)
}

/// Logits of a classifier over the pooled output, [B, C].
fn pooled_logits<B: Backend>(pass: &Pass<'_, B>, classifier: &Linear<B>) -> Array<B::Scalar> {
    let pooled = pass
        .encoded
        .pooled
        .as_ref()
        .expect("the class has a pooler");
    let batch = pass.inputs.batch;
    let data = linear_values(pass.device, classifier, pooled, batch);
    Array::new(vec![batch, data.len() / batch], data)
}

/// Fails unless there is a label for every one of `expected` places.
fn check_count(what: &str, found: usize, shape: &str, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::input(
            what,
            format!("{expected} elements, {shape}"),
            format!("{found} elements"),
        ))
    }
}

/// Whether a token that the mask hides has a label.
fn labels_hidden_token(inputs: &Inputs, labels: &[i64]) -> bool {
    labels.iter().enumerate().any(|(i, &label)| {
        label != IGNORE_INDEX
            && i < inputs.batch * inputs.length
            && !inputs.keeps(i / inputs.length, i % inputs.length)
    })
}

/// Logits [T, C] as [B, S, C], and the mean cross-entropy over labels [B, S].
fn token_output<B: Backend>(
    pass: &Pass<'_, B>,
    values: &[B::Scalar],
    labels: Option<&Vec<i64>>,
) -> Result<(Array<B::Scalar>, Option<f64>)> {
    let Pass { inputs, packed, .. } = pass;
    let cols = values.len() / packed.rows.len();
    let loss = match labels {
        None => None,
        Some(labels) => {
            check_count(
                "labels",
                labels.len(),
                "[B, S]",
                inputs.batch * inputs.length,
            )?;
            let packed_labels = packed
                .rows
                .iter()
                .map(|&(b, s)| labels[b * inputs.length + s]);
            Some(cross_entropy(
                "labels",
                values.chunks_exact(cols),
                packed_labels,
                IGNORE_INDEX,
            )?)
        }
    };
    Ok((unpack(inputs, packed, values), loss))
}

fn number<B: Backend>(loss: Option<f64>) -> Option<Array<B::Scalar>> {
    loss.map(|loss| Array::number(B::scalar(loss)))
}

/// The output of a class with one array of logits.
fn logits_output<B: Backend>(
    pass: &Pass<'_, B>,
    logits: Array<B::Scalar>,
    loss: Option<f64>,
) -> LogitsOutput<B::Scalar> {
    let trace = trace(pass.device, pass.inputs, pass.packed, pass.encoded);
    LogitsOutput {
        loss: number::<B>(loss),
        logits,
        trace,
    }
}

/// (questions, K): the batch is K choices for each question; without a K it is one question.
fn questions(inputs: &Inputs) -> Result<(usize, usize)> {
    let k = inputs.choices.unwrap_or(inputs.batch);
    if k == 0 || !inputs.batch.is_multiple_of(k) {
        return Err(Error::input(
            "choices",
            format!("a divisor of the {} sequences", inputs.batch),
            k,
        ));
    }
    Ok((inputs.batch / k, k))
}
