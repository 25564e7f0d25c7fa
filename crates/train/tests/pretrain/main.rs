//! Data of pre-training, from text files to batches.

#[path = "../common/mod.rs"]
mod common;
mod counts;
mod data;
mod killed;
mod prepare;
mod records;
mod scale;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use albert_tokenizer::{AlbertTokenizer, LoadOptions, Mode};
use albert_train::pretrain::{Pieces, PrepareOptions, PretrainOptions, Stage, TokenCache, prepare};

/// The tokenizer of the counts.
fn google() -> AlbertTokenizer {
    let model = common::fixtures().join("tokenizer/albert.model");
    AlbertTokenizer::from_pretrained(model, LoadOptions::mode(Mode::Google)).expect("a tokenizer")
}

fn corpus() -> PathBuf {
    common::fixtures().join("pretrain/corpus.txt")
}

/// A cache of `files` in a folder.
fn cache(folder: &Path, files: &[PathBuf]) -> Arc<TokenCache> {
    let options = PrepareOptions {
        shard_bytes: 4000,
        ..PrepareOptions::new(files.to_vec())
    };
    let prepared = prepare(folder, &google(), &options, &mut |_| {
        ControlFlow::Continue(())
    });
    Arc::new(prepared.expect("a cache").cache)
}

fn pieces() -> Pieces {
    Pieces::of(&google()).expect("pieces")
}

fn stage(samples: u64, max_seq_length: usize) -> Stage {
    Stage {
        samples,
        max_seq_length,
        max_predictions: max_seq_length / 6,
    }
}

fn options() -> PretrainOptions {
    PretrainOptions::google(7)
}

/// Every file of a folder but the lock, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.ends_with(".lock"))
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(&path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}
