//! Attributes that are texts: one or a list of them, of fixed length or of any.

use super::{
    NOWHERE, btree,
    datatype::Datatype,
    file::{Cursor, File, number},
    header::Message,
    heap::{FractalHeap, GlobalHeap},
    message,
};
use crate::{document::MAX_RANK, fault::Fault};
use std::collections::BTreeMap;

/// The kinds of trees that index attributes: by name, by order.
const TREES: [u8; 2] = [8, 9];
/// Texts of one attribute.
const MAX_TEXTS: usize = 1 << 16;
/// Bytes of all texts of one object.
const MAX_BYTES: usize = 16 << 20;

/// A text or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Texts {
    One(String),
    List(Vec<String>),
}

/// The attributes of an object that are texts, by name; others are left out.
pub(super) fn texts(
    file: &mut File<'_>,
    messages: &[Message],
) -> Result<BTreeMap<String, Texts>, Fault> {
    let mut reader = Reader::default();
    for message in messages {
        match message.kind {
            message::ATTRIBUTE => reader.attribute(file, message.cursor("attribute")?)?,
            message::ATTRIBUTE_INFO => {
                let mut cursor = message.cursor("description of attributes")?;
                let (_version, flags) = (cursor.u8()?, cursor.u8()?);
                if flags & 1 != 0 {
                    cursor.u16()?;
                }
                let (heap, tree) = (cursor.u64()?, cursor.u64()?);
                if heap == NOWHERE {
                    continue;
                }
                let heap = FractalHeap::read(file, heap)?;
                for record in btree::second(file, tree, &TREES)? {
                    let bytes = heap.object(file, &record[..8])?;
                    reader.attribute(file, Cursor::new(&bytes, "attribute"))?;
                }
            }
            _ => {}
        }
    }
    Ok(reader.found)
}

#[derive(Default)]
struct Reader {
    found: BTreeMap<String, Texts>,
    bytes: usize,
    heap: GlobalHeap,
}

impl Reader {
    fn attribute(&mut self, file: &mut File<'_>, mut cursor: Cursor<'_>) -> Result<(), Fault> {
        let (version, flags) = (cursor.u8()?, cursor.u8()?);
        if !(1..=3).contains(&version) {
            return Err(cursor.wrong(&format!("has version {version}")));
        }
        let mut sizes = [0; 3];
        for size in &mut sizes {
            *size = usize::from(cursor.u16()?);
        }
        if version == 3 {
            cursor.u8()?;
        }
        let mut part = |size: usize| {
            let bytes = cursor.take(size)?;
            if version == 1 {
                cursor.take(size.next_multiple_of(8) - size)?;
            }
            Ok::<_, Fault>(bytes)
        };
        let (name, datatype, dataspace) = (part(sizes[0])?, part(sizes[1])?, part(sizes[2])?);
        // A type that stands elsewhere is none of a plain text.
        if version > 1 && flags & 3 != 0 {
            return Ok(());
        }
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(cursor.wrong("has a name that is not UTF-8"));
        };
        let datatype = Datatype::read(&mut Cursor::new(datatype, "type of an attribute"))?;
        let shape = dataspace_of(Cursor::new(dataspace, "shape of an attribute"))?;
        let count = shape
            .iter()
            .try_fold(1_usize, |count, &size| count.checked_mul(size))
            .filter(|count| *count <= MAX_TEXTS);
        let (Datatype::Text(_) | Datatype::Texts) = datatype else {
            return Ok(());
        };
        let Some(count) = count else {
            return Err(Fault::deceives(format!(
                "an attribute has more than {MAX_TEXTS} texts"
            )));
        };
        file.spend(count as u64 * 8, "texts of attributes")?;
        let mut texts = Vec::new();
        for _ in 0..count {
            let element = cursor.take(datatype.size())?;
            let text = match datatype {
                Datatype::Texts => self.variable(file, element)?,
                _ => element.split(|byte| *byte == 0).next().unwrap_or_default(),
            };
            let text = String::from_utf8_lossy(text).into_owned();
            self.bytes += text.len();
            if self.bytes > MAX_BYTES {
                return Err(Fault::deceives(format!(
                    "the texts of an object have more than {MAX_BYTES} bytes"
                )));
            }
            texts.push(text);
        }
        let value = match (shape.as_slice(), texts.pop()) {
            ([], Some(text)) => Texts::One(text),
            (_, last) => {
                texts.extend(last);
                Texts::List(texts)
            }
        };
        if self.found.insert(name.to_owned(), value).is_some() {
            return Err(Fault::deceives("an object has two attributes of one name"));
        }
        Ok(())
    }

    /// The text that an element of 16 bytes refers to.
    fn variable(&mut self, file: &mut File<'_>, element: &[u8]) -> Result<&[u8], Fault> {
        let length = number(&element[..4]) as usize;
        let (at, index) = (number(&element[4..12]), number(&element[12..16]) as u32);
        if length == 0 || at == 0 {
            return Ok(&[]);
        }
        let bytes = self.heap.object(file, at, index)?;
        bytes.get(..length).ok_or_else(|| {
            Fault::damaged(format!(
                "a text of {length} bytes has {} in the global heap",
                bytes.len()
            ))
        })
    }
}

/// The sizes in a dataspace.
pub(super) fn dataspace_of(mut cursor: Cursor<'_>) -> Result<Vec<usize>, Fault> {
    let (version, rank, _flags) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
    let is_empty = match version {
        1 => {
            cursor.take(5)?;
            false
        }
        2 => cursor.u8()? == 2,
        _ => return Err(cursor.wrong(&format!("has version {version}"))),
    };
    if is_empty {
        return Ok(vec![0]);
    }
    if usize::from(rank) > MAX_RANK {
        return Err(cursor.wrong(&format!("has more than {MAX_RANK} dimensions")));
    }
    let mut shape = Vec::new();
    for _ in 0..rank {
        let size = usize::try_from(cursor.u64()?);
        shape.push(size.map_err(|_| cursor.wrong("has a huge size"))?);
    }
    Ok(shape)
}
