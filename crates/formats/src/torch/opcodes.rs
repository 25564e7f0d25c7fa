//! The instructions of a pickle: one at a time from bytes, with their arguments.
//!
//! Reference: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>

use super::{Fault, MAX_PICKLE};
use crate::error::shown;

/// Bytes of one text. Names of tensors have some dozens.
const MAX_TEXT: usize = 1 << 16;
/// Bytes of a module's or a function's name.
const MAX_LINE: usize = 256;

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op<'a> {
    Stop,
    Mark,
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 8 bytes, little-endian; it stands for nothing but itself.
    Long(&'a [u8]),
    Float,
    Text(&'a str),
    EmptyList,
    Append,
    Appends,
    EmptyDict,
    SetItem,
    SetItems,
    /// The last so many values become a tuple.
    Tuple(usize),
    /// The values after the mark become a tuple.
    MarkedTuple,
    Global(&'a str, &'a str),
    StackGlobal,
    Reduce,
    Build,
    PersistentId,
    Put(usize),
    /// The next number that was not put yet.
    Memoize,
    Get(usize),
    /// Says something about the bytes to come, which we have anyway.
    Nothing,
}

/// The bytes of a pickle, and how far they were read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    /// The two bytes that a pickle begins with.
    pub(super) fn protocol(&mut self) -> Result<(), Fault> {
        match self.array()? {
            [0x80, 2..=5] => Ok(()),
            [0x80, other] => Err(super::unsupported(format!(
                "its pickle has protocol {other}, expected 2, 3, 4 or 5"
            ))),
            [other, _] => Err(Fault::damaged(format!(
                "its pickle begins with byte {other:#04x}, expected 0x80"
            ))),
        }
    }

    /// The next instruction.
    pub(super) fn next(&mut self) -> Result<Op<'a>, Fault> {
        let [code] = self.array()?;
        Ok(match code {
            b'.' => Op::Stop,
            b'(' => Op::Mark,
            b'N' => Op::None,
            0x88 => Op::Bool(true),
            0x89 => Op::Bool(false),
            b'K' => Op::Int(self.array::<1>()?[0].into()),
            b'M' => Op::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Op::Int(i32::from_le_bytes(self.array()?).into()),
            0x8a => {
                let length = self.array::<1>()?[0].into();
                long(self.take(length)?)
            }
            b'G' => {
                self.take(8)?;
                Op::Float
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                Op::Text(self.text(length as usize)?)
            }
            0x8c => {
                let length = self.array::<1>()?[0].into();
                Op::Text(self.text(length)?)
            }
            b']' => Op::EmptyList,
            b'a' => Op::Append,
            b'e' => Op::Appends,
            b'}' => Op::EmptyDict,
            b's' => Op::SetItem,
            b'u' => Op::SetItems,
            b')' => Op::Tuple(0),
            0x85 => Op::Tuple(1),
            0x86 => Op::Tuple(2),
            0x87 => Op::Tuple(3),
            b't' => Op::MarkedTuple,
            b'c' => Op::Global(self.line()?, self.line()?),
            0x93 => Op::StackGlobal,
            b'R' => Op::Reduce,
            b'b' => Op::Build,
            b'Q' => Op::PersistentId,
            b'q' => Op::Put(self.array::<1>()?[0].into()),
            b'r' => Op::Put(u32::from_le_bytes(self.array()?) as usize),
            0x94 => Op::Memoize,
            b'h' => Op::Get(self.array::<1>()?[0].into()),
            b'j' => Op::Get(u32::from_le_bytes(self.array()?) as usize),
            0x95 => {
                let length = u64::from_le_bytes(self.array()?);
                if length > MAX_PICKLE {
                    return Err(Fault::deceives(format!(
                        "its pickle has a frame of {length} bytes, at most {MAX_PICKLE} are allowed"
                    )));
                }
                if length > (self.bytes.len() - self.at) as u64 {
                    return Err(Fault::End);
                }
                Op::Nothing
            }
            _ => {
                let name = refused(code).map_or(String::new(), |name| format!(" ({name})"));
                return Err(super::unsupported(format!(
                    "its pickle has the instruction {code:#04x}{name}, which no file of tensors needs"
                )));
            }
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(Fault::End)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        Ok(*taken.first_chunk().expect("as many as were taken"))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, Fault> {
        // Before `take`, so that nobody reads on for a text that would be refused.
        if length > MAX_TEXT {
            return Err(Fault::deceives(format!(
                "its pickle has a text of {length} bytes, at most {MAX_TEXT} are allowed"
            )));
        }
        utf8(self.take(length)?)
    }

    /// A text that a line feed ends.
    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let most = &rest[..rest.len().min(MAX_LINE + 1)];
        match most.iter().position(|&byte| byte == b'\n') {
            Some(length) => {
                let line = self.take(length)?;
                self.at += 1;
                utf8(line)
            }
            None if most.len() <= MAX_LINE => Err(Fault::End),
            None => Err(Fault::deceives(format!(
                "its pickle has a global's name of more than {MAX_LINE} bytes"
            ))),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| {
        let text = String::from_utf8_lossy(bytes);
        Fault::damaged(format!(
            "its pickle has a text that is not UTF-8: {}",
            shown(&text)
        ))
    })
}

/// An integer in two's complement, little-endian.
fn long(bytes: &[u8]) -> Op<'_> {
    let mut wide = match bytes.last() {
        Some(last) if last & 0x80 != 0 => [0xff; 8],
        _ => [0; 8],
    };
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Op::Int(i64::from_le_bytes(wide))
        }
        None => Op::Long(bytes),
    }
}

/// Instructions of pickles that `torch.save` does not write for tensors.
fn refused(code: u8) -> Option<&'static str> {
    Some(match code {
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'F' => "FLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'P' => "PERSID",
        b'S' => "STRING",
        b'T' => "BINSTRING",
        b'U' => "SHORT_BINSTRING",
        b'V' => "UNICODE",
        b'B' => "BINBYTES",
        b'C' => "SHORT_BINBYTES",
        b'd' => "DICT",
        b'g' => "GET",
        b'i' => "INST",
        b'l' => "LIST",
        b'o' => "OBJ",
        b'p' => "PUT",
        0x80 => "PROTO",
        0x81 => "NEWOBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x8b => "LONG4",
        0x8d => "BINUNICODE8",
        0x8e => "BINBYTES8",
        0x8f => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x92 => "NEWOBJ_EX",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_twos_complement() {
        assert_eq!(long(&[]), Op::Int(0));
        assert_eq!(long(&[0xff]), Op::Int(-1));
        assert_eq!(long(&[0xff, 0]), Op::Int(255));
        assert_eq!(long(&[0, 0, 0, 0x80]), Op::Int(i32::MIN.into()));
        assert_eq!(long(&i64::MIN.to_le_bytes()), Op::Int(i64::MIN));
        assert_eq!(long(&[1; 9]), Op::Long(&[1; 9]));
    }
}
