//! The configuration of an ALBERT model: its shape, its activation, its labels.
//!
//! A configuration comes from a file ([`AlbertConfig::from_file`], which reads transformers'
//! `config.json` and Google's `albert_config.json`) or from the table of published models
//! ([`PRESETS`]). There is no `Default`: transformers' default is the 222-million-parameter
//! xxlarge, and a model that silently became that one has cost many people a day.
//!
//! ```
//! use albert::config::{AlbertConfig, ModelClass};
//!
//! let config = AlbertConfig::base_v2();
//! assert_eq!(config.head_size(), 64);
//! assert_eq!(config.parameter_count(ModelClass::Model), 11_683_584);
//!
//! let text = r#"{"model_type": "albert", "vocab_size": 30000}"#;
//! let error = AlbertConfig::from_json(text, None).unwrap_err();
//! assert!(error.to_string().contains("`embedding_size` is missing"));
//! ```
//!
//! In reading order: this file ([`AlbertConfig`]), `named` (its enums, each with its names in JSON),
//! `error` ([`ConfigError`]), `presets` (published models), `json` (both dialects,
//! one table of fields), `quantization` (8-bit weights), `validate` (what no model can have), `lint`
//! (configuration against tensors).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

mod error;
mod json;
mod lint;
mod named;
mod presets;
mod quantization;
mod validate;

pub use error::ConfigError;
pub use json::{ConfigDialect, ConfigReport, MAX_CONFIG_BYTES};
pub use lint::{Lint, LintKind};
pub use named::{Activation, ModelClass, PositionEmbeddingType, ProblemType};
pub use presets::{PRESETS, Preset};
pub use quantization::Quantization;
pub(crate) use quantization::{METHOD as QUANTIZATION_METHOD, VERSION as QUANTIZATION_VERSION};
pub use validate::{MAX_BLOCK_APPLICATIONS, MAX_LABELS, MAX_PARAMETERS};

/// Everything that decides what an ALBERT model computes, plus the keys that ride along.
///
/// The letters are the alphabet of the whole workspace: V, E, H, L, G, N, A, F, P, U, C.
/// "Default" is what transformers 5.23 takes for an absent key; a *required* key has one there too
/// (xxlarge's) but is never filled in here.
#[derive(Debug, Clone, PartialEq)]
pub struct AlbertConfig {
    /// V: rows of the word table. Default 30000; required. In Google's and transformers' files.
    pub vocab_size: usize,
    /// E: width of the word, position and token-type tables and of their normalisation.
    /// Default 128; required. In both files.
    pub embedding_size: usize,
    /// H: width of the encoder. Default 4096; required. In both files.
    pub hidden_size: usize,
    /// L: how often a *group* is applied. Default 12; required. In both files.
    pub num_hidden_layers: usize,
    /// G: number of distinct groups of weights; layer i uses group ⌊i·G/L⌋. Default 1.
    /// In both files.
    pub num_hidden_groups: usize,
    /// A: attention heads of one block, each H/A wide. Default 64; required. In both files.
    /// The one shape that no tensor shows, so a wrong value goes unnoticed.
    pub num_attention_heads: usize,
    /// F: width of the feed-forward layer, 4·H in every published model. Default 16384; required.
    /// In both files.
    pub intermediate_size: usize,
    /// N: distinct blocks run one after the other in one application of a group. Default 1.
    /// In both files.
    pub inner_group_num: usize,
    /// Activation of the feed-forward layer and of the masked-language head. Default `gelu_new`.
    /// In both files, where `gelu` means two things: see [`ConfigDialect`].
    pub hidden_act: Activation,
    /// Dropout after the embeddings, the attention output and (Google only) the feed-forward
    /// output, while training. Default 0. In both files.
    pub hidden_dropout_prob: f64,
    /// Dropout of the attention probabilities, while training. Default 0. In both files.
    pub attention_probs_dropout_prob: f64,
    /// P: rows of the position table, the longest sequence. Default 512; required. In both files.
    pub max_position_embeddings: usize,
    /// U: rows of the token-type (segment) table. Default 2; required. In both files.
    pub type_vocab_size: usize,
    /// Standard deviation of freshly drawn weights. Default 0.02. In both files.
    pub initializer_range: f64,
    /// ε of every layer normalisation. Default 1e-12. In transformers' file; Google's code has the
    /// same number built in.
    pub layer_norm_eps: f64,
    /// Dropout in front of the sentence-order, sequence, multiple-choice and token classifiers.
    /// Default 0.1. `None` (JSON `null`) makes token classification use `hidden_dropout_prob`.
    /// In transformers' file; Google's code has 0.1 built in.
    pub classifier_dropout_prob: Option<f64>,
    /// How positions enter the model. Default absolute. In files of transformers 4, which dropped
    /// the other two forms in 5.0.
    pub position_embedding_type: PositionEmbeddingType,
    /// Id of the padding token; that row of the word table starts at zero and gets no gradient.
    /// Default 0. In transformers' file.
    pub pad_token_id: Option<i64>,
    /// Id of `[CLS]`. Default 2; the model never reads it. In transformers' file.
    pub bos_token_id: Option<i64>,
    /// Id of `[SEP]`. Default 3; the model never reads it. In transformers' file.
    pub eos_token_id: Option<i64>,
    /// Whether the masked-language head multiplies by the word table itself. Default true.
    /// In transformers' file; Google's code always does.
    pub tie_word_embeddings: bool,
    /// Names of the C classes, by index (`id2label`; `label2id` is derived).
    /// Default `LABEL_0`, `LABEL_1`. In transformers' file.
    pub id2label: Vec<String>,
    /// Which loss a sequence classifier uses; `None` is decided by the first batch of labels.
    /// Default none. In transformers' file.
    pub problem_type: Option<ProblemType>,
    /// Classes that the weights were saved from, as `AlbertForMaskedLM`. Default none.
    /// In transformers' file.
    pub architectures: Vec<String>,
    /// Removed heads per distinct block: block g·N + n, then head indices. Default none.
    /// In files of transformers 4.
    pub pruned_heads: BTreeMap<usize, Vec<usize>>,
    /// Whether a forward pass returns every layer's hidden state unasked. Default false.
    /// In transformers' file.
    pub output_hidden_states: bool,
    /// Whether a forward pass returns the attention probabilities unasked. Default false.
    /// In transformers' file.
    pub output_attentions: bool,
    /// Keys that nothing here interprets (`transformers_version`, `dtype`, Google's `gap_size`, a
    /// user's own), kept and written back.
    ///
    /// It also keeps the file's spelling of an interpreted key where [`AlbertConfig::to_json`]
    /// would spell the same value differently (`0` for `0.0`, a written-out default); the spelling
    /// is used for as long as it means the field's value.
    pub extra: Map<String, Value>,
}

impl AlbertConfig {
    /// C: the number of classes.
    pub fn num_labels(&self) -> usize {
        self.id2label.len()
    }

    /// Names the C classes in the order of their indices.
    pub fn set_labels<S: Into<String>>(&mut self, labels: impl IntoIterator<Item = S>) {
        self.id2label = labels.into_iter().map(Into::into).collect();
    }

    /// Sets C and names the classes `LABEL_0` … as transformers does; keeps the names where the
    /// count is unchanged.
    pub fn set_num_labels(&mut self, count: usize) {
        if count != self.num_labels() {
            self.id2label = default_labels(count);
        }
    }

    /// The index of the class with this name: the first, should two classes share it.
    pub fn label_id(&self, label: &str) -> Option<usize> {
        self.id2label.iter().position(|name| name == label)
    }

    /// D = H / A: the width of one head.
    ///
    /// # Panics
    /// Panics when `num_attention_heads` is 0, which [`AlbertConfig::validate`] refuses.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The group whose weights layer `layer` uses: ⌊layer·G/L⌋ in integers, which equals Google's
    /// and transformers' floating-point forms for every published model.
    ///
    /// # Panics
    /// Panics when `layer` is not below `num_hidden_layers`.
    pub fn group_of_layer(&self, layer: usize) -> usize {
        assert!(
            layer < self.num_hidden_layers,
            "layer {layer} of a model with {} layers",
            self.num_hidden_layers
        );
        layer * self.num_hidden_groups / self.num_hidden_layers
    }

    /// The number of trained values of a model of this class, a tied decoder counted once.
    ///
    /// A configuration that [`AlbertConfig::validate`] refuses for its size gives `u64::MAX`.
    pub fn parameter_count(&self, class: ModelClass) -> u64 {
        validate::parameter_count(self, class).unwrap_or(u64::MAX)
    }

    /// Reads a configuration from JSON text; `None` finds the dialect by the keys that are there.
    ///
    /// # Errors
    /// See [`ConfigError`]; the result has passed [`AlbertConfig::validate`].
    pub fn from_json(
        text: &str,
        dialect: Option<ConfigDialect>,
    ) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
        json::from_json(text, dialect, None)
    }

    /// Reads a configuration file; finds the dialect by its keys and its name.
    ///
    /// # Errors
    /// As [`AlbertConfig::from_json`], with the file's name in the message; also a file that cannot
    /// be read or is larger than [`MAX_CONFIG_BYTES`].
    pub fn from_file(path: &Path) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
        json::from_file(path)
    }

    /// Reads the configuration of a model's folder: transformers' `config.json`, else Google's `albert_config.json`, else the
    /// only file called `albert_config….json`.
    ///
    /// # Errors
    /// As [`AlbertConfig::from_file`]; a folder with none of these, or with several of the last.
    pub fn from_folder(folder: &Path) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
        json::from_file(&json::file_in(folder))
    }

    /// The configuration as a file of this dialect: sorted keys, two spaces, a newline at the end.
    ///
    /// Hugging Face's form is the one `transformers` writes: base-class fields only where they
    /// differ from their default, and `model_type`. Google's form has no place for labels, token
    /// ids, the classifier's dropout, architectures and output switches; they are left out.
    ///
    /// # Errors
    /// A configuration that [`AlbertConfig::validate`] refuses; in Google's form also one that
    /// computes something Google's code cannot (erf GELU, relative positions, another ε, …).
    pub fn to_json(&self, dialect: ConfigDialect) -> Result<String, ConfigError> {
        json::to_json(self, dialect)
    }

    /// Refuses what no model can have: zero or absurd sizes, H not divisible by A, more groups than
    /// layers, numbers out of range. Every message names the field, its value and the way out.
    ///
    /// # Errors
    /// The first fault found, as [`ConfigError::Field`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        validate::validate(self)
    }

    /// Compares the configuration with the shapes of a checkpoint's tensors, given by their Hugging
    /// Face names with or without `albert.` in front, and looks for combinations that are doubtful
    /// on their own. An empty result means that nothing speaks against the configuration.
    pub fn lint<'a>(&self, shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Vec<Lint> {
        lint::lint(self, shapes)
    }

    /// The published model that has this configuration ("ALBERT base v2"), or its size alone
    /// ("ALBERT base") where dropout and activation fit neither version.
    ///
    /// Google's xxlarge v1 and v2 files say the same; both are called v2, whose activation they
    /// have.
    pub fn family(&self) -> Option<&'static str> {
        presets::family(self)
    }
}

/// What transformers calls `count` classes without names.
pub(crate) fn default_labels(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("LABEL_{i}")).collect()
}
