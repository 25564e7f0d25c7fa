//! Answers to bytes: a writer for each form of output.

#[cfg(feature = "columnar")]
mod columnar;
mod npy;
mod text;

use std::path::Path;

use anyhow::Result;

use super::flags::TextFlags;
use super::read::Failure;
use super::record::Record;
use super::target::Target;
use super::task::Reply;
use super::usage;

/// Takes answers in the order of the inputs.
pub(super) trait Writer {
    fn answer(&mut self, input: &Record, reply: Reply) -> Result<()>;

    /// The place of an input that has no answer, so that the rest stays aligned.
    fn failure(&mut self, input: Option<&Record>, failure: &Failure) -> Result<()>;

    /// Hands on what is written, where somebody may be waiting for it.
    fn flush(&mut self) -> Result<()>;

    /// Completes the output. `width`: the length of vectors, should there be none.
    fn finish(self: Box<Self>, width: usize) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines for people.
    Text,
    /// JSON lines.
    Json,
    /// NumPy's array of all vectors.
    Npy,
    Parquet,
    Arrow,
}

impl Form {
    /// The form that the flags ask for. `vectors`: whether the answers are embeddings.
    pub(super) fn choose(flags: &TextFlags, vectors: bool) -> Result<Self> {
        let path = flags.output.as_deref();
        let extension = path
            .and_then(Path::extension)
            .map(|e| e.to_ascii_lowercase());
        let extension = extension
            .as_ref()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        let form = match extension {
            "npy" => Self::Npy,
            "parquet" => Self::Parquet,
            "arrow" | "feather" => Self::Arrow,
            "json" | "jsonl" | "ndjson" => return Ok(Self::Json),
            "csv" | "tsv" | "npz" | "pt" | "bin" | "safetensors" | "xlsx" => {
                return Err(usage(format!(
                    "--output: .{extension} files are not written: expected .jsonl, .npy, .parquet, .arrow, or text under another name"
                )));
            }
            _ if flags.json => return Ok(Self::Json),
            _ => return Ok(Self::Text),
        };
        if flags.json {
            return Err(usage(format!(
                "--json cannot be used with a .{extension} file: leave --json out, or write to a .jsonl file"
            )));
        }
        if !vectors {
            return Err(usage(format!(
                "a .{extension} file holds embeddings, which this verb does not give: write to a .txt or .jsonl file"
            )));
        }
        #[cfg(not(feature = "columnar"))]
        if form != Self::Npy {
            return Err(usage(format!(
                "this program was built without .{extension} files: build it with `cargo build --release --features columnar`, or write to a .npy or .jsonl file"
            )));
        }
        Ok(form)
    }

    pub(super) fn writer(self, target: Target) -> Result<Box<dyn Writer>> {
        Ok(match self {
            Self::Text => Box::new(text::Text::new(target)),
            Self::Json => Box::new(text::Json::new(target)),
            Self::Npy => Box::new(npy::Npy::new(target)?),
            #[cfg(feature = "columnar")]
            Self::Parquet => Box::new(columnar::Columnar::parquet(target)),
            #[cfg(feature = "columnar")]
            Self::Arrow => Box::new(columnar::Columnar::arrow(target)),
            #[cfg(not(feature = "columnar"))]
            Self::Parquet | Self::Arrow => unreachable!("refused by choose"),
        })
    }
}

#[cfg(test)]
mod testing {
    //! Answers to write.

    use std::path::PathBuf;

    use super::super::record::{Place, Value};
    use super::super::task::Output;
    use super::*;

    pub(super) fn record(number: u64, text: &str) -> Record {
        Record {
            place: Place::Line(number, "FILE".into()),
            values: vec![Some(Value::Text(text.to_owned()))],
        }
    }

    pub(super) fn failure(number: u64) -> Failure {
        Failure {
            place: Place::Line(number, "FILE".into()),
            error: anyhow::anyhow!("cause").context("effect"),
        }
    }

    pub(super) fn vector(vector: &[f32]) -> Reply {
        Reply {
            output: Output::Vector(vector.to_vec()),
            truncated: true,
            tokens: 3,
        }
    }

    /// The bytes that a writer of this form leaves in a file.
    pub(super) fn file(
        form: Form,
        width: usize,
        write: impl FnOnce(&mut dyn Writer),
    ) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let target = Target::open(Some(&path)).expect("a file");
        let mut writer = form.writer(target).expect("a writer");
        write(&mut *writer);
        writer.flush().expect("flushed");
        writer.finish(width).expect("finished");
        (folder, path)
    }
}
