//! JSON text without repeated keys, and JSON values in words for messages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::config::{ConfigError, MAX_CONFIG_BYTES};

/// Parses the text as an object without repeated keys.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, ConfigError> {
    if text.len() > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLarge { file: None });
    }
    // Some Windows editors begin a file with a byte-order mark, which JSON does not have.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = serde_json::from_str::<Strict>(text).map_err(|error| json_error(text, &error))?;
    match value.0 {
        Value::Object(object) => Ok(object),
        other => Err(ConfigError::wrong(
            "the file",
            describe(&other),
            "an object of configuration keys",
            "give the config.json or albert_config.json that belongs to the model",
        )),
    }
}

/// A JSON value in words, for messages: never longer than a line.
pub(in crate::config) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(switch) => switch.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{}\"", shorten(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(map) => format!("an object of {}", map.len()),
    }
}

/// The first 60 characters, without control characters.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

fn json_error(text: &str, error: &serde_json::Error) -> ConfigError {
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let message = full.strip_suffix(&suffix).unwrap_or(&full).to_string();
    let line = text
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    let fix = if error.is_eof() {
        "the text was cut off: copy or download the file again"
    } else if message.ends_with("stands twice") {
        "keep one of the two"
    } else if message.starts_with("recursion limit") {
        "a configuration is not nested this deeply; is it the right file?"
    } else if message.starts_with("number out of range") {
        "write a number that a 64-bit float can hold"
    } else if line.contains("NaN") || line.contains("Infinity") {
        "JSON has no NaN and no Infinity: write a number"
    } else {
        "correct the file at this place; it must be plain JSON"
    };
    let (line, column) = (error.line(), error.column());
    ConfigError::Json {
        file: None,
        line,
        column,
        message,
        fix,
    }
}

/// A JSON value whose objects name every key once; serde_json would keep the last in silence.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "key \"{}\" stands twice",
                    shorten(&key)
                )));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
