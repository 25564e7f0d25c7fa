//! The links of a group, in each of the three forms that they are stored in.

use super::{
    NOWHERE, btree,
    file::{Cursor, File, u64_at},
    header::Message,
    heap::{FractalHeap, LocalHeap},
    message,
};
use crate::fault::Fault;

/// Bytes of a name.
pub(super) const MAX_NAME: usize = 1 << 10;
/// Links of one group.
const MAX_LINKS: usize = 1 << 16;
/// The kinds of trees that index links: by name, by order.
const TREES: [u8; 2] = [5, 6];

/// A name in a group and the address of the object's header.
pub(super) type Link = (String, u64);

/// The links of the group with these messages; soft and external ones, which name a path, are left out.
/// None if it is no group.
pub(super) fn links(file: &mut File<'_>, messages: &[Message]) -> Result<Option<Vec<Link>>, Fault> {
    let mut links = Vec::new();
    let mut is_group = false;
    for message in messages {
        match message.kind {
            message::SYMBOL_TABLE => {
                is_group = true;
                let mut cursor = message.cursor("table of a group")?;
                let (tree, heap) = (cursor.u64()?, cursor.u64()?);
                symbols(file, tree, heap, &mut links)?;
            }
            message::LINK => {
                is_group = true;
                let found = link(message.cursor("link")?)?;
                push(&mut links, found)?;
            }
            message::LINK_INFO => {
                is_group = true;
                dense(file, message.cursor("description of links")?, &mut links)?;
            }
            message::GROUP_INFO => is_group = true,
            _ => {}
        }
    }
    Ok(is_group.then_some(links))
}

fn push(links: &mut Vec<Link>, link: Option<Link>) -> Result<(), Fault> {
    if links.len() == MAX_LINKS {
        return Err(Fault::deceives(format!(
            "a group has more than {MAX_LINKS} links"
        )));
    }
    links.extend(link);
    Ok(())
}

/// The older form: a B-tree of nodes with symbols, whose names stand in a heap.
fn symbols(file: &mut File<'_>, tree: u64, heap: u64, links: &mut Vec<Link>) -> Result<(), Fault> {
    const WHAT: &str = "node of a group";
    const ENTRY: usize = 40;
    const SOFT: u32 = 2;
    let heap = LocalHeap::read(file, heap)?;
    btree::first(file, tree, 0, 8, &mut |file, _, node| {
        let head = file.signed(node, 8, b"SNOD", WHAT)?;
        let count = u16::from_le_bytes([head[6], head[7]]);
        let entries = file.block(node + 8, u64::from(count) * ENTRY as u64, WHAT)?;
        for entry in entries.chunks_exact(ENTRY) {
            let mut cursor = Cursor::new(entry, WHAT);
            let (name, header, kind) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
            let name = name_of(heap.name(name)?)?;
            push(links, (kind != SOFT).then_some((name, header)))?;
        }
        Ok(())
    })
}

/// A link message; `None` for a link that is not hard.
fn link(mut cursor: Cursor<'_>) -> Result<Option<Link>, Fault> {
    let (version, flags) = (cursor.u8()?, cursor.u8()?);
    if version != 1 {
        return Err(cursor.wrong(&format!("has version {version}")));
    }
    let kind = if flags & 8 != 0 { cursor.u8()? } else { 0 };
    if flags & 4 != 0 {
        cursor.u64()?;
    }
    if flags & 16 != 0 {
        cursor.u8()?;
    }
    let length = cursor.number(1 << (flags & 3))?;
    let length = usize::try_from(length).map_err(|_| cursor.wrong("has a huge name"))?;
    let name = name_of(cursor.take(length)?)?;
    Ok(match kind {
        0 => Some((name, cursor.u64()?)),
        _ => None,
    })
}

/// The form of many links: messages in a heap, indexed by a tree.
fn dense(file: &mut File<'_>, mut cursor: Cursor<'_>, links: &mut Vec<Link>) -> Result<(), Fault> {
    let (_version, flags) = (cursor.u8()?, cursor.u8()?);
    if flags & 1 != 0 {
        cursor.u64()?;
    }
    let (heap, tree) = (cursor.u64()?, cursor.u64()?);
    if heap == NOWHERE {
        return Ok(());
    }
    let heap = FractalHeap::read(file, heap)?;
    for record in btree::second(file, tree, &TREES)? {
        // By name, a hash stands before the place; by order, a number of 8 bytes.
        let id = &record[record.len() - 7..];
        let bytes = heap.object(file, id)?;
        push(links, link(Cursor::new(&bytes, "link"))?)?;
    }
    Ok(())
}

pub(super) fn name_of(bytes: &[u8]) -> Result<String, Fault> {
    if bytes.len() > MAX_NAME {
        return Err(Fault::deceives(format!(
            "a name has {} bytes, at most {MAX_NAME} are allowed",
            bytes.len()
        )));
    }
    let name = std::str::from_utf8(bytes).map_err(|_| Fault::damaged("a name is not UTF-8"))?;
    if name.is_empty() || name.contains('/') {
        return Err(Fault::deceives("a name in a group is empty or a path"));
    }
    Ok(name.to_owned())
}

/// Whether an object is a dataset: data have a layout.
pub(super) fn is_dataset(messages: &[Message]) -> bool {
    messages
        .iter()
        .any(|message| message.kind == message::LAYOUT)
}

/// Start and length of a run of bytes as two numbers.
pub(super) fn run_at(bytes: &[u8], at: usize) -> (u64, u64) {
    (u64_at(bytes, at), u64_at(bytes, at + 8))
}
