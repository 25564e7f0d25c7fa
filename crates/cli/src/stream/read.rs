//! Bytes to records: a reader for each format.

mod json;
mod table;
mod text;

use std::sync::Arc;

use anyhow::Result;

use super::columns::Wanted;
use super::flags::Format;
use super::line::Lines;
use super::record::{Place, Record};

/// One input, or why it could not be read.
pub(super) type Item = Result<Record, Failure>;

/// An input that failed, and what was wrong with it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) place: Place,
    pub(super) error: anyhow::Error,
}

/// A source of records. An `Err` of [`next`](Source::next) ends it; a [`Failure`] does not.
pub(super) trait Source: Send {
    fn next(&mut self) -> Result<Option<Item>>;

    /// Whether the next record is here without waiting.
    fn ready(&self) -> bool {
        true
    }

    /// Bytes read so far, or inputs where there are no bytes.
    fn position(&self) -> u64;
}

/// A file as all formats see it.
pub(super) struct Input {
    pub(super) lines: Lines,
    pub(super) file: Arc<str>,
    pub(super) wanted: Vec<Wanted>,
}

impl Input {
    fn place(&self) -> Place {
        Place::Line(self.lines.number, self.file.clone())
    }

    fn failure(&self, error: anyhow::Error) -> Item {
        Err(Failure {
            place: self.place(),
            error,
        })
    }

    fn broken(&self, error: std::io::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(format!(
            "cannot read {} after line {}",
            self.file, self.lines.number
        ))
    }
}

/// How tables are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    /// Whether cells may stand in double quotes.
    pub(super) quotes: bool,
    pub(super) header: bool,
}

pub(super) fn open(
    input: Input,
    format: Format,
    header: bool,
    quotes: bool,
) -> Result<Box<dyn Source>> {
    let table = |separator, quotes| Dialect {
        separator,
        quotes,
        header,
    };
    Ok(match format {
        Format::Text => Box::new(text::Texts::new(input)?),
        Format::Jsonl => Box::new(json::Objects::new(input)),
        Format::Tsv => Box::new(table::Table::new(input, table(b'\t', quotes))),
        Format::Csv => Box::new(table::Table::new(input, table(b',', true))),
    })
}

#[cfg(test)]
pub(super) mod testing {
    //! Readers over memory.

    use super::*;
    use crate::stream::columns::wanted;
    use crate::stream::record::{Field, Value};

    pub(in crate::stream) fn input(
        bytes: &[u8],
        fields: &[Field],
        columns: &[(&str, &str)],
    ) -> Input {
        let columns: Vec<(String, String)> = columns
            .iter()
            .map(|&(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        Input {
            lines: Lines::new(Box::new(std::io::Cursor::new(bytes.to_vec())), 1000),
            file: "FILE".into(),
            wanted: wanted(fields, vec![None; fields.len()], &columns).expect("columns"),
        }
    }

    /// Everything, as `line: value|value` or `line: error: …`.
    pub(in crate::stream) fn all(mut source: Box<dyn Source>) -> Result<Vec<String>> {
        let mut found = Vec::new();
        while let Some(item) = source.next()? {
            found.push(match item {
                Ok(record) => {
                    let values = record.values.iter().map(|value| match value {
                        None => "-".to_owned(),
                        Some(Value::Text(text)) => text.clone(),
                        Some(Value::Texts(texts)) => format!("{texts:?}"),
                    });
                    format!(
                        "{}: {}",
                        record.place.number(),
                        values.collect::<Vec<_>>().join("|")
                    )
                }
                Err(failure) => {
                    format!("{}: error: {:#}", failure.place.number(), failure.error)
                }
            });
        }
        Ok(found)
    }
}
