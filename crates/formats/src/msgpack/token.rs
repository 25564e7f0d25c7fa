//! MessagePack, one token after the other, of a file that is read in pieces.

use crate::{fault::Fault, positional::Source};

/// Bytes that are read at once; the bytes of tensors are passed over.
const WINDOW: u64 = 1 << 14;
/// Tokens of one file. A tensor has about ten.
const MAX_TOKENS: usize = 1 << 22;

/// What comes next; bytes of texts, binaries and extensions follow it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token {
    Nil,
    Bool(bool),
    Int(i64),
    /// A number that no tensor depends on.
    Number,
    Text(u64),
    Binary(u64),
    Array(u64),
    Map(u64),
    Extension(i8, u64),
}

pub(super) struct Tokens<'a> {
    source: &'a Source,
    pub(super) length: u64,
    /// Where the next byte is.
    pub(super) at: u64,
    window: Vec<u8>,
    /// Where the window begins.
    start: u64,
    tokens: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(source: &'a Source, length: u64) -> Self {
        Self {
            source,
            length,
            at: 0,
            window: Vec::new(),
            start: 0,
            tokens: 0,
        }
    }

    /// The next `count` bytes, at most [`super::MAX_KEY`].
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        let end = self.end_of(count as u64)?;
        if self.at < self.start || end > self.start + self.window.len() as u64 {
            let size = WINDOW.max(count as u64).min(self.length - self.at);
            self.window.resize(size as usize, 0);
            self.source.read_exact_at(&mut self.window, self.at)?;
            self.start = self.at;
        }
        let from = (self.at - self.start) as usize;
        self.at = end;
        Ok(&self.window[from..from + count])
    }

    /// Passes over `count` bytes and says where they begin.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, Fault> {
        let start = self.at;
        self.at = self.end_of(count)?;
        Ok(start)
    }

    fn end_of(&self, count: u64) -> Result<u64, Fault> {
        let end = self.at.checked_add(count);
        end.filter(|end| *end <= self.length).ok_or_else(|| {
            Fault::damaged(format!(
                "it was cut short: {count} bytes belong at byte {}, but it has {}",
                self.at, self.length
            ))
        })
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Fault> {
        let mut wide = [0; 8];
        wide[8 - bytes..].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_be_bytes(wide))
    }

    /// A signed number of so many bytes.
    fn signed(&mut self, bytes: usize) -> Result<Token, Fault> {
        let shift = 64 - 8 * bytes as u32;
        let number = self.number(bytes)?;
        Ok(Token::Int((number << shift).cast_signed() >> shift))
    }

    fn extension(&mut self, length: u64) -> Result<Token, Fault> {
        let kind = self.take(1)?[0];
        Ok(Token::Extension(kind.cast_signed(), length))
    }

    pub(super) fn next(&mut self) -> Result<Token, Fault> {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS {
            return Err(Fault::deceives(format!(
                "it has more than {MAX_TOKENS} values"
            )));
        }
        let code = self.take(1)?[0];
        Ok(match code {
            0x00..=0x7f => Token::Int(code.into()),
            0x80..=0x8f => Token::Map((code & 15).into()),
            0x90..=0x9f => Token::Array((code & 15).into()),
            0xa0..=0xbf => Token::Text((code & 31).into()),
            0xc0 => Token::Nil,
            0xc1 => {
                let at = self.at - 1;
                return Err(Fault::damaged(format!(
                    "there is no value at byte {at}, but 0xc1"
                )));
            }
            0xc2 | 0xc3 => Token::Bool(code == 0xc3),
            0xc4..=0xc6 => Token::Binary(self.number(1 << (code - 0xc4))?),
            0xc7..=0xc9 => {
                let length = self.number(1 << (code - 0xc7))?;
                self.extension(length)?
            }
            0xca | 0xcb => {
                self.skip(if code == 0xca { 4 } else { 8 })?;
                Token::Number
            }
            0xcc..=0xcf => match i64::try_from(self.number(1 << (code - 0xcc))?) {
                Ok(number) => Token::Int(number),
                Err(_) => Token::Number,
            },
            0xd0..=0xd3 => self.signed(1 << (code - 0xd0))?,
            0xd4..=0xd8 => self.extension(1 << (code - 0xd4))?,
            0xd9..=0xdb => Token::Text(self.number(1 << (code - 0xd9))?),
            0xdc | 0xdd => Token::Array(self.number(2 << (code - 0xdc))?),
            0xde | 0xdf => Token::Map(self.number(2 << (code - 0xde))?),
            0xe0..=0xff => Token::Int(code.cast_signed().into()),
        })
    }

    /// A text of at most [`super::MAX_KEY`] bytes, as `what`.
    pub(super) fn text(&mut self, length: u64, what: &str) -> Result<String, Fault> {
        let at = self.at;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= super::MAX_KEY)
            .ok_or_else(|| {
                Fault::deceives(format!(
                    "{what} at byte {at} has {length} bytes, at most {} are allowed",
                    super::MAX_KEY
                ))
            })?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes)
            .map_err(|_| Fault::damaged(format!("{what} at byte {at} is not UTF-8")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code() {
        let cases: &[(&[u8], Token)] = &[
            (b"\x7f", Token::Int(127)),
            (b"\xe0", Token::Int(-32)),
            (b"\x8f", Token::Map(15)),
            (b"\x9f", Token::Array(15)),
            (b"\xbf", Token::Text(31)),
            (b"\xc0", Token::Nil),
            (b"\xc3", Token::Bool(true)),
            (b"\xc4\x80", Token::Binary(128)),
            (b"\xc5\x01\x00", Token::Binary(256)),
            (b"\xc6\x01\0\0\0", Token::Binary(1 << 24)),
            (b"\xc7\x05\xff", Token::Extension(-1, 5)),
            (b"\xc8\x01\x00\x01", Token::Extension(1, 256)),
            (b"\xc9\x01\0\0\0\x01", Token::Extension(1, 1 << 24)),
            (b"\xca\0\0\0\0", Token::Number),
            (b"\xcb\0\0\0\0\0\0\0\0", Token::Number),
            (b"\xcc\xff", Token::Int(255)),
            (b"\xcd\x01\x00", Token::Int(256)),
            (b"\xce\xff\xff\xff\xff", Token::Int(u32::MAX.into())),
            (b"\xcf\xff\0\0\0\0\0\0\0", Token::Number),
            (b"\xd0\x80", Token::Int(-128)),
            (b"\xd1\x80\0", Token::Int(-32768)),
            (b"\xd2\xff\xff\xff\xfe", Token::Int(-2)),
            (b"\xd3\x80\0\0\0\0\0\0\0", Token::Int(i64::MIN)),
            (b"\xd4\x02", Token::Extension(2, 1)),
            (b"\xd8\x02", Token::Extension(2, 16)),
            (b"\xd9\x20", Token::Text(32)),
            (b"\xdb\0\x01\0\0", Token::Text(65536)),
            (b"\xdc\x01\x00", Token::Array(256)),
            (b"\xdf\0\x01\0\0", Token::Map(65536)),
        ];
        for (bytes, expected) in cases {
            let source = Source::Memory(bytes.to_vec().into());
            let read = |length| Tokens::new(&source, length).next();
            let found = read(bytes.len() as u64).expect("valid");
            assert_eq!(found, *expected, "{bytes:x?}");
            assert!(read(bytes.len() as u64 - 1).is_err(), "{bytes:x?}");
        }
    }
}
