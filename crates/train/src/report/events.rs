//! TensorBoard's event files: records of TFRecord that hold messages `tensorflow.Event`.
//!
//! A record is the length (u64, little-endian), the masked CRC-32C of these eight bytes, the message, and its masked CRC-32C.
//! The mask is ((crc ≫ 15) | (crc ≪ 17)) + 0xa282ead8 (tensorflow/core/lib/hash/crc32c.h). The numbers of fields are those
//! of `event.proto` and `summary.proto`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use prost::Message;

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// Begins a file with the version record. `wall_time` is in seconds since 1970.
    ///
    /// # Errors
    /// A file that is there already or cannot be made.
    pub fn create(path: &Path, wall_time: f64) -> io::Result<Self> {
        let mut file = Self {
            file: File::create_new(path)?,
        };
        file.write(&Event {
            wall_time,
            step: 0,
            what: Some(What::FileVersion("brain.Event:2".to_owned())),
        })?;
        Ok(file)
    }

    /// Says that training begins (again) at a step: TensorBoard drops what earlier files of the run say of later ones.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn start(&mut self, step: u64, wall_time: f64) -> io::Result<()> {
        let start = SessionLog { status: 1 };
        self.write(&Event {
            wall_time,
            step: step.cast_signed(),
            what: Some(What::SessionLog(start)),
        })
    }

    /// Values of a step, in one record.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        wall_time: f64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let value = |(tag, value): (&str, f64)| Scalar {
            tag: tag.to_owned(),
            simple_value: Some(value as f32),
        };
        let summary = Summary {
            value: values.into_iter().map(value).collect(),
        };
        self.write(&Event {
            wall_time,
            step: step.cast_signed(),
            what: Some(What::Summary(summary)),
        })
    }

    /// One write, so that a reader meets whole records.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked(crc32c(&length)).to_le_bytes());
        record.extend(&data);
        record.extend(masked(crc32c(&data)).to_le_bytes());
        self.file.write_all(&record)
    }
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1: START.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Castagnoli's CRC of 32 bits, reflected, a byte at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::{EventFile, crc32c};

    #[test]
    fn checksums_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// `fixtures/optim/events.tfevents`, which TensorBoard's own writer made (tools/make_events_golden.py).
    #[test]
    fn bytes_of_tensorboard_s_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.out.tfevents.1");
        let mut file = EventFile::create(&path, 1574244000.5).expect("a file");
        file.start(300, 1574244000.75).expect("written");
        let values = [("train/loss", 0.25), ("train/learning_rate", 1e-5)];
        file.scalars(301, 1574244001.0, values).expect("written");
        file.scalars(400, 1574244002.25, [("eval/loss", 0.0)])
            .expect("written");
        let expected = include_bytes!("../../../../fixtures/optim/events.tfevents");
        assert_eq!(std::fs::read(&path).expect("the file"), expected);
        assert!(EventFile::create(&path, 0.0).is_err());
    }
}
