//! Lines and documents of text files, plain or compressed with gzip or zstd, read as a stream.
//!
//! ```
//! use albert_train::lines::open_lines;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("corpus.txt");
//! # std::fs::write(&path, "One.\nTwo.\n\nThree.\n")?;
//! let mut lines = open_lines(&path)?;
//! let mut document = Vec::new();
//! assert!(lines.next_document(&mut document)?);
//! assert_eq!(document, ["One.", "Two."]);
//! assert_eq!(lines.next_line()?, Some("Three."));
//! assert_eq!(lines.number(), 4);
//! assert_eq!(lines.next_line()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod zstd;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};

/// Bytes of a line, at most.
pub const MAX_LINE: usize = 64 << 20;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 17;

/// Opens a text file. Whether it is compressed shows in its first bytes, whatever its name is.
///
/// # Errors
/// A file that cannot be opened or read; a name that ends with `.gz` or `.zst` for something else.
pub fn open_lines(path: &Path) -> Result<Lines> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let beginning = file.fill_buf().map_err(Error::file("read", path))?;
    let is_gzip = beginning.starts_with(&[0x1F, 0x8B]);
    let is_zstd = zstd::is_frame(beginning);
    let named = |extension| path.extension().is_some_and(|found| found == extension);
    for (extension, is, name) in [("gz", is_gzip, "gzip"), ("zst", is_zstd, "zstd")] {
        if named(extension) && !is {
            let expected =
                format!("a {name} file, as its name says; rename it if it is plain text");
            return Err(Error::data(path, At::File, expected, "other bytes"));
        }
    }
    let input: Box<dyn BufRead + Send> = if is_gzip {
        let decoder = flate2::bufread::MultiGzDecoder::new(file);
        Box::new(BufReader::with_capacity(BUFFER, decoder))
    } else if is_zstd {
        Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::new(file)))
    } else {
        Box::new(file)
    };
    Ok(Lines {
        input,
        path: path.to_owned(),
        line: Vec::new(),
        number: 0,
        byte: 0,
    })
}

/// The lines of a file. They end at `\n`; `\r` before it, the last `\n` of a file and a byte order mark at its beginning
/// belong to no line.
pub struct Lines {
    input: Box<dyn BufRead + Send>,
    path: PathBuf,
    /// The bytes of one line.
    line: Vec<u8>,
    /// Lines that were read.
    number: u64,
    /// Bytes that were read, after decompression.
    byte: u64,
}

impl Lines {
    /// The next line, or `None` at the end of the file.
    ///
    /// # Errors
    /// Bytes that are not UTF-8 (with line and byte), a line longer than [`MAX_LINE`], damaged compression, a file that
    /// cannot be read.
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        self.line.clear();
        let start = self.byte;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::file("read", &self.path)(error)),
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            if self.line.len() + taken > MAX_LINE + 1 {
                let at = At::Line(self.number as usize + 1);
                let expected = format!(
                    "lines of at most {MAX_LINE} bytes; put the line feeds where sentences or paragraphs end"
                );
                return Err(Error::data(&self.path, at, expected, "a longer one"));
            }
            self.line.extend_from_slice(&available[..taken]);
            self.input.consume(taken);
            self.byte += taken as u64;
            if end.is_some() || taken == 0 {
                break;
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let mut text = &self.line[..];
        let mut skipped = 0;
        if let Some(rest) = text.strip_prefix("\u{FEFF}".as_bytes())
            && self.number == 1
        {
            (text, skipped) = (rest, 3);
        }
        if let Some(rest) = text.strip_suffix(b"\n") {
            text = rest.strip_suffix(b"\r").unwrap_or(rest);
        }
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let at = error.valid_up_to();
                let found = format!(
                    "byte 0x{:02X} at byte {} of the text",
                    text[at],
                    start + skipped + at as u64
                );
                let at = At::Line(self.number as usize);
                Err(Error::data(
                    &self.path,
                    at,
                    "UTF-8; convert the file",
                    found,
                ))
            }
        }
    }

    /// The lines of the next document, without their white space at both ends, in place of what `lines` held. Documents
    /// are separated by blank lines. `false` at the end of the file.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn next_document(&mut self, lines: &mut Vec<String>) -> Result<bool> {
        lines.clear();
        while let Some(line) = self.next_line()? {
            let line = line.trim();
            if !line.is_empty() {
                lines.push(line.to_owned());
            } else if !lines.is_empty() {
                break;
            }
        }
        Ok(!lines.is_empty())
    }

    /// The number of the line that was read last, from 1; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of text that were read, after decompression.
    pub fn bytes(&self) -> u64 {
        self.byte
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("path", &self.path)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
