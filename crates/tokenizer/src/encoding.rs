//! The result of an encoding: numbers, masks and where each token came from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::chars::CharIndex;
use crate::engine::{Engine, Pieces};
use crate::options::{Input, Sequence, Side};
use crate::pad::Filling;

/// An encoded input. All lists but the overflow have one entry for each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// Numbers of the tokens.
    pub ids: Vec<u32>,
    /// Token types: 0, and 1 from the second sequence on. Empty where they were not asked for.
    pub type_ids: Vec<u32>,
    /// 1 for tokens, 0 for padding.
    pub attention_mask: Vec<u32>,
    /// 1 for tokens that the template or padding added.
    pub special_tokens_mask: Vec<u32>,
    /// Byte range of each token in its sequence, or in its word where words were given; (0, 0)
    /// for added tokens. [`char_offsets`](Self::char_offsets) counts code points.
    pub offsets: Vec<(usize, usize)>,
    /// Word of each token: its place among the words given, else that of the pre-tokenizer.
    pub word_ids: Vec<Option<u32>>,
    /// The windows that truncation cut off, if they were asked for.
    pub overflowing: Vec<Encoding>,
    /// The tokens that truncation cut off, with the stride before them: the form in which
    /// transformers' Python tokenizers give the rest (modes `hf-slow` and `google`).
    pub overflowing_tokens: Vec<u32>,
    /// Tokens above `max_length` before truncation, in the same modes; negative when there was room.
    pub num_truncated_tokens: Option<i64>,
    /// Tokens of the first and the second sequence.
    ranges: [Option<Range<usize>>; 2],
    /// Texts that the vocabulary does not name.
    surfaces: Vec<(usize, Box<str>)>,
    names: Names,
}

/// The vocabulary, for [`Encoding::tokens`].
#[derive(Clone)]
struct Names(Arc<dyn Engine>);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl PartialEq for Names {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Encoding {
    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The tokens as text; an unknown run shows its own text.
    #[must_use]
    pub fn tokens(&self) -> Vec<&str> {
        let mut tokens: Vec<&str> = self
            .ids
            .iter()
            .map(|&id| self.names.0.token(id).unwrap_or_default())
            .collect();
        for (i, text) in &self.surfaces {
            tokens[*i] = text;
        }
        tokens
    }

    /// The sequence (0 or 1) of each token; `None` for special tokens and padding.
    #[must_use]
    pub fn sequence_ids(&self) -> Vec<Option<usize>> {
        let mut ids = vec![None; self.len()];
        for (sequence, range) in self.ranges.iter().enumerate() {
            if let Some(range) = range {
                ids[range.clone()].fill(Some(sequence));
            }
        }
        ids
    }

    /// Number of sequences.
    #[must_use]
    pub fn n_sequences(&self) -> usize {
        self.ranges.iter().flatten().count()
    }

    /// The sequence (0 or 1) of a token.
    #[must_use]
    pub fn token_to_sequence(&self, token: usize) -> Option<usize> {
        let holds =
            |range: &Option<Range<usize>>| range.as_ref().is_some_and(|r| r.contains(&token));
        self.ranges.iter().position(holds)
    }

    /// The word of a token, with its sequence.
    #[must_use]
    pub fn token_to_word(&self, token: usize) -> Option<(usize, u32)> {
        let word = self.word_ids.get(token).copied().flatten()?;
        Some((self.token_to_sequence(token)?, word))
    }

    /// The bytes of a token, with its sequence.
    #[must_use]
    pub fn token_to_chars(&self, token: usize) -> Option<(usize, (usize, usize))> {
        let offsets = self.offsets.get(token).copied()?;
        Some((self.token_to_sequence(token)?, offsets))
    }

    /// The tokens of a word, as a range.
    #[must_use]
    pub fn word_to_tokens(&self, word: u32, sequence: usize) -> Option<Range<usize>> {
        let range = self.ranges.get(sequence)?.clone()?;
        let words = &self.word_ids[range.clone()];
        let first = words.iter().position(|w| *w == Some(word))?;
        let last = words.iter().rposition(|w| *w == Some(word))?;
        Some(range.start + first..range.start + last + 1)
    }

    /// The bytes of a word of the pre-tokenizer.
    #[must_use]
    pub fn word_to_chars(&self, word: u32, sequence: usize) -> Option<(usize, usize)> {
        let tokens = self.word_to_tokens(word, sequence)?;
        Some((self.offsets[tokens.start].0, self.offsets[tokens.end - 1].1))
    }

    /// The token that holds the byte at `position` of a sequence.
    #[must_use]
    pub fn char_to_token(&self, position: usize, sequence: usize) -> Option<usize> {
        let range = self.ranges.get(sequence)?.clone()?;
        let token = self.offsets[range.clone()]
            .iter()
            .position(|(start, end)| (*start..*end).contains(&position))?;
        Some(range.start + token)
    }

    /// The word that holds the byte at `position` of a sequence.
    #[must_use]
    pub fn char_to_word(&self, position: usize, sequence: usize) -> Option<u32> {
        let token = self.char_to_token(position, sequence)?;
        Some(self.token_to_word(token)?.1)
    }

    /// The offsets in code points, as Python counts. `input` is what was encoded.
    #[must_use]
    pub fn char_offsets<'a>(&self, input: impl Into<Input<'a>>) -> Vec<(usize, usize)> {
        let input = input.into();
        let mut offsets = self.offsets.clone();
        for (range, sequence) in self.ranges.iter().zip([Some(input.first), input.second]) {
            let (Some(range), Some(sequence)) = (range, sequence) else {
                continue;
            };
            let convert = |index: &CharIndex<'_>, (start, end): &mut (usize, usize)| {
                (*start, *end) = (index.chars_before(*start), index.chars_before(*end));
            };
            match sequence {
                Sequence::Text(text) => {
                    let index = CharIndex::new(text);
                    offsets[range.clone()]
                        .iter_mut()
                        .for_each(|o| convert(&index, o));
                }
                Sequence::Words(words) => {
                    for i in range.clone() {
                        let word = self.word_ids[i].and_then(|w| words.get(w as usize));
                        if let Some(word) = word {
                            convert(&CharIndex::new(word), &mut offsets[i]);
                        }
                    }
                }
            }
        }
        offsets
    }

    pub(crate) fn empty(names: Arc<dyn Engine>) -> Self {
        Self {
            ids: Vec::new(),
            type_ids: Vec::new(),
            attention_mask: Vec::new(),
            special_tokens_mask: Vec::new(),
            offsets: Vec::new(),
            word_ids: Vec::new(),
            overflowing: Vec::new(),
            overflowing_tokens: Vec::new(),
            num_truncated_tokens: None,
            ranges: [None, None],
            surfaces: Vec::new(),
            names: Names(names),
        }
    }

    pub(crate) fn push_special(&mut self, id: u32, type_id: u32) {
        self.ids.push(id);
        self.type_ids.push(type_id);
        self.attention_mask.push(1);
        self.special_tokens_mask.push(1);
        self.offsets.push((0, 0));
        self.word_ids.push(None);
    }

    pub(crate) fn push_pieces(
        &mut self,
        pieces: &Pieces,
        range: Range<usize>,
        sequence: usize,
        type_id: u32,
    ) {
        let start = self.len();
        let end = start + range.len();
        self.ids.extend(&pieces.ids[range.clone()]);
        self.type_ids.resize(end, type_id);
        self.attention_mask.resize(end, 1);
        self.special_tokens_mask.resize(end, 0);
        self.offsets.extend(&pieces.offsets[range.clone()]);
        self.word_ids.extend(&pieces.words[range.clone()]);
        let from = pieces.surfaces.partition_point(|(i, _)| *i < range.start);
        let inside = pieces.surfaces[from..]
            .iter()
            .take_while(|(i, _)| *i < range.end);
        self.surfaces
            .extend(inside.map(|(i, text)| (i - range.start + start, text.clone())));
        self.ranges[sequence] = Some(start..end);
    }

    pub(crate) fn push_padding(&mut self, count: usize, filling: Filling) {
        fn fill<T: Clone>(list: &mut Vec<T>, value: T, count: usize, side: Side) {
            let at = match side {
                Side::Left => 0,
                Side::Right => list.len(),
            };
            list.splice(at..at, std::iter::repeat_n(value, count));
        }
        let Filling { id, type_id, side } = filling;
        fill(&mut self.ids, id, count, side);
        fill(&mut self.type_ids, type_id, count, side);
        fill(&mut self.attention_mask, 0, count, side);
        fill(&mut self.special_tokens_mask, 1, count, side);
        fill(&mut self.offsets, (0, 0), count, side);
        fill(&mut self.word_ids, None, count, side);
        if side == Side::Left {
            for range in self.ranges.iter_mut().flatten() {
                *range = range.start + count..range.end + count;
            }
            for (i, _) in &mut self.surfaces {
                *i += count;
            }
        }
    }

    /// Leaves out the token types, of the windows too.
    pub(crate) fn drop_type_ids(&mut self) {
        self.type_ids = Vec::new();
        self.overflowing.iter_mut().for_each(Self::drop_type_ids);
    }
}
