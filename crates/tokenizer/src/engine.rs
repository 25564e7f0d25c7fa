//! What all modes share: the pieces of a text, the trait of a mode, the memory of one thread.

use crate::{preprocess::Prepared, sampling::Sampler, unigram::Scratch, words::Words};

/// Pieces of one text before special tokens. All vectors but `surfaces` have equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pieces {
    /// Numbers of the pieces in the vocabulary.
    pub ids: Vec<u32>,
    /// Byte range in the original text of each piece; an empty range where a piece has none.
    pub offsets: Vec<(usize, usize)>,
    /// Number of the pre-tokenised word of each piece; `None` for added tokens, and in the
    /// SentencePiece family, which has no words.
    pub words: Vec<Option<u32>>,
    /// Text of the pieces that the vocabulary does not name (runs of unknown characters): index
    /// of the piece and its normalised text, ascending.
    pub surfaces: Vec<(usize, Box<str>)>,
}

impl Pieces {
    /// Empties all vectors and keeps their memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.offsets.clear();
        self.words.clear();
        self.surfaces.clear();
    }

    /// Appends one piece.
    pub(crate) fn push(&mut self, id: u32, offsets: (usize, usize), word: Option<u32>) {
        self.ids.push(id);
        self.offsets.push(offsets);
        self.words.push(word);
    }
}

/// Text to pieces and ids to text in one mode.
pub(crate) trait Engine: Send + Sync {
    /// Appends the pieces of `text`; added tokens inside the text are recognised.
    fn encode(&self, text: &str, cache: &mut Cache, out: &mut Pieces);
    /// The fast way when only ids are wanted (no offsets, words, surfaces).
    fn encode_ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>);
    /// Appends the pieces of one segmentation drawn at random; returns false, without pieces, if
    /// this mode has no sampling.
    fn sample(
        &self,
        _text: &str,
        _sampler: &mut Sampler,
        _cache: &mut Cache,
        _out: &mut Pieces,
    ) -> bool {
        false
    }
    /// Text of ids. Ids outside the vocabulary are left out.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String;
    /// Text of tokens, of which some may be no entries of the vocabulary.
    fn join(&self, tokens: &[&str]) -> String;
    /// The piece with this number.
    fn token(&self, id: u32) -> Option<&str>;
    /// The number of this piece.
    fn id(&self, token: &str) -> Option<u32>;
    /// Largest id + 1, added tokens included.
    fn vocab_size(&self) -> usize;
}

/// Words already seen by one thread (bounded; each engine stores what its arithmetic allows) and
/// scratch memory. A cache belongs to one engine: what it remembers is wrong for another.
#[derive(Default)]
pub(crate) struct Cache {
    /// Words and their best paths.
    pub(crate) words: Words,
    /// Viterbi's memory.
    pub(crate) scratch: Scratch,
    /// A word.
    pub(crate) word: Vec<u8>,
    /// Normalised text, and where each of its bytes comes from.
    pub(crate) normalized: String,
    pub(crate) origins: Vec<usize>,
    /// Preprocessed text.
    pub(crate) prepared: Prepared,
    /// The tokenizers family: chunks of text and their pieces.
    pub(crate) pipeline: crate::pipeline::Memory,
}
