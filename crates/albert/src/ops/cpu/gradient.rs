//! Gradients on the processor.

use std::sync::PoisonError;

use albert_kernels::activation::Activation;
use albert_kernels::attention::Attention;
use albert_kernels::backward;
use albert_kernels::gemm::{self, Left, Target};
use albert_kernels::norm::NormWeights;
use albert_kernels::pack::{Line, Words, pack_transposed_panel, packed_len};
use albert_kernels::{Scratch, bf16};

use super::{Cpu, Form, Matrix, PackedMatrix, Precision};
use crate::ops::{
    AttentionInput, Backend, Dropout, Gradient, LinearGradient, Norm, NormGradient, To,
};

/// A product and nothing else.
const PLAIN: gemm::Epilogue<'static> = gemm::Epilogue {
    bias: None,
    activation: Activation::Linear,
    residual: None,
};

impl Cpu {
    /// The transpose of a row-major matrix [rows, cols] in the first panels of `form`, which grows where it must.
    fn pack_transposed<'a>(
        &self,
        values: &[f32],
        rows: usize,
        cols: usize,
        form: &'a mut Form,
    ) -> Panels<'a> {
        let (isa, threads) = (self.isa, &mut vec![(); self.pool.threads()]);
        match form {
            Form::F32(panels) => {
                let panels = grown(panels, packed_len(cols, rows));
                self.pool.for_chunks(panels, rows, threads, |(), p, panel| {
                    pack_transposed_panel(isa, values, cols, p, panel);
                });
                Panels::F32(panels)
            }
            Form::Bf16(panels) => {
                let panels = grown(panels, bf16::packed_len(cols, rows));
                let lines = rows.div_ceil(2);
                self.pool
                    .for_chunks(panels, lines, threads, |(), p, panel| {
                        bf16::pack_transposed_panel(isa, values, cols, p, panel);
                    });
                Panels::Bf16(panels)
            }
            Form::Int8(..) => unreachable!("refused before training"),
        }
    }

    /// The transpose of a weight, in the form of its products.
    fn transpose(&self, weight: &PackedMatrix) -> Form {
        let (rows, cols) = (weight.rows, weight.cols);
        let mut values = vec![0.0; rows * cols];
        for (row, out) in values.chunks_exact_mut(cols).enumerate() {
            weight.row(row, out);
        }
        let mut transposed = weight.form.empty();
        self.pack_transposed(&values, rows, cols, &mut transposed);
        transposed
    }

    /// y ← x·Wᵀ, or that added to y, with the panels of a matrix W [rows, cols].
    fn multiply(
        &self,
        x: Left<'_>,
        (w, rows, cols): (Panels<'_>, usize, usize),
        y: Target<'_>,
        scratch: &mut [Scratch],
    ) {
        match w {
            Panels::F32(panels) => {
                let w = gemm::Packed { panels, rows, cols };
                gemm::product_of(self.isa, &self.pool, x, w, PLAIN, y, scratch);
            }
            Panels::Bf16(panels) => {
                let w = bf16::Packed { panels, rows, cols };
                bf16::product_of(self.isa, &self.pool, x, w, PLAIN, y, scratch);
            }
        }
    }
}

/// The right operand of a product, packed.
enum Panels<'a> {
    F32(&'a [Line]),
    Bf16(&'a [Words]),
}

/// The first `len` elements, after growing to them.
fn grown<T: Clone + Default>(memory: &mut Vec<T>, len: usize) -> &mut [T] {
    if memory.len() < len {
        memory.resize(len, T::default());
    }
    &mut memory[..len]
}

impl Form {
    /// No elements, in the same precision.
    fn empty(&self) -> Self {
        match self {
            Self::F32(_) => Self::F32(Vec::new()),
            Self::Bf16(_) => Self::Bf16(Vec::new()),
            Self::Int8(..) => unreachable!("refused before training"),
        }
    }

    fn panels(&self) -> Panels<'_> {
        match self {
            Self::F32(panels) => Panels::F32(panels),
            Self::Bf16(panels) => Panels::Bf16(panels),
            Self::Int8(..) => unreachable!("refused before training"),
        }
    }
}

impl Gradient for Cpu {
    fn refusal(&self) -> Option<String> {
        (self.precision == Precision::Int8).then(|| {
            "8-bit weights have no gradient; train in f32 or bf16 and quantise the result"
                .to_owned()
        })
    }

    fn reload(&self, weight: &mut PackedMatrix, values: &[f32]) {
        let (rows, cols) = (weight.rows, weight.cols);
        assert_eq!(values.len(), rows * cols, "weight of {rows} x {cols}");
        let read = |first: usize, out: &mut [f32]| {
            out.copy_from_slice(&values[first * cols..][..out.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        let pack_f32 = |panels: &mut [Line]| {
            self.pack(rows, cols, &read, panels, |_, block, panel| {
                albert_kernels::pack::pack_weight_panel(self.isa, block, cols, panel)
            })
        };
        let result = match &mut weight.form {
            Form::F32(panels) => pack_f32(panels),
            Form::Bf16(panels) => self.pack(rows, cols, &read, panels, |_, block, panel| {
                bf16::pack_weight_panel(self.isa, block, cols, panel)
            }),
            Form::Int8(..) => unreachable!("refused before training"),
        };
        match result {
            Ok(()) => {}
            Err(never) => match never {},
        }
        if let Some(transposed) = weight.transposed.get_mut() {
            self.pack_transposed(values, rows, cols, transposed);
        }
    }

    fn zeros(&self, rows: usize, cols: usize) -> Matrix {
        let mut out = self.buffer(rows, cols);
        out.data_mut().fill(0.0);
        out
    }

    fn drop_out(&self, dropout: Dropout<'_>, x: &mut Matrix) {
        let cols = x.cols;
        dropout.apply(&self.pool, x.data_mut(), cols);
    }

    fn activate(&self, activation: Activation, x: &Matrix) -> Matrix {
        let mut out = x.clone();
        activation.apply_parallel(self.isa, &self.pool, out.data_mut());
        out
    }

    fn activation_backward(&self, activation: Activation, x: &Matrix, gradient: &mut Matrix) {
        activation.backward(self.isa, &self.pool, x.data(), gradient.data_mut());
    }

    fn norm_backward(
        &self,
        x: &Matrix,
        norm: &Norm<Vec<f32>>,
        gradient: &mut Matrix,
        into: NormGradient<'_, f32>,
    ) {
        let weights = NormWeights {
            gamma: &norm.gamma,
            beta: &norm.beta,
            epsilon: norm.epsilon as f32,
        };
        backward::layer_norm_backward(
            self.isa,
            &self.pool,
            x.data(),
            weights,
            gradient.data_mut(),
            into.gamma,
            into.beta,
        );
    }

    fn linear_backward(
        &self,
        x: &Matrix,
        weight: &PackedMatrix,
        gradient: &Matrix,
        into: LinearGradient<'_, f32>,
        inputs: Option<To<'_, Matrix>>,
    ) {
        assert_eq!(
            (x.rows, x.cols, gradient.cols),
            (gradient.rows, weight.cols, weight.rows),
            "linear layer backward"
        );
        if let Some(bias) = into.bias {
            backward::add_column_sums(self.isa, &self.pool, gradient.data(), bias);
        }
        self.with_scratch(|scratch| {
            // W's gradient [N, K] = gradientᵀ·x: a product over T.
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::discriminant(&*right) != std::mem::discriminant(&weight.form) {
                *right = weight.form.empty();
            }
            let right = self.pack_transposed(x.data(), x.rows, x.cols, &mut right);
            let to = Target {
                values: into.weight,
                add: true,
            };
            let left = Left::Columns(gradient.data());
            self.multiply(left, (right, x.cols, x.rows), to, scratch);
            let Some(inputs) = inputs else { return };
            // That of x [T, K] = gradient·W.
            let (inputs, add) = match inputs {
                To::Set(y) => (y, false),
                To::Add(y) => (y, true),
            };
            let to = Target {
                values: inputs.data_mut(),
                add,
            };
            let transposed = weight.transposed.get_or_init(|| self.transpose(weight));
            let left = Left::Rows(gradient.data());
            let right = (transposed.panels(), weight.cols, weight.rows);
            self.multiply(left, right, to, scratch);
        });
    }

    fn add_sums(&self, x: &Matrix, into: &mut [f32]) {
        backward::add_column_sums(self.isa, &self.pool, x.data(), into);
    }

    fn attention_backward(
        &self,
        qkv: &Matrix,
        input: AttentionInput<'_, Self>,
        gradient: &Matrix,
        qkv_gradient: &mut Matrix,
    ) {
        let AttentionInput {
            heads,
            head_size,
            layout,
            head_mask,
            dropout,
            relative,
        } = input;
        assert!(relative.is_none(), "no gradient with relative positions");
        let input = Attention {
            qkv: qkv.data(),
            heads,
            head_size,
            scale: (1.0 / (head_size as f64).sqrt()) as f32,
            sequences: &layout.sequences,
            key_rows: &layout.key_rows,
            positions: &layout.positions,
            relative: None,
            head_scale: head_mask,
            dropout,
        };
        self.with_scratch(|scratch| {
            backward::attention_backward(
                self.isa,
                &self.pool,
                input,
                gradient.data(),
                qkv_gradient.data_mut(),
                scratch,
            );
        });
    }

    fn add_rows(&self, gradient: &Matrix, rows: &[u32], into: &mut Matrix) {
        let cols = gradient.cols;
        for (from, &row) in gradient.data().chunks_exact(cols).zip(rows) {
            let out = &mut into.data_mut()[row as usize * cols..][..cols];
            for (out, x) in out.iter_mut().zip(from) {
                *out += x;
            }
        }
    }

    fn cross_entropy(&self, logits: &mut Matrix, targets: &[u32], scale: f64) -> f64 {
        let losses = backward::cross_entropy(
            self.isa,
            &self.pool,
            logits.data_mut(),
            targets,
            scale as f32,
        );
        losses.into_iter().sum()
    }
}
