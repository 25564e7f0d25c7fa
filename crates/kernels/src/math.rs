//! exp, tanh, sigmoid and erf in f32: polynomials with explicit fused multiply-adds.
//!
//! Coefficients: `tools/fit_functions.py`. Errors, measured below over every exponent: `exp` at most 1.2 ulp, `tanh` 2,
//! `sigmoid` 3, `erf` 5. NaN gives NaN.

use crate::simd::Simd;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has nine zero bits at its end, so that n · LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;
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
    let q = polynomial(
        s,
        r,
        [
            1.0,
            1.0,
            0.499_999_94,
            0.166_665_2,
            0.041_668_404,
            0.008_368_899,
            0.001_381_422_2,
        ],
    );
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
    let p = polynomial(
        s,
        square,
        [
            -0.333_332_8,
            0.133_314_42,
            -0.053_739_715,
            0.020_639_088,
            -0.005_704_988_3,
        ],
    );
    let near = s.fma(s.mul(p, square), x, x);
    let e = exp(s, s.add(magnitude, magnitude));
    let far = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select_lt(magnitude, s.splat(0.625), near, s.copysign(far, x))
}

/// erf: x·P(x²)/Q(x²) up to 3.92, ±1 beyond, where it has become 1 in f32.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let inside = s.max(s.splat(-4.0), s.min(s.splat(4.0), x));
    let t = s.mul(inside, inside);
    let p = polynomial(
        s,
        t,
        [
            std::f32::consts::FRAC_2_SQRT_PI,
            0.185_203_39,
            0.054_316_9,
            0.003_849_614_4,
            0.000_379_607_66,
            4.684_740_4e-6,
            -1.320_205e-8,
        ],
    );
    let q = polynomial(
        s,
        t,
        [
            1.0,
            0.497_465_64,
            0.113_958_456,
            0.015_462_09,
            0.001_307_568_9,
            6.311_023e-5,
        ],
    );
    let value = s.div(s.mul(inside, p), q);
    s.select_lt(s.splat(3.92), s.abs(x), s.copysign(s.splat(1.0), x), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::simd::{Kernel, LANES};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Sigmoid,
        Tanh,
        Erf,
    }

    struct Evaluate<'a>(Function, &'a [f32], &'a mut [f32]);

    impl Kernel for Evaluate<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            for (x, y) in self.1.chunks(LANES).zip(self.2.chunks_mut(LANES)) {
                let x = s.load_partial(x);
                let value = match self.0 {
                    Function::Exp => exp(s, x),
                    Function::Sigmoid => sigmoid(s, x),
                    Function::Tanh => tanh(s, x),
                    Function::Erf => erf(s, x),
                };
                s.store_partial(value, y);
            }
        }
    }

    fn evaluate(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        isa.run(Evaluate(function, x, &mut y));
        y
    }

    /// Every 1021st f32 from 0 to ∞, both signs: all exponents, many mantissas.
    fn sweep() -> Vec<f32> {
        (0..f32::INFINITY.to_bits())
            .step_by(1021)
            .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
            .collect()
    }

    /// Largest error in units of the last place of the exact result, and where.
    fn worst(
        x: &[f32],
        y: &[f32],
        exact: impl Fn(f64) -> f64,
        valid: impl Fn(f32, f64) -> bool,
    ) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for (&x, &y) in x.iter().zip(y) {
            let e = exact(f64::from(x));
            if !valid(x, e) {
                continue;
            }
            let ulp = f64::from(f32::from_bits((e.abs() as f32).to_bits() + 1) - e.abs() as f32)
                .max(f64::from(f32::from_bits(1)));
            let error = (f64::from(y) - e).abs() / ulp;
            // A NaN must not pass as small.
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        worst
    }

    #[test]
    fn errors_are_as_documented() {
        let x = sweep();
        let normal = |_: f32, e: f64| e.abs() >= f64::from(f32::MIN_POSITIVE);
        type Case = (Function, fn(f64) -> f64, f64, fn(f32, f64) -> bool);
        let cases: [Case; 4] = [
            (Function::Exp, f64::exp, 1.2, |x, _| {
                (EXP_LOW..EXP_HIGH).contains(&x)
            }),
            (
                Function::Sigmoid,
                |x| 1.0 / (1.0 + (-x).exp()),
                3.0,
                |x, _| x > -87.0,
            ),
            (Function::Tanh, f64::tanh, 2.0, normal),
            (Function::Erf, libm::erf, 5.0, normal),
        ];
        for isa in Isa::available() {
            for (i, (function, exact, limit, valid)) in cases.into_iter().enumerate() {
                let (error, at) = worst(&x, &evaluate(isa, function, &x), exact, valid);
                println!("{isa:?} function {i}: {error:.3} ulp at {at:e}");
                assert!(
                    error <= limit,
                    "{isa:?} function {i}: {error} ulp at {at:e}"
                );
                assert!(
                    error > 0.1,
                    "an error of {error} ulp is too good to be measured"
                );
            }
        }
    }

    #[test]
    fn bits_are_equal_on_every_instruction_set() {
        let x = sweep();
        for function in [
            Function::Exp,
            Function::Sigmoid,
            Function::Tanh,
            Function::Erf,
        ] {
            let expected: Vec<u32> = evaluate(Isa::PORTABLE, function, &x)
                .iter()
                .map(|y| y.to_bits())
                .collect();
            for isa in Isa::available() {
                let found = evaluate(isa, function, &x);
                assert!(
                    found
                        .iter()
                        .map(|y| y.to_bits())
                        .eq(expected.iter().copied()),
                    "{isa:?}"
                );
            }
        }
    }

    #[test]
    fn limits_and_nan() {
        for isa in Isa::available() {
            let x = [f32::NEG_INFINITY, -1e4, 0.0, 1e4, f32::INFINITY];
            assert_eq!(
                evaluate(isa, Function::Exp, &x),
                [0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY],
                "{isa:?}"
            );
            assert_eq!(
                evaluate(isa, Function::Sigmoid, &x),
                [0.0, 0.0, 0.5, 1.0, 1.0],
                "{isa:?}"
            );
            assert_eq!(
                evaluate(isa, Function::Tanh, &x),
                [-1.0, -1.0, 0.0, 1.0, 1.0],
                "{isa:?}"
            );
            assert_eq!(
                evaluate(isa, Function::Erf, &x),
                [-1.0, -1.0, 0.0, 1.0, 1.0],
                "{isa:?}"
            );
            for function in [
                Function::Exp,
                Function::Sigmoid,
                Function::Tanh,
                Function::Erf,
            ] {
                assert!(evaluate(isa, function, &[f32::NAN])[0].is_nan(), "{isa:?}");
            }
        }
    }
}
