//! Which pieces of a vocabulary begin words, and the numbers of the special tokens.

use albert_tokenizer::AlbertTokenizer;

use crate::error::{Error, Result};

/// What making samples needs to know of a vocabulary.
#[derive(Clone, Debug)]
pub struct Pieces {
    pub(super) cls: u32,
    pub(super) sep: u32,
    pub(super) mask: u32,
    pub(super) pad: u32,
    /// For each number whether the piece begins a word `[V]`.
    starts: Vec<bool>,
    /// Whose pieces they are.
    pub(super) tokenizer: AlbertTokenizer,
}

impl Pieces {
    /// Those of a tokenizer.
    ///
    /// # Errors
    /// A tokenizer without `[CLS]`, `[SEP]`, `[MASK]` or a padding token.
    pub fn of(tokenizer: &AlbertTokenizer) -> Result<Self> {
        let need =
            |what: &str, id: Option<u32>| id.ok_or_else(|| Error::input("tokenizer", what, "none"));
        let wordpiece = tokenizer.is_wordpiece();
        let size = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let starts = |id| {
            let piece = tokenizer.id_to_token(id).unwrap_or_default();
            if wordpiece {
                is_start_of_wordpiece(piece)
            } else {
                is_start_of_sentencepiece(piece)
            }
        };
        Ok(Self {
            cls: need(
                "one with a token for the beginning ([CLS])",
                tokenizer.cls_token_id(),
            )?,
            sep: need(
                "one with a token between segments ([SEP])",
                tokenizer.sep_token_id(),
            )?,
            mask: need("one with a mask", tokenizer.mask_token_id())?,
            pad: need("one with a padding token", tokenizer.pad_token_id())?,
            starts: (0..size).map(starts).collect(),
            tokenizer: tokenizer.clone(),
        })
    }

    /// Whether a piece begins a word; a number outside the vocabulary does.
    pub fn is_start(&self, id: u32) -> bool {
        self.starts.get(id as usize).copied().unwrap_or(true)
    }

    /// V
    pub fn vocab_size(&self) -> usize {
        self.starts.len()
    }
}

/// The punctuation that may stand inside a word; alone, it is one.
const PUNCTUATION: &str = "!\"#$%&()*+,-./:;?@[\\]^_`{|}~";

/// `_is_start_piece_sp` of `create_pretraining_data.py`: what begins with `▁` or `<`, is one of the punctuation, or has a
/// character that is neither a letter a–z nor one of it. (`€` and `£`, which are listed there as bytes, are such characters.)
pub(super) fn is_start_of_sentencepiece(piece: &str) -> bool {
    let mut chars = piece.chars();
    let alone = chars.next().is_some_and(|c| PUNCTUATION.contains(c)) && chars.next().is_none();
    piece.starts_with('▁') || piece.starts_with('<') || alone || !piece.chars().all(is_of_word)
}

/// Compared in lower case, as Python's `str.lower` makes it: one character that becomes two is none of these.
fn is_of_word(c: char) -> bool {
    let mut lower = c.to_lowercase();
    let one = lower.next().filter(|_| lower.next().is_none());
    one.is_some_and(|c| c.is_ascii_lowercase() || PUNCTUATION.contains(c))
}

/// `_is_start_piece_bert`.
pub(super) fn is_start_of_wordpiece(piece: &str) -> bool {
    !piece.starts_with("##")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_of_words() {
        let starts = [
            "▁the", "▁", "<unk>", ".", "-", "'", "'s", "3", "e3", "é", "naïve", "€", "ſ", "İ", "=",
            ">", "a=",
        ];
        for piece in starts {
            assert!(is_start_of_sentencepiece(piece), "{piece}");
        }
        for piece in ["ing", "ING", "://", "**", "a.b", "[MASK]", "", "\u{212a}"] {
            assert!(!is_start_of_sentencepiece(piece), "{piece}");
        }
        assert!(
            is_start_of_wordpiece("the")
                && is_start_of_wordpiece("#")
                && !is_start_of_wordpiece("##ing")
        );
    }
}
