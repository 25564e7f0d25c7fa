//! The best path through a unigram vocabulary, in SentencePiece's and in tokenizers' arithmetic.

use crate::{Error, trie::Trie};

/// What a vocabulary entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// One vocabulary entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub text: Box<str>,
    /// As stored: an `f32` of spiece.model or an `f64` of tokenizer.json.
    pub score: f64,
    pub kind: PieceKind,
}

/// Memory that one thread reuses from text to text.
#[derive(Default)]
pub(crate) struct Scratch {}

/// A vocabulary ready for search.
pub(crate) struct Unigram {
    pub pieces: Vec<Piece>,
    pub unk_id: Option<u32>,
    trie: Trie,
}

impl Unigram {
    /// For SentencePiece: normal, user-defined and unused pieces can be found in a text.
    pub(crate) fn sentencepiece(_pieces: Vec<Piece>) -> Result<Self, Error> {
        todo!()
    }

    /// For tokenizers: every entry can be found in a text, `min_score` is taken over all of them;
    /// of equal texts the last one has the id.
    pub(crate) fn tokenizers(_pieces: Vec<Piece>, _unk_id: Option<u32>) -> Result<Self, Error> {
        todo!()
    }

    /// tokenizers' arithmetic over one pre-token: f64 sums, unknown = min_score − 10, ties as in
    /// `encode_optimized`, runs of unknown characters fused. Calls `emit(start, end, id)` from
    /// left to right; `id` is that of the exact text where the vocabulary has it, else `unk_id`,
    /// or `None` if there is no `unk_id` either (tokenizers: an error).
    pub(crate) fn encode_f64(
        &self,
        _text: &str,
        _scratch: &mut Scratch,
        _emit: impl FnMut(usize, usize, Option<u32>),
    ) {
    }

    /// The id of exactly this text, of any kind.
    pub(crate) fn id(&self, _text: &str) -> Option<u32> {
        None
    }
}
