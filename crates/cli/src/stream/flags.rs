//! The flags that all verbs on texts share.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::voice::Voice;
use crate::device::ComputeFlags;

/// How tables and JSON lines are read.
#[derive(Default, clap::Args)]
pub(crate) struct TableFlags {
    /// Which columns to read: NAME=COLUMN, by the header, a JSON key, or a number with --no-header
    #[arg(long, value_name = "NAME=COLUMN", value_delimiter = ',', value_parser = column, help_heading = "Input")]
    pub(super) columns: Vec<(String, String)>,
    /// The first row of a table is data: columns are numbers from 1
    #[arg(long, help_heading = "Input")]
    pub(super) no_header: bool,
    /// Cells of tab-separated tables may stand in double quotes, as in CSV
    #[arg(long, help_heading = "Input")]
    pub(super) quotes: bool,
}

impl TableFlags {
    /// Whether one of them is given.
    pub(crate) fn is_set(&self) -> bool {
        !self.columns.is_empty() || self.no_header || self.quotes
    }
}

/// Where inputs come from and answers go to, and how they are computed.
#[derive(clap::Args)]
pub(crate) struct TextFlags {
    /// Read inputs from FILE (- is stdin); without it and without arguments, from stdin
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(super) input: Option<PathBuf>,
    /// Form of the input [default: by the file's extension; else text]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Input")]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) table: TableFlags,
    /// What to do with an input that cannot be read or answered
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value = "stop",
        help_heading = "Input"
    )]
    pub(super) on_error: OnError,
    /// Write to FILE, complete or not at all, instead of stdout; its extension gives the form
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// Write one JSON line for each input
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// What to do with an input that has more tokens than the model takes [default: slide for tag and answer, else error]
    #[arg(long, value_enum, value_name = "WHAT")]
    long: Option<Long>,
    /// Most tokens in one batch of the model; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = batch_tokens())]
    batch_tokens: NonZeroUsize,
    #[command(flatten)]
    pub(crate) device: ComputeFlags,
    #[command(flatten)]
    pub(crate) voice: Voice,
}

impl TextFlags {
    /// `--long`, or what the verb does without it.
    pub(crate) fn long(&self, default: Long) -> Long {
        self.long.unwrap_or(default)
    }

    pub(crate) fn batch_tokens(&self) -> usize {
        self.batch_tokens.get()
    }
}

/// The library's own.
fn batch_tokens() -> NonZeroUsize {
    let tokens = albert::pipeline::Limits::default().batch_tokens;
    NonZeroUsize::new(tokens).expect("at least one token")
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, column)) if !name.is_empty() && !column.is_empty() => {
            Ok((name.to_owned(), column.to_owned()))
        }
        _ => Err("expected NAME=COLUMN, such as text=sentence".to_owned()),
    }
}

/// How inputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A text on each line
    Text,
    /// A JSON object or string on each line
    Jsonl,
    /// Cells between tabs, the first line with their names
    Tsv,
    /// Cells between commas, quoted where needed (RFC 4180)
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// End there, after the answers before it
    Stop,
    /// Tell it and go on; exit with 1 at the end
    Skip,
}

/// What to do with an input that is longer than the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Long {
    /// Refuse it
    Error,
    /// Leave out its end
    Truncate,
    /// Read it in overlapping windows
    Slide,
}
