//! Sequence classification and regression over the pooled output.

use super::{
    HeadGradient, HeadStep, Trainable, check_count, count_labels, logits_output, pooled_backward,
    pooled_logits, weight,
};
use crate::checkpoint::{Loader, Saver};
use crate::config::{AlbertConfig, ProblemType};
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::loss::{
    IGNORE_INDEX, binary_cross_entropy, cross_entropy, cross_entropy_gradient, mean_squared_error,
};
use crate::names::Site;
use crate::ops::{Backend, Gradient};
use crate::output::{Array, LogitsOutput};
use crate::params::Linear;
use crate::pretrained::{Head, Pass};
use crate::variables::{Gradients, Values};

/// Of `AlbertForSequenceClassification`.
pub struct SequenceClassification<B: Backend> {
    classifier: Linear<B>,
}

/// Labels of whole sequences. Without a `problem_type` in the configuration their kind decides: one label in all is
/// regression, whole numbers are classes, other numbers are many labels at once.
#[derive(Clone, Debug)]
pub enum ClassLabels {
    /// `[B]` class numbers.
    Classes(Vec<i64>),
    /// `[B]` or [B, C] values: targets of a regression, or 0 and 1 for each label.
    Values(Vec<f32>),
}

impl ClassLabels {
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Classes(classes) => classes.iter().map(|&x| x as f64).collect(),
            Self::Values(values) => values.iter().copied().map(f64::from).collect(),
        }
    }
}

/// Which loss the labels ask for.
fn problem(config: &AlbertConfig, labels: &ClassLabels) -> ProblemType {
    config.problem_type.unwrap_or(match labels {
        _ if config.num_labels() == 1 => ProblemType::Regression,
        ClassLabels::Classes(_) => ProblemType::SingleLabelClassification,
        ClassLabels::Values(_) => ProblemType::MultiLabelClassification,
    })
}

fn loss<T: Copy + Into<f64>>(
    config: &AlbertConfig,
    logits: &Array<T>,
    labels: &ClassLabels,
) -> Result<f64> {
    let problem = problem(config, labels);
    let (b, c) = (logits.shape[0], logits.shape[1]);
    match (problem, labels) {
        (ProblemType::SingleLabelClassification, ClassLabels::Classes(classes)) => {
            check_count("labels", classes.len(), "[B]", b)?;
            cross_entropy(
                "labels",
                logits.data.chunks_exact(c),
                classes.iter().copied(),
                IGNORE_INDEX,
            )
        }
        (ProblemType::SingleLabelClassification, ClassLabels::Values(_)) => Err(Error::input(
            "labels",
            "whole class numbers (problem_type single_label_classification)",
            "floating-point values",
        )),
        (ProblemType::Regression | ProblemType::MultiLabelClassification, labels) => {
            let values = labels.values();
            check_count("labels", values.len(), "[B, C]", b * c)?;
            let loss = if problem == ProblemType::Regression {
                mean_squared_error
            } else {
                binary_cross_entropy
            };
            Ok(loss(&logits.data, &values))
        }
    }
}

impl<B: Backend> Head<B> for SequenceClassification<B> {
    const CLASS: &'static str = "AlbertForSequenceClassification";
    const POOLER: Option<bool> = Some(true);
    const READS_HIDDEN: bool = false;
    type Labels = ClassLabels;
    type Output = LogitsOutput<B::Scalar>;

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        Ok(Self {
            classifier: loader.linear(Site::Classifier)?,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::Classifier, &self.classifier);
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&ClassLabels>) -> Result<Self::Output> {
        let logits = pooled_logits(&pass, &self.classifier);
        let loss = labels
            .map(|labels| loss(pass.config, &logits, labels))
            .transpose()?;
        Ok(logits_output(&pass, logits, loss))
    }
}

impl<B: Gradient> Trainable<B> for SequenceClassification<B> {
    fn terms(config: &AlbertConfig, inputs: &Inputs, labels: &ClassLabels) -> Result<[usize; 2]> {
        let (b, c) = (inputs.batch, config.num_labels());
        let terms = match (problem(config, labels), labels) {
            (ProblemType::SingleLabelClassification, ClassLabels::Classes(classes)) => {
                check_count("labels", classes.len(), "[B]", b)?;
                count_labels(classes)
            }
            _ => b * c,
        };
        Ok([terms, 0])
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        values.linear(device, Site::Classifier, &mut self.classifier);
    }

    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &ClassLabels,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let scale = weight(step.terms[0]);
        let (b, c) = (pass.inputs.batch, pass.config.num_labels());
        let problem = problem(pass.config, labels);
        let loss = |logits: &[f64], gradient: &mut [f64]| {
            if let (ProblemType::SingleLabelClassification, ClassLabels::Classes(classes)) =
                (problem, labels)
            {
                check_count("labels", classes.len(), "[B]", b)?;
                let classes = classes.iter().copied();
                let name = "labels";
                return cross_entropy_gradient(
                    name,
                    logits,
                    classes,
                    IGNORE_INDEX,
                    scale,
                    gradient,
                );
            }
            // The same checks and the same mean as without gradients.
            let array = Array::new(vec![b, c], logits.to_vec());
            let mean = loss(pass.config, &array, labels)?;
            for ((g, x), y) in gradient.iter_mut().zip(logits).zip(labels.values()) {
                *g = scale
                    * match problem {
                        ProblemType::Regression => 2.0 * (x - y),
                        _ => 1.0 / (1.0 + (-x).exp()) - y,
                    };
            }
            Ok(mean * (b * c) as f64)
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
