//! What a verb reads: named fields, and records with a value for each.

use std::fmt;
use std::sync::Arc;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One text.
    Text,
    /// A list of texts.
    Texts,
    /// One text, or a number in JSON.
    Label,
    /// A list of them.
    Labels,
}

impl Kind {
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Labels)
    }

    /// Whether a number in JSON is taken as the text that it is.
    pub(super) fn takes_numbers(self) -> bool {
        matches!(self, Self::Label | Self::Labels)
    }
}

/// A named column that a verb reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Its name in `--columns` and in messages.
    pub(crate) name: &'static str,
    /// Names of columns that are taken for it, after its own, in the order of preference.
    pub(crate) also: &'static [&'static str],
    pub(crate) kind: Kind,
    /// Whether an input without it is refused.
    pub(crate) required: bool,
}

impl Field {
    /// The text that most verbs read.
    pub(crate) const TEXT: Self = Self {
        name: "text",
        also: &["sentence", "sentence1", "premise", "input"],
        kind: Kind::Text,
        required: true,
    };

    /// The second text of a pair.
    pub(crate) const PAIR: Self = Self {
        name: "pair",
        also: &["text_pair", "sentence2", "hypothesis"],
        kind: Kind::Text,
        required: false,
    };

    /// The names of columns that hold it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
}

impl Value {
    /// Its size in bytes, for the bound of a window.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Texts(texts) => texts.iter().map(String::len).sum(),
        }
    }
}

/// Where an input came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The n-th argument, from 1.
    Argument(u64),
    /// A line of a file, from 1, and the file's name.
    Line(u64, Arc<str>),
}

impl Place {
    /// The number of the argument or line.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Argument(number) | Self::Line(number, _) => *number,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Line(number, file) => write!(f, "line {number} of {file}"),
        }
    }
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) place: Place,
    /// In the order of the verb's fields; `None` for one that is not required and not there.
    pub(crate) values: Vec<Option<Value>>,
}

impl Record {
    /// The text of a field, if it is there.
    pub(crate) fn text(&self, field: usize) -> Option<&str> {
        match &self.values[field] {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of a field that every record has.
    pub(crate) fn required(&self, field: usize) -> &str {
        self.text(field).unwrap_or_default()
    }

    /// The first two fields of a verb that reads texts or pairs of texts.
    pub(crate) fn text_and_pair(&self) -> (&str, Option<&str>) {
        (self.required(0), self.text(1))
    }

    /// The texts of a field that is a list, if it is there.
    pub(crate) fn texts(&self, field: usize) -> Option<Vec<&str>> {
        match &self.values[field] {
            Some(Value::Texts(texts)) => Some(texts.iter().map(String::as_str).collect()),
            _ => None,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.values.iter().flatten().map(Value::size).sum()
    }
}

/// What stands on the command line: a list of values for each field, in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The flag or argument that gives the field, for messages, and its values.
    pub(crate) columns: Vec<(&'static str, Vec<Value>)>,
}

impl Given {
    /// Adds a field of texts: one value for each.
    pub(crate) fn texts(mut self, flag: &'static str, texts: Vec<String>) -> Self {
        let values = texts.into_iter().map(Value::Text).collect();
        self.columns.push((flag, values));
        self
    }

    /// Adds a field of lists: one list for each.
    pub(crate) fn lists(mut self, flag: &'static str, lists: Vec<Vec<String>>) -> Self {
        let values = lists.into_iter().map(Value::Texts).collect();
        self.columns.push((flag, values));
        self
    }
}
