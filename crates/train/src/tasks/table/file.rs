//! Tables as rows of cells: comma-separated, tab-separated, JSON lines.

use std::path::Path;

use serde_json::Value;

use super::{Table, TableFormat, TableOptions, Target};
use crate::error::{At, Error, Place, Result};
use crate::tasks::Skipped;
use crate::tasks::files::{json, lines, text_of};
use crate::tasks::text::TextExamples;

const TEXT: &[&str] = &["text", "sentence", "sentence1", "premise", "question1"];
const PAIR: &[&str] = &["text_pair", "sentence2", "hypothesis", "question2"];
const LABEL: &[&str] = &["label", "labels", "gold_label", "score"];

/// What a row says of a label.
enum Cell {
    Text(String),
    List(Vec<String>),
}

/// A row, read.
struct Record {
    line: usize,
    text: String,
    pair: Option<String>,
    label: Option<Cell>,
}

pub(super) fn read(path: &Path, options: &TableOptions) -> Result<Table> {
    let text = text_of(path)?;
    let format = match options.format {
        Some(format) => format,
        None => by_extension(path)?,
    };
    let mut skipped = Vec::new();
    let records = match format {
        TableFormat::JsonLines => objects(path, &text, options, &mut skipped)?,
        TableFormat::Csv => rows(path, comma_separated(path, &text)?, options, &mut skipped)?,
        TableFormat::Tsv => {
            let cells = |row: &str| row.split('\t').map(str::to_owned).collect();
            let split = lines(&text).map(|(line, row)| (line, cells(row))).collect();
            rows(path, split, options, &mut skipped)?
        }
    };
    let labelled = records
        .iter()
        .filter(|record| record.label.is_some())
        .count();
    if let (true, Some(record)) = (
        labelled > 0,
        records.iter().find(|record| record.label.is_none()),
    ) {
        let expected = "a label, as other rows have one";
        return Err(Error::data(path, At::Line(record.line), expected, "none"));
    }
    let mut table = Table {
        texts: TextExamples {
            skipped,
            ..TextExamples::default()
        },
        labels: (labelled > 0).then(Vec::new),
        places: Vec::with_capacity(records.len()),
        target: options.target,
    };
    for record in records {
        let at = At::Line(record.line);
        if let (Some(all), Some(label)) = (&mut table.labels, record.label) {
            all.push(labels(path, &at, label, options.target)?);
        }
        table.texts.ids.push(table.places.len().to_string());
        table.texts.texts.push((record.text, record.pair));
        table.places.push(Place {
            path: path.to_owned(),
            at,
        });
    }
    Ok(table)
}

fn by_extension(path: &Path) -> Result<TableFormat> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "csv" => Ok(TableFormat::Csv),
        "tsv" => Ok(TableFormat::Tsv),
        "json" | "jsonl" | "ndjson" => Ok(TableFormat::JsonLines),
        other => {
            let expected =
                "an extension that tells the format (csv, tsv, json, jsonl); or name the format";
            Err(Error::data(path, At::File, expected, format!("{other:?}")))
        }
    }
}

/// The labels of a row; a value is its only one.
fn labels(path: &Path, at: &At, label: Cell, target: Target) -> Result<Vec<String>> {
    match (label, target) {
        (Cell::List(list), Target::Labels(_)) => Ok(list),
        (Cell::Text(text), Target::Labels(separator)) => Ok(text
            .split(separator)
            .map(str::trim)
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect()),
        (Cell::Text(text), _) if !text.trim().is_empty() => Ok(vec![text.trim().to_owned()]),
        (Cell::Text(_), _) => Err(Error::data(path, at.clone(), "a label", "an empty one")),
        (Cell::List(list), _) => {
            let expected = "one label; for several at once ask for a task with several labels";
            Err(Error::data(path, at.clone(), expected, format!("{list:?}")))
        }
    }
}

/// The place of a column: the one named, or the first of the usual names.
fn column(
    path: &Path,
    header: &[String],
    named: Option<&str>,
    usual: &[&str],
) -> Result<Option<usize>> {
    let place = |name: &str| header.iter().position(|column| column.trim() == name);
    match named {
        None => Ok(usual.iter().find_map(|name| place(name))),
        Some(name) => place(name).map(Some).ok_or_else(|| {
            let expected = format!("a column {name:?}");
            Error::data(path, At::Line(1), expected, format!("{header:?}"))
        }),
    }
}

fn rows(
    path: &Path,
    rows: Vec<(usize, Vec<String>)>,
    options: &TableOptions,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Record>> {
    let mut rows = rows.into_iter();
    let (_, header) = rows
        .next()
        .ok_or_else(|| Error::data(path, At::File, "a line that names the columns", "nothing"))?;
    let text = column(path, &header, options.text.as_deref(), TEXT)?.ok_or_else(|| {
        let expected = format!("a column of texts ({}); or name it", TEXT.join(", "));
        Error::data(path, At::Line(1), expected, format!("{header:?}"))
    })?;
    let pair = column(path, &header, options.pair.as_deref(), PAIR)?;
    let label = column(path, &header, options.label.as_deref(), LABEL)?;
    let mut records = Vec::new();
    for (line, mut cells) in rows {
        if cells.iter().all(String::is_empty) && cells.len() < 2 {
            skipped.push(Skipped::new(path, At::Line(line), "an empty line"));
            continue;
        }
        if cells.len() != header.len() {
            let expected = format!("{} cells, as in the first line", header.len());
            return Err(Error::data(path, At::Line(line), expected, cells.len()));
        }
        let mut take = |place: usize| cells[place].clone();
        let (pair, label) = (pair.map(&mut take), label.map(&mut take).map(Cell::Text));
        records.push(Record {
            line,
            text: std::mem::take(&mut cells[text]),
            pair,
            label,
        });
    }
    Ok(records)
}

fn objects(
    path: &Path,
    text: &str,
    options: &TableOptions,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for (line, row) in lines(text) {
        if row.trim().is_empty() {
            skipped.push(Skipped::new(path, At::Line(line), "an empty line"));
            continue;
        }
        let object: serde_json::Map<String, Value> =
            json(path, line, row, "a JSON object on each line")?;
        let value = |named: Option<&String>, usual: &[&str]| match named {
            Some(name) => object.get(name),
            None => usual.iter().find_map(|name| object.get(*name)),
        };
        let refused = |what: &str, value: Option<&Value>| {
            let found = value.map_or_else(|| "none".to_owned(), Value::to_string);
            Error::data(path, At::Line(line), what, found)
        };
        let string = |value: &Value, what: &str| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(refused(what, Some(other))),
        };
        let first = value(options.text.as_ref(), TEXT);
        let first = first.ok_or_else(|| refused("a text; name its field", None))?;
        let pair = value(options.pair.as_ref(), PAIR).filter(|value| !value.is_null());
        if let (None, Some(name)) = (pair, &options.pair) {
            return Err(refused(&format!("a second text in {name:?}"), None));
        }
        let label = value(options.label.as_ref(), LABEL).filter(|value| !value.is_null());
        records.push(Record {
            line,
            text: string(first, "a text")?,
            pair: pair.map(|pair| string(pair, "a second text")).transpose()?,
            label: match label {
                None => None,
                Some(Value::Array(list)) => {
                    let names: Option<Vec<String>> = list.iter().map(name).collect();
                    Some(Cell::List(
                        names.ok_or_else(|| refused("a list of labels", label))?,
                    ))
                }
                Some(one) => Some(Cell::Text(
                    name(one).ok_or_else(|| refused("a label", label))?,
                )),
            },
        });
    }
    Ok(records)
}

/// A label as text.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The rows of comma-separated text (RFC 4180) with the line that each begins on. A quoted cell may hold commas, line ends
/// and doubled quotes; a quote inside an unquoted cell is text.
fn comma_separated(path: &Path, text: &str) -> Result<Vec<(usize, Vec<String>)>> {
    let mut rows = Vec::new();
    let mut rest = text.chars().peekable();
    let mut line = 1;
    while rest.peek().is_some() {
        let begun = line;
        let mut cells = Vec::new();
        loop {
            let mut cell = String::new();
            if rest.next_if_eq(&'"').is_some() {
                let opened = line;
                loop {
                    match rest.next() {
                        Some('"') if rest.next_if_eq(&'"').is_some() => cell.push('"'),
                        Some('"') => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            cell.push(c);
                        }
                        None => {
                            let found = "the end of the file inside a quoted cell";
                            let expected = "a closing quote";
                            return Err(Error::data(path, At::Line(opened), expected, found));
                        }
                    }
                }
            }
            while let Some(c) = rest.next_if(|c| !matches!(c, ',' | '\n')) {
                cell.push(c);
            }
            let more = rest.next();
            if more != Some(',') && cell.ends_with('\r') {
                cell.pop();
            }
            cells.push(cell);
            if more != Some(',') {
                break;
            }
        }
        line += 1;
        rows.push((begun, cells));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        comma_separated(Path::new("a.csv"), text).expect("cells")
    }

    #[test]
    fn quoted_cells_hold_commas_lines_and_quotes() {
        let found = cells("a,b\r\n\"x, \"\"y\"\"\nz\",\"\"\n,5\" wide\n\n\"q\"\r\n");
        let expected: [(usize, &[&str]); 5] = [
            (1, &["a", "b"]),
            (2, &["x, \"y\"\nz", ""]),
            (4, &["", "5\" wide"]),
            (5, &[""]),
            (6, &["q"]),
        ];
        let found: Vec<(usize, Vec<&str>)> = found
            .iter()
            .map(|(line, cells)| (*line, cells.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(found, expected.map(|(line, cells)| (line, cells.to_vec())));
    }

    #[test]
    fn a_quote_that_stays_open_is_named_with_its_line() {
        let error = comma_separated(Path::new("a.csv"), "a\nb,\"c\nd").expect_err("open");
        assert!(error.to_string().contains("a.csv, line 2"), "{error}");
    }
}
