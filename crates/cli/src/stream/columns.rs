//! Which column of a file is which field of a verb.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::record::{Field, Kind, Value};
use super::usage;

/// What is known of a field before the input is read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) field: Field,
    /// A value from the command line, for every input.
    pub(super) constant: Option<Value>,
    /// The column that `--columns` names; several for a list, joined by `+`.
    pub(super) column: Option<String>,
}

impl Wanted {
    /// The names to look for, the preferred first.
    pub(super) fn names(&self) -> Vec<&str> {
        match &self.column {
            Some(column) => vec![column],
            None => self.field.names().collect(),
        }
    }
}

/// Joins the fields with `--columns NAME=COLUMN,…`.
pub(super) fn wanted(
    fields: &[Field],
    constants: Vec<Option<Value>>,
    columns: &[(String, String)],
) -> Result<Vec<Wanted>> {
    for (i, (name, _)) in columns.iter().enumerate() {
        if !fields.iter().any(|field| field.name == name) {
            let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            return Err(usage(format!(
                "--columns {name}=…: this verb reads {}{}",
                quoted(&names),
                meant(&nearest(&[name], &names))
            )));
        }
        if columns[..i].iter().any(|(other, _)| other == name) {
            return Err(usage(format!("--columns names {name} twice")));
        }
    }
    let column = |name: &str| columns.iter().find(|(known, _)| known == name);
    let wanted = fields
        .iter()
        .zip(constants)
        .map(|(&field, constant)| Wanted {
            field,
            constant,
            column: column(field.name).map(|(_, column)| column.clone()),
        });
    Ok(wanted.collect())
}

/// Where a field stands in a row, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// Nowhere: the field is not required, or it is a constant.
    None,
    One(usize),
    /// A list, one cell for each element.
    Many(Vec<usize>),
}

/// The cells of each field in a table with this header, or without one.
pub(super) fn choose(
    wanted: &[Wanted],
    header: Option<&[String]>,
    file: &str,
) -> Result<Vec<Cells>> {
    // Without a header, the required fields are the first columns, in their order.
    let mut free = 0;
    let mut cells = Vec::new();
    for want in wanted {
        cells.push(match (&want.constant, header) {
            (Some(_), _) => Cells::None,
            (None, Some(header)) => by_name(want, header, file)?,
            (None, None) => match &want.column {
                Some(column) => by_number(want, column)?,
                None if want.field.required => {
                    free += 1;
                    Cells::One(free - 1)
                }
                None => Cells::None,
            },
        });
    }
    Ok(cells)
}

fn by_number(want: &Wanted, column: &str) -> Result<Cells> {
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number - 1),
        _ => Err(usage(format!(
            "--columns {}={column} with --no-header: expected a number from 1, found {text:?}",
            want.field.name
        ))),
    };
    match want.field.kind {
        Kind::Text | Kind::Label => Ok(Cells::One(number(column)?)),
        Kind::Texts | Kind::Labels if column.contains('+') => Ok(Cells::Many(
            column.split('+').map(number).collect::<Result<_>>()?,
        )),
        Kind::Texts | Kind::Labels => Ok(Cells::One(number(column)?)),
    }
}

fn by_name(want: &Wanted, header: &[String], file: &str) -> Result<Cells> {
    let find = |name: &str| -> Result<Option<usize>> {
        let mut places = (0..header.len()).filter(|&i| header[i].trim() == name);
        let place = places.next();
        if places.next().is_some() {
            bail!(
                "line 1 of {file}: two columns are named {name:?}: rename one, or choose another with --columns {}=COLUMN",
                want.field.name
            );
        }
        Ok(place)
    };
    if let (true, Some(column)) = (want.field.kind.is_list(), &want.column)
        && column.contains('+')
    {
        let mut places = Vec::new();
        for name in column.split('+') {
            match find(name)? {
                Some(place) => places.push(place),
                None => bail!("{}", absent(want, &[name], header, file)),
            }
        }
        return Ok(Cells::Many(places));
    }
    let names = want.names();
    for name in &names {
        if let Some(place) = find(name)? {
            return Ok(Cells::One(place));
        }
        if want.field.kind.is_list() {
            let places = numbered(name, header);
            if places.len() > 1 {
                return Ok(Cells::Many(places));
            }
        }
    }
    if want.field.required || want.column.is_some() {
        bail!("{}", absent(want, &names, header, file));
    }
    Ok(Cells::None)
}

/// The columns `ending0`, `ending1`, … of the list `endings`, in the order of their numbers.
fn numbered(name: &str, header: &[String]) -> Vec<usize> {
    let stems = [name, name.strip_suffix('s').unwrap_or(name)];
    let number = |column: &str| {
        stems.iter().find_map(|stem| {
            let digits = column.trim().strip_prefix(stem)?;
            digits.trim_start_matches('_').parse::<u32>().ok()
        })
    };
    let mut found: Vec<(u32, usize)> = (0..header.len())
        .filter_map(|i| Some((number(&header[i])?, i)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, place)| place).collect()
}

fn absent(want: &Wanted, names: &[&str], header: &[String], file: &str) -> String {
    let columns: Vec<&str> = header.iter().map(|name| name.trim()).collect();
    let mut message = format!(
        "line 1 of {file}: no column for `{}`: expected {}, found {}",
        want.field.name,
        quoted(names),
        quoted(&columns)
    );
    match nearest(names, &columns) {
        Some(near) => {
            let _ = write!(
                message,
                "; did you mean --columns {}={near}?",
                want.field.name
            );
        }
        None => {
            let _ = write!(
                message,
                "; choose one with --columns {}=COLUMN, or give --no-header if this line is data",
                want.field.name
            );
        }
    }
    message
}

/// The word that looks most like one of `names`, if any does; as clap decides it.
pub(super) fn nearest<'a>(names: &[&str], words: &[&'a str]) -> Option<&'a str> {
    let likeness = |word: &str| {
        let each = names.iter().map(|name| strsim::jaro(name, word));
        each.fold(0.0, f64::max)
    };
    let words = words.iter().filter(|word| word.len() <= LONG);
    let mut likely: Vec<(f64, &str)> = words.map(|&word| (likeness(word), word)).collect();
    likely.sort_by(|a, b| b.0.total_cmp(&a.0));
    likely
        .first()
        .filter(|(near, _)| *near > 0.7)
        .map(|(_, word)| *word)
}

pub(super) fn meant(near: &Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// Characters of a name that messages show.
const LONG: usize = 60;

/// What a message shows of a text from a file, which may be of any length.
pub(crate) fn short(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Names as messages list them; a long list is cut, and long names.
pub(super) fn quoted(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut list: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{:?}", short(name)))
        .collect();
    if names.len() > SHOWN {
        list.push(format!("and {} more", names.len() - SHOWN));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests;
