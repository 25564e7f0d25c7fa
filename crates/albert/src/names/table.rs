//! The rows of the table: each place in the model, what kind of tensors it holds, and what programs call it.

use super::{BlockSite, Site};

/// What stands at a place, which decides what programs call its two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The word table.
    Words,
    /// Another table.
    Table,
    /// γ and β.
    Norm,
    /// A matrix and a bias.
    Linear,
    /// A matrix and a bias that Google's code keeps as `output_weights` [out, in] and `output_bias`.
    Output,
    /// A matrix without a bias.
    Matrix,
    /// A bias without a matrix.
    Bias,
    /// The decoder: programs that multiply by the word table have no matrix of it.
    Decoder,
    /// Relative positions, which transformers 4 alone has.
    Distance,
}

/// A place outside the blocks.
pub(super) struct Row {
    pub(super) site: Site,
    /// Whether it belongs to the base model.
    pub(super) base: bool,
    pub(super) kind: Kind,
    /// Module in transformers' PyTorch classes, without `albert.`; its TensorFlow and Flax classes call it the same.
    pub(super) module: &'static str,
    /// Scope in Google's code.
    pub(super) google: &'static str,
    /// Whether transformers' TensorFlow and Flax classes have it.
    pub(super) everywhere: bool,
}

const fn row(site: Site, kind: Kind, module: &'static str, google: &'static str) -> Row {
    Row {
        site,
        base: false,
        kind,
        module,
        google,
        everywhere: true,
    }
}

/// A place of the base model.
const fn base(site: Site, kind: Kind, module: &'static str, google: &'static str) -> Row {
    Row {
        base: true,
        ..row(site, kind, module, google)
    }
}

/// A place of Google's head for SQuAD 2.0, which is ours and Google's alone.
const fn joint(site: Site, kind: Kind, module: &'static str, google: &'static str) -> Row {
    Row {
        everywhere: false,
        ..row(site, kind, module, google)
    }
}

/// In the order in which transformers' TensorFlow classes make their variables.
#[rustfmt::skip]
pub(super) const SITES: &[Row] = &[
    base(Site::WordEmbeddings, Kind::Words, "embeddings.word_embeddings", "bert/embeddings/word_embeddings"),
    base(Site::TokenTypeEmbeddings, Kind::Table, "embeddings.token_type_embeddings", "bert/embeddings/token_type_embeddings"),
    base(Site::PositionEmbeddings, Kind::Table, "embeddings.position_embeddings", "bert/embeddings/position_embeddings"),
    base(Site::EmbeddingNorm, Kind::Norm, "embeddings.LayerNorm", "bert/embeddings/LayerNorm"),
    base(Site::Mapping, Kind::Linear, "encoder.embedding_hidden_mapping_in", "bert/encoder/embedding_hidden_mapping_in"),
    base(Site::Pooler, Kind::Linear, "pooler", "bert/pooler/dense"),
    row(Site::MlmBias, Kind::Bias, "predictions", "cls/predictions"),
    row(Site::Decoder, Kind::Decoder, "predictions.decoder", ""),
    row(Site::MlmDense, Kind::Linear, "predictions.dense", "cls/predictions/transform/dense"),
    row(Site::MlmNorm, Kind::Norm, "predictions.LayerNorm", "cls/predictions/transform/LayerNorm"),
    row(Site::SentenceOrder, Kind::Output, "sop_classifier.classifier", "cls/seq_relationship"),
    row(Site::Classifier, Kind::Output, "classifier", ""),
    row(Site::QaOutputs, Kind::Output, "qa_outputs", "cls/squad"),
    joint(Site::StartLogits, Kind::Linear, "start_logits.dense", "start_logits/dense"),
    joint(Site::EndDense, Kind::Linear, "end_logits.dense_0", "end_logits/dense_0"),
    joint(Site::EndNorm, Kind::Norm, "end_logits.LayerNorm", "end_logits/LayerNorm"),
    joint(Site::EndLogits, Kind::Linear, "end_logits.dense_1", "end_logits/dense_1"),
    joint(Site::AnswerDense, Kind::Linear, "answer_class.dense_0", "answer_class/dense_0"),
    joint(Site::AnswerLogit, Kind::Matrix, "answer_class.dense_1", "answer_class/dense_1"),
];

/// A part of a block.
pub(super) struct BlockRow {
    pub(super) part: BlockSite,
    pub(super) kind: Kind,
    /// As in [`Row::module`], within the block.
    pub(super) module: &'static str,
    /// Scope in Google's code, within the block.
    pub(super) google: &'static str,
    /// Scope in the first networks of albert_zh, which are BERT's, within the layer.
    pub(super) zh: &'static str,
}

const fn part(
    part: BlockSite,
    kind: Kind,
    module: &'static str,
    google: &'static str,
    zh: &'static str,
) -> BlockRow {
    BlockRow {
        part,
        kind,
        module,
        google,
        zh,
    }
}

#[rustfmt::skip]
pub(super) const BLOCK_SITES: &[BlockRow] = &[
    part(BlockSite::Query, Kind::Linear, "attention.query", "attention_1/self/query", "attention/self/query"),
    part(BlockSite::Key, Kind::Linear, "attention.key", "attention_1/self/key", "attention/self/key"),
    part(BlockSite::Value, Kind::Linear, "attention.value", "attention_1/self/value", "attention/self/value"),
    part(BlockSite::AttentionOutput, Kind::Linear, "attention.dense", "attention_1/output/dense", "attention/output/dense"),
    part(BlockSite::AttentionNorm, Kind::Norm, "attention.LayerNorm", "LayerNorm", "attention/output/LayerNorm"),
    part(BlockSite::Distance, Kind::Distance, "attention.distance_embedding", "", ""),
    part(BlockSite::Ffn, Kind::Linear, "ffn", "ffn_1/intermediate/dense", "intermediate/dense"),
    part(BlockSite::FfnOutput, Kind::Linear, "ffn_output", "ffn_1/intermediate/output/dense", "output/dense"),
    part(BlockSite::LayerNorm, Kind::Norm, "full_layer_layer_norm", "LayerNorm_1", "output/LayerNorm"),
];
