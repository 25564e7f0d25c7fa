//! How much memory a run will need, from the configuration alone: what is kept of each token, and what there is once.

use albert::AlbertConfig;

/// Bytes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Parameters in f32, gradients, the optimiser's two means, weights in their two packed forms.
    pub fixed: u64,
    /// Of each token of a micro-batch: what gradients need, and what is in work.
    pub per_token: u64,
}

/// Bytes of an f32.
const F32: u64 = 4;
/// Vectors of all parameters: the learner's and the trainer's copy, the gradient, m, v; two packed forms.
const COPIES: u64 = 7;

/// Activations that a run keeps at most where nothing else is said: a number of its own, so that the same run is cut the same
/// way on every machine.
pub const DEFAULT_ACTIVATIONS: u64 = 2 << 30;

impl Memory {
    /// Of a model with `parameters` parameters, of which `logits` numbers per token are computed at the end, as a share of
    /// all tokens (the vocabulary of 15 % of them; 0 for classifiers).
    pub fn of(config: &AlbertConfig, parameters: u64, logits: f64, checkpointing: bool) -> Self {
        let size = |n: usize| n as u64;
        let (h, f, e) = (
            size(config.hidden_size),
            size(config.intermediate_size),
            size(config.embedding_size),
        );
        let applications = size(config.num_hidden_layers * config.inner_group_num);
        // Input, queries, keys and values, context, both sums, attention's output, and the sum of the feed-forward layer.
        let inner = 7 * h + f;
        let kept = if checkpointing {
            applications * h + inner
        } else {
            applications * (h + inner)
        };
        // The workspace of a block (6 h + f), and on the way back the gradients of a block: h, and 2 f or 4 h at a time; the
        // packed operand of a product (f at most).
        let working = 7 * h + f + (2 * f).max(4 * h) + f;
        let logits = (2.0 * logits) as u64;
        Self {
            fixed: COPIES * parameters * F32,
            per_token: (kept + working + 3 * e + logits) * F32,
        }
    }

    /// Parameters of the model.
    pub fn parameters(self) -> u64 {
        self.fixed / (COPIES * F32)
    }

    /// Of a run with micro-batches of so many tokens.
    pub fn total(self, tokens: usize) -> u64 {
        self.fixed + self.activations(tokens)
    }

    /// Of it, what comes and goes with each micro-batch.
    pub fn activations(self, tokens: usize) -> u64 {
        self.per_token * tokens as u64
    }

    /// Tokens of a micro-batch whose activations fit into `bytes`, at least `longest`.
    pub fn tokens(self, bytes: u64, longest: usize) -> usize {
        usize::try_from(bytes / self.per_token)
            .unwrap_or(usize::MAX)
            .max(longest)
    }
}
