//! Elementwise functions between linear layers, and the epilogue that applies them.

use std::ops::Range;

use crate::Isa;
use crate::math::{erf, exp, sigmoid, tanh};
use crate::pack::Line;
use crate::parallel::TileMut;
use crate::simd::{GROUP, Kernel, LANES, Simd};

/// Laplace's μ as transformers rounds it, and 1/(σ√2) for its σ = 0.282095.
#[expect(clippy::approx_constant, reason = "μ is rounded, not 1/√2")]
const LAPLACE_MEAN: f32 = 0.707_107;
const LAPLACE_SCALE: f32 = 2.506_626_4;

mod derivative;

/// An elementwise function; the formulas are those of PyTorch's modules of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// x
    Linear,
    /// x · ½(1 + erf(x/√2))
    Gelu,
    /// x · ½(1 + tanh(√(2/π)(x + 0.044715x³))), computed as x · σ(2 · …)
    GeluTanh,
    /// `Gelu` clipped to [−10, 10].
    Gelu10,
    /// x · σ(1.702x)
    QuickGelu,
    /// max(x, 0)
    Relu,
    /// max(x, 0)²
    Relu2,
    /// min(max(x, 0), 6)
    Relu6,
    /// x for x ≥ 0, else 0.01x
    LeakyRelu,
    /// x · σ(x)
    Silu,
    /// tanh x
    Tanh,
    /// σ(x) = 1/(1 + e⁻ˣ)
    Sigmoid,
    /// x · tanh(ln(1 + eˣ))
    Mish,
    /// x · relu6(x + 3)/6
    Hardswish,
    /// ½(1 + erf((x − 0.707107)/(0.282095·√2)))
    Laplace,
    /// √(ln(1 + eˣ)), lane by lane in f64: rare, and the C library has it.
    SqrtSoftplus,
}

impl Activation {
    #[inline(always)]
    fn of<S: Simd>(self, s: S, x: S::V) -> S::V {
        let zero = s.splat(0.0);
        match self {
            Self::Linear => x,
            Self::Gelu => gelu(s, x),
            Self::GeluTanh => {
                // 2√(2/π)(x + 0.044715x³)
                let cubic = s.fma(s.mul(s.splat(0.071_354_82), x), x, s.splat(1.595_769_2));
                let e = exp(s, s.sub(zero, s.mul(cubic, x)));
                s.div(x, s.add(e, s.splat(1.0)))
            }
            Self::Gelu10 => s.max(s.splat(-10.0), s.min(s.splat(10.0), gelu(s, x))),
            Self::QuickGelu => s.mul(x, sigmoid(s, s.mul(x, s.splat(1.702)))),
            Self::Relu => s.max(zero, x),
            Self::Relu2 => {
                let y = s.max(zero, x);
                s.mul(y, y)
            }
            Self::Relu6 => s.max(zero, s.min(s.splat(6.0), x)),
            Self::LeakyRelu => s.select_lt(x, zero, s.mul(x, s.splat(0.01)), x),
            Self::Silu => s.mul(x, sigmoid(s, x)),
            Self::Tanh => tanh(s, x),
            Self::Sigmoid => sigmoid(s, x),
            Self::Mish => {
                // tanh(ln(1 + e)) = (e² + 2e)/(e² + 2e + 2); beyond 20 it is 1.
                let e = exp(s, s.min(s.splat(20.0), x));
                let n = s.mul(e, s.add(e, s.splat(2.0)));
                s.mul(x, s.div(n, s.add(n, s.splat(2.0))))
            }
            Self::Hardswish => {
                let gate = s.max(zero, s.min(s.splat(6.0), s.add(x, s.splat(3.0))));
                s.div(s.mul(x, gate), s.splat(6.0))
            }
            Self::Laplace => {
                let e = erf(
                    s,
                    s.mul(s.sub(x, s.splat(LAPLACE_MEAN)), s.splat(LAPLACE_SCALE)),
                );
                s.mul(s.splat(0.5), s.add(e, s.splat(1.0)))
            }
            Self::SqrtSoftplus => {
                let mut lanes = [0.0; LANES];
                s.store(x, &mut lanes);
                for x in &mut lanes {
                    let x64 = f64::from(*x);
                    *x = (x64.max(0.0) + (-x64.abs()).exp().ln_1p()).sqrt() as f32;
                }
                s.load(&lanes)
            }
        }
    }

    /// residual + act(sums + bias) for every row of `tile`, in columns `cols`.
    #[inline(always)]
    pub(crate) fn finish<S: Simd>(
        self,
        s: S,
        then: Finish<'_>,
        tile: &mut TileMut<'_>,
        cols: Range<usize>,
    ) {
        // On its own, not as a part of each product: compiled once for each instruction set.
        s.enter(Rows {
            then,
            tile,
            cols,
            activation: self,
        });
    }

    /// Applies the function to every element.
    pub fn apply(self, isa: Isa, values: &mut [f32]) {
        struct Apply<'a>(Activation, &'a mut [f32]);
        impl Kernel for Apply<'_> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                for chunk in self.1.chunks_mut(LANES) {
                    s.store_partial(self.0.of(s, s.load_partial(chunk)), chunk);
                }
            }
        }
        isa.run(Apply(self, values));
    }
}

/// x · ½(1 + erf(x/√2))
#[inline(always)]
fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let e = erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    s.mul(s.mul(x, s.splat(0.5)), s.add(e, s.splat(1.0)))
}

/// What happens to finished sums of a linear layer on their way to its output.
pub(crate) struct Finish<'a> {
    /// [rows][panels]
    pub(crate) sums: &'a [[Line; GROUP]],
    /// The bias of these columns.
    pub(crate) bias: Option<&'a [f32]>,
    /// The whole matrix that is added last, and the length of its rows.
    pub(crate) residual: Option<(&'a [f32], usize)>,
    /// Add to what is there.
    pub(crate) add: bool,
}

/// All rows of one tile on their way to the output.
struct Rows<'a, 'b, 't> {
    then: Finish<'a>,
    tile: &'b mut TileMut<'t>,
    cols: Range<usize>,
    activation: Activation,
}

impl Kernel for Rows<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self {
            then,
            tile,
            cols,
            activation,
        } = self;
        // One loop for each function, so that none decides inside. (A constant, where a closure would read better:
        // closures do not always inherit the instructions of the function they stand in.)
        macro_rules! each {
            ($($name:ident)+) => {
                match activation {
                    $(Activation::$name => then.rows(s, tile, cols, Activation::$name),)+
                }
            };
        }
        each!(Linear Gelu GeluTanh Gelu10 QuickGelu Relu Relu2 Relu6 LeakyRelu Silu Tanh Sigmoid Mish Hardswish Laplace SqrtSoftplus);
    }
}

impl Finish<'_> {
    #[inline(always)]
    fn rows<S: Simd>(
        &self,
        s: S,
        tile: &mut TileMut<'_>,
        cols: Range<usize>,
        activation: Activation,
    ) {
        let mut biases = [s.splat(0.0); GROUP];
        if let Some(bias) = self.bias {
            for (v, bias) in biases.iter_mut().zip(bias.chunks(LANES)) {
                *v = s.load_partial(bias);
            }
        }
        for (row, sums) in tile.rows().zip(self.sums) {
            let residual = match self.residual {
                Some((residual, n)) => &residual[row * n..][cols.clone()],
                None => &[],
            };
            let (residuals, last_residual) = residual.as_chunks::<LANES>();
            let (out, last) = tile.row(row, cols.clone()).as_chunks_mut::<LANES>();
            let count = out.len().min(GROUP);
            for i in 0..count {
                let mut v = s.load(&sums[i].0);
                if self.bias.is_some() {
                    v = s.add(v, biases[i]);
                }
                v = activation.of(s, v);
                if self.residual.is_some() {
                    v = s.add(s.load(&residuals[i]), v);
                }
                if self.add {
                    v = s.add(s.load(&out[i]), v);
                }
                s.store(v, &mut out[i]);
            }
            if !last.is_empty() {
                let mut v = s.load(&sums[count].0);
                if self.bias.is_some() {
                    v = s.add(v, biases[count]);
                }
                v = activation.of(s, v);
                if self.residual.is_some() {
                    v = s.add(s.load_partial(last_residual), v);
                }
                if self.add {
                    v = s.add(s.load_partial(last), v);
                }
                s.store_partial(v, last);
            }
        }
    }
}
