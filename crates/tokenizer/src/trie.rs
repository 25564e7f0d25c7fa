//! All vocabulary entries that are a prefix of a text, in one walk.

/// A set of byte strings with numbers, immutable after it was built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {}

impl Trie {
    /// From entries without duplicates.
    pub(crate) fn new<'a>(_entries: impl IntoIterator<Item = (&'a [u8], u32)>) -> Self {
        Self {}
    }

    /// Calls `found(length in bytes, number)` for each entry that `text` starts with, shortest
    /// first.
    pub(crate) fn prefixes(&self, _text: &[u8], _found: impl FnMut(usize, u32)) {}

    /// The number of exactly this entry.
    pub(crate) fn get(&self, _entry: &[u8]) -> Option<u32> {
        None
    }
}
