//! Multiple choice: one score for each choice, a softmax over the choices of a question.

use super::{check_count, logits_output, pooled_logits, questions};
use crate::checkpoint::{Loader, Saver};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::loss::{IGNORE_INDEX, cross_entropy};
use crate::names::Site;
use crate::ops::Backend;
use crate::output::{Array, LogitsOutput};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};

/// Of `AlbertForMultipleChoice`.
pub struct MultipleChoice<B: Backend> {
    classifier: Linear<B>,
}

impl<B: Backend> Head<B> for MultipleChoice<B> {
    const CLASS: &'static str = "AlbertForMultipleChoice";
    const POOLER: Option<bool> = Some(true);
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
