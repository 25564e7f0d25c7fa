//! Token classification over every hidden state.

use super::{labels_hidden_token, linear_values, logits_output, token_output};
use crate::checkpoint::{Loader, Saver};
use crate::error::Result;
use crate::inputs::Inputs;
use crate::names::Site;
use crate::ops::Backend;
use crate::output::LogitsOutput;
use crate::params::Linear;
use crate::pretrained::{Head, Pass};

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
