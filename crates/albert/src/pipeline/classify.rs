//! Classification of texts and pairs of texts: single label, many labels, regression.

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};
use serde::Serialize;

use super::batch::{self, Row};
use super::scores::{sigmoid, softmax, weighted_mean};
use super::text::{Texts, load, single_or_pair};
use super::{Answer, Limits, Results, only};
use crate::config::{AlbertConfig, ProblemType};
use crate::error::Result;
use crate::ops::{Backend, Cpu};
use crate::{AlbertForSequenceClassification, Loaded};

/// From logits to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// The labels exclude each other: scores sum to 1.
    Softmax,
    /// Each label stands for itself.
    Sigmoid,
    /// The logits themselves, as for a regression.
    None,
}

impl Apply {
    /// What the model was trained for: nothing for a regression, the sigmoid for many labels at once and for a
    /// single label, else the softmax (transformers, `TextClassificationPipeline`).
    pub fn of(config: &AlbertConfig) -> Self {
        match config.problem_type {
            Some(ProblemType::Regression) => Self::None,
            Some(ProblemType::MultiLabelClassification) => Self::Sigmoid,
            _ if config.num_labels() == 1 => Self::Sigmoid,
            _ => Self::Softmax,
        }
    }

    fn scores(self, logits: &[f64]) -> Vec<f64> {
        match self {
            Self::Softmax => softmax(logits),
            Self::Sigmoid => logits.iter().map(|&x| sigmoid(x)).collect(),
            Self::None => logits.to_vec(),
        }
    }
}

/// How to score.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyOptions {
    /// From logits to scores; `None`: as the model's configuration says.
    pub apply: Option<Apply>,
    /// Labels to give, the most likely first; `None`: all.
    pub top_k: Option<usize>,
    /// Of a pair the longer text is cut first. Where windows slide (over the first text), the scores are the mean of
    /// the windows' scores, each weighted with its tokens that no earlier window has.
    pub limits: Limits,
}

/// A label with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Name from the model's `id2label`.
    pub label: String,
    /// Probability, or the value of a regression.
    pub score: f64,
}

/// A sequence classifier with its tokenizer.
pub struct Classify<B: Backend = Cpu> {
    model: AlbertForSequenceClassification<B>,
    texts: Texts,
}

impl<B: Backend> Classify<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no classifier.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertForSequenceClassification<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Self { model, texts }
    }

    /// The model.
    pub fn model(&self) -> &AlbertForSequenceClassification<B> {
        &self.model
    }

    /// Classifies a text, or a pair of texts.
    ///
    /// # Errors
    /// Too many tokens.
    pub fn run(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &ClassifyOptions,
    ) -> Result<Answer<Vec<Label>>> {
        only(self.run_batch(&[(text, pair)], options)?)
    }

    /// Classifies many texts and pairs; each has its own result, the most likely label first.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, Option<&str>)],
        options: &ClassifyOptions,
    ) -> Result<Results<Vec<Label>>> {
        let pairs = inputs.iter().any(|(_, pair)| pair.is_some());
        let strategy = match options.limits.long {
            super::Long::Slide => Strategy::OnlyFirst,
            _ if pairs => Strategy::LongestFirst,
            _ => Strategy::OnlyFirst,
        };
        let inputs: Vec<_> = inputs
            .iter()
            .map(|&(text, pair)| single_or_pair(text, pair))
            .collect();
        let windows = self.texts.encode(&inputs, &options.limits, strategy)?;
        let stride = self.texts.stride(&options.limits)?;
        let config = self.model.config();
        let apply = options.apply.unwrap_or_else(|| Apply::of(config));
        let prepared = windows
            .into_iter()
            .map(|windows| windows.map(|windows| (windows.rows(), windows)));
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| class_logits(&self.model, rows),
            |windows, logits| {
                let weights = windows.weights(stride);
                let scores = logits.iter().map(|logits| apply.scores(logits));
                let scores = weighted_mean(&weights.into_iter().zip(scores).collect::<Vec<_>>());
                Ok(Answer {
                    output: labels(config, &scores, options.top_k),
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }
}

/// Logits of each row `[C]`.
pub(crate) fn class_logits<B: Backend>(
    model: &AlbertForSequenceClassification<B>,
    rows: &[&Row],
) -> Result<Vec<Vec<f64>>> {
    let output = model.forward(&batch::padded(rows), None, Default::default())?;
    let logits = output.logits.data.chunks_exact(output.logits.shape[1]);
    logits.map(batch::numbers).collect()
}

/// The labels of the best scores; equal scores keep the order of the labels.
fn labels(config: &AlbertConfig, scores: &[f64], top_k: Option<usize>) -> Vec<Label> {
    super::scores::top(scores, top_k.unwrap_or(scores.len()))
        .into_iter()
        .map(|i| Label {
            label: config.id2label[i].clone(),
            score: scores[i],
        })
        .collect()
}
