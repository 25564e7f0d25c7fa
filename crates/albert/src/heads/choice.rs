//! Multiple choice: one score for each choice, a softmax over the choices of a question.

use super::{
    HeadGradient, HeadStep, Trainable, check_count, count_labels, logits_output, pooled_backward,
    pooled_logits, questions, weight,
};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::inputs::Inputs;
use crate::loss::{IGNORE_INDEX, cross_entropy, cross_entropy_gradient};
use crate::names::Site;
use crate::ops::{Backend, Gradient};
use crate::output::{Array, LogitsOutput};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// Of `AlbertForMultipleChoice`.
pub struct MultipleChoice<B: Backend> {
    classifier: Linear<B>,
}

impl<B: Backend> Head<B> for MultipleChoice<B> {
    const CLASS: &'static str = "AlbertForMultipleChoice";
    const POOLER: Option<bool> = Some(true);
    const READS_HIDDEN: bool = false;
    type Labels = Vec<i64>;
    type Output = LogitsOutput<B::Scalar>;

    fn labels(_: &AlbertConfig) -> usize {
        1
    }

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            classifier: loader.linear(Site::Classifier)?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::Classifier, &self.classifier);
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&Vec<i64>>) -> Result<Self::Output> {
        let (count, k) = questions(pass.inputs)?;
        let logits = Array {
            shape: vec![count, k],
            ..pooled_logits(&pass, &self.classifier)
        };
        let loss = match labels {
            None => None,
            Some(labels) => {
                check_count("labels", labels.len(), "one for each question", count)?;
                Some(cross_entropy(
                    "labels",
                    logits.data.chunks_exact(k),
                    labels.iter().copied(),
                    IGNORE_INDEX,
                )?)
            }
        };
        Ok(logits_output(&pass, logits, loss))
    }
}

impl<B: Gradient> Trainable<B> for MultipleChoice<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &Vec<i64>) -> Result<[usize; 2]> {
        check_count(
            "labels",
            labels.len(),
            "one for each question",
            questions(inputs)?.0,
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
        let (count, _) = questions(pass.inputs)?;
        check_count("labels", labels.len(), "one for each question", count)?;
        let scale = weight(step.terms[0]);
        let loss = |logits: &[f64], gradient: &mut [f64]| {
            let labels = labels.iter().copied();
            cross_entropy_gradient("labels", logits, labels, IGNORE_INDEX, scale, gradient)
        };
        let site = Site::Classifier;
        let (sum, pooled) =
            pooled_backward(&pass, &self.classifier, site, step.dropout, gradients, loss)?;
        Ok(HeadGradient {
            losses: [sum * scale, 0.0],
            hidden: None,
            pooled: Some(pooled),
        })
    }
}
