//! Elements in the blocks of a grid, as they are or compressed: HDF5's chunked datasets.

use crate::positional::Source;
use flate2::{Decompress, FlushDecompress, Status};
use std::io;

/// Bytes of one chunk when unpacked. `h5py` makes chunks of at most 1 MiB by itself.
pub(crate) const MAX_CHUNK: u64 = 1 << 26;

/// A tensor's grid of chunks. Opening has checked that there is a chunk for each place of the grid, that
/// each lies within the file, and that a chunk has at most [`MAX_CHUNK`] bytes.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// Sizes of a chunk, as many as the tensor has, none of them 0.
    pub(crate) chunk: Vec<usize>,
    /// Start and length of each chunk in the file, in row-major order of the grid.
    pub(crate) places: Vec<(u64, u64)>,
    /// Whether the bytes of a chunk are compressed as a zlib stream.
    pub(crate) deflate: bool,
    /// Whether the first bytes of all elements come first, then the second ones, and so on.
    pub(crate) shuffle: bool,
}

impl Chunked {
    /// Reads the elements of `N` bytes from the row-major number `first` of a tensor of this shape, of
    /// one dimension at least.
    pub(crate) fn read<const N: usize, T>(
        &self,
        source: &Source,
        shape: &[usize],
        first: usize,
        out: &mut [T],
        convert: &impl Fn([u8; N]) -> T,
    ) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let grid: Vec<usize> = (shape.iter().zip(&self.chunk))
            .map(|(size, chunk)| size.div_ceil(*chunk))
            .collect();
        let row: usize = shape[1..].iter().product();
        let in_layer: usize = grid[1..].iter().product();
        let last = first + out.len() - 1;
        let layers = first / row / self.chunk[0]..=last / row / self.chunk[0];
        for layer in layers {
            for number in layer * in_layer..(layer + 1) * in_layer {
                let bytes = self.unpacked(source, self.places[number], N)?;
                let mut corner = vec![0; shape.len()];
                let mut rest = number;
                for axis in (0..shape.len()).rev() {
                    corner[axis] = rest % grid[axis] * self.chunk[axis];
                    rest /= grid[axis];
                }
                self.place(&bytes, shape, &corner, first, out, convert);
            }
        }
        Ok(())
    }

    /// Puts the elements of the chunk at `corner` that are asked for into their places.
    fn place<const N: usize, T>(
        &self,
        bytes: &[u8],
        shape: &[usize],
        corner: &[usize],
        first: usize,
        out: &mut [T],
        convert: &impl Fn([u8; N]) -> T,
    ) {
        let end = first + out.len();
        let inner = shape.len() - 1;
        let width = self.chunk[inner];
        // What hangs over the tensor's edge is filling.
        let used = width.min(shape[inner] - corner[inner]);
        let elements = bytes.as_chunks::<N>().0;
        for (number, row) in elements.chunks_exact(width).enumerate() {
            let (mut rest, mut step, mut at, mut inside) = (number, shape[inner], 0, true);
            for axis in (0..inner).rev() {
                let index = corner[axis] + rest % self.chunk[axis];
                rest /= self.chunk[axis];
                inside &= index < shape[axis];
                at += index * step;
                step *= shape[axis];
            }
            let begin = at + corner[inner];
            let (from, to) = (begin.max(first), (begin + used).min(end));
            if inside && from < to {
                for (slot, element) in out[from - first..to - first]
                    .iter_mut()
                    .zip(&row[from - begin..])
                {
                    *slot = convert(*element);
                }
            }
        }
    }

    /// The bytes of one chunk, elements of `item` bytes as they are.
    fn unpacked(
        &self,
        source: &Source,
        (start, length): (u64, u64),
        item: usize,
    ) -> io::Result<Vec<u8>> {
        let size = self.chunk.iter().product::<usize>() * item;
        let mut buffer = Vec::new();
        let stored = source.view(&mut buffer, start, length as usize)?;
        let mut bytes = if self.deflate {
            inflate(stored, size)?
        } else {
            stored.to_vec()
        };
        if self.shuffle && item > 1 {
            let count = size / item;
            let mut whole = vec![0; size];
            for (at, element) in whole.chunks_exact_mut(item).enumerate() {
                for (byte, slot) in element.iter_mut().enumerate() {
                    *slot = bytes[byte * count + at];
                }
            }
            bytes = whole;
        }
        Ok(bytes)
    }
}

/// The zlib stream's contents, which must have `size` bytes.
fn inflate(stored: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut bytes = vec![0; size];
    let mut stream = Decompress::new(true);
    let status = stream
        .decompress(stored, &mut bytes, FlushDecompress::Finish)
        .map_err(|error| wrong(format!("a compressed chunk is damaged: {error}")))?;
    if status != Status::StreamEnd || stream.total_out() != size as u64 {
        return Err(wrong(format!(
            "a compressed chunk does not have the {size} bytes of its shape"
        )));
    }
    Ok(bytes)
}
