//! What a cache of tokens is made from, and what it holds: `plan.json` from the beginning, `manifest.json` when it is complete.

use std::path::Path;

use albert_formats::{crc32c, write_atomically};
use albert_tokenizer::AlbertTokenizer;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::shard::VERSION;
use super::source::SourceFile;
use crate::error::{At, Error, Result};

pub(super) const PLAN: &str = "plan.json";
pub(super) const MANIFEST: &str = "manifest.json";

/// All that decides the bytes of a cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Of the layout of shards.
    pub(super) version: u64,
    /// [`AlbertTokenizer::fingerprint`] in hexadecimal.
    pub(super) tokenizer: String,
    /// Entries of the vocabulary.
    pub(super) vocab_size: u64,
    /// Bytes of a token: 2 for at most 65,536 entries, else 4.
    pub(super) token_bytes: u64,
    /// Lines were paragraphs.
    pub(super) split_sentences: bool,
    /// Bytes of text in a shard, about.
    pub(super) shard_bytes: u64,
    /// In the order in which they were read.
    pub(super) files: Vec<SourceFile>,
}

/// A complete cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) plan: Plan,
    pub(super) shards: u64,
    pub(super) documents: u64,
    pub(super) sentences: u64,
    pub(super) tokens: u64,
}

impl Plan {
    pub(super) fn new(
        tokenizer: &AlbertTokenizer,
        split_sentences: bool,
        shard_bytes: u64,
        files: Vec<SourceFile>,
    ) -> Self {
        let vocab_size = tokenizer.vocab_size() as u64;
        Self {
            version: VERSION,
            tokenizer: fingerprint(tokenizer),
            vocab_size,
            token_bytes: if vocab_size <= 1 << 16 { 2 } else { 4 },
            split_sentences,
            shard_bytes,
            files,
        }
    }

    /// What this plan has that another has not, as (what, this, other).
    pub(super) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let of = |what: &str, this: &dyn ToString, other: &dyn ToString| {
            Some((what.to_owned(), this.to_string(), other.to_string()))
        };
        if self.version != other.version {
            return of("version", &self.version, &other.version);
        }
        if self.tokenizer != other.tokenizer || self.vocab_size != other.vocab_size {
            return of("tokenizer", &self.tokenizer, &other.tokenizer);
        }
        if self.split_sentences != other.split_sentences {
            return of(
                "split_sentences",
                &self.split_sentences,
                &other.split_sentences,
            );
        }
        if self.shard_bytes != other.shard_bytes {
            return of("shard_bytes", &self.shard_bytes, &other.shard_bytes);
        }
        if self.files.len() != other.files.len() {
            return of("number of files", &self.files.len(), &other.files.len());
        }
        let pairs = self.files.iter().zip(&other.files);
        let (this, other) = pairs
            .into_iter()
            .find(|(this, other)| !this.is_same(other))?;
        let shown = |file: &SourceFile| {
            format!(
                "{} ({} bytes, CRC-32C {:08x})",
                file.name, file.bytes, file.crc32c
            )
        };
        of("file", &shown(this), &shown(other))
    }

    /// A number for all of it but the times of files: shards of another plan are not used.
    pub(super) fn fingerprint(&self) -> u64 {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|file| (&file.name, file.bytes, file.crc32c))
            .collect();
        let all = format!(
            "{:?}",
            (
                self.version,
                &self.tokenizer,
                self.vocab_size,
                self.split_sentences,
                self.shard_bytes,
                files
            )
        );
        let reversed: Vec<u8> = all.bytes().rev().collect();
        u64::from(crc32c(all.as_bytes())) << 32 | u64::from(crc32c(&reversed))
    }
}

pub(super) fn fingerprint(tokenizer: &AlbertTokenizer) -> String {
    format!("{:016x}", tokenizer.fingerprint())
}

pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let wrong = |error: serde_json::Error| Error::file("write", path)(error.into());
    let mut text = serde_json::to_vec_pretty(value).map_err(wrong)?;
    text.push(b'\n');
    Ok(write_atomically(path, &text)?)
}

/// What a file says; `None`: there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let value = serde_json::from_slice(&text).map_err(|error| {
        let expected = "what preparing data writes; prepare them anew";
        Error::data(path, At::File, expected, error)
    })?;
    Ok(Some(value))
}
