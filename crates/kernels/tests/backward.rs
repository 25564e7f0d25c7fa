//! Gradients of larger and awkward sizes against plain f64, with equal bits on every instruction set and thread count.

mod common;

use albert_kernels::attention::{Attention, Sequence};
use albert_kernels::backward::{
    add_column_sums, attention_backward, cross_entropy, layer_norm_backward,
};
use albert_kernels::dropout::Dropout;
use albert_kernels::gemm::{Epilogue, Left, Packed, Target, product_of};
use albert_kernels::norm::NormWeights;
use albert_kernels::pack::{Line, pack_transposed_panel, packed_len};
use albert_kernels::parallel::Pool;
use albert_kernels::{Activation, Isa};
use common::{Numbers, bits, pools, scratch};

const PLAIN: Epilogue<'static> = Epilogue {
    bias: None,
    activation: Activation::Linear,
    residual: None,
};

/// Runs `compute` everywhere; all bits must be those of the first run, and near `expected`: within `tolerance` of its
/// largest element.
fn check(what: &str, expected: &[f64], tolerance: f64, compute: impl Fn(Isa, &Pool) -> Vec<f32>) {
    let mut first: Option<Vec<u32>> = None;
    for isa in Isa::available() {
        for pool in &pools() {
            let found = compute(isa, pool);
            let scale = expected.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            assert_eq!(found.len(), expected.len(), "{what}");
            for (i, (a, b)) in found.iter().zip(expected).enumerate() {
                let error = (f64::from(*a) - b).abs();
                assert!(
                    error <= tolerance * scale,
                    "{what} on {isa:?}, element {i}: {a} for {b}"
                );
            }
            let same = first.get_or_insert_with(|| bits(&found));
            assert_eq!(
                *same,
                bits(&found),
                "{what}: bits on {isa:?}, {} threads",
                pool.threads()
            );
        }
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

#[test]
fn weight_gradients_are_products_over_the_rows_added_to_what_is_there() {
    let mut numbers = Numbers(7);
    for (t, n, k) in [
        (1, 1, 1),
        (7, 33, 17),
        (64, 48, 100),
        (65, 130, 31),
        (300, 50, 64),
    ] {
        let (gradient, x, before) = (
            numbers.take(t * n),
            numbers.take(t * k),
            numbers.take(n * k),
        );
        let (g64, x64, mut expected) = (wide(&gradient), wide(&x), wide(&before));
        for row in 0..t {
            for i in 0..n {
                for j in 0..k {
                    expected[i * k + j] += g64[row * n + i] * x64[row * k + j];
                }
            }
        }
        check("weight gradient", &expected, 1e-6, |isa, pool| {
            let mut panels = vec![Line::default(); packed_len(k, t)];
            for (p, panel) in panels.chunks_mut(t).enumerate() {
                pack_transposed_panel(isa, &x, k, p, panel);
            }
            let packed = Packed {
                panels: &panels,
                rows: k,
                cols: t,
            };
            let mut out = before.clone();
            let to = Target {
                values: &mut out,
                add: true,
            };
            product_of(
                isa,
                pool,
                Left::Columns(&gradient),
                packed,
                PLAIN,
                to,
                &mut scratch(pool),
            );
            out
        });
        let mut sums: Vec<f64> = wide(&before[..n.min(n * k)]);
        for row in g64.chunks_exact(n) {
            for (sum, g) in sums.iter_mut().zip(row) {
                *sum += g;
            }
        }
        check("bias gradient", &sums, 1e-6, |isa, pool| {
            let mut out = before[..n].to_vec();
            add_column_sums(isa, pool, &gradient, &mut out);
            out
        });
    }
}

#[test]
fn layer_norm_backward_is_the_formula() {
    let mut numbers = Numbers(8);
    for (t, n) in [(1, 3), (5, 17), (70, 64), (130, 200)] {
        let (x, gradient, gamma) = (numbers.take(t * n), numbers.take(t * n), numbers.take(n));
        let epsilon = 1e-5;
        let (mut dx, mut dgamma, mut dbeta) = (Vec::new(), vec![0.0; n], vec![0.0; n]);
        for (x, g) in wide(&x)
            .chunks_exact(n)
            .zip(wide(&gradient).chunks_exact(n))
        {
            let mean = x.iter().sum::<f64>() / n as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
            let normal: Vec<f64> = x.iter().map(|x| (x - mean) * scale).collect();
            let inner: Vec<f64> = g
                .iter()
                .zip(&gamma)
                .map(|(g, w)| g * f64::from(*w))
                .collect();
            let a = inner.iter().sum::<f64>() / n as f64;
            let b = inner.iter().zip(&normal).map(|(g, y)| g * y).sum::<f64>() / n as f64;
            for i in 0..n {
                dgamma[i] += g[i] * normal[i];
                dbeta[i] += g[i];
                dx.push((inner[i] - a - normal[i] * b) * scale);
            }
        }
        let run = |isa, pool: &Pool, which: usize| {
            let weights = NormWeights {
                gamma: &gamma,
                beta: &gamma,
                epsilon,
            };
            let (mut g, mut a, mut b) = (gradient.clone(), vec![0.0; n], vec![0.0; n]);
            layer_norm_backward(isa, pool, &x, weights, &mut g, &mut a, &mut b);
            vec![g, a, b].swap_remove(which)
        };
        // A row of three has differences that nearly cancel.
        check("x", &dx, 1e-5, |isa, pool| run(isa, pool, 0));
        check("gamma", &dgamma, 3e-6, |isa, pool| run(isa, pool, 1));
        check("beta", &dbeta, 1e-6, |isa, pool| run(isa, pool, 2));
    }
}

#[test]
fn cross_entropy_gives_loss_and_gradient() {
    let mut numbers = Numbers(9);
    for (n, c) in [(1, 2), (3, 17), (20, 1000)] {
        let logits: Vec<f32> = numbers.take(n * c).iter().map(|x| 20.0 * x).collect();
        let targets: Vec<u32> = (0..n).map(|i| (i * 7 % c) as u32).collect();
        let (mut gradient, mut losses) = (Vec::new(), Vec::new());
        for (row, &target) in wide(&logits).chunks_exact(c).zip(&targets) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - top).exp()).sum();
            losses.push(sum.ln() + top - row[target as usize]);
            let one = |i: usize| f64::from(u8::from(i == target as usize));
            gradient.extend((0..c).map(|i| 0.5 * ((row[i] - top).exp() / sum - one(i))));
        }
        check("logits", &gradient, 1e-6, |isa, pool| {
            let mut out = logits.clone();
            let found = cross_entropy(isa, pool, &mut out, &targets, 0.5);
            for (a, b) in found.iter().zip(&losses) {
                assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "loss {a} for {b}");
            }
            out
        });
    }
}

#[test]
fn attention_backward_is_the_formula_for_long_and_masked_sequences_with_dropout() {
    let mut numbers = Numbers(10);
    for (lengths, heads, d, rate) in [
        (vec![1, 5], 1, 4, 0.0),
        (vec![70, 3, 33], 2, 64, 0.0),
        (vec![150, 16], 3, 26, 0.3),
    ] {
        let t: usize = lengths.iter().sum();
        let (mut sequences, mut key_rows, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for &length in &lengths {
            let (first, keys) = (positions.len(), key_rows.len());
            // Every fifth token, but the first, is masked.
            key_rows.extend(
                (0..length)
                    .filter(|i| *i == 0 || i % 5 != 0)
                    .map(|i| (first + i) as u32),
            );
            positions.extend(0..length as u32);
            sequences.push(Sequence {
                rows: first..first + length,
                keys: keys..key_rows.len(),
                uniform: false,
            });
        }
        let width = heads * d;
        let (qkv, context) = (numbers.take(t * 3 * width), numbers.take(t * width));
        let keys: Vec<u64> = (0..t as u64).map(|i| i * 0x1234_5678_9abc).collect();
        let dropout = Dropout { rate, rows: &keys };
        let scale = 1.0 / (d as f32).sqrt();
        let input = Attention {
            qkv: &qkv,
            heads,
            head_size: d,
            scale,
            sequences: &sequences,
            key_rows: &key_rows,
            positions: &positions,
            relative: None,
            head_scale: None,
            dropout: (rate > 0.0).then_some(dropout),
        };
        let (q64, c64, mut expected) = (wide(&qkv), wide(&context), vec![0.0; t * 3 * width]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for sequence in &sequences {
            let keys = &key_rows[sequence.keys.clone()];
            for head in 0..heads {
                let at = |part: usize, row: usize| (row * 3 + part) * width + head * d;
                for row in sequence.rows.clone() {
                    let part = |which: usize, row: usize| &q64[at(which, row)..][..d];
                    let score =
                        |k: &u32| dot(part(0, row), part(1, *k as usize)) * f64::from(scale);
                    let scores: Vec<f64> = keys.iter().map(score).collect();
                    let sum: f64 = scores.iter().map(|s| s.exp()).sum();
                    let factor = |k: u32| match rate > 0.0 {
                        true => {
                            let column = ((head as u64) << 32) + u64::from(positions[k as usize]);
                            f64::from(dropout.factor(row, column))
                        }
                        false => 1.0,
                    };
                    let c = &c64[row * width + head * d..][..d];
                    let dp: Vec<f64> = keys
                        .iter()
                        .map(|&k| dot(c, part(2, k as usize)) * factor(k))
                        .collect();
                    let p: Vec<f64> = scores.iter().map(|s| s.exp() / sum).collect();
                    let mean = dot(&p, &dp);
                    for ((&k, p), dp) in keys.iter().zip(&p).zip(&dp) {
                        let ds = p * (dp - mean) * f64::from(scale);
                        for i in 0..d {
                            expected[at(0, row) + i] += ds * part(1, k as usize)[i];
                            expected[at(1, k as usize) + i] += ds * part(0, row)[i];
                            expected[at(2, k as usize) + i] += p * factor(k) * c[i];
                        }
                    }
                }
            }
        }
        check("qkv", &expected, 2e-6, |isa, pool| {
            let mut out = vec![f32::NAN; t * 3 * width];
            attention_backward(isa, pool, input, &context, &mut out, &mut scratch(pool));
            out
        });
    }
}
