//! A file of tokens with the ends of sentences and documents.
//!
//! Numbers are little-endian. The header has 104 bytes: the magic `ALBERTTK`; as u64 the version, the bytes of a token (2 or
//! 4), the numbers of tokens, sentences and documents, the fingerprint of the plan, and the file and line where the text
//! begins and ends, and 0; then as u32 the CRC-32C of the body and that of the header before this field. The body has the tokens,
//! then for each sentence the token behind its last as u32, then for each document the sentence behind its last as u32.

use std::fs::File;
use std::path::{Path, PathBuf};

use albert_formats::{PositionalFile, crc32c, crc32c_append, write_atomically};

use super::source::Position;
use crate::error::{At, Error, Result};

const MAGIC: [u8; 8] = *b"ALBERTTK";
/// Of this layout.
pub(super) const VERSION: u64 = 1;
const HEADER: usize = 104;

/// What a shard says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of a token.
    pub(super) width: u64,
    pub(super) tokens: u64,
    pub(super) sentences: u64,
    pub(super) documents: u64,
    /// Of the plan that the shard belongs to.
    pub(super) plan: u64,
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) body_crc32c: u32,
}

impl Header {
    fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        let numbers = [
            VERSION,
            self.width,
            self.tokens,
            self.sentences,
            self.documents,
            self.plan,
            self.start.file,
            self.start.line,
            self.end.file,
            self.end.line,
        ];
        for (number, out) in numbers.iter().zip(bytes[8..].chunks_exact_mut(8)) {
            out.copy_from_slice(&number.to_le_bytes());
        }
        bytes[96..100].copy_from_slice(&self.body_crc32c.to_le_bytes());
        // 8 bytes before the checksums are free for later versions.
        let crc = crc32c(&bytes[..100]);
        bytes[100..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `size`: bytes of the file.
    fn from_bytes(bytes: &[u8; HEADER], size: u64) -> std::result::Result<Self, String> {
        let (numbers, checks) = bytes[8..].split_at(88);
        let mut number = numbers
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || number.next().unwrap_or_default();
        let check = |at: usize| {
            u32::from_le_bytes([checks[at], checks[at + 1], checks[at + 2], checks[at + 3]])
        };
        if bytes[..8] != MAGIC {
            return Err("a file that begins otherwise".to_owned());
        }
        if check(4) != crc32c(&bytes[..100]) {
            return Err("a header whose checksum is another one".to_owned());
        }
        let version = next();
        if version != VERSION {
            return Err(format!("version {version} (this program knows {VERSION})"));
        }
        let header = Self {
            width: next(),
            tokens: next(),
            sentences: next(),
            documents: next(),
            plan: next(),
            start: Position {
                file: next(),
                line: next(),
            },
            end: Position {
                file: next(),
                line: next(),
            },
            body_crc32c: check(0),
        };
        let ends = header
            .sentences
            .checked_add(header.documents)
            .and_then(|ends| ends.checked_mul(4));
        let body = header
            .tokens
            .checked_mul(header.width)
            .zip(ends)
            .and_then(|(tokens, ends)| tokens.checked_add(ends));
        let small = header.tokens <= u64::from(u32::MAX) && header.sentences <= header.tokens;
        let sizes = small && header.documents <= header.sentences && [2, 4].contains(&header.width);
        if !sizes || body.and_then(|body| body.checked_add(HEADER as u64)) != Some(size) {
            return Err(format!(
                "{size} bytes, which is not what its header describes"
            ));
        }
        Ok(header)
    }

    fn sentence_ends(&self) -> u64 {
        HEADER as u64 + self.tokens * self.width
    }
}

/// A shard that is being made, in memory.
pub(super) struct Draft {
    width: usize,
    bytes: Vec<u8>,
    tokens: usize,
    sentence_ends: Vec<u32>,
    document_ends: Vec<u32>,
}

impl Draft {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            bytes: vec![0; HEADER],
            tokens: 0,
            sentence_ends: Vec::new(),
            document_ends: Vec::new(),
        }
    }

    /// A sentence without tokens is none.
    pub(super) fn push(&mut self, tokens: &[u32]) {
        if tokens.is_empty() {
            return;
        }
        for token in tokens {
            self.bytes
                .extend_from_slice(&token.to_le_bytes()[..self.width]);
        }
        self.tokens += tokens.len();
        // A shard has at most twice its bytes of text and a line, far less than 2³² tokens.
        self.sentence_ends
            .push(u32::try_from(self.tokens).unwrap_or(u32::MAX));
    }

    /// A document without sentences is none.
    pub(super) fn end_document(&mut self) {
        let end = self.sentence_ends.len() as u32;
        if end > self.document_ends.last().copied().unwrap_or(0) {
            self.document_ends.push(end);
        }
    }

    /// Writes the shard, complete or not at all.
    pub(super) fn write(
        mut self,
        path: &Path,
        plan: u64,
        start: Position,
        end: Position,
    ) -> Result<Header> {
        for end in self.sentence_ends.iter().chain(&self.document_ends) {
            self.bytes.extend_from_slice(&end.to_le_bytes());
        }
        let header = Header {
            width: self.width as u64,
            tokens: self.tokens as u64,
            sentences: self.sentence_ends.len() as u64,
            documents: self.document_ends.len() as u64,
            plan,
            start,
            end,
            body_crc32c: crc32c(&self.bytes[HEADER..]),
        };
        self.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        write_atomically(path, &self.bytes)?;
        Ok(header)
    }
}

/// A shard that is open.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    file: PositionalFile,
    pub(super) header: Header,
}

impl Shard {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let size = file.metadata().map_err(Error::file("open", path))?.len();
        let file = PositionalFile::new(file);
        let mut bytes = [0; HEADER];
        file.read_exact_at(&mut bytes, 0)
            .map_err(Error::file("read", path))?;
        let header = Header::from_bytes(&bytes, size).map_err(|found| damaged(path, found))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
        })
    }

    /// Reads all of it and compares the checksum.
    pub(super) fn check(&self) -> Result<()> {
        let (mut crc, mut at) = (0, HEADER as u64);
        let end = self.header.sentence_ends() + 4 * (self.header.sentences + self.header.documents);
        let mut buffer = vec![0; 1 << 18];
        while at < end {
            let part = usize::try_from(end - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            self.read(&mut buffer[..part], at)?;
            crc = crc32c_append(crc, &buffer[..part]);
            at += part as u64;
        }
        if crc != self.header.body_crc32c {
            return Err(damaged(&self.path, "a body whose checksum is another one"));
        }
        Ok(())
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.file
            .read_exact_at(bytes, at)
            .map_err(Error::file("read", &self.path))
    }

    fn words(&self, at: u64, count: usize) -> Result<Vec<u32>> {
        let mut bytes = vec![0; 4 * count];
        self.read(&mut bytes, at)?;
        Ok(bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect())
    }

    /// The sentences behind the last ones of all documents.
    pub(super) fn document_ends(&self) -> Result<Vec<u32>> {
        let at = self.header.sentence_ends() + 4 * self.header.sentences;
        let ends = self.words(at, self.header.documents as usize)?;
        let rising = std::iter::once(&0)
            .chain(&ends)
            .zip(&ends)
            .all(|(before, end)| before < end);
        if !rising || ends.last().map_or(0, |end| u64::from(*end)) != self.header.sentences {
            return Err(damaged(
                &self.path,
                "documents that do not follow each other",
            ));
        }
        Ok(ends)
    }

    /// Where `count` sentences from `first` on begin, and where the last of them ends: count + 1 places among the tokens.
    pub(super) fn bounds(&self, first: u32, count: usize) -> Result<Vec<u32>> {
        let at = self.header.sentence_ends();
        let bounds = if first == 0 {
            let mut bounds = vec![0];
            bounds.extend(self.words(at, count)?);
            bounds
        } else {
            self.words(at + 4 * u64::from(first - 1), count + 1)?
        };
        let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising
            || bounds
                .last()
                .is_some_and(|end| u64::from(*end) > self.header.tokens)
        {
            return Err(damaged(
                &self.path,
                "sentences that do not follow each other",
            ));
        }
        Ok(bounds)
    }

    /// Appends the tokens `start` … `end` − 1, which [`Self::bounds`] named.
    pub(super) fn tokens(&self, start: u32, end: u32, out: &mut Vec<u32>) -> Result<()> {
        let width = self.header.width as usize;
        let mut bytes = vec![0; (end - start) as usize * width];
        self.read(&mut bytes, HEADER as u64 + u64::from(start) * width as u64)?;
        if width == 2 {
            out.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|id| u32::from(u16::from_le_bytes(*id))),
            );
        } else {
            out.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|id| u32::from_le_bytes(*id)),
            );
        }
        Ok(())
    }
}

fn damaged(path: &Path, found: impl ToString) -> Error {
    Error::data(
        path,
        At::File,
        "a complete shard of tokens; prepare the data anew",
        found,
    )
}
