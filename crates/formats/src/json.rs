//! JSON objects whose keys must be unique. serde's maps let the last of two equal keys win, so that
//! two readers of one file can see different tensors.

use crate::error::{shortened, shown};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::{collections::BTreeMap, fmt};

/// Deserializes UTF-8 JSON. Nesting is limited by serde_json (128 levels); the message is short
/// whatever the document holds.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    serde_json::from_str(text).map_err(|error| shortened(&error.to_string()))
}

/// An object of at most `LIMIT` texts, since a short one takes many times its length in memory; a
/// repeated key is an error, and an error inside a value names its key.
pub(crate) struct UniqueMap<const LIMIT: usize>(pub(crate) BTreeMap<String, String>);

impl<'de, const LIMIT: usize> Deserialize<'de> for UniqueMap<LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMapVisitor)
    }
}

struct UniqueMapVisitor<const LIMIT: usize>;

impl<'de, const LIMIT: usize> Visitor<'de> for UniqueMapVisitor<LIMIT> {
    type Value = UniqueMap<LIMIT>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = next_key(&mut object, |key| map.contains_key(key))? {
            if map.len() == LIMIT {
                return Err(A::Error::custom(format_args!("more than {LIMIT} entries")));
            }
            let value = next_value(&mut object, &key)?;
            map.insert(key, value);
        }
        Ok(UniqueMap(map))
    }
}

/// The next key, which must not be taken yet.
pub(crate) fn next_key<'de, A: MapAccess<'de>>(
    object: &mut A,
    is_taken: impl FnOnce(&str) -> bool,
) -> Result<Option<String>, A::Error> {
    let key: Option<String> = object.next_key()?;
    match key {
        Some(key) if is_taken(&key) => Err(repeated(&key)),
        key => Ok(key),
    }
}

/// The error of a key that an object holds twice.
pub(crate) fn repeated<E: Error>(key: &str) -> E {
    E::custom(format_args!("key {} occurs twice", shown(key)))
}

/// The value of `key`; an error inside it names the key.
pub(crate) fn next_value<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
    object: &mut A,
    key: &str,
) -> Result<V, A::Error> {
    object.next_value().map_err(|error| {
        let message = shortened(&error.to_string());
        A::Error::custom(format_args!("in {}: {message}", shown(key)))
    })
}
