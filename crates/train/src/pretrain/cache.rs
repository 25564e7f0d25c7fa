//! A complete cache of tokens: sentences and documents by number, read by position.

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};

use albert_tokenizer::AlbertTokenizer;

use super::manifest::{self, MANIFEST, Manifest};
use super::prepare::LOCK;
use super::shard::Shard;
use crate::error::{At, Error, Result};

/// The tokens of a corpus on disk. In memory are four bytes for each document.
#[derive(Debug)]
pub struct TokenCache {
    folder: PathBuf,
    manifest: Manifest,
    shards: Vec<Part>,
    /// Nobody prepares this folder while it is open.
    _lock: Option<File>,
}

/// What is known of a shard without its file, which is opened for each use: a corpus may have more shards than a process may
/// have open files.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    first_sentence: u64,
    first_document: u64,
    /// For each document the sentence behind its last, counted in the shard.
    document_ends: Vec<u32>,
}

/// Where a shard's file is in a folder.
pub(super) fn shard_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("shard-{number:05}.tokens"))
}

impl TokenCache {
    /// Reads all of it and compares checksums.
    ///
    /// # Errors
    /// A shard that is damaged or cannot be read.
    pub(super) fn verify(&self) -> Result<()> {
        let mut shards = self.shards.iter();
        shards.try_for_each(|part| Shard::open(&part.path)?.check())
    }

    /// Opens what [`super::prepare`] made.
    ///
    /// # Errors
    /// A folder without a complete cache, files that are missing, damaged or of another cache.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let Some(manifest) = manifest::read::<Manifest>(&path)? else {
            let expected = "a complete cache of tokens; prepare the data first (an interrupted preparation goes on)";
            return Err(Error::data(
                folder,
                At::File,
                expected,
                format!("no {MANIFEST}"),
            ));
        };
        let lock = File::open(folder.join(LOCK)).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock_shared) {
            return Err(Error::input(
                folder.display().to_string(),
                "a cache that nobody prepares",
                "one being prepared",
            ));
        }
        let (mut shards, mut sums) = (Vec::new(), [0; 3]);
        for number in 0..manifest.shards {
            let path = shard_path(folder, number as usize);
            let shard = Shard::open(&path)?;
            if (shard.header.plan, shard.header.width)
                != (manifest.plan.fingerprint(), manifest.plan.token_bytes)
            {
                return Err(Error::data(
                    &path,
                    At::File,
                    "a shard of this cache; prepare the data anew",
                    "one of another",
                ));
            }
            shards.push(Part {
                path,
                first_sentence: sums[1],
                first_document: sums[0],
                document_ends: shard.document_ends()?,
            });
            let header = &shard.header;
            for (sum, count) in
                sums.iter_mut()
                    .zip([header.documents, header.sentences, header.tokens])
            {
                *sum += count;
            }
        }
        let expected = [manifest.documents, manifest.sentences, manifest.tokens];
        if sums != expected || sums[1] >= 1 << 48 {
            let found = format!("{sums:?}");
            let expected = format!(
                "documents, sentences and tokens {expected:?}, as in the shards; prepare the data anew"
            );
            return Err(Error::data(&path, At::File, expected, found));
        }
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            shards,
            _lock: lock,
        })
    }

    /// Refuses a tokenizer that is not the one of the cache.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn check(&self, tokenizer: &AlbertTokenizer) -> Result<()> {
        let wanted = manifest::fingerprint(tokenizer);
        if wanted != self.manifest.plan.tokenizer {
            return Err(Error::Cache {
                folder: self.folder.clone(),
                what: "tokenizer".to_owned(),
                wanted,
                found: self.manifest.plan.tokenizer.clone(),
            });
        }
        Ok(())
    }

    /// What tells the text and how it became tokens from others.
    pub fn fingerprint(&self) -> u64 {
        self.manifest.plan.fingerprint()
    }

    /// Number of documents.
    pub fn documents(&self) -> u64 {
        self.manifest.documents
    }

    /// Number of sentences.
    pub fn sentences(&self) -> u64 {
        self.manifest.sentences
    }

    /// Number of tokens, without special tokens.
    pub fn tokens(&self) -> u64 {
        self.manifest.tokens
    }

    /// The sentences of a document, numbered from 0, as their tokens.
    ///
    /// # Errors
    /// There is no such document; the cache cannot be read.
    pub fn sentences_of(&self, document: u64) -> Result<Vec<Vec<u32>>> {
        if document >= self.documents() {
            return Err(Error::input(
                "document",
                format!("less than {}", self.documents()),
                document,
            ));
        }
        let reading = self.document(document).open()?;
        let bounds = reading.until(0, usize::MAX)?;
        let sentences = bounds.windows(2).map(|pair| {
            let mut tokens = Vec::new();
            reading.tokens(pair[0]..pair[1], &mut tokens)?;
            Ok(tokens)
        });
        sentences.collect()
    }

    /// The names of the text files, in order.
    pub fn files(&self) -> Vec<&str> {
        self.manifest
            .plan
            .files
            .iter()
            .map(|file| file.name.as_str())
            .collect()
    }

    /// Number of shards.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The lengths of all sentences of a shard.
    pub(super) fn lengths(&self, shard: usize) -> Result<Vec<u32>> {
        let open = Shard::open(&self.shards[shard].path)?;
        let bounds = open.bounds(0, open.header.sentences as usize)?;
        Ok(bounds.windows(2).map(|pair| pair[1] - pair[0]).collect())
    }

    /// The documents of a shard: their numbers, and their sentences, counted in the shard.
    pub(super) fn documents_of(&self, shard: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
        let part = &self.shards[shard];
        let starts = std::iter::once(&0).chain(&part.document_ends);
        let documents = starts.zip(&part.document_ends).zip(part.first_document..);
        documents.map(|((start, end), number)| (number, *start as usize..*end as usize))
    }

    /// Number of the first sentence of a shard.
    pub(super) fn first_sentence(&self, shard: usize) -> u64 {
        self.shards[shard].first_sentence
    }

    /// The document with this number.
    pub(super) fn document(&self, number: u64) -> Document<'_> {
        let shard = self
            .shards
            .partition_point(|part| part.first_document <= number)
            - 1;
        let part = &self.shards[shard];
        part.document((number - part.first_document) as usize)
    }

    /// The document of a sentence, and the sentence's place in it.
    pub(super) fn document_of(&self, sentence: u64) -> (Document<'_>, u32) {
        let shard = self
            .shards
            .partition_point(|part| part.first_sentence <= sentence)
            - 1;
        let part = &self.shards[shard];
        let local = (sentence - part.first_sentence) as u32;
        let document = part.document(part.document_ends.partition_point(|end| *end <= local));
        let place = local - document.sentences.start;
        (document, place)
    }
}

impl Part {
    fn document(&self, local: usize) -> Document<'_> {
        let start = local
            .checked_sub(1)
            .map_or(0, |before| self.document_ends[before]);
        Document {
            path: &self.path,
            number: self.first_document + local as u64,
            sentences: start..self.document_ends[local],
        }
    }
}

/// A document's place.
#[derive(Clone, Debug)]
pub(super) struct Document<'a> {
    path: &'a Path,
    pub(super) number: u64,
    /// Counted in its shard.
    sentences: Range<u32>,
}

impl Document<'_> {
    /// Number of sentences.
    pub(super) fn len(&self) -> u32 {
        self.sentences.end - self.sentences.start
    }

    /// Opens the file for [`Reading`].
    pub(super) fn open(&self) -> Result<Reading> {
        Ok(Reading {
            shard: Shard::open(self.path)?,
            sentences: self.sentences.clone(),
        })
    }
}

/// A document whose file is open.
pub(super) struct Reading {
    shard: Shard,
    sentences: Range<u32>,
}

impl Reading {
    /// Where sentences begin and end among the shard's tokens, from `first` on until one ends `target` tokens or more behind
    /// the beginning, or the document ends: at least two places.
    pub(super) fn until(&self, first: u32, target: usize) -> Result<Vec<u32>> {
        let start = self.sentences.start + first;
        let left = (self.sentences.end - start) as usize;
        // Enough for most samples; each sentence has a token.
        let mut count = left.min(target.max(1)).min(48);
        loop {
            let mut bounds = self.shard.bounds(start, count)?;
            let enough = |end: &u32| (end - bounds[0]) as usize >= target;
            if let Some(last) = bounds[1..].iter().position(enough) {
                bounds.truncate(last + 2);
                return Ok(bounds);
            }
            if count == left {
                return Ok(bounds);
            }
            count = left.min(4 * count);
        }
    }

    /// Appends tokens between two of these places.
    pub(super) fn tokens(&self, range: Range<u32>, out: &mut Vec<u32>) -> Result<()> {
        self.shard.tokens(range.start, range.end, out)
    }
}
