//! Words already seen, with the range of running sums in which their best path is certain.
//!
//! SentencePiece adds scores in f32 from the start of the text, so the best path through a word
//! depends, by rounding, on the sum before it. Let `s` be that sum, M(q) the exact best sum from
//! the start of the word to place q, and V(q) what SentencePiece computes there. Each f32 addition
//! with result x errs by at most 2⁻²⁴·|x|. By induction over the places, |V(q) − (s + M(q))| ≤
//! k·u, where k ≤ n is the number of characters up to q, n that of the word, and u = 2⁻²⁴·(|s| + W)
//! with W the largest |M(p) + w| over all candidates: the largest of numbers that each lie within e
//! of their exact value lies within e of the largest exact value. So at each place of the exact
//! best path the exact winner is also the computed winner if it leads by more than 2·n·u. With m
//! the smallest lead on that path, this holds for |s| < m / (2·n·2⁻²⁴) − W. One per cent is taken
//! off for the second-order terms (n·2⁻²⁴ and the f64 sums here). Since the path is then the
//! computed one, the sum after the word is `s` plus the scores of its pieces, added in order.
//!
//! A tie has m = 0 and is never remembered as certain: there the real sums decide.

use crate::unigram::{RESET, Step, Unigram, char_width};

/// Longest word that is remembered, in bytes: with its length it fills a 128-bit key.
pub(crate) const MAX_WORD: usize = 15;
const SETS: usize = 1 << 14;
const WAYS: usize = 4;
/// When so many pieces of longer paths are stored, the table starts anew.
const MAX_ARENA: usize = 1 << 18;

/// The best path of a word.
#[derive(Clone, Copy, Default)]
pub(crate) struct Word {
    key: u128,
    /// The path is certain for running sums below this.
    pub limit: f32,
    /// Score of a path of one piece.
    pub score: f32,
    /// Id of a path of one piece, or where a longer one starts in the arena.
    pub first: u32,
    /// Number of pieces; 0 in an empty slot.
    pub pieces: u16,
    /// Does the path hold unknown characters?
    pub unknown: bool,
}

/// One piece of a stored path.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub id: u32,
    pub score: f32,
    /// End of the piece, in bytes of the word with its `▁`.
    pub end: u32,
}

/// Words of one thread: a table of sets with four slots, so that no text can make it slow.
#[derive(Default)]
pub(crate) struct Words {
    slots: Vec<Word>,
    arena: Vec<Part>,
    evict: usize,
    places: Vec<Place>,
}

/// What the exact search knows about one place of a word.
#[derive(Clone, Copy)]
struct Place {
    best: f64,
    second: f64,
    length: u32,
    id: u32,
}

/// The key of a word: up to 15 bytes from `text[start..end]` and its length, with a bit for `▁`.
#[inline]
pub(crate) fn key(text: &[u8], start: usize, end: usize, mark: bool) -> u128 {
    let length = end - start;
    let value = match text.get(start..start + 16) {
        Some(window) => {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(window);
            u128::from_le_bytes(bytes) & ((1_u128 << (8 * length)) - 1)
        }
        None => {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[start..end]);
            u128::from_le_bytes(bytes)
        }
    };
    value | (((length as u128) | (u128::from(mark) << 7)) << 120)
}

#[inline]
fn set(key: u128) -> usize {
    let low = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let high = ((key >> 64) as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let mixed = (low ^ high.rotate_left(32)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    (mixed >> 50) as usize * WAYS
}

impl Words {
    /// A word seen before.
    #[inline]
    pub(crate) fn find(&self, key: u128) -> Option<&Word> {
        let set = set(key);
        let slots = self.slots.get(set..set + WAYS)?;
        slots
            .iter()
            .find(|word| word.key == key && word.pieces != 0)
    }

    /// The pieces of a word with more than one.
    #[inline]
    pub(crate) fn parts(&self, word: &Word) -> &[Part] {
        let first = word.first as usize;
        &self.arena[first..first + usize::from(word.pieces)]
    }

    /// Searches a word exactly and remembers it. `text` is the word with its `▁`.
    pub(crate) fn learn(&mut self, key: u128, text: &[u8], model: &Unigram) -> Word {
        let (limit, path) = exact_path(text, model, &mut self.places);
        if self.slots.is_empty() {
            self.slots.resize(SETS * WAYS, Word::default());
        }
        if self.arena.len() > MAX_ARENA {
            self.arena.clear();
            self.slots.fill(Word::default());
        }
        let mut word = Word {
            key,
            limit,
            score: 0.0,
            first: self.arena.len() as u32,
            pieces: path.len() as u16,
            unknown: path.iter().any(|step| Some(step.id) == model.unk_id),
        };
        match path[..] {
            [step] if !word.unknown => {
                word.first = step.id;
                word.score = model.score_f32(step.id);
            }
            _ => self.arena.extend(path.iter().map(|step| Part {
                id: step.id,
                score: model.score_f32(step.id),
                end: step.end as u32,
            })),
        }
        let set = set(key);
        let slots = &mut self.slots[set..set + WAYS];
        let free = slots.iter().position(|slot| slot.pieces == 0);
        // The first word of a set stays: frequent words come early.
        self.evict = self.evict % (WAYS - 1) + 1;
        slots[free.unwrap_or(self.evict)] = word;
        word
    }
}

/// The best path in exact sums, and the running sums below which f32 sums choose it too.
fn exact_path(text: &[u8], model: &Unigram, places: &mut Vec<Place>) -> (f32, Vec<Step>) {
    const LOWEST: f64 = f64::NEG_INFINITY;
    places.clear();
    places.resize(
        text.len() + 1,
        Place {
            best: LOWEST,
            second: LOWEST,
            length: 0,
            id: 0,
        },
    );
    places[0].best = 0.0;
    let unk = model.unk_id.unwrap_or_default();
    let mut largest = 0.0_f64;
    let mut characters = 0.0;
    let mut start = 0;
    while start < text.len() {
        let here = places[start].best;
        let width = char_width(text[start]).min(text.len() - start);
        let mut single = false;
        let mut offer = |length: usize, id: u32| {
            let sum = here + f64::from(model.score_f32(id));
            largest = largest.max(sum.abs());
            let place = &mut places[start + length];
            if sum > place.best {
                place.second = place.best;
                place.best = sum;
                place.length = length as u32;
                place.id = id;
            } else if sum > place.second {
                place.second = sum;
            }
        };
        if here > LOWEST {
            model.trie().prefixes(&text[start..], |length, id| {
                offer(length, id);
                single |= length == width;
            });
            if !single {
                offer(width, unk);
            }
        }
        characters += 1.0;
        start += width;
    }
    let mut lead = f64::INFINITY;
    let mut path = Vec::new();
    let mut end = text.len();
    while end > 0 {
        let place = places[end];
        lead = lead.min(place.best - place.second);
        let start = end - place.length as usize;
        path.push(Step {
            start,
            end,
            id: place.id,
        });
        end = start;
    }
    path.reverse();
    let bound = lead / (2.0 * characters * 2_f64.powi(-24) * 1.01) - largest * 1.01;
    // No sum inside the word may reach the place where SentencePiece starts its sums anew.
    let limit = bound.min(f64::from(RESET) * 0.99 - largest);
    (limit as f32, path)
}

#[cfg(test)]
mod tests;
