//! The gradient of LayerNorm.

use super::columns::COLUMNS;
use crate::Isa;
use crate::gemm::CHAIN;
use crate::norm::{NormWeights, row_statistics};
use crate::parallel::Pool;
use crate::simd::{Kernel, LANES, Simd};

/// From the gradient of y = LayerNorm(x) to that of x, in place, with x̂ = (x − μ)/√(σ² + ε) and g = gradient·γ:
/// (g − mean(g) − x̂·mean(g·x̂))/√(σ² + ε). Adds Σ gradient·x̂ to `gamma` and Σ gradient to `beta`, over the rows in
/// chains of [`CHAIN`].
///
/// # Panics
/// When sizes do not match.
pub fn layer_norm_backward(
    isa: Isa,
    pool: &Pool,
    x: &[f32],
    weights: NormWeights<'_>,
    gradient: &mut [f32],
    gamma: &mut [f32],
    beta: &mut [f32],
) {
    let cols = weights.gamma.len();
    assert!(
        cols > 0 && x.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        x.len()
    );
    assert_eq!(
        (gradient.len(), gamma.len(), beta.len()),
        (x.len(), cols, cols),
        "LayerNorm backward"
    );
    let rows = x.len() / cols;
    let threads = &mut vec![(); pool.threads()];
    // μ and 1/√(σ² + ε) of each row
    let mut statistics = vec![[0.0; 2]; rows];
    let step = rows.div_ceil(2 * pool.threads()).max(4);
    pool.for_chunks(&mut statistics, step, threads, |(), i, part| {
        isa.run(Statistics {
            x: &x[i * step * cols..][..part.len() * cols],
            weights,
            statistics: part,
        });
    });
    let mut sums: Vec<[f32; 2]> = gamma.iter().zip(&*beta).map(|(g, b)| [*g, *b]).collect();
    pool.for_chunks(&mut sums, COLUMNS, threads, |(), i, sums| {
        isa.run(Columns {
            x,
            gradient,
            statistics: &statistics,
            cols,
            first: i * COLUMNS,
            sums,
        });
    });
    for ((gamma, beta), [g, b]) in gamma.iter_mut().zip(beta).zip(sums) {
        (*gamma, *beta) = (g, b);
    }
    pool.for_chunks(gradient, step * cols, threads, |(), i, part| {
        let first = i * step;
        isa.run(Rows {
            x: &x[first * cols..][..part.len()],
            statistics: &statistics[first..],
            weights,
            gradient: part,
        });
    });
}

struct Statistics<'a> {
    x: &'a [f32],
    weights: NormWeights<'a>,
    statistics: &'a mut [[f32; 2]],
}

impl Kernel for Statistics<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let rows = self.x.chunks_exact(self.weights.gamma.len());
        for (row, statistics) in rows.zip(self.statistics) {
            *statistics = row_statistics(s, row, self.weights.epsilon).into();
        }
    }
}

/// Sums over the rows for some columns.
struct Columns<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    statistics: &'a [[f32; 2]],
    cols: usize,
    first: usize,
    /// γ's and β's
    sums: &'a mut [[f32; 2]],
}

impl Kernel for Columns<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self {
            x,
            gradient,
            statistics,
            cols,
            first,
            sums,
        } = self;
        for (i, sums) in sums.chunks_mut(LANES).enumerate() {
            let part = first + i * LANES..first + i * LANES + sums.len();
            let mut totals = [s.splat(0.0); 2];
            let mut at = 0;
            for statistics in statistics.chunks(CHAIN) {
                let mut chains = [s.splat(0.0); 2];
                for [mean, scale] in statistics {
                    let place = at + part.start..at + part.end;
                    let g = s.load_partial(&gradient[place.clone()]);
                    let normal = s.mul(
                        s.sub(s.load_partial(&x[place]), s.splat(*mean)),
                        s.splat(*scale),
                    );
                    chains[0] = s.fma(g, normal, chains[0]);
                    chains[1] = s.add(chains[1], g);
                    at += cols;
                }
                totals[0] = s.add(totals[0], chains[0]);
                totals[1] = s.add(totals[1], chains[1]);
            }
            let mut lanes = [[0.0; LANES]; 2];
            s.store(totals[0], &mut lanes[0]);
            s.store(totals[1], &mut lanes[1]);
            for (lane, sums) in sums.iter_mut().enumerate() {
                sums[0] += lanes[0][lane];
                sums[1] += lanes[1][lane];
            }
        }
    }
}

struct Rows<'a> {
    x: &'a [f32],
    statistics: &'a [[f32; 2]],
    weights: NormWeights<'a>,
    gradient: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let gamma = self.weights.gamma;
        let cols = gamma.len();
        let n = cols as f32;
        let rows = self
            .x
            .chunks_exact(cols)
            .zip(self.gradient.chunks_exact_mut(cols));
        for ((x, gradient), [mean, scale]) in rows.zip(self.statistics) {
            let (mean, scale) = (s.splat(*mean), s.splat(*scale));
            // gradient ← g; the two means
            let mut sums = [[s.splat(0.0); 2]; 4];
            for (i, chunk) in gradient.chunks_mut(LANES).enumerate() {
                let part = i * LANES..i * LANES + chunk.len();
                let g = s.mul(s.load_partial(chunk), s.load_partial(&gamma[part.clone()]));
                s.store_partial(g, chunk);
                let normal = s.mul(s.sub(s.load_partial(&x[part]), mean), scale);
                let sums = &mut sums[i % 4];
                sums[0] = s.add(sums[0], g);
                sums[1] = s.fma(g, normal, sums[1]);
            }
            let mut means = [s.splat(0.0); 2];
            for (i, mean) in means.iter_mut().enumerate() {
                let sum = s.add(s.add(sums[0][i], sums[1][i]), s.add(sums[2][i], sums[3][i]));
                *mean = s.splat(s.fold_add(sum) / n);
            }
            for (i, chunk) in gradient.chunks_mut(LANES).enumerate() {
                let part = i * LANES..i * LANES + chunk.len();
                let normal = s.mul(s.sub(s.load_partial(&x[part]), mean), scale);
                let rest = s.sub(
                    s.sub(s.load_partial(chunk), means[0]),
                    s.mul(normal, means[1]),
                );
                s.store_partial(s.mul(rest, scale), chunk);
            }
        }
    }
}
