//! Elements that do not lie row-major in the file, in the order of the tensor.
//!
//! Weights that were converted from TensorFlow are transposed views of what the file holds.

use crate::positional::Source;
use std::io;

/// Elements that are gathered at once: rows of a transposed matrix come together from the file, so
/// that each part of it is read once for many rows.
const GATHER: usize = 1 << 18;
/// Bytes that are read at most at once.
const SPAN: u64 = 1 << 17;
/// Bytes between two elements that are read over rather than left out: about as long as a system call.
const GAP: u64 = 1 << 13;

/// A tensor's elements in a file. Opening has checked that all are within the file, so no sum below
/// can overflow.
pub(crate) struct Strided<'a> {
    pub(crate) source: &'a Source,
    /// Where element 0 begins.
    pub(crate) start: u64,
    pub(crate) shape: &'a [usize],
    pub(crate) strides: &'a [u64],
}

/// One of the nested loops over a block of elements.
struct Axis {
    length: usize,
    /// Bytes from one element to the next, in the file.
    stride: u64,
    /// Elements from one to the next, in the tensor.
    step: usize,
    index: usize,
}

impl Strided<'_> {
    /// Reads the elements of `N` bytes from the row-major number `first`.
    pub(crate) fn read<const N: usize, T>(
        &self,
        first: usize,
        out: &mut [T],
        convert: impl Fn([u8; N]) -> T,
    ) -> io::Result<()> {
        for (number, part) in out.chunks_mut(GATHER).enumerate() {
            self.split(0, first + number * GATHER, part, &convert)?;
        }
        Ok(())
    }

    /// Cuts a run of elements, all of one row of the axes before `axis`, into whole rows of `axis` and
    /// shorter runs before and after them.
    fn split<const N: usize, T>(
        &self,
        axis: usize,
        first: usize,
        out: &mut [T],
        convert: &impl Fn([u8; N]) -> T,
    ) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let row: usize = self.shape[axis + 1..].iter().product();
        let before = (row - first % row) % row;
        let (before, rest) = out.split_at_mut(before.min(out.len()));
        let (rows, after) = rest.split_at_mut(rest.len() - rest.len() % row);
        let starts = [first + before.len(), first + before.len() + rows.len()];
        self.split(axis + 1, first, before, convert)?;
        self.rows(axis, starts[0], rows, convert)?;
        self.split(axis + 1, starts[1], after, convert)
    }

    /// Reads whole rows of `axis` in the order of the file.
    fn rows<const N: usize, T>(
        &self,
        axis: usize,
        first: usize,
        out: &mut [T],
        convert: &impl Fn([u8; N]) -> T,
    ) -> io::Result<()> {
        let places = self.places(axis, first, out.len(), N as u64);
        let mut rest = places.as_slice();
        let mut buffer = Vec::new();
        while let Some(&(start, _)) = rest.first() {
            let (mut end, mut together) = (start, 0);
            for &(place, _) in rest {
                if together > 0 && (place < start || place > end + GAP || place - start >= SPAN) {
                    break;
                }
                end = end.max(place + N as u64);
                together += 1;
            }
            let (now, later) = rest.split_at(together);
            rest = later;
            let length = (end - start) as usize;
            let bytes = self.source.view(&mut buffer, start, length)?;
            for &(place, slot) in now {
                let element = bytes[(place - start) as usize..].first_chunk();
                out[slot as usize] = convert(*element.expect("within the span"));
            }
        }
        Ok(())
    }

    /// Where `count` elements of `size` bytes begin, each with its number from 0: whole rows of `axis`
    /// in the order of the file, or nearly so where their strides overlap.
    fn places(&self, axis: usize, first: usize, count: usize, size: u64) -> Vec<(u64, u32)> {
        let (mut place, mut rest, mut step) = (self.start, first, 1);
        let mut axes = Vec::new();
        for (at, (&length, &stride)) in self.shape.iter().zip(self.strides).enumerate().rev() {
            let stride = stride * size;
            place += (rest % length) as u64 * stride;
            rest /= length;
            if at >= axis {
                let length = if at == axis { count / step } else { length };
                axes.push(Axis {
                    length,
                    stride,
                    step,
                    index: 0,
                });
                step *= length;
            }
        }
        axes.sort_by_key(|axis| axis.stride);
        let mut slot = 0;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            places.push((place, slot as u32));
            for axis in &mut axes {
                axis.index += 1;
                place += axis.stride;
                slot += axis.step;
                if axis.index < axis.length {
                    break;
                }
                place -= axis.length as u64 * axis.stride;
                slot -= axis.length * axis.step;
                axis.index = 0;
            }
        }
        places
    }
}
