//! Gradients in f64, as plainly as the formulas can be written.

use albert_kernels::activation::Activation;

use super::{Matrix64, Reference, activation, dot, layer_norm, probability_factor};
use crate::ops::{
    AttentionInput, Backend, Dropout, Gradient, LinearGradient, Norm, NormGradient, To,
};

/// f′(x) by a central difference of fourth order: it shares nothing with the formulas of the kernels. Error about 1e-12 of
/// functions of this size; at a corner of f, PyTorch's choice.
fn slope(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Linear => return 1.0,
        Activation::Relu => return f64::from(x > 0.0),
        Activation::LeakyRelu => return if x > 0.0 { 1.0 } else { 0.01 },
        Activation::Relu6 => return f64::from(x > 0.0 && x < 6.0),
        _ => {}
    }
    let h = 1e-3;
    let f = |x: f64| activation(function, x);
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

impl Gradient for Reference {
    fn reload(&self, weight: &mut Matrix64, values: &[f32]) {
        weight.data = self.vector(values.to_vec());
    }

    fn zeros(&self, rows: usize, cols: usize) -> Matrix64 {
        self.buffer(rows, cols)
    }

    fn drop_out(&self, dropout: Dropout<'_>, x: &mut Matrix64) {
        super::drop_out(dropout, &mut x.data, x.cols);
    }

    fn activate(&self, function: Activation, x: &Matrix64) -> Matrix64 {
        let mut out = x.clone();
        for x in &mut out.data {
            *x = activation(function, *x);
        }
        out
    }

    fn activation_backward(&self, function: Activation, x: &Matrix64, gradient: &mut Matrix64) {
        for (g, x) in gradient.data.iter_mut().zip(&x.data) {
            *g *= slope(function, *x);
        }
    }

    fn norm_backward(
        &self,
        x: &Matrix64,
        norm: &Norm<Vec<f64>>,
        gradient: &mut Matrix64,
        into: NormGradient<'_, f64>,
    ) {
        let n = x.cols as f64;
        let plain = Norm {
            gamma: vec![1.0; x.cols],
            beta: vec![0.0; x.cols],
            epsilon: norm.epsilon,
        };
        for (t, gradient) in gradient.data.chunks_exact_mut(x.cols).enumerate() {
            let mut normal = x.row(t).to_vec();
            layer_norm(&mut normal, &plain);
            let mean = x.row(t).iter().sum::<f64>() / n;
            let variance = x.row(t).iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            for (c, g) in gradient.iter_mut().enumerate() {
                into.gamma[c] += *g * normal[c];
                into.beta[c] += *g;
                *g *= norm.gamma[c];
            }
            let (a, b) = (gradient.iter().sum::<f64>() / n, dot(gradient, &normal) / n);
            for (g, normal) in gradient.iter_mut().zip(&normal) {
                *g = (*g - a - normal * b) / (variance + norm.epsilon).sqrt();
            }
        }
    }

    fn linear_backward(
        &self,
        x: &Matrix64,
        weight: &Matrix64,
        gradient: &Matrix64,
        mut into: LinearGradient<'_, f64>,
        inputs: Option<To<'_, Matrix64>>,
    ) {
        let k = weight.cols;
        for t in 0..x.rows {
            for (n, g) in gradient.row(t).iter().enumerate() {
                for (w, x) in into.weight[n * k..][..k].iter_mut().zip(x.row(t)) {
                    *w += g * x;
                }
                if let Some(bias) = into.bias.as_deref_mut() {
                    bias[n] += g;
                }
            }
        }
        if let Some(to) = inputs {
            let inputs = match to {
                To::Add(inputs) => inputs,
                To::Set(inputs) => {
                    inputs.data.fill(0.0);
                    inputs
                }
            };
            for t in 0..x.rows {
                for (n, g) in gradient.row(t).iter().enumerate() {
                    let out = &mut inputs.data[t * k..][..k];
                    for (out, w) in out.iter_mut().zip(weight.row(n)) {
                        *out += g * w;
                    }
                }
            }
        }
    }

    fn add_sums(&self, x: &Matrix64, into: &mut [f64]) {
        for row in x.data.chunks_exact(x.cols) {
            for (sum, x) in into.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }

    fn attention_backward(
        &self,
        qkv: &Matrix64,
        input: AttentionInput<'_, Self>,
        gradient: &Matrix64,
        qkv_gradient: &mut Matrix64,
    ) {
        let AttentionInput {
            heads,
            head_size: d,
            layout,
            relative,
            head_mask,
            dropout,
        } = input;
        assert!(relative.is_none(), "no gradient with relative positions");
        qkv_gradient.data.fill(0.0);
        let place =
            |which: usize, row: usize, head: usize| (row * 3 + which) * heads * d + head * d;
        let scale = 1.0 / (d as f64).sqrt();
        for sequence in &layout.sequences {
            let keys = &layout.key_rows[sequence.keys.clone()];
            for (row, head) in sequence
                .rows
                .clone()
                .flat_map(|row| (0..heads).map(move |head| (row, head)))
            {
                let part = |which: usize, row: usize| &qkv.data[place(which, row, head)..][..d];
                let score = |key: u32| match sequence.uniform {
                    true => 0.0,
                    false => dot(part(0, row), part(1, key as usize)) * scale,
                };
                let scores: Vec<f64> = keys.iter().map(|&key| score(key)).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                let p: Vec<f64> = scores.iter().map(|s| (s - top).exp() / sum).collect();
                let context = &gradient.row(row)[head * d..][..d];
                let factor =
                    |key: u32| probability_factor(layout, head_mask, dropout, row, head, key);
                let dp: Vec<f64> = keys
                    .iter()
                    .map(|&key| dot(context, part(2, key as usize)) * factor(key))
                    .collect();
                let mean = dot(&p, &dp);
                for ((&key, p), dp) in keys.iter().zip(&p).zip(&dp) {
                    let ds = if sequence.uniform {
                        0.0
                    } else {
                        p * (dp - mean) * scale
                    };
                    for (c, context) in context.iter().enumerate() {
                        let (q, k) = (part(0, row)[c], part(1, key as usize)[c]);
                        qkv_gradient.data[place(0, row, head) + c] += ds * k;
                        qkv_gradient.data[place(1, key as usize, head) + c] += ds * q;
                        qkv_gradient.data[place(2, key as usize, head) + c] +=
                            p * factor(key) * context;
                    }
                }
            }
        }
    }

    fn add_rows(&self, gradient: &Matrix64, rows: &[u32], into: &mut Matrix64) {
        for (i, &row) in rows.iter().enumerate() {
            let out = &mut into.data[row as usize * gradient.cols..][..gradient.cols];
            for (out, g) in out.iter_mut().zip(gradient.row(i)) {
                *out += g;
            }
        }
    }

    fn cross_entropy(&self, logits: &mut Matrix64, targets: &[u32], scale: f64) -> f64 {
        let mut loss = 0.0;
        for (row, &target) in logits.data.chunks_exact_mut(logits.cols).zip(targets) {
            loss += crate::loss::negative_log_likelihood(row, target as usize);
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
            for x in row.iter_mut() {
                *x = (*x - top).exp() / sum * scale;
            }
            row[target as usize] -= scale;
        }
        loss
    }
}
