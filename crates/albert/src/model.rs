//! The forward pass: embeddings, L applications of G shared groups, pooler.
//!
//! Read top to bottom in the order the data flow. Shapes: T packed tokens, E embedding, H hidden,
//! A heads of size D, F intermediate. Lan et al. 2019, §3.1; the block is post-LN as in BERT.

use albert_kernels::activation::Activation;

use crate::config::{AlbertConfig, PositionEmbeddingType};
use crate::inputs::{Inputs, Packed};
use crate::names::{BlockSite, Place};
use crate::ops::{AttentionInput, Backend, Embedding, Epilogue};
use crate::params::{Block, Encoder, Linear};

/// What to keep besides the last hidden state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The mapped embeddings and the output of every block.
    pub hidden_states: bool,
    /// The attention probabilities of every block.
    pub attentions: bool,
}

/// The encoder's results, still packed.
pub struct Encoded<B: Backend> {
    /// [T, H]
    pub hidden: B::Buffer,
    /// tanh(W·h₀ + b) [B, H], where the model has a pooler.
    pub pooled: Option<B::Buffer>,
    /// L·N + 1 times [T, H], when kept.
    pub hidden_states: Vec<B::Buffer>,
    /// L·N times [T, A·S], when kept.
    pub attentions: Vec<B::Buffer>,
}

/// x·Wᵀ + b
pub(crate) fn plain<B: Backend>(linear: &Linear<B>) -> Epilogue<'_, B> {
    Epilogue {
        bias: Some(&linear.bias),
        activation: Activation::Linear,
        residual: None,
        norm: None,
    }
}

/// Sees the input [T, K] of a block's matrix: `Query` stands for queries, keys and values.
pub type Watch<'a, B> = dyn FnMut(BlockSite, Place, &<B as Backend>::Buffer) + 'a;

/// Runs the encoder over a packed batch.
pub fn encode<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    encoder: &Encoder<B>,
    inputs: &Inputs,
    packed: &Packed,
    keep: Keep,
) -> Encoded<B> {
    encode_watched(
        device,
        config,
        encoder,
        inputs,
        packed,
        keep,
        &mut |_, _, _| {},
    )
}

/// As [`encode`], and shows `watch` what the matrices of the blocks are applied to.
pub(crate) fn encode_watched<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    encoder: &Encoder<B>,
    inputs: &Inputs,
    packed: &Packed,
    keep: Keep,
    watch: &mut Watch<'_, B>,
) -> Encoded<B> {
    let t = packed.rows.len();
    let mut encoded_states = Vec::new();
    let mut encoded_attentions = Vec::new();

    // x = LayerNorm(word + type + position) [T, E]
    let embeddings = &encoder.embeddings;
    let absolute = config.position_embedding_type == PositionEmbeddingType::Absolute;
    let x = device.embed(Embedding {
        words: packed
            .embeds
            .is_empty()
            .then_some((&embeddings.word, &packed.ids)),
        embeds: (!packed.embeds.is_empty()).then_some(&packed.embeds),
        types: (&embeddings.token_type, &packed.types),
        positions: absolute.then_some((&embeddings.position, &packed.position_ids)),
        norm: &embeddings.norm,
    });

    // h = x·W_inᵀ + b_in [T, H]: the factorised embedding
    let mut workspace = Workspace::new(device, config, encoder, t);
    device.linear(
        &x,
        &encoder.mapping.weight,
        plain(&encoder.mapping),
        &mut workspace.hidden,
    );
    drop(x);
    if keep.hidden_states {
        encoded_states.push(workspace.hidden.clone());
    }

    // Layer i runs the N blocks of group ⌊i·G/L⌋
    for layer in 0..config.num_hidden_layers {
        let group = config.group_of_layer(layer);
        for inner in 0..config.inner_group_num {
            let place = Place { group, inner };
            let block = encoder.block(config.inner_group_num, place);
            let head_mask = head_mask_row(config, inputs, group, inner);
            let mut probabilities = keep
                .attentions
                .then(|| device.buffer(t, block.heads * packed.layout.length));
            run_block(
                device,
                config,
                block,
                packed,
                head_mask,
                &mut workspace,
                probabilities.as_mut(),
                &mut |site, input| watch(site, place, input),
            );
            encoded_attentions.extend(probabilities);
            if keep.hidden_states {
                encoded_states.push(workspace.hidden.clone());
            }
        }
    }

    // pooled = tanh(W·h[position 0] + b) [B, H]
    let hidden = workspace.hidden;
    let pooled = encoder.pooler.as_ref().map(|pooler| {
        let first = device.gather_rows(&hidden, &packed.first_rows());
        let mut pooled = device.buffer(packed.layout.sequences.len(), config.hidden_size);
        device.linear(
            &first,
            &pooler.weight,
            Epilogue {
                activation: Activation::Tanh,
                ..plain(pooler)
            },
            &mut pooled,
        );
        pooled
    });
    Encoded {
        hidden,
        pooled,
        hidden_states: encoded_states,
        attentions: encoded_attentions,
    }
}

/// Buffers that all blocks reuse.
struct Workspace<B: Backend> {
    /// Input and output of a block [T, H].
    hidden: B::Buffer,
    /// After the attention [T, H].
    attended: B::Buffer,
    /// Queries, keys, values and context, one pair for each number of heads: [T, 3·A·D], [T, A·D].
    by_heads: Vec<(usize, B::Buffer, B::Buffer)>,
    /// [T, F]
    intermediate: B::Buffer,
}

impl<B: Backend> Workspace<B> {
    fn new(device: &B, config: &AlbertConfig, encoder: &Encoder<B>, t: usize) -> Self {
        let d = config.head_size();
        let mut by_heads: Vec<(usize, B::Buffer, B::Buffer)> = Vec::new();
        for block in &encoder.blocks {
            if by_heads.iter().all(|(heads, ..)| *heads != block.heads) {
                let width = block.heads * d;
                by_heads.push((
                    block.heads,
                    device.buffer(t, 3 * width),
                    device.buffer(t, width),
                ));
            }
        }
        Self {
            hidden: device.buffer(t, config.hidden_size),
            attended: device.buffer(t, config.hidden_size),
            by_heads,
            intermediate: device.buffer(t, config.intermediate_size),
        }
    }
}

/// One block in place: u = LayerNorm(h + W_o·attention(h)); h ← LayerNorm(u + W₂·act(W₁·u)).
#[expect(
    clippy::too_many_arguments,
    reason = "what a block reads and writes, each once"
)]
fn run_block<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    block: &Block<B>,
    packed: &Packed,
    head_mask: Option<&[f32]>,
    workspace: &mut Workspace<B>,
    probabilities: Option<&mut B::Buffer>,
    watch: &mut dyn FnMut(BlockSite, &B::Buffer),
) {
    let Workspace {
        hidden,
        attended,
        by_heads,
        intermediate,
    } = workspace;
    let (_, qkv, context) = by_heads
        .iter_mut()
        .find(|(heads, ..)| *heads == block.heads)
        .expect("a workspace for every block");
    let relative = block.distance.as_ref().map(|table| {
        let with_key = config.position_embedding_type == PositionEmbeddingType::RelativeKeyQuery;
        (table, config.max_position_embeddings, with_key)
    });
    let attention = AttentionInput {
        heads: block.heads,
        head_size: config.head_size(),
        layout: &packed.layout,
        relative,
        head_mask,
    };

    // [T, 3·A·D] → [T, A·D] → [T, H]
    watch(BlockSite::Query, hidden);
    device.linear(hidden, &block.qkv.weight, plain(&block.qkv), qkv);
    device.attention(qkv, attention, context, probabilities);
    let output = Epilogue {
        residual: Some(hidden),
        norm: Some(&block.attention_norm),
        ..plain(&block.output)
    };
    watch(BlockSite::AttentionOutput, context);
    device.linear(context, &block.output.weight, output, attended);

    // [T, F] → [T, H]
    let activation = Epilogue {
        activation: config.hidden_act.kernel(),
        ..plain(&block.ffn)
    };
    watch(BlockSite::Ffn, attended);
    device.linear(attended, &block.ffn.weight, activation, intermediate);
    let output = Epilogue {
        residual: Some(attended),
        norm: Some(&block.norm),
        ..plain(&block.ffn_output)
    };
    watch(BlockSite::FfnOutput, intermediate);
    device.linear(intermediate, &block.ffn_output.weight, output, hidden);
}

/// Row of the head mask for block n of group g: row g·(L/G) + n of [L, A], as transformers 4 slices it.
fn head_mask_row<'a>(
    config: &AlbertConfig,
    inputs: &'a Inputs,
    group: usize,
    inner: usize,
) -> Option<&'a [f32]> {
    let mask = inputs.head_mask.as_ref()?;
    let a = config.num_attention_heads;
    let row = if mask.len() == a {
        0
    } else {
        group * (config.num_hidden_layers / config.num_hidden_groups) + inner
    };
    Some(&mask[row * a..][..a])
}

impl crate::config::Activation {
    /// The kernel that computes this function.
    pub fn kernel(self) -> Activation {
        use crate::config::Activation as Named;
        match self.canonical() {
            Named::Gelu | Named::GeluPython => Activation::Gelu,
            Named::GeluNew
            | Named::GeluPytorchTanh
            | Named::GeluPythonTanh
            | Named::GeluAccurate
            | Named::GeluFast => Activation::GeluTanh,
            Named::QuickGelu => Activation::QuickGelu,
            Named::Gelu10 => Activation::Gelu10,
            Named::Relu => Activation::Relu,
            Named::Relu2 => Activation::Relu2,
            Named::Relu6 => Activation::Relu6,
            Named::LeakyRelu => Activation::LeakyRelu,
            Named::Silu | Named::Swish => Activation::Silu,
            Named::Tanh => Activation::Tanh,
            Named::Sigmoid => Activation::Sigmoid,
            Named::Linear => Activation::Linear,
            Named::Mish => Activation::Mish,
            Named::Hardswish => Activation::Hardswish,
            Named::Laplace => Activation::Laplace,
            Named::SqrtSoftplus => Activation::SqrtSoftplus,
        }
    }
}
