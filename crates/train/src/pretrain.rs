//! Data of pre-training at any scale: text files, their tokens on disk, and samples that are made as they are needed.
//!
//! [`prepare`] turns text into a [`TokenCache`] once. [`PretrainData`] makes the samples of a run from it: which sentences
//! a sample has, how they are cut and what is masked follows google-research/albert's `create_pretraining_data.py`, but each
//! random choice is a function of the seed, the pass over the corpus and the sample, so that any sample can be made again at
//! any time, on any thread, and nothing but an index of eight bytes for each sample of a pass is kept. `docs/pretraining-data.md`
//! says what equals Google's and what differs.
//!
//! # Modules in reading order
//! 1. `sentences`: paragraphs to sentences. `source`: text files and what identifies them.
//! 2. `shard`: one file of tokens; `manifest`: what a cache was made from; `prepare`: from text to a cache; `cache`: its
//!    sentences and documents.
//! 3. `options`: what a run's samples are like. `pieces`: which pieces begin words.
//! 4. `segments`: the sentences of a sample, its two segments, their truncation; `masking`: what is masked.
//! 5. `index`: the samples of a pass; `instance`: one of them; `data`: all of a run, as a data set.
//! 6. `evaluate`: how well a model predicts them.
//! 7. `records`: samples as TFRecord files, and such files as a data set.

mod cache;
mod data;
mod evaluate;
mod index;
mod instance;
mod manifest;
mod masking;
mod options;
mod pieces;
mod prepare;
mod records;
mod segments;
mod sentences;
mod shard;
mod source;
#[cfg(test)]
mod tests;

pub use cache::TokenCache;
pub use data::PretrainData;
pub use evaluate::evaluate;
pub use instance::Instance;
pub use options::{Masking, Objective, PretrainOptions, Split, Stage, stages_of_shares};
pub use pieces::Pieces;
pub use prepare::{PrepareOptions, Prepared, Progress, prepare};
pub use records::{RecordData, write_records};
pub use sentences::split_sentences;
