//! Token classification over every hidden state.

use super::{
    HeadGradient, HeadLogits, HeadStep, Trainable, check_count, count_labels, labels_hidden_token,
    linear_values, logits_output, token_output, weight,
};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::dropout::DropSite;
use crate::error::Result;
use crate::inputs::Inputs;
use crate::loss::{IGNORE_INDEX, cross_entropy_gradient};
use crate::names::Site;
use crate::ops::{Backend, Gradient};
use crate::output::LogitsOutput;
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// Of `AlbertForTokenClassification`.
pub struct TokenClassification<B: Backend> {
    classifier: Linear<B>,
}

impl<B: Backend> Head<B> for TokenClassification<B> {
    const CLASS: &'static str = "AlbertForTokenClassification";
    const POOLER: Option<bool> = Some(false);
    type Labels = Vec<i64>;
    type Output = LogitsOutput<B::Scalar>;

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            classifier: loader.linear(Site::Classifier)?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::Classifier, &self.classifier);
    }

    fn needs_hidden_positions(inputs: &Inputs, labels: &Vec<i64>) -> bool {
        labels_hidden_token(inputs, labels)
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&Vec<i64>>) -> Result<Self::Output> {
        let values = linear_values(
            pass.device,
            &self.classifier,
            &pass.encoded.hidden,
            pass.packed.rows.len(),
        );
        let (logits, loss) = token_output(&pass, &values, labels)?;
        Ok(logits_output(&pass, logits, loss))
    }
}

impl<B: Gradient> Trainable<B> for TokenClassification<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &Vec<i64>) -> Result<[usize; 2]> {
        check_count(
            "labels",
            labels.len(),
            "[B, S]",
            inputs.batch * inputs.length,
        )?;
        Ok([count_labels(labels), 0])
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        values.linear(device, Site::Classifier, &mut self.classifier);
    }

    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &Vec<i64>,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let Pass {
            device,
            inputs,
            packed,
            ..
        } = pass;
        let dropped = step
            .dropout
            .and_then(|plan| plan.rows(DropSite::Classifier, packed, None));
        let (hidden, t) = (&pass.encoded.hidden, packed.rows.len());
        let logits = HeadLogits::new(device, &self.classifier, hidden, dropped, t);
        let mut gradient = vec![0.0; logits.logits.len()];
        let labels = packed
            .rows
            .iter()
            .map(|&(b, s)| labels[b * inputs.length + s]);
        let scale = weight(step.terms[0]);
        let sum = cross_entropy_gradient(
            "labels",
            &logits.logits,
            labels,
            IGNORE_INDEX,
            scale,
            &mut gradient,
        )?;
        let into = gradients.linear(Site::Classifier);
        let h = pass.config.hidden_size;
        let hidden = logits.backward(device, &self.classifier, &gradient, into, h);
        Ok(HeadGradient {
            losses: [sum * scale, 0.0],
            hidden: Some(hidden),
            pooled: None,
        })
    }
}
