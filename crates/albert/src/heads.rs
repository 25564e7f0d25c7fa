//! The heads, one file for each task.

mod base;
mod choice;
mod joint;
mod masked_lm;
mod pretraining;
mod question;
mod sequence;
mod token;

pub use base::Base;
pub use choice::MultipleChoice;
pub use joint::{JointLabels, JointQuestionAnswering};
pub use masked_lm::MaskedLm;
pub use pretraining::{BothLogits, PreTraining, PreTrainingLabels};
pub use question::{QuestionAnswering, QuestionLabels};
pub use sequence::{ClassLabels, SequenceClassification};
pub use token::TokenClassification;

use crate::dropout::{DropSite, DropoutPlan, Dropped};
use crate::error::{Error, Result};
use crate::inputs::{Inputs, Packed};
use crate::loss::{IGNORE_INDEX, cross_entropy};
use crate::model::plain;
use crate::names::Site;
use crate::ops::{Backend, Gradient, LinearGradient, To};
use crate::output::{Array, LogitsOutput, trace, unpack};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// A head that can be trained.
pub trait Trainable<B: Gradient>: Head<B> {
    /// Numbers that the losses are means of: labelled tokens, sequences, …; second place: of the second loss, where a class
    /// has two. Those of parts of a batch add up to those of the batch.
    ///
    /// # Errors
    /// Labels that do not fit.
    fn terms(
        config: &crate::AlbertConfig,
        inputs: &Inputs,
        labels: &Self::Labels,
    ) -> Result<[usize; 2]>;

    /// The packed rows of the last hidden state that the loss reads, beside the pooler; none: all.
    fn reads(_inputs: &Inputs, _packed: &Packed, _labels: &Self::Labels) -> Option<Vec<u32>> {
        (!Self::READS_HIDDEN).then(Vec::new)
    }

    /// Takes in other parameters.
    fn reload(&mut self, device: &B, values: &Values<'_>);

    /// The loss, and from it the gradients of the head's parameters, which are added to `gradients`, and of what it reads.
    ///
    /// # Errors
    /// Labels that do not fit.
    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &Self::Labels,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>>;
}

/// What a step of training tells a head.
#[derive(Clone, Copy)]
pub struct HeadStep<'a> {
    /// [`Trainable::terms`] of the whole batch, of which this may be a part.
    pub terms: [usize; 2],
    /// What is dropped.
    pub dropout: Option<&'a DropoutPlan>,
}

/// The losses, and the gradients of what a head reads.
pub struct HeadGradient<B: Backend> {
    /// Of each loss the sum of the terms over their number in the whole batch; the second is 0 where a class has one.
    pub losses: [f64; 2],
    /// Of the rows of the last hidden state that were computed ([`crate::model::Reads`]) [R, H].
    pub hidden: Option<B::Buffer>,
    /// [B, H]
    pub pooled: Option<B::Buffer>,
}

/// Logits [n, C] of a linear layer, on the host in f64, and what is needed to come back.
struct HeadLogits<B: Backend> {
    /// What the layer read, after dropout [n, H].
    input: B::Buffer,
    dropped: Option<Dropped>,
    logits: Vec<f64>,
}

impl<B: Gradient> HeadLogits<B> {
    fn new(
        device: &B,
        linear: &Linear<B>,
        input: &B::Buffer,
        dropped: Option<Dropped>,
        rows: usize,
    ) -> Self {
        let mut input = input.clone();
        if let Some(dropped) = &dropped {
            device.drop_out(dropped.get(), &mut input);
        }
        let logits = linear_values(device, linear, &input, rows);
        Self {
            logits: logits.into_iter().map(Into::into).collect(),
            input,
            dropped,
        }
    }

    /// From the gradient of the logits to that of what the layer read before dropout.
    fn backward(
        self,
        device: &B,
        linear: &Linear<B>,
        gradient: &[f64],
        into: LinearGradient<'_, B::Scalar>,
        hidden_size: usize,
    ) -> B::Buffer {
        let (n, _) = device.weight_shape(&linear.weight);
        let rows = gradient.len() / n;
        let values: Vec<B::Scalar> = gradient.iter().map(|x| B::scalar(*x)).collect();
        let gradient = device.upload(rows, n, &values);
        let mut out = device.buffer(rows, hidden_size);
        let to = Some(To::Set(&mut out));
        device.linear_backward(&self.input, &linear.weight, &gradient, into, to);
        if let Some(dropped) = &self.dropped {
            device.drop_out(dropped.get(), &mut out);
        }
        out
    }
}

/// The classifier over the pooled output, forward and back; `loss` gives loss and gradient of the logits [B, C].
fn pooled_backward<B: Gradient>(
    pass: &Pass<'_, B>,
    classifier: &Linear<B>,
    site: Site,
    dropout: Option<&DropoutPlan>,
    gradients: &mut Gradients<'_, B::Scalar>,
    loss: impl FnOnce(&[f64], &mut [f64]) -> Result<f64>,
) -> Result<(f64, B::Buffer)> {
    let pooled = pass
        .encoded
        .pooled
        .as_ref()
        .expect("the class has a pooler");
    let batch = pass.inputs.batch;
    let dropped = dropout.and_then(|plan| plan.sequences(DropSite::Classifier, batch));
    let logits = HeadLogits::new(pass.device, classifier, pooled, dropped, batch);
    let mut gradient = vec![0.0; logits.logits.len()];
    let loss = loss(&logits.logits, &mut gradient)?;
    let into = gradients.linear(site);
    let h = pass.config.hidden_size;
    Ok((
        loss,
        logits.backward(pass.device, classifier, &gradient, into, h),
    ))
}

/// What a term of a mean over `terms` weighs.
fn weight(terms: usize) -> f64 {
    if terms == 0 { 0.0 } else { 1.0 / terms as f64 }
}

/// Labels that count.
fn count_labels(labels: &[i64]) -> usize {
    labels
        .iter()
        .filter(|&&label| label != IGNORE_INDEX)
        .count()
}

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
