//! The ALBERT tokenizer: text to ids and back, in each mode exactly as its reference does it.
//!
//! ```
//! use albert_tokenizer::{AlbertTokenizer, EncodeOptions, LoadOptions, Mode};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo");
//! let tokenizer = AlbertTokenizer::from_pretrained(folder, LoadOptions::mode(Mode::HfFast))?;
//! let encoding = tokenizer.encode(("The river", "of Paris."), &EncodeOptions::default())?;
//! let tokens = ["[CLS]", "▁the", "▁river", "[SEP]", "▁of", "▁paris", ".", "[SEP]"];
//! assert_eq!(encoding.tokens(), tokens);
//! assert_eq!(encoding.type_ids, [0, 0, 0, 0, 1, 1, 1, 1]);
//! assert_eq!(encoding.offsets[2], (3, 9)); // bytes, with the space before the word
//! assert_eq!(tokenizer.decode(&encoding.ids, true), "the river of paris.");
//! # Ok::<(), albert_tokenizer::Error>(())
//! ```
//!
//! Nothing here prints, reads a clock or an environment variable, or opens a socket, and no file
//! and no text can make it panic.
//!
//! # Modules in reading order
//! 1. `error`: [`Error`], the only error. `mode`: [`Mode`], the references.
//! 2. `engine`: what all modes share: pieces of a text, the trait of a mode, memory of one thread.
//! 3. `spiece`: spiece.model, in and out; `charsmap`, `normalizer`: its normaliser.
//! 4. `trie`, `unigram`: the vocabulary and the best path through it; `words`: paths seen before;
//!    `lattice`, `sampling`: the n best paths, and random ones.
//! 5. The SentencePiece family: `sentencepiece`, and on top of it `slow` and `google` with Python's
//!    string methods (`python`), preprocessing (`preprocess`) and the comma rule (`commas`);
//!    `basic` for a vocab.txt.
//! 6. The tokenizers family: `json`, tokenizer.json, in and out; `pipeline` runs it, with `added`
//!    tokens and `wordpiece`; `convert` makes one of a spiece.model, `vocab_txt` of a vocab.txt.
//! 7. The surface: `tokenizer`, [`AlbertTokenizer`]; `files` and `config`, which files of a folder
//!    are read and what they say; `build`, from there to an engine; `grow`, added tokens; `save`;
//!    `fingerprint`, one number for all of it.
//! 8. One encoding: `options`, then `assemble` with `truncate`, `template` and `pad`; the result,
//!    `encoding`, with `chars` for positions in code points.
//! 9. Many of them: `batch`, and `lines` for files of any size.
//! 10. `training`: texts as a vocabulary is learned from them.

mod added;
mod assemble;
mod basic;
mod batch;
mod build;
mod chars;
mod charsmap;
mod cleanup;
mod commas;
mod config;
mod convert;
mod encoding;
mod engine;
mod error;
mod files;
mod fingerprint;
mod google;
mod grow;
mod json;
mod lattice;
mod lines;
mod mode;
mod normalizer;
mod options;
mod pad;
mod pipeline;
mod preprocess;
mod python;
mod sampling;
mod save;
mod sentencepiece;
mod slow;
mod spiece;
mod template;
mod token;
mod tokenizer;
mod training;
mod trie;
mod truncate;
mod unigram;
mod vocab_txt;
mod wordpiece;
mod words;

pub use chars::CharIndex;
pub use config::SpecialTokens;
pub use encoding::Encoding;
pub use error::Error;
pub use files::LoadOptions;
pub use lines::{Invalid, for_each_line};
pub use mode::Mode;
pub use options::{EncodeOptions, Input, PadTo, Padding, Sequence, Side, Strategy, Truncation};
pub use sampling::Sampling;
pub use spiece::{SpieceModel, SpieceOptions, SpieceTraining};
pub use template::{Part, Template};
pub use token::AddedToken;
pub use tokenizer::AlbertTokenizer;
pub use training::{TrainingBuffers, TrainingText};

#[doc(hidden)]
pub mod raw;
