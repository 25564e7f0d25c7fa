//! The seam in f64, as plainly as the formulas can be written: the slow twin of the kernels and the
//! proof that the model needs nothing beyond the seam.

mod gradient;

use albert_kernels::activation::Activation;

use super::{AttentionInput, Backend, Care, Dropout, Embedding, Epilogue, Norm, ReadRows};

/// Laplace's μ as transformers rounds it.
#[expect(clippy::approx_constant, reason = "μ is rounded, not 1/√2")]
const LAPLACE_MEAN: f64 = 0.707_107;

/// Naive f64.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// Row-major [rows, cols].
#[derive(Clone, Debug)]
pub struct Matrix64 {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix64 {
    fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.cols..][..self.cols]
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The activation as PyTorch's documentation gives it.
fn activation(function: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    match function {
        Activation::Linear => x,
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            0.5 * x
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Gelu10 => gelu(x).clamp(-10.0, 10.0),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Relu => x.max(0.0),
        Activation::Relu2 => x.max(0.0).powi(2),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu => {
            if x < 0.0 {
                0.01 * x
            } else {
                x
            }
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Mish => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
        Activation::Hardswish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Laplace => {
            0.5 * (1.0 + libm::erf((x - LAPLACE_MEAN) / (0.282_095 * std::f64::consts::SQRT_2)))
        }
        Activation::SqrtSoftplus => (x.max(0.0) + (-x.abs()).exp().ln_1p()).sqrt(),
    }
}

fn layer_norm(row: &mut [f64], norm: &Norm<Vec<f64>>) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    for (x, (gamma, beta)) in row.iter_mut().zip(norm.gamma.iter().zip(&norm.beta)) {
        *x = (*x - mean) / (variance + norm.epsilon).sqrt() * gamma + beta;
    }
}

/// What the probability of a key is multiplied by: head mask and dropout.
fn probability_factor(
    layout: &super::Layout,
    head_mask: Option<&[f32]>,
    dropout: Option<Dropout<'_>>,
    row: usize,
    head: usize,
    key: u32,
) -> f64 {
    let column = ((head as u64) << 32) + u64::from(layout.positions[key as usize]);
    let kept = dropout.map_or(1.0, |dropout| dropout.factor(row, column));
    f64::from(kept) * head_mask.map_or(1.0, |mask| f64::from(mask[head]))
}

/// Drops elements of rows of `cols`.
fn drop_out(dropout: Dropout<'_>, x: &mut [f64], cols: usize) {
    for (row, x) in x.chunks_exact_mut(cols).enumerate() {
        for (column, x) in (0..).zip(x) {
            *x *= f64::from(dropout.factor(row, column));
        }
    }
}

impl Backend for Reference {
    type Scalar = f64;
    type Buffer = Matrix64;
    type Weight = Matrix64;
    type Vector = Vec<f64>;

    fn weight<E: Send>(
        &self,
        rows: usize,
        cols: usize,
        _: Care<'_>,
        read: &ReadRows<'_, E>,
    ) -> Result<Matrix64, E> {
        let mut values = vec![0.0; rows * cols];
        read(0, &mut values)?;
        Ok(Matrix64 {
            rows,
            cols,
            data: self.vector(values),
        })
    }

    fn weight_row(&self, weight: &Matrix64, row: usize, out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(weight.row(row)) {
            *out = *x as f32;
        }
    }

    fn weight_shape(&self, weight: &Matrix64) -> (usize, usize) {
        (weight.rows, weight.cols)
    }

    fn vector(&self, values: Vec<f32>) -> Vec<f64> {
        values.into_iter().map(f64::from).collect()
    }

    fn vector_values(&self, vector: &Vec<f64>) -> Vec<f32> {
        vector.iter().map(|x| *x as f32).collect()
    }

    fn buffer(&self, rows: usize, cols: usize) -> Matrix64 {
        Matrix64 {
            rows,
            cols,
            data: vec![0.0; rows * cols],
        }
    }

    fn upload(&self, rows: usize, cols: usize, values: &[f64]) -> Matrix64 {
        assert_eq!(values.len(), rows * cols, "matrix of {rows} x {cols}");
        Matrix64 {
            rows,
            cols,
            data: values.to_vec(),
        }
    }

    fn values(&self, buffer: &Matrix64) -> Vec<f64> {
        buffer.data.clone()
    }

    fn scalar(value: f64) -> f64 {
        value
    }

    fn embed(&self, mut embedding: Embedding<'_, Self>) -> Matrix64 {
        let cols = embedding.norm.gamma.len();
        let mut x = self.buffer(embedding.types.1.len(), cols);
        for (t, row) in x.data.chunks_exact_mut(cols).enumerate() {
            for (c, x) in row.iter_mut().enumerate() {
                *x = match (embedding.words, embedding.embeds) {
                    (Some((table, ids)), _) => table.row(ids[t] as usize)[c],
                    (None, embeds) => {
                        f64::from(embeds.expect("checked with the inputs")[t * cols + c])
                    }
                };
                *x += embedding.types.0[embedding.types.1[t] as usize * cols + c];
                if let Some((table, ids)) = embedding.positions {
                    *x += table[ids[t] as usize * cols + c];
                }
            }
            if let Some(kept) = embedding.kept.as_deref_mut() {
                kept.data[t * cols..][..cols].copy_from_slice(row);
            }
            layer_norm(row, embedding.norm);
        }
        if let Some(dropout) = embedding.dropout {
            drop_out(dropout, &mut x.data, cols);
        }
        x
    }

    fn linear(
        &self,
        x: &Matrix64,
        weight: &Matrix64,
        epilogue: Epilogue<'_, Self>,
        out: &mut Matrix64,
    ) {
        assert_eq!(
            (x.cols, x.rows, weight.rows),
            (weight.cols, out.rows, out.cols),
            "linear layer"
        );
        let cols = weight.rows;
        for t in 0..x.rows {
            for n in 0..cols {
                let sum = dot(x.row(t), weight.row(n)) + epilogue.bias.map_or(0.0, |b| b[n]);
                out.data[t * cols + n] = sum;
            }
        }
        let mut kept = epilogue.kept;
        if epilogue.activation != Activation::Linear {
            if let Some(kept) = kept.take() {
                kept.data.copy_from_slice(&out.data);
            }
            for x in &mut out.data {
                *x = activation(epilogue.activation, *x);
            }
        }
        if let Some(dropout) = epilogue.dropout {
            drop_out(dropout, &mut out.data, cols);
        }
        if let Some(residual) = epilogue.residual {
            for (x, residual) in out.data.iter_mut().zip(&residual.data) {
                *x += residual;
            }
        }
        if let Some(norm) = epilogue.norm {
            if let Some(kept) = kept {
                kept.data.copy_from_slice(&out.data);
            }
            for row in out.data.chunks_exact_mut(cols) {
                layer_norm(row, norm);
            }
        }
    }

    fn attention(
        &self,
        qkv: &Matrix64,
        input: AttentionInput<'_, Self>,
        context: &mut Matrix64,
        mut probabilities: Option<&mut Matrix64>,
    ) {
        let AttentionInput {
            heads,
            head_size: d,
            layout,
            relative,
            head_mask,
            dropout,
        } = input;
        let part = |which: usize, row: usize, head: usize| {
            &qkv.row(row)[(which * heads + head) * d..][..d]
        };
        context.data.fill(0.0);
        for sequence in &layout.sequences {
            let keys = &layout.key_rows[sequence.keys.clone()];
            for (row, head) in sequence
                .rows
                .clone()
                .flat_map(|row| (0..heads).map(move |head| (row, head)))
            {
                let query = part(0, row, head);
                let score = |key: u32| {
                    let (key_row, mut score) = (key as usize, 0.0);
                    if sequence.uniform {
                        return score;
                    }
                    score += dot(query, part(1, key_row, head)) / (d as f64).sqrt();
                    if let Some((table, positions, with_key)) = relative {
                        let distance = layout.positions[row] as usize + positions
                            - 1
                            - layout.positions[key_row] as usize;
                        let entry = &table[distance * d..][..d];
                        score += dot(query, entry)
                            + if with_key {
                                dot(part(1, key_row, head), entry)
                            } else {
                                0.0
                            };
                    }
                    score
                };
                let scores: Vec<f64> = keys.iter().map(|&key| score(key)).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                for (&key, score) in keys.iter().zip(&scores) {
                    let p = (score - top).exp() / sum
                        * probability_factor(layout, head_mask, dropout, row, head, key);
                    for (out, value) in context.data[row * heads * d + head * d..][..d]
                        .iter_mut()
                        .zip(part(2, key as usize, head))
                    {
                        *out += p * value;
                    }
                    if let Some(out) = probabilities.as_deref_mut() {
                        out.data[(row * heads + head) * layout.length
                            + layout.positions[key as usize] as usize] = p;
                    }
                }
            }
        }
    }

    fn gather_rows(&self, x: &Matrix64, rows: &[u32]) -> Matrix64 {
        let data = rows
            .iter()
            .flat_map(|&row| x.row(row as usize).to_vec())
            .collect();
        Matrix64 {
            rows: rows.len(),
            cols: x.cols,
            data,
        }
    }
}
