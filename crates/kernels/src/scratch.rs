//! Working memory of one thread, kept between operations.

use crate::pack::Line;
use crate::simd::LANES;

/// Working memory of one thread; it grows to the largest need and stays.
#[derive(Default)]
pub struct Scratch {
    flat: Vec<f32>,
    lines: Vec<Line>,
}

impl Scratch {
    /// `flat` elements that start on a cache line, and `lines` lines; contents are whatever was there.
    pub(crate) fn get(&mut self, flat: usize, lines: usize) -> (&mut [f32], &mut [Line]) {
        if self.flat.len() < flat + LANES {
            self.flat.resize(flat + LANES, 0.0);
        }
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::default());
        }
        let start = self
            .flat
            .as_ptr()
            .align_offset(size_of::<Line>())
            .min(LANES);
        (
            &mut self.flat[start..start + flat],
            &mut self.lines[..lines],
        )
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.flat[..]) + size_of_val(&self.lines[..])
    }
}
