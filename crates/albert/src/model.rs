//! The forward pass: embeddings, L applications of G shared groups, pooler.
//!
//! Read top to bottom in the order the data flow. Shapes: T packed tokens, E embedding, H hidden,
//! A heads of size D, F intermediate. Lan et al. 2019, §3.1; the block is post-LN as in BERT.

use albert_kernels::activation::Activation;

use crate::config::{AlbertConfig, PositionEmbeddingType};
use crate::dropout::{DropSite, DropoutPlan, Dropped};
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

/// The packed rows that the last hidden state has: all T, or R of them. The others end at the last attention, which needs
/// their keys and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Ascending, at least one; none: all.
    some: Option<Vec<u32>>,
    /// R or T.
    count: usize,
}

impl Reads {
    /// These packed rows, in any order, and those that the pooler reads; none: all.
    fn new(rows: Option<Vec<u32>>, pooler: bool, packed: &Packed) -> Self {
        let all = packed.rows.len();
        let some = rows.map(|mut rows| {
            if pooler {
                rows.extend(packed.first_rows());
            }
            rows.sort_unstable();
            rows.dedup();
            rows
        });
        let some = some.filter(|rows| (1..all).contains(&rows.len()));
        let count = some.as_ref().map_or(all, Vec::len);
        Self { some, count }
    }

    /// The rows, ascending, where it is not all of them.
    pub fn some(&self) -> Option<&[u32]> {
        self.some.as_deref()
    }

    /// R or T.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where a packed row is in the last hidden state, if it is there.
    pub fn place(&self, row: u32) -> Option<u32> {
        match self.some() {
            None => Some(row),
            Some(rows) => rows.binary_search(&row).ok().map(|place| place as u32),
        }
    }

    /// As [`Self::place`], of rows that are there.
    pub(crate) fn places(&self, rows: &[u32]) -> Vec<u32> {
        let place = |&row: &u32| self.place(row).expect("a row that is read");
        rows.iter().map(place).collect()
    }
}

/// The encoder's results, still packed.
pub struct Encoded<B: Backend> {
    /// The rows of the last hidden state …
    pub reads: Reads,
    /// … that are in it: [T, H], or [R, H].
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
        dropout: None,
        residual: None,
        norm: None,
        kept: None,
    }
}

/// Sees the input [T, K] of a block's matrix: `Query` stands for queries, keys and values. Where not all rows are read, the
/// last block shows only those behind its attention.
pub type Watch<'a, B> = dyn FnMut(BlockSite, Place, &<B as Backend>::Buffer) + 'a;

/// Runs the encoder over a packed batch. `reads`: the packed rows of the last hidden state that somebody reads, beside the
/// pooler; none: all, as where hidden states are kept.
pub(crate) fn encode<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    encoder: &Encoder<B>,
    inputs: &Inputs,
    packed: &Packed,
    reads: Option<Vec<u32>>,
    keep: Keep,
) -> Encoded<B> {
    encode_watched(
        device,
        config,
        encoder,
        inputs,
        packed,
        reads,
        keep,
        &mut |_, _, _| {},
        None,
    )
}

/// What training adds to a forward pass.
pub(crate) struct Taping<'a, B: Backend> {
    /// What is dropped.
    pub(crate) dropout: Option<&'a DropoutPlan>,
    /// Keep only the input of each block, and compute the rest anew for its gradient.
    pub(crate) checkpointing: bool,
    /// What the gradients will need.
    pub(crate) tape: &'a mut Tape<B>,
}

/// What the gradients of a forward pass need, still packed.
pub(crate) struct Tape<B: Backend> {
    /// Before the norm of the embeddings, and after it (and dropout) [T, E].
    pub(crate) embeddings: Option<(B::Buffer, B::Buffer)>,
    /// Of each application of a block, L·N.
    pub(crate) blocks: Vec<BlockTape<B>>,
    /// What the pooler reads, and its sums before tanh [B, H].
    pub(crate) pooler: Option<(B::Buffer, B::Buffer)>,
}

/// What the gradient of a block's application needs.
pub(crate) struct BlockTape<B: Backend> {
    /// [T, H]
    pub(crate) input: B::Buffer,
    /// The rest, unless it is computed anew.
    pub(crate) inner: Option<BlockInner<B>>,
}

/// What happens inside of a block. Of the last one, all but `qkv` has R rows instead of T.
pub(crate) struct BlockInner<B: Backend> {
    /// [T, 3·A·D]
    pub(crate) qkv: B::Buffer,
    /// [T, A·D]
    pub(crate) context: B::Buffer,
    /// After the attention: what its norm reads and what it gives [T, H].
    pub(crate) attention_sum: B::Buffer,
    pub(crate) attended: B::Buffer,
    /// What the activation reads [T, F].
    pub(crate) ffn_sum: B::Buffer,
    /// What the last norm reads [T, H].
    pub(crate) sum: B::Buffer,
}

/// As [`encode`], and shows `watch` what the matrices of the blocks are applied to.
#[expect(
    clippy::too_many_arguments,
    reason = "those of the forward pass, who watches it, and what training keeps"
)]
pub(crate) fn encode_watched<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    encoder: &Encoder<B>,
    inputs: &Inputs,
    packed: &Packed,
    reads: Option<Vec<u32>>,
    keep: Keep,
    watch: &mut Watch<'_, B>,
    mut training: Option<Taping<'_, B>>,
) -> Encoded<B> {
    let t = packed.rows.len();
    let applications = config.num_hidden_layers * config.inner_group_num;
    let reads = reads.filter(|_| !keep.hidden_states);
    let reads = Reads::new(reads, encoder.pooler.is_some(), packed);
    let dropout = training.as_ref().and_then(|training| training.dropout);
    let mut encoded_states = Vec::new();
    let mut encoded_attentions = Vec::new();

    // x = LayerNorm(word + type + position) [T, E]
    let embeddings = &encoder.embeddings;
    let dropped = dropout.and_then(|plan| plan.rows(DropSite::Embeddings, packed, None));
    let mut kept = training
        .is_some()
        .then(|| device.buffer(t, config.embedding_size));
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
        dropout: dropped.as_ref().map(Dropped::get),
        kept: kept.as_mut(),
    });

    // h = x·W_inᵀ + b_in [T, H]: the factorised embedding
    let mut workspace = Workspace::new(device, config, encoder, t);
    device.linear(
        &x,
        &encoder.mapping.weight,
        plain(&encoder.mapping),
        &mut workspace.hidden,
    );
    if let Some(training) = &mut training {
        training.tape.embeddings = kept.map(|sum| (sum, x));
    }
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
            let application = layer * config.inner_group_num + inner;
            let last = application + 1 == applications;
            let wanted = reads.some().filter(|_| last);
            let dropped = BlockDropped::new(dropout, application, packed, wanted);
            let mut step = Step {
                device,
                config,
                block,
                packed,
                wanted,
                head_mask,
                dropped: &dropped,
                probabilities: probabilities.as_mut(),
                watch: &mut |site, input| watch(site, place, input),
            };
            match &mut training {
                None => step.run(&mut workspace, None),
                Some(training) => {
                    let input = workspace.hidden.clone();
                    let inner = if training.checkpointing {
                        step.run(&mut workspace, None);
                        None
                    } else {
                        Some(step.run_taped(&mut workspace))
                    };
                    training.tape.blocks.push(BlockTape { input, inner });
                }
            }
            encoded_attentions.extend(probabilities);
            if keep.hidden_states {
                encoded_states.push(workspace.hidden.clone());
            }
        }
    }

    // pooled = tanh(W·h[position 0] + b) [B, H]
    let hidden = workspace.hidden;
    let pooled = encoder.pooler.as_ref().map(|pooler| {
        let first = device.gather_rows(&hidden, &reads.places(&packed.first_rows()));
        let mut pooled = device.buffer(packed.layout.sequences.len(), config.hidden_size);
        let mut kept = training
            .is_some()
            .then(|| device.buffer(packed.layout.sequences.len(), config.hidden_size));
        device.linear(
            &first,
            &pooler.weight,
            Epilogue {
                activation: Activation::Tanh,
                kept: kept.as_mut(),
                ..plain(pooler)
            },
            &mut pooled,
        );
        if let Some(training) = &mut training {
            training.tape.pooler = kept.map(|sum| (first, sum));
        }
        pooled
    });
    Encoded {
        reads,
        hidden,
        pooled,
        hidden_states: encoded_states,
        attentions: encoded_attentions,
    }
}

/// Buffers that all blocks reuse.
pub(crate) struct Workspace<B: Backend> {
    /// Input and output of a block [T, H].
    pub(crate) hidden: B::Buffer,
    /// After the attention [T, H].
    attended: B::Buffer,
    /// Queries, keys, values and context, one pair for each number of heads: [T, 3·A·D], [T, A·D].
    by_heads: Vec<(usize, B::Buffer, B::Buffer)>,
    /// [T, F]
    intermediate: B::Buffer,
}

impl<B: Backend> Workspace<B> {
    pub(crate) fn new(device: &B, config: &AlbertConfig, encoder: &Encoder<B>, t: usize) -> Self {
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

/// What a block drops.
pub(crate) struct BlockDropped {
    pub(crate) probabilities: Option<Dropped>,
    pub(crate) attention_output: Option<Dropped>,
    pub(crate) ffn_output: Option<Dropped>,
}

impl BlockDropped {
    /// Of the packed rows; behind the attention, of those that are `wanted`.
    pub(crate) fn new(
        plan: Option<&DropoutPlan>,
        application: usize,
        packed: &Packed,
        wanted: Option<&[u32]>,
    ) -> Self {
        let rows = |site, some| plan.and_then(|plan| plan.rows(site, packed, some));
        Self {
            probabilities: rows(DropSite::Probabilities(application), None),
            attention_output: rows(DropSite::AttentionOutput(application), wanted),
            ffn_output: rows(DropSite::FfnOutput(application), wanted),
        }
    }
}

/// What the attention of a block needs besides its operands.
pub(crate) fn attention_input<'a, B: Backend>(
    config: &AlbertConfig,
    block: &'a Block<B>,
    packed: &'a Packed,
    head_mask: Option<&'a [f32]>,
    dropped: Option<&'a Dropped>,
) -> AttentionInput<'a, B> {
    let relative = block.distance.as_ref().map(|table| {
        let with_key = config.position_embedding_type == PositionEmbeddingType::RelativeKeyQuery;
        (table, config.max_position_embeddings, with_key)
    });
    AttentionInput {
        heads: block.heads,
        head_size: config.head_size(),
        layout: &packed.layout,
        relative,
        head_mask,
        dropout: dropped.map(Dropped::get),
    }
}

/// One application of a block.
pub(crate) struct Step<'a, B: Backend> {
    pub(crate) device: &'a B,
    pub(crate) config: &'a AlbertConfig,
    pub(crate) block: &'a Block<B>,
    pub(crate) packed: &'a Packed,
    /// Rows that go on after the attention; none: all.
    pub(crate) wanted: Option<&'a [u32]>,
    pub(crate) head_mask: Option<&'a [f32]>,
    pub(crate) dropped: &'a BlockDropped,
    pub(crate) probabilities: Option<&'a mut B::Buffer>,
    pub(crate) watch: &'a mut dyn FnMut(BlockSite, &B::Buffer),
}

impl<B: Backend> Step<'_, B> {
    /// In place: u = LayerNorm(h + W_o·attention(h)); h ← LayerNorm(u + W₂·act(W₁·u)). `kept` receives what the two norms
    /// and the activation read. Where rows are `wanted`, the workspace has these alone afterwards.
    pub(crate) fn run(&mut self, workspace: &mut Workspace<B>, kept: Option<[&mut B::Buffer; 3]>) {
        let Self {
            device,
            config,
            block,
            packed,
            wanted,
            head_mask,
            dropped,
            probabilities,
            watch,
        } = self;
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
        let [attention_sum, ffn_sum, sum] = kept.map_or([None, None, None], |kept| kept.map(Some));

        // [T, 3·A·D] → [T, A·D] → [T, H]
        watch(BlockSite::Query, hidden);
        device.linear(hidden, &block.qkv.weight, plain(&block.qkv), qkv);
        let attention = attention_input(
            config,
            block,
            packed,
            *head_mask,
            dropped.probabilities.as_ref(),
        );
        device.attention(qkv, attention, context, probabilities.as_deref_mut());
        if let Some(rows) = *wanted {
            *context = device.gather_rows(context, rows);
            *hidden = device.gather_rows(hidden, rows);
            *attended = device.buffer(rows.len(), config.hidden_size);
            *intermediate = device.buffer(rows.len(), config.intermediate_size);
        }
        let output = Epilogue {
            dropout: dropped.attention_output.as_ref().map(Dropped::get),
            residual: Some(hidden),
            norm: Some(&block.attention_norm),
            kept: attention_sum,
            ..plain(&block.output)
        };
        watch(BlockSite::AttentionOutput, context);
        device.linear(context, &block.output.weight, output, attended);

        // [T, F] → [T, H]
        let activation = Epilogue {
            activation: config.hidden_act.kernel(),
            kept: ffn_sum,
            ..plain(&block.ffn)
        };
        watch(BlockSite::Ffn, attended);
        device.linear(attended, &block.ffn.weight, activation, intermediate);
        let output = Epilogue {
            dropout: dropped.ffn_output.as_ref().map(Dropped::get),
            residual: Some(attended),
            norm: Some(&block.norm),
            kept: sum,
            ..plain(&block.ffn_output)
        };
        watch(BlockSite::FfnOutput, intermediate);
        device.linear(intermediate, &block.ffn_output.weight, output, hidden);
    }

    /// As [`Step::run`]; gives away what the gradient needs.
    pub(crate) fn run_taped(&mut self, workspace: &mut Workspace<B>) -> BlockInner<B> {
        let (device, config, t) = (self.device, self.config, self.packed.rows.len());
        let (h, width) = (config.hidden_size, self.block.heads * config.head_size());
        let r = self.wanted.map_or(t, <[u32]>::len);
        let mut attention_sum = device.buffer(r, h);
        let mut ffn_sum = device.buffer(r, config.intermediate_size);
        let mut sum = device.buffer(r, h);
        self.run(
            workspace,
            Some([&mut attention_sum, &mut ffn_sum, &mut sum]),
        );
        let (_, qkv, context) = workspace
            .by_heads
            .iter_mut()
            .find(|(heads, ..)| *heads == self.block.heads)
            .expect("a workspace for every block");
        BlockInner {
            qkv: std::mem::replace(qkv, device.buffer(t, 3 * width)),
            context: std::mem::replace(context, device.buffer(t, width)),
            attention_sum,
            attended: std::mem::replace(&mut workspace.attended, device.buffer(t, h)),
            ffn_sum,
            sum,
        }
    }
}

/// Row of the head mask for block n of group g: row g·(L/G) + n of [L, A], as transformers 4 slices it.
pub(crate) fn head_mask_row<'a>(
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
