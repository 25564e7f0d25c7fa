//! Chunks that one thread has seen, with their pieces; bounded.

use std::{collections::HashMap, ops::Range};

use super::{Items, Span, Split, Work};

/// Longest chunk that is remembered, in bytes.
pub(crate) const LONGEST_KEY: usize = 64;
/// Longest chunk whose bytes are its key, in bytes.
const LONGEST_SHORT: usize = 15;
/// Slots of the table of short chunks at first and at most; powers of two.
const SLOTS: (usize, usize) = (1 << 10, 1 << 18);
/// The memory is emptied when it holds so many chunks: those that matter come back soon.
const MOST_CHUNKS: usize = SLOTS.1 / 2;
/// The same for pieces of all chunks, and for bytes of unknown text and of long chunks.
const MOST_PIECES: usize = 1 << 20;
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

/// Chunks and their pieces. Short chunks stand in slots of half a cache line, since most of the
/// time of a lookup is waiting for memory; long ones in an ordinary map.
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    /// Taken slots.
    short: usize,
    long: HashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    pieces: Items,
}

/// A short chunk; a key of 0 is a free slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u128,
    /// The first pieces.
    ids: [u32; 2],
    entry: u32,
    /// Number of pieces.
    count: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    pieces: (u32, u32),
    surfaces: (u32, u32),
    words: u32,
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

/// The bytes of a short chunk and their number: different for different chunks, never 0 for one
/// that is not empty.
pub(super) fn key(chunk: &str) -> Option<u128> {
    if chunk.len() > LONGEST_SHORT {
        return None;
    }
    let mut bytes = [0; 16];
    bytes[..chunk.len()].copy_from_slice(chunk.as_bytes());
    bytes[LONGEST_SHORT] = chunk.len() as u8;
    Some(u128::from_le_bytes(bytes))
}

/// Mixes all bits of a key. Colliding on purpose gains nothing but time, within the bounds.
fn hash(key: u128) -> usize {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let (low, high) = (key as u64, (key >> 64) as u64);
    let wide = u128::from(low ^ K) * u128::from(high.rotate_left(32) ^ 0xd6e8_feb8_6659_fd93);
    (wide as u64 ^ (wide >> 64) as u64) as usize
}

impl Table {
    fn slot(&self, key: u128) -> Option<&Slot> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash(key) & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.key == key {
                return Some(slot);
            }
            if slot.key == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// The ids of a short chunk, if there are few.
    #[inline]
    pub(super) fn few(&self, key: u128) -> Option<&[u32]> {
        let slot = self.slot(key)?;
        slot.ids.get(..slot.count as usize)
    }

    /// The entry of a chunk; `key` is its [`key`].
    pub(super) fn find(&self, chunk: &str, key: Option<u128>) -> Option<u32> {
        match key {
            Some(key) => self.slot(key).map(|slot| slot.entry),
            None => self.long.get(chunk).copied(),
        }
    }

    /// The pieces of an entry.
    pub(super) fn found(&self, entry: u32) -> Found<'_> {
        let entry = &self.entries[entry as usize];
        Found {
            ids: &self.pieces.ids[range(entry.pieces)],
            spans: &self.pieces.spans[range(entry.pieces)],
            surfaces: &self.pieces.surfaces[range(entry.surfaces)],
            text: &self.pieces.text,
            words: entry.words,
        }
    }

    /// Remembers a chunk that is not there; `None` if it is too large for that.
    pub(super) fn insert(&mut self, chunk: &str, key: Option<u128>, items: &Items) -> Option<u32> {
        if items.ids.len() > MOST_OF_ONE || items.text.len() > MOST_OF_ONE {
            return None;
        }
        if self.entries.len() >= MOST_CHUNKS
            || self.pieces.ids.len() > MOST_PIECES
            || self.pieces.text.len() > MOST_PIECES
        {
            self.clear();
        }
        let after = |start: usize, count: usize| (start as u32, (start + count) as u32);
        let text = self.pieces.text.len() as u32;
        let entry = self.entries.len() as u32;
        self.entries.push(Entry {
            pieces: after(self.pieces.ids.len(), items.ids.len()),
            surfaces: after(self.pieces.surfaces.len(), items.surfaces.len()),
            words: items.words,
        });
        self.pieces.ids.extend_from_slice(&items.ids);
        self.pieces.spans.extend_from_slice(&items.spans);
        let surfaces = items.surfaces.iter();
        self.pieces
            .surfaces
            .extend(surfaces.map(|&(i, start, end)| (i, text + start, text + end)));
        self.pieces.text.push_str(&items.text);
        match key {
            Some(key) => self.place(Slot {
                key,
                ids: std::array::from_fn(|i| items.ids.get(i).copied().unwrap_or(0)),
                entry,
                count: items.ids.len() as u32,
            }),
            None => {
                self.long.insert(chunk.into(), entry);
            }
        }
        Some(entry)
    }

    /// Puts a slot in its place; at most half of the slots are taken.
    fn place(&mut self, slot: Slot) {
        if self.short * 2 >= self.slots.len() && self.slots.len() < SLOTS.1 {
            let old = std::mem::take(&mut self.slots);
            let size = (old.len() * 4).clamp(SLOTS.0, SLOTS.1);
            self.slots.resize(size, Slot::default());
            self.short = 0;
            old.into_iter()
                .filter(|s| s.key != 0)
                .for_each(|s| self.place(s));
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(slot.key) & mask;
        while self.slots[at].key != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
        self.short += 1;
    }

    fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.short = 0;
        self.long.clear();
        self.entries.clear();
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
            spans: vec![
                Span {
                    start: 0,
                    end: 1,
                    word: 0
                };
                2
            ],
            words: 1,
            surfaces: vec![(1, 0, 1)],
            text: "x".to_owned(),
        };
        for i in 0..300_000u32 {
            let word = if i % 7 == 0 {
                " a very long word indeed"
            } else {
                " w"
            };
            let text = format!("{word}{i}");
            let key = key(&text);
            assert_eq!(key.is_none(), text.len() > LONGEST_SHORT);
            assert_eq!(table.find(&text, key), None);
            let entry = table.insert(&text, key, &items(i)).unwrap();
            assert_eq!(table.found(entry).ids, [i, i + 1]);
            assert_eq!(table.find(&text, key), Some(entry));
            if let Some(key) = key {
                assert_eq!(table.few(key), Some([i, i + 1].as_slice()));
            }
        }
        assert!(table.entries.len() <= MOST_CHUNKS && table.slots.len() <= SLOTS.1);
        let last = table.find(" w299998", key(" w299998")).unwrap();
        let found = table.found(last);
        let (index, start, end) = found.surfaces[0];
        assert_eq!((index, &found.text[start as usize..end as usize]), (1, "x"));
    }

    #[test]
    fn keys_differ() {
        let texts = ["a", "a\0", "\0", "\0\0", "b", " a"];
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                assert_eq!(key(a) == key(b), i == j);
            }
            assert_ne!(key(a), Some(0));
        }
    }
}
