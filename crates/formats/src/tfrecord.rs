//! TensorFlow's files of records (TFRecord): bytes in frames with checksums.
//!
//! A record is the length (u64, little-endian), the masked CRC-32C of these eight bytes, the data, and its masked CRC-32C.
//! The mask is ((crc ≫ 15) | (crc ≪ 17)) + 0xa282ead8 (tensorflow/core/lib/hash/crc32c.h).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::FormatError;
use crate::atomic::Pending;
use crate::bundle::masked;
use crate::positional::PositionalFile;
use crc32c::{crc32c, crc32c_append};

/// Bytes of a frame before and after the data.
const HEAD: u64 = 12;
const TAIL: u64 = 4;

/// Most bytes of one record that is read: TensorFlow's own limit of a message is 2 GiB, an example of 512 tokens has 12 kB.
const LIMIT: u64 = 1 << 28;

/// Appends `data` as one record.
pub fn frame_record(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(data);
    out.extend(masked(crc32c(data)).to_le_bytes());
}

/// A file of records that appears when it is complete.
#[derive(Debug)]
pub struct RecordWriter {
    pending: Pending,
    /// A handle of the same file.
    out: BufWriter<File>,
    frame: Vec<u8>,
}

impl RecordWriter {
    /// Begins a file. It has its name after [`finish`](Self::finish); dropped before, it leaves nothing.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn create(path: &Path) -> Result<Self, FormatError> {
        let pending = Pending::create(path)?;
        let handle = pending.file().try_clone();
        let out = BufWriter::new(handle.map_err(FormatError::io("create", path))?);
        Ok(Self {
            pending,
            out,
            frame: Vec::new(),
        })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn write(&mut self, data: &[u8]) -> Result<(), FormatError> {
        self.frame.clear();
        frame_record(data, &mut self.frame);
        let written = self.out.write_all(&self.frame);
        written.map_err(FormatError::io("write", self.pending.target()))
    }

    /// Puts everything on the disk and gives the file its name.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(mut self) -> Result<(), FormatError> {
        let flushed = self.out.flush();
        flushed.map_err(FormatError::io("write", self.pending.target()))?;
        self.pending.sync()?;
        self.pending.publish()
    }
}

/// A file of records, read by position.
#[derive(Debug)]
pub struct RecordReader {
    path: PathBuf,
    file: PositionalFile,
    /// Where each record begins, and where the last one ends.
    offsets: Vec<u64>,
    checksum: u32,
}

impl RecordReader {
    /// CRC-32C of what the file says of all records: the lengths and the checksums of their data. Files with other records
    /// have another one.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Opens a file and goes through the lengths of its records, with their checksums; the data are read and checked by
    /// [`read`](Self::read). Takes eight bytes of memory for each record.
    ///
    /// # Errors
    /// A file that cannot be read, that is cut short or damaged, or that holds no records.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        let file = File::open(path).map_err(FormatError::io("open", path))?;
        let metadata = file.metadata().map_err(FormatError::io("open", path))?;
        if !metadata.is_file() {
            let problem = std::io::Error::other("it is not a regular file: name a file of records");
            return Err(FormatError::io("open", path)(problem));
        }
        let mut reader = Self {
            path: path.to_owned(),
            file: PositionalFile::new(file),
            offsets: vec![0],
            checksum: 0,
        };
        let (mut at, end) = (0, metadata.len());
        while at < end {
            at = reader.next(at, end)?;
            reader.offsets.push(at);
            let mut tail = [0; TAIL as usize];
            let read = reader.file.read_exact_at(&mut tail, at - TAIL);
            read.map_err(FormatError::io("read", path))?;
            reader.checksum = crc32c_append(reader.checksum, &at.to_le_bytes());
            reader.checksum = crc32c_append(reader.checksum, &tail);
        }
        Ok(reader)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the record after the one at `at` begins; what was checked lies within `end` bytes.
    fn next(&self, at: u64, end: u64) -> Result<u64, FormatError> {
        let record = self.offsets.len() as u64 - 1;
        let rest = end - at;
        if rest < HEAD + TAIL {
            let problem =
                format!("expected a record of at least 16 bytes, found {rest}: it was cut short");
            return Err(self.damaged(record, at, problem));
        }
        let mut head = [0; HEAD as usize];
        let read = self.file.read_exact_at(&mut head, at);
        read.map_err(FormatError::io("read", &self.path))?;
        let (length, crc) = head.split_at(8);
        let number = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        let (found, expected) = (number(crc), u64::from(masked(crc32c(length))));
        if found != expected {
            let problem = format!(
                "the checksum of its length is {found:08x}, expected {expected:08x}: it is damaged or no TFRecord (compressed \
                 files must be unpacked)"
            );
            return Err(self.damaged(record, at, problem));
        }
        let length = number(length);
        if length > rest - HEAD - TAIL {
            let problem = format!(
                "its length is {length}, but {} bytes follow: it was cut short",
                rest - HEAD - TAIL
            );
            return Err(self.damaged(record, at, problem));
        }
        if length > LIMIT {
            let problem = format!("its length is {length}, expected at most {LIMIT}");
            return Err(self.damaged(record, at, problem));
        }
        Ok(at + HEAD + length + TAIL)
    }

    /// The data of a record, numbered from 0, into `data`.
    ///
    /// # Errors
    /// A record that is damaged, a file that became shorter.
    ///
    /// # Panics
    /// When there is no such record.
    pub fn read(&self, record: usize, data: &mut Vec<u8>) -> Result<(), FormatError> {
        let (start, end) = (self.offsets[record], self.offsets[record + 1]);
        // At most LIMIT, checked as the file was opened.
        data.resize((end - start - HEAD) as usize, 0);
        let read = self.file.read_exact_at(data, start + HEAD);
        read.map_err(FormatError::io("read", &self.path))?;
        let tail = data.split_off(data.len() - TAIL as usize);
        let found = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
        let expected = masked(crc32c(data));
        if found != expected {
            let problem =
                format!("its checksum is {found:08x}, expected {expected:08x}: it is damaged");
            return Err(self.damaged(record as u64, start, problem));
        }
        Ok(())
    }

    /// An error about a record, numbered from 0.
    #[must_use]
    pub fn problem(&self, record: usize, problem: String) -> FormatError {
        let offset = self.offsets.get(record).copied().unwrap_or(0);
        self.damaged(record as u64, offset, problem)
    }

    fn damaged(&self, record: u64, offset: u64, problem: String) -> FormatError {
        FormatError::Record {
            path: self.path.clone(),
            record: record + 1,
            offset,
            problem,
        }
    }
}
