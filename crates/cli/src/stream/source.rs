//! From flags to a source of records: the command line, a file or stdin.

use std::fs::{File, Metadata};
use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result};

use super::columns::{self, Wanted, quoted};
use super::flags::{Format, TableFlags, TextFlags};
use super::line::{LONGEST, Lines};
use super::read::{Input, Item, Source, open as reader};
use super::record::{Field, Given, Place, Record, Value};
use super::usage;

/// Records, and what is known of them beforehand.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    /// How far [`Source::position`] will go.
    pub(super) total: Option<u64>,
    /// Whether more input may be long in coming, as from a pipe.
    pub(super) live: bool,
}

pub(super) fn open(fields: &[Field], given: Given, flags: &TextFlags) -> Result<Opened> {
    assert_eq!(given.columns.len(), fields.len(), "a column for each field");
    let full =
        |(field, (_, values)): (&Field, &(_, Vec<Value>))| !field.required || !values.is_empty();
    let some = given.columns.iter().any(|(_, values)| !values.is_empty());
    if some && fields.iter().zip(&given.columns).all(full) {
        if let Some(input) = &flags.input {
            return Err(usage(format!(
                "--input {} cannot be used with {}: give the inputs in one of the two ways",
                input.display(),
                given.columns[0].0
            )));
        }
        return arguments(given, flags);
    }
    // Texts on the command line, and nothing for another field that each needs: no file will bring it.
    if let (Some((texts, values)), None) = (given.columns.first(), &flags.input)
        && !values.is_empty()
    {
        let missing = fields.iter().zip(&given.columns).skip(1);
        for (field, (flag, values)) in missing {
            if field.required && values.is_empty() {
                return Err(usage(format!(
                    "{texts} without {flag}: give one, or read both with --input"
                )));
            }
        }
    }
    let constants: Result<Vec<Option<Value>>> = given.columns.into_iter().map(constant).collect();
    let wanted = columns::wanted(fields, constants?, &flags.table.columns)?;
    let path = flags
        .input
        .as_deref()
        .filter(|path| *path != Path::new("-"));
    let (file, bytes, known): (String, Box<dyn Read + Send>, Option<Metadata>) = match path {
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
            let known = file.metadata().ok();
            (name, Box::new(file), known)
        }
        None => ("stdin".to_owned(), Box::new(std::io::stdin()), stdin()),
    };
    let regular = known.filter(Metadata::is_file);
    let format = flags.format.unwrap_or_else(|| by_extension(path));
    if path.is_none() && std::io::stdin().is_terminal() {
        hint(flags, &wanted, format);
    }
    let input = Input {
        lines: Lines::new(bytes, LONGEST),
        file: file.into(),
        wanted,
    };
    Ok(Opened {
        source: reader(input, format, !flags.table.no_header, flags.table.quotes)?,
        live: regular.is_none(),
        total: regular.map(|known| known.len()),
    })
}

/// All records of a file; the first that cannot be read is an error.
pub(crate) fn read_all(
    path: &Path,
    fields: &[Field],
    format: Option<Format>,
    table: &TableFlags,
) -> Result<Vec<Record>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let input = Input {
        lines: Lines::new(Box::new(file), LONGEST),
        file: name.into(),
        wanted: columns::wanted(fields, vec![None; fields.len()], &table.columns)?,
    };
    let format = format.unwrap_or_else(|| by_extension(Some(path)));
    let mut source = reader(input, format, !table.no_header, table.quotes)?;
    let mut records = Vec::new();
    while let Some(item) = source.next()? {
        records.push(item.map_err(|failure| failure.error.context(failure.place))?);
    }
    Ok(records)
}

/// The one value of a field for all inputs.
fn constant((flag, mut values): (&'static str, Vec<Value>)) -> Result<Option<Value>> {
    if values.len() > 1 {
        return Err(usage(format!(
            "{} values of {flag} for inputs that come from a file or stdin: expected one, for all of them",
            values.len()
        )));
    }
    Ok(values.pop())
}

#[cfg(unix)]
fn stdin() -> Option<Metadata> {
    use std::os::fd::AsFd;
    let copy = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    File::from(copy).metadata().ok()
}

#[cfg(not(unix))]
fn stdin() -> Option<Metadata> {
    None
}

fn by_extension(path: Option<&Path>) -> Format {
    let extension = path
        .and_then(Path::extension)
        .map(|e| e.to_ascii_lowercase());
    match extension.as_ref().and_then(|e| e.to_str()) {
        Some("jsonl" | "ndjson" | "json") => Format::Jsonl,
        Some("tsv") => Format::Tsv,
        Some("csv") => Format::Csv,
        _ => Format::Text,
    }
}

fn hint(flags: &TextFlags, wanted: &[Wanted], format: Format) {
    let open: Vec<&str> = wanted
        .iter()
        .filter(|want| want.constant.is_none() && want.field.required)
        .map(|want| want.field.name)
        .collect();
    let form = match format {
        Format::Text => "one input a line",
        Format::Jsonl => "one JSON value a line",
        Format::Tsv | Format::Csv => "a table",
    };
    flags.voice.note(format!(
        "reading {} from the terminal, {form}; Ctrl-D ends",
        quoted(&open)
    ));
}

/// Inputs from the command line: the k-th values of all columns are the k-th input.
fn arguments(given: Given, flags: &TextFlags) -> Result<Opened> {
    if flags.format.is_some() || flags.table.is_set() {
        return Err(usage(
            "--format, --columns, --no-header and --quotes are about files: give --input FILE, or leave them out",
        ));
    }
    let (first, texts) = &given.columns[0];
    let count = texts.len();
    for (flag, values) in &given.columns[1..] {
        if !values.is_empty() && values.len() != count {
            return Err(usage(format!(
                "{count} of {first} and {} of {flag}: expected as many of both, the first with the first",
                values.len()
            )));
        }
    }
    Ok(Opened {
        source: Box::new(Arguments {
            columns: given
                .columns
                .into_iter()
                .map(|(_, values)| values.into_iter())
                .collect(),
            read: 0,
        }),
        total: Some(count as u64),
        live: false,
    })
}

struct Arguments {
    columns: Vec<std::vec::IntoIter<Value>>,
    read: u64,
}

impl Source for Arguments {
    fn next(&mut self) -> Result<Option<Item>> {
        let values: Vec<Option<Value>> = self.columns.iter_mut().map(Iterator::next).collect();
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        self.read += 1;
        let place = Place::Argument(self.read);
        Ok(Some(Ok(Record { place, values })))
    }

    fn position(&self) -> u64 {
        self.read
    }
}
