//! Text files as blocks of sentences, cut where a shard of tokens ends, and what tells files apart.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::sentences::split_sentences;
use crate::error::{Error, Result};
use crate::lines::{Lines, open_lines};
use crate::state::crc32c_of;

/// Bytes of text that are tokenized at once.
const BLOCK: usize = 1 << 21;

/// What a text file was when a cache was made from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SourceFile {
    /// Its name without folders: a corpus may move.
    pub(super) name: String,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// CRC-32C of these bytes.
    pub(super) crc32c: u32,
    /// Time of the last change in nanoseconds since 1970: while it is the same, the file is not read again.
    pub(super) modified_ns: u64,
}

impl SourceFile {
    /// Reads the file, unless `known` has its name, size and time.
    pub(super) fn of(path: &Path, known: Option<&Self>) -> Result<Self> {
        let open = |source| Error::file("open", path)(source);
        // Before it is opened: a pipe would be waited for.
        let metadata = path.metadata().map_err(open)?;
        if !metadata.is_file() {
            return Err(Error::input("text files", "regular files", path.display()));
        }
        let file = File::open(path).map_err(open)?;
        let modified = metadata.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let mut source = Self {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            bytes: metadata.len(),
            crc32c: 0,
            modified_ns: since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(0)),
        };
        let unchanged = |known: &&Self| {
            (&known.name, known.bytes, known.modified_ns)
                == (&source.name, source.bytes, source.modified_ns)
                && source.modified_ns != 0
        };
        if let Some(known) = known.filter(unchanged) {
            return Ok(known.clone());
        }
        source.crc32c = crc32c_of(file).map_err(Error::file("read", path))?;
        Ok(source)
    }

    /// Whether both are the same text, whenever they were written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.bytes, self.crc32c) == (&other.name, other.bytes, other.crc32c)
    }
}

/// A place between lines: lines of a file that are before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the file; that of files at the end.
    pub(super) file: u64,
    pub(super) line: u64,
}

/// Sentences that follow each other.
#[derive(Default)]
pub(super) struct Block {
    text: String,
    /// Where each sentence ends in `text`.
    ends: Vec<usize>,
    /// Numbers of sentences of this block behind which a document ends.
    pub(super) documents: Vec<usize>,
    /// A shard ends behind this block; the next begins here.
    pub(super) cut: Option<Position>,
}

impl Block {
    /// The sentences.
    pub(super) fn sentences(&self) -> Vec<&str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.text[start..end])
            .collect()
    }

    /// Bytes of text.
    pub(super) fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    fn push(&mut self, sentence: &str) {
        self.text.push_str(sentence);
        self.ends.push(self.text.len());
    }

    fn end_document(&mut self) {
        if self.documents.last() != Some(&self.ends.len()) {
            self.documents.push(self.ends.len());
        }
    }
}

/// How text is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Lines are paragraphs.
    pub(super) split_sentences: bool,
    /// A shard ends with the document in which it has this much text, and a document is cut where the shard has twice as much.
    pub(super) shard_bytes: u64,
}

/// The text of several files from a position on.
pub(super) struct Text<'a> {
    files: &'a [PathBuf],
    at: Position,
    lines: Option<Lines>,
    reading: Reading,
    /// Bytes of the shard so far.
    in_shard: u64,
}

impl<'a> Text<'a> {
    /// `at` is the beginning, or where a shard ended.
    pub(super) fn new(files: &'a [PathBuf], at: Position, reading: Reading) -> Self {
        Self {
            files,
            at,
            lines: None,
            reading,
            in_shard: 0,
        }
    }

    /// The next sentences; `None` at the end.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>> {
        let mut block = Block::default();
        while let Some(path) = usize::try_from(self.at.file)
            .ok()
            .and_then(|file| self.files.get(file))
        {
            if block.text.len() >= BLOCK {
                return Ok(Some(block));
            }
            let lines = match &mut self.lines {
                Some(lines) => lines,
                none => {
                    let mut lines = open_lines(path)?;
                    while lines.number() < self.at.line && lines.next_line()?.is_some() {}
                    none.insert(lines)
                }
            };
            match lines.next_line()? {
                None => {
                    self.lines = None;
                    self.at = Position {
                        file: self.at.file + 1,
                        line: 0,
                    };
                    block.end_document();
                }
                Some(line) => {
                    self.at.line += 1;
                    let line = line.trim_matches(is_space);
                    let before = block.text.len();
                    if line.is_empty() {
                        block.end_document();
                    } else if self.reading.split_sentences {
                        split_sentences(line).for_each(|sentence| block.push(sentence));
                    } else {
                        block.push(line);
                    }
                    self.in_shard += (block.text.len() - before) as u64;
                }
            }
            let ended = block.documents.last() == Some(&block.ends.len());
            let limit = self.reading.shard_bytes * if ended { 1 } else { 2 };
            if self.in_shard >= limit {
                block.end_document();
                block.cut = Some(self.at);
                self.in_shard = 0;
                return Ok(Some(block));
            }
        }
        if self.in_shard > 0 {
            block.end_document();
            block.cut = Some(self.at);
            self.in_shard = 0;
            return Ok(Some(block));
        }
        Ok(None)
    }
}

/// What Python's `str.strip` takes away.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
