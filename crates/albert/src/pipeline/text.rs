//! Texts to rows of tokens that the model takes: limits, windows, refusals.

use std::num::NonZeroUsize;
use std::path::Path;

use albert_tokenizer::{
    AlbertTokenizer, EncodeOptions, Encoding, Input, Mode, Strategy, Truncation,
};

use super::batch::Row;
use super::{Limits, Long};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::ops::Backend;
use crate::{Albert, Head, LoadOptions, Loaded};

/// A tokenizer, and what the model beside it can take.
pub(crate) struct Texts {
    pub(crate) tokenizer: AlbertTokenizer,
    /// P
    positions: usize,
    /// V
    vocabulary: usize,
    /// U
    types: usize,
    threads: NonZeroUsize,
}

/// An input as rows for the model.
pub(crate) struct Windows {
    /// One, or several where windows slide; each fits the model.
    pub(crate) encodings: Vec<Encoding>,
    /// The input without limit, where it did not fit.
    whole: Option<Encoding>,
    /// Tokens of the whole input.
    pub(crate) tokens: usize,
    pub(crate) truncated: bool,
}

impl Windows {
    /// The input that the windows show: all of it, or what truncation left.
    pub(crate) fn shown(&self) -> &Encoding {
        let whole = self.whole.as_ref().filter(|_| !self.truncated);
        whole.unwrap_or(&self.encodings[0])
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.encodings.iter().map(row).collect()
    }

    /// How much each window counts when answers are averaged: its tokens of the first text that no earlier window has.
    pub(crate) fn weights(&self, stride: usize) -> Vec<f64> {
        let new = |(i, encoding): (usize, &Encoding)| {
            let shared = if i == 0 { 0 } else { stride };
            let sequences = encoding.sequence_ids();
            let tokens = sequences.iter().filter(|s| **s == Some(0)).count();
            // At least 1, for a text without tokens.
            tokens.saturating_sub(shared).max(1) as f64
        };
        self.encodings.iter().enumerate().map(new).collect()
    }
}

/// The tokens of an encoding.
pub(crate) fn row(encoding: &Encoding) -> Row {
    let wide = |list: &[u32]| list.iter().copied().map(i64::from).collect();
    let ids: Vec<i64> = wide(&encoding.ids);
    let types = if encoding.type_ids.is_empty() {
        vec![0; ids.len()]
    } else {
        wide(&encoding.type_ids)
    };
    Row { ids, types }
}

impl Texts {
    pub(crate) fn new<B: Backend>(
        tokenizer: AlbertTokenizer,
        config: &AlbertConfig,
        device: &B,
    ) -> Self {
        Self {
            tokenizer,
            positions: config.max_position_embeddings,
            vocabulary: config.vocab_size,
            types: config.type_vocab_size,
            threads: NonZeroUsize::new(device.threads()).unwrap_or(NonZeroUsize::MIN),
        }
    }

    /// Most tokens of a window.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<usize> {
        let own = self.tokenizer.model_max_length();
        let least = self.tokenizer.num_special_tokens_to_add(false) + 1;
        match limits.max_tokens {
            None => Ok(self.positions.min(own.unwrap_or(usize::MAX))),
            Some(most) if (least..=self.positions).contains(&most) => Ok(most),
            Some(most) => Err(Error::input(
                "max_tokens",
                format!(
                    "{least} (one token between [CLS] and [SEP]) to {} (config max_position_embeddings)",
                    self.positions
                ),
                most,
            )),
        }
    }

    /// Tokens that windows share; a quarter of a window by default.
    pub(crate) fn stride(&self, limits: &Limits) -> Result<usize> {
        let limit = self.limit(limits)?;
        let room = limit.saturating_sub(self.tokenizer.num_special_tokens_to_add(false));
        match limits.stride {
            None => Ok(limit / 4),
            Some(stride) if stride < room || limits.long != Long::Slide => Ok(stride),
            Some(stride) => Err(Error::input(
                "stride",
                format!("less than the {room} tokens of text in a window"),
                stride,
            )),
        }
    }

    /// Encodes inputs, each as windows that fit. `strategy` says which sequence of a pair gives way.
    pub(crate) fn encode(
        &self,
        inputs: &[Input<'_>],
        limits: &Limits,
        strategy: Strategy,
    ) -> Result<Vec<Result<Windows>>> {
        let (limit, stride) = (self.limit(limits)?, self.stride(limits)?);
        let complete = EncodeOptions {
            // transformers 5 leaves them out, so that they are all 0; whoever asks for its manner gets that too.
            return_token_type_ids: Some(self.tokenizer.mode() != Mode::Hf5),
            ..EncodeOptions::default()
        };
        let encodings = self
            .tokenizer
            .encode_batch(inputs, &complete, self.threads)?;
        let windows = |(encoding, input): (Encoding, &Input<'_>)| {
            let tokens = encoding.len();
            let (mut encodings, mut whole) = (vec![encoding], None);
            if tokens > limit {
                if limits.long == Long::Error {
                    return Err(Error::TooLong { tokens, limit });
                }
                let options = EncodeOptions {
                    truncation: Truncation {
                        strategy,
                        max_length: Some(limit),
                        stride: if limits.long == Long::Slide {
                            stride
                        } else {
                            0
                        },
                        side: None,
                    },
                    return_overflowing_tokens: limits.long == Long::Slide,
                    ..complete
                };
                // Of a pair, one sequence is never cut: it may leave no room for the other.
                let mut first = self.tokenizer.encode(input, &options).map_err(|error| {
                    if input.second.is_none() {
                        return error.into();
                    }
                    Error::input(
                        "text pair",
                        format!(
                            "a question, choice, hypothesis or second text that leaves room for the other one in {limit} tokens (and for a stride of {stride}, if windows slide)"
                        ),
                        format!("{tokens} tokens in all"),
                    )
                })?;
                let rest = std::mem::take(&mut first.overflowing);
                if limits.long == Long::Slide && rest.is_empty() {
                    return Err(Error::input(
                        "long",
                        "error or truncate: this mode of the tokenizer makes no windows",
                        format!("slide, mode {}", self.tokenizer.mode()),
                    ));
                }
                whole = encodings.pop();
                encodings.push(first);
                encodings.extend(rest);
            }
            let windows = Windows {
                encodings,
                whole,
                tokens,
                truncated: tokens > limit && limits.long == Long::Truncate,
            };
            if let Some(window) = windows.encodings.iter().find(|window| window.len() > limit) {
                return Err(Error::input(
                    "max_tokens",
                    "room for a token of text beside the special tokens and the text that is never cut",
                    format!(
                        "windows of {limit} tokens where {} are needed",
                        window.len()
                    ),
                ));
            }
            self.check(&windows)?;
            Ok(windows)
        };
        Ok(encodings.into_iter().zip(inputs).map(windows).collect())
    }

    /// Refuses numbers that the model has no row for: the tokenizer belongs to another model.
    fn check(&self, windows: &Windows) -> Result<()> {
        for encoding in &windows.encodings {
            if encoding.ids.is_empty() {
                return Err(Error::input(
                    "text",
                    "at least one token",
                    "none: it is empty, and the tokenizer adds no special tokens",
                ));
            }
            if let Some(id) = encoding
                .ids
                .iter()
                .find(|id| **id as usize >= self.vocabulary)
            {
                let token = self.tokenizer.id_to_token(*id).unwrap_or_default();
                return Err(Error::input(
                    "tokenizer",
                    format!(
                        "numbers below {} (config vocab_size); take the tokenizer that belongs to the model, or resize its vocabulary",
                        self.vocabulary
                    ),
                    format!("token {token:?} with number {id}"),
                ));
            }
            if let Some(kind) = encoding
                .type_ids
                .iter()
                .find(|t| **t as usize >= self.types)
            {
                return Err(Error::input(
                    "text pair",
                    format!(
                        "token types below {} (config type_vocab_size): this model takes no pairs",
                        self.types
                    ),
                    format!("token type {kind}"),
                ));
            }
        }
        Ok(())
    }
}

/// Loads a model folder for its task: model, tokenizer, report.
pub(crate) fn load<H: Head<B>, B: Backend>(
    folder: &Path,
    device: B,
) -> Result<(Albert<H, B>, AlbertTokenizer, Loaded)> {
    super::check_trained_for::<H, B>(folder)?;
    let tokenizer = AlbertTokenizer::from_pretrained(folder, Default::default())?;
    let (model, loaded) = Albert::from_pretrained(folder, device, LoadOptions::default())?;
    Ok((model, tokenizer, loaded))
}

/// Refuses windows where a task cannot join their answers.
pub(crate) fn no_windows(limits: &Limits, task: &str) -> Result<()> {
    if limits.long == Long::Slide {
        return Err(Error::input(
            "long",
            format!("error or truncate: {task} needs the whole input at once"),
            "slide",
        ));
    }
    Ok(())
}

/// A text or a pair as the tokenizer takes it.
pub(crate) fn single_or_pair<'a>(text: &'a str, pair: Option<&'a str>) -> Input<'a> {
    match pair {
        None => text.into(),
        Some(pair) => (text, pair).into(),
    }
}
