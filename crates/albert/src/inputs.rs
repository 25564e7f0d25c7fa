//! A padded batch as transformers knows it, checked, and packed without its padding.

use albert_kernels::attention::Sequence;

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::ops::Layout;

/// A batch of B sequences padded to S tokens. All arrays are row-major.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// B
    pub batch: usize,
    /// S
    pub length: usize,
    /// Token numbers [B, S]; exactly one of `input_ids` and `inputs_embeds`.
    pub input_ids: Option<Vec<i64>>,
    /// Word embeddings [B, S, E] instead of token numbers.
    pub inputs_embeds: Option<Vec<f32>>,
    /// [B, S]; 0 hides a token, any other value keeps it (transformers 5 casts to bool); absent: all kept.
    pub attention_mask: Option<Vec<f32>>,
    /// [B, S]; absent: all 0.
    pub token_type_ids: Option<Vec<i64>>,
    /// [B, S] or `[S]`; absent: 0, 1, … S−1.
    pub position_ids: Option<Vec<i64>>,
    /// `[A]` for all layers or [L, A]: factors of the attention probabilities, as transformers 4 applies them:
    /// group g takes rows g·(L/G) … and block n of it the n-th of these. Refused for a model with pruned heads.
    pub head_mask: Option<Vec<f32>>,
    /// K for multiple choice: the batch is B/K questions with K choices each, one after the other.
    pub choices: Option<usize>,
}

impl Inputs {
    /// B sequences of S token numbers.
    pub fn new(batch: usize, length: usize, input_ids: Vec<i64>) -> Self {
        Self {
            batch,
            length,
            input_ids: Some(input_ids),
            ..Self::default()
        }
    }

    /// Sequences of different lengths, padded on the right with `pad` and masked.
    pub fn from_sequences(sequences: &[Vec<i64>], pad: i64) -> Self {
        let (batch, length) = (
            sequences.len(),
            sequences.iter().map(Vec::len).max().unwrap_or(0),
        );
        let (mut ids, mut mask) = (vec![pad; batch * length], vec![0.0; batch * length]);
        for (b, sequence) in sequences.iter().enumerate() {
            ids[b * length..][..sequence.len()].copy_from_slice(sequence);
            mask[b * length..][..sequence.len()].fill(1.0);
        }
        Self {
            attention_mask: Some(mask),
            ..Self::new(batch, length, ids)
        }
    }

    /// Whether token (b, s) is kept by the mask.
    pub(crate) fn keeps(&self, b: usize, s: usize) -> bool {
        self.attention_mask
            .as_ref()
            .is_none_or(|mask| mask[b * self.length + s] != 0.0)
    }

    fn check_len(&self, what: &str, found: Option<usize>, shapes: &[(&str, usize)]) -> Result<()> {
        let Some(found) = found else { return Ok(()) };
        if shapes.iter().any(|(_, len)| *len == found) {
            return Ok(());
        }
        let expected: Vec<String> = shapes
            .iter()
            .map(|(shape, len)| format!("{shape} = {len} elements"))
            .collect();
        Err(Error::input(
            what,
            expected.join(" or "),
            format!(
                "{found} elements (batch {}, length {})",
                self.batch, self.length
            ),
        ))
    }

    fn check_range(
        &self,
        what: &str,
        values: Option<&[i64]>,
        limit: usize,
        field: &str,
    ) -> Result<()> {
        for (i, &value) in values.unwrap_or_default().iter().enumerate() {
            if value < 0 || value as u64 >= limit as u64 {
                let (b, s) = (i / self.length, i % self.length);
                return Err(Error::input(
                    format!("{what}[{b}, {s}]"),
                    format!("0 to {} (config {field} {limit})", limit - 1),
                    value,
                ));
            }
        }
        Ok(())
    }

    /// Fails where transformers 4 cannot apply the mask either: a block without a row, a block whose A, after
    /// pruning, is not that of the mask.
    fn check_head_mask(&self, config: &AlbertConfig) -> Result<()> {
        let Some(mask) = &self.head_mask else {
            return Ok(());
        };
        let (a, n, rows) = (
            config.num_attention_heads,
            config.inner_group_num,
            config.num_hidden_layers / config.num_hidden_groups,
        );
        if mask.len() != a && n > rows {
            let expected = format!(
                "[A] = {a} elements: [L, A] has L/G = {rows} for the {n} blocks of a group (config inner_group_num)"
            );
            return Err(Error::input(
                "head_mask",
                expected,
                format!("{} elements", mask.len()),
            ));
        }
        if config.pruned_heads.values().any(|heads| !heads.is_empty()) {
            return Err(Error::input(
                "head_mask",
                "none for a model with pruned_heads: its blocks have different heads",
                format!("{} elements", mask.len()),
            ));
        }
        Ok(())
    }

    /// Checks every size and number against the model.
    ///
    /// # Errors
    /// Says which array, where in it, what was expected and what was found.
    pub fn check(&self, config: &AlbertConfig) -> Result<()> {
        let (b, s, e) = (self.batch, self.length, config.embedding_size);
        if b == 0 || s == 0 {
            return Err(Error::input(
                "input_ids",
                "at least one sequence of at least one token",
                format!("shape [{b}, {s}]"),
            ));
        }
        if self.input_ids.is_some() == self.inputs_embeds.is_some() {
            let found = if self.input_ids.is_some() {
                "both"
            } else {
                "neither"
            };
            return Err(Error::input(
                "inputs",
                "exactly one of input_ids and inputs_embeds",
                found,
            ));
        }
        let tokens = b
            .checked_mul(s)
            .filter(|t| *t < u32::MAX as usize)
            .ok_or_else(|| Error::input("batch", "less than 2^32 tokens", format!("{b} x {s}")))?;
        let (l, a) = (config.num_hidden_layers, config.num_attention_heads);
        self.check_len(
            "input_ids",
            self.input_ids.as_ref().map(Vec::len),
            &[("[B, S]", tokens)],
        )?;
        self.check_len(
            "inputs_embeds",
            self.inputs_embeds.as_ref().map(Vec::len),
            &[("[B, S, E]", tokens * e)],
        )?;
        self.check_len(
            "attention_mask",
            self.attention_mask.as_ref().map(Vec::len),
            &[("[B, S]", tokens)],
        )?;
        self.check_len(
            "token_type_ids",
            self.token_type_ids.as_ref().map(Vec::len),
            &[("[B, S]", tokens)],
        )?;
        self.check_len(
            "position_ids",
            self.position_ids.as_ref().map(Vec::len),
            &[("[B, S]", tokens), ("[S]", s)],
        )?;
        self.check_len(
            "head_mask",
            self.head_mask.as_ref().map(Vec::len),
            &[("[A]", a), ("[L, A]", l * a)],
        )?;
        self.check_head_mask(config)?;
        let p = config.max_position_embeddings;
        if s > p
            && (self.position_ids.is_none()
                || config.position_embedding_type != crate::PositionEmbeddingType::Absolute)
        {
            return Err(Error::input(
                "input_ids",
                format!(
                    "at most {p} tokens in a sequence (config max_position_embeddings); truncate or split the text"
                ),
                s,
            ));
        }
        self.check_range(
            "input_ids",
            self.input_ids.as_deref(),
            config.vocab_size,
            "vocab_size",
        )?;
        self.check_range(
            "token_type_ids",
            self.token_type_ids.as_deref(),
            config.type_vocab_size,
            "type_vocab_size",
        )?;
        self.check_range(
            "position_ids",
            self.position_ids.as_deref(),
            p,
            "max_position_embeddings",
        )
    }

    /// Packs the checked batch. Trailing masked positions are dropped, unless `keep_all`: then they stay as
    /// query rows, as leading and interior masked positions always do. Masked positions are never keys,
    /// except in a sequence that has no other: there every position has the same weight.
    pub(crate) fn pack(&self, config: &AlbertConfig, keep_all: bool) -> Packed {
        let (batch, length) = (self.batch, self.length);
        let mut packed = Packed {
            layout: Layout {
                length,
                ..Layout::default()
            },
            ..Packed::default()
        };
        for b in 0..batch {
            let first = packed.layout.positions.len();
            let kept = (0..length)
                .rev()
                .find(|&s| self.keeps(b, s))
                .map_or(0, |last| last + 1);
            let uniform = kept == 0;
            let rows = if uniform || keep_all { length } else { kept };
            let key_start = packed.layout.key_rows.len();
            let keys = (0..rows)
                .filter(|&s| uniform || self.keeps(b, s))
                .map(|s| (first + s) as u32);
            packed.layout.key_rows.extend(keys);
            for s in 0..rows {
                let at = b * length + s;
                packed.layout.positions.push(s as u32);
                packed.rows.push((b, s));
                packed
                    .ids
                    .extend(self.input_ids.as_ref().map(|ids| ids[at] as u32));
                packed.types.push(
                    self.token_type_ids
                        .as_ref()
                        .map_or(0, |types| types[at] as u32),
                );
                packed.position_ids.push(match &self.position_ids {
                    Some(positions) => positions[at % positions.len()] as u32,
                    None => s as u32,
                });
                if let Some(embeds) = &self.inputs_embeds {
                    let e = config.embedding_size;
                    packed.embeds.extend_from_slice(&embeds[at * e..][..e]);
                }
            }
            let rows = first..packed.layout.positions.len();
            packed.layout.sequences.push(Sequence {
                rows,
                keys: key_start..packed.layout.key_rows.len(),
                uniform,
            });
        }
        packed
    }
}

/// A batch of T packed tokens.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// Rows and keys of each sequence.
    pub layout: Layout,
    /// (sequence, position) of each row `[T]`.
    pub rows: Vec<(usize, usize)>,
    /// Token numbers `[T]`, empty when `embeds` is not.
    pub ids: Vec<u32>,
    /// Given word embeddings [T, E].
    pub embeds: Vec<f32>,
    /// Token types `[T]`.
    pub types: Vec<u32>,
    /// Rows of the position table `[T]`.
    pub position_ids: Vec<u32>,
}

impl Packed {
    /// The row of a token (sequence, position).
    ///
    /// # Errors
    /// A place outside the batch or hidden by the mask.
    pub(crate) fn row_at(&self, inputs: &Inputs, place: (usize, usize)) -> Result<u32> {
        let sequence = self.layout.sequences.get(place.0);
        let row = sequence.and_then(|s| s.rows.clone().nth(place.1));
        row.filter(|_| inputs.keeps(place.0, place.1))
            .map(|row| row as u32)
            .ok_or_else(|| {
                let (b, s) = (inputs.batch, inputs.length);
                let expected = format!("a token of the batch [{b}, {s}] that the mask keeps");
                Error::input("place", expected, format!("{place:?}"))
            })
    }

    /// Row of position 0 of every sequence: what the pooler reads.
    pub(crate) fn first_rows(&self) -> Vec<u32> {
        self.layout
            .sequences
            .iter()
            .map(|s| s.rows.start as u32)
            .collect()
    }
}
