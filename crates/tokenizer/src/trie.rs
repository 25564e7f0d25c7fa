//! All vocabulary entries that a text starts with, found in one walk: a double array over bytes.

use std::collections::VecDeque;

/// No entry ends at this node.
const NONE: u32 = u32::MAX;
/// Parent of the root: taken, but by no node.
const ROOT: u32 = u32::MAX - 1;
/// Blocks of 256 slots in which a new family of nodes may still be placed. Older blocks count as
/// full, so building is linear, at the price of a few holes.
const OPEN_BLOCKS: usize = 16;

/// One slot. The child of node `s` for byte `c` is slot `s.base ^ c` if that slot's `parent` is `s`.
#[derive(Clone, Copy, Debug)]
struct Slot {
    base: u32,
    parent: u32,
    value: u32,
}

const FREE: Slot = Slot {
    base: 0,
    parent: NONE,
    value: NONE,
};

/// A set of byte strings with numbers, immutable after it was built.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    slots: Vec<Slot>,
}

impl Default for Trie {
    fn default() -> Self {
        Self::new([])
    }
}

impl Trie {
    /// From entries with numbers below `u32::MAX`; of equal entries the last one counts.
    pub(crate) fn new<'a>(entries: impl IntoIterator<Item = (&'a [u8], u32)>) -> Self {
        let mut entries: Vec<(&[u8], u32)> = entries.into_iter().collect();
        // A stable sort keeps equal entries in order, and the last value written stays.
        entries.sort_by(|a, b| a.0.cmp(b.0));
        Builder::build(&entries)
    }

    /// Calls `found(length in bytes, number)` for each entry that `text` starts with, shortest
    /// first; the empty entry is never found.
    #[inline]
    pub(crate) fn prefixes(&self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut node = 0;
        let Some(mut base) = self.slots.first().map(|slot| slot.base) else {
            return;
        };
        for (index, &byte) in text.iter().enumerate() {
            let child = base ^ u32::from(byte);
            let Some(slot) = self.slots.get(child as usize) else {
                return;
            };
            if slot.parent != node {
                return;
            }
            if slot.value != NONE {
                found(index + 1, slot.value);
            }
            node = child;
            base = slot.base;
        }
    }

    /// The number of exactly this entry.
    pub(crate) fn get(&self, entry: &[u8]) -> Option<u32> {
        let mut node = 0;
        for &byte in entry {
            let child = self.slots[node].base ^ u32::from(byte);
            if self.slots.get(child as usize)?.parent as usize != node {
                return None;
            }
            node = child as usize;
        }
        Some(self.slots[node].value).filter(|&value| value != NONE)
    }
}

/// Entries and their numbers, in the order of the bytes.
type Entries<'e, 'a> = &'e [(&'a [u8], u32)];

struct Builder {
    slots: Vec<Slot>,
    /// For each open block, newest last: its first slot and how many slots are free.
    open: VecDeque<(usize, usize)>,
}

impl Builder {
    fn build(entries: Entries) -> Trie {
        let mut builder = Self {
            slots: Vec::new(),
            open: VecDeque::new(),
        };
        builder.add_block();
        builder.slots[0].parent = ROOT;
        if let Some(block) = builder.open.back_mut() {
            block.1 -= 1;
        }
        // Nodes whose children are not placed yet: node, depth, entries below it.
        let mut todo = vec![(0_usize, 0_usize, entries)];
        let mut families: Vec<(u8, Entries)> = Vec::new();
        while let Some((node, depth, mut below)) = todo.pop() {
            while let Some(((entry, value), rest)) = below.split_first() {
                if entry.len() > depth {
                    break;
                }
                builder.slots[node].value = *value;
                below = rest;
            }
            families.clear();
            while let Some((first, _)) = below.first() {
                let byte = first[depth];
                let end = below.partition_point(|(entry, _)| entry[depth] <= byte);
                families.push((byte, &below[..end]));
                below = &below[end..];
            }
            if families.is_empty() {
                continue; // no slot names this node as its parent, whatever its base
            }
            let base = builder.place(&families);
            builder.slots[node].base = base as u32;
            for &(byte, family) in &families {
                let child = base ^ usize::from(byte);
                builder.slots[child].parent = node as u32;
                todo.push((child, depth + 1, family));
            }
        }
        builder.slots.shrink_to_fit();
        Trie {
            slots: builder.slots,
        }
    }

    fn add_block(&mut self) {
        let first = self.slots.len();
        self.slots.resize(first + 256, FREE);
        self.open.push_back((first, 256));
        if self.open.len() > OPEN_BLOCKS {
            self.open.pop_front();
        }
    }

    /// A base under which the slots of all these bytes are free; takes the slots.
    fn place(&mut self, families: &[(u8, Entries)]) -> usize {
        let first_byte = usize::from(families[0].0);
        let mut place = None;
        'search: for (index, &(block, free)) in self.open.iter().enumerate() {
            if free < families.len() {
                continue;
            }
            for slot in block..block + 256 {
                if self.slots[slot].parent != NONE {
                    continue;
                }
                let base = slot ^ first_byte;
                let fits = families
                    .iter()
                    .all(|&(byte, _)| self.slots[base ^ usize::from(byte)].parent == NONE);
                if fits {
                    place = Some((index, base));
                    break 'search;
                }
            }
        }
        let (index, base) = place.unwrap_or_else(|| {
            self.add_block();
            let index = self.open.len() - 1;
            (index, self.open[index].0)
        });
        self.open[index].1 -= families.len();
        base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(trie: &Trie, text: &str) -> Vec<(usize, u32)> {
        let mut out = Vec::new();
        trie.prefixes(text.as_bytes(), |length, value| out.push((length, value)));
        out
    }

    #[test]
    fn prefixes_come_shortest_first() {
        let entries = [("a", 1), ("abc", 2), ("b", 3), ("\0", 4), ("ä", 5), ("", 9)];
        let trie = Trie::new(entries.map(|(text, id)| (text.as_bytes(), id)));
        assert_eq!(found(&trie, "abcd"), [(1, 1), (3, 2)]);
        assert_eq!(found(&trie, "ab"), [(1, 1)]);
        assert_eq!(found(&trie, "äa"), [(2, 5)]);
        assert_eq!(found(&trie, "\0\0"), [(1, 4)]);
        assert_eq!(found(&trie, "c"), []);
        assert_eq!(found(&trie, ""), []);
        assert_eq!(trie.get(b"abc"), Some(2));
        assert_eq!(trie.get(b"ab"), None);
        assert_eq!(trie.get(b""), Some(9));
        assert_eq!(found(&Trie::default(), "abc"), []);
    }

    #[test]
    fn the_last_of_equal_entries_counts() {
        let trie = Trie::new([(&b"x"[..], 1), (b"y", 2), (b"x", 3)]);
        assert_eq!(trie.get(b"x"), Some(3));
    }

    proptest::proptest! {
        #[test]
        fn equals_a_search_through_the_list(
            entries in proptest::collection::btree_map(
                proptest::collection::vec(proptest::prelude::any::<u8>(), 1..4), 0_u32..1000, 0..300),
            text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..6),
        ) {
            let trie = Trie::new(entries.iter().map(|(key, &value)| (key.as_slice(), value)));
            let mut ours = Vec::new();
            trie.prefixes(&text, |length, value| ours.push((length, value)));
            let expected: Vec<(usize, u32)> = (1..=text.len())
                .filter_map(|length| entries.get(&text[..length]).map(|&value| (length, value)))
                .collect();
            proptest::prop_assert_eq!(ours, expected);
            for (key, &value) in &entries {
                proptest::prop_assert_eq!(trie.get(key), Some(value));
            }
        }
    }
}
