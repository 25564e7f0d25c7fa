//! The one table of tensors: where each stands in the model, its name in every program's checkpoints, and its shape.
//!
//! Checkpoints are read and written by walking this table; no other code knows a tensor's name. This file: places and
//! shapes; `table`: the names; `dialect`: from place to name and back, for each program.

use crate::config::{AlbertConfig, PositionEmbeddingType};

mod dialect;
mod table;

pub use dialect::Dialect;
pub(crate) use dialect::Places;
use table::{BLOCK_SITES, SITES};

/// A place in the model that holds a weight and perhaps a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// Word table [V, E].
    WordEmbeddings,
    /// Position table [P, E].
    PositionEmbeddings,
    /// Token type table [U, E].
    TokenTypeEmbeddings,
    /// LayerNorm of the embeddings `[E]`.
    EmbeddingNorm,
    /// Embeddings to encoder [H, E].
    Mapping,
    /// One tensor pair of a block.
    Block(BlockSite, Place),
    /// Pooler [H, H].
    Pooler,
    /// MLM head: transform [E, H].
    MlmDense,
    /// MLM head: LayerNorm `[E]`.
    MlmNorm,
    /// MLM head: output bias `[V]` without a weight.
    MlmBias,
    /// MLM head: decoder [V, E] and its bias `[V]`, usually tied.
    Decoder,
    /// Sentence-order head [C, H].
    SentenceOrder,
    /// Classifier [C, H] of sequence and token classification, [1, H] of multiple choice.
    Classifier,
    /// Question answering [2, H].
    QaOutputs,
    /// Joint question answering: starts [1, H].
    StartLogits,
    /// Joint question answering: token and start [H, 2H].
    EndDense,
    /// Joint question answering: LayerNorm `[H]`.
    EndNorm,
    /// Joint question answering: ends [1, H].
    EndLogits,
    /// Joint question answering: mean start and `[CLS]` [H, 2H].
    AnswerDense,
    /// Joint question answering: no answer [1, H], no bias.
    AnswerLogit,
}

/// A block by group and position inside the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// g in 0..G
    pub group: usize,
    /// n in 0..N
    pub inner: usize,
}

/// The parts of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockSite {
    /// [A·D, H]
    Query,
    /// [A·D, H]
    Key,
    /// [A·D, H]
    Value,
    /// [H, A·D]
    AttentionOutput,
    /// `[H]`
    AttentionNorm,
    /// Relative positions [2P−1, D], no bias.
    Distance,
    /// [F, H]
    Ffn,
    /// [H, F]
    FfnOutput,
    /// `[H]`
    LayerNorm,
}

/// Weight (γ of a norm, a table) or bias (β of a norm).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Matrix, table or γ.
    Weight,
    /// Bias or β.
    Bias,
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Where it stands.
    pub site: Site,
    /// Which of the two.
    pub field: Field,
    /// Hugging Face name; with the prefix `albert.` in every class but `AlbertModel`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

/// The heads a checkpoint may hold, by the module that gives them away, and the class that uses them.
pub const HEAD_MODULES: &[(&str, &str)] = &[
    ("predictions", "AlbertForMaskedLM (masked language model)"),
    ("sop_classifier", "AlbertForPreTraining (sentence order)"),
    (
        "classifier",
        "AlbertForSequenceClassification, AlbertForTokenClassification or AlbertForMultipleChoice",
    ),
    ("qa_outputs", "AlbertForQuestionAnswering"),
    ("start_logits", "AlbertForJointQuestionAnswering"),
    ("end_logits", "AlbertForJointQuestionAnswering"),
    ("answer_class", "AlbertForJointQuestionAnswering"),
    ("pooler", "pooler"),
];

/// What follows the name of an I8 matrix [N, K] in the name of its scales [N, 1] …
pub const SCALE: &str = "_scale";
/// … and, where a product is added to it, in those of its factors [N, R] …
pub const DELTA_LEFT: &str = "_delta_left";
/// … and [R, K].
pub const DELTA_RIGHT: &str = "_delta_right";

/// Prefix of the base model's tensors in every class with a head.
pub const BASE_PREFIX: &str = "albert.";

impl Site {
    /// Bits of the weight's elements in a quantised model. 8: the matrices of the blocks, the pooler, the masked-LM head and
    /// the word table. 16, in bfloat16: the mapping, which is applied once and from which everything follows. 32: norms,
    /// small tables and the last layers of tasks.
    pub fn quantized_bits(self) -> u32 {
        use BlockSite::{AttentionOutput, Ffn, FfnOutput, Key, Query, Value};
        match self {
            Site::WordEmbeddings | Site::Pooler | Site::MlmDense | Site::Decoder => 8,
            Site::Block(Query | Key | Value | AttentionOutput | Ffn | FfnOutput, _) => 8,
            Site::Mapping => 16,
            _ => 32,
        }
    }

    /// The site under which the inputs of this matrix are known: queries, keys and values see the same.
    pub fn input_site(self) -> Self {
        match self {
            Site::Block(BlockSite::Key | BlockSite::Value, place) => {
                Site::Block(BlockSite::Query, place)
            }
            site => site,
        }
    }

    /// Hugging Face name of a tensor, with the prefix of the base model.
    pub(crate) fn name(self, field: Field) -> String {
        let name = Dialect::Torch.name_of(self, field);
        name.map_or_else(String::new, |(name, _)| name)
    }

    /// The tensors at this site for this configuration; `labels` is C (or 1 for multiple choice).
    pub fn tensors(self, config: &AlbertConfig, labels: usize) -> Vec<Tensor> {
        let AlbertConfig {
            vocab_size: v,
            embedding_size: e,
            hidden_size: h,
            intermediate_size: i,
            ..
        } = *config;
        let (p, u) = (config.max_position_embeddings, config.type_vocab_size);
        let heads = match self {
            Site::Block(_, place) => heads_of(config, place) * config.head_size(),
            _ => 0,
        };
        // (weight shape, bias length)
        let (weight, bias): (Option<Vec<usize>>, Option<usize>) = match self {
            Site::WordEmbeddings => (Some(vec![v, e]), None),
            Site::PositionEmbeddings => (Some(vec![p, e]), None),
            Site::TokenTypeEmbeddings => (Some(vec![u, e]), None),
            Site::EmbeddingNorm | Site::MlmNorm => (Some(vec![e]), Some(e)),
            Site::Mapping => (Some(vec![h, e]), Some(h)),
            Site::Pooler => (Some(vec![h, h]), Some(h)),
            Site::MlmDense => (Some(vec![e, h]), Some(e)),
            Site::MlmBias => (None, Some(v)),
            Site::Decoder => (Some(vec![v, e]), Some(v)),
            Site::SentenceOrder | Site::Classifier => (Some(vec![labels, h]), Some(labels)),
            Site::QaOutputs => (Some(vec![2, h]), Some(2)),
            Site::StartLogits | Site::EndLogits => (Some(vec![1, h]), Some(1)),
            Site::EndDense | Site::AnswerDense => (Some(vec![h, 2 * h]), Some(h)),
            Site::EndNorm => (Some(vec![h]), Some(h)),
            Site::AnswerLogit => (Some(vec![1, h]), None),
            Site::Block(part, _) => match part {
                BlockSite::Query | BlockSite::Key | BlockSite::Value => {
                    (Some(vec![heads, h]), Some(heads))
                }
                BlockSite::AttentionOutput => (Some(vec![h, heads]), Some(h)),
                BlockSite::AttentionNorm | BlockSite::LayerNorm => (Some(vec![h]), Some(h)),
                BlockSite::Distance => (Some(vec![2 * p - 1, config.head_size()]), None),
                BlockSite::Ffn => (Some(vec![i, h]), Some(i)),
                BlockSite::FfnOutput => (Some(vec![h, i]), Some(h)),
            },
        };
        let weight = weight.map(|shape| (Field::Weight, shape));
        let bias = bias.map(|len| (Field::Bias, vec![len]));
        [weight, bias]
            .into_iter()
            .flatten()
            .map(|(field, shape)| Tensor {
                site: self,
                field,
                name: self.name(field),
                shape,
            })
            .collect()
    }
}

/// A of one distinct block: pruned heads are gone.
pub fn heads_of(config: &AlbertConfig, place: Place) -> usize {
    let block = place.group * config.inner_group_num + place.inner;
    config.num_attention_heads - config.pruned_heads.get(&block).map_or(0, Vec::len)
}

/// All distinct blocks in order.
pub fn places(config: &AlbertConfig) -> impl Iterator<Item = Place> {
    let (groups, inners) = (config.num_hidden_groups, config.inner_group_num);
    (0..groups).flat_map(move |group| (0..inners).map(move |inner| Place { group, inner }))
}

/// Sites of the base model without the pooler.
pub fn base_sites(config: &AlbertConfig) -> Vec<Site> {
    let relative = config.position_embedding_type != PositionEmbeddingType::Absolute;
    let base = SITES.iter().filter(|row| row.base).map(|row| row.site);
    let mut sites: Vec<Site> = base.filter(|site| *site != Site::Pooler).collect();
    for place in places(config) {
        let parts = BLOCK_SITES.iter().map(|row| row.part);
        sites.extend(
            parts
                .filter(|part| relative || *part != BlockSite::Distance)
                .map(|part| Site::Block(part, place)),
        );
    }
    sites
}

/// The pooler, and the sites of all heads.
pub fn head_sites() -> impl Iterator<Item = Site> {
    let own = |row: &&table::Row| !row.base || row.site == Site::Pooler;
    SITES.iter().filter(own).map(|row| row.site)
}
