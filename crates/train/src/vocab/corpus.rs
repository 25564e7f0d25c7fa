//! From text files to counted words: sentences are drawn, prepared and normalised as the tokenizer does it, and cut at
//! spaces and reserved symbols.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use albert_tokenizer::TrainingText;

use super::cut::Cutter;
use super::options::{Reserved, VocabOptions};
use super::sample::Sample;
use super::{Stage, result};
use crate::error::{At, Error, Result};
use crate::lines::open_lines;
use crate::state::fnv;

/// What follows a word: another word …
pub(super) const WORD: usize = 0;
/// … a reserved symbol or a character that no piece may hold …
pub(super) const BREAK: usize = 1;
/// … or the end of the sentence.
pub(super) const END: usize = 2;

/// How often a word occurs before each of [`WORD`], [`BREAK`] and [`END`].
pub(super) type Counts = [u64; 3];

/// The distinct words of a text.
pub(super) struct Counted {
    /// Each once, in any order.
    pub(super) words: Vec<(Box<str>, Counts)>,
    /// Reserved symbols, and NUL characters, between the words.
    pub(super) breaks: u64,
    /// Lines that are not blank.
    pub(super) sentences: u64,
    /// Those that were drawn.
    pub(super) drawn: u64,
}

/// Reads the files: once where there are no more sentences than shall be drawn, else twice.
pub(super) fn read<P: AsRef<Path>>(
    files: &[P],
    options: &VocabOptions,
    reserved: &Reserved,
    threads: usize,
    watch: &mut impl FnMut(Stage),
) -> Result<Counted> {
    let symbols: Vec<&str> = reserved
        .values()
        .map(|(symbol, _)| symbol.as_str())
        .collect();
    let user: Vec<&str> = options
        .user_defined_symbols
        .iter()
        .map(String::as_str)
        .collect();
    let charsmap = result::charsmap();
    let text = TrainingText::new(
        &charsmap,
        &user,
        options.do_lower_case,
        options.keep_accents,
    )?;
    let cutter = Cutter::new(&text, &symbols);
    let most = match options.input_sentence_size {
        0 => u64::MAX,
        most => most,
    };
    // Until there are more sentences than wanted, all of them are.
    let mut table = Table::default();
    let sentences = pass(files, threads, &cutter, &mut table, watch, |number| {
        number <= most
    })?;
    if sentences <= most {
        return Ok(table.into_counted(sentences, sentences));
    }
    for file in files {
        let file = file.as_ref();
        if !file.is_file() {
            let expected = "a regular file, which can be read twice to draw sentences; save it to one, or take all sentences (input_sentence_size 0)";
            return Err(Error::data(file, At::File, expected, "something else"));
        }
    }
    let mut table = Table::default();
    let mut sample = Sample::new(options.seed, most, sentences);
    let again = pass(files, threads, &cutter, &mut table, watch, |_| {
        sample.next() == Some(true)
    })?;
    if again != sentences {
        let expected =
            format!("the {sentences} sentences that were counted; leave the files alone");
        return Err(Error::input("files", expected, again));
    }
    Ok(table.into_counted(sentences, most))
}

/// Bytes of the lines that a thread takes at once.
const BATCH: usize = 1 << 17;

/// Reads all files once, and counts the words of the sentences for which `wanted` of their number, from 1, says so.
/// Returns the number of sentences.
fn pass<P: AsRef<Path>>(
    files: &[P],
    threads: usize,
    cutter: &Cutter<'_>,
    table: &mut Table,
    watch: &mut impl FnMut(Stage),
    mut wanted: impl FnMut(u64) -> bool,
) -> Result<u64> {
    let shared = &*table;
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<String>(2 * threads);
        let receive = Arc::new(Mutex::new(receive));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let receive = receive.clone();
                scope.spawn(move || count(&receive, cutter, shared))
            })
            .collect();
        // It ends with the last worker, so that sending cannot wait for one that panicked.
        drop(receive);
        // The sender goes with this call, and with it the workers' work.
        let result = feed(files, send, watch, &mut wanted);
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
        result
    })
}

fn feed<P: AsRef<Path>>(
    files: &[P],
    send: SyncSender<String>,
    watch: &mut impl FnMut(Stage),
    wanted: &mut impl FnMut(u64) -> bool,
) -> Result<u64> {
    let mut batch = String::with_capacity(2 * BATCH);
    let (mut sentences, mut before) = (0, 0);
    for file in files {
        let mut lines = open_lines(file.as_ref())?;
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            sentences += 1;
            if wanted(sentences) {
                batch.push_str(line);
                batch.push('\n');
            }
            if batch.len() >= BATCH {
                let bytes = before + lines.bytes();
                watch(Stage::Reading { sentences, bytes });
                // The workers end after this sender is gone, or by a panic that the caller hands on.
                let _ = send.send(std::mem::replace(
                    &mut batch,
                    String::with_capacity(2 * BATCH),
                ));
            }
        }
        before += lines.bytes();
    }
    let _ = send.send(batch);
    watch(Stage::Reading {
        sentences,
        bytes: before,
    });
    Ok(sentences)
}

/// The work of one thread.
fn count(receive: &Mutex<Receiver<String>>, cutter: &Cutter<'_>, table: &Table) {
    let mut own: HashMap<Box<str>, Counts> = HashMap::new();
    let mut breaks = 0;
    loop {
        let batch = receive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(batch) = batch else { break };
        cutter.words(&batch, &mut breaks, |word, follower| {
            match own.get_mut(word) {
                Some(counts) => counts[follower] += 1,
                None => {
                    let mut counts = [0; 3];
                    counts[follower] = 1;
                    own.insert(word.into(), counts);
                }
            }
        });
        if own.len() > 1 << 16 {
            table.take(&mut own);
        }
    }
    table.take(&mut own);
    *table.breaks.lock().unwrap_or_else(PoisonError::into_inner) += breaks;
}

/// Words by the hash of their bytes, so that threads rarely wait for one another.
struct Table {
    shards: Vec<Mutex<HashMap<Box<str>, Counts>>>,
    breaks: Mutex<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..64).map(|_| Mutex::default()).collect(),
            breaks: Mutex::default(),
        }
    }
}

impl Table {
    fn take(&self, own: &mut HashMap<Box<str>, Counts>) {
        let mut parts: Vec<Vec<(Box<str>, Counts)>> =
            self.shards.iter().map(|_| Vec::new()).collect();
        for (word, counts) in own.drain() {
            parts[(fnv(word.as_bytes()) >> 32) as usize % self.shards.len()].push((word, counts));
        }
        for (part, shard) in parts.into_iter().zip(&self.shards) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (word, counts) in part {
                let sums = shard.entry(word).or_default();
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
        }
    }

    fn into_counted(self, sentences: u64, drawn: u64) -> Counted {
        let shards = self.shards.into_iter();
        let words =
            shards.flat_map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        Counted {
            words: words.collect(),
            breaks: self
                .breaks
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            sentences,
            drawn,
        }
    }
}
