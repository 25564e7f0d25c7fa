//! How a tensor's elements lie in its file, where they do not follow one another.

use crate::{chunked::Chunked, positional::Source, strided::Strided};
use std::io;

/// Bytes per read: large enough that system calls do not count, small enough to stay in the L2 cache
/// between the read and the conversion.
pub(crate) const CHUNK: usize = 1 << 17;

/// The form of a tensor that is not one row-major run of bytes.
#[derive(Debug)]
pub(crate) enum Placement {
    /// How many elements a step along each of the dimensions is.
    Strides(Vec<u64>),
    /// Row-major, in several runs: the number of the first element of each and where it begins, in
    /// ascending order from element 0.
    Pieces(Vec<(usize, u64)>),
    /// Blocks of a grid, perhaps compressed.
    Chunked(Chunked),
}

impl Placement {
    /// Reads the elements of `N` bytes from the row-major number `first`. Opening has checked that all
    /// are within the file; `start` is where element 0 of a strided tensor begins.
    pub(crate) fn read<const N: usize, T>(
        &self,
        source: &Source,
        start: u64,
        shape: &[usize],
        first: usize,
        out: &mut [T],
        convert: impl Fn([u8; N]) -> T,
    ) -> io::Result<()> {
        match self {
            Self::Strides(strides) => Strided {
                source,
                start,
                shape,
                strides,
            }
            .read(first, out, convert),
            Self::Pieces(pieces) => read_pieces(source, pieces, first, out, &convert),
            Self::Chunked(chunked) => chunked.read(source, shape, first, out, &convert),
        }
    }
}

/// Reads elements of `N` bytes that follow one another from `offset`; `see` gets all bytes on the way.
pub(crate) fn read_run<const N: usize, T>(
    source: &Source,
    mut offset: u64,
    out: &mut [T],
    convert: &impl Fn([u8; N]) -> T,
    mut see: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = Vec::new();
    for part in out.chunks_mut(CHUNK / N) {
        let bytes = source.view(&mut buffer, offset, part.len() * N)?;
        see(bytes);
        for (value, bytes) in part.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *value = convert(*bytes);
        }
        offset += bytes.len() as u64;
    }
    Ok(())
}

fn read_pieces<const N: usize, T>(
    source: &Source,
    pieces: &[(usize, u64)],
    mut first: usize,
    mut out: &mut [T],
    convert: &impl Fn([u8; N]) -> T,
) -> io::Result<()> {
    while !out.is_empty() {
        let after = pieces.partition_point(|(begin, _)| *begin <= first);
        let (begin, offset) = pieces[after - 1];
        let room = pieces
            .get(after)
            .map_or(out.len(), |(next, _)| next - first);
        let (now, later) = out.split_at_mut(room.min(out.len()));
        let offset = offset + (first - begin) as u64 * N as u64;
        first += now.len();
        read_run(source, offset, now, convert, |_| {})?;
        out = later;
    }
    Ok(())
}
