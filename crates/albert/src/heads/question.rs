//! Extractive question answering: a start and an end score for every token.

use super::{
    HeadGradient, HeadLogits, HeadStep, Trainable, check_count, linear_values, number, weight,
};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::inputs::Inputs;
use crate::loss::{cross_entropy, cross_entropy_gradient};
use crate::names::Site;
use crate::ops::{Backend, Gradient};
use crate::output::{Array, QuestionAnsweringOutput, trace, unpack};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// Of `AlbertForQuestionAnswering`.
pub struct QuestionAnswering<B: Backend> {
    outputs: Linear<B>,
}

/// Token positions of the answer `[B]` each. Clamped to 0..=S; S means: no part in the loss.
#[derive(Clone, Debug)]
pub struct QuestionLabels {
    /// First token.
    pub start_positions: Vec<i64>,
    /// Last token.
    pub end_positions: Vec<i64>,
}

impl<B: Backend> Head<B> for QuestionAnswering<B> {
    const CLASS: &'static str = "AlbertForQuestionAnswering";
    const POOLER: Option<bool> = Some(false);
    type Labels = QuestionLabels;
    type Output = QuestionAnsweringOutput<B::Scalar>;

    fn labels(_: &AlbertConfig) -> usize {
        2
    }

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            outputs: loader.linear(Site::QaOutputs)?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::QaOutputs, &self.outputs);
    }

    /// The softmax of the loss runs over all S positions, masked ones too.
    fn needs_hidden_positions(_: &Inputs, _: &QuestionLabels) -> bool {
        true
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&QuestionLabels>) -> Result<Self::Output> {
        let Pass {
            device,
            inputs,
            packed,
            encoded,
            ..
        } = pass;
        let values = linear_values(device, &self.outputs, &encoded.hidden, packed.rows.len());
        let column =
            |c: usize| -> Vec<B::Scalar> { values.iter().skip(c).step_by(2).copied().collect() };
        let columns = [column(0), column(1)];
        let loss = match labels {
            None => None,
            Some(QuestionLabels {
                start_positions,
                end_positions,
            }) => {
                let mut sum = 0.0;
                for (name, positions, column) in [
                    ("start_positions", start_positions, &columns[0]),
                    ("end_positions", end_positions, &columns[1]),
                ] {
                    check_count(name, positions.len(), "[B]", inputs.batch)?;
                    let ignore = inputs.length as i64;
                    let targets = positions.iter().map(|&p| p.clamp(0, ignore));
                    sum +=
                        cross_entropy(name, column.chunks_exact(inputs.length), targets, ignore)?;
                }
                Some(sum / 2.0)
            }
        };
        let [start_logits, end_logits] = columns.map(|column| {
            let Array { data, .. } = unpack(inputs, packed, &column);
            Array::new(vec![inputs.batch, inputs.length], data)
        });
        Ok(QuestionAnsweringOutput {
            loss: number::<B>(loss),
            start_logits,
            end_logits,
            trace: trace(device, inputs, packed, encoded),
        })
    }
}

impl<B: Gradient> Trainable<B> for QuestionAnswering<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &QuestionLabels) -> Result<[usize; 2]> {
        let count = |name: &str, positions: &[i64]| -> Result<usize> {
            check_count(name, positions.len(), "[B]", inputs.batch)?;
            let outside = inputs.length as i64;
            Ok(positions.iter().filter(|&&p| p < outside).count())
        };
        Ok([
            count("start_positions", &labels.start_positions)?,
            count("end_positions", &labels.end_positions)?,
        ])
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        values.linear(device, Site::QaOutputs, &mut self.outputs);
    }

    /// The loss is half the sum of those of start and end.
    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &QuestionLabels,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let Pass { device, inputs, .. } = pass;
        let (hidden, t) = (&pass.encoded.hidden, pass.packed.rows.len());
        let logits = HeadLogits::new(device, &self.outputs, hidden, None, t);
        let mut gradient = vec![0.0; logits.logits.len()];
        let positions = [
            ("start_positions", &labels.start_positions),
            ("end_positions", &labels.end_positions),
        ];
        let mut loss = 0.0;
        for (c, (name, positions)) in positions.into_iter().enumerate() {
            if step.terms[c] == 0 {
                continue;
            }
            let column: Vec<f64> = logits.logits.iter().skip(c).step_by(2).copied().collect();
            let mut part = vec![0.0; column.len()];
            let ignore = inputs.length as i64;
            let targets = positions.iter().map(|&p| p.clamp(0, ignore));
            let scale = 0.5 * weight(step.terms[c]);
            loss +=
                scale * cross_entropy_gradient(name, &column, targets, ignore, scale, &mut part)?;
            for (g, part) in gradient.iter_mut().skip(c).step_by(2).zip(part) {
                *g = part;
            }
        }
        let into = gradients.linear(Site::QaOutputs);
        let h = pass.config.hidden_size;
        let hidden = logits.backward(device, &self.outputs, &gradient, into, h);
        Ok(HeadGradient {
            losses: [loss, 0.0],
            hidden: Some(hidden),
            pooled: None,
        })
    }
}
