//! JSON lines: an object with the fields, or a bare string, on each line.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Input, Item, Source};
use crate::stream::columns::{Wanted, meant, nearest, quoted};
use crate::stream::line::{Fetched, text, without_end};
use crate::stream::record::{Kind, Record, Value};

pub(super) struct Objects {
    input: Input,
    line: Vec<u8>,
}

impl Objects {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            line: Vec::new(),
        }
    }

    fn parse(&self) -> Result<Vec<Option<Value>>> {
        let line = text(without_end(&self.line))?;
        let wanted = &self.input.wanted;
        if line.trim().is_empty() {
            return Ok(empty(wanted));
        }
        let mut parser = serde_json::Deserializer::from_str(line);
        let values = Row { wanted }.deserialize(&mut parser);
        let mut values = values
            .and_then(|values| parser.end().map(|()| values))
            .map_err(tell)?;
        for (value, want) in values.iter_mut().zip(wanted) {
            if want.constant.is_some() {
                value.clone_from(&want.constant);
            } else if value.is_none() && (want.field.required || want.column.is_some()) {
                return Err(absent(want, line));
            }
        }
        Ok(values)
    }
}

/// The record of an empty line: every field is empty.
pub(super) fn empty(wanted: &[Wanted]) -> Vec<Option<Value>> {
    let value = |want: &Wanted| match (&want.constant, want.field.kind) {
        (Some(value), _) => Some(value.clone()),
        (None, _) if !want.field.required => None,
        (None, kind) if !kind.is_list() => Some(Value::Text(String::new())),
        (None, _) => Some(Value::Texts(Vec::new())),
    };
    wanted.iter().map(value).collect()
}

/// serde_json counts lines from the text that it was given: one line.
fn tell(error: serde_json::Error) -> anyhow::Error {
    let column = error.column();
    let message = error.to_string();
    let message = message
        .split(" at line 1 column ")
        .next()
        .unwrap_or_default();
    anyhow!("column {column}: {message}")
}

fn absent(want: &Wanted, line: &str) -> anyhow::Error {
    let names = want.names();
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).unwrap_or_default();
    if map.is_empty() {
        return anyhow!(
            "no {:?}: expected an object with {}",
            want.field.name,
            quoted(&names)
        );
    }
    let keys: Vec<&str> = map.keys().map(String::as_str).collect();
    anyhow!(
        "no value for `{}`: expected the key {}, found {}{}",
        want.field.name,
        quoted(&names),
        quoted(&keys),
        meant(&nearest(&names, &keys))
    )
}

impl Source for Objects {
    fn next(&mut self) -> Result<Option<Item>> {
        let fetched = self.input.lines.next(&mut self.line);
        match fetched.map_err(|error| self.input.broken(error))? {
            Fetched::End => return Ok(None),
            Fetched::TooLong => return Ok(Some(self.input.failure(self.input.lines.too_long()))),
            Fetched::Whole => {}
        }
        Ok(Some(match self.parse() {
            Ok(values) => Ok(Record {
                place: self.input.place(),
                values,
            }),
            Err(error) => self.input.failure(error),
        }))
    }

    fn ready(&self) -> bool {
        self.input.lines.ready()
    }

    fn position(&self) -> u64 {
        self.input.lines.position
    }
}

/// A line: only the wanted keys are kept, so that a line with much else costs little.
struct Row<'a> {
    wanted: &'a [Wanted],
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Vec<Option<Value>>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let mut values = vec![None; self.wanted.len()];
        let open = |want: &Wanted| want.constant.is_none() && !want.field.kind.is_list();
        if let Some(field) = self.wanted.iter().position(open) {
            values[field] = Some(Value::Text(text.to_owned()));
        }
        Ok(values)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        // The value of each field, and the rank of the name that it came by.
        let mut found: Vec<Option<(usize, Value)>> = vec![None; self.wanted.len()];
        while let Some(key) = map.next_key::<String>()? {
            let rank = |want: &Wanted| match &want.column {
                Some(column) => (*column == key).then_some(0),
                None => want.field.names().position(|name| name == key),
            };
            let mut fields = self.wanted.iter().enumerate();
            let hit = fields
                .find_map(|(i, want)| Some((i, rank(want).filter(|_| want.constant.is_none())?)));
            let Some((i, rank)) = hit else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let cell = Cell {
                key: &key,
                kind: self.wanted[i].field.kind,
            };
            let value = map.next_value_seed(cell)?;
            match &found[i] {
                Some((known, _)) if *known == rank => {
                    return Err(M::Error::custom(format!("the key {key:?} stands twice")));
                }
                Some((known, _)) if *known < rank => {}
                _ => found[i] = value.map(|value| (rank, value)),
            }
        }
        let values = found.into_iter().map(|found| found.map(|(_, value)| value));
        Ok(values.collect())
    }
}

/// The value of one key; `None` for null.
struct Cell<'a> {
    key: &'a str,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Text => write!(f, "a string in {:?}", self.key),
            Kind::Texts => write!(f, "a list of strings in {:?}", self.key),
            Kind::Label => write!(f, "a string or a number in {:?}", self.key),
            Kind::Labels => write!(f, "a list of strings or numbers in {:?}", self.key),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        if self.kind.is_list() {
            return Err(E::invalid_type(serde::de::Unexpected::Str(&text), &self));
        }
        Ok(Some(Value::Text(text)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match self.kind {
            Kind::Label => Ok(Some(Value::Text(number.to_string()))),
            _ => Err(E::invalid_type(
                serde::de::Unexpected::Signed(number),
                &self,
            )),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        match self.kind {
            Kind::Label => Ok(Some(Value::Text(number.to_string()))),
            _ => Err(E::invalid_type(
                serde::de::Unexpected::Unsigned(number),
                &self,
            )),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        match self.kind {
            Kind::Label => Ok(Some(Value::Text(plain(number)))),
            _ => Err(E::invalid_type(serde::de::Unexpected::Float(number), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if !self.kind.is_list() {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let mut texts = Vec::new();
        let element = Element {
            numbers: self.kind.takes_numbers(),
        };
        while let Some(text) = list.next_element_seed(element)? {
            texts.push(text);
        }
        Ok(Some(Value::Texts(texts)))
    }
}

/// A number as a label is written: 1 for 1.0.
fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number}")
    } else {
        format!("{number:?}")
    }
}

/// One text of a list, perhaps a number.
#[derive(Clone, Copy)]
struct Element {
    numbers: bool,
}

impl<'de> DeserializeSeed<'de> for Element {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<String, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.numbers {
            "a string or a number"
        } else {
            "a string"
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        if self.numbers {
            return Ok(number.to_string());
        }
        Err(E::invalid_type(
            serde::de::Unexpected::Signed(number),
            &self,
        ))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        if self.numbers {
            return Ok(number.to_string());
        }
        Err(E::invalid_type(
            serde::de::Unexpected::Unsigned(number),
            &self,
        ))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        if self.numbers {
            return Ok(plain(number));
        }
        Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
    }
}

/// A list in a cell of a table.
pub(super) fn list(cell: &str, kind: Kind) -> serde_json::Result<Vec<String>> {
    struct All(Element);

    impl<'de> Visitor<'de> for All {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element_seed(self.0)? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    let mut parser = serde_json::Deserializer::from_str(cell);
    let element = Element {
        numbers: kind.takes_numbers(),
    };
    let texts = parser.deserialize_seq(All(element))?;
    parser.end()?;
    Ok(texts)
}

#[cfg(test)]
mod tests;
