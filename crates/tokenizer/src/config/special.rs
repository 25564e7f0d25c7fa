//! The special tokens of a tokenizer and what they are called.

use crate::mode::Mode;
use crate::token::AddedToken;

/// The special tokens by their part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecialTokens {
    /// Beginning of a text; ALBERT's is its `[CLS]`.
    pub bos: Option<AddedToken>,
    /// End of a text; ALBERT's is its `[SEP]`.
    pub eos: Option<AddedToken>,
    /// What stands for unknown text.
    pub unk: Option<AddedToken>,
    /// Between and after sequences.
    pub sep: Option<AddedToken>,
    /// Padding.
    pub pad: Option<AddedToken>,
    /// Before the first sequence.
    pub cls: Option<AddedToken>,
    /// A gap to be filled.
    pub mask: Option<AddedToken>,
    /// Others (`additional_special_tokens`, `extra_special_tokens`).
    pub additional: Vec<AddedToken>,
}

/// Names in the files of transformers, in the order in which it lists them.
pub(crate) const PARTS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl SpecialTokens {
    /// Those of ALBERT's SentencePiece vocabularies, or of WordPiece vocabularies.
    pub(crate) fn of_family(wordpiece: bool, mode: Mode) -> Self {
        let token = |content: &str| Some(AddedToken::new(content, true));
        // Only transformers 5 lets [MASK] leave the space before it.
        let mask = AddedToken {
            lstrip: !wordpiece && mode != Mode::Hf5,
            ..AddedToken::new("[MASK]", true)
        };
        Self {
            bos: (!wordpiece).then(|| AddedToken::new("[CLS]", true)),
            eos: (!wordpiece).then(|| AddedToken::new("[SEP]", true)),
            unk: token(if wordpiece { "[UNK]" } else { "<unk>" }),
            sep: token("[SEP]"),
            pad: token(if wordpiece { "[PAD]" } else { "<pad>" }),
            cls: token("[CLS]"),
            mask: Some(mask),
            additional: Vec::new(),
        }
    }

    pub(crate) fn part(&self, name: &str) -> Option<&AddedToken> {
        let part = match name {
            "bos_token" => &self.bos,
            "eos_token" => &self.eos,
            "unk_token" => &self.unk,
            "sep_token" => &self.sep,
            "pad_token" => &self.pad,
            "cls_token" => &self.cls,
            _ => &self.mask,
        };
        part.as_ref()
    }

    pub(super) fn part_mut(&mut self, name: &str) -> &mut Option<AddedToken> {
        match name {
            "bos_token" => &mut self.bos,
            "eos_token" => &mut self.eos,
            "unk_token" => &mut self.unk,
            "sep_token" => &mut self.sep,
            "pad_token" => &mut self.pad,
            "cls_token" => &mut self.cls,
            _ => &mut self.mask,
        }
    }

    /// All of them, each once, named parts first.
    #[must_use]
    pub fn all(&self) -> Vec<&AddedToken> {
        let mut all: Vec<&AddedToken> = Vec::new();
        let named = PARTS.iter().filter_map(|name| self.part(name));
        for token in named.chain(&self.additional) {
            if !all.iter().any(|known| known.content == token.content) {
                all.push(token);
            }
        }
        all
    }
}
