//! TensorBoard's event files: records of TFRecord that hold messages `tensorflow.Event`.
//!
//! The numbers of fields are those of `event.proto` and `summary.proto`.

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
        let mut record = Vec::new();
        albert_formats::frame_record(&event.encode_to_vec(), &mut record);
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

#[cfg(test)]
mod tests {
    use super::EventFile;

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
