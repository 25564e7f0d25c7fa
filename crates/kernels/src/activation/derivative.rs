//! Derivatives of the elementwise functions.

use super::{Activation, LAPLACE_MEAN, LAPLACE_SCALE, gelu};
use crate::Isa;
use crate::math::{erf, exp, sigmoid, tanh};
use crate::parallel::Pool;
use crate::simd::{Kernel, LANES, Simd};

/// Elements of one task.
const STEP: usize = 1 << 14;

impl Activation {
    /// f′(x); where f has a corner, PyTorch's choice.
    #[inline(always)]
    fn derivative<S: Simd>(self, s: S, x: S::V) -> S::V {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        match self {
            Self::Linear => one,
            Self::Gelu => gelu_derivative(s, x),
            Self::GeluTanh => {
                let square = s.mul(x, x);
                let cubic = s.fma(s.splat(0.071_354_82), square, s.splat(1.595_769_2));
                let slope = s.fma(s.splat(3.0 * 0.071_354_82), square, s.splat(1.595_769_2));
                product_with_sigmoid(s, x, s.mul(cubic, x), slope)
            }
            Self::Gelu10 => {
                let y = gelu(s, x);
                s.select_lt(s.splat(10.0), y, zero, gelu_derivative(s, x))
            }
            Self::QuickGelu => {
                let slope = s.splat(1.702);
                product_with_sigmoid(s, x, s.mul(x, slope), slope)
            }
            Self::Relu => s.select_lt(zero, x, one, zero),
            Self::Relu2 => s.mul(s.splat(2.0), s.max(zero, x)),
            Self::Relu6 => {
                let below = s.select_lt(x, s.splat(6.0), one, zero);
                s.select_lt(zero, x, below, zero)
            }
            Self::LeakyRelu => s.select_lt(zero, x, one, s.splat(0.01)),
            Self::Silu => product_with_sigmoid(s, x, x, one),
            Self::Tanh => {
                let y = tanh(s, x);
                s.sub(one, s.mul(y, y))
            }
            Self::Sigmoid => {
                let y = sigmoid(s, x);
                s.mul(y, s.sub(one, y))
            }
            Self::Mish => {
                // t + x·σ·(1 − t²) with t = tanh(ln(1 + eˣ)) = n/(n + 2), as in the function.
                let e = exp(s, s.min(s.splat(20.0), x));
                let n = s.mul(e, s.add(e, s.splat(2.0)));
                let t = s.div(n, s.add(n, s.splat(2.0)));
                let rest = s.sub(one, s.mul(t, t));
                s.fma(s.mul(x, sigmoid(s, x)), rest, t)
            }
            Self::Hardswish => {
                let inside = s.fma(x, s.splat(1.0 / 3.0), s.splat(0.5));
                let upper = s.select_lt(s.splat(3.0), x, one, inside);
                s.select_lt(x, s.splat(-3.0), zero, upper)
            }
            Self::Laplace => {
                let z = s.mul(s.sub(x, s.splat(LAPLACE_MEAN)), s.splat(LAPLACE_SCALE));
                let bell = exp(s, s.sub(zero, s.mul(z, z)));
                // scale/√π
                s.mul(bell, s.splat(LAPLACE_SCALE * 0.564_189_6))
            }
            Self::SqrtSoftplus => {
                let mut lanes = [0.0; LANES];
                s.store(x, &mut lanes);
                for x in &mut lanes {
                    let x64 = f64::from(*x);
                    let softplus = x64.max(0.0) + (-x64.abs()).exp().ln_1p();
                    *x = (0.5 / softplus.sqrt() / (1.0 + (-x64).exp())) as f32;
                }
                s.load(&lanes)
            }
        }
    }

    /// gradient ← gradient · f′(x), element by element.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn backward(self, isa: Isa, pool: &Pool, x: &[f32], gradient: &mut [f32]) {
        assert_eq!(x.len(), gradient.len(), "activation backward");
        struct Apply<'a>(Activation, &'a [f32], &'a mut [f32]);
        impl Kernel for Apply<'_> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                let Apply(function, x, gradient) = self;
                // One loop for each function, so that none decides inside.
                macro_rules! each {
                    ($($name:ident)+) => {
                        match function {
                            $(Activation::$name => for (x, g) in x.chunks(LANES).zip(gradient.chunks_mut(LANES)) {
                                let slope = Activation::$name.derivative(s, s.load_partial(x));
                                s.store_partial(s.mul(s.load_partial(g), slope), g);
                            },)+
                        }
                    };
                }
                each!(Linear Gelu GeluTanh Gelu10 QuickGelu Relu Relu2 Relu6 LeakyRelu Silu Tanh Sigmoid Mish Hardswish Laplace SqrtSoftplus);
            }
        }
        pool.for_chunks(
            gradient,
            STEP,
            &mut vec![(); pool.threads()],
            |(), i, part| {
                isa.run(Apply(self, &x[i * STEP..][..part.len()], part));
            },
        );
    }

    /// As [`Activation::apply`], on all threads.
    pub fn apply_parallel(self, isa: Isa, pool: &Pool, values: &mut [f32]) {
        pool.for_chunks(
            values,
            STEP,
            &mut vec![(); pool.threads()],
            |(), _, part| {
                self.apply(isa, part);
            },
        );
    }
}

/// d/dx x·σ(u(x)) = σ(u) + x·u′·σ(u)·(1 − σ(u))
#[inline(always)]
fn product_with_sigmoid<S: Simd>(s: S, x: S::V, u: S::V, slope: S::V) -> S::V {
    let y = sigmoid(s, u);
    let rest = s.sub(s.splat(1.0), y);
    s.fma(s.mul(s.mul(x, slope), y), rest, y)
}

/// Φ(x) + x·φ(x)
#[inline(always)]
fn gelu_derivative<S: Simd>(s: S, x: S::V) -> S::V {
    let e = erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let phi = s.mul(s.splat(0.5), s.add(e, s.splat(1.0)));
    let bell = exp(s, s.mul(s.mul(x, x), s.splat(-0.5)));
    // 1/√(2π)
    s.fma(s.mul(x, s.splat(0.398_942_3)), bell, phi)
}
