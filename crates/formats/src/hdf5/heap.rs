//! HDF5's heaps: of names (local), of texts of any length (global), and of links and attributes (fractal).

use super::{
    NOWHERE,
    btree::width,
    file::{Cursor, File, check, number, u64_at},
    group::MAX_NAME,
};
use crate::fault::Fault;

/// Names of the links of a group of the older form.
pub(super) struct LocalHeap {
    names: Vec<u8>,
}

impl LocalHeap {
    pub(super) fn read(file: &mut File<'_>, at: u64) -> Result<Self, Fault> {
        let head = file.signed(at, 32, b"HEAP", "local heap")?;
        let (size, start) = (u64_at(&head, 8), u64_at(&head, 24));
        let names = file.block(start, size, "local heap")?;
        Ok(Self { names })
    }

    /// The name that begins here, up to the next zero.
    pub(super) fn name(&self, at: u64) -> Result<&[u8], Fault> {
        let rest = usize::try_from(at).ok().and_then(|at| self.names.get(at..));
        let rest = rest.map(|rest| &rest[..rest.len().min(MAX_NAME + 1)]);
        let end = rest.and_then(|rest| rest.iter().position(|byte| *byte == 0));
        rest.zip(end)
            .map(|(rest, end)| &rest[..end])
            .ok_or_else(|| Fault::damaged("a name is too long, or lies beyond the end of its heap"))
    }
}

/// A collection of the global heap, the one that was used last.
#[derive(Default)]
pub(super) struct GlobalHeap {
    at: Option<u64>,
    bytes: Vec<u8>,
}

impl GlobalHeap {
    /// Object `index` of the collection at `at`.
    pub(super) fn object(
        &mut self,
        file: &mut File<'_>,
        at: u64,
        index: u32,
    ) -> Result<&[u8], Fault> {
        if self.at != Some(at) {
            let head = file.signed(at, 16, b"GCOL", "global heap")?;
            self.bytes = file.block(at, u64_at(&head, 8), "global heap")?;
            self.at = Some(at);
        }
        let mut cursor = Cursor::new(&self.bytes, "global heap");
        cursor.take(16)?;
        while cursor.rest.len() >= 16 {
            let found = cursor.u16()?;
            cursor.take(6)?;
            let size = cursor.u64()?;
            file.spend(16, "texts of attributes")?;
            // Object 0 is the free space at the end.
            if found == 0 {
                break;
            }
            let size = usize::try_from(size).map_err(|_| cursor.wrong("has a huge object"))?;
            let bytes = cursor.take(size)?;
            let padding = size.next_multiple_of(8) - size;
            cursor.take(padding.min(cursor.rest.len()))?;
            if u32::from(found) == index {
                return Ok(bytes);
            }
        }
        Err(cursor.wrong(&format!("has no object {index}")))
    }
}

/// A heap of links or attributes: blocks in rows, each row of blocks twice as large as those before.
pub(super) struct FractalHeap {
    offset: usize,
    length: usize,
    id: usize,
    columns: u64,
    first: u64,
    largest: u64,
    bits: u32,
    root: u64,
    /// Rows of the root, 0 if the root is a block of objects.
    rows: u32,
}

impl FractalHeap {
    pub(super) fn read(file: &mut File<'_>, at: u64) -> Result<Self, Fault> {
        const WHAT: &str = "fractal heap";
        const SIZE: u64 = 146;
        let head = file.signed(at, SIZE, b"FRHP", WHAT)?;
        let mut cursor = Cursor::new(&head[4..], WHAT);
        let version = cursor.u8()?;
        let (id, filters) = (cursor.u16()?, cursor.u16()?);
        let _flags = cursor.u8()?;
        let longest = cursor.u32()?;
        // Huge and tiny objects, free space.
        cursor.take(12 * 8)?;
        let (columns, first, largest) = (cursor.u16()?, cursor.u64()?, cursor.u64()?);
        let (bits, _start_rows) = (cursor.u16()?, cursor.u16()?);
        let (root, rows) = (cursor.u64()?, cursor.u16()?);
        if filters != 0 {
            return Err(Fault::unsupported(format!(
                "its fractal heap at byte {at} is compressed"
            )));
        }
        check(&head, WHAT, at)?;
        let sound = version == 0
            && columns > 0
            && first.is_power_of_two()
            && largest.is_power_of_two()
            && first <= largest
            && largest <= 1 << 32
            && (1..=64).contains(&bits);
        if !sound {
            return Err(cursor.wrong("has impossible sizes"));
        }
        let block = (largest.ilog2() as usize).div_ceil(8);
        Ok(Self {
            offset: usize::from(bits).div_ceil(8),
            length: block.min(width(longest.into())),
            id: id.into(),
            columns: columns.into(),
            first,
            largest,
            bits: bits.into(),
            root,
            rows: rows.into(),
        })
    }

    /// The object with this identifier.
    pub(super) fn object(&self, file: &mut File<'_>, id: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut cursor = Cursor::new(id.get(..self.id).unwrap_or(id), "place in a fractal heap");
        let head = cursor.u8()?;
        match head >> 4 {
            0 => {}
            2 => return Ok(cursor.take(usize::from(head & 15) + 1)?.to_vec()),
            _ => {
                return Err(Fault::unsupported(
                    "an object of its fractal heap is huge and stands outside of it",
                ));
            }
        }
        let (mut offset, length) = (cursor.number(self.offset)?, cursor.number(self.length)?);
        let (mut block, mut rows, mut size) = (self.root, self.rows, self.first);
        while rows > 0 {
            let (number, start, child, is_block) = self
                .child(offset, rows)
                .ok_or_else(|| cursor.wrong("lies beyond its end"))?;
            // Signature, version, address of the header, own offset; then the children's addresses.
            let before = 13 + self.offset as u64;
            let indirect = file.signed(block, before, b"FHIB", "fractal heap")?;
            drop(indirect);
            block = number_at(file, block + before, number)?;
            offset -= start;
            size = child;
            rows = if is_block {
                0
            } else {
                let in_first = self.first.checked_mul(self.columns);
                let in_first = in_first.ok_or_else(|| cursor.wrong("has impossible sizes"))?;
                (child.ilog2() + 1).saturating_sub(in_first.ilog2())
            };
            if !is_block && rows == 0 {
                return Err(cursor.wrong("has impossible sizes"));
            }
        }
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(cursor.wrong("lies beyond its block"));
        }
        if block == NOWHERE {
            return Err(cursor.wrong("lies in a block that is not there"));
        }
        file.signed(block, 4, b"FHDB", "fractal heap")?;
        let at = block.checked_add(offset);
        let at = at.ok_or_else(|| cursor.wrong("lies beyond the file"))?;
        file.block(at, length, "object of a fractal heap")
    }

    /// Of the child that holds `offset` in an indirect block of so many rows: its number, where it
    /// begins, its size, and whether it holds objects.
    fn child(&self, offset: u64, rows: u32) -> Option<(u64, u64, u64, bool)> {
        let (mut start, mut size) = (0_u64, self.first);
        for row in 0..rows.min(self.bits) {
            if row > 1 {
                size = size.checked_mul(2)?;
            }
            let end = start.checked_add(size.checked_mul(self.columns)?)?;
            if offset < end {
                let column = (offset - start) / size;
                let number = u64::from(row) * self.columns + column;
                return Some((number, start + column * size, size, size <= self.largest));
            }
            start = end;
        }
        None
    }
}

/// Address `index` of those that begin at `start`.
fn number_at(file: &mut File<'_>, start: u64, index: u64) -> Result<u64, Fault> {
    let at = start.saturating_add(index.saturating_mul(8));
    Ok(number(&file.block(at, 8, "fractal heap")?))
}
