//! What `quantization_config` says about the weights of a folder that `albert quantize` wrote.

use serde_json::{Map, Value, json};

use super::json::describe;
use super::{AlbertConfig, ConfigError};

/// The key in `config.json`.
pub(crate) const KEY: &str = "quantization_config";
/// `quant_method` of this program's folders.
pub(crate) const METHOD: &str = "albert-int8";
/// The version of the layout that is written, and the newest that is read.
pub(crate) const VERSION: u64 = 1;

/// Bits of an element.
const BITS: u64 = 8;

/// How the matrices of a folder are stored, as docs/quantization.md defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantization {
    /// Version of the layout.
    pub version: u64,
}

impl Quantization {
    /// What this program writes.
    pub(crate) const CURRENT: Self = Self { version: VERSION };

    /// The value of `quantization_config`.
    pub(crate) fn to_json(self) -> Value {
        json!({ "quant_method": METHOD, "version": self.version, "bits": BITS })
    }
}

impl AlbertConfig {
    /// How the matrices of the folder are stored, where they are 8-bit integers; `None`: floating point.
    pub fn quantization(&self) -> Option<Quantization> {
        read(self.extra.get(KEY)?).ok()?
    }

    /// Says so, or no more.
    pub(crate) fn set_quantization(&mut self, quantization: Option<Quantization>) {
        self.extra.remove(KEY);
        if let Some(quantization) = quantization {
            self.extra.insert(KEY.to_owned(), quantization.to_json());
        }
    }
}

/// Refuses weights that are packed in a way that is not known here.
pub(super) fn check(object: &Map<String, Value>) -> Result<(), ConfigError> {
    object
        .get(KEY)
        .map_or(Ok(()), |value| read(value).map(|_| ()))
}

fn read(value: &Value) -> Result<Option<Quantization>, ConfigError> {
    let empty = |map: &Map<String, Value>| map.is_empty();
    if value.is_null() || value.as_object().is_some_and(empty) {
        return Ok(None);
    }
    if value.get("quant_method").and_then(Value::as_str) != Some(METHOD) {
        return Err(ConfigError::unsupported(
            KEY,
            describe(value),
            "its weights are packed by another library; take the original checkpoint",
        ));
    }
    match value
        .get("version")
        .map(|version| (version, version.as_u64()))
    {
        Some((_, Some(version @ 1..=VERSION))) => match value.get("bits") {
            Some(bits) if bits.as_u64() != Some(BITS) => Err(ConfigError::unsupported(
                format!("{KEY}.bits"),
                describe(bits),
                format!(
                    "the matrices of {METHOD} have {BITS} bits; take the folder that `albert quantize` wrote, whole"
                ),
            )),
            _ => Ok(Some(Quantization { version })),
        },
        Some((_, Some(version))) if version > VERSION => Err(ConfigError::unsupported(
            format!("{KEY}.version"),
            version,
            format!(
                "this program reads {METHOD} up to version {VERSION}; take a newer one, or quantise the original checkpoint with this one"
            ),
        )),
        found => Err(ConfigError::wrong(
            format!("{KEY}.version"),
            found.map_or_else(|| "missing".to_owned(), |(version, _)| describe(version)),
            format!("a whole number from 1 to {VERSION}"),
            "take the folder that `albert quantize` wrote, whole",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(value: Value) -> String {
        match read(&value) {
            Ok(found) => panic!("{found:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = Quantization::CURRENT.to_json();
        assert_eq!(
            read(&written).expect("known"),
            Some(Quantization { version: 1 })
        );
        assert_eq!(read(&json!({})).expect("nothing"), None);
        assert_eq!(read(&Value::Null).expect("nothing"), None);
    }

    #[test]
    fn other_methods_and_versions_are_refused_with_what_to_do() {
        let newer = message(json!({ "quant_method": METHOD, "version": 2 }));
        assert!(
            newer.contains("`quantization_config.version` is 2") && newer.contains("version 1"),
            "{newer}"
        );
        for version in [json!(0), json!("1"), json!(1.5), json!(-1), json!(null)] {
            let wrong = message(json!({ "quant_method": METHOD, "version": version }));
            assert!(wrong.contains("a whole number from 1 to 1"), "{wrong}");
        }
        for bits in [json!(4), json!("8"), json!(null)] {
            let wrong = message(json!({ "quant_method": METHOD, "version": 1, "bits": bits }));
            assert!(wrong.contains("`quantization_config.bits` is"), "{wrong}");
        }
        let other = message(json!({ "quant_method": "gptq", "version": 1 }));
        assert!(other.contains("another library"), "{other}");
        assert!(message(json!("int8")).contains("another library"));
    }
}
