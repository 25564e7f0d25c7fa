//! Zero-shot classification: how well each label fits a text, by a model of natural-language inference.

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};
use serde::Serialize;

use super::batch::{self, Row};
use super::classify::class_logits;
use super::scores::{softmax, top, weighted_mean};
use super::text::{Texts, Windows, load};
use super::{Answer, Limits, Results, only};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu};
use crate::{AlbertForSequenceClassification, Loaded};

/// Which labels, and how they compete.
#[derive(Clone, Debug)]
pub struct ZeroShotOptions {
    /// The labels to choose from.
    pub labels: Vec<String>,
    /// The hypothesis, with `{}` once, where the label goes.
    pub template: String,
    /// Several labels may be true: each score is a softmax of entailment against contradiction. Else all labels
    /// share one softmax of entailment.
    pub multi_label: bool,
    /// The text gives way, never the hypothesis. Where windows slide, the logits are the mean of the windows'.
    pub limits: Limits,
}

impl ZeroShotOptions {
    /// These labels with transformers' template, "This example is {}."
    pub fn new<S: Into<String>>(labels: impl IntoIterator<Item = S>) -> Self {
        Self {
            labels: labels.into_iter().map(Into::into).collect(),
            template: "This example is {}.".to_owned(),
            multi_label: false,
            limits: Limits::default(),
        }
    }
}

/// The labels, the best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The text.
    pub sequence: String,
    /// The labels …
    pub labels: Vec<String>,
    /// … and their probabilities.
    pub scores: Vec<f64>,
}

/// A classifier of entailment with its tokenizer.
pub struct ZeroShot<B: Backend = Cpu> {
    model: AlbertForSequenceClassification<B>,
    texts: Texts,
    entailment: usize,
    contradiction: usize,
}

/// Classes of entailment and contradiction, as transformers finds them: the first label whose name begins with
/// "entail", else the last; contradiction is the first class, or the last where that is entailment's.
fn classes(config: &AlbertConfig) -> (usize, usize) {
    let last = config.num_labels() - 1;
    let named = config
        .id2label
        .iter()
        .position(|label| label.to_lowercase().starts_with("entail"));
    let entailment = named.unwrap_or(last);
    (entailment, if named == Some(0) { last } else { 0 })
}

impl<B: Backend> ZeroShot<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no classifier or a single class.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer)?, loaded))
    }

    /// Joins a model and its tokenizer.
    ///
    /// # Errors
    /// A model with less than two classes.
    pub fn new(
        model: AlbertForSequenceClassification<B>,
        tokenizer: AlbertTokenizer,
    ) -> Result<Self> {
        if model.config().num_labels() < 2 {
            return Err(Error::input(
                "model",
                "a classifier of entailment, with two or three classes",
                format!("{} class", model.config().num_labels()),
            ));
        }
        let (entailment, contradiction) = classes(model.config());
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Ok(Self {
            model,
            texts,
            entailment,
            contradiction,
        })
    }

    /// Whether a class of the model is called entailment; if not, the last one is taken for it.
    pub fn names_entailment(&self) -> bool {
        let label = &self.model.config().id2label[self.entailment];
        label.to_lowercase().starts_with("entail")
    }

    /// Ranks the labels for one text.
    ///
    /// # Errors
    /// No labels, a template that does not hold `{}` once, too many tokens.
    pub fn run(&self, text: &str, options: &ZeroShotOptions) -> Result<Answer<Ranking>> {
        only(self.run_batch(&[text], options)?)
    }

    /// Ranks the labels for many texts; each has its own result.
    ///
    /// # Errors
    /// As [`ZeroShot::run`], for what is wrong with the options.
    pub fn run_batch<S: AsRef<str>>(
        &self,
        texts: &[S],
        options: &ZeroShotOptions,
    ) -> Result<Results<Ranking>> {
        Ok(batch::answer(
            self.prepare(texts, options)?,
            options.limits.batch_tokens,
            |rows| class_logits(&self.model, rows),
            |own, logits| Ok(self.rank(&own, logits, options)),
        ))
    }

    /// For each text the rows of all labels.
    #[expect(clippy::type_complexity, reason = "what `batch::answer` takes")]
    fn prepare<'a, S: AsRef<str>>(
        &self,
        texts: &'a [S],
        options: &ZeroShotOptions,
    ) -> Result<Vec<Result<(Vec<Row>, Prepared<'a>)>>> {
        if options.labels.is_empty() {
            return Err(Error::input("labels", "at least one label", "none"));
        }
        if options.template.matches("{}").count() != 1 {
            return Err(Error::input(
                "template",
                "{} once, where the label goes",
                format!("{:?}", options.template),
            ));
        }
        let hypotheses: Vec<String> = options
            .labels
            .iter()
            .map(|label| options.template.replacen("{}", label, 1))
            .collect();
        let inputs: Vec<_> = texts
            .iter()
            .flat_map(|text| {
                hypotheses
                    .iter()
                    .map(|h| (text.as_ref(), h.as_str()).into())
            })
            .collect();
        let stride = self.texts.stride(&options.limits)?;
        let mut windows = self
            .texts
            .encode(&inputs, &options.limits, Strategy::OnlyFirst)?
            .into_iter();
        let prepared = texts.iter().map(|text| {
            let own: Vec<_> = windows.by_ref().take(hypotheses.len()).collect();
            let own: Vec<Windows> = own.into_iter().collect::<Result<_>>()?;
            let rows = own.iter().flat_map(Windows::rows).collect();
            let prepared = Prepared {
                text: text.as_ref(),
                weights: own.iter().map(|windows| windows.weights(stride)).collect(),
                tokens: own.iter().map(|windows| windows.tokens).max().unwrap_or(0),
                truncated: own.iter().any(|windows| windows.truncated),
            };
            Ok((rows, prepared))
        });
        Ok(prepared.collect())
    }

    fn rank(
        &self,
        own: &Prepared<'_>,
        logits: Vec<Vec<f64>>,
        options: &ZeroShotOptions,
    ) -> Answer<Ranking> {
        let mut logits = logits.into_iter();
        let by_label: Vec<Vec<f64>> = own
            .weights
            .iter()
            .map(|weights| {
                let rows = weights.iter().copied().zip(logits.by_ref());
                weighted_mean(&rows.collect::<Vec<_>>())
            })
            .collect();
        let scores = if options.multi_label || by_label.len() == 1 {
            let against = |logits: &Vec<f64>| {
                softmax(&[logits[self.contradiction], logits[self.entailment]])[1]
            };
            by_label.iter().map(against).collect()
        } else {
            let entailed: Vec<f64> = by_label.iter().map(|l| l[self.entailment]).collect();
            softmax(&entailed)
        };
        let order = top(&scores, scores.len());
        Answer {
            output: Ranking {
                sequence: own.text.to_owned(),
                labels: order.iter().map(|&i| options.labels[i].clone()).collect(),
                scores: order.iter().map(|&i| scores[i]).collect(),
            },
            tokens: own.tokens,
            truncated: own.truncated,
        }
    }
}

/// One text with its hypotheses.
struct Prepared<'a> {
    text: &'a str,
    /// Of each label, of each window.
    weights: Vec<Vec<f64>>,
    /// Of the longest pair.
    tokens: usize,
    truncated: bool,
}
