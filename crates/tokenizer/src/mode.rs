//! The references whose behaviour the tokenizer can have.

use std::fmt;
use std::str::FromStr;

/// Whose behaviour the tokenizer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `tokenizer.json` as the `tokenizers` library runs it; a `spiece.model` alone behaves as the
    /// published `tokenizer.json`.
    #[default]
    HfFast,
    /// The class `AlbertTokenizer` of transformers 5.
    Hf5,
    /// The Python class `AlbertTokenizer` of transformers 4 (`use_fast=False`).
    HfSlow,
    /// `tokenization.py` of google-research/albert.
    Google,
    /// SentencePiece itself, without any preprocessing.
    SentencePiece,
}

impl Mode {
    /// All modes, the default first.
    pub const ALL: [Self; 5] = [
        Self::HfFast,
        Self::Hf5,
        Self::HfSlow,
        Self::Google,
        Self::SentencePiece,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HfFast => "hf-fast",
            Self::Hf5 => "hf5",
            Self::HfSlow => "hf-slow",
            Self::Google => "google",
            Self::SentencePiece => "sentencepiece",
        }
    }

    /// Whether truncation and the rest of the surface are those of transformers' Python
    /// tokenizers, which Google's scripts agree with, and not those of tokenizers.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::HfSlow | Self::Google)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == name)
            .ok_or_else(|| {
                format!(
                    "no such mode; known: {}",
                    Self::ALL.map(Self::name).join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_modes() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        let error = "hf-quick".parse::<Mode>().unwrap_err();
        assert!(error.contains("hf-fast, hf5, hf-slow"), "{error}");
    }
}
