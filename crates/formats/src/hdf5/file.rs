//! An HDF5 file whose structures are read by address, with a budget that ends every loop.

use super::{NOWHERE, SIGNATURE, checksum};
use crate::{fault::Fault, positional::Source, trust::trusts};

/// Bytes of structures that are read in one file, each block counted as [`LEAST`] at least. A model of a
/// hundred tensors takes about 100 kB.
const BUDGET: u64 = 32 << 20;
const LEAST: u64 = 64;
/// Chunks of all datasets.
const MAX_CHUNKS: usize = 1 << 20;
/// Bytes of one structure.
const MAX_BLOCK: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) source: &'a Source,
    pub(super) length: u64,
    /// Where the root group's header is.
    pub(super) root: u64,
    budget: u64,
    /// Chunks that may still be listed.
    chunks: usize,
}

impl<'a> File<'a> {
    /// Reads the superblock.
    pub(super) fn open(source: &'a Source, length: u64) -> Result<Self, Fault> {
        let mut file = Self {
            source,
            length,
            root: 0,
            budget: BUDGET,
            chunks: MAX_CHUNKS,
        };
        let start = file.block(0, 12, "superblock")?;
        let version = start[8];
        let (sizes, size) = match version {
            0 => (13, 96),
            1 => (13, 100),
            2 | 3 => (9, 48),
            _ => {
                return Err(Fault::unsupported(format!(
                    "its superblock has version {version}, expected 0 to 3"
                )));
            }
        };
        let block = file.block(0, size, "superblock")?;
        debug_assert!(block.starts_with(SIGNATURE));
        if block[sizes..sizes + 2] != [8, 8] {
            return Err(Fault::unsupported(format!(
                "its addresses have {} bytes and its lengths {}, expected 8 and 8",
                block[sizes],
                block[sizes + 1]
            )));
        }
        let (base, end, root) = match version {
            2 | 3 => {
                check(&block, "superblock", 0)?;
                (12, 28, 36)
            }
            _ => {
                let more = 4 * usize::from(version);
                (24 + more, 40 + more, 64 + more)
            }
        };
        let [base, end, root] = [base, end, root].map(|at| u64_at(&block, at));
        if base != 0 {
            return Err(Fault::unsupported(format!(
                "its data begin at byte {base}, after a block of its user's"
            )));
        }
        if end > length {
            return Err(Fault::damaged(format!(
                "it has {length} bytes but its superblock describes {end}: it was cut short"
            )));
        }
        file.root = root;
        Ok(file)
    }

    /// `size` bytes at an address; `what` they are.
    pub(super) fn block(&mut self, at: u64, size: u64, what: &str) -> Result<Vec<u8>, Fault> {
        if at == NOWHERE {
            return Err(Fault::damaged(format!("it lacks a {what}")));
        }
        if at.checked_add(size).is_none_or(|end| end > self.length) {
            return Err(Fault::damaged(format!(
                "its {what} at byte {at}, {size} bytes, lies beyond the end at {}",
                self.length
            )));
        }
        let cost = size.max(LEAST);
        if size > MAX_BLOCK || cost > self.budget {
            return Err(Fault::deceives(format!(
                "its {what} at byte {at}, {size} bytes, is too large, or all structures together are: at \
                 most {MAX_BLOCK} and {BUDGET} bytes are allowed"
            )));
        }
        self.budget -= cost;
        let mut bytes = vec![0; size as usize];
        self.source.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Takes what a loop costs from the budget of bytes.
    pub(super) fn spend(&mut self, cost: u64, what: &str) -> Result<(), Fault> {
        let rest = self.budget.checked_sub(cost);
        self.budget = rest.ok_or_else(|| {
            Fault::deceives(format!(
                "its {what} are too many: all structures may have {BUDGET} bytes"
            ))
        })?;
        Ok(())
    }

    /// Counts the chunks of a dataset.
    pub(super) fn list_chunks(&mut self, count: usize) -> Result<(), Fault> {
        let rest = self.chunks.checked_sub(count);
        self.chunks =
            rest.ok_or_else(|| Fault::deceives(format!("it has more than {MAX_CHUNKS} chunks")))?;
        Ok(())
    }

    /// As [`block`](Self::block), of a structure that begins with `signature`.
    pub(super) fn signed(
        &mut self,
        at: u64,
        size: u64,
        signature: &[u8; 4],
        what: &str,
    ) -> Result<Vec<u8>, Fault> {
        let bytes = self.block(at, size, what)?;
        if bytes.starts_with(signature) {
            Ok(bytes)
        } else {
            Err(Fault::damaged(format!(
                "there is no {what} at byte {at}: it does not begin with {}",
                signature.escape_ascii()
            )))
        }
    }
}

/// Checks the checksum in the last four bytes of a structure.
pub(super) fn check(block: &[u8], what: &str, at: u64) -> Result<(), Fault> {
    let (content, sum) = block
        .split_last_chunk::<4>()
        .ok_or_else(|| Fault::damaged(format!("its {what} at byte {at} was cut short")))?;
    if checksum::lookup3(content) == u32::from_le_bytes(*sum) || trusts() {
        Ok(())
    } else {
        Err(Fault::damaged(format!(
            "the checksum of its {what} at byte {at} is wrong"
        )))
    }
}

/// Bytes that are read from the front; the end is an error that says what was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8], what: &'static str) -> Self {
        Self { rest, what }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let Some((now, rest)) = self.rest.split_at_checked(count) else {
            return Err(Fault::damaged(format!("its {} is cut short", self.what)));
        };
        self.rest = rest;
        Ok(now)
    }

    /// A little-endian number of 1 to 8 bytes.
    pub(super) fn number(&mut self, bytes: usize) -> Result<u64, Fault> {
        Ok(number(self.take(bytes)?))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(self.number(2)? as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(self.number(4)? as u32)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.number(8)
    }

    /// An error about what is being read.
    pub(super) fn wrong(&self, problem: &str) -> Fault {
        Fault::damaged(format!("its {} {problem}", self.what))
    }
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(wide)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number(&bytes[at..at + 8])
}
