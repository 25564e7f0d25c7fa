//! Working memory of one thread, kept between operations.

use crate::int8::Row;
use crate::pack::Line;
use crate::simd::{LANES, Words};

/// Working memory of one thread; it grows to the largest need and stays.
#[derive(Default)]
pub struct Scratch {
    flat: Vec<f32>,
    lines: Vec<Line>,
    words: Vec<Words>,
    rows: Vec<Row>,
}

/// What a product with packed words works in; contents are whatever was there.
pub(crate) struct WordScratch<'a> {
    pub(crate) flat: &'a mut [f32],
    pub(crate) lines: &'a mut [Line],
    pub(crate) words: &'a mut [Words],
    pub(crate) rows: &'a mut [Row],
}

/// The first `len` elements, after growing to them.
fn grown<T: Clone + Default>(memory: &mut Vec<T>, len: usize) -> &mut [T] {
    if memory.len() < len {
        memory.resize(len, T::default());
    }
    &mut memory[..len]
}

impl Scratch {
    /// `flat` elements that start on a cache line, and `lines` lines; contents are whatever was there.
    pub(crate) fn get(&mut self, flat: usize, lines: usize) -> (&mut [f32], &mut [Line]) {
        let memory = grown(&mut self.flat, flat + LANES);
        let start = memory.as_ptr().align_offset(size_of::<Line>()).min(LANES);
        (
            &mut memory[start..start + flat],
            grown(&mut self.lines, lines),
        )
    }

    /// As [`Scratch::get`], with `words` words and `rows` quantised rows; nothing is aligned to more than its type.
    pub(crate) fn words(
        &mut self,
        flat: usize,
        lines: usize,
        words: usize,
        rows: usize,
    ) -> WordScratch<'_> {
        WordScratch {
            flat: grown(&mut self.flat, flat),
            lines: grown(&mut self.lines, lines),
            words: grown(&mut self.words, words),
            rows: grown(&mut self.rows, rows),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.flat[..])
            + size_of_val(&self.lines[..])
            + size_of_val(&self.words[..])
            + size_of_val(&self.rows[..])
    }
}
