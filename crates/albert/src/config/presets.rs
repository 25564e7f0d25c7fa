//! The published models, one row each, and the way back from a configuration to its row.

use std::collections::BTreeMap;

use serde_json::Map;

use super::{Activation, AlbertConfig, PositionEmbeddingType, default_labels};

/// One published model; everything not in the row is the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Name for [`AlbertConfig::preset`]: the one on the Hugging Face hub where there is one.
    pub name: &'static str,
    /// What [`AlbertConfig::family`] calls it.
    pub title: &'static str,
    /// The title without the version, for a model that is this one in shape only.
    pub size: &'static str,
    /// V.
    pub vocab_size: usize,
    /// H; F is four times that.
    pub hidden_size: usize,
    /// L.
    pub num_hidden_layers: usize,
    /// A.
    pub num_attention_heads: usize,
    /// The activation as the model's own file means it.
    pub hidden_act: Activation,
    /// Both dropouts.
    pub dropout: f64,
    /// Standard deviation of the first weights.
    pub initializer_range: f64,
    /// Ids of `[CLS]` and `[SEP]`, where a published file states them.
    pub cls_and_sep: Option<(i64, i64)>,
}

/// A row of an English model: SentencePiece vocabulary of 30000.
const fn english(
    names: [&'static str; 3],
    [hidden_size, num_hidden_layers, num_attention_heads]: [usize; 3],
    hidden_act: Activation,
    dropout: f64,
) -> Preset {
    Preset {
        name: names[0],
        title: names[1],
        size: names[2],
        vocab_size: 30_000,
        hidden_size,
        num_hidden_layers,
        num_attention_heads,
        hidden_act,
        dropout,
        initializer_range: 0.02,
        cls_and_sep: Some((2, 3)),
    }
}

/// A row of a Chinese model: BERT's Chinese WordPiece vocabulary of 21128, no dropout. Published as
/// Google's `albert_config.json`, which states no token ids besides the padding's 0.
const fn chinese(
    names: [&'static str; 3],
    [hidden_size, num_hidden_layers, num_attention_heads]: [usize; 3],
    hidden_act: Activation,
    initializer_range: f64,
) -> Preset {
    Preset {
        name: names[0],
        title: names[1],
        size: names[2],
        vocab_size: 21_128,
        hidden_size,
        num_hidden_layers,
        num_attention_heads,
        hidden_act,
        dropout: 0.0,
        initializer_range,
        cls_and_sep: None,
    }
}

use Activation::{Gelu, GeluNew, Relu};

#[rustfmt::skip]
mod rows {
    use super::*;
    pub(super) const BASE_V1: Preset = english(["albert-base-v1", "ALBERT base v1", "ALBERT base"], [768, 12, 12], Gelu, 0.1);
    pub(super) const LARGE_V1: Preset = english(["albert-large-v1", "ALBERT large v1", "ALBERT large"], [1024, 24, 16], Gelu, 0.1);
    pub(super) const XLARGE_V1: Preset = english(["albert-xlarge-v1", "ALBERT xlarge v1", "ALBERT xlarge"], [2048, 24, 16], Gelu, 0.1);
    pub(super) const XXLARGE_V1: Preset = english(["albert-xxlarge-v1", "ALBERT xxlarge v1", "ALBERT xxlarge"], [4096, 12, 64], Gelu, 0.0);
    pub(super) const BASE_V2: Preset = english(["albert-base-v2", "ALBERT base v2", "ALBERT base"], [768, 12, 12], GeluNew, 0.0);
    pub(super) const LARGE_V2: Preset = english(["albert-large-v2", "ALBERT large v2", "ALBERT large"], [1024, 24, 16], GeluNew, 0.0);
    pub(super) const XLARGE_V2: Preset = english(["albert-xlarge-v2", "ALBERT xlarge v2", "ALBERT xlarge"], [2048, 24, 16], GeluNew, 0.0);
    pub(super) const XXLARGE_V2: Preset = english(["albert-xxlarge-v2", "ALBERT xxlarge v2", "ALBERT xxlarge"], [4096, 12, 64], GeluNew, 0.0);
    pub(super) const BASE_ZH: Preset = chinese(["albert-base-zh", "ALBERT base Chinese", "ALBERT base Chinese"], [768, 12, 12], Relu, 0.02);
    pub(super) const LARGE_ZH: Preset = chinese(["albert-large-zh", "ALBERT large Chinese", "ALBERT large Chinese"], [1024, 24, 16], Relu, 0.02);
    pub(super) const XLARGE_ZH: Preset = chinese(["albert-xlarge-zh", "ALBERT xlarge Chinese", "ALBERT xlarge Chinese"], [2048, 24, 16], Relu, 0.014);
    pub(super) const XXLARGE_ZH: Preset = chinese(["albert-xxlarge-zh", "ALBERT xxlarge Chinese", "ALBERT xxlarge Chinese"], [4096, 12, 16], Relu, 0.01);
    pub(super) const TINY_ZH: Preset = chinese(["albert-tiny-zh", "ALBERT tiny Chinese (albert_zh)", "ALBERT tiny Chinese (albert_zh)"], [312, 4, 12], GeluNew, 0.02);
    pub(super) const SMALL_ZH: Preset = chinese(["albert-small-zh", "ALBERT small Chinese (albert_zh)", "ALBERT small Chinese (albert_zh)"], [384, 6, 12], GeluNew, 0.02);
}
use rows::*;

/// Every model with a preset: the eight English ones as Hugging Face's files describe them (v1's
/// `gelu` is the erf form there, although Google trained it with the tanh form), Google's four
/// Chinese ones, and brightmart/albert_zh's tiny and small (whose `gelu` is the tanh form).
pub const PRESETS: &[Preset] = &[
    BASE_V1, LARGE_V1, XLARGE_V1, XXLARGE_V1, BASE_V2, LARGE_V2, XLARGE_V2, XXLARGE_V2, BASE_ZH,
    LARGE_ZH, XLARGE_ZH, XXLARGE_ZH, TINY_ZH, SMALL_ZH,
];

impl Preset {
    /// The whole configuration of this row.
    pub fn config(&self) -> AlbertConfig {
        AlbertConfig {
            vocab_size: self.vocab_size,
            embedding_size: 128,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_hidden_groups: 1,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: 4 * self.hidden_size,
            inner_group_num: 1,
            hidden_act: self.hidden_act,
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.dropout,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: self.initializer_range,
            layer_norm_eps: 1e-12,
            classifier_dropout_prob: Some(0.1),
            position_embedding_type: PositionEmbeddingType::Absolute,
            pad_token_id: Some(0),
            bos_token_id: self.cls_and_sep.map(|(cls, _)| cls),
            eos_token_id: self.cls_and_sep.map(|(_, sep)| sep),
            tie_word_embeddings: true,
            id2label: default_labels(2),
            problem_type: None,
            architectures: Vec::new(),
            pruned_heads: BTreeMap::new(),
            output_hidden_states: false,
            output_attentions: false,
            extra: Map::new(),
        }
    }

    /// Whether the configuration's tensors have the shapes of this model's, heads aside.
    pub(super) fn has_tensors_of(&self, config: &AlbertConfig) -> bool {
        config.vocab_size == self.vocab_size
            && config.embedding_size == 128
            && config.hidden_size == self.hidden_size
            && config.num_hidden_layers == self.num_hidden_layers
            && config.num_hidden_groups == 1
            && config.inner_group_num == 1
            && config.intermediate_size == 4 * self.hidden_size
            && config.max_position_embeddings == 512
            && config.type_vocab_size == 2
            && config.position_embedding_type == PositionEmbeddingType::Absolute
            && config.pruned_heads.is_empty()
    }

    /// Whether both dropouts are this model's.
    pub(super) fn has_dropout_of(&self, config: &AlbertConfig) -> bool {
        config.hidden_dropout_prob == self.dropout
            && config.attention_probs_dropout_prob == self.dropout
    }
}

/// Associated functions for rows of the table.
macro_rules! preset_functions {
    ($($function:ident = $row:ident, $name:literal;)*) => {
        impl AlbertConfig {
            $(
                #[doc = concat!("The configuration of `", $name, "`, as its file on the Hugging Face hub has it.")]
                pub fn $function() -> AlbertConfig {
                    $row.config()
                }
            )*
        }
    };
}

preset_functions! {
    base_v1 = BASE_V1, "albert-base-v1";
    large_v1 = LARGE_V1, "albert-large-v1";
    xlarge_v1 = XLARGE_V1, "albert-xlarge-v1";
    xxlarge_v1 = XXLARGE_V1, "albert-xxlarge-v1";
    base_v2 = BASE_V2, "albert-base-v2";
    large_v2 = LARGE_V2, "albert-large-v2";
    xlarge_v2 = XLARGE_V2, "albert-xlarge-v2";
    xxlarge_v2 = XXLARGE_V2, "albert-xxlarge-v2";
}

impl AlbertConfig {
    /// The configuration of a published model by its name in [`PRESETS`], with or without
    /// `albert-` or `albert/albert-` in front (`base-v2`).
    pub fn preset(name: &str) -> Option<AlbertConfig> {
        let name = name.strip_prefix("albert/").unwrap_or(name);
        let name = name.strip_prefix("albert-").unwrap_or(name);
        PRESETS
            .iter()
            .find(|preset| preset.name.strip_prefix("albert-") == Some(name))
            .map(Preset::config)
    }
}

/// See [`AlbertConfig::family`].
pub(super) fn family(config: &AlbertConfig) -> Option<&'static str> {
    let same_shape = || {
        PRESETS.iter().filter(|preset| {
            preset.has_tensors_of(config)
                && preset.num_attention_heads == config.num_attention_heads
        })
    };
    let exact = same_shape().find(|preset| {
        preset.has_dropout_of(config) && preset.hidden_act == config.hidden_act.canonical()
    });
    if let Some(preset) = exact {
        return Some(preset.title);
    }
    // Google's v1 files say tanh and dropout 0.1; only v1 has that dropout.
    let google_v1 = same_shape().find(|preset| {
        preset.dropout > 0.0
            && preset.has_dropout_of(config)
            && config.hidden_act.canonical() == GeluNew
    });
    match google_v1 {
        Some(preset) => Some(preset.title),
        None => same_shape().next().map(|preset| preset.size),
    }
}
