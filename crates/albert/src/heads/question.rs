//! Extractive question answering: a start and an end score for every token.

use super::{check_count, linear_values, number};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::inputs::Inputs;
use crate::loss::cross_entropy;
use crate::names::Site;
use crate::ops::Backend;
use crate::output::{Array, QuestionAnsweringOutput, trace, unpack};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};

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
