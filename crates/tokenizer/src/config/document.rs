//! One JSON file of a configuration, read key by key.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, shown};
use crate::options::Side;
use crate::token::AddedToken;

/// Above this a `model_max_length` means "no limit", as in transformers.
const NO_LIMIT: f64 = 1e20;

/// One JSON file, with its name for messages.
pub(crate) struct Document<'a> {
    pub(crate) path: &'a Path,
    pub(crate) map: Map<String, Value>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(path: &'a Path, bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self { path, map }),
            Ok(_) => Err(config_error(path, "expected a JSON object".into())),
            Err(error) => Err(config_error(path, format!("not JSON: {error}"))),
        }
    }

    pub(super) fn wrong(&self, key: &str, expected: &str, found: &Value) -> Error {
        let found = shown(&found.to_string());
        config_error(
            self.path,
            format!("{key:?}: expected {expected}, found {found}"),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key)
            .map(|v| {
                v.as_bool()
                    .ok_or_else(|| self.wrong(key, "true or false", v))
            })
            .transpose()
    }

    pub(super) fn side(&self, key: &str) -> Result<Option<Side>, Error> {
        self.get(key)
            .map(|value| match value.as_str() {
                Some("left") => Ok(Side::Left),
                Some("right") => Ok(Side::Right),
                _ => Err(self.wrong(key, "\"left\" or \"right\"", value)),
            })
            .transpose()
    }

    /// A number of tokens; `None` for one that is too large to mean anything.
    pub(super) fn length(&self, key: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number > NO_LIMIT => Ok(None),
            Some(number) if number >= 0.0 => Ok(Some(number as usize)),
            _ => Err(self.wrong(key, "a number of tokens", value)),
        }
    }

    /// A token as text or as an object with its flags; a text has `lstrip` where it is given.
    pub(super) fn token(
        &self,
        key: &str,
        value: &Value,
        lstrip: bool,
    ) -> Result<AddedToken, Error> {
        let parsed = match value {
            Value::String(text) => AddedToken {
                lstrip,
                ..AddedToken::new(text.as_str(), true)
            },
            Value::Object(map) => {
                let flag = |name: &str, default: bool| match map.get(name) {
                    None | Some(Value::Null) => Ok(default),
                    Some(Value::Bool(flag)) => Ok(*flag),
                    Some(other) => {
                        Err(self.wrong(&format!("{key}.{name}"), "true or false", other))
                    }
                };
                let content = map.get("content").and_then(Value::as_str);
                AddedToken {
                    content: content
                        .ok_or_else(|| self.wrong(key, "a token with \"content\"", value))?
                        .to_owned(),
                    single_word: flag("single_word", false)?,
                    lstrip: flag("lstrip", false)?,
                    rstrip: flag("rstrip", false)?,
                    normalized: flag("normalized", false)?,
                    special: flag("special", true)?,
                }
            }
            other => return Err(self.wrong(key, "a token as text or object", other)),
        };
        if parsed.content.is_empty() {
            return Err(self.wrong(key, "a token with text", value));
        }
        Ok(parsed)
    }
}

/// What is wrong with a file.
pub(super) fn config_error(path: &Path, problem: String) -> Error {
    Error::Config {
        path: path.to_owned(),
        problem,
    }
}
