//! LevelDB's sorted table, as TensorFlow writes it: blocks of keys and values, a block that lists them, a
//! footer that says where that one is.
//!
//! Source: `tensorflow/core/lib/io/format.h`; the format is described in LevelDB's `doc/table_format.md`.

use super::{
    MAX_NAME,
    block::{self, Builder, Each, put_varint, varint},
    masked,
};
use crate::{fault::Fault, positional::Source, trust::trusts};
use std::{borrow::Cow, io};

const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
const FOOTER: usize = 48;
/// How a block is packed, and its checksum.
const TRAILER: u64 = 5;
/// Bytes of a block, unpacked too. TensorFlow begins a new one after 256 KiB.
const MAX_BLOCK: u64 = 16 << 20;
/// Bytes of all blocks, unpacked.
const MAX_TABLE: u64 = 256 << 20;
const MAX_BLOCKS: usize = 1 << 16;
/// Bytes after which we begin a new block, as TensorFlow does.
const BLOCK: usize = 256 << 10;

/// Where a block is, without its trailer.
type Handle = (u64, u64);

pub(super) fn is_table(source: &Source, length: u64) -> io::Result<bool> {
    if length < FOOTER as u64 {
        return Ok(false);
    }
    let mut magic = [0; 8];
    source.read_exact_at(&mut magic, length - 8)?;
    Ok(u64::from_le_bytes(magic) == MAGIC)
}

/// Calls `each` with every key and value of a table, in ascending order of the keys.
pub(super) fn read(source: &Source, length: u64, each: Each<'_>) -> Result<(), Fault> {
    if !is_table(source, length)? {
        return Err(Fault::damaged(
            "it does not end with the mark of a table: it was cut short, or is something else",
        ));
    }
    let end = length - FOOTER as u64;
    let mut footer = [0; FOOTER];
    source.read_exact_at(&mut footer, end)?;
    let mut rest = &footer[..FOOTER - 8];
    let (Some(meta), Some(list)) = (handle(&mut rest), handle(&mut rest)) else {
        return Err(Fault::damaged("the footer of its table is wrong"));
    };
    let mut total = 0;
    let mut handles = Vec::new();
    // Blocks of other things, of which TensorFlow has none.
    let meta = unpacked(source, end, meta, &mut total)?;
    block::read(&meta, MAX_NAME, &mut |_, _| Ok(()))?;
    let list = unpacked(source, end, list, &mut total)?;
    block::read(&list, MAX_NAME, &mut |_, mut value| {
        let found = handle(&mut value).filter(|_| value.is_empty());
        let found = found.ok_or_else(|| Fault::damaged("the list of its blocks is wrong"))?;
        if handles.len() == MAX_BLOCKS {
            return Err(Fault::deceives(format!(
                "its table has more than {MAX_BLOCKS} blocks"
            )));
        }
        handles.push(found);
        Ok(())
    })?;
    let mut last: Option<Vec<u8>> = None;
    for handle in handles {
        let bytes = unpacked(source, end, handle, &mut total)?;
        block::read(&bytes, MAX_NAME, &mut |key, value| {
            if last.as_deref().is_some_and(|last| key <= last) {
                return Err(Fault::damaged(
                    "the names in its table are not in ascending order",
                ));
            }
            last = Some(key.to_vec());
            each(key, value)
        })?;
    }
    Ok(())
}

fn handle(bytes: &mut &[u8]) -> Option<Handle> {
    Some((varint(bytes)?, varint(bytes)?))
}

/// A block, checked and unpacked; `end` is where the footer begins.
fn unpacked(
    source: &Source,
    end: u64,
    (start, size): Handle,
    total: &mut u64,
) -> Result<Vec<u8>, Fault> {
    let stop = start
        .checked_add(size)
        .and_then(|stop| stop.checked_add(TRAILER));
    if stop.is_none_or(|stop| stop > end) {
        return Err(Fault::damaged(format!(
            "the block of its table at byte {start}, {size} bytes, lies beyond its end"
        )));
    }
    let too_large = |size: u64| {
        Fault::deceives(format!(
            "the block of its table at byte {start} has {size} bytes, or all blocks have more than \
             {MAX_TABLE}; at most {MAX_BLOCK} are allowed"
        ))
    };
    if size > MAX_BLOCK {
        return Err(too_large(size));
    }
    let mut buffer = Vec::new();
    let bytes = source.view(&mut buffer, start, (size + TRAILER) as usize)?;
    let (content, crc) = bytes.split_at(size as usize + 1);
    let found = masked(crc32c::crc32c(content));
    if crc != found.to_le_bytes() && !trusts() {
        return Err(Fault::damaged(format!(
            "the checksum of the block of its table at byte {start} is wrong"
        )));
    }
    let (block, packing) = content.split_at(size as usize);
    let block = match packing[0] {
        0 => Cow::Borrowed(block),
        1 => {
            let broken = |error| {
                Fault::damaged(format!(
                    "the block of its table at byte {start} is not valid Snappy: {error}"
                ))
            };
            let length = snap::raw::decompress_len(block).map_err(broken)? as u64;
            if length > MAX_BLOCK || length + *total > MAX_TABLE {
                return Err(too_large(length));
            }
            Cow::Owned(
                snap::raw::Decoder::new()
                    .decompress_vec(block)
                    .map_err(broken)?,
            )
        }
        other => {
            return Err(Fault::unsupported(format!(
                "the block of its table at byte {start} is packed in an unknown way ({other})"
            )));
        }
    };
    *total += block.len() as u64;
    if *total > MAX_TABLE {
        return Err(too_large(block.len() as u64));
    }
    Ok(block.into_owned())
}

/// A table of these keys, which are in ascending order, and values.
pub(super) fn write<'a>(entries: impl IntoIterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut list = Builder::default();
    let mut block = Builder::default();
    let mut close = |out: &mut Vec<u8>, block: Builder| {
        let (key, bytes) = block.finish();
        let mut value = Vec::new();
        put_handle(&mut value, append(out, &bytes));
        list.put(&key, &value);
    };
    for (key, value) in entries {
        block.put(key, &value);
        if block.len() >= BLOCK {
            close(&mut out, std::mem::take(&mut block));
        }
    }
    if block.len() > 0 {
        close(&mut out, block);
    }
    let meta = append(&mut out, &Builder::default().finish().1);
    let list = append(&mut out, &list.finish().1);
    let footer = out.len();
    put_handle(&mut out, meta);
    put_handle(&mut out, list);
    out.resize(footer + FOOTER - 8, 0);
    out.extend(MAGIC.to_le_bytes());
    out
}

/// Appends a block with its trailer.
fn append(out: &mut Vec<u8>, block: &[u8]) -> Handle {
    let start = out.len();
    out.extend_from_slice(block);
    out.push(0);
    let crc = masked(crc32c::crc32c(&out[start..]));
    out.extend(crc.to_le_bytes());
    (start as u64, block.len() as u64)
}

fn put_handle(out: &mut Vec<u8>, (start, size): Handle) {
    put_varint(out, start);
    put_varint(out, size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_many_blocks_round_trips() {
        let keys: Vec<String> = (0..3000).map(|n| format!("{n:05}")).collect();
        let value = |key: &str| key.repeat(50).into_bytes();
        let bytes = write(keys.iter().map(|key| (key.as_bytes(), value(key))));
        let length = bytes.len() as u64;
        assert!(length > 2 * BLOCK as u64, "several blocks");
        let source = Source::Memory(bytes.into());
        let mut found = 0;
        read(&source, length, &mut |key, bytes| {
            assert_eq!(key, keys[found].as_bytes());
            assert_eq!(bytes, value(&keys[found]));
            found += 1;
            Ok(())
        })
        .expect("valid");
        assert_eq!(found, keys.len());
    }
}
