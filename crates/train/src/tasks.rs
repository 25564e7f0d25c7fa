//! The tasks that ALBERT is measured on: their files, their samples as tokens, their metrics, their predictions.
//!
//! Each task reads files into examples (texts and labels), makes of them a [`Dataset`](crate::dataset::Dataset) that is
//! already tokenized, and runs a model over it: [`Evaluation`]. No row of a file is dropped and no text is cut without
//! being counted ([`Skipped`], the `cut` of the datasets).
//!
//! # Modules in reading order
//! 1. [`text`]: texts and pairs with classes, several labels or values. [`glue`] and [`table`] read them.
//! 2. [`squad`]: answers in a context. 3. [`race`]: multiple choice. 4. [`tagging`]: a label for each word.
//!
//! `files` reads, `rows` makes tokens and batches; `measure` (beside them in the crate) runs a model.

mod files;
pub mod glue;
pub mod race;
mod rows;
pub mod squad;
pub mod table;
pub mod tagging;
pub mod text;

use std::num::NonZeroUsize;

use crate::error::{At, Place};
use crate::learner::Metrics;

/// How long samples may be, and how fast they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encode {
    /// Most tokens of a sequence, special tokens included.
    pub max_seq_length: usize,
    /// Threads of the tokenizer; results do not depend on them.
    pub threads: NonZeroUsize,
}

impl Encode {
    /// Sequences of at most this many tokens, on all processors.
    pub fn to(max_seq_length: usize) -> Self {
        Self {
            max_seq_length,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// What a model made of a set of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation<P> {
    /// Metrics by name, `loss` among them where the samples have labels.
    pub metrics: Metrics,
    /// The model's answers, in the order of the examples.
    pub predictions: P,
}

/// A part of a file that gave no example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub place: Place,
    /// Why it was left out.
    pub why: String,
}

impl Skipped {
    fn new(path: &std::path::Path, at: At, why: impl Into<String>) -> Self {
        let path = path.to_owned();
        Self {
            place: Place { path, at },
            why: why.into(),
        }
    }
}
