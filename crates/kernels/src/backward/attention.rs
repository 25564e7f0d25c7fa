//! The gradient of attention. Probabilities are computed anew: keeping them would cost [A, S, S] for every block.
//!
//! With P = softmax(q·kᵀ·scale), M = P times its factors (dropout, head) and C = M·v:
//! dv = Mᵀ·dC, dM = dC·vᵀ, dP = dM times the factors, dS = P·(dP − Σ P·dP)·scale, dq = dS·k, dk = dSᵀ·q.
//! All matrices of scores are held transposed, `[key][query]`, as in [`crate::attention`].

use std::ops::Range;

use crate::Isa;
use crate::attention::{Attention, HeadRows, Sequence, View};
use crate::gemm::{Product, RowTiles, Single, Sums, tile_of_rows};
use crate::pack::{Line, copy_panel, pack_panel};
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{GROUP, Kernel, LANES, Simd};

/// From the gradient of the context [T, A·D] to that of queries, keys and values [T, 3·A·D].
///
/// # Panics
/// When sizes do not match, or with relative positions.
pub fn attention_backward(
    isa: Isa,
    pool: &Pool,
    input: Attention<'_>,
    context: &[f32],
    gradient: &mut [f32],
    scratch: &mut [Scratch],
) {
    let Attention {
        heads,
        head_size,
        sequences,
        ..
    } = input;
    let (width, rows) = (heads * head_size, input.positions.len());
    assert!(
        input.relative.is_none(),
        "no gradient with relative positions"
    );
    assert_eq!(
        (input.qkv.len(), context.len(), gradient.len()),
        (rows * 3 * width, rows * width, rows * 3 * width),
        "attention backward"
    );
    // Row 3t + i of the gradient: queries, keys or values of row t.
    let cuts: Vec<usize> = std::iter::once(0)
        .chain(sequences.iter().map(|s| 3 * s.rows.end))
        .collect();
    let grid = Grid {
        rows: Cuts::At(&cuts),
        cols: Cuts::Even {
            len: width,
            step: head_size,
        },
    };
    pool.for_tiles(
        MatMut::new(gradient, 3 * rows, width),
        grid,
        scratch,
        |scratch, out| {
            let sequence: &Sequence =
                &sequences[sequences.partition_point(|s| 3 * s.rows.end <= out.rows().start)];
            let view = View {
                input,
                sequence,
                head: out.cols().start / head_size,
            };
            let context = HeadRows {
                values: context,
                stride: width,
                first: view.head * head_size,
                size: head_size,
            };
            isa.run(Task {
                view,
                context,
                out,
                scratch,
            });
        },
    );
}

struct Task<'a> {
    view: View<'a>,
    /// The gradient of the context.
    context: HeadRows<'a>,
    out: TileMut<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        if S::TILE_VECS >= 2 {
            self.gradients::<S, 2, { 2 * LANES }>(s)
        } else {
            self.gradients::<S, 1, LANES>(s)
        }
    }
}

/// The left operand of one of the three products.
enum Left<'a> {
    /// Columns of a matrix [k][stride].
    Columns(&'a [f32], usize),
    /// Rows of `k` elements of a matrix with `stride` columns.
    Rows(&'a [f32], usize, usize),
}

impl Task<'_> {
    #[inline(always)]
    fn gradients<S: Simd, const VECS: usize, const WIDTH: usize>(self, s: S) {
        let Self {
            view,
            context,
            mut out,
            scratch,
        } = self;
        let (keys, d, rows) = (
            view.keys(),
            view.input.head_size,
            view.sequence.rows.clone(),
        );
        let (count, panels) = (keys.len(), d.div_ceil(LANES));
        let stride = rows.len().next_multiple_of(WIDTH);
        let operand = (count * d + LANES).next_multiple_of(LANES);
        let block_len = count * WIDTH;
        let panel_len = S::TILE_ROWS * count.max(rows.len()) + LANES;
        let (flat, lines) = scratch.get(
            2 * operand + 2 * block_len + 2 * count * stride + panel_len,
            2 * VECS * d + panels * (count + 2 * rows.len()) + S::TILE_ROWS * GROUP,
        );
        let (key_panels, flat) = flat.split_at_mut(operand);
        let (value_panels, flat) = flat.split_at_mut(operand);
        let (p, flat) = flat.split_at_mut(block_len);
        let (dp, flat) = flat.split_at_mut(block_len);
        let (probabilities, flat) = flat.split_at_mut(count * stride);
        let (scores, panel) = flat.split_at_mut(count * stride);
        let (queries, lines) = lines.split_at_mut(VECS * d);
        let (contexts, lines) = lines.split_at_mut(VECS * d);
        let (key_lines, lines) = lines.split_at_mut(panels * count);
        let (query_lines, lines) = lines.split_at_mut(panels * rows.len());
        let (context_lines, sums) = lines.split_at_mut(panels * rows.len());
        view.part(1).pack(s, keys, key_panels);
        view.part(2).pack(s, keys, value_panels);
        view.part(1)
            .lines(s, count, keys.iter().map(|&key| key as usize), key_lines);
        view.part(0).lines(s, rows.len(), rows.clone(), query_lines);
        context.lines(s, rows.len(), rows.clone(), context_lines);

        for start in rows.clone().step_by(WIDTH) {
            let block = start..rows.end.min(start + WIDTH);
            if view.sequence.uniform {
                p.fill(0.0);
            } else {
                view.scores::<S, VECS, WIDTH>(
                    s,
                    view.part(0),
                    block.clone(),
                    key_panels,
                    queries,
                    p,
                );
            }
            let inverse = view.softmax::<S, VECS, WIDTH>(s, 1.0, p);
            view.scores::<S, VECS, WIDTH>(s, context, block.clone(), value_panels, contexts, dp);
            view.drop_out::<WIDTH>(block.clone(), dp);
            let at = start - rows.start;
            score_gradients::<S, WIDTH>(s, view, &inverse, p, dp);
            let factor = s.splat(view.factor());
            for p in p.chunks_mut(LANES) {
                s.store_partial(s.mul(s.load_partial(p), factor), p);
            }
            view.drop_out::<WIDTH>(block, p);
            for (k, (p, dp)) in p
                .as_chunks::<WIDTH>()
                .0
                .iter()
                .zip(dp.as_chunks::<WIDTH>().0)
                .enumerate()
            {
                probabilities[k * stride + at..][..WIDTH].copy_from_slice(p);
                scores[k * stride + at..][..WIDTH].copy_from_slice(dp);
            }
        }

        for row in out.rows() {
            let cols = out.cols();
            out.row(row, cols).fill(0.0);
        }
        let mut products = Products {
            panel,
            sums: sums.as_chunks_mut::<GROUP>().0,
            out,
        };
        let k = rows.len();
        products.add::<S, VECS>(
            s,
            Left::Columns(scores, stride),
            key_lines,
            Part::Queries(rows),
        );
        products.add::<S, VECS>(
            s,
            Left::Rows(scores, stride, k),
            query_lines,
            Part::Keys(keys),
        );
        products.add::<S, VECS>(
            s,
            Left::Rows(probabilities, stride, k),
            context_lines,
            Part::Values(keys),
        );
    }
}

/// Rows of the result of a product.
enum Part<'a> {
    Queries(Range<usize>),
    Keys(&'a [u32]),
    Values(&'a [u32]),
}

impl Part<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Queries(rows) => rows.len(),
            Self::Keys(keys) | Self::Values(keys) => keys.len(),
        }
    }

    /// Row 3t + i of the gradient.
    fn row(&self, i: usize) -> usize {
        match self {
            Self::Queries(rows) => 3 * (rows.start + i),
            Self::Keys(keys) => 3 * keys[i] as usize + 1,
            Self::Values(keys) => 3 * keys[i] as usize + 2,
        }
    }
}

/// p ← P, from the exponentials and their inverse sums; dp ← dS, from dC·vᵀ with dropout.
#[inline(always)]
fn score_gradients<S: Simd, const WIDTH: usize>(
    s: S,
    view: View<'_>,
    inverse: &[f32; WIDTH],
    p: &mut [f32],
    dp: &mut [f32],
) {
    let factor = s.splat(view.factor());
    let scale = s.splat(if view.sequence.uniform {
        0.0
    } else {
        view.input.scale
    });
    let (p, dp) = (p.as_chunks_mut::<WIDTH>().0, dp.as_chunks_mut::<WIDTH>().0);
    for v in 0..WIDTH / LANES {
        let inverse = s.load(&inverse.as_chunks::<LANES>().0[v]);
        let mut sum = s.splat(0.0);
        for (p, dp) in p.iter_mut().zip(dp.iter_mut()) {
            let (p, dp) = (
                &mut p.as_chunks_mut::<LANES>().0[v],
                &mut dp.as_chunks_mut::<LANES>().0[v],
            );
            let (probability, d) = (s.mul(s.load(p), inverse), s.mul(s.load(dp), factor));
            s.store(probability, p);
            s.store(d, dp);
            sum = s.fma(probability, d, sum);
        }
        for (p, dp) in p.iter().zip(dp.iter_mut()) {
            let (p, dp) = (
                &p.as_chunks::<LANES>().0[v],
                &mut dp.as_chunks_mut::<LANES>().0[v],
            );
            let d = s.mul(s.load(p), s.sub(s.load(dp), sum));
            s.store(s.mul(d, scale), dp);
        }
    }
}

/// Where the three products work and go.
struct Products<'a> {
    panel: &'a mut [f32],
    sums: &'a mut [[Line; GROUP]],
    out: TileMut<'a>,
}

impl Products<'_> {
    /// `part` ← left · right
    #[inline(always)]
    fn add<S: Simd, const VECS: usize>(
        &mut self,
        s: S,
        left: Left<'_>,
        right: &[Line],
        part: Part<'_>,
    ) {
        let cols = self.out.cols();
        let panels = cols.len().div_ceil(LANES);
        let k = right.len() / panels;
        for (first, count) in RowTiles::new(part.len(), S::TILE_ROWS) {
            match left {
                Left::Columns(from, stride) => {
                    copy_panel(
                        s,
                        &from[..k * stride],
                        stride,
                        first..first + count,
                        self.panel,
                    );
                }
                Left::Rows(from, stride, k) => {
                    let mut slices: [&[f32]; LANES] = [&[]; LANES];
                    for (i, slice) in slices[..count].iter_mut().enumerate() {
                        *slice = &from[(first + i) * stride..][..k];
                    }
                    pack_panel(s, &slices[..count], count, self.panel);
                }
            }
            let a = &self.panel[..k * count];
            for p in (0..panels).step_by(VECS) {
                let vecs = VECS.min(panels - p);
                let to = Sums {
                    rows: &mut self.sums[..count],
                    at: 0,
                    add: false,
                };
                if vecs == 2 {
                    let b = [&right[p * k..][..k], &right[(p + 1) * k..][..k]];
                    tile_of_rows::<S, _, 2>(s, Single, count, Product::new(a, b), to);
                } else {
                    tile_of_rows::<S, _, 1>(
                        s,
                        Single,
                        count,
                        Product::new(a, [&right[p * k..][..k]]),
                        to,
                    );
                }
                let cols = cols.start + p * LANES..cols.end.min(cols.start + (p + vecs) * LANES);
                for (i, sums) in self.sums[..count].iter().enumerate() {
                    let row = self.out.row(part.row(first + i), cols.clone());
                    for (sum, out) in sums.iter().zip(row.chunks_mut(LANES)) {
                        s.store_partial(s.load(&sum.0), out);
                    }
                }
            }
        }
    }
}
