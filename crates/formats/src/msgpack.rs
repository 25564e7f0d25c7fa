//! Flax' `flax_model.msgpack`, from bytes to checked tensors: maps in maps in MessagePack, whose leaves are
//! NumPy arrays in an extension type of Flax'.
//!
//! A tensor's name is the keys on the way to it, joined with `.`. Leaves that are no arrays are passed over.
//! Arrays of more than 2^30 bytes are maps of chunks (`__msgpack_chunked_array__`).
//! Source: `flax/serialization.py`; <https://github.com/msgpack/msgpack/blob/master/spec.md>

mod array;
mod token;
mod tree;
mod write;

use crate::{FormatError, contents::Contents, positional::Source};
use std::{io, path::Path};

pub use write::write_msgpack;

pub(crate) const FORMAT: &str = "a Flax file (MessagePack)";
/// The first key of an array in chunks.
const CHUNKED: &str = "__msgpack_chunked_array__";
/// Bytes of a key.
const MAX_KEY: usize = 1 << 10;
const MAX_DEPTH: usize = 32;

/// Whether a file begins like a map with a text for a key. The first eight bytes of safetensors are a
/// length, those of a map never a possible one.
pub(crate) fn is_msgpack(source: &Source, length: u64) -> io::Result<bool> {
    let mut start = [0; 9];
    let present = length.min(start.len() as u64) as usize;
    source.read_exact_at(&mut start[..present], 0)?;
    let header = u64::from_le_bytes(*start.first_chunk().expect("8 bytes"));
    if present >= 8 && header <= crate::header::MAX_HEADER {
        return Ok(false);
    }
    let key = match start[0] {
        0x81..=0x8f => start[1],
        0xde => start[3],
        0xdf => start[5],
        _ => return Ok(false),
    };
    Ok(matches!(key, 0xa0..=0xbf | 0xd9..=0xdb))
}

/// Reads and checks everything but the tensors' values.
pub(crate) fn read(source: &Source, length: u64, path: &Path) -> Result<Contents, FormatError> {
    tree::read(source, length).map_err(|fault| fault.at(FORMAT, path))
}
