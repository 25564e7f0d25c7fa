//! The parameters of a model, in the form in which a device keeps them.

use crate::names::Place;
use crate::ops::{Backend, Norm};

/// Weight [N, K] and bias `[N]`.
pub struct Linear<B: Backend> {
    /// [N, K]
    pub weight: B::Weight,
    /// `[N]`
    pub bias: B::Vector,
}

/// The three tables and the LayerNorm of width E.
pub struct Embeddings<B: Backend> {
    /// [V, E]; also the decoder of the MLM head.
    pub word: B::Weight,
    /// [P, E]
    pub position: B::Vector,
    /// [U, E]
    pub token_type: B::Vector,
    /// Over E.
    pub norm: Norm<B::Vector>,
}

/// One distinct block: attention and feed-forward layer.
pub struct Block<B: Backend> {
    /// A, after pruning.
    pub heads: usize,
    /// Query, key and value above one another: [3·A·D, H].
    pub qkv: Linear<B>,
    /// [H, A·D]
    pub output: Linear<B>,
    /// After the attention, over H.
    pub attention_norm: Norm<B::Vector>,
    /// Relative position table [2P−1, D].
    pub distance: Option<B::Vector>,
    /// [F, H]
    pub ffn: Linear<B>,
    /// [H, F]
    pub ffn_output: Linear<B>,
    /// After the feed-forward layer, over H.
    pub norm: Norm<B::Vector>,
}

/// Everything below the heads.
pub struct Encoder<B: Backend> {
    /// Tables of width E.
    pub embeddings: Embeddings<B>,
    /// [H, E]
    pub mapping: Linear<B>,
    /// Distinct blocks, group by group: index g·N + n.
    pub blocks: Vec<Block<B>>,
    /// [H, H], where the class has one.
    pub pooler: Option<Linear<B>>,
}

impl<B: Backend> Encoder<B> {
    /// The block at a place, of groups of `inner` blocks.
    pub fn block(&self, inner: usize, place: Place) -> &Block<B> {
        &self.blocks[place.group * inner + place.inner]
    }
}
