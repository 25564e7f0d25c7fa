//! What a verb gives: answers to consecutive inputs.

use std::fmt::Display;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::record::Record;

/// A verb at work.
pub(crate) trait Task {
    /// Answers of consecutive inputs, in their order, one for each.
    fn run(&mut self, inputs: &[Record]) -> Vec<Result<Reply>>;

    /// The length of its vectors, for files of embeddings.
    fn width(&self) -> usize {
        0
    }
}

/// The answer to one input.
pub(crate) struct Reply {
    pub(crate) output: Output,
    /// Whether a part of the input was left out.
    pub(crate) truncated: bool,
    /// Tokens of the whole input.
    pub(crate) tokens: usize,
}

pub(crate) enum Output {
    /// Any answer: one form for programs, one for people.
    Value(Box<dyn Show>),
    /// An embedding.
    Vector(Vec<f32>),
}

impl Output {
    pub(crate) fn value(answer: impl Show + 'static) -> Self {
        Self::Value(Box::new(answer))
    }
}

/// An answer that can be printed: whatever serialises (as the pipelines of transformers give it)
/// and displays (as lines for people, without the last line feed).
pub(crate) trait Show {
    fn json(&self, out: &mut Vec<u8>) -> Result<()>;
    fn text(&self, out: &mut Vec<u8>) -> Result<()>;
}

impl<T: Serialize + Display> Show for T {
    fn json(&self, out: &mut Vec<u8>) -> Result<()> {
        Ok(serde_json::to_writer(out, self)?)
    }

    fn text(&self, out: &mut Vec<u8>) -> Result<()> {
        Ok(write!(out, "{self}")?)
    }
}
