//! Precompiled normaliser rules: a double-array over UTF-8 bytes and a block of replacements.

use crate::Error;

/// The rules of one normaliser, checked when they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Charsmap {}

impl Charsmap {
    /// From the bytes of `precompiled_charsmap`: every node that a text can reach lies inside the
    /// array, every replacement ends inside its block and is UTF-8.
    pub(crate) fn parse(_bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// The bytes that [`Charsmap::parse`] read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &[]
    }

    /// SentencePiece's query: the longest rule that `text` starts with: bytes eaten, replacement.
    pub(crate) fn longest(&self, _text: &str) -> Option<(usize, &str)> {
        None
    }

    /// The query of tokenizers' `Precompiled` (crate spm_precompiled, `transform`): the
    /// replacement of the *shortest* rule that is a prefix of `chunk`, whatever follows it there.
    pub(crate) fn transform(&self, _chunk: &str) -> Option<&str> {
        None
    }

    /// Is this byte ASCII, and does no rule start with it that could match when an ASCII byte or
    /// nothing follows? Then it stays as it is.
    pub(crate) fn is_plain(&self, _byte: u8) -> bool {
        false
    }
}
