//! Rounding weights so that the errors cancel where the inputs are alike.
//!
//! A matrix that is applied many times, as every one of ALBERT is, makes the same error each time, and the errors
//! add up. The inputs of one application have a large part in common, their mean. With the means μ₁ … μ_M of the
//! applications and the variance D_k around them, the expected error of a row of weights w rounded to q is
//! Σ_m ((q − w)·μ_m)²/M + Σ_k D_k (q_k − w_k)². It is made small by rounding the weights one after the other, each
//! after the shift that would make up for the errors so far at the least cost if the rest followed it exactly.
//!
//! With u_k ∈ ℝᴹ the means of input k over √M and p = Σ_{j<k} u_j (q_j − w_j): the shift is −v_k·p with
//! v_k = P_k u_k / D_k and P_k = (1 + Σ_{j≥k} u_j u_jᵀ / D_j)⁻¹. (The idea is that of GPTQ, Frantar et al. 2022, for a
//! second moment of the form D + UUᵀ, which needs neither K² memory nor K³ time.)

use crate::math::ROUND;
use crate::simd::Simd;

/// Applications that are told apart at most.
pub const MOST_MEANS: usize = 32;

/// Part of the mean variance that every input has at least: an input that never changed in a sample may change elsewhere.
const LEAST_VARIANCE: f64 = 0.05;

/// What is known about the inputs of a matrix [N, K], prepared for rounding.
pub struct Feedback {
    means: usize,
    /// u_k and then v_k, for each k.
    steps: Vec<f32>,
}

impl Feedback {
    /// From the mean inputs of every application, each `[K]`, and the mean variance around them `[K]`. Of more than
    /// [`MOST_MEANS`] applications some are left out, evenly. None where the inputs are always 0 or not finite.
    ///
    /// # Panics
    /// When lengths differ.
    pub fn new(means: &[Vec<f64>], variance: &[f64]) -> Option<Self> {
        let k = variance.len();
        let kept = means.len().min(MOST_MEANS);
        let total: f64 = variance.iter().sum();
        if kept == 0 || !total.is_finite() || total <= 0.0 {
            return None;
        }
        let least = LEAST_VARIANCE * total / k as f64;
        let root = (kept as f64).sqrt();
        let mut u = vec![0.0; k * kept];
        for m in 0..kept {
            let mean = &means[m * means.len() / kept];
            assert_eq!(mean.len(), k, "a mean input");
            for (i, x) in mean.iter().enumerate() {
                u[i * kept + m] = x / root;
            }
        }
        if u.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let mut inverse = vec![0.0; kept * kept];
        for m in 0..kept {
            inverse[m * kept + m] = 1.0;
        }
        let mut steps = vec![0.0; 2 * k * kept];
        for i in (0..k).rev() {
            // P_i from P_{i+1}: Sherman and Morrison's formula.
            let u = &u[i * kept..][..kept];
            let product: Vec<f64> = inverse
                .chunks_exact(kept)
                .map(|row| row.iter().zip(u).map(|(p, u)| p * u).sum())
                .collect();
            let bend: f64 = product.iter().zip(u).map(|(p, u)| p * u).sum();
            let divisor = variance[i].max(least) + bend;
            for (row, a) in inverse.chunks_exact_mut(kept).zip(&product) {
                for (p, b) in row.iter_mut().zip(&product) {
                    *p -= a * b / divisor;
                }
            }
            let (us, vs) = steps[2 * i * kept..][..2 * kept].split_at_mut(kept);
            for m in 0..kept {
                us[m] = u[m] as f32;
                vs[m] = (product[m] / divisor) as f32;
            }
        }
        Some(Self { means: kept, steps })
    }

    /// Inputs K.
    pub fn inputs(&self) -> usize {
        self.steps.len() / (2 * self.means)
    }

    /// Input k of 16 rows, `w`, rounded to multiples of `scale` (at most `most` times it, none of them 0); `errors` holds
    /// p, at first 0.
    #[inline(always)]
    pub(crate) fn round<S: Simd>(
        &self,
        s: S,
        k: usize,
        w: S::V,
        (scale, most): (S::V, f32),
        errors: &mut [S::V; MOST_MEANS],
    ) -> S::V {
        let (u, v) = self.steps[2 * k * self.means..][..2 * self.means].split_at(self.means);
        let mut shifted = w;
        for (v, error) in v.iter().zip(errors.iter()) {
            shifted = s.fma(s.splat(-v), *error, shifted);
        }
        // The largest weights stay the largest: the scale of the rounded row is that of the row.
        let large = s.mul(scale, s.splat(most - 0.5));
        let shifted = s.select_lt(s.abs(w), large, shifted, w);
        let q = s.max(s.splat(-most), s.min(s.splat(most), s.div(shifted, scale)));
        let q = s.sub(s.add(q, s.splat(ROUND)), s.splat(ROUND));
        let error = s.fma(q, scale, s.sub(s.splat(0.0), w));
        for (u, sum) in u.iter().zip(errors.iter_mut()) {
            *sum = s.fma(s.splat(*u), error, *sum);
        }
        q
    }
}
