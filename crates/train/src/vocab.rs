//! A SentencePiece unigram vocabulary, learned from text files as `spm_train` learns one.
//!
//! The method is Kudo's (2018, <https://arxiv.org/abs/1804.10959>, section 3.2) with the details of SentencePiece's trainer:
//! frequent substrings are the first pieces; expectation and maximisation give them probabilities; the pieces whose loss
//! hurts the likelihood least go, a quarter at a time, until the vocabulary is small enough.
//!
//! SentencePiece runs over the sentences; this runs over their distinct words. No piece crosses a space or a symbol, so
//! that all counts are the same. Two things differ on purpose: sums are exact where SentencePiece adds in f32, so that the
//! result does not depend on the number of threads; and what no piece covers takes no probability from the pieces, where
//! SentencePiece books it on the first one.
//!
//! # Modules in reading order
//! 1. `options`: [`VocabOptions`], and the ids that are taken before anything is learned.
//! 2. `corpus`: files to counted words, with `sample` (which sentences) and `cut` (into words). `alphabet`: words of characters to words of symbols.
//! 3. `seed`: frequent substrings. `pieces`: pieces with scores, and finding them in a word; `lattice`: all ways to cut a word.
//! 4. `learn`: expectation, maximisation and pruning, with `parallel`.
//! 5. `result`: [`Vocabulary`], to files.

mod alphabet;
mod corpus;
mod cut;
mod lattice;
mod learn;
mod options;
mod parallel;
mod pieces;
mod result;
mod sample;
mod seed;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::error::{Error, Result};

pub use options::VocabOptions;
pub use result::{Kind, Vocabulary};

/// What is done at the moment, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// Files are read.
    Reading {
        /// Lines that are not blank, so far.
        sentences: u64,
        /// Bytes of text, so far.
        bytes: u64,
    },
    /// The text is known.
    Read {
        /// Lines that are not blank.
        sentences: u64,
        /// Those that were drawn.
        drawn: u64,
        /// Distinct words, cut at symbols and rare characters.
        words: usize,
        /// Distinct characters that pieces are made of.
        characters: usize,
    },
    /// Expectation and maximisation were done once.
    Learned {
        /// Pieces that are left.
        pieces: usize,
        /// Negative log-likelihood of a word before, in nats.
        loss: f64,
    },
    /// Pieces were removed.
    Pruned {
        /// Pieces that are left.
        pieces: usize,
    },
}

/// Places in the distinct words are counted in 32 bits, with up to three ends for each.
const MOST_SYMBOLS: usize = 1 << 29;

/// Learns a vocabulary. The result depends on the lines of the files and on the options, not on the number of threads.
///
/// # Errors
/// Options that contradict each other; files that cannot be read or hold no text; a vocabulary that the text is too small
/// for, or that is too small for the characters of the text.
pub fn train<P: AsRef<Path>>(
    files: &[P],
    options: &VocabOptions,
    threads: usize,
    mut watch: impl FnMut(Stage),
) -> Result<Vocabulary> {
    let reserved = options.reserved()?;
    let counted = corpus::read(files, options, &reserved, threads.max(1), &mut watch)?;
    let (sentences, drawn) = (counted.sentences, counted.drawn);
    let corpus = alphabet::build(counted, options.character_coverage);
    watch(Stage::Read {
        sentences,
        drawn,
        words: corpus.len(),
        characters: corpus.characters.len(),
    });
    let needed = corpus.characters.len() + reserved.len();
    if corpus.len() == 0 {
        return Err(Error::input(
            "text",
            "words to learn from; give a file with lines of text",
            format!("{sentences} lines without any"),
        ));
    }
    if needed > options.vocab_size {
        return Err(Error::input(
            "vocab_size",
            format!(
                "at least {needed} for {} characters and {} reserved pieces; take more, or a lower character_coverage",
                corpus.characters.len(),
                reserved.len()
            ),
            options.vocab_size,
        ));
    }
    if corpus.symbols() > MOST_SYMBOLS {
        return Err(Error::input(
            "text",
            format!(
                "distinct words of at most {MOST_SYMBOLS} characters in all; draw fewer sentences (input_sentence_size)"
            ),
            corpus.symbols(),
        ));
    }
    let seeds = seed::pieces(&corpus, options);
    let learned = learn::learn(&corpus, seeds, options, threads.max(1), &mut watch);
    result::finish(&corpus, &learned, &reserved, options, (sentences, drawn))
}
