//! What a vocabulary shall be, and the ids that are taken before anything is learned.

use std::collections::{BTreeMap, HashSet};

use super::result::Kind;
use crate::error::{Error, Result};

/// Settings of [`train`](super::train), by `spm_train`'s names. The default is what the published English ALBERT models were
/// made with; SentencePiece's switches `split_by_whitespace`, `split_by_unicode_script` and `split_by_number` are on.
#[derive(Clone, Debug, PartialEq)]
pub struct VocabOptions {
    /// Pieces, with the reserved ones.
    pub vocab_size: usize,
    /// Share of the text's characters that pieces are made of; rarer ones become unknown. 0.98 to 1.
    pub character_coverage: f64,
    /// Sentences (lines that are not blank) to draw at most; 0 takes all.
    pub input_sentence_size: u64,
    /// Which sentences are drawn.
    pub seed: u64,
    /// Characters of a piece, at most.
    pub max_sentencepiece_length: usize,
    /// Pieces to begin with, at most, besides single characters.
    pub seed_sentencepiece_size: usize,
    /// Share of the pieces that one round of pruning keeps. 0.5 to 0.95.
    pub shrinking_factor: f64,
    /// Steps of expectation and maximisation before each round of pruning. 1 to 10.
    pub num_sub_iterations: usize,
    /// Every digit is a piece of its own.
    pub split_digits: bool,
    /// Texts are lower-cased before, as the tokenizer will do.
    pub do_lower_case: bool,
    /// Accents stay, as the tokenizer will do.
    pub keep_accents: bool,
    /// Id of `<unk>`.
    pub unk_id: usize,
    /// Id of `<pad>`.
    pub pad_id: usize,
    /// Id of `<s>`, if there shall be one.
    pub bos_id: Option<usize>,
    /// Id of `</s>`, if there shall be one.
    pub eos_id: Option<usize>,
    /// Pieces that no text holds, on the lowest free ids.
    pub control_symbols: Vec<String>,
    /// Pieces that are found whole wherever they stand, on the next free ids.
    pub user_defined_symbols: Vec<String>,
}

impl Default for VocabOptions {
    fn default() -> Self {
        let list = |symbols: &[&str]| symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        Self {
            vocab_size: 30_000,
            character_coverage: 0.99995,
            input_sentence_size: 10_000_000,
            seed: 0,
            max_sentencepiece_length: 16,
            seed_sentencepiece_size: 1_000_000,
            shrinking_factor: 0.75,
            num_sub_iterations: 2,
            split_digits: false,
            do_lower_case: true,
            keep_accents: false,
            unk_id: 1,
            pad_id: 0,
            bos_id: None,
            eos_id: None,
            control_symbols: list(&["[CLS]", "[SEP]", "[MASK]"]),
            user_defined_symbols: list(&["(", ")", "\"", "-", ".", "–", "£", "€"]),
        }
    }
}

/// Pieces that are there before anything is learned, by id.
pub(super) type Reserved = BTreeMap<usize, (String, Kind)>;

impl VocabOptions {
    /// Checks everything, and gives the reserved pieces their ids.
    pub(super) fn reserved(&self) -> Result<Reserved> {
        self.check()?;
        let mut reserved = Reserved::new();
        let fixed = [
            ("unk_id", Some(self.unk_id), "<unk>", Kind::Unknown),
            ("bos_id", self.bos_id, "<s>", Kind::Control),
            ("eos_id", self.eos_id, "</s>", Kind::Control),
            ("pad_id", Some(self.pad_id), "<pad>", Kind::Control),
        ];
        let mut names = HashSet::new();
        for (option, id, piece, kind) in fixed {
            let Some(id) = id else { continue };
            if id >= self.vocab_size {
                let expected = format!("an id below vocab_size, {}", self.vocab_size);
                return Err(Error::input(option, expected, id));
            }
            if let Some((other, _)) = reserved.get(&id) {
                let found = format!("{id}, the id of {other}");
                return Err(Error::input(option, "an id of its own", found));
            }
            names.insert(piece);
            reserved.insert(id, (piece.to_owned(), kind));
        }
        let mut next = 0;
        let lists = [
            ("control_symbols", &self.control_symbols, Kind::Control),
            (
                "user_defined_symbols",
                &self.user_defined_symbols,
                Kind::UserDefined,
            ),
        ];
        for (option, symbols, kind) in lists {
            for symbol in symbols {
                check_symbol(option, symbol)?;
                if !names.insert(symbol) {
                    let found = format!("{symbol:?} twice, or beside the piece of that name");
                    return Err(Error::input(option, "each symbol once", found));
                }
                while reserved.contains_key(&next) {
                    next += 1;
                }
                reserved.insert(next, (symbol.clone(), kind));
            }
        }
        for needed in ["[CLS]", "[SEP]", "[MASK]"] {
            if !self.control_symbols.iter().any(|symbol| symbol == needed) {
                let expected = format!("{needed} among them: ALBERT's models need it");
                return Err(Error::input(
                    "control_symbols",
                    expected,
                    format!("{:?}", self.control_symbols),
                ));
            }
        }
        if reserved.len() >= self.vocab_size {
            let expected = format!("more than the {} reserved pieces", reserved.len());
            return Err(Error::input("vocab_size", expected, self.vocab_size));
        }
        Ok(reserved)
    }

    fn check(&self) -> Result<()> {
        let range = |name: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::input(name, format!("{low} to {high}"), value))
        };
        range(
            "vocab_size",
            self.vocab_size as f64,
            1.0,
            f64::from(1 << 20),
        )?;
        range("character_coverage", self.character_coverage, 0.98, 1.0)?;
        range("shrinking_factor", self.shrinking_factor, 0.5, 0.95)?;
        range(
            "num_sub_iterations",
            self.num_sub_iterations as f64,
            1.0,
            10.0,
        )?;
        range(
            "max_sentencepiece_length",
            self.max_sentencepiece_length as f64,
            1.0,
            512.0,
        )?;
        range(
            "seed_sentencepiece_size",
            self.seed_sentencepiece_size as f64,
            1.0,
            1e8,
        )
    }
}

fn check_symbol(option: &str, symbol: &str) -> Result<()> {
    let problem = if symbol.is_empty() {
        "an empty one".to_owned()
    } else if symbol.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{2581}') {
        format!("{symbol:?}")
    } else {
        return Ok(());
    };
    let expected =
        "symbols without white space, control characters and ▁, which no normalised text holds";
    Err(Error::input(option, expected, problem))
}
