//! Lines of a stream as bytes: counted, without a byte order mark, never longer than a bound.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Result, anyhow};

/// Most bytes of a line; a longer one is an error instead of memory without bound.
pub(super) const LONGEST: usize = 256 << 20;

const BUFFER: usize = 1 << 16;

pub(super) struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    pub(super) longest: usize,
    /// The number of the last line read, from 1.
    pub(super) number: u64,
    /// Bytes read, that line included.
    pub(super) position: u64,
}

/// How a line was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is in the buffer, with its `\n` if it has one.
    Whole,
    /// It was longer than the bound and is gone.
    TooLong,
    /// There is none.
    End,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>, longest: usize) -> Self {
        Self {
            source: BufReader::with_capacity(BUFFER, source),
            longest,
            number: 0,
            position: 0,
        }
    }

    /// Makes `line` the next line, its `\n` included.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> std::io::Result<Fetched> {
        line.clear();
        let most = self.longest as u64 + 1;
        let read = (&mut self.source).take(most).read_until(b'\n', line)?;
        if read == 0 {
            return Ok(Fetched::End);
        }
        self.number += 1;
        self.position += read as u64;
        if read as u64 == most && line.last() != Some(&b'\n') {
            self.position += self.source.skip_until(b'\n')? as u64;
            line.clear();
            return Ok(Fetched::TooLong);
        }
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        Ok(Fetched::Whole)
    }

    /// Whether a whole line is here without waiting for the source.
    pub(super) fn ready(&self) -> bool {
        self.source.buffer().contains(&b'\n')
    }

    pub(super) fn too_long(&self) -> anyhow::Error {
        anyhow!(
            "longer than {} bytes: expected a shorter line (does the file have line feeds?)",
            self.longest
        )
    }
}

/// A line without its end: `\n`, or `\r\n`.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Bytes as text; the error names the first wrong byte.
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        NotUtf8 {
            number: at + 1,
            byte: bytes[at],
        }
        .into()
    })
}

/// A line that is no text. Verbs that can leave lines out say so.
#[derive(Debug, thiserror::Error)]
#[error("byte {number} of the line, 0x{byte:02x}, is not UTF-8: convert the file (iconv -t utf-8)")]
pub(super) struct NotUtf8 {
    number: usize,
    byte: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], longest: usize) -> Vec<Result<String, u64>> {
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(bytes.to_vec())), longest);
        let mut found = Vec::new();
        loop {
            let mut line = Vec::new();
            match lines.next(&mut line).expect("memory") {
                Fetched::Whole => {
                    found.push(Ok(text(without_end(&line)).expect("UTF-8").to_owned()))
                }
                Fetched::TooLong => found.push(Err(lines.number)),
                Fetched::End => break,
            }
        }
        assert_eq!(lines.position, bytes.len() as u64);
        found
    }

    #[test]
    fn ends_and_marks_are_taken_off() {
        let ok = |lines: &[&str]| -> Vec<Result<String, u64>> {
            lines.iter().map(|&line| Ok(line.to_owned())).collect()
        };
        assert_eq!(lines(b"", 9), ok(&[]));
        assert_eq!(lines(b"\n", 9), ok(&[""]));
        assert_eq!(
            lines(b"a\r\n\nb\r\r\nc\rd", 9),
            ok(&["a", "", "b\r", "c\rd"])
        );
        // A mark at the beginning alone.
        assert_eq!(
            lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", 9),
            ok(&["a", "\u{feff}b"])
        );
    }

    #[test]
    fn a_long_line_is_left_out_whole() {
        let ok = |line: &str| Ok(line.to_owned());
        assert_eq!(
            lines(b"abcd\nabcde\nab", 5),
            [ok("abcd"), ok("abcde"), ok("ab")]
        );
        assert_eq!(
            lines(b"abcd\nabcdef\nab", 4),
            [ok("abcd"), Err(2), ok("ab")]
        );
        assert_eq!(lines(b"abcdefgh", 4), [Err(1)]);
    }

    #[test]
    fn a_wrong_byte_is_named() {
        let error = text(b"ab\xff").expect_err("no UTF-8").to_string();
        assert!(
            error.starts_with("byte 3 of the line, 0xff, is not UTF-8"),
            "{error}"
        );
    }
}
