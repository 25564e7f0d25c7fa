//! Sentence order: whether two texts follow each other, or were swapped (Lan et al. 2019, §3.1).

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};

use super::batch::{self, Row};
use super::classify::Label;
use super::scores::{softmax, top};
use super::text::{Texts, load, no_windows};
use super::{Answer, Limits, Results, only};
use crate::error::Result;
use crate::ops::{Backend, Cpu};
use crate::{AlbertForPreTraining, Loaded};

/// How much text fits.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentenceOrderOptions {
    /// The longer text is cut first. Windows cannot slide.
    pub limits: Limits,
}

/// Names of the two classes, in the order of the logits.
const LABELS: [&str; 2] = ["in order", "swapped"];

/// A pre-trained model with its sentence-order head and its tokenizer.
pub struct SentenceOrder<B: Backend = Cpu> {
    model: AlbertForPreTraining<B>,
    texts: Texts,
}

impl<B: Backend> SentenceOrder<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no sentence-order head.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertForPreTraining<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Self { model, texts }
    }

    /// Judges two texts: "in order" and "swapped" with their probabilities, the likelier first.
    ///
    /// # Errors
    /// Too many tokens.
    pub fn run(
        &self,
        first: &str,
        second: &str,
        options: &SentenceOrderOptions,
    ) -> Result<Answer<Vec<Label>>> {
        only(self.run_batch(&[(first, second)], options)?)
    }

    /// Judges many pairs; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, &str)],
        options: &SentenceOrderOptions,
    ) -> Result<Results<Vec<Label>>> {
        no_windows(&options.limits, "sentence order")?;
        let pairs: Vec<_> = inputs.iter().map(|&pair| pair.into()).collect();
        let windows = self
            .texts
            .encode(&pairs, &options.limits, Strategy::LongestFirst)?;
        let prepared = windows
            .into_iter()
            .map(|windows| windows.map(|windows| (windows.rows(), windows)));
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| self.logits(rows),
            |windows, logits| {
                let scores = softmax(&logits[0]);
                let label = |i: usize| Label {
                    label: LABELS[i].to_owned(),
                    score: scores[i],
                };
                Ok(Answer {
                    output: top(&scores, LABELS.len()).into_iter().map(label).collect(),
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }

    fn logits(&self, rows: &[&Row]) -> Result<Vec<Vec<f64>>> {
        let logits = self.model.sentence_order_logits(&batch::padded(rows))?;
        let rows = logits.data.chunks_exact(logits.shape[1]);
        rows.map(|row| batch::numbers(&row[..LABELS.len().min(row.len())]))
            .collect()
    }
}
