//! HDF5's B-trees, walked from the root to every leaf in order. Levels fall by one from parent to child,
//! so that no walk goes round in circles.

use super::{
    NOWHERE,
    file::{Cursor, File, check},
};
use crate::fault::Fault;

/// Levels of a tree: each has at least two children in a node.
const MAX_DEPTH: u16 = 32;
/// Bytes of the shortest record that is read: a hash and a place in a heap.
const LEAST_RECORD: u16 = 11;

/// What is called with a key and the address of its child.
pub(super) type Each<'a> = &'a mut dyn FnMut(&mut File<'_>, &[u8], u64) -> Result<(), Fault>;

/// Calls `each` with every key and child of the leaves of a tree of version 1. Keys have `key` bytes; the
/// tree is of `kind` (0: names of a group, 1: chunks).
pub(super) fn first(
    file: &mut File<'_>,
    at: u64,
    kind: u8,
    key: usize,
    each: Each<'_>,
) -> Result<(), Fault> {
    first_node(file, at, kind, key, None, each)
}

fn first_node(
    file: &mut File<'_>,
    at: u64,
    kind: u8,
    key: usize,
    expected: Option<u8>,
    each: Each<'_>,
) -> Result<(), Fault> {
    const WHAT: &str = "B-tree";
    let head = file.signed(at, 24, b"TREE", WHAT)?;
    let (found, level, used) = (head[4], head[5], u16::from_le_bytes([head[6], head[7]]));
    if found != kind || u16::from(level) > MAX_DEPTH || expected.is_some_and(|at| at != level) {
        return Err(Fault::damaged(format!(
            "the B-tree node at byte {at}, of kind {found} on level {level}, does not belong there"
        )));
    }
    let size = usize::from(used) * (key + 8);
    let entries = file.block(at + 24, size as u64, WHAT)?;
    for entry in entries.chunks_exact(key + 8) {
        let (key_bytes, child) = entry.split_at(key);
        let child = super::file::number(child);
        match level {
            0 => each(file, key_bytes, child)?,
            _ => first_node(file, child, kind, key, Some(level - 1), each)?,
        }
    }
    Ok(())
}

/// The records of a tree of version 2, in order; nothing where there is no tree.
pub(super) fn second(file: &mut File<'_>, at: u64, kinds: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    const WHAT: &str = "B-tree header";
    if at == NOWHERE {
        return Ok(Vec::new());
    }
    let head = file.signed(at, 38, b"BTHD", WHAT)?;
    check(&head, WHAT, at)?;
    let mut cursor = Cursor::new(&head[4..], WHAT);
    let (version, kind) = (cursor.u8()?, cursor.u8()?);
    let (node, record, depth) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
    cursor.take(2)?;
    let (root, count) = (cursor.u64()?, cursor.u16()?);
    if version != 0 || !kinds.contains(&kind) || record < LEAST_RECORD || depth > MAX_DEPTH {
        return Err(cursor.wrong("does not belong there"));
    }
    let sizes = Sizes::new(node.into(), record.into(), depth);
    let sizes = sizes.ok_or_else(|| cursor.wrong("describes impossible nodes"))?;
    let mut records = Vec::new();
    if root != NOWHERE {
        sizes.walk(file, root, count.into(), depth, &mut records)?;
    }
    Ok(records)
}

/// Widths of a node's fields, which follow from how many records a node may have.
struct Sizes {
    record: usize,
    /// Of the number of a child's own records.
    count: usize,
    /// Of the number of records below a child, by its level.
    below: Vec<usize>,
}

/// Bytes of a number up to `most`.
pub(super) fn width(most: u64) -> usize {
    most.max(1).ilog2() as usize / 8 + 1
}

impl Sizes {
    fn new(node: u64, record: u64, depth: u16) -> Option<Self> {
        // Signature, version, kind and checksum.
        const AROUND: u64 = 10;
        let leaf = node.checked_sub(AROUND)? / record;
        if leaf == 0 {
            return None;
        }
        let count = width(leaf);
        let (mut all, mut below) = (leaf, vec![0]);
        for level in 1..=usize::from(depth) {
            let pointer = (8 + count + below[level - 1]) as u64;
            let most = node.checked_sub(AROUND + pointer)? / (record + pointer);
            all = most.checked_add(1)?.checked_mul(all)?.checked_add(most)?;
            below.push(width(all));
        }
        Some(Self {
            record: record as usize,
            count,
            below,
        })
    }

    fn walk(
        &self,
        file: &mut File<'_>,
        at: u64,
        count: usize,
        level: u16,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<(), Fault> {
        const WHAT: &str = "B-tree node";
        let signature = if level == 0 { b"BTLF" } else { b"BTIN" };
        let below = match level {
            0 => 0,
            level => self.below[usize::from(level) - 1],
        };
        let pointers = match level {
            0 => 0,
            _ => (count + 1) * (8 + self.count + below),
        };
        let size = 6 + count * self.record + pointers + 4;
        let bytes = file.signed(at, size as u64, signature, WHAT)?;
        check(&bytes, WHAT, at)?;
        let mut cursor = Cursor::new(&bytes[6..], WHAT);
        let records = cursor.take(count * self.record)?;
        let mut records = records.chunks_exact(self.record);
        if level == 0 {
            out.extend(records.map(<[u8]>::to_vec));
            return Ok(());
        }
        for _ in 0..=count {
            let (child, own) = (cursor.u64()?, cursor.number(self.count)?);
            cursor.take(below)?;
            self.walk(file, child, own as usize, level - 1, out)?;
            out.extend(records.next().map(<[u8]>::to_vec));
        }
        Ok(())
    }
}
