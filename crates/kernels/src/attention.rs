//! Attention of packed sequences: softmax(q·kᵀ·scale)·v for each sequence and head.
//!
//! Scores are held transposed, `[key][query]`: queries are the lanes, so that the softmax needs no sum across
//! lanes and its result is already the packed operand of the product with v. Masked keys are not there:
//! keys and values are gathered, so a mask changes no order of summation. All sums run over keys in increasing
//! order, in chains of [`crate::gemm::CHAIN`].

mod view;

use std::ops::Range;

use crate::Isa;
use crate::dropout::Dropout;
use crate::gemm::product;
use crate::pack::Line;
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{Kernel, LANES, Simd};
pub(crate) use view::{HeadRows, View};

/// One sequence of a packed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its query rows among the T packed rows.
    pub rows: Range<usize>,
    /// Its keys: a range of [`Attention::key_rows`], at least one.
    pub keys: Range<usize>,
    /// Every key has the same weight, whatever the scores: a sequence whose keys are all masked.
    pub uniform: bool,
}

/// Position terms that are added to the scaled scores of query l and key r: q·E[l−r+P−1], and also k·E[…].
#[derive(Clone, Copy)]
pub struct Relative<'a> {
    /// E, [2P−1, D].
    pub table: &'a [f32],
    /// P, the largest number of positions.
    pub positions: usize,
    /// Add the term with the key as well (`relative_key_query`).
    pub with_key: bool,
}

/// What attention reads.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Queries, keys and values of the packed rows, [T, 3·A·D].
    pub qkv: &'a [f32],
    /// A, number of heads.
    pub heads: usize,
    /// D, size of a head.
    pub head_size: usize,
    /// Factor of the scores, 1/√D.
    pub scale: f32,
    /// In order of their rows, which cover 0..T.
    pub sequences: &'a [Sequence],
    /// Packed row of each key.
    pub key_rows: &'a [u32],
    /// Position of each packed row in its sequence, as it was before packing.
    pub positions: &'a [u32],
    /// Relative position terms.
    pub relative: Option<Relative<'a>>,
    /// Factor of each head's probabilities.
    pub head_scale: Option<&'a [f32]>,
    /// Drops probabilities: key position s of head a is column a·2³² + s.
    pub dropout: Option<Dropout<'a>>,
}

/// context [T, A·D] and, when wanted, probabilities [T, A·width] (head a of row t: columns a·width + key position).
///
/// # Panics
/// When sizes do not match: our bug, not the caller's data.
pub fn attention(
    isa: Isa,
    pool: &Pool,
    input: Attention<'_>,
    context: &mut [f32],
    probabilities: Option<(&mut [f32], usize)>,
    scratch: &mut [Scratch],
) {
    let Attention {
        heads,
        head_size,
        sequences,
        ..
    } = input;
    let width = heads * head_size;
    let rows = input.positions.len();
    assert_eq!(input.qkv.len(), rows * 3 * width, "qkv");
    let mut end = 0;
    for sequence in sequences {
        assert!(
            sequence.rows.start == end && !sequence.keys.is_empty(),
            "sequences in order, none without a key"
        );
        end = sequence.rows.end;
    }
    assert_eq!(end, rows, "rows of all sequences");
    if let Some(Relative {
        table, positions, ..
    }) = input.relative
    {
        assert_eq!(
            table.len(),
            (2 * positions - 1) * head_size,
            "distance table"
        );
    }
    // One task for each sequence and head; long sequences are split further when that leaves threads idle.
    let split = (2 * pool.threads()).div_ceil(sequences.len() * heads);
    let mut cuts = vec![0];
    for Sequence { rows, .. } in sequences {
        let step = rows.len().div_ceil(split).next_multiple_of(2 * LANES);
        cuts.extend(rows.clone().step_by(step).skip(1));
        cuts.push(rows.end);
    }
    cuts.dedup();
    let (probabilities, key_columns) = probabilities.unwrap_or((&mut [], 0));
    let probability_rows = if key_columns == 0 { 0 } else { rows };
    let cols = Cuts::Even {
        len: width,
        step: head_size,
    };
    let out = [
        (MatMut::new(context, rows, width), cols),
        (
            MatMut::new(probabilities, probability_rows, heads * key_columns),
            Cuts::Even {
                len: heads * key_columns,
                step: key_columns.max(1),
            },
        ),
    ];
    let grid = Grid {
        rows: Cuts::At(&cuts),
        cols,
    };
    pool.for_tile_pairs(out, grid, scratch, |scratch, [context, probabilities]| {
        let sequence =
            &sequences[sequences.partition_point(|s| s.rows.end <= context.rows().start)];
        let view = View {
            input,
            sequence,
            head: context.cols().start / head_size,
        };
        let task = Task {
            view,
            context,
            probabilities,
        };
        isa.run(Job { task, scratch });
    });
}

struct Task<'a> {
    view: View<'a>,
    context: TileMut<'a>,
    probabilities: TileMut<'a>,
}

struct Job<'a> {
    task: Task<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Job { task, scratch } = self;
        if S::TILE_VECS >= 2 {
            task.all_queries::<S, 2, { 2 * LANES }>(s, scratch)
        } else {
            task.all_queries::<S, 1, LANES>(s, scratch)
        }
    }
}

impl Task<'_> {
    /// Packs the head's keys and values once, then takes WIDTH = 16·VECS queries at a time.
    #[inline(always)]
    fn all_queries<S: Simd, const VECS: usize, const WIDTH: usize>(
        mut self,
        s: S,
        scratch: &mut Scratch,
    ) {
        let view = self.view;
        let (keys, d) = (view.keys(), view.input.head_size);
        let value_panels = d.div_ceil(LANES);
        let key_len = (keys.len() * d + LANES).next_multiple_of(LANES);
        let (flat, lines) = scratch.get(
            key_len + keys.len() * WIDTH + WIDTH,
            value_panels * keys.len() + VECS * d,
        );
        let (key_panels, scores) = flat.split_at_mut(key_len);
        let (values, queries) = lines.split_at_mut(value_panels * keys.len());
        view.part(1).pack(s, keys, key_panels);
        view.part(2)
            .lines(s, keys.len(), keys.iter().map(|&key| key as usize), values);
        let rows = self.context.rows();
        for start in rows.clone().step_by(WIDTH) {
            let block = start..rows.end.min(start + WIDTH);
            if view.sequence.uniform {
                scores[..keys.len() * WIDTH].fill(0.0);
            } else {
                view.scores::<S, VECS, WIDTH>(
                    s,
                    view.part(0),
                    block.clone(),
                    key_panels,
                    queries,
                    scores,
                );
                view.add_relative::<S, WIDTH>(s, block.clone(), scores);
            }
            let inverse = view.softmax::<S, VECS, WIDTH>(s, view.factor(), scores);
            view.drop_out::<WIDTH>(block.clone(), scores);
            self.write_probabilities::<WIDTH>(block.clone(), &inverse, scores);
            self.context::<S, WIDTH>(s, block, &inverse, values, scores);
        }
    }

    #[inline(always)]
    fn write_probabilities<const WIDTH: usize>(
        &mut self,
        block: Range<usize>,
        inverse: &[f32; WIDTH],
        scores: &[f32],
    ) {
        if self.probabilities.cols().is_empty() {
            return;
        }
        let keys = self.view.keys();
        for (q, row) in block.enumerate() {
            let cols = self.probabilities.cols();
            let out = self.probabilities.row(row, cols);
            out.fill(0.0);
            for (&key, scores) in keys.iter().zip(scores.as_chunks::<WIDTH>().0) {
                out[self.view.input.positions[key as usize] as usize] = scores[q] * inverse[q];
            }
        }
    }

    /// context = scores·v, times `inverse`
    #[inline(always)]
    fn context<S: Simd, const WIDTH: usize>(
        &mut self,
        s: S,
        block: Range<usize>,
        inverse: &[f32; WIDTH],
        values: &[Line],
        scores: &[f32],
    ) {
        let (count, d) = (self.view.keys().len(), self.view.input.head_size);
        let panels = d.div_ceil(LANES);
        let mut p = 0;
        while p < panels {
            if S::TILE_VECS >= 2 && p + 1 < panels {
                let pair = [
                    &values[p * count..][..count],
                    &values[(p + 1) * count..][..count],
                ];
                self.context_columns::<S, 8, 2, WIDTH>(s, block.clone(), inverse, pair, p, scores);
                p += 2;
            } else {
                self.context_columns::<S, 4, 1, WIDTH>(
                    s,
                    block.clone(),
                    inverse,
                    [&values[p * count..][..count]],
                    p,
                    scores,
                );
                p += 1;
            }
        }
    }

    #[inline(always)]
    fn context_columns<S: Simd, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
        &mut self,
        s: S,
        block: Range<usize>,
        inverse: &[f32; WIDTH],
        values: [&[Line]; VECS],
        panel: usize,
        scores: &[f32],
    ) {
        let (count, d) = (values[0].len(), self.view.input.head_size);
        let cols = panel * LANES..d.min((panel + VECS) * LANES);
        for first in (0..block.len()).step_by(ROWS) {
            let a = &scores[first..count * WIDTH + first];
            let total = product::<S, ROWS, VECS, WIDTH>(s, a.as_chunks::<WIDTH>().0, values);
            let base = self.context.cols().start;
            // By index: iterators over arrays of vectors copy them in memory.
            for i in 0..ROWS.min(block.len() - first) {
                let out = self
                    .context
                    .row(block.start + first + i, base + cols.start..base + cols.end);
                for (j, out) in out.chunks_mut(LANES).enumerate().take(VECS) {
                    let value = s.mul(total[i][j], s.splat(inverse[first + i]));
                    s.store_partial(value, out);
                }
            }
        }
    }
}
