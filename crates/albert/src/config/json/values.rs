//! How the type of a field stands in JSON.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::strict::{describe, shorten};
use crate::config::{Activation, ConfigDialect, ConfigError, PositionEmbeddingType, ProblemType};

/// A field's type in JSON, per dialect.
pub(super) trait JsonField: Sized {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError>;
    fn write(&self, dialect: ConfigDialect) -> Result<Value, ConfigError>;
}

/// The index that a key spells; only the canonical spelling, so that "1" and "01" cannot both be 1.
pub(super) fn canonical_index(key: &str) -> Option<usize> {
    let index = key.parse::<usize>().ok();
    index.filter(|index| index.to_string() == key)
}

impl JsonField for usize {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        let wrong = |fix: &str| {
            Err(ConfigError::wrong(
                key,
                describe(value),
                "a whole number, 0 or more",
                fix,
            ))
        };
        match value {
            Value::Number(number) => match number.as_u64().map(usize::try_from) {
                Some(Ok(size)) => Ok(size),
                None if number
                    .as_f64()
                    .is_some_and(|f| f.fract() == 0.0 && (0.0..1e15).contains(&f)) =>
                {
                    wrong("write it without a decimal point")
                }
                _ => wrong("correct the file"),
            },
            Value::String(_) => wrong("remove the quotes"),
            _ => wrong("correct the file"),
        }
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(Value::from(*self))
    }
}

impl JsonField for f64 {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        let fix = if value.is_string() {
            "remove the quotes"
        } else {
            "correct the file"
        };
        value
            .as_f64()
            .ok_or_else(|| ConfigError::wrong(key, describe(value), "a number", fix))
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(Number::from_f64(*self).map_or(Value::Null, Value::Number))
    }
}

/// A token id; a field of one may be `null`.
impl JsonField for i64 {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        let fix = match value {
            Value::String(_) => "remove the quotes",
            Value::Array(_) => "keep the first; several ids are for text generation",
            _ => "correct the file",
        };
        let wrong = || ConfigError::wrong(key, describe(value), "one token id or null", fix);
        value.as_i64().ok_or_else(wrong)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(Value::from(*self))
    }
}

impl<T: JsonField> JsonField for Option<T> {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError> {
        if value.is_null() {
            Ok(None)
        } else {
            T::read(key, value, dialect).map(Some)
        }
    }

    fn write(&self, dialect: ConfigDialect) -> Result<Value, ConfigError> {
        self.as_ref()
            .map_or(Ok(Value::Null), |value| value.write(dialect))
    }
}

impl JsonField for bool {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        match value {
            Value::Bool(switch) => Ok(*switch),
            // transformers takes an unset switch for "off".
            Value::Null if key.starts_with("output_") => Ok(false),
            _ => Err(ConfigError::wrong(
                key,
                describe(value),
                "true or false",
                "correct the file",
            )),
        }
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(Value::Bool(*self))
    }
}

impl JsonField for Activation {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError> {
        let google = dialect == ConfigDialect::Google;
        let name = match value {
            Value::String(name) => name.as_str(),
            Value::Null if google => "",
            _ => {
                let fix = "write \"gelu_new\" for a v2 model, \"gelu\" for a v1 model";
                return Err(ConfigError::wrong(key, describe(value), "a text", fix));
            }
        };
        let found = format!("\"{}\"", shorten(name));
        if google {
            // Google's code compares in lower case.
            return match name.to_lowercase().as_str() {
                "" | "linear" => Ok(Activation::Linear),
                "relu" => Ok(Activation::Relu),
                "gelu" => Ok(Activation::GeluNew),
                "tanh" => Ok(Activation::Tanh),
                _ => Err(ConfigError::unsupported(
                    key,
                    found,
                    "a file of Google's knows linear, relu, gelu (its tanh form) and tanh; add \
                     `\"model_type\": \"albert\"` if transformers wrote it",
                )),
            };
        }
        Activation::from_name(name).ok_or_else(|| match name {
            "prelu" | "xielu" => ConfigError::unsupported(
                key,
                found,
                "it has weights of its own, which no ALBERT checkpoint holds; use an activation \
                 without",
            ),
            _ => {
                let known: Vec<_> = Activation::ALL.iter().map(|known| known.name()).collect();
                ConfigError::unsupported(key, found, format!("use one of {}", known.join(", ")))
            }
        })
    }

    fn write(&self, dialect: ConfigDialect) -> Result<Value, ConfigError> {
        if dialect == ConfigDialect::HuggingFace {
            return Ok(self.name().into());
        }
        match self.canonical() {
            Activation::GeluNew => Ok("gelu".into()),
            same @ (Activation::Relu | Activation::Tanh | Activation::Linear) => {
                Ok(same.name().into())
            }
            _ => Err(ConfigError::unsupported(
                "hidden_act",
                format!("\"{self}\""),
                "Google's code has linear, relu, the tanh form of gelu and tanh; write the Hugging \
                 Face dialect instead",
            )),
        }
    }
}

/// An enum by its name, refused by name.
fn named<T: Copy>(
    key: &str,
    value: &Value,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, ConfigError> {
    let names: Vec<_> = all.iter().map(|&one| name(one)).collect();
    let Value::String(text) = value else {
        let expected = format!("one of {}", names.join(", "));
        return Err(ConfigError::wrong(
            key,
            describe(value),
            expected,
            "correct the file",
        ));
    };
    let found = all.iter().copied().find(|&one| name(one) == text);
    found.ok_or_else(|| {
        ConfigError::unsupported(
            key,
            describe(value),
            format!("use one of {}", names.join(", ")),
        )
    })
}

impl JsonField for PositionEmbeddingType {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        named(key, value, Self::ALL, Self::name)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(self.name().into())
    }
}

impl JsonField for ProblemType {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        named(key, value, Self::ALL, Self::name)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(self.name().into())
    }
}

impl JsonField for Vec<String> {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        let wrong = |value: &Value| {
            ConfigError::wrong(key, describe(value), "a list of texts", "correct the file")
        };
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => {
                let text = |item: &Value| item.as_str().map(str::to_string).ok_or(wrong(item));
                items.iter().map(text).collect()
            }
            other => Err(wrong(other)),
        }
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(Value::from(self.clone()))
    }
}

/// Pruned heads: block indices are texts in JSON.
impl JsonField for BTreeMap<usize, Vec<usize>> {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError> {
        let expected = "an object from block numbers to lists of heads, as {\"0\": [1, 5]}";
        let wrong = |found: String| ConfigError::wrong(key, found, expected, "correct the file");
        let map = match value {
            Value::Null => return Ok(BTreeMap::new()),
            Value::Object(map) => map,
            other => return Err(wrong(describe(other))),
        };
        let mut pruned = BTreeMap::new();
        for (block, heads) in map {
            let index = canonical_index(block)
                .ok_or_else(|| wrong(format!("an object with \"{}\"", shorten(block))))?;
            let Value::Array(heads) = heads else {
                return Err(wrong(describe(heads)));
            };
            let name = format!("{key}[{index}]");
            let heads = heads.iter().map(|head| usize::read(&name, head, dialect));
            let heads = heads.collect::<Result<Vec<_>, _>>()?;
            // A block without pruned heads is the same as one that is not listed.
            if !heads.is_empty() {
                pruned.insert(index, heads);
            }
        }
        Ok(pruned)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        let entries = self
            .iter()
            .map(|(block, heads)| (block.to_string(), heads.clone().into()));
        Ok(Value::Object(entries.collect()))
    }
}
