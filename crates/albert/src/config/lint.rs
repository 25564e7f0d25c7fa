//! The configuration against what the tensors of a checkpoint say, and against the published models.

use std::fmt;

use super::presets::PRESETS;
use super::{Activation, AlbertConfig, ModelClass, PositionEmbeddingType};

/// How sure a [`Lint`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LintKind {
    /// A tensor has another shape than the configuration says: one of the two is wrong.
    Contradiction,
    /// The value is possible, but unlike every published model of this shape.
    Doubt,
}

/// One field that something speaks against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// How sure it is.
    pub kind: LintKind,
    /// The field of the configuration.
    pub field: &'static str,
    /// What the configuration says.
    pub value: String,
    /// What the tensors or the published model say.
    pub implied: String,
    /// What speaks against the value: a tensor and its shape, or a sentence.
    pub because: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lint {
            field,
            value,
            implied,
            because,
            ..
        } = self;
        match self.kind {
            LintKind::Contradiction => {
                write!(f, "`{field}` is {value}, but {because} says {implied}")
            }
            LintKind::Doubt => write!(f, "`{field}` is {value}, not {implied}: {because}"),
        }
    }
}

/// What one dimension of a tensor stands for.
#[derive(Clone, Copy, PartialEq)]
enum Dim {
    /// A size of the configuration.
    V,
    E,
    H,
    F,
    P,
    U,
    C,
    /// A·D less the pruned heads of this block.
    Heads,
    /// 2P − 1.
    Distances,
    /// D.
    Head,
}
use Dim::{C, Distances, E, F, H, Head, Heads, P, U, V};

/// Tensors outside the blocks, without `albert.`.
const TENSORS: &[(&str, &[Dim])] = &[
    ("embeddings.word_embeddings.weight", &[V, E]),
    ("embeddings.position_embeddings.weight", &[P, E]),
    ("embeddings.token_type_embeddings.weight", &[U, E]),
    ("embeddings.LayerNorm.weight", &[E]),
    ("embeddings.LayerNorm.bias", &[E]),
    ("encoder.embedding_hidden_mapping_in.weight", &[H, E]),
    ("encoder.embedding_hidden_mapping_in.bias", &[H]),
    ("pooler.weight", &[H, H]),
    ("pooler.bias", &[H]),
    ("predictions.bias", &[V]),
    ("predictions.decoder.weight", &[V, E]),
    ("predictions.decoder.bias", &[V]),
    ("predictions.dense.weight", &[E, H]),
    ("predictions.dense.bias", &[E]),
    ("predictions.LayerNorm.weight", &[E]),
    ("predictions.LayerNorm.bias", &[E]),
    ("sop_classifier.classifier.weight", &[C, H]),
    ("sop_classifier.classifier.bias", &[C]),
    ("classifier.weight", &[C, H]),
    ("classifier.bias", &[C]),
    ("qa_outputs.weight", &[C, H]),
    ("qa_outputs.bias", &[C]),
    ("end_logits.dense_0.bias", &[H]),
    ("end_logits.LayerNorm.weight", &[H]),
    ("answer_class.dense_0.bias", &[H]),
];

/// Tensors of a block, without `encoder.albert_layer_groups.{g}.albert_layers.{n}.`; the biases of
/// query, key and value say nothing that their matrices do not.
const BLOCK_TENSORS: &[(&str, &[Dim])] = &[
    ("attention.query.weight", &[Heads, H]),
    ("attention.key.weight", &[Heads, H]),
    ("attention.value.weight", &[Heads, H]),
    ("attention.dense.weight", &[H, Heads]),
    ("attention.dense.bias", &[H]),
    ("attention.LayerNorm.weight", &[H]),
    ("attention.LayerNorm.bias", &[H]),
    ("attention.distance_embedding.weight", &[Distances, Head]),
    ("ffn.weight", &[F, H]),
    ("ffn.bias", &[F]),
    ("ffn_output.weight", &[H, F]),
    ("ffn_output.bias", &[H]),
    ("full_layer_layer_norm.weight", &[H]),
    ("full_layer_layer_norm.bias", &[H]),
];

/// See [`AlbertConfig::lint`].
pub(super) fn lint<'a>(
    config: &AlbertConfig,
    shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>,
) -> Vec<Lint> {
    let mut lints = Lints(Vec::new());
    let mut groups = 0;
    let mut inner = 0;
    for (name, shape) in shapes {
        let bare = name.strip_prefix("albert.").unwrap_or(name);
        let (table, local, block) = match split_block(bare) {
            Some((group, layer, local)) => {
                groups = groups.max(group.saturating_add(1));
                inner = inner.max(layer.saturating_add(1));
                (
                    BLOCK_TENSORS,
                    local,
                    group
                        .saturating_mul(config.inner_group_num)
                        .saturating_add(layer),
                )
            }
            None => (TENSORS, bare, 0),
        };
        let Some((_, dims)) = table.iter().find(|(known, _)| *known == local) else {
            continue;
        };
        // A tensor of another rank is the loader's business, not the configuration's.
        if dims.len() == shape.len() {
            for (&dim, &size) in dims.iter().zip(shape) {
                compare(config, dim, size, block, name, shape, &mut lints);
            }
        }
    }
    let counts = [
        (
            "num_hidden_groups",
            config.num_hidden_groups,
            groups,
            "albert_layer_groups",
        ),
        (
            "inner_group_num",
            config.inner_group_num,
            inner,
            "albert_layers",
        ),
    ];
    for (field, value, found, component) in counts {
        if found > 0 && found != value {
            lints.contradiction(
                field,
                value,
                found,
                format!("the highest {component} index {}", found - 1),
            );
        }
    }
    doubts(config, &mut lints);
    lints.0
}

/// `encoder.albert_layer_groups.{g}.albert_layers.{n}.{local}` as (g, n, local).
fn split_block(name: &str) -> Option<(usize, usize, &str)> {
    let rest = name.strip_prefix("encoder.albert_layer_groups.")?;
    let (group, rest) = rest.split_once('.')?;
    let rest = rest.strip_prefix("albert_layers.")?;
    let (layer, local) = rest.split_once('.')?;
    Some((group.parse().ok()?, layer.parse().ok()?, local))
}

/// Nobody reads more, and a hostile checkpoint could have a hundred thousand.
const MAX_LINTS: usize = 100;

/// Findings, each said once however many tensors agree on it.
struct Lints(Vec<Lint>);

impl Lints {
    fn push(&mut self, lint: Lint) {
        let same = |old: &Lint| old.field == lint.field && old.implied == lint.implied;
        if self.0.len() < MAX_LINTS && !self.0.iter().any(same) {
            self.0.push(lint);
        }
    }

    fn contradiction(
        &mut self,
        field: &'static str,
        value: impl fmt::Display,
        implied: impl fmt::Display,
        because: String,
    ) {
        self.push(Lint {
            kind: LintKind::Contradiction,
            field,
            value: value.to_string(),
            implied: implied.to_string(),
            because,
        });
    }
}

/// One dimension against the field it stands for.
fn compare(
    config: &AlbertConfig,
    dim: Dim,
    size: usize,
    block: usize,
    name: &str,
    shape: &[usize],
    lints: &mut Lints,
) {
    let because = || format!("{name} {shape:?}");
    let (field, value) = match dim {
        V => ("vocab_size", config.vocab_size),
        E => ("embedding_size", config.embedding_size),
        H => ("hidden_size", config.hidden_size),
        F => ("intermediate_size", config.intermediate_size),
        P => ("max_position_embeddings", config.max_position_embeddings),
        U => ("type_vocab_size", config.type_vocab_size),
        C => {
            let choice = ModelClass::MultipleChoice.name();
            // One score per choice, whatever the number of classes.
            if size == 1 && config.architectures.iter().any(|class| class == choice) {
                return;
            }
            ("id2label", config.num_labels())
        }
        Heads => {
            // Only beside a right H do missing rows mean missing heads.
            if shape.contains(&config.hidden_size) {
                compare_heads(config, size, block, because(), lints);
            }
            return;
        }
        Distances => {
            if size.is_multiple_of(2) {
                return;
            }
            let implied = size / 2 + 1;
            if implied != config.max_position_embeddings {
                let value = config.max_position_embeddings;
                lints.contradiction("max_position_embeddings", value, implied, because());
            }
            if config.position_embedding_type == PositionEmbeddingType::Absolute {
                let (value, implied) = ("\"absolute\"", "a relative type");
                lints.contradiction("position_embedding_type", value, implied, because());
            }
            return;
        }
        Head => {
            if size > 0 && config.hidden_size.is_multiple_of(size) {
                let implied = config.hidden_size / size;
                if implied != config.num_attention_heads {
                    let value = config.num_attention_heads;
                    lints.contradiction("num_attention_heads", value, implied, because());
                }
            }
            return;
        }
    };
    if value != size {
        let (value, implied) = match dim {
            C => (classes(value), classes(size)),
            _ => (value.to_string(), size.to_string()),
        };
        lints.contradiction(field, value, implied, because());
    }
}

fn classes(count: usize) -> String {
    if count == 1 {
        String::from("1 class")
    } else {
        format!("{count} classes")
    }
}

/// The rows of query, key and value: H, less D for every pruned head.
fn compare_heads(
    config: &AlbertConfig,
    size: usize,
    block: usize,
    because: String,
    lints: &mut Lints,
) {
    let head_size = config
        .hidden_size
        .checked_div(config.num_attention_heads)
        .unwrap_or(0);
    let pruned = config.pruned_heads.get(&block).map_or(0, Vec::len);
    let expected = config
        .hidden_size
        .saturating_sub(pruned.saturating_mul(head_size));
    if size == expected {
        return;
    }
    // A whole number of heads fewer than H; anything else shows up as `hidden_size` elsewhere.
    let missing = config.hidden_size.saturating_sub(size);
    if size > 0 && size <= config.hidden_size && head_size > 0 && missing.is_multiple_of(head_size)
    {
        lints.contradiction(
            "pruned_heads",
            format!("{pruned} heads in block {block}"),
            format!("{} heads in block {block}", missing / head_size),
            because,
        );
    } else {
        lints.contradiction("hidden_size", config.hidden_size, size, because);
    }
}

/// Combinations that are possible but have always been mistakes.
fn doubts(config: &AlbertConfig, lints: &mut Lints) {
    let same_tensors = || {
        PRESETS
            .iter()
            .filter(|preset| preset.has_tensors_of(config))
    };
    let heads = config.num_attention_heads;
    // albert_zh's own xlarge has 32 heads.
    let zh_xlarge = config.vocab_size == 21_128 && config.hidden_size == 2048 && heads == 32;
    if !zh_xlarge
        && !same_tensors().any(|preset| preset.num_attention_heads == heads)
        && let Some(preset) = same_tensors().next()
    {
        lints.push(Lint {
            kind: LintKind::Doubt,
            field: "num_attention_heads",
            value: heads.to_string(),
            implied: preset.num_attention_heads.to_string(),
            because: format!(
                "every tensor has the shape of {}, and no tensor shows the number of heads; \
                 a wrong one gives wrong numbers without an error",
                preset.size
            ),
        });
    }
    let v2_with_erf = config.hidden_act.canonical() == Activation::Gelu
        && same_tensors().any(|preset| {
            preset.has_dropout_of(config) && preset.hidden_act == Activation::GeluNew
        })
        && !same_tensors()
            .any(|preset| preset.has_dropout_of(config) && preset.hidden_act == Activation::Gelu)
        && config.vocab_size == 30_000;
    if v2_with_erf {
        lints.push(Lint {
            kind: LintKind::Doubt,
            field: "hidden_act",
            value: format!("\"{}\"", config.hidden_act),
            implied: String::from("\"gelu_new\""),
            because: String::from(
                "shape and dropout are a v2 model's, which was trained with the tanh form \
                 (its first files on the hub said gelu by mistake)",
            ),
        });
    }
    for (field, id) in [
        ("bos_token_id", config.bos_token_id),
        ("eos_token_id", config.eos_token_id),
    ] {
        if let Some(id) = id
            && !usize::try_from(id).is_ok_and(|id| id < config.vocab_size)
        {
            lints.push(Lint {
                kind: LintKind::Doubt,
                field,
                value: id.to_string(),
                implied: format!("an id below {}", config.vocab_size),
                because: String::from(
                    "it is outside the vocabulary; the model itself never reads it",
                ),
            });
        }
    }
}
