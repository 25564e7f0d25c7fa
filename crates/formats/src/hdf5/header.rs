//! The header of an object: its messages, in one block or several.

use super::{
    file::{Cursor, File, check, number},
    message,
};
use crate::fault::Fault;

/// Messages of one object; a group may have a message for each link.
const MAX_MESSAGES: usize = 1 << 16;
const MAX_BLOCKS: usize = 1 << 10;
/// The flag of a message that stands elsewhere.
const SHARED: u8 = 2;

/// A message of an object's header.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u16,
    flags: u8,
    /// Where its bytes begin in the file.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl Message {
    /// The bytes to be read, as `what`; a message that stands elsewhere is refused.
    pub(super) fn cursor(&self, what: &'static str) -> Result<Cursor<'_>, Fault> {
        if self.flags & SHARED != 0 {
            return Err(Fault::unsupported(format!(
                "a {what} at byte {} is shared with other objects",
                self.at
            )));
        }
        Ok(Cursor::new(&self.bytes, what))
    }
}

/// All messages of the object whose header is at `at`.
pub(super) fn read(file: &mut File<'_>, at: u64) -> Result<Vec<Message>, Fault> {
    const WHAT: &str = "object header";
    let start = file.block(at, 16, WHAT)?;
    let mut messages = Vec::new();
    // Start and length of the messages that are still to be read.
    let mut blocks = Vec::new();
    let second = start.starts_with(b"OHDR");
    let mut ordered = false;
    if second {
        let flags = start[5];
        if start[4] != 2 {
            return Err(Fault::unsupported(format!(
                "its object header at byte {at} has version {}",
                start[4]
            )));
        }
        ordered = flags & 4 != 0;
        let times = if flags & 0x20 != 0 { 16 } else { 0 };
        let phases = if flags & 0x10 != 0 { 4 } else { 0 };
        let width = 1_u64 << (flags & 3);
        let prefix = 6 + times + phases + width;
        let prefix_bytes = file.block(at, prefix, WHAT)?;
        let size = number(&prefix_bytes[(prefix - width) as usize..]);
        let whole = size.saturating_add(prefix + 4);
        check(&file.block(at, whole, WHAT)?, WHAT, at)?;
        blocks.push((at + prefix, size));
    } else {
        if start[0] != 1 {
            return Err(Fault::damaged(format!(
                "there is no object header at byte {at}"
            )));
        }
        blocks.push((at + 16, number(&start[8..12])));
    }
    let mut count = 0;
    while let Some((start, size)) = blocks.pop() {
        count += 1;
        if count > MAX_BLOCKS {
            return Err(Fault::deceives(format!(
                "its object header at byte {at} goes on more than {MAX_BLOCKS} times"
            )));
        }
        let bytes = file.block(start, size, WHAT)?;
        let from = messages.len();
        if second {
            split_second(&bytes, start, ordered, &mut messages)?;
        } else {
            split_first(&bytes, start, &mut messages)?;
        }
        if messages.len() > MAX_MESSAGES {
            return Err(Fault::deceives(format!(
                "its object header at byte {at} has more than {MAX_MESSAGES} messages"
            )));
        }
        for message in &messages[from..] {
            if message.kind != message::CONTINUATION {
                continue;
            }
            let mut cursor = message.cursor("continuation of an object header")?;
            let (start, size) = (cursor.u64()?, cursor.u64()?);
            if !second {
                blocks.push((start, size));
                continue;
            }
            let block = file.signed(start, size, b"OCHK", WHAT)?;
            check(&block, WHAT, start)?;
            let inner = size.checked_sub(8);
            let inner = inner.ok_or_else(|| cursor.wrong("is too short"))?;
            blocks.push((start + 4, inner));
        }
    }
    Ok(messages)
}

/// Messages of a header of version 1: 8 bytes of type, size and flags before each.
fn split_first(bytes: &[u8], start: u64, out: &mut Vec<Message>) -> Result<(), Fault> {
    let mut cursor = Cursor::new(bytes, "object header");
    while cursor.rest.len() >= 8 {
        let (kind, size, flags) = (cursor.u16()?, cursor.u16()?, cursor.u8()?);
        cursor.take(3)?;
        let at = start + (bytes.len() - cursor.rest.len()) as u64;
        let bytes = cursor.take(size.into())?.to_vec();
        out.push(Message {
            kind,
            flags,
            at,
            bytes,
        });
    }
    Ok(())
}

/// Messages of a header of version 2: 4 bytes before each, or 6 where their order is kept. Fewer bytes
/// at the end are a gap.
fn split_second(
    bytes: &[u8],
    start: u64,
    ordered: bool,
    out: &mut Vec<Message>,
) -> Result<(), Fault> {
    let before = if ordered { 6 } else { 4 };
    let mut cursor = Cursor::new(bytes, "object header");
    while cursor.rest.len() >= before {
        let (kind, size, flags) = (cursor.u8()?, cursor.u16()?, cursor.u8()?);
        cursor.take(before - 4)?;
        let at = start + (bytes.len() - cursor.rest.len()) as u64;
        let bytes = cursor.take(size.into())?.to_vec();
        out.push(Message {
            kind: kind.into(),
            flags,
            at,
            bytes,
        });
    }
    Ok(())
}
