//! The ALBERT tokenizer: text to ids and back, exactly as each reference does it.
//!
//! # Modules in reading order
//! 1. `error`: [`Error`], the only error.
//! 2. `engine`: what all modes share: pieces of a text, the trait of a mode, memory of one thread.
//! 3. `spiece`: spiece.model, in and out; `charsmap`: its normaliser rules.
//! 4. `trie`, `unigram`: the vocabulary and the best path through it.
//! 5. `sentencepiece`, `slow`, `google`: the modes of the SentencePiece family.
//! 6. `json`: tokenizer.json, in and out; `added`, `pipeline`, `wordpiece`: the tokenizers family.

mod added;
mod convert;
mod json;
mod pipeline;
mod wordpiece;
mod assemble;
mod basic;
mod batch;
mod build;
mod chars;
mod cleanup;
mod config;
mod files;
mod grow;
mod lines;
mod mode;
mod save;
mod tokenizer;
mod vocab_txt;
mod charsmap;
mod commas;
mod encoding;
mod engine;
mod error;
mod google;
mod lattice;
mod options;
mod normalizer;
mod preprocess;
mod sampling;
mod python;
mod pad;
mod sentencepiece;
mod slow;
mod spiece;
mod template;
mod token;
mod trie;
mod truncate;
mod unigram;
mod words;

pub use error::Error;
pub use sampling::Sampling;
pub use spiece::{SpieceModel, SpieceOptions};
pub use config::SpecialTokens;
pub use encoding::Encoding;
pub use files::LoadOptions;
pub use lines::{Invalid, for_each_line};
pub use mode::Mode;
pub use tokenizer::AlbertTokenizer;
pub use options::{EncodeOptions, Input, PadTo, Padding, Sequence, Side, Strategy, Truncation};
pub use template::{Part, Template};
pub use token::AddedToken;

#[doc(hidden)]
pub mod raw;
