//! The structures of a written HDF5 file: superblock of version 2, object headers with their messages.

use super::{NOWHERE, SIGNATURE, checksum::lookup3, datatype::Datatype, message};
use crate::Dtype;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK: u64 = 48;
/// Bytes of an attribute's texts: the limit of a message is 65,535, and Keras cuts its lists here.
pub(super) const MAX_LIST: usize = 64_512;

pub(super) fn superblock(end: u64, root: u64) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    // Version, bytes of addresses and of lengths, flags.
    out.extend([2, 8, 8, 0]);
    for number in [0, NOWHERE, end, root] {
        out.extend(number.to_le_bytes());
    }
    out.extend(lookup3(&out).to_le_bytes());
    out
}

/// The header of an object with these messages.
pub(super) fn header(messages: &[(u16, Vec<u8>)]) -> Vec<u8> {
    // Version 2, and four bytes for the size.
    let mut out = b"OHDR\x02\x02".to_vec();
    let size: usize = messages.iter().map(|(_, bytes)| 4 + bytes.len()).sum();
    out.extend((size as u32).to_le_bytes());
    for (kind, bytes) in messages {
        out.push(*kind as u8);
        out.extend((bytes.len() as u16).to_le_bytes());
        out.push(0);
        out.extend(bytes);
    }
    out.extend(lookup3(&out).to_le_bytes());
    out
}

/// The messages of a group without its links.
pub(super) fn group() -> Vec<(u16, Vec<u8>)> {
    let mut links = vec![0, 0];
    links.extend(NOWHERE.to_le_bytes());
    links.extend(NOWHERE.to_le_bytes());
    vec![
        (message::LINK_INFO, links),
        (message::GROUP_INFO, vec![0, 0]),
    ]
}

/// A link to the object at `at`.
pub(super) fn link(name: &str, at: u64) -> (u16, Vec<u8>) {
    // Version 1; two bytes for the length, and the name is UTF-8.
    let mut out = vec![1, 0x11, 1];
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(name.as_bytes());
    out.extend(at.to_le_bytes());
    (message::LINK, out)
}

/// The messages of a dataset of `bytes` bytes at `at`.
pub(super) fn dataset(dtype: Dtype, shape: &[usize], at: u64, bytes: u64) -> Vec<(u16, Vec<u8>)> {
    let mut datatype = Vec::new();
    Datatype::Number(dtype).encode(&mut datatype);
    // Version 3; space when it is needed, filled if a value is set, which is not.
    let fill = vec![3, 0x0a];
    let mut layout = vec![3, 1];
    layout.extend(if bytes == 0 { NOWHERE } else { at }.to_le_bytes());
    layout.extend(bytes.to_le_bytes());
    vec![
        (message::DATASPACE, dataspace(Some(shape))),
        (message::DATATYPE, datatype),
        (message::FILL_VALUE, fill),
        (message::LAYOUT, layout),
    ]
}

/// A shape; `None` is a single value.
fn dataspace(shape: Option<&[usize]>) -> Vec<u8> {
    let shape = shape.unwrap_or_default();
    let mut out = vec![2, shape.len() as u8, 0, u8::from(!shape.is_empty())];
    for size in shape {
        out.extend((*size as u64).to_le_bytes());
    }
    out
}

/// One text as an attribute.
pub(super) fn text(name: &str, value: &str) -> (u16, Vec<u8>) {
    attribute(name, value.len(), None, &[value])
}

/// A list of texts as an attribute, or as several with numbers where it is long, as Keras does.
pub(super) fn list(name: &str, items: &[&str]) -> Vec<(u16, Vec<u8>)> {
    let width = items.iter().map(|item| item.len()).max().unwrap_or(0);
    let bytes = width.max(1) * items.len();
    if bytes <= MAX_LIST {
        return vec![attribute(name, width, Some(items.len()), items)];
    }
    let each = MAX_LIST / width;
    let pieces = items.chunks(each).enumerate();
    pieces
        .map(|(number, piece)| {
            let width = piece.iter().map(|item| item.len()).max().unwrap_or(0);
            attribute(&format!("{name}{number}"), width, Some(piece.len()), piece)
        })
        .collect()
}

fn attribute(name: &str, width: usize, count: Option<usize>, items: &[&str]) -> (u16, Vec<u8>) {
    let width = width.max(1);
    let mut datatype = Vec::new();
    Datatype::Text(width).encode(&mut datatype);
    let shape = count.map(|count| vec![count]);
    let dataspace = dataspace(shape.as_deref());
    let mut out = vec![3, 0];
    for size in [name.len() + 1, datatype.len(), dataspace.len()] {
        out.extend((size as u16).to_le_bytes());
    }
    // The name is UTF-8.
    out.push(1);
    out.extend(name.as_bytes());
    out.push(0);
    out.extend(datatype);
    out.extend(dataspace);
    for item in items {
        let end = out.len() + width;
        out.extend(item.as_bytes());
        out.resize(end, 0);
    }
    (message::ATTRIBUTE, out)
}
