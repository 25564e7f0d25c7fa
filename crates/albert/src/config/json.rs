//! Both JSON dialects: strict parsing, one table of fields, reading and writing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{
    Activation, AlbertConfig, ConfigError, MAX_LABELS, PositionEmbeddingType, ProblemType,
    default_labels,
};

/// The largest configuration text that is read: 8 MiB. A file of ten thousand labels has one.
pub const MAX_CONFIG_BYTES: usize = 8 << 20;

/// Which program's file it is. The keys are the same; `hidden_act` is not:
///
/// | in the file | `HuggingFace` | `Google` |
/// |---|---|---|
/// | `gelu` | the erf form | the tanh form, which Hugging Face calls `gelu_new` |
/// | `""`, `null` | refused | no activation, as `linear` |
/// | `relu`, `tanh`, `linear` | the same | the same |
/// | anything else | a name in `ACT2FN` | refused, as Google's code does |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigDialect {
    /// transformers' `config.json`.
    HuggingFace,
    /// google-research/albert's `albert_config.json`.
    Google,
}

impl fmt::Display for ConfigDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigDialect::HuggingFace => "Hugging Face",
            ConfigDialect::Google => "Google",
        })
    }
}

/// What reading a configuration noticed without refusing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// How the file was read.
    pub dialect: ConfigDialect,
    /// Why it was taken for that dialect.
    pub dialect_reason: String,
    /// Keys that nobody here knows; kept in [`AlbertConfig::extra`], without effect.
    pub unknown: Vec<String>,
    /// Keys left over from older programs, holding the value that changes nothing; kept.
    pub legacy: Vec<String>,
    /// Absent keys and the value that was filled in, as JSON.
    pub defaults: Vec<(&'static str, String)>,
    /// Anything else worth a line, each a sentence.
    pub notes: Vec<String>,
}

// ---------------------------------------------------------------------------------------------
// The table of fields

/// Which file a field is written to.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    /// Both dialects, always.
    Both,
    /// Hugging Face's, always.
    HuggingFace,
    /// Hugging Face's, where it differs from transformers' default.
    WhenSet,
}

/// One field: its key, where it is written, how it is read and written.
struct Field {
    key: &'static str,
    required: bool,
    written: Written,
    read: fn(&mut AlbertConfig, &Value, ConfigDialect) -> Result<(), ConfigError>,
    write: fn(&AlbertConfig, ConfigDialect) -> Result<Value, ConfigError>,
}

macro_rules! field {
    ($name:ident, $written:ident $(, $required:ident)?) => {
        Field {
            key: stringify!($name),
            required: field!(@required $($required)?),
            written: Written::$written,
            read: |config, value, dialect| {
                config.$name = JsonField::read(stringify!($name), value, dialect)?;
                Ok(())
            },
            write: |config, dialect| config.$name.write(dialect),
        }
    };
    (@required required) => { true };
    (@required) => { false };
}

/// Every field but the labels, which three keys describe.
///
/// The shape is required: transformers' saving leaves none of it out, and its defaults are
/// xxlarge's. Groups and inner blocks are not, since 1 is Google's default too and older Chinese
/// files rely on it; a checkpoint with more of them is caught by its tensors.
const FIELDS: &[Field] = &[
    field!(vocab_size, Both, required),
    field!(embedding_size, Both, required),
    field!(hidden_size, Both, required),
    field!(num_hidden_layers, Both, required),
    field!(num_hidden_groups, Both),
    field!(num_attention_heads, Both, required),
    field!(intermediate_size, Both, required),
    field!(inner_group_num, Both),
    field!(hidden_act, Both),
    field!(hidden_dropout_prob, Both),
    field!(attention_probs_dropout_prob, Both),
    field!(max_position_embeddings, Both, required),
    field!(type_vocab_size, Both, required),
    field!(initializer_range, Both),
    field!(layer_norm_eps, HuggingFace),
    field!(classifier_dropout_prob, HuggingFace),
    field!(position_embedding_type, WhenSet),
    field!(pad_token_id, HuggingFace),
    field!(bos_token_id, HuggingFace),
    field!(eos_token_id, HuggingFace),
    field!(tie_word_embeddings, HuggingFace),
    field!(problem_type, WhenSet),
    field!(architectures, WhenSet),
    field!(pruned_heads, WhenSet),
    field!(output_hidden_states, WhenSet),
    field!(output_attentions, WhenSet),
];

/// The keys that name the classes, in both directions.
const LABEL_MAPS: &[&str] = &["id2label", "label2id"];

/// Keys that are read and written, or replaced, without a field of their own.
const REWRITTEN: &[&str] = &["model_type", "num_labels"];

/// Keys of transformers' base class that change nothing a model computes here; kept in silence.
/// Among them `chunk_size_feed_forward`, which cuts the same sums into pieces.
#[rustfmt::skip]
const PASSIVE: &[&str] = &[
    "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "_num_labels", "attn_implementation",
    "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward", "decoder_start_token_id",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "gradient_checkpointing", "length_penalty", "max_length", "min_length",
    "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "output_past", "output_scores", "prefix", "remove_invalid_values", "repetition_penalty",
    "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens",
    "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p",
    "torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
];

/// Keys whose presence alone says that transformers wrote the file.
#[rustfmt::skip]
const TRANSFORMERS_ONLY: &[&str] = &[
    "model_type", "architectures", "transformers_version", "_name_or_path", "torch_dtype", "dtype",
    "id2label", "label2id", "num_labels", "_num_labels", "output_attentions", "output_hidden_states",
    "finetuning_task",
];

/// A key that is accepted only while it asks for nothing.
struct NoOp {
    key: &'static str,
    /// The JSON values that change nothing, besides `null`; none at all means any value.
    harmless: &'static [&'static str],
    /// Whether older programs wrote it; otherwise it is a feature of transformers.
    legacy: bool,
    /// Why another value is refused.
    reason: &'static str,
}

const fn legacy(
    key: &'static str,
    harmless: &'static [&'static str],
    reason: &'static str,
) -> NoOp {
    NoOp {
        key,
        harmless,
        legacy: true,
        reason,
    }
}

const fn feature(
    key: &'static str,
    harmless: &'static [&'static str],
    reason: &'static str,
) -> NoOp {
    NoOp {
        key,
        harmless,
        legacy: false,
        reason,
    }
}

#[rustfmt::skip]
const NO_OPS: &[NoOp] = &[
    feature("is_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    feature("is_encoder_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    feature("add_cross_attention", &["false"], "ALBERT is an encoder; set it to false"),
    feature("cross_attention_hidden_size", &[], "ALBERT is an encoder; remove it"),
    feature("tie_encoder_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    feature("quantization_config", &["{}"], "its weights are packed by another library; take the original checkpoint"),
    feature("per_layer_config", &["{}"], "layers of different shape cannot share weights; remove it"),
    legacy("net_structure_type", &["0"], "Google's code knows 0 only; other values describe an unpublished network"),
    legacy("gap_size", &["0"], "no published program implements another value than 0"),
    legacy("num_memory_blocks", &["0"], "no published program implements another value than 0"),
    legacy("down_scale_factor", &["1"], "no published program implements another value than 1"),
    legacy("layers_to_keep", &["[]"], "no published program implements another value than []"),
    legacy("ln_type", &["\"postln\""], "albert_zh's pre-normalised network is another architecture"),
];

/// BERT's pooler options, copied into Chinese files; no ALBERT program reads them.
#[rustfmt::skip]
const LEGACY_ANY: &[&str] = &[
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
];

// ---------------------------------------------------------------------------------------------
// Reading

/// See [`AlbertConfig::from_file`].
pub(super) fn from_file(path: &Path) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
    let io = |cause: IoError, fix| ConfigError::Io {
        path: path.to_path_buf(),
        cause,
        fix,
    };
    let too_large = || ConfigError::TooLarge {
        file: Some(path.to_path_buf()),
    };
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|cause| io(cause, "check the path"))?;
    if metadata.is_dir() {
        let cause = IoError::from(ErrorKind::IsADirectory);
        return Err(io(cause, "name the config.json in it"));
    }
    if metadata.len() > MAX_CONFIG_BYTES as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The length of a pipe or a device is not known beforehand.
    file.take(MAX_CONFIG_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| io(cause, "check the disk and the permissions"))?;
    if bytes.len() > MAX_CONFIG_BYTES {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let cause = IoError::new(ErrorKind::InvalidData, error.utf8_error());
        io(cause, "save it as UTF-8; is it a configuration at all?")
    })?;
    from_json(&text, None, Some(path))
}

/// See [`AlbertConfig::from_json`]; `path` helps to find the dialect and stands in errors.
pub(super) fn from_json(
    text: &str,
    dialect: Option<ConfigDialect>,
    path: Option<&Path>,
) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
    read(text, dialect, path).map_err(|error| error.in_file(path))
}

fn read(
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
    for no_op in NO_OPS {
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
        if no_op.legacy {
            report.legacy.push(no_op.key.to_string());
        }
    }
    let any = LEGACY_ANY.iter().filter(|key| object.contains_key(**key));
    report.legacy.extend(any.map(|key| key.to_string()));
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
                || NO_OPS.iter().any(|no_op| no_op.key == key)
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

// ---------------------------------------------------------------------------------------------
// Labels

/// The class names from `id2label`, `label2id` and the `num_labels` of transformers 2.
fn read_labels(
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
fn labels_by_index(map: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut labels = vec![None; map.len()];
    let expected = || match map.len() {
        0 => String::from("at least one class"),
        count => format!("the keys \"0\" to \"{}\", each once", count - 1),
    };
    for (key, value) in map {
        // Only the canonical spelling, so that "1" and "01" cannot both be index 1.
        let index = key
            .parse::<usize>()
            .ok()
            .filter(|index| index.to_string() == *key);
        let slot = index
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
fn written_labels(labels: &[String]) -> Option<Map<String, Value>> {
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

// ---------------------------------------------------------------------------------------------
// Writing

/// What the table alone writes for a field; `None` where the dialect leaves it out.
fn written_value(
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

/// See [`AlbertConfig::to_json`].
pub(super) fn to_json(
    config: &AlbertConfig,
    dialect: ConfigDialect,
) -> Result<String, ConfigError> {
    config.validate()?;
    if dialect == ConfigDialect::Google {
        refuse_inexpressible(config)?;
    }
    let google = dialect == ConfigDialect::Google;
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

// ---------------------------------------------------------------------------------------------
// Types of fields

/// A field's type in JSON, per dialect.
trait JsonField: Sized {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError>;
    fn write(&self, dialect: ConfigDialect) -> Result<Value, ConfigError>;
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

impl JsonField for Option<f64> {
    fn read(key: &str, value: &Value, dialect: ConfigDialect) -> Result<Self, ConfigError> {
        if value.is_null() {
            Ok(None)
        } else {
            f64::read(key, value, dialect).map(Some)
        }
    }

    fn write(&self, dialect: ConfigDialect) -> Result<Value, ConfigError> {
        self.map_or(Ok(Value::Null), |value| value.write(dialect))
    }
}

impl JsonField for Option<i64> {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        let fix = match value {
            Value::Null => return Ok(None),
            Value::String(_) => "remove the quotes",
            Value::Array(_) => "keep the first; several ids are for text generation",
            _ => "correct the file",
        };
        let wrong = || ConfigError::wrong(key, describe(value), "one token id or null", fix);
        value.as_i64().map(Some).ok_or_else(wrong)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(self.map_or(Value::Null, Value::from))
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

impl JsonField for Option<ProblemType> {
    fn read(key: &str, value: &Value, _: ConfigDialect) -> Result<Self, ConfigError> {
        if value.is_null() {
            return Ok(None);
        }
        named(key, value, ProblemType::ALL, ProblemType::name).map(Some)
    }

    fn write(&self, _: ConfigDialect) -> Result<Value, ConfigError> {
        Ok(self.map_or(Value::Null, |problem| problem.name().into()))
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
            let index = block
                .parse::<usize>()
                .ok()
                .filter(|index| index.to_string() == *block);
            let index =
                index.ok_or_else(|| wrong(format!("an object with \"{}\"", shorten(block))))?;
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

// ---------------------------------------------------------------------------------------------
// Strict JSON

/// A JSON value in words, for messages: never longer than a line.
fn describe(value: &Value) -> String {
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
fn shorten(text: &str) -> String {
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

/// Parses the text as an object without repeated keys.
fn parse(text: &str) -> Result<Map<String, Value>, ConfigError> {
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
