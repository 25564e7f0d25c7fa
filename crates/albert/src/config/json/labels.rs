//! The names of the classes: `id2label`, `label2id` and `num_labels`, compared and written.

use serde_json::{Map, Value};

use super::strict::{describe, shorten};
use super::values::{JsonField, canonical_index};
use crate::config::{ConfigDialect, ConfigError, ConfigReport, MAX_LABELS, default_labels};

/// The class names from `id2label`, `label2id` and the `num_labels` of transformers 2.
pub(super) fn read_labels(
    object: &Map<String, Value>,
    report: &mut ConfigReport,
) -> Result<Vec<String>, ConfigError> {
    let map = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) if map.len() <= MAX_LABELS => Ok(Some(map)),
        Some(Value::Object(map)) => Err(ConfigError::wrong(
            key,
            format!("a map of {} classes", map.len()),
            format!("at most {MAX_LABELS} classes"),
            "correct the file",
        )),
        Some(other) => Err(ConfigError::wrong(
            key,
            describe(other),
            "an object",
            "write {\"0\": \"…\"}",
        )),
    };
    let (id2label, label2id) = (map("id2label")?, map("label2id")?);
    let count = match object.get("num_labels") {
        None | Some(Value::Null) => None,
        Some(value) => Some(usize::read(
            "num_labels",
            value,
            ConfigDialect::HuggingFace,
        )?),
    };
    if let Some(count) = count.filter(|&count| count == 0 || count > MAX_LABELS) {
        return Err(ConfigError::wrong(
            "num_labels",
            count,
            format!("1 to {MAX_LABELS} classes"),
            "correct the file",
        ));
    }
    let labels = match (id2label, label2id) {
        (Some(names), ids) => {
            let labels = labels_by_index(names)?;
            if let Some(ids) = ids {
                compare_label_maps(&labels, ids, report)?;
            }
            labels
        }
        (None, Some(ids)) => {
            report.notes.push(String::from(
                "`label2id` is there without `id2label`; the class names were taken from it",
            ));
            labels_from_ids(ids)?
        }
        (None, None) => default_labels(count.unwrap_or(2)),
    };
    match count {
        Some(count) if count != labels.len() => Err(ConfigError::wrong(
            "num_labels",
            count,
            format!(
                "{}, the number of classes that the label map names",
                labels.len()
            ),
            "remove `num_labels`, or correct `id2label`",
        )),
        _ => Ok(labels),
    }
}

/// `{"0": "a", "1": "b"}` in any order; every index from 0 exactly once.
pub(super) fn labels_by_index(map: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut labels = vec![None; map.len()];
    let expected = || match map.len() {
        0 => String::from("at least one class"),
        count => format!("the keys \"0\" to \"{}\", each once", count - 1),
    };
    for (key, value) in map {
        let slot = canonical_index(key)
            .and_then(|index| labels.get_mut(index))
            .ok_or_else(|| {
                ConfigError::wrong(
                    "id2label",
                    format!(
                        "a map of {} classes with the key \"{}\"",
                        map.len(),
                        shorten(key)
                    ),
                    expected(),
                    "number the classes without gaps, in the order of the classifier's rows",
                )
            })?;
        let Value::String(name) = value else {
            let field = format!("id2label[\"{}\"]", shorten(key));
            let fix = "put the name in quotes";
            return Err(ConfigError::wrong(field, describe(value), "a text", fix));
        };
        *slot = Some(name.clone());
    }
    // As many distinct indices as slots: none is empty.
    Ok(labels.into_iter().flatten().collect())
}

/// An entry of `label2id`: a number, or a number in quotes as some tools write it.
fn label_index(name: &str, value: &Value) -> Result<usize, ConfigError> {
    let number = match value {
        Value::String(text) => text.parse::<usize>().ok(),
        other => other.as_u64().and_then(|index| usize::try_from(index).ok()),
    };
    number.ok_or_else(|| {
        let field = format!("label2id[\"{}\"]", shorten(name));
        ConfigError::wrong(
            field,
            describe(value),
            "an index from 0",
            "correct the file",
        )
    })
}

/// The names by index from `label2id` alone.
fn labels_from_ids(map: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut labels = vec![None; map.len()];
    for (name, value) in map {
        let index = label_index(name, value)?;
        match labels.get_mut(index) {
            Some(slot @ None) => *slot = Some(name.clone()),
            _ => {
                return Err(ConfigError::wrong(
                    format!("label2id[\"{}\"]", shorten(name)),
                    index,
                    format!("an index below {}, each once", map.len()),
                    "number the classes without gaps, or add `id2label`",
                ));
            }
        }
    }
    Ok(labels.into_iter().flatten().collect())
}

/// Refuses a `label2id` that contradicts `id2label`; forgives transformers' untouched default.
fn compare_label_maps(
    labels: &[String],
    ids: &Map<String, Value>,
    report: &mut ConfigReport,
) -> Result<(), ConfigError> {
    let untouched =
        |(name, index): (&str, u64)| ids.get(name).and_then(Value::as_u64) == Some(index);
    let is_default = ids.len() == 2 && [("LABEL_0", 0), ("LABEL_1", 1)].into_iter().all(untouched);
    let mut wrong = None;
    for (name, value) in ids {
        let index = label_index(name, value)?;
        if labels.get(index) != Some(name) {
            wrong.get_or_insert((name.as_str(), index.to_string()));
        }
    }
    for name in labels {
        if !ids.contains_key(name) {
            wrong.get_or_insert((name.as_str(), String::from("absent")));
        }
    }
    let Some((name, found)) = wrong else {
        return Ok(());
    };
    if is_default {
        report.notes.push(String::from(
            "`label2id` is transformers' default and disagrees with `id2label`, which was taken",
        ));
        return Ok(());
    }
    let expected = match labels.iter().position(|label| label == name) {
        Some(index) => format!("{index}, as in `id2label`"),
        None => String::from("a name that `id2label` has too"),
    };
    Err(ConfigError::wrong(
        format!("label2id[\"{}\"]", shorten(name)),
        found,
        expected,
        "remove `label2id` if `id2label` is right (it is derived), or correct one of them",
    ))
}

/// Both label maps as transformers writes them, or `None` for its default two classes.
pub(super) fn written_labels(labels: &[String]) -> Option<Map<String, Value>> {
    if labels == default_labels(2) {
        return None;
    }
    let names = labels
        .iter()
        .enumerate()
        .map(|(i, name)| (i.to_string(), name.as_str().into()));
    let mut ids: Map<String, Value> = labels
        .iter()
        .enumerate()
        .map(|(i, name)| (name.clone(), Value::from(i)))
        .collect();
    ids.sort_keys();
    let mut both = Map::new();
    both.insert("id2label".into(), Value::Object(names.collect()));
    both.insert("label2id".into(), Value::Object(ids));
    Some(both)
}
