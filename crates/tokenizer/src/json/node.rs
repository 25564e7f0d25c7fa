//! A JSON value that knows its place in the file, so that every error can name it.

use serde_json::{Map, Value};

use crate::{Error, error::shown};

/// A value and its place, such as `normalizer.normalizers[2]`.
pub(super) struct Node<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value, place: impl Into<String>) -> Self {
        Self {
            value,
            place: place.into(),
        }
    }

    /// An error at this place.
    pub(super) fn fail(&self, problem: impl Into<String>) -> Error {
        Error::TokenizerJson {
            place: self.place.clone(),
            problem: problem.into(),
        }
    }

    fn expected<T>(&self, what: &str) -> Result<T, Error> {
        let found = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => n.to_string(),
            Value::String(s) => shown(s),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        Err(self.fail(format!("expected {what}, found {found}")))
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    fn object(&self) -> Result<&'a Map<String, Value>, Error> {
        match self.value {
            Value::Object(map) => Ok(map),
            _ => self.expected("an object"),
        }
    }

    /// Refuses keys that are not in `known`: they might change what the reference does.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self.object()?.keys().find(|k| !known.contains(&k.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.fail(format!(
                "unknown key {}: known are {}; this crate does not ignore settings",
                shown(key),
                known.join(", ")
            ))),
        }
    }

    /// The value under `key`; a missing key and null are the same to tokenizers' optional fields.
    pub(super) fn get(&self, key: &str) -> Result<Option<Node<'a>>, Error> {
        Ok(self
            .object()?
            .get(key)
            .filter(|v| !v.is_null())
            .map(|v| self.child(v, key)))
    }

    /// The value under `key`, null included.
    pub(super) fn field(&self, key: &str) -> Result<Node<'a>, Error> {
        match self.object()?.get(key) {
            Some(value) => Ok(self.child(value, key)),
            None => Err(self.fail(format!("the key {key:?} is missing"))),
        }
    }

    fn child(&self, value: &'a Value, key: &str) -> Node<'a> {
        let place = match self.place.as_str() {
            "" => key.to_owned(),
            place => format!("{place}.{key}"),
        };
        Node { value, place }
    }

    /// The field `type`.
    pub(super) fn kind(&self) -> Result<&'a str, Error> {
        self.field("type")?.str()
    }

    pub(super) fn str(&self) -> Result<&'a str, Error> {
        match self.value {
            Value::String(s) => Ok(s),
            _ => self.expected("a string"),
        }
    }

    /// A string of exactly one character.
    pub(super) fn char(&self) -> Result<char, Error> {
        let text = self.str()?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => self.expected("a string of one character"),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Error> {
        match self.value {
            Value::Bool(b) => Ok(*b),
            _ => self.expected("true or false"),
        }
    }

    pub(super) fn u32(&self) -> Result<u32, Error> {
        match self.value.as_u64().map(u32::try_from) {
            Some(Ok(n)) => Ok(n),
            _ => self.expected("a whole number below 4294967296"),
        }
    }

    pub(super) fn usize(&self) -> Result<usize, Error> {
        match self.value.as_u64().map(usize::try_from) {
            Some(Ok(n)) => Ok(n),
            _ => self.expected("a whole number, not negative"),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, Error> {
        match self.value {
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(i, value)| Node {
                    value,
                    place: format!("{}[{i}]", self.place),
                })
                .collect()),
            _ => self.expected("a list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_place() {
        let value = json!({"a": [{"b": 1}]});
        let node = Node::new(&value, "");
        let items = node.field("a").unwrap().list().unwrap();
        let error = items[0].field("b").unwrap().str().unwrap_err().to_string();
        assert!(
            error.contains("a[0].b") && error.contains("found 1"),
            "{error}"
        );
        assert!(
            items[0]
                .only(&["c"])
                .unwrap_err()
                .to_string()
                .contains("\"b\"")
        );
    }
}
