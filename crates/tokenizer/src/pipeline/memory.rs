//! Chunks that one thread has seen, with their pieces; bounded.

use super::{Items, Span, Split, Work};

/// Longest chunk that is remembered, in bytes.
pub(crate) const LONGEST_KEY: usize = 64;
/// Slots of the table; a power of two.
const SLOTS: usize = 1 << 16;
/// When so many slots are taken, the table is emptied: chunks that matter come back soon.
const FULL: usize = SLOTS / 2;
/// The table is emptied too when the pieces of all chunks pass this number.
const MOST_PIECES: usize = 1 << 19;
/// Chunks with more pieces, or with more bytes of unknown text, are not remembered.
const MOST_OF_ONE: usize = 1 << 12;
/// Largest working memory that is kept between calls, in elements.
const KEPT: usize = 1 << 20;

/// All memory of a pipeline in one thread.
#[derive(Default)]
pub(crate) struct Memory {
    pub(super) table: Table,
    pub(super) borders: Borders,
    pub(super) work: Work,
    pub(super) segments: Vec<Split>,
}

impl Memory {
    /// Gives memory back after a giant text.
    pub(super) fn shrink(&mut self) {
        self.work.aligned.shrink(KEPT);
        if self.work.items.ids.capacity() > KEPT {
            self.work.items = Items::default();
            self.work.splits = Vec::new();
        }
        if self.segments.capacity() > KEPT {
            self.segments = Vec::new();
        }
    }
}

/// The pieces of a chunk, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub ids: &'a [u32],
    pub spans: &'a [Span],
    pub surfaces: &'a [(u32, u32, u32)],
    pub text: &'a str,
    pub words: u32,
}

/// Chunks and their pieces, found by hash with linear probing.
#[derive(Default)]
pub(crate) struct Table {
    /// High half of the hash and number of the entry + 1; 0 is free. Empty before first use.
    slots: Vec<[u32; 2]>,
    entries: Vec<Entry>,
    keys: String,
    pieces: Items,
}

struct Entry {
    key: (u32, u32),
    pieces: (u32, u32),
    surfaces: (u32, u32),
    words: u32,
}

fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}

/// A hash that mixes all bytes of a short text. Colliding on purpose gains nothing: the table is
/// small, and a text that is not found is only worked out again.
pub(crate) fn hash(text: &str) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |h: u64, word: u64| {
        let wide = u128::from(h ^ word) * u128::from(K | 1);
        (wide as u64) ^ (wide >> 64) as u64
    };
    let bytes = text.as_bytes();
    let mut state = K ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        state = mix(state, u64::from_le_bytes(*word));
        rest = tail;
    }
    let mut word = 0;
    for &byte in rest {
        word = word << 8 | u64::from(byte);
    }
    mix(state, word)
}

impl Table {
    /// The entry of a chunk.
    pub(super) fn find(&self, chunk: &str, hash: u64) -> Option<usize> {
        let mut slot = hash as usize & (SLOTS - 1);
        loop {
            let [tag, entry] = *self.slots.get(slot)?;
            let entry = (entry as usize).checked_sub(1)?;
            if tag == (hash >> 32) as u32
                && self.keys.as_bytes()[range(self.entries[entry].key)] == *chunk.as_bytes()
            {
                return Some(entry);
            }
            slot = (slot + 1) & (SLOTS - 1);
        }
    }

    /// The pieces of an entry.
    pub(super) fn found(&self, entry: usize) -> Found<'_> {
        let entry = &self.entries[entry];
        Found {
            ids: &self.pieces.ids[range(entry.pieces)],
            spans: &self.pieces.spans[range(entry.pieces)],
            surfaces: &self.pieces.surfaces[range(entry.surfaces)],
            text: &self.pieces.text,
            words: entry.words,
        }
    }

    /// Remembers a chunk that is not there; `None` if it is too large for that.
    pub(super) fn insert(&mut self, chunk: &str, hash: u64, items: &Items) -> Option<usize> {
        if items.ids.len() > MOST_OF_ONE || items.text.len() > MOST_OF_ONE {
            return None;
        }
        let full = self.entries.len() >= FULL
            || self.pieces.ids.len() > MOST_PIECES
            || self.pieces.text.len() > MOST_PIECES;
        if full || self.slots.is_empty() {
            self.clear();
        }
        let mut slot = hash as usize & (SLOTS - 1);
        while self.slots[slot][1] != 0 {
            slot = (slot + 1) & (SLOTS - 1);
        }
        let after = |start: usize, count: usize| (start as u32, (start + count) as u32);
        let text = self.pieces.text.len() as u32;
        self.entries.push(Entry {
            key: after(self.keys.len(), chunk.len()),
            pieces: after(self.pieces.ids.len(), items.ids.len()),
            surfaces: after(self.pieces.surfaces.len(), items.surfaces.len()),
            words: items.words,
        });
        self.keys.push_str(chunk);
        self.pieces.ids.extend_from_slice(&items.ids);
        self.pieces.spans.extend_from_slice(&items.spans);
        let surfaces = items.surfaces.iter();
        self.pieces
            .surfaces
            .extend(surfaces.map(|&(i, start, end)| (i, text + start, text + end)));
        self.pieces.text.push_str(&items.text);
        self.slots[slot] = [(hash >> 32) as u32, self.entries.len() as u32];
        Some(self.entries.len() - 1)
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.slots.resize(SLOTS, [0; 2]);
        self.entries.clear();
        self.keys.clear();
        self.pieces.clear();
    }
}

/// Which characters keep their two sides apart, worked out when first asked.
#[derive(Default)]
pub(crate) struct Borders {
    /// For each character of the first plane: 0 not asked yet, 1 no, 2 yes.
    known: Vec<u8>,
}

impl Borders {
    /// `answer` is asked once for each character; outside the first plane the answer is no.
    pub(super) fn get(&mut self, c: char, answer: impl FnOnce(char) -> bool) -> bool {
        if self.known.is_empty() {
            self.known.resize(1 << 16, 0);
        }
        let Some(known) = self.known.get_mut(c as usize) else {
            return false;
        };
        if *known == 0 {
            *known = 1 + u8::from(answer(c));
        }
        *known == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_and_forgets_within_bounds() {
        let mut table = Table::default();
        let items = |i: u32| Items {
            ids: vec![i, i + 1],
            spans: vec![Span { start: 0, end: 1, word: 0 }; 2],
            words: 1,
            surfaces: vec![(1, 0, 1)],
            text: "x".to_owned(),
        };
        for i in 0..100_000u32 {
            let key = format!(" w{i}");
            assert_eq!(table.find(&key, hash(&key)), None);
            let entry = table.insert(&key, hash(&key), &items(i)).unwrap();
            assert_eq!(table.found(entry).ids, [i, i + 1]);
            assert_eq!(table.find(&key, hash(&key)), Some(entry));
        }
        assert!(table.entries.len() <= FULL && table.keys.len() < FULL * LONGEST_KEY);
        let last = table.find(" w99999", hash(" w99999")).unwrap();
        let found = table.found(last);
        let (index, start, end) = found.surfaces[0];
        assert_eq!((index, &found.text[start as usize..end as usize]), (1, "x"));
    }
}
