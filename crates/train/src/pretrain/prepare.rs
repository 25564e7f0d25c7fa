//! From text files to a cache of tokens: on all cores, in bounded memory, shard by shard.
//!
//! A shard is a function of the files, the tokenizer and the options alone, so what an interrupted run left is used: the
//! complete shards stay, and the text of the first that is missing is read again.

use std::fs::{self, File, TryLockError};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use albert_tokenizer::AlbertTokenizer;

use super::cache::{TokenCache, shard_path};
use super::manifest::{self, MANIFEST, Manifest, PLAN, Plan};
use super::shard::{Draft, Header, Shard};
use super::source::{Block, Position, Reading, SourceFile, Text};
use crate::error::{At, Error, Result};

/// How text becomes tokens.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// Text files, plain or compressed with gzip or zstd, in this order; a file ends the document at its end.
    pub files: Vec<PathBuf>,
    /// Lines are paragraphs: [`super::split_sentences`] makes sentences of them.
    pub split_sentences: bool,
    /// Threads that tokenize.
    pub threads: NonZeroUsize,
    /// Replace a cache that was made from other files, by another tokenizer or with other options.
    pub rebuild: bool,
    /// A shard ends with the document in which it has this many bytes of text; a document is cut where the shard has twice as many.
    pub shard_bytes: u64,
}

impl PrepareOptions {
    /// Lines as sentences, on one thread, in shards of 128 MiB of text.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            split_sentences: false,
            threads: NonZeroUsize::MIN,
            rebuild: false,
            shard_bytes: 128 << 20,
        }
    }
}

/// How far a preparation is; counts are those of this run and of the shards that were there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of text that this run tokenized.
    pub text_bytes: u64,
    /// Files of which the text was read to the end, up to the last shard.
    pub files: u64,
    /// Shards that are complete.
    pub shards: u64,
    /// Tokens in them.
    pub tokens: u64,
}

/// A cache that is ready.
#[derive(Debug)]
pub struct Prepared {
    /// The cache.
    pub cache: TokenCache,
    /// Shards that were there: of an interrupted run, or all.
    pub reused_shards: u64,
}

/// Makes the cache in `folder` if it is not there, or goes on where an earlier call was interrupted. `progress` is told a few
/// times a second and may stop the work, which then can go on later.
///
/// # Errors
/// A text file cannot be read or is no text; the folder holds a cache of other files, another tokenizer or other options, or
/// files that are no cache, or another process prepares it; the disk is full; [`Error::Stopped`] when `progress` says so.
pub fn prepare(
    folder: &Path,
    tokenizer: &AlbertTokenizer,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Prepared> {
    if options.files.is_empty() {
        return Err(Error::input("text files", "at least one", "none"));
    }
    if options.shard_bytes == 0 || options.shard_bytes > 1 << 30 {
        return Err(Error::input(
            "shard_bytes",
            "1 to 2^30",
            options.shard_bytes,
        ));
    }
    let known: Option<Plan> = match manifest::read(&folder.join(PLAN)) {
        Err(_) if options.rebuild => None,
        known => known?,
    };
    let plan = plan(tokenizer, options, known.as_ref())?;
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let difference = known.as_ref().and_then(|known| plan.difference(known));
    let path = folder.join(MANIFEST);
    if known.is_some() && difference.is_none() && path.exists() && !options.rebuild {
        // Where a shard is damaged, it is made again below.
        match TokenCache::open(folder).and_then(|cache| cache.verify().map(|()| cache)) {
            Ok(cache) => {
                return Ok(Prepared {
                    reused_shards: cache.shards() as u64,
                    cache,
                });
            }
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let lock = lock(folder)?;
    match (known.is_some(), difference) {
        _ if options.rebuild => {
            remove(folder)?;
            refuse_strangers(folder)?;
        }
        (true, None) => {}
        // Nothing came of the other preparation.
        (_, Some(_)) if !path.exists() && !shard_path(folder, 0).exists() => {}
        (_, Some((what, wanted, found))) => {
            return Err(Error::Cache {
                folder: folder.to_owned(),
                what,
                wanted,
                found,
            });
        }
        (false, None) => refuse_strangers(folder)?,
    }
    if path.exists() {
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    manifest::write(&folder.join(PLAN), &plan)?;
    let mut work = Work::resume(folder, &plan)?;
    let reused_shards = work.shards.len() as u64;
    work.run(tokenizer, options, progress)?;
    let sum = |of: fn(&Header) -> u64| work.shards.iter().map(of).sum();
    let (documents, sentences, tokens) = (
        sum(|shard| shard.documents),
        sum(|shard| shard.sentences),
        sum(|shard| shard.tokens),
    );
    if documents == 0 {
        let expected = "sentences that the tokenizer makes tokens of";
        return Err(Error::data(
            &options.files[0],
            At::File,
            expected,
            "none in all files",
        ));
    }
    let shards = work.shards.len() as u64;
    manifest::write(
        &path,
        &Manifest {
            plan,
            shards,
            documents,
            sentences,
            tokens,
        },
    )?;
    drop(lock);
    Ok(Prepared {
        cache: TokenCache::open(folder)?,
        reused_shards,
    })
}

fn plan(
    tokenizer: &AlbertTokenizer,
    options: &PrepareOptions,
    known: Option<&Plan>,
) -> Result<Plan> {
    let before = |i: usize| known.and_then(|known| known.files.get(i));
    let files = options.files.iter().enumerate();
    let files: Result<Vec<_>> = files
        .map(|(i, path)| SourceFile::of(path, before(i)))
        .collect();
    Ok(Plan::new(
        tokenizer,
        options.split_sentences,
        options.shard_bytes,
        files?,
    ))
}

/// Taken by who writes; those who read share it.
pub(super) const LOCK: &str = ".lock";

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    // Not emptied: it may be a stranger's.
    let mut open = File::options();
    let file = open.write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::file("create", &path))?;
    match file.try_lock() {
        // A file system without locks is no reason to refuse.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::input(
            folder.display().to_string(),
            "a folder that nobody else uses",
            "one in use",
        )),
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    let list = fs::read_dir(folder).and_then(|entries| entries.map(name).collect());
    list.map_err(Error::file("read", folder))
}

fn is_shard(name: &str) -> bool {
    let number = name
        .strip_prefix("shard-")
        .and_then(|name| name.strip_suffix(".tokens"));
    number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Whether it is the name of a file on its way, as `albert_formats::Pending` makes it.
fn is_pending(name: &str) -> bool {
    name.starts_with(".albert-") && name.ends_with(".tmp")
}

/// Whether a file is missing, or holds something else than it should: making it anew helps. Other errors are the system's.
fn is_damage(error: &Error) -> bool {
    use std::io::ErrorKind::{NotFound, UnexpectedEof};
    match error {
        Error::File { source, .. } => matches!(source.kind(), NotFound | UnexpectedEof),
        error => matches!(error, Error::Data { .. }),
    }
}

fn refuse_strangers(folder: &Path) -> Result<()> {
    let names = names(folder)?;
    match names.iter().find(|name| *name != LOCK && !is_pending(name)) {
        None => Ok(()),
        Some(name) => Err(Error::input(
            folder.display().to_string(),
            "an empty folder or a cache of tokens",
            name,
        )),
    }
}

/// Removes a cache, and nothing else.
fn remove(folder: &Path) -> Result<()> {
    let all = names(folder)?;
    // The manifest first: without it nothing takes the rest for complete.
    let first = [MANIFEST, PLAN].map(str::to_owned);
    let shards = all.iter().filter(|name| is_shard(name)).cloned();
    for name in first
        .into_iter()
        .filter(|name| all.contains(name))
        .chain(shards)
    {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// Shards that are there, and where the text of the next begins.
struct Work<'a> {
    folder: &'a Path,
    plan: &'a Plan,
    shards: Vec<Header>,
    at: Position,
}

impl<'a> Work<'a> {
    /// Finds the shards from the first on that are complete and of this plan. Temporary files of a run that was killed, and
    /// shards behind a gap, are removed.
    fn resume(folder: &'a Path, plan: &'a Plan) -> Result<Self> {
        let mut work = Self {
            folder,
            plan,
            shards: Vec::new(),
            at: Position { file: 0, line: 0 },
        };
        loop {
            let whole = Shard::open(&work.next_path()).and_then(|shard| {
                let fits = (shard.header.plan, shard.header.start) == (plan.fingerprint(), work.at);
                if fits {
                    shard.check()?;
                }
                Ok(fits.then_some(shard.header))
            });
            match whole {
                Ok(Some(header)) => {
                    work.at = header.end;
                    work.shards.push(header);
                }
                Ok(None) => break,
                Err(error) if is_damage(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let kept: Vec<_> = (0..work.shards.len())
            .map(|i| shard_path(folder, i))
            .collect();
        for name in names(folder)? {
            let path = folder.join(&name);
            if is_pending(&name) || (is_shard(&name) && !kept.contains(&path)) {
                fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            }
        }
        Ok(work)
    }

    fn next_path(&self) -> PathBuf {
        shard_path(self.folder, self.shards.len())
    }

    /// Makes the shards that are missing.
    fn run(
        &mut self,
        tokenizer: &AlbertTokenizer,
        options: &PrepareOptions,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        let reading = Reading {
            split_sentences: options.split_sentences,
            shard_bytes: options.shard_bytes,
        };
        let mut text = Text::new(&options.files, self.at, reading);
        let mut draft = Draft::new(self.plan.token_bytes as usize);
        let mut told = Progress {
            tokens: self.shards.iter().map(|shard| shard.tokens).sum(),
            ..Progress::default()
        };
        std::thread::scope(|scope| {
            // One block is read while another is tokenized.
            let (send, blocks) = mpsc::sync_channel::<Result<Block>>(1);
            scope.spawn(move || {
                while let Some(block) = text.next_block().transpose() {
                    let failed = block.is_err();
                    if send.send(block).is_err() || failed {
                        return;
                    }
                }
            });
            for block in blocks {
                let block = block?;
                let ids = tokenizer.encode_batch_ids(&block.sentences(), false, options.threads);
                let mut ends = block.documents.iter().copied().peekable();
                for (i, ids) in ids.iter().enumerate() {
                    if ends.next_if_eq(&i).is_some() {
                        draft.end_document();
                    }
                    draft.push(ids);
                }
                if ends.next().is_some() {
                    draft.end_document();
                }
                told.text_bytes += block.bytes();
                if let Some(end) = block.cut {
                    let full =
                        std::mem::replace(&mut draft, Draft::new(self.plan.token_bytes as usize));
                    let header =
                        full.write(&self.next_path(), self.plan.fingerprint(), self.at, end)?;
                    self.at = end;
                    told.tokens += header.tokens;
                    self.shards.push(header);
                }
                (told.files, told.shards) = (self.at.file, self.shards.len() as u64);
                if progress(&told).is_break() {
                    return Err(Error::Stopped);
                }
            }
            Ok(())
        })
    }
}
