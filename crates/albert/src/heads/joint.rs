//! Question answering that also says whether there is an answer: Google's head for SQuAD 2.0.
//!
//! The end depends on the start, and "no answer" on where starts are likely. With h the encoder's output and p the softmax of
//! the start scores over the places where an answer may be:
//!
//! start(t) = w·h_t; end(t | s) = w₁·LayerNorm(tanh(W₀·\[h_t; h_s\])); none = w₁·tanh(W₀·\[Σ p_t·h_t; h_CLS\])
//!
//! (`run_squad_v2` of google-research/albert; the same layers are transformers' `SQuADHead`.)

mod gradient;
mod starts;

use albert_kernels::Activation;

use super::{linear_values, number};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::loss::binary_cross_entropy;
use crate::model::plain;
use crate::names::Site;
use crate::ops::{Backend, Epilogue, Norm};
use crate::output::{Array, JointQuestionAnsweringOutput, trace};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use starts::{Sequence, Starts, log_softmax, places};

/// Starts that are tried for each sequence, and ends for each start.
const TOP: usize = 5;
/// Log-probability of what fills the places of a sequence with fewer candidates.
const NEVER: f64 = -1e30;

/// Of `AlbertForJointQuestionAnswering`.
pub struct JointQuestionAnswering<B: Backend> {
    start: Linear<B>,
    end: Linear<B>,
    end_norm: Norm<B::Vector>,
    end_out: Linear<B>,
    none: Linear<B>,
    none_out: B::Weight,
}

/// Where the answers are, and whether there is one `[B]` each.
#[derive(Clone, Debug)]
pub struct JointLabels {
    /// First token; 0, the place of `[CLS]`, where there is no answer.
    pub start_positions: Vec<i64>,
    /// Last token; 0 where there is no answer.
    pub end_positions: Vec<i64>,
    /// Whether the tokens of the sequence hold no answer.
    pub is_impossible: Vec<bool>,
}

/// Places of the [`TOP`] largest numbers, the largest first; of equal ones the earlier first.
fn best(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(TOP);
    order
}

impl<B: Backend> JointQuestionAnswering<B> {
    fn starts(&self, pass: &Pass<'_, B>) -> Result<Starts> {
        let Pass {
            device,
            config,
            inputs,
            packed,
            encoded,
            ..
        } = *pass;
        let host =
            |values: Vec<B::Scalar>| -> Vec<f64> { values.into_iter().map(Into::into).collect() };
        let scores = host(linear_values(
            device,
            &self.start,
            &encoded.hidden,
            packed.rows.len(),
        ));
        let sequence = |places: Vec<usize>| {
            let own: Vec<f64> = places.iter().map(|&row| scores[row]).collect();
            Sequence {
                starts: log_softmax(&own),
                places,
            }
        };
        let places = places(inputs, packed);
        if let Some(hidden) = places.iter().position(Vec::is_empty) {
            return Err(Error::input(
                format!("attention_mask, sequence {hidden}"),
                "a token that is not masked, where an answer may be",
                "none",
            ));
        }
        Ok(Starts {
            hidden: host(device.values(&encoded.hidden)),
            size: config.hidden_size,
            sequences: places.into_iter().map(sequence).collect(),
        })
    }

    /// Scores of the ends, from \[h_t; h_s\] [n, 2H].
    fn ends(&self, device: &B, pairs: &B::Buffer, n: usize) -> Vec<f64> {
        let z = self.end_features(device, pairs, n);
        let scores = linear_values(device, &self.end_out, &z, n);
        scores.into_iter().map(Into::into).collect()
    }

    /// LayerNorm(tanh(W₀·x + b₀)) [n, H]
    fn end_features(&self, device: &B, pairs: &B::Buffer, n: usize) -> B::Buffer {
        let (h, _) = device.weight_shape(&self.end.weight);
        let mut z = device.buffer(n, h);
        let transform = Epilogue {
            activation: Activation::Tanh,
            norm: Some(&self.end_norm),
            ..plain(&self.end)
        };
        device.linear(pairs, &self.end.weight, transform, &mut z);
        z
    }

    /// w₁·x, without a bias `[B]`
    fn none_scores(&self, device: &B, x: &B::Buffer, n: usize) -> Vec<f64> {
        let mut out = device.buffer(n, 1);
        let nothing = Epilogue {
            bias: None,
            ..plain(&self.none)
        };
        device.linear(x, &self.none_out, nothing, &mut out);
        device.values(&out).into_iter().map(Into::into).collect()
    }

    /// ½ of the mean of start's, end's and "no answer"'s cross-entropy, each.
    fn loss(
        &self,
        pass: &Pass<'_, B>,
        starts: &Starts,
        none: &[f64],
        labels: &JointLabels,
    ) -> Result<f64> {
        let golds = starts.golds(pass.inputs, pass.packed, labels)?;
        let sequences = || starts.sequences.iter().zip(&golds);
        let rows: Vec<(usize, usize)> = sequences()
            .flat_map(|(one, gold)| one.places.iter().map(|&t| (t, one.places[gold[0]])))
            .collect();
        let scores = self.ends(pass.device, &starts.pairs(pass.device, &rows), rows.len());
        let (mut sum, mut first) = (0.0, 0);
        for (one, &[start, end]) in sequences() {
            let ends = log_softmax(&scores[first..][..one.places.len()]);
            first += one.places.len();
            sum -= one.starts[start] + ends[end];
        }
        let impossible: Vec<f64> = labels.is_impossible.iter().map(|&x| x.into()).collect();
        let batch = golds.len() as f64;
        Ok((sum / batch + binary_cross_entropy(none, &impossible)) / 2.0)
    }
}

impl<B: Backend> Head<B> for JointQuestionAnswering<B> {
    const CLASS: &'static str = "AlbertForJointQuestionAnswering";
    const POOLER: Option<bool> = Some(false);
    type Labels = JointLabels;
    type Output = JointQuestionAnsweringOutput<B::Scalar>;

    fn labels(_: &AlbertConfig) -> usize {
        1
    }

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            start: loader.linear(Site::StartLogits)?,
            end: loader.linear(Site::EndDense)?,
            end_norm: loader.norm(Site::EndNorm)?,
            end_out: loader.linear(Site::EndLogits)?,
            none: loader.linear(Site::AnswerDense)?,
            none_out: loader.weights(&[Site::AnswerLogit])?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::StartLogits, &self.start);
        saver.linear(Site::EndDense, &self.end);
        saver.norm(Site::EndNorm, &self.end_norm);
        saver.linear(Site::EndLogits, &self.end_out);
        saver.linear(Site::AnswerDense, &self.none);
        saver.weight(Site::AnswerLogit, &self.none_out, 0);
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&JointLabels>) -> Result<Self::Output> {
        let Pass {
            device,
            inputs,
            packed,
            encoded,
            ..
        } = pass;
        let starts = self.starts(&pass)?;
        let batch = starts.sequences.len();
        let mut activated = device.buffer(batch, starts.size);
        let tanh = Epilogue {
            activation: Activation::Tanh,
            ..plain(&self.none)
        };
        let features = starts.features(device);
        device.linear(&features, &self.none.weight, tanh, &mut activated);
        let none = self.none_scores(device, &activated, batch);
        let loss = labels
            .map(|labels| self.loss(&pass, &starts, &none, labels))
            .transpose()?;

        let tried: Vec<Vec<usize>> = starts
            .sequences
            .iter()
            .map(|one| best(&one.starts))
            .collect();
        let rows: Vec<(usize, usize)> = starts
            .sequences
            .iter()
            .zip(&tried)
            .flat_map(|(one, tried)| {
                let of = move |&s: &usize| one.places.iter().map(move |&t| (t, one.places[s]));
                tried.iter().flat_map(of)
            })
            .collect();
        let scores = self.ends(device, &starts.pairs(device, &rows), rows.len());
        let none_there = |n: usize| (vec![B::scalar(NEVER); n], vec![B::scalar(0.0); n]);
        let (mut start_logs, mut start_index) = none_there(batch * TOP);
        let (mut end_logs, mut end_index) = none_there(batch * TOP * TOP);
        let mut first = 0;
        for (b, (one, tried)) in starts.sequences.iter().zip(&tried).enumerate() {
            let position = |place: usize| B::scalar(packed.rows[one.places[place]].1 as f64);
            for (i, &start) in tried.iter().enumerate() {
                start_logs[b * TOP + i] = B::scalar(one.starts[start]);
                start_index[b * TOP + i] = position(start);
                let ends = log_softmax(&scores[first..][..one.places.len()]);
                first += one.places.len();
                for (j, end) in best(&ends).into_iter().enumerate() {
                    let at = (b * TOP + i) * TOP + j;
                    end_logs[at] = B::scalar(ends[end]);
                    end_index[at] = position(end);
                }
            }
        }
        let starts_of = |data| Array::new(vec![batch, TOP], data);
        let ends_of = |data| Array::new(vec![batch, TOP * TOP], data);
        Ok(JointQuestionAnsweringOutput {
            loss: number::<B>(loss),
            start_top_log_probs: starts_of(start_logs),
            start_top_index: starts_of(start_index),
            end_top_log_probs: ends_of(end_logs),
            end_top_index: ends_of(end_index),
            cls_logits: Array::new(vec![batch], none.into_iter().map(B::scalar).collect()),
            trace: trace(device, inputs, packed, encoded),
        })
    }
}
