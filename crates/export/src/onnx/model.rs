//! The forward pass as nodes: embeddings, L applications of G shared groups, pooler. It mirrors `albert::model`, with the
//! batch padded where that packs it.
//!
//! Shapes: B batch, S length, T = B·S tokens, E embedding, H hidden, A heads of size D, F intermediate. The tokens of all
//! sequences are rows of one matrix [T, …] everywhere but in the attention, so that weights keep their layout [N, K].

use albert::PositionEmbeddingType;
use albert::names::{BlockSite, Field, Place, Site, heads_of};

use super::Form;
use super::builder::Builder;
use super::graph::{Attribute, Axis, Value};
use super::proto::DataType;

/// Names of the axes that vary.
pub(super) const BATCH: Axis = Axis::Named("batch_size");
pub(super) const CHOICES: Axis = Axis::Named("num_choices");
pub(super) const LENGTH: Axis = Axis::Named("sequence_length");

/// What is given, as the encoder reads it.
pub(super) struct Batch {
    /// [B, S]
    pub(super) ids: Value,
    /// [B, S]
    pub(super) types: Value,
    /// Of [`Form::TensorFlow`] [B, S].
    positions: Option<Value>,
    /// Which tokens are keys, as truth values [B, S] …
    pub(super) keep: Value,
    /// … and as it was given.
    mask: Value,
    /// B and S `[2]`.
    pub(super) shape: Value,
    /// The shape of the inputs: `shape`, or B, K and S.
    pub(super) outer: Value,
}

/// The encoder's results.
pub(super) struct Encoded {
    pub(super) batch: Batch,
    /// [T, H]
    pub(super) hidden: Value,
    /// [B, H], where there is a pooler.
    pub(super) pooled: Option<Value>,
    /// Rows of the word table [B, S, E].
    pub(super) words: Value,
    /// The mapped embeddings, then the output of each application of a group [T, H].
    pub(super) states: Vec<Value>,
    /// Softmax weights of each block [B, A, S, S].
    pub(super) attentions: Vec<Value>,
}

impl Batch {
    /// Declares the inputs; `choices`: [B, K, S], which become [B·K, S].
    pub(super) fn new(b: &mut Builder<'_>, choices: bool) -> Self {
        let graph = &mut b.graph;
        let axes: &[Axis] = if choices {
            &[BATCH, CHOICES, LENGTH]
        } else {
            &[BATCH, LENGTH]
        };
        let mask_kind = match b.form {
            Form::Torch => DataType::Int64,
            Form::TensorFlow => DataType::Float,
        };
        let mut ids = graph.input("input_ids", DataType::Int64, axes);
        let mut mask = graph.input("attention_mask", mask_kind, axes);
        let mut types = graph.input("token_type_ids", DataType::Int64, axes);
        let mut positions = (b.form == Form::TensorFlow)
            .then(|| graph.input("position_ids", DataType::Int64, axes));
        graph.enter("inputs");
        let outer = graph.op("Shape", "outer_shape", [&ids], &[]);
        let mut shape = outer.clone();
        if choices {
            let [two, three, all] = [[2], [3], [-1]].map(|x| graph.int64s(&x));
            let length = graph.op("Slice", "length", [&outer, &two, &three], &[]);
            let axis = [Attribute::Int("axis", 0)];
            let rows = graph.op("Concat", "rows", [&all, &length], &axis);
            for x in [&mut ids, &mut mask, &mut types]
                .into_iter()
                .chain(&mut positions)
            {
                *x = graph.op("Reshape", "rows_of_choices", [x, &rows], &[]);
            }
            shape = graph.op("Shape", "shape", [&ids], &[]);
        }
        let to = [Attribute::Int("to", DataType::Bool as i64)];
        let keep = graph.op("Cast", "keep", [&mask], &to);
        Self {
            ids,
            types,
            positions,
            keep,
            mask,
            shape,
            outer,
        }
    }

    /// x [T, C] as [B, S, C].
    pub(super) fn per_token(&self, b: &mut Builder<'_>, x: &Value, width: usize) -> Value {
        let shape = self.with(b, &[width]);
        b.graph.op("Reshape", "per_token", [x, &shape], &[])
    }

    /// B, S and more lengths.
    fn with(&self, b: &mut Builder<'_>, more: &[usize]) -> Value {
        let more: Vec<i64> = more.iter().map(|&n| n as i64).collect();
        let [shape] = b.graph.once(format!("shape and {more:?}"), |graph| {
            let more = graph.int64s(&more);
            let axis = [Attribute::Int("axis", 0)];
            [graph.op("Concat", "shape", [&self.shape, &more], &axis)]
        });
        shape
    }

    /// 0, 1, … S−1
    pub(super) fn positions(&self, b: &mut Builder<'_>) -> Value {
        let [positions] = b.graph.once("positions".to_owned(), |graph| {
            let [zero, one] = [0, 1].map(|x| graph.int64(x));
            let length = graph.op("Gather", "length", [&self.shape, &one], &[]);
            [graph.op("Range", "positions", [&zero, &length, &one], &[])]
        });
        positions
    }
}

/// Rows of a matrix: −1 and the width.
fn flat(b: &mut Builder<'_>, x: &Value, width: usize) -> Value {
    let shape = b.graph.int64s(&[-1, width as i64]);
    b.graph.op("Reshape", "rows", [x, &shape], &[])
}

/// Embeddings, mapping, layers, pooler.
pub(super) fn encode(b: &mut Builder<'_>, batch: Batch, pooler: bool) -> Encoded {
    let config = b.config;
    b.graph.enter("embeddings");
    let (x, words) = embed(b, &batch);

    // h = x·W_inᵀ + b_in [T, H]: the factorised embedding
    let mut hidden = b.linear("mapping", &x, Site::Mapping);

    // [B, 1, 1, S]
    b.graph.enter("mask");
    let mask = added_mask(b, &batch);
    let axes = b.graph.int64s(&[1, 2]);
    let mask = b.graph.op("Unsqueeze", "mask", [&mask, &axes], &[]);

    // Layer i runs the N blocks of group ⌊i·G/L⌋
    let (mut states, mut attentions) = (vec![hidden.clone()], Vec::new());
    for layer in 0..config.num_hidden_layers {
        let group = config.group_of_layer(layer);
        for inner in 0..config.inner_group_num {
            b.graph.enter(if config.inner_group_num == 1 {
                format!("layer.{layer}")
            } else {
                format!("layer.{layer}.{inner}")
            });
            let step = Step {
                batch: &batch,
                mask: &mask,
                place: Place { group, inner },
            };
            let probabilities;
            (hidden, probabilities) = step.run(b, &hidden);
            attentions.push(probabilities);
        }
        states.push(hidden.clone());
    }

    // tanh(W·h[position 0] + b) [B, H]
    b.graph.enter("pooler");
    let pooled = pooler.then(|| {
        let hidden = batch.per_token(b, &hidden, config.hidden_size);
        let zero = b.graph.int64(0);
        let axis = [Attribute::Int("axis", 1)];
        let first = b.graph.op("Gather", "first", [&hidden, &zero], &axis);
        let pooled = b.linear("pooler", &first, Site::Pooler);
        b.graph.op("Tanh", "pooled", [&pooled], &[])
    });
    Encoded {
        batch,
        hidden,
        pooled,
        words,
        states,
        attentions,
    }
}

/// What is added to the scores of a key [B, S]: 0, or where the mask hides it so little that every other key outweighs it.
fn added_mask(b: &mut Builder<'_>, batch: &Batch) -> Value {
    let graph = &mut b.graph;
    match b.form {
        // Alone with its like, all weigh the same.
        Form::Torch => {
            let (zero, lowest) = (graph.float(0.0), graph.float(f32::MIN.into()));
            graph.op("Where", "mask", [&batch.keep, &zero, &lowest], &[])
        }
        // Alone with its like, they weigh as without a mask.
        Form::TensorFlow => {
            let (one, low) = (graph.float(1.0), graph.float(-10000.0));
            let hidden = graph.op("Sub", "hidden", [&one, &batch.mask], &[]);
            graph.op("Mul", "mask", [&hidden, &low], &[])
        }
    }
}

/// LayerNorm(word + type + position) [T, E], and the words' part.
fn embed(b: &mut Builder<'_>, batch: &Batch) -> (Value, Value) {
    let words = b.rows("words", Site::WordEmbeddings, &batch.ids);
    let types = b.rows("types", Site::TokenTypeEmbeddings, &batch.types);
    let mut sum = b.graph.op("Add", "sum", [&words, &types], &[]);
    if let Some(positions) = &batch.positions {
        let positions = b.rows("positions", Site::PositionEmbeddings, positions);
        sum = b.graph.op("Add", "sum", [&sum, &positions], &[]);
    } else if b.config.position_embedding_type == PositionEmbeddingType::Absolute {
        // The first S rows. Of a sequence that is too long runtimes refuse this sum, and give its name.
        let limit = format!("at_most_{}_tokens", b.config.max_position_embeddings);
        let table = b.tensor(Site::PositionEmbeddings, Field::Weight);
        let graph = &mut b.graph;
        let [zero, one, two] = [[0], [1], [2]].map(|x| graph.int64s(&x));
        let length = graph.op("Slice", "length", [&batch.shape, &one, &two], &[]);
        let positions = graph.op("Slice", "positions", [&table, &zero, &length], &[]);
        sum = graph.op("Add", &limit, [&sum, &positions], &[]);
    }
    let x = b.norm("norm", &sum, Site::EmbeddingNorm);
    (flat(b, &x, b.config.embedding_size), words)
}

/// One application of a block.
struct Step<'s> {
    batch: &'s Batch,
    /// [B, 1, 1, S]
    mask: &'s Value,
    place: Place,
}

impl Step<'_> {
    fn site(&self, part: BlockSite) -> Site {
        Site::Block(part, self.place)
    }

    /// u = LayerNorm(h + W_o·attention(h)); LayerNorm(u + W₂·act(W₁·u)) [T, H]; and the weights of the attention.
    fn run(&self, b: &mut Builder<'_>, hidden: &Value) -> (Value, Value) {
        let (context, probabilities) = self.attention(b, hidden);
        let output = self.site(BlockSite::AttentionOutput);
        let sum = b.linear("attention_output", &context, output);
        let sum = b.graph.op("Add", "attention_sum", [&sum, hidden], &[]);
        let norm = self.site(BlockSite::AttentionNorm);
        let attended = b.norm("attention_norm", &sum, norm);

        // [T, F] → [T, H]
        let ffn = b.linear("ffn", &attended, self.site(BlockSite::Ffn));
        let activated = b.activate(&ffn);
        let sum = b.linear("ffn_output", &activated, self.site(BlockSite::FfnOutput));
        let sum = b.graph.op("Add", "sum", [&sum, &attended], &[]);
        let output = b.norm("norm", &sum, self.site(BlockSite::LayerNorm));
        (output, probabilities)
    }

    /// softmax(q·kᵀ/√D + mask)·v of every head: [T, H] → [T, A·D]; and the softmax [B, A, S, S].
    fn attention(&self, b: &mut Builder<'_>, hidden: &Value) -> (Value, Value) {
        let (heads, d) = (heads_of(b.config, self.place), b.config.head_size());
        let by_heads = self.batch.with(b, &[heads, d]);
        let mut project = |label: &str, part: BlockSite, order: &'static [i64]| {
            let x = b.linear(label, hidden, self.site(part));
            let x = b.graph.op("Reshape", label, [&x, &by_heads], &[]);
            b.graph
                .op("Transpose", label, [&x], &[Attribute::Ints("perm", order)])
        };
        // [B, A, S, D], the keys [B, A, D, S]
        let query = project("query", BlockSite::Query, &[0, 2, 1, 3]);
        let key = project("key", BlockSite::Key, &[0, 2, 3, 1]);
        let value = project("value", BlockSite::Value, &[0, 2, 1, 3]);

        // [B, A, S, S]
        let scores = b.graph.op("MatMul", "scores", [&query, &key], &[]);
        let scale = b.graph.float(1.0 / (d as f64).sqrt());
        let mut scores = b.graph.op("Mul", "scores", [&scores, &scale], &[]);
        if b.config.position_embedding_type != PositionEmbeddingType::Absolute {
            scores = self.relative(b, &scores, &query, &key);
        }
        let scores = b.graph.op("Add", "scores", [&scores, self.mask], &[]);
        let axis = [Attribute::Int("axis", -1)];
        let probabilities = b.graph.op("Softmax", "probabilities", [&scores], &axis);

        let context = b
            .graph
            .op("MatMul", "context", [&probabilities, &value], &[]);
        let order = [Attribute::Ints("perm", &[0, 2, 1, 3])];
        let context = b.graph.op("Transpose", "context", [&context], &order);
        (flat(b, &context, heads * d), probabilities)
    }

    /// The scores and q_l·r_{l−r}; with the key's term too, where the configuration says so.
    fn relative(&self, b: &mut Builder<'_>, scores: &Value, query: &Value, key: &Value) -> Value {
        let table = b.tensor(self.site(BlockSite::Distance), Field::Weight);
        let positions = self.batch.positions(b);
        let farthest = b.config.max_position_embeddings as i64 - 1;
        // r_{l−r} [S, S, D], the same for all applications of the block
        let [distances] = b.graph.once(format!("distances in {table:?}"), |graph| {
            let [zero, one] = [[0], [1]].map(|x| graph.int64s(&x));
            let left = graph.op("Unsqueeze", "left", [&positions, &one], &[]);
            let right = graph.op("Unsqueeze", "right", [&positions, &zero], &[]);
            let rows = graph.op("Sub", "distances", [&left, &right], &[]);
            let farthest = graph.int64(farthest);
            let rows = graph.op("Add", "distances", [&rows, &farthest], &[]);
            [graph.op("Gather", "distances", [&table, &rows], &[])]
        });
        let mut add = |scores: &Value, label: &str, x: &Value, equation: &'static str| {
            let equation = [Attribute::Text("equation", equation)];
            let term = b.graph.op("Einsum", label, [x, &distances], &equation);
            b.graph.op("Add", "scores", [scores, &term], &[])
        };
        let scores = add(scores, "query_distance", query, "bald,lrd->balr");
        if b.config.position_embedding_type == PositionEmbeddingType::RelativeKeyQuery {
            return add(&scores, "key_distance", key, "badr,lrd->balr");
        }
        scores
    }
}
