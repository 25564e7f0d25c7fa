//! Multiple choice: which of several continuations fits a text best.

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};
use serde::Serialize;

use super::batch::{self, Row};
use super::scores::{best, softmax};
use super::text::{Texts, Windows, load, no_windows};
use super::{Answer, Limits, Results, only};
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu};
use crate::{AlbertForMultipleChoice, Loaded};

/// How much text fits.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChooseOptions {
    /// The text gives way, never a choice. Windows cannot slide: the choices are compared on the whole text.
    pub limits: Limits,
}

/// The choice and how likely each was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Place of the best choice, from 0.
    pub choice: usize,
    /// Probability of each choice, in their order.
    pub scores: Vec<f64>,
}

/// A multiple-choice model with its tokenizer.
pub struct Choose<B: Backend = Cpu> {
    model: AlbertForMultipleChoice<B>,
    texts: Texts,
}

impl<B: Backend> Choose<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no head for choices.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertForMultipleChoice<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Self { model, texts }
    }

    /// Chooses for one text. For a question about a passage, as in RACE, the passage is the text and each choice is
    /// the question with one of its options.
    ///
    /// # Errors
    /// No choices, or too many tokens.
    pub fn run<S: AsRef<str>>(
        &self,
        text: &str,
        choices: &[S],
        options: &ChooseOptions,
    ) -> Result<Answer<Choice>> {
        let choices: Vec<&str> = choices.iter().map(AsRef::as_ref).collect();
        only(self.run_batch(&[(text, choices)], options)?)
    }

    /// Chooses for many texts; each has its own result. They need not have the same number of choices.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, Vec<&str>)],
        options: &ChooseOptions,
    ) -> Result<Results<Choice>> {
        no_windows(&options.limits, "multiple choice")?;
        let pairs: Vec<_> = inputs
            .iter()
            .flat_map(|(text, choices)| choices.iter().map(|&choice| (*text, choice).into()))
            .collect();
        let windows = self
            .texts
            .encode(&pairs, &options.limits, Strategy::OnlyFirst)?;
        let mut windows = windows.into_iter();
        let prepared = inputs.iter().map(|(_, choices)| {
            let own: Vec<_> = windows.by_ref().take(choices.len()).collect();
            let own: Vec<Windows> = own.into_iter().collect::<Result<_>>()?;
            if own.is_empty() {
                return Err(Error::input("choices", "at least one choice", "none"));
            }
            let rows = own.iter().flat_map(Windows::rows).collect();
            let tokens = own.iter().map(|w| w.tokens).max().unwrap_or(0);
            Ok((rows, (tokens, own.iter().any(|w| w.truncated))))
        });
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| self.logits(rows),
            |(tokens, truncated), logits| {
                let scores = softmax(&logits);
                Ok(Answer {
                    output: Choice {
                        choice: best(&scores),
                        scores,
                    },
                    tokens,
                    truncated,
                })
            },
        ))
    }

    /// One logit for each row.
    fn logits(&self, rows: &[&Row]) -> Result<Vec<f64>> {
        let inputs = batch::padded(rows);
        let output = self.model.forward(&inputs, None, Default::default())?;
        batch::numbers(&output.logits.data)
    }
}
