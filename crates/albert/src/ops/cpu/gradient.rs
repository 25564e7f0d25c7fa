//! Gradients on the processor.

use std::sync::{OnceLock, PoisonError};

use albert_kernels::activation::Activation;
use albert_kernels::attention::Attention;
use albert_kernels::backward;
use albert_kernels::gemm::{self, Left, Target, product_of};
use albert_kernels::norm::NormWeights;
use albert_kernels::pack::{Line, pack_transposed_panel, packed_len};
use albert_kernels::{Scratch, bf16};

use super::{Cpu, Form, Matrix, PackedMatrix, Precision};
use crate::ops::{
    AttentionInput, Backend, Care, Dropout, Gradient, LinearGradient, Norm, NormGradient, To,
};

/// A product and nothing else.
const PLAIN: gemm::Epilogue<'static> = gemm::Epilogue {
    bias: None,
    activation: Activation::Linear,
    residual: None,
};

impl Cpu {
    /// The transpose of a row-major matrix [rows, cols] in panels.
    fn pack_transposed(&self, values: &[f32], rows: usize, cols: usize) -> Vec<Line> {
        let mut panels = vec![Line::default(); packed_len(cols, rows)];
        let threads = &mut vec![(); self.pool.threads()];
        self.pool
            .for_chunks(&mut panels, rows, threads, |(), p, panel| {
                pack_transposed_panel(self.isa, values, cols, p, panel);
            });
        panels
    }

    /// The transpose of a weight, in the form of its products.
    fn transpose(&self, weight: &PackedMatrix) -> Form {
        let (rows, cols) = (weight.rows, weight.cols);
        let mut values = vec![0.0; rows * cols];
        for (row, out) in values.chunks_exact_mut(cols).enumerate() {
            weight.row(row, out);
        }
        match weight.form {
            Form::Bf16(_) => {
                // Already rounded: only the layout changes.
                let read = |first: usize, out: &mut [f32]| {
                    for (r, out) in out.chunks_exact_mut(rows).enumerate() {
                        for (n, out) in out.iter_mut().enumerate() {
                            *out = values[n * cols + first + r];
                        }
                    }
                    Ok::<(), std::convert::Infallible>(())
                };
                let whole = self.weight(cols, rows, Care::Plain, &read);
                match whole {
                    Ok(matrix) => matrix.form,
                    Err(never) => match never {},
                }
            }
            _ => Form::F32(self.pack_transposed(&values, rows, cols)),
        }
    }

    /// A copy rounded to bfloat16, where products are.
    fn rounded<'a>(
        &self,
        x: &'a Matrix,
        weight: &PackedMatrix,
        copy: &'a mut Option<Matrix>,
    ) -> &'a Matrix {
        if !matches!(weight.form, Form::Bf16(_)) {
            return x;
        }
        let copy = copy.insert(x.clone());
        for x in copy.data_mut() {
            *x = bf16::round(*x);
        }
        copy
    }

    /// y ← x·W, or that added to y, with the panels of Wᵀ.
    fn multiply_back(
        &self,
        x: &Matrix,
        weight: &PackedMatrix,
        to: To<'_, Matrix>,
        scratch: &mut [Scratch],
    ) {
        let (y, add) = match to {
            To::Set(y) => (y, false),
            To::Add(y) => (y, true),
        };
        let transposed = weight.transposed.get_or_init(|| self.transpose(weight));
        let (rows, cols) = (weight.cols, weight.rows);
        match transposed {
            Form::F32(panels) => {
                let packed = gemm::Packed { panels, rows, cols };
                let y = Target {
                    values: y.data_mut(),
                    add,
                };
                product_of(
                    self.isa,
                    &self.pool,
                    Left::Rows(x.data()),
                    packed,
                    PLAIN,
                    y,
                    scratch,
                );
            }
            Form::Bf16(panels) => {
                let packed = bf16::Packed { panels, rows, cols };
                let before = add.then(|| y.clone());
                let epilogue = gemm::Epilogue {
                    residual: before.as_ref().map(Matrix::data),
                    ..PLAIN
                };
                bf16::linear(
                    self.isa,
                    &self.pool,
                    x.data(),
                    packed,
                    epilogue,
                    y.data_mut(),
                    scratch,
                );
            }
            Form::Int8(..) => unreachable!("refused before training"),
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
        // Its memory is used again.
        if let Some(Form::F32(panels)) = weight.transposed.get_mut() {
            let threads = &mut vec![(); self.pool.threads()];
            self.pool.for_chunks(panels, rows, threads, |(), p, panel| {
                pack_transposed_panel(self.isa, values, cols, p, panel);
            });
        } else {
            weight.transposed = OnceLock::new();
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
        let (mut copies, t) = ([None, None], x.rows);
        let [first, second] = &mut copies;
        let (x, gradient) = (
            self.rounded(x, weight, first),
            self.rounded(gradient, weight, second),
        );
        self.with_scratch(|scratch| {
            // W's gradient [N, K] = gradientᵀ·x: a product over T.
            let mut panels = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let len = packed_len(x.cols, t);
            if panels.len() < len {
                panels.resize(len, Line::default());
            }
            let panels = &mut panels[..len];
            let threads = &mut vec![(); self.pool.threads()];
            self.pool.for_chunks(panels, t, threads, |(), p, panel| {
                pack_transposed_panel(self.isa, x.data(), x.cols, p, panel);
            });
            let packed = gemm::Packed {
                panels,
                rows: x.cols,
                cols: t,
            };
            let y = Target {
                values: into.weight,
                add: true,
            };
            product_of(
                self.isa,
                &self.pool,
                Left::Columns(gradient.data()),
                packed,
                PLAIN,
                y,
                scratch,
            );
            if let Some(inputs) = inputs {
                self.multiply_back(gradient, weight, inputs, scratch);
            }
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
