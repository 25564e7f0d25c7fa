//! What each key of a configuration file is: the table of fields, and the keys without one.

use serde_json::Value;

use super::values::JsonField;
use crate::config::{AlbertConfig, ConfigDialect, ConfigError};

/// Which file a field is written to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Written {
    /// Both dialects, always.
    Both,
    /// Hugging Face's, always.
    HuggingFace,
    /// Hugging Face's, where it differs from transformers' default.
    WhenSet,
}

/// One field: its key, where it is written, how it is read and written.
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) required: bool,
    pub(super) written: Written,
    pub(super) read: fn(&mut AlbertConfig, &Value, ConfigDialect) -> Result<(), ConfigError>,
    pub(super) write: fn(&AlbertConfig, ConfigDialect) -> Result<Value, ConfigError>,
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
pub(super) const FIELDS: &[Field] = &[
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
pub(super) const LABEL_MAPS: &[&str] = &["id2label", "label2id"];

/// Keys that are read and written, or replaced, without a field of their own.
pub(super) const REWRITTEN: &[&str] = &["model_type", "num_labels"];

/// Keys of transformers' base class that change nothing a model computes here; kept in silence.
/// Among them `chunk_size_feed_forward`, which cuts the same sums into pieces, and `quantization_config`, which
/// `quantization` reads.
#[rustfmt::skip]
pub(super) const PASSIVE: &[&str] = &[
    "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "_num_labels", "attn_implementation",
    "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward", "decoder_start_token_id",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "gradient_checkpointing", "length_penalty", "max_length", "min_length",
    "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "output_past", "output_scores", "prefix", "quantization_config", "remove_invalid_values", "repetition_penalty",
    "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens",
    "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p",
    "torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
];

/// Keys whose presence alone says that transformers wrote the file.
#[rustfmt::skip]
pub(super) const TRANSFORMERS_ONLY: &[&str] = &[
    "model_type", "architectures", "transformers_version", "_name_or_path", "torch_dtype", "dtype",
    "id2label", "label2id", "num_labels", "_num_labels", "output_attentions", "output_hidden_states",
    "finetuning_task",
];

/// A key that is accepted only while it asks for nothing.
pub(super) struct NoOp {
    pub(super) key: &'static str,
    /// The JSON values that change nothing, besides `null`.
    pub(super) harmless: &'static [&'static str],
    /// Why another value is refused.
    pub(super) reason: &'static str,
}

const fn no_op(key: &'static str, harmless: &'static [&'static str], reason: &'static str) -> NoOp {
    NoOp {
        key,
        harmless,
        reason,
    }
}

/// Features of transformers.
#[rustfmt::skip]
pub(super) const FEATURES: &[NoOp] = &[
    no_op("is_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    no_op("is_encoder_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    no_op("add_cross_attention", &["false"], "ALBERT is an encoder; set it to false"),
    no_op("cross_attention_hidden_size", &[], "ALBERT is an encoder; remove it"),
    no_op("tie_encoder_decoder", &["false"], "ALBERT is an encoder; set it to false"),
    no_op("per_layer_config", &["{}"], "layers of different shape cannot share weights; remove it"),
];

/// What older programs wrote.
#[rustfmt::skip]
pub(super) const LEGACY: &[NoOp] = &[
    no_op("net_structure_type", &["0"], "Google's code knows 0 only; other values describe an unpublished network"),
    no_op("gap_size", &["0"], "no published program implements another value than 0"),
    no_op("num_memory_blocks", &["0"], "no published program implements another value than 0"),
    no_op("down_scale_factor", &["1"], "no published program implements another value than 1"),
    no_op("layers_to_keep", &["[]"], "no published program implements another value than []"),
    no_op("ln_type", &["\"postln\""], "albert_zh's pre-normalised network is another architecture"),
];

/// BERT's pooler options, copied into Chinese files; no ALBERT program reads them.
#[rustfmt::skip]
pub(super) const LEGACY_ANY: &[&str] = &[
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
];
