//! From a configuration to JSON text of either dialect.

use serde_json::{Map, Value};

use super::fields::{FIELDS, Field, LABEL_MAPS, PASSIVE, REWRITTEN, TRANSFORMERS_ONLY, Written};
use super::labels::{labels_by_index, written_labels};
use crate::config::{AlbertConfig, ConfigDialect, ConfigError, PositionEmbeddingType};

/// See [`AlbertConfig::to_json`].
pub(in crate::config) fn to_json(
    config: &AlbertConfig,
    dialect: ConfigDialect,
) -> Result<String, ConfigError> {
    config.validate()?;
    let google = dialect == ConfigDialect::Google;
    if google {
        refuse_inexpressible(config)?;
    }
    let mut object = Map::new();
    for (key, value) in &config.extra {
        let interpreted = FIELDS.iter().any(|field| field.key == key)
            || LABEL_MAPS.contains(&key.as_str())
            || REWRITTEN.contains(&key.as_str());
        // A key of transformers in Google's file would make it look like transformers' own.
        let foreign = google
            && (PASSIVE.contains(&key.as_str()) || TRANSFORMERS_ONLY.contains(&key.as_str()));
        if !interpreted && !foreign {
            let mut value = value.clone();
            value.sort_all_objects();
            object.insert(key.clone(), value);
        }
    }
    for field in FIELDS {
        if google && field.written != Written::Both {
            continue;
        }
        let written = written_value(config, field, dialect)?;
        let spelled = config.extra.get(field.key).filter(|spelled| {
            let mut twin = config.clone();
            (field.read)(&mut twin, spelled, dialect).is_ok()
                && (field.write)(&twin, dialect).ok() == (field.write)(config, dialect).ok()
        });
        if let Some(value) = spelled.cloned().or(written) {
            object.insert(field.key.into(), value);
        }
    }
    if !google {
        object.insert("model_type".into(), "albert".into());
    }
    object.sort_keys();
    if !google {
        insert_labels(config, &mut object);
    }
    let mut text = serde_json::to_string_pretty(&Value::Object(object))
        .expect("a JSON value with text keys can always be written");
    text.push('\n');
    Ok(text)
}

/// What the table alone writes for a field; `None` where the dialect leaves it out.
pub(super) fn written_value(
    config: &AlbertConfig,
    field: &Field,
    dialect: ConfigDialect,
) -> Result<Option<Value>, ConfigError> {
    if dialect == ConfigDialect::Google && field.written != Written::Both {
        return Ok(None);
    }
    let value = (field.write)(config, dialect)?;
    if field.written == Written::WhenSet {
        let default = (field.write)(&AlbertConfig::xxlarge_v2(), dialect)?;
        return Ok((value != default).then_some(value));
    }
    Ok(Some(value))
}

/// Adds the label maps; `id2label` by number, not by text, as Python sorts its integer keys.
fn insert_labels(config: &AlbertConfig, object: &mut Map<String, Value>) {
    let spelled = config
        .extra
        .get("id2label")
        .and_then(Value::as_object)
        .filter(|map| labels_by_index(map).is_ok_and(|labels| labels == config.id2label));
    let mut maps = match spelled {
        Some(id2label) => {
            let mut maps = Map::new();
            maps.insert("id2label".into(), Value::Object(id2label.clone()));
            if let Some(label2id) = config.extra.get("label2id") {
                maps.insert("label2id".into(), label2id.clone());
            }
            maps
        }
        None => match written_labels(&config.id2label) {
            Some(maps) => maps,
            None => return,
        },
    };
    object.append(&mut maps);
    // Only the outer level: the maps have their own order.
    object.sort_keys();
}

/// Refuses what Google's code would compute differently.
fn refuse_inexpressible(config: &AlbertConfig) -> Result<(), ConfigError> {
    let refuse = |field: &str, found: String, reason: &str| {
        let reason = format!("{reason}; write the Hugging Face dialect instead");
        Err(ConfigError::unsupported(field, found, reason))
    };
    if config.layer_norm_eps != 1e-12 {
        let found = format!("{:?}", config.layer_norm_eps);
        return refuse("layer_norm_eps", found, "Google's code always uses 1e-12");
    }
    if config.position_embedding_type != PositionEmbeddingType::Absolute {
        let found = format!("\"{}\"", config.position_embedding_type);
        return refuse(
            "position_embedding_type",
            found,
            "Google's code has absolute positions only",
        );
    }
    if !config.pruned_heads.is_empty() {
        let found = format!("{:?}", config.pruned_heads);
        return refuse(
            "pruned_heads",
            found,
            "Google's code cannot leave heads out",
        );
    }
    if !config.tie_word_embeddings {
        let found = String::from("false");
        return refuse(
            "tie_word_embeddings",
            found,
            "Google's code always shares the word table",
        );
    }
    Ok(())
}
