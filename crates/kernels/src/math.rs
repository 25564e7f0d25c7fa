//! exp, tanh, sigmoid and erf in f32: polynomials with explicit fused multiply-adds.
//!
//! Coefficients: `tools/fit_functions.py`. Errors measured by `tests/math.rs` over every exponent:
//! at most 1.2 ulp for `exp`, 3 ulp for `tanh`, `erf` and `sigmoid`. NaN gives NaN.

use crate::simd::Simd;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has nine zero bits at its end, so that n · LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;
/// Below: exp is 0 (it would be subnormal). Above: ∞ (2ⁿ alone would leave the range).
const EXP_LOW: f32 = -87.336_54;
const EXP_HIGH: f32 = 88.376_26;

#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, low_to_high: [f32; N]) -> S::V {
    let mut sum = s.splat(low_to_high[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.fma(sum, x, s.splat(low_to_high[i]));
    }
    sum
}

/// eˣ = 2ⁿ · e^(x − n·ln 2); 0 below −87.33654, ∞ above 88.37626.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let inside = s.max(s.splat(EXP_LOW), s.min(s.splat(EXP_HIGH), x));
    let t = s.fma(inside, s.splat(LOG2_E), s.splat(ROUND));
    let n = s.sub(t, s.splat(ROUND));
    let r = s.fma(n, s.splat(-LN2_HIGH), inside);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let q = polynomial(s, r, [1.0, 1.0, 0.499_999_94, 0.166_665_2, 0.041_668_404, 0.008_368_899, 0.001_381_422_2]);
    let value = s.mul(q, s.pow2_of_biased(t));
    let value = s.select_lt(x, s.splat(EXP_LOW), s.splat(0.0), value);
    s.select_lt(s.splat(EXP_HIGH), x, s.splat(f32::INFINITY), value)
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// tanh: an odd polynomial near 0, 1 − 2/(e²ˣ + 1) elsewhere.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let magnitude = s.abs(x);
    let square = s.mul(x, x);
    let p = polynomial(s, square, [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_088, -0.005_704_988_3]);
    let near = s.fma(s.mul(p, square), x, x);
    let e = exp(s, s.add(magnitude, magnitude));
    let far = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select_lt(magnitude, s.splat(0.625), near, s.copysign(far, x))
}

/// erf: x·P(x²)/Q(x²) for |x| ≤ 4, where it has become 1 in f32.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let inside = s.max(s.splat(-4.0), s.min(s.splat(4.0), x));
    let t = s.mul(inside, inside);
    let p = polynomial(s, t, [
        1.128_379_2, 0.185_203_39, 0.054_316_9, 0.003_849_614_4, 0.000_379_607_66, 4.684_740_4e-6, -1.320_205e-8,
    ]);
    let q = polynomial(s, t, [1.0, 0.497_465_64, 0.113_958_456, 0.015_462_09, 0.001_307_568_9, 6.311_023e-5]);
    let value = s.div(s.mul(inside, p), q);
    let value = s.min(s.splat(1.0), value);
    s.max(s.splat(-1.0), value)
}
