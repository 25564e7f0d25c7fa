//! Masked language model and sentence order together: the heads of pre-training.

use super::masked_lm::labelled;
use super::{
    HeadGradient, HeadStep, MaskedLm, Trainable, check_count, count_labels, labels_hidden_token,
    number, pooled_backward, pooled_logits, token_output, weight,
};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::inputs::{Inputs, Packed};
use crate::loss::{IGNORE_INDEX, cross_entropy, cross_entropy_gradient};
use crate::names::Site;
use crate::ops::{Backend, Gradient};
use crate::output::{Array, PreTrainingOutput, trace};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// Of `AlbertForPreTraining`.
pub struct PreTraining<B: Backend> {
    masked_lm: MaskedLm<B>,
    sentence_order: Linear<B>,
}

/// Logits of words [n, V] and of the sentence order [B, C].
pub type BothLogits<T> = (Array<T>, Array<T>);

/// The loss needs both; −100 is ignored in either.
#[derive(Clone, Debug, Default)]
pub struct PreTrainingLabels {
    /// [B, S]
    pub labels: Option<Vec<i64>>,
    /// `[B]`: 0 in order, 1 swapped.
    pub sentence_order_label: Option<Vec<i64>>,
}

impl<B: Backend> Head<B> for PreTraining<B> {
    const CLASS: &'static str = "AlbertForPreTraining";
    const POOLER: Option<bool> = Some(true);
    type Labels = PreTrainingLabels;
    type Output = PreTrainingOutput<B::Scalar>;

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            masked_lm: MaskedLm::load(loader)?,
            sentence_order: loader.linear(Site::SentenceOrder)?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        self.masked_lm.save(saver);
        saver.linear(Site::SentenceOrder, &self.sentence_order);
    }

    fn needs_hidden_positions(inputs: &Inputs, labels: &PreTrainingLabels) -> bool {
        labels.sentence_order_label.is_some()
            && labels
                .labels
                .as_ref()
                .is_some_and(|labels| labels_hidden_token(inputs, labels))
    }

    fn forward(
        &self,
        pass: Pass<'_, B>,
        labels: Option<&PreTrainingLabels>,
    ) -> Result<Self::Output> {
        let both = labels.and_then(|l| l.labels.as_ref().zip(l.sentence_order_label.as_ref()));
        let logits = self.masked_lm.logits(
            pass.device,
            pass.config,
            pass.encoder,
            &pass.encoded.hidden,
            pass.packed.rows.len(),
        );
        let (prediction_logits, masked_lm_loss) = token_output(
            &pass,
            &pass.device.values(&logits),
            both.map(|(labels, _)| labels),
        )?;
        let sop_logits = pooled_logits(&pass, &self.sentence_order);
        let mut loss = masked_lm_loss;
        if let (Some((_, orders)), Some(sum)) = (both, loss.as_mut()) {
            // transformers views the logits as rows of two, whatever num_labels is.
            check_count(
                "sentence_order_label",
                orders.len(),
                "one for each row of two logits",
                sop_logits.data.len() / 2,
            )?;
            *sum += cross_entropy(
                "sentence_order_label",
                sop_logits.data.chunks_exact(2),
                orders.iter().copied(),
                IGNORE_INDEX,
            )?;
        }
        let Pass {
            device,
            inputs,
            packed,
            encoded,
            ..
        } = pass;
        Ok(PreTrainingOutput {
            loss: number::<B>(loss),
            prediction_logits,
            sop_logits,
            trace: trace(device, inputs, packed, encoded),
        })
    }

    fn resize_vocabulary(&mut self, device: &B, config: &AlbertConfig, seed: u64) {
        self.masked_lm.resize_vocabulary(device, config, seed);
    }
}

impl<B: Backend> crate::Albert<PreTraining<B>, B> {
    /// Logits [B, C] of the sentence order alone, without those of the vocabulary.
    ///
    /// # Errors
    /// Inputs that do not fit the model.
    pub fn sentence_order_logits(&self, inputs: &Inputs) -> Result<Array<B::Scalar>> {
        Ok(self.logits_at(inputs, &[])?.1)
    }

    /// Logits [n, V] of the vocabulary at n places (sequence, position) alone, and those of the sentence order [B, C].
    ///
    /// # Errors
    /// Inputs that do not fit the model; a place outside the batch or hidden by the mask.
    pub fn logits_at(
        &self,
        inputs: &Inputs,
        places: &[(usize, usize)],
    ) -> Result<BothLogits<B::Scalar>> {
        let (packed, encoded) = self.encode_at(inputs, places)?;
        let pass = Pass {
            device: self.device(),
            config: self.config(),
            encoder: self.encoder(),
            inputs,
            packed: &packed,
            encoded: &encoded,
        };
        let orders = pooled_logits(&pass, &self.head().sentence_order);
        let words = match places {
            [] => Array::new(vec![0, self.config().vocab_size], Vec::new()),
            _ => self.head().masked_lm.logits_at(&pass, places)?,
        };
        Ok((words, orders))
    }
}

impl<B: Gradient> Trainable<B> for PreTraining<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &PreTrainingLabels) -> Result<[usize; 2]> {
        let count = |what: &str,
                     labels: Option<&Vec<i64>>,
                     shape: &str,
                     expected: usize|
         -> Result<usize> {
            let Some(labels) = labels else { return Ok(0) };
            check_count(what, labels.len(), shape, expected)?;
            Ok(count_labels(labels))
        };
        let (b, s) = (inputs.batch, inputs.length);
        let orders = labels.sentence_order_label.as_ref();
        Ok([
            count("labels", labels.labels.as_ref(), "[B, S]", b * s)?,
            count("sentence_order_label", orders, "[B]", b)?,
        ])
    }

    fn reads(inputs: &Inputs, packed: &Packed, labels: &PreTrainingLabels) -> Option<Vec<u32>> {
        let words = labels.labels.as_deref().unwrap_or_default();
        Some(labelled(inputs, packed, words))
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        self.masked_lm.reload(device, values);
        values.linear(device, Site::SentenceOrder, &mut self.sentence_order);
    }

    /// The loss is the sum of those of the labels that are given.
    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &PreTrainingLabels,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let mut result = HeadGradient {
            losses: [0.0; 2],
            hidden: None,
            pooled: None,
        };
        if let Some(labels) = labels.labels.as_ref().filter(|_| step.terms[0] > 0) {
            let (loss, hidden) =
                self.masked_lm
                    .gradient(&pass, labels, step.terms[0], gradients)?;
            result.losses[0] = loss;
            result.hidden = Some(hidden);
        }
        let orders = labels.sentence_order_label.as_ref();
        if let Some(orders) = orders.filter(|_| step.terms[1] > 0) {
            let scale = weight(step.terms[1]);
            let name = "sentence_order_label";
            let loss = |logits: &[f64], gradient: &mut [f64]| {
                check_count(
                    name,
                    orders.len(),
                    "one for each row of two logits",
                    logits.len() / 2,
                )?;
                let orders = orders.iter().copied();
                cross_entropy_gradient(name, logits, orders, IGNORE_INDEX, scale, gradient)
            };
            let (sum, pooled) = pooled_backward(
                &pass,
                &self.sentence_order,
                Site::SentenceOrder,
                step.dropout,
                gradients,
                loss,
            )?;
            result.losses[1] = sum * scale;
            result.pooled = Some(pooled);
        }
        Ok(result)
    }
}
