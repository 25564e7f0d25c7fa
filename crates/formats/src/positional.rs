//! Reading bytes at an offset from several threads: of a file, without a shared cursor where the system
//! can, or of memory.

use std::{borrow::Cow, fs::File, io};

/// Where the bytes of one file are.
#[derive(Debug)]
pub(crate) enum Source {
    File(PositionalFile),
    Memory(Cow<'static, [u8]>),
}

impl Source {
    /// Fills `bytes` from `offset`.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(bytes, offset),
            Self::Memory(memory) => {
                bytes.copy_from_slice(part(memory, offset, bytes.len())?);
                Ok(())
            }
        }
    }

    /// `length` bytes from `offset`: in memory where they are, of a file read into `buffer`.
    pub(crate) fn view<'a>(
        &'a self,
        buffer: &'a mut Vec<u8>,
        offset: u64,
        length: usize,
    ) -> io::Result<&'a [u8]> {
        match self {
            Self::File(file) => {
                buffer.resize(length, 0);
                file.read_exact_at(buffer, offset)?;
                Ok(buffer)
            }
            Self::Memory(memory) => part(memory, offset, length),
        }
    }
}

fn part(memory: &[u8], offset: u64, length: usize) -> io::Result<&[u8]> {
    let rest = usize::try_from(offset).ok().and_then(|at| memory.get(at..));
    rest.and_then(|rest| rest.get(..length))
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// An open file that is read by position, from any number of threads.
#[derive(Debug)]
pub struct PositionalFile {
    #[cfg(any(unix, windows))]
    file: File,
    #[cfg(not(any(unix, windows)))]
    file: std::sync::Mutex<File>,
}

impl PositionalFile {
    /// Takes over a file that is open for reading.
    pub fn new(file: File) -> Self {
        #[cfg(not(any(unix, windows)))]
        let file = std::sync::Mutex::new(file);
        Self { file }
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// The system's answer; `UnexpectedEof` where the file ends before.
    #[cfg(unix)]
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// The system's answer; `UnexpectedEof` where the file ends before.
    #[cfg(windows)]
    pub fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !bytes.is_empty() {
            match self.file.seek_read(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    bytes = &mut bytes[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// The system's answer; `UnexpectedEof` where the file ends before.
    #[cfg(not(any(unix, windows)))]
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}
