//! From JSON text to a configuration, with a report of what was noticed on the way.

use std::path::Path;

use serde_json::{Map, Value};

use super::fields::{
    FEATURES, FIELDS, LABEL_MAPS, LEGACY, LEGACY_ANY, PASSIVE, REWRITTEN, TRANSFORMERS_ONLY,
    Written,
};
use super::labels::{read_labels, written_labels};
use super::strict::{describe, parse, shorten};
use super::write::written_value;
use crate::config::{AlbertConfig, ConfigDialect, ConfigError, ConfigReport, quantization};

/// Reads the text; the file's name is added to an error by the caller.
pub(super) fn read(
    text: &str,
    dialect: Option<ConfigDialect>,
    path: Option<&Path>,
) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
    let object = parse(text)?;
    let (dialect, dialect_reason) = match dialect {
        Some(dialect) => (dialect, String::from("the caller said so")),
        None => detect(&object, path),
    };
    let mut report = ConfigReport {
        dialect,
        dialect_reason,
        unknown: Vec::new(),
        legacy: Vec::new(),
        defaults: Vec::new(),
        notes: Vec::new(),
    };
    refuse_other_models(&object)?;
    refuse_features(&object, &mut report)?;

    let mut config = AlbertConfig::xxlarge_v2();
    for field in FIELDS {
        match object.get(field.key) {
            Some(value) => (field.read)(&mut config, value, dialect)?,
            None if field.required => {
                let default = (field.write)(&config, ConfigDialect::HuggingFace)?.to_string();
                return Err(ConfigError::Missing {
                    file: None,
                    field: field.key,
                    default,
                });
            }
            None if field.written != Written::WhenSet => {
                let default = (field.write)(&config, dialect)?.to_string();
                report.defaults.push((field.key, default));
            }
            None => {}
        }
    }
    config.id2label = read_labels(&object, &mut report)?;
    config.extra = leftovers(&config, object, dialect, &mut report)?;
    config.validate()?;
    Ok((config, report))
}

/// Finds the dialect. Google's code writes none of transformers' keys; people add some of the
/// milder ones (`layer_norm_eps`) to Google's file by hand, so there its name counts more.
fn detect(object: &Map<String, Value>, path: Option<&Path>) -> (ConfigDialect, String) {
    let has = |key: &&&str| object.contains_key(**key);
    if let Some(key) = TRANSFORMERS_ONLY.iter().find(has) {
        return (ConfigDialect::HuggingFace, format!("it has `{key}`"));
    }
    let name = path
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy());
    if let Some(name) = name.filter(|name| name.starts_with("albert_config")) {
        return (ConfigDialect::Google, format!("it is called {name}"));
    }
    let milder = FIELDS.iter().filter(|field| field.written != Written::Both);
    if let Some(key) = milder.map(|field| &field.key).find(has) {
        return (ConfigDialect::HuggingFace, format!("it has `{key}`"));
    }
    (
        ConfigDialect::Google,
        String::from("it has no key that only transformers writes"),
    )
}

/// Refuses a BERT's, RoBERTa's … configuration, whose shape would otherwise be believed.
fn refuse_other_models(object: &Map<String, Value>) -> Result<(), ConfigError> {
    let fix = "give the configuration of an ALBERT";
    match object.get("model_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(model)) if model == "albert" => return Ok(()),
        Some(Value::String(model)) => {
            return Err(ConfigError::unsupported(
                "model_type",
                describe(&Value::String(model.clone())),
                format!("this is a {} model, not an albert; {fix}", shorten(model)),
            ));
        }
        Some(other) => {
            return Err(ConfigError::wrong(
                "model_type",
                describe(other),
                "\"albert\"",
                fix,
            ));
        }
    }
    let Some(Value::Array(classes)) = object.get("architectures") else {
        return Ok(());
    };
    let names = || classes.iter().filter_map(Value::as_str);
    match names().next() {
        Some(first) if !names().any(|name| name.contains("Albert")) => {
            Err(ConfigError::unsupported(
                "architectures",
                format!("\"{}\"", shorten(first)),
                format!("that is not an ALBERT class, and there is no `model_type`; {fix}"),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses what this crate does not do, and lists the leftovers that ask for nothing.
fn refuse_features(
    object: &Map<String, Value>,
    report: &mut ConfigReport,
) -> Result<(), ConfigError> {
    quantization::check(object)?;
    for no_op in FEATURES.iter().chain(LEGACY) {
        let Some(value) = object.get(no_op.key) else {
            continue;
        };
        let text = value.to_string();
        let number = |text: &str| text.parse::<f64>().ok();
        let harmless = value.is_null()
            || no_op.harmless.iter().any(|&harmless| {
                text == harmless || (value.is_number() && number(&text) == number(harmless))
            });
        if !harmless {
            return Err(ConfigError::unsupported(
                no_op.key,
                describe(value),
                no_op.reason,
            ));
        }
    }
    let legacy = LEGACY.iter().map(|no_op| no_op.key);
    let legacy = legacy.chain(LEGACY_ANY.iter().copied());
    let present = legacy.filter(|key| object.contains_key(*key));
    report.legacy.extend(present.map(str::to_string));
    Ok(())
}

/// The part of the file that belongs in [`AlbertConfig::extra`]: keys without a field, and the
/// spelling of fields that writing would spell differently.
fn leftovers(
    config: &AlbertConfig,
    object: Map<String, Value>,
    dialect: ConfigDialect,
    report: &mut ConfigReport,
) -> Result<Map<String, Value>, ConfigError> {
    let labels = written_labels(&config.id2label);
    // Writing spells both maps or neither, so either both or neither spelling is kept.
    let labels_differ = object.contains_key("id2label")
        && LABEL_MAPS
            .iter()
            .any(|key| object.get(*key) != labels.as_ref().and_then(|labels| labels.get(*key)));
    let mut extra = Map::new();
    for (key, value) in object {
        let keep = if let Some(field) = FIELDS.iter().find(|field| field.key == key) {
            written_value(config, field, dialect)?.as_ref() != Some(&value)
        } else if LABEL_MAPS.contains(&key.as_str()) {
            labels_differ
        } else if REWRITTEN.contains(&key.as_str()) {
            false
        } else {
            let known = PASSIVE.contains(&key.as_str())
                || FEATURES.iter().chain(LEGACY).any(|no_op| no_op.key == key)
                || LEGACY_ANY.contains(&key.as_str());
            if !known {
                report.unknown.push(key.clone());
            }
            true
        };
        if keep {
            extra.insert(key, value);
        }
    }
    Ok(extra)
}
