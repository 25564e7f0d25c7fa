//! One head of one sequence: its rows, the scores of its queries, and their softmax.

use std::ops::Range;

use super::{Attention, Relative, Sequence};
use crate::gemm::{RowTiles, product};
use crate::math::exp;
use crate::pack::{Line, pack_panel};
use crate::simd::{LANES, Simd};

/// Accumulators of a softmax sum: key k adds to accumulator k mod 4. Part of the numeric definition.
const ACCUMULATORS: usize = 4;

/// One head of one sequence.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) input: Attention<'a>,
    pub(crate) sequence: &'a Sequence,
    pub(crate) head: usize,
}

/// Rows of D elements of one head in a matrix.
#[derive(Clone, Copy)]
pub(crate) struct HeadRows<'a> {
    pub(crate) values: &'a [f32],
    /// Columns of the matrix.
    pub(crate) stride: usize,
    /// Where the head's columns start.
    pub(crate) first: usize,
    /// D
    pub(crate) size: usize,
}

impl<'a> HeadRows<'a> {
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride + self.first..][..self.size]
    }

    /// The rows named as the left operand of products over D: panels of at most `S::TILE_ROWS` rows.
    #[inline(always)]
    pub(crate) fn pack<S: Simd>(&self, s: S, rows: &[u32], panels: &mut [f32]) {
        for (first, count) in RowTiles::new(rows.len(), S::TILE_ROWS) {
            let mut slices: [&[f32]; LANES] = [&[]; LANES];
            for (slice, &row) in slices.iter_mut().zip(&rows[first..first + count]) {
                *slice = self.row(row as usize);
            }
            pack_panel(s, &slices[..count], count, &mut panels[first * self.size..]);
        }
    }

    /// Row number `i` of `lines` is one of `count` rows: the right operand of products over the rows.
    #[inline(always)]
    pub(crate) fn lines<S: Simd>(
        &self,
        s: S,
        count: usize,
        rows: impl Iterator<Item = usize>,
        lines: &mut [Line],
    ) {
        for (i, row) in rows.enumerate() {
            for (p, chunk) in self.row(row).chunks(LANES).enumerate() {
                s.store(s.load_partial(chunk), &mut lines[p * count + i].0);
            }
        }
    }
}

impl<'a> View<'a> {
    /// The head's queries (0), keys (1) or values (2).
    #[inline(always)]
    pub(crate) fn part(&self, part: usize) -> HeadRows<'a> {
        let Attention {
            qkv,
            heads,
            head_size,
            ..
        } = self.input;
        HeadRows {
            values: qkv,
            stride: 3 * heads * head_size,
            first: (part * heads + self.head) * head_size,
            size: head_size,
        }
    }

    pub(crate) fn keys(&self) -> &'a [u32] {
        &self.input.key_rows[self.sequence.keys.clone()]
    }

    /// Factor of the head's probabilities.
    pub(crate) fn factor(&self) -> f32 {
        self.input.head_scale.map_or(1.0, |scale| scale[self.head])
    }

    /// scores `[key][WIDTH queries]` = k·qᵀ, of keys in panels and the rows `block` of `queries_of`
    #[inline(always)]
    pub(crate) fn scores<S: Simd, const VECS: usize, const WIDTH: usize>(
        &self,
        s: S,
        queries_of: HeadRows<'_>,
        block: Range<usize>,
        key_panels: &[f32],
        queries: &mut [Line],
        scores: &mut [f32],
    ) {
        let (count, d) = (self.keys().len(), self.input.head_size);
        for (v, panel) in queries.chunks_mut(d).enumerate() {
            let first = block.start + v * LANES;
            for from in (0..d).step_by(LANES) {
                let upto = d.min(from + LANES);
                let mut rows = [s.splat(0.0); LANES];
                for (row, r) in rows.iter_mut().zip(first..block.end) {
                    *row = s.load_partial(&queries_of.row(r)[from..upto]);
                }
                for (line, v) in panel[from..upto].iter_mut().zip(s.transpose(rows)) {
                    s.store(v, &mut line.0);
                }
            }
        }
        let mut panels: [&[Line]; VECS] = [&[]; VECS];
        for (panel, queries) in panels.iter_mut().zip(queries.chunks(d)) {
            *panel = queries;
        }
        for (first, rows) in RowTiles::new(count, S::TILE_ROWS) {
            let a = &key_panels[first * d..(first + rows) * d];
            let out = scores[first * WIDTH..(first + rows) * WIDTH]
                .as_chunks_mut::<WIDTH>()
                .0;
            macro_rules! choose {
                ($($rows:literal)+) => {
                    match rows {
                        $($rows if $rows <= S::TILE_ROWS => {
                            let sums = product::<S, $rows, VECS, $rows>(s, a.as_chunks::<$rows>().0, panels);
                            // By index: iterators over arrays of vectors copy them in memory.
                            for i in 0..$rows {
                                let out = &mut out[i].as_chunks_mut::<LANES>().0[..VECS];
                                for j in 0..VECS {
                                    s.store(sums[i][j], &mut out[j]);
                                }
                            }
                        })+
                        _ => unreachable!("tiles have 1 to {} rows", S::TILE_ROWS),
                    }
                };
            }
            choose!(1 2 3 4 5 6 7 8 9);
        }
    }

    /// Drops what is dropped of the probabilities of the queries `block`.
    #[inline(always)]
    pub(crate) fn drop_out<const WIDTH: usize>(&self, block: Range<usize>, scores: &mut [f32]) {
        let Some(dropout) = self.input.dropout else {
            return;
        };
        let first = (self.head as u64) << 32;
        for (&key, scores) in self.keys().iter().zip(scores.as_chunks_mut::<WIDTH>().0) {
            let column = first + u64::from(self.input.positions[key as usize]);
            for (row, score) in block.clone().zip(scores) {
                *score *= dropout.factor(row, column);
            }
        }
    }

    /// scores ← scores·scale + position terms, when there are any; `softmax` then scales by 1.
    #[inline(always)]
    pub(crate) fn add_relative<S: Simd, const WIDTH: usize>(
        &self,
        s: S,
        block: Range<usize>,
        scores: &mut [f32],
    ) {
        let Some(Relative {
            table,
            positions,
            with_key,
        }) = self.input.relative
        else {
            return;
        };
        let d = self.input.head_size;
        for (&key, scores) in self.keys().iter().zip(scores.as_chunks_mut::<WIDTH>().0) {
            for (row, score) in block.clone().zip(scores) {
                let distance = self.input.positions[row] as usize + positions
                    - 1
                    - self.input.positions[key as usize] as usize;
                let entry = &table[distance * d..][..d];
                let mut sum = f32::mul_add(
                    *score,
                    self.input.scale,
                    dot(s, self.part(0).row(row), entry),
                );
                if with_key {
                    sum += dot(s, self.part(1).row(key as usize), entry);
                }
                *score = sum;
            }
        }
    }

    /// scores ← exp(scale·(score − max)); returns factor/Σ for each query.
    #[inline(always)]
    pub(crate) fn softmax<S: Simd, const VECS: usize, const WIDTH: usize>(
        &self,
        s: S,
        factor: f32,
        scores: &mut [f32],
    ) -> [f32; WIDTH] {
        let scale = s.splat(if self.input.relative.is_some() {
            1.0
        } else {
            self.input.scale
        });
        let factor = s.splat(factor);
        let mut inverse = [0.0; WIDTH];
        let rows = scores[..self.keys().len() * WIDTH]
            .as_chunks_mut::<WIDTH>()
            .0;
        for v in 0..VECS {
            let lanes = |row: &[f32; WIDTH]| s.load(&row.as_chunks::<LANES>().0[v]);
            let mut top = lanes(&rows[0]);
            for row in rows.iter() {
                top = s.max(lanes(row), top);
            }
            let shift = s.sub(s.splat(0.0), s.mul(top, scale));
            let mut sums = [s.splat(0.0); ACCUMULATORS];
            for group in rows.chunks_mut(ACCUMULATORS) {
                for (sum, row) in sums.iter_mut().zip(group) {
                    let p = exp(s, s.fma(lanes(row), scale, shift));
                    s.store(p, &mut row.as_chunks_mut::<LANES>().0[v]);
                    *sum = s.add(*sum, p);
                }
            }
            let sum = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
            s.store(
                s.div(factor, sum),
                &mut inverse.as_chunks_mut::<LANES>().0[v],
            );
        }
        inverse
    }
}

/// a·b, in the lanes' order.
#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = s.splat(0.0);
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sum = s.fma(s.load_partial(a), s.load_partial(b), sum);
    }
    s.fold_add(sum)
}
