//! The best path through a unigram vocabulary, in SentencePiece's and in tokenizers' arithmetic.

mod search;

use crate::{Error, trie::Trie};
use search::backtrack;
pub(crate) use search::{RESET, Scratch, Step};
use std::collections::HashMap;

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

/// Subtracted from the lowest score for an unknown character.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A vocabulary ready for search.
pub(crate) struct Unigram {
    pub pieces: Vec<Piece>,
    pub unk_id: Option<u32>,
    /// Score of an unknown character: in SentencePiece's arithmetic an `f32`.
    pub unk_score: f64,
    /// Entries that a text can hold.
    trie: Trie,
    /// The score that counts for each piece; those of user-defined symbols depend on their length.
    scores: Vec<f32>,
    /// The same for tokenizers, which knows no user-defined symbols.
    exact: Vec<f64>,
    /// Ids of entries that are looked up by name before those in the trie.
    reserved: HashMap<Box<str>, u32>,
    /// Ids of entries that have a name but are never found in a text.
    unused: HashMap<Box<str>, u32>,
}

impl Unigram {
    /// For SentencePiece: normal and user-defined pieces can be found in a text.
    pub(crate) fn sentencepiece(pieces: Vec<Piece>, unk_id: u32) -> Self {
        let mut min_score = f32::MAX;
        let mut scores = Vec::with_capacity(pieces.len());
        let mut reserved = HashMap::new();
        let mut unused = HashMap::new();
        for (id, piece) in pieces.iter().enumerate() {
            let stored = piece.score as f32;
            let mut score = stored;
            match piece.kind {
                PieceKind::Normal => min_score = min_score.min(stored),
                // SentencePiece computes this in f64 and rounds; the length counts bytes here.
                PieceKind::UserDefined => score = user_defined_score(piece.text.len()),
                PieceKind::Unused => {
                    unused.insert(piece.text.clone(), id as u32);
                }
                PieceKind::Unknown | PieceKind::Control | PieceKind::Byte => {
                    reserved.insert(piece.text.clone(), id as u32);
                }
            }
            scores.push(score);
        }
        let trie = Trie::new(
            pieces
                .iter()
                .enumerate()
                .filter(|(_, piece)| {
                    matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined)
                })
                .map(|(id, piece)| (piece.text.as_bytes(), id as u32)),
        );
        Self {
            pieces,
            unk_id: Some(unk_id),
            unk_score: f64::from(min_score - UNKNOWN_PENALTY as f32),
            trie,
            scores,
            exact: Vec::new(),
            reserved,
            unused,
        }
    }

    /// For tokenizers: every entry can be found in a text, the lowest score is taken over all of
    /// them, and of equal texts the last one has the id.
    ///
    /// # Errors
    /// `unk_id` lies outside the vocabulary, or there are too many pieces.
    pub(crate) fn tokenizers(pieces: Vec<Piece>, unk_id: Option<u32>) -> Result<Self, Error> {
        if pieces.len() >= 1 << 31 {
            return Err(Error::Vocabulary {
                problem: format!("{} pieces, expected fewer than 2^31", pieces.len()),
            });
        }
        if let Some(unk_id) = unk_id
            && unk_id as usize >= pieces.len()
        {
            return Err(Error::Vocabulary {
                problem: format!(
                    "unk_id is {unk_id}, expected an id below {}, the number of pieces",
                    pieces.len()
                ),
            });
        }
        let mut min_score = f64::INFINITY;
        for piece in &pieces {
            if piece.score < min_score {
                min_score = piece.score;
            }
        }
        let trie = Trie::new(
            pieces
                .iter()
                .enumerate()
                .map(|(id, piece)| (piece.text.as_bytes(), id as u32)),
        );
        Ok(Self {
            unk_id,
            unk_score: min_score - UNKNOWN_PENALTY,
            trie,
            scores: Vec::new(),
            exact: pieces.iter().map(|piece| piece.score).collect(),
            reserved: HashMap::new(),
            unused: HashMap::new(),
            pieces,
        })
    }

    /// tokenizers' arithmetic over one pre-token: f64 sums from 0, unknown = lowest score − 10,
    /// ties as in its `encode_optimized`, runs of unknown characters fused. Calls
    /// `emit(start, end, id)` from left to right; `id` is `None` where the vocabulary does not
    /// have exactly this text (the caller chooses bytes or `unk_id`).
    ///
    /// Returns false, and may have emitted, if an unknown character was met and there is no
    /// `unk_id`: tokenizers refuses such a text.
    pub(crate) fn encode_f64(
        &self,
        text: &str,
        scratch: &mut Scratch,
        mut emit: impl FnMut(usize, usize, Option<u32>),
    ) -> bool {
        let unk = self.unk_id.unwrap_or(UNKNOWN);
        let nodes = &mut scratch.exact;
        self.search(
            text.as_bytes(),
            0.0,
            &self.exact,
            self.unk_score,
            unk,
            nodes,
        );
        if self.unk_id.is_none() && nodes.iter().any(|node| node.id == UNKNOWN) {
            return false;
        }
        let path = &mut scratch.path;
        backtrack(nodes, text.len(), path);
        let mut run: Option<(usize, usize)> = None;
        for step in path.iter().rev() {
            if step.id == unk {
                run = Some((run.map_or(step.start, |run| run.0), step.end));
                continue;
            }
            if let Some((start, end)) = run.take() {
                emit(start, end, self.trie.get(&text.as_bytes()[start..end]));
            }
            emit(step.start, step.end, Some(step.id));
        }
        if let Some((start, end)) = run {
            emit(start, end, self.trie.get(&text.as_bytes()[start..end]));
        }
        true
    }

    /// SentencePiece's arithmetic: f32 sums that begin with `sum`. Returns the sum at the end; the
    /// path is in `scratch`, last step first, unknown characters one by one.
    pub(crate) fn encode_f32(&self, text: &[u8], sum: f32, scratch: &mut Scratch) -> f32 {
        let unk = self.unk_id.unwrap_or(UNKNOWN);
        let nodes = &mut scratch.rounded;
        self.search(text, sum, &self.scores, self.unk_score as f32, unk, nodes);
        let path = &mut scratch.path;
        backtrack(nodes, text.len(), path);
        nodes.last().map_or(sum, |node| node.score)
    }

    /// The score that counts for a piece in SentencePiece's arithmetic.
    #[inline]
    pub(crate) fn score_f32(&self, id: u32) -> f32 {
        if Some(id) == self.unk_id {
            self.unk_score as f32
        } else {
            self.scores[id as usize]
        }
    }

    /// Is this a symbol that always wins?
    pub(crate) fn is_user_defined(&self, id: u32) -> bool {
        self.pieces[id as usize].kind == PieceKind::UserDefined
    }

    /// Entries that a text can hold.
    pub(crate) fn trie(&self) -> &Trie {
        &self.trie
    }

    /// The id of exactly this text, of any kind.
    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.reserved
            .get(text)
            .copied()
            .or_else(|| self.trie.get(text.as_bytes()))
            .or_else(|| self.unused.get(text).copied())
    }
}

/// Marks unknown characters where the vocabulary has no unknown piece.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// A user-defined symbol of this length always wins: its score is not negative.
pub(crate) fn user_defined_score(length: usize) -> f32 {
    (0.1 * (length as f64 - 1.0)) as f32
}

/// Bytes of the character that begins with this byte.
#[inline]
pub(crate) fn char_width(first: u8) -> usize {
    match first {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}
