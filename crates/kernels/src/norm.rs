//! LayerNorm over the last axis: (x − μ)/√(σ² + ε)·γ + β, biased variance, two passes.

use crate::Isa;
use crate::parallel::{Cuts, Grid, MatMut, Pool};
use crate::simd::{Kernel, LANES, Simd};

/// Accumulators of a row's sums: lane i of accumulator j adds elements 16·(4m + j) + i. Part of the
/// numeric definition.
const ACCUMULATORS: usize = 4;

/// γ, β and ε of a LayerNorm.
#[derive(Clone, Copy)]
pub struct NormWeights<'a> {
    /// γ, one for each column.
    pub gamma: &'a [f32],
    /// β, one for each column.
    pub beta: &'a [f32],
    /// ε, added to the variance.
    pub epsilon: f32,
}

/// Normalises each row of `x` [rows, γ.len()] in place.
///
/// # Panics
/// When sizes do not match.
pub fn layer_norm(isa: Isa, pool: &Pool, x: &mut [f32], weights: NormWeights<'_>) {
    let cols = weights.gamma.len();
    assert!(
        weights.beta.len() == cols && cols > 0 && x.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        x.len()
    );
    let rows = x.len() / cols;
    struct Rows<'a, 't>(NormWeights<'a>, crate::parallel::TileMut<'t>);
    impl Kernel for Rows<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(mut self, s: S) {
            for row in self.1.rows() {
                let cols = self.1.cols();
                norm_row(s, self.1.row(row, cols), self.0);
            }
        }
    }
    // About two tasks for each thread, none below 4 rows.
    let step = rows.div_ceil(2 * pool.threads()).max(4);
    let grid = Grid {
        rows: Cuts::Even { len: rows, step },
        cols: Cuts::Even {
            len: cols,
            step: cols,
        },
    };
    pool.for_tiles(
        MatMut::new(x, rows, cols),
        grid,
        &mut vec![(); pool.threads()],
        |(), tile| isa.run(Rows(weights, tile)),
    );
}

/// One row in place.
#[inline(always)]
pub(crate) fn norm_row<S: Simd>(
    s: S,
    row: &mut [f32],
    NormWeights {
        gamma,
        beta,
        epsilon,
    }: NormWeights<'_>,
) {
    let (mean, scale) = row_statistics(s, row, epsilon);
    let (mean, scale) = (s.splat(mean), s.splat(scale));
    for (i, chunk) in row.chunks_mut(LANES).enumerate() {
        let part = i * LANES..i * LANES + chunk.len();
        let x = s.mul(s.sub(s.load_partial(chunk), mean), scale);
        let y = s.fma(
            x,
            s.load_partial(&gamma[part.clone()]),
            s.load_partial(&beta[part]),
        );
        s.store_partial(y, chunk);
    }
}

/// μ and 1/√(σ² + ε) of a row.
#[inline(always)]
pub(crate) fn row_statistics<S: Simd>(s: S, row: &[f32], epsilon: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let scalar_mean = sum_row(s, row, |x| x) / n;
    let mean = s.splat(scalar_mean);
    let whole = row.len() / LANES * LANES;
    let variance = sum_row(s, &row[..whole], |x| {
        let d = s.sub(x, mean);
        s.mul(d, d)
    });
    // The lanes beyond the end of the row hold no element: they must not add (0 − μ)².
    let mut rest = 0.0;
    for &x in &row[whole..] {
        let d = x - scalar_mean;
        rest = f32::mul_add(d, d, rest);
    }
    (scalar_mean, 1.0 / ((variance + rest) / n + epsilon).sqrt())
}

/// Σ f(x) over a row, in a fixed order; elements beyond the end count as f(0) = 0.
#[inline(always)]
pub(crate) fn sum_row<S: Simd>(s: S, row: &[f32], f: impl Fn(S::V) -> S::V) -> f32 {
    let mut sums = [s.splat(0.0); ACCUMULATORS];
    for group in row.chunks(LANES * ACCUMULATORS) {
        for (sum, chunk) in sums.iter_mut().zip(group.chunks(LANES)) {
            *sum = s.add(*sum, f(s.load_partial(chunk)));
        }
    }
    s.fold_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
