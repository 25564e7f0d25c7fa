//! A zstd file as a stream: its frames one after the other, skippable ones left out, checksums compared.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first bytes of a frame, and of a frame to skip (whose first byte has any lower half).
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];

/// Bytes that are decoded at once.
const AT_ONCE: usize = 1 << 17;

/// Whether a file that begins so is zstd's.
pub(super) fn is_frame(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC) || is_skippable(beginning)
}

fn is_skippable(beginning: &[u8]) -> bool {
    matches!(beginning, [first, rest @ ..] if first & 0xF0 == 0x50 && rest.starts_with(&SKIPPABLE))
}

/// Decodes all frames of a file.
pub(super) struct Decoder<R> {
    input: R,
    frame: FrameDecoder,
    /// Whether a frame was begun and its end not reached.
    inside: bool,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            frame: FrameDecoder::new(),
            inside: false,
        }
    }

    /// Goes to the beginning of the next frame; `false` at the end of the file.
    fn next_frame(&mut self) -> Result<bool> {
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut header = [0; 8];
            // A frame's own header is read by the library, so only its first bytes may be looked at.
            let beginning = self.input.fill_buf()?;
            if beginning[0] & 0xF0 != 0x50 {
                self.frame.reset(&mut self.input).map_err(damaged)?;
                return Ok(true);
            }
            self.input.read_exact(&mut header)?;
            if !is_skippable(&header) {
                return Err(damaged(
                    "expected the beginning of a frame, found other bytes",
                ));
            }
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            let skipped = std::io::copy(
                &mut (&mut self.input).take(u64::from(length)),
                &mut std::io::sink(),
            )?;
            if skipped < u64::from(length) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.inside = true;
            }
            if !self.frame.is_finished() {
                let some = BlockDecodingStrategy::UptoBytes(AT_ONCE);
                self.frame
                    .decode_blocks(&mut self.input, some)
                    .map_err(damaged)?;
            }
            let read = self.frame.read(out)?;
            if read > 0 {
                return Ok(read);
            }
            if self.frame.is_finished() {
                let stored = self.frame.get_checksum_from_data();
                if stored.is_some() && stored != self.frame.get_calculated_checksum() {
                    return Err(damaged("its checksum is another one"));
                }
                self.inside = false;
            }
        }
    }
}

fn damaged(problem: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("damaged zstd data: {problem}; download the file again"),
    )
}
