//! Tables: tab-separated lines, and comma-separated values with quotes (RFC 4180).
//!
//! Rows are cut here and not by a library, since a blank line is an input of its own, an open quote
//! must not swallow the rest of a file in silence, and no row may grow without bound.

use anyhow::{Result, anyhow, bail};

use super::json::{empty, list};
use super::{Dialect, Failure, Input, Item, Source};
use crate::stream::columns::{Cells, choose};
use crate::stream::line::{Fetched, text, without_end};
use crate::stream::record::{Kind, Place, Record, Value};

pub(super) struct Table {
    input: Input,
    dialect: Dialect,
    /// Which cells are which fields; unknown before the header was read.
    cells: Option<Vec<Cells>>,
    /// The names of the columns, where the file has them.
    header: Option<Vec<String>>,
    line: Vec<u8>,
}

/// Cells of a row, or nothing for a blank line.
type Row = Option<Vec<String>>;

impl Table {
    pub(super) fn new(input: Input, dialect: Dialect) -> Self {
        Self {
            input,
            dialect,
            cells: None,
            header: None,
            line: Vec::new(),
        }
    }

    fn place(&self, number: u64) -> Place {
        Place::Line(number, self.input.file.clone())
    }

    /// The next row and the number of its first line.
    fn row(&mut self) -> Result<Option<(u64, Result<Row>)>> {
        let (mut cut, mut size, mut first) = (Cut::default(), 0, None);
        loop {
            let lines = &mut self.input.lines;
            let fetched = lines.next(&mut self.line);
            let number = *first.get_or_insert(lines.number);
            let error = match fetched.map_err(|error| self.input.broken(error))? {
                Fetched::End if size == 0 => return Ok(None),
                Fetched::End => anyhow!(
                    "a quote in this row is never closed: close it, or read a file without quotes as --format tsv"
                ),
                Fetched::Whole if size + self.line.len() <= self.input.lines.longest + 1 => {
                    if size == 0 && without_end(&self.line).is_empty() {
                        return Ok(Some((number, Ok(None))));
                    }
                    size += self.line.len();
                    if !self.dialect.quotes {
                        let row = text(without_end(&self.line));
                        let separator = char::from(self.dialect.separator);
                        let cells = row.and_then(|row| {
                            few(row.matches(separator).count() + 1)?;
                            Ok(Some(row.split(separator).map(str::to_owned).collect()))
                        });
                        return Ok(Some((number, cells)));
                    }
                    cut.line(&self.line, self.dialect.separator);
                    if cut.open {
                        continue;
                    }
                    return Ok(Some((number, cut.finish().map(Some))));
                }
                _ => self.input.lines.too_long(),
            };
            return Ok(Some((number, Err(error))));
        }
    }

    fn begin(&mut self) -> Result<()> {
        if self.dialect.header {
            let Some((number, row)) = self.row()? else {
                return Ok(());
            };
            let place = self.place(number);
            let header = row.map_err(|error| error.context(place))?;
            self.header = Some(header.unwrap_or_default());
        }
        let header = self.header.as_deref();
        self.cells = Some(choose(&self.input.wanted, header, &self.input.file)?);
        Ok(())
    }

    fn values(&self, row: Row) -> Result<Vec<Option<Value>>> {
        let Some(row) = row else {
            return Ok(empty(&self.input.wanted));
        };
        if let Some(header) = &self.header
            && header.len() != row.len()
        {
            bail!(
                "expected {} cells, as the header has, found {}",
                header.len(),
                row.len()
            );
        }
        let mut values = Vec::with_capacity(self.input.wanted.len());
        for (want, cells) in self.input.wanted.iter().zip(self.cells.iter().flatten()) {
            let count = row.len();
            // Two fields may read one cell.
            let cell = |place: usize| match row.get(place) {
                Some(cell) => Ok(cell.clone()),
                None => Err(anyhow!(
                    "no column {} for `{}`: the row has {count}",
                    place + 1,
                    want.field.name
                )),
            };
            values.push(match (cells, want.field.kind) {
                (Cells::None, _) => want.constant.clone(),
                (Cells::One(place), Kind::Text | Kind::Label) => Some(Value::Text(cell(*place)?)),
                (Cells::One(place), kind @ (Kind::Texts | Kind::Labels)) => {
                    let cell = cell(*place)?;
                    let texts = list(&cell, kind).map_err(|error| {
                        anyhow!(
                            "column {} for `{}`: expected a JSON list of strings: {error}; or name a column for each element: --columns {}=COLUMN+COLUMN",
                            place + 1, want.field.name, want.field.name
                        )
                    })?;
                    Some(Value::Texts(texts))
                }
                (Cells::Many(places), _) => {
                    let texts = places.iter().map(|&place| cell(place));
                    Some(Value::Texts(texts.collect::<Result<_>>()?))
                }
            });
        }
        Ok(values)
    }
}

/// A row with quotes, cut line by line.
#[derive(Default)]
struct Cut {
    cells: Vec<Vec<u8>>,
    cell: Vec<u8>,
    /// Whether the cell has begun: a quote opens at the beginning alone.
    begun: bool,
    /// Whether a quote is open.
    open: bool,
}

impl Cut {
    fn line(&mut self, line: &[u8], separator: u8) {
        let mut i = 0;
        while i < line.len() {
            let (byte, rest) = (line[i], &line[i + 1..]);
            i += 1;
            match byte {
                b'"' if self.open && rest.first() == Some(&b'"') => {
                    self.cell.push(byte);
                    i += 1;
                }
                b'"' if self.open => self.open = false,
                _ if self.open => self.cell.push(byte),
                b'"' if !self.begun => (self.open, self.begun) = (true, true),
                b'\n' if rest.is_empty() => {}
                b'\r' if matches!(rest, [] | [b'\n']) => {}
                _ if byte == separator => {
                    let cell = std::mem::take(&mut self.cell);
                    if self.cells.len() <= MOST_CELLS {
                        self.cells.push(cell);
                    }
                    self.begun = false;
                }
                _ => {
                    self.cell.push(byte);
                    self.begun = true;
                }
            }
        }
    }

    fn finish(mut self) -> Result<Vec<String>> {
        self.cells.push(self.cell);
        few(self.cells.len())?;
        let cells = self.cells.iter().map(|cell| text(cell).map(str::to_owned));
        cells.collect()
    }
}

/// Cells of a row: a cell takes more memory than its two bytes in the file.
const MOST_CELLS: usize = 1 << 16;

fn few(cells: usize) -> Result<()> {
    if cells > MOST_CELLS {
        bail!("expected at most {MOST_CELLS} cells in a row, found more: is it a table?");
    }
    Ok(())
}

impl Source for Table {
    fn next(&mut self) -> Result<Option<Item>> {
        if self.cells.is_none() {
            self.begin()?;
        }
        let Some((number, row)) = self.row()? else {
            return Ok(None);
        };
        let place = self.place(number);
        Ok(Some(match row.and_then(|row| self.values(row)) {
            Ok(values) => Ok(Record { place, values }),
            Err(error) => Err(Failure { place, error }),
        }))
    }

    fn ready(&self) -> bool {
        self.input.lines.ready()
    }

    fn position(&self) -> u64 {
        self.input.lines.position
    }
}

#[cfg(test)]
mod tests;
