//! `spiece.model`: SentencePiece's protobuf file, read with checks and written.

use crate::{Error, unigram::Piece};

/// What a SentencePiece model file says.
#[derive(Clone, Debug, PartialEq)]
pub struct SpieceModel {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) unk_id: u32,
    pub(crate) unk_surface: String,
    pub(crate) charsmap: Vec<u8>,
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) treat_whitespace_as_suffix: bool,
    pub(crate) byte_fallback: bool,
    pub(crate) denormalizer: Vec<u8>,
    /// The file itself: saving writes exactly these bytes.
    pub(crate) bytes: Vec<u8>,
}

impl SpieceModel {
    /// From the bytes of a file.
    ///
    /// # Errors
    /// The bytes are damaged, or a model of another kind.
    pub fn parse(_bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// The bytes of the file that was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
