//! Activations and LayerNorm against f64, with equal bits everywhere.

mod common;

use albert_kernels::norm::{NormWeights, layer_norm};
use albert_kernels::{Activation, Isa};
use common::{Numbers, bits, pools};

#[expect(clippy::approx_constant, reason = "transformers' rounded μ")]
const LAPLACE_MEAN: f64 = 0.707107;

fn exact(function: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let gelu = |x: f64| 0.5 * x * libm::erfc(-x / std::f64::consts::SQRT_2);
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    match function {
        Activation::Linear => x,
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            x * sigmoid(2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3)))
        }
        Activation::Gelu10 => gelu(x).clamp(-10.0, 10.0),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Relu => x.max(0.0),
        Activation::Relu2 => x.max(0.0).powi(2),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Silu => x * sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Mish => x * softplus(x).tanh(),
        Activation::Hardswish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Laplace => {
            0.5 * libm::erfc(-(x - LAPLACE_MEAN) / (0.282095 * std::f64::consts::SQRT_2))
        }
        Activation::SqrtSoftplus => softplus(x).sqrt(),
    }
}

const ALL: [Activation; 16] = [
    Activation::Linear,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Gelu10,
    Activation::QuickGelu,
    Activation::Relu,
    Activation::Relu2,
    Activation::Relu6,
    Activation::LeakyRelu,
    Activation::Silu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Mish,
    Activation::Hardswish,
    Activation::Laplace,
    Activation::SqrtSoftplus,
];

#[test]
fn activations_are_within_five_roundings_of_their_formula() {
    // −20 … 20 in steps that hit no pattern; 100,003 is odd, so the last vector is partial.
    let x: Vec<f32> = (0..100_003).map(|i| (i as f32 - 50_001.0) * 4e-4).collect();
    for function in ALL {
        let mut portable = x.clone();
        function.apply(Isa::PORTABLE, &mut portable);
        for (&x, &y) in x.iter().zip(&portable) {
            let e = exact(function, f64::from(x));
            // Formulas of the form ½x(1 + erf) and ½(1 + erf) lose relative precision far left: relative to x or ½ there.
            let scale = e
                .abs()
                .max(f64::from(x).abs())
                .max(if function == Activation::Linear {
                    0.0
                } else {
                    0.5
                });
            let error = (f64::from(y) - e).abs();
            assert!(
                error <= 5.0 * 2f64.powi(-24) * scale,
                "{function:?}({x}) = {y}, exactly {e}: error {error:e}"
            );
        }
        for isa in Isa::available() {
            let mut values = x.clone();
            function.apply(isa, &mut values);
            assert_eq!(bits(&values), bits(&portable), "{function:?} on {isa:?}");
        }
    }
}

#[test]
fn activations_pass_nan_on() {
    for isa in Isa::available() {
        for function in ALL {
            let mut values = [f32::NAN; 3];
            function.apply(isa, &mut values);
            assert!(
                values.iter().all(|y| y.is_nan()),
                "{function:?} on {isa:?} hides a NaN: {values:?}"
            );
        }
    }
}

#[test]
fn layer_norm_equals_f64_and_itself() {
    let mut numbers = Numbers(5);
    for cols in [1, 2, 15, 16, 17, 26, 63, 64, 65, 128, 312, 1000] {
        for rows in [1, 3, 50] {
            // A large mean, so that a one-pass variance would fail.
            let x: Vec<f32> = numbers.take(rows * cols).iter().map(|x| x + 30.0).collect();
            let (gamma, beta) = (numbers.take(cols), numbers.take(cols));
            let mut expected: Option<Vec<u32>> = None;
            for isa in Isa::available() {
                for pool in &pools() {
                    let mut y = x.clone();
                    layer_norm(
                        isa,
                        pool,
                        &mut y,
                        NormWeights {
                            gamma: &gamma,
                            beta: &beta,
                            epsilon: 1e-12,
                        },
                    );
                    match &expected {
                        None => expected = Some(bits(&y)),
                        Some(expected) => assert_eq!(
                            &bits(&y),
                            expected,
                            "{isa:?}, {} threads, {rows} x {cols}",
                            pool.threads()
                        ),
                    }
                    for (row, out) in x.chunks(cols).zip(y.chunks(cols)) {
                        let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
                        let mean = row.iter().sum::<f64>() / cols as f64;
                        let variance =
                            row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / cols as f64;
                        for c in 0..cols {
                            let e = (row[c] - mean) / (variance + 1e-12).sqrt()
                                * f64::from(gamma[c])
                                + f64::from(beta[c]);
                            // The mean is rounded at 2⁻²⁴·31, which the division by σ magnifies.
                            let tolerance = 8.0 * 2f64.powi(-24) * 31.0 / (variance + 1e-12).sqrt()
                                * f64::from(gamma[c]).abs()
                                + 4.0 * 2f64.powi(-24);
                            let error = (f64::from(out[c]) - e).abs();
                            assert!(
                                error <= tolerance || cols == 1,
                                "{rows} x {cols}, column {c}: {} against {e}",
                                out[c]
                            );
                            if cols == 1 {
                                assert_eq!(out[c], beta[c], "one column: only β is left");
                            }
                        }
                    }
                }
            }
        }
    }
}
