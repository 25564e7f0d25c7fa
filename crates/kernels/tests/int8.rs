//! Products of whole numbers against their numeric definition, written here a second time and plainly, and against f64.

mod common;

use albert_kernels::feedback::Feedback;
use albert_kernels::gemm::Epilogue;
use albert_kernels::int8::{
    Columns, OUTLIER_RATIO, OUTLIERS, Packed, linear, pack_weight_panel, packed_len, quantize_rows,
};
use albert_kernels::pack::{LANES, Words};
use albert_kernels::{Activation, Isa};
use common::{Numbers, bits, pools, scratch};

/// A matrix as whole numbers and scales.
struct Whole {
    numbers: Vec<i8>,
    scales: Vec<f32>,
    cols: usize,
}

/// The scale is max|w|/127 with its last eight bits rounded up; whole numbers are the nearest, ties to even.
fn quantize_weights(row: &[f32], out: &mut [i8]) -> f32 {
    let top = row.iter().fold(0.0f32, |top, w| top.max(w.abs()));
    let scale = f32::from_bits(((top / 127.0).to_bits() + 0xff) & !0xff);
    for (q, w) in out.iter_mut().zip(row) {
        *q = if scale == 0.0 {
            0.0
        } else {
            (w / scale).round_ties_even()
        } as i8;
    }
    scale
}

impl Whole {
    fn new(w: &[f32], cols: usize) -> Self {
        let mut numbers = vec![0; w.len()];
        let scales = w
            .chunks(cols)
            .zip(numbers.chunks_mut(cols))
            .map(|(row, out)| quantize_weights(row, out))
            .collect();
        Self {
            numbers,
            scales,
            cols,
        }
    }

    fn row(&self, n: usize) -> &[i8] {
        &self.numbers[n * self.cols..][..self.cols]
    }
}

/// The sums of magnitudes that decide on clipping are added in 4 · 16 lanes, folded in a tree.
fn magnitudes(x: &[f32]) -> f32 {
    let mut lanes = [[0.0f32; LANES]; 4];
    for (i, x) in x.iter().enumerate() {
        lanes[i / LANES % 4][i % LANES] += x.abs();
    }
    let mut fold: Vec<f32> = (0..LANES)
        .map(|i| (lanes[0][i] + lanes[1][i]) + (lanes[2][i] + lanes[3][i]))
        .collect();
    while fold.len() > 1 {
        let half = fold.len() / 2;
        fold = (0..half).map(|i| fold[i] + fold[i + half]).collect();
    }
    fold[0]
}

/// Scale, zero point, whole numbers, and (k, what was cut off) of clipped elements.
fn quantize(x: &[f32]) -> (f32, i32, Vec<i32>, Vec<(usize, f32)>) {
    let mut high = x.iter().fold(0.0f32, |a, b| a.max(*b));
    let mut low = x.iter().fold(0.0f32, |a, b| a.min(*b));
    let top = high.max(-low);
    let mut limit = top;
    if top > OUTLIER_RATIO * (magnitudes(x) / x.len() as f32) {
        for _ in 0..10 {
            if x.iter().filter(|x| x.abs() > limit * 0.5).count() > OUTLIERS {
                break;
            }
            limit *= 0.5;
        }
    }
    (low, high) = (low.max(-limit), high.min(limit));
    let range = high - low;
    if range < 1e-30 {
        return (0.0, 0, vec![0; x.len()], Vec::new());
    }
    let (scale, inverse) = (range / 255.0, 255.0 / range);
    let zero = (-low * inverse).round_ties_even();
    let q: Vec<f32> = x
        .iter()
        .map(|x| x.mul_add(inverse, zero).clamp(0.0, 255.0).round_ties_even())
        .collect();
    let clipped = (0..x.len())
        .filter(|&k| x[k].abs() > limit)
        .map(|k| (k, (-scale).mul_add(q[k] - zero, x[k])))
        .collect();
    let q = q.into_iter().map(|q| q as i32).collect();
    (scale, zero as i32, q, clipped)
}

fn by_definition(x: &[f32], w: &Whole) -> Vec<f32> {
    let (scale, zero, q, clipped) = quantize(x);
    (0..w.scales.len())
        .map(|n| {
            let row = w.row(n);
            let dot: i64 = q
                .iter()
                .zip(row)
                .map(|(q, w)| i64::from(*q) * i64::from(*w))
                .sum();
            let sum: i64 = row.iter().map(|w| i64::from(*w)).sum();
            let whole = i32::try_from(dot - i64::from(zero) * sum).unwrap();
            let mut value = whole as f32 * scale;
            for (k, rest) in &clipped {
                value = rest.mul_add(f32::from(row[*k]), value);
            }
            value * w.scales[n]
        })
        .collect()
}

fn pack(
    isa: Isa,
    w: &[f32],
    n: usize,
    k: usize,
    feedback: Option<&Feedback>,
) -> (Vec<Words>, Vec<Columns>) {
    let mut panels = vec![Words([-1; LANES]); packed_len(n, k)];
    let columns = panels
        .chunks_mut(k.div_ceil(4))
        .enumerate()
        .map(|(p, panel)| {
            let rows = &w[p * LANES * k..n.min((p + 1) * LANES) * k];
            pack_weight_panel(isa, rows, k, feedback, panel)
        })
        .collect();
    (panels, columns)
}

const PLAIN: Epilogue<'static> = Epilogue {
    bias: None,
    activation: Activation::Linear,
    residual: None,
};

/// Rows like those of a model: some with a few elements far outside, one of zeros, one of tiny numbers, one of one sign.
fn rows(numbers: &mut Numbers, count: usize, k: usize) -> Vec<f32> {
    let mut x = numbers.take(count * k);
    for (r, row) in x.chunks_mut(k).enumerate() {
        match r % 6 {
            1 => row.iter_mut().step_by(97).for_each(|x| *x *= 60.0),
            2 => row.fill(0.0),
            3 => row.iter_mut().for_each(|x| *x *= 1e-20),
            4 => row.iter_mut().for_each(|x| *x = x.abs() + 0.5),
            5 => row[k / 2] = 1000.0,
            _ => {}
        }
    }
    x
}

#[test]
fn every_product_equals_its_definition_on_every_instruction_set_and_thread_count() {
    let pools = pools();
    let mut numbers = Numbers(11);
    for (k, n) in [
        (1, 1),
        (3, 15),
        (4, 16),
        (5, 17),
        (26, 33),
        (63, 31),
        (128, 65),
        (383, 48),
        (385, 49),
        (768, 50),
        (1030, 40),
    ] {
        let w = numbers.take(n * k);
        let whole = Whole::new(&w, k);
        for count in [1, 2, 5, 6, 7, 13, 29, 100] {
            let x = rows(&mut numbers, count, k);
            let (bias, residual) = (numbers.take(n), numbers.take(count * n));
            let products: Vec<f32> = x
                .chunks(k)
                .flat_map(|row| by_definition(row, &whole))
                .collect();
            let expected: Vec<f32> = products
                .iter()
                .enumerate()
                .map(|(i, y)| residual[i] + (y + bias[i % n]))
                .collect();
            for isa in Isa::available() {
                let (panels, columns) = pack(isa, &w, n, k, None);
                for pool in &pools {
                    let mut y = vec![f32::NAN; count * n];
                    let epilogue = Epilogue {
                        bias: Some(&bias),
                        activation: Activation::Linear,
                        residual: Some(&residual),
                    };
                    let packed = Packed {
                        panels: &panels,
                        columns: &columns,
                        rows: n,
                        cols: k,
                    };
                    linear(isa, pool, &x, packed, epilogue, &mut y, &mut scratch(pool));
                    assert_eq!(
                        bits(&y),
                        bits(&expected),
                        "{isa:?}, {} threads, [{count}, {k}] x [{n}, {k}]",
                        pool.threads()
                    );
                }
            }
        }
    }
}

#[test]
fn rows_become_the_numbers_of_their_definition() {
    let (n, k) = (13, 53);
    let mut w = Numbers(12).take(n * k);
    w[2 * k..3 * k].fill(0.0);
    let whole = Whole::new(&w, k);
    for isa in Isa::available() {
        let mut panel = vec![Words::default(); k.div_ceil(4)];
        let mut numbers = vec![0; n * k];
        let columns = quantize_rows(isa, &w, k, None, &mut panel, &mut numbers);
        assert_eq!(numbers, whole.numbers, "{isa:?}");
        assert_eq!(bits(&columns.scales.0[..n]), bits(&whole.scales), "{isa:?}");
    }
}

#[test]
fn the_largest_numbers_do_not_saturate() {
    // All products are 255 · 127 of one sign: 16-bit sums of two would overflow.
    let (k, n) = (3072, 16);
    let (x, w) = (vec![1.0; k], vec![1.0; n * k]);
    for isa in Isa::available() {
        let pool = &pools()[0];
        let (panels, columns) = pack(isa, &w, n, k, None);
        let packed = Packed {
            panels: &panels,
            columns: &columns,
            rows: n,
            cols: k,
        };
        let mut y = vec![0.0; n];
        linear(isa, pool, &x, packed, PLAIN, &mut y, &mut scratch(pool));
        for y in y {
            assert!((y / k as f32 - 1.0).abs() < 1e-4, "{isa:?}: {y} of {k}");
        }
    }
}

/// Relative RMS error of a product against f64.
fn error(x: &[f32], w: &[f32], k: usize, feedback: Option<&Feedback>) -> f64 {
    let (isa, pool) = (Isa::best(), &pools()[0]);
    let (rows, n) = (x.len() / k, w.len() / k);
    let (panels, columns) = pack(isa, w, n, k, feedback);
    let packed = Packed {
        panels: &panels,
        columns: &columns,
        rows: n,
        cols: k,
    };
    let mut y = vec![0.0; rows * n];
    linear(isa, pool, x, packed, PLAIN, &mut y, &mut scratch(pool));
    let (mut off, mut size) = (0.0, 0.0);
    for (i, y) in y.iter().enumerate() {
        let (x, w) = (&x[i / n * k..][..k], &w[i % n * k..][..k]);
        let exact: f64 = x
            .iter()
            .zip(w)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum();
        off += (f64::from(*y) - exact).powi(2);
        size += exact.powi(2);
    }
    (off / size).sqrt()
}

#[test]
fn a_few_elements_far_outside_cost_no_precision() {
    let (k, n) = (768, 64);
    let mut numbers = Numbers(5);
    let w = numbers.take(n * k);
    let mut x = numbers.take(20 * k);
    let calm = error(&x, &w, k, None);
    for row in x.chunks_mut(k) {
        for i in 0..6 {
            row[i * 128 + 3] = 50.0 * if i % 2 == 0 { 1.0 } else { -1.0 };
        }
    }
    let wild = error(&x, &w, k, None);
    assert!(calm > 1e-3 && calm < 6e-3, "{calm:e}");
    assert!(wild < 6e-3, "{wild:e}");
    // More of them than can be clipped: the others lose, and this test would see it.
    for row in x.chunks_mut(k) {
        row.iter_mut().step_by(20).for_each(|x| *x = 50.0);
    }
    let lost = error(&x, &w, k, None);
    assert!(lost > 1.5 * wild, "{lost:e}");
}

#[test]
fn not_a_number_stays_visible() {
    let (k, n) = (20, 16);
    let mut numbers = Numbers(6);
    let (mut x, mut w) = (numbers.take(2 * k), numbers.take(n * k));
    x[3] = f32::NAN;
    w[5 * k] = f32::INFINITY;
    for isa in Isa::available() {
        let pool = &pools()[0];
        let (panels, columns) = pack(isa, &w, n, k, None);
        let packed = Packed {
            panels: &panels,
            columns: &columns,
            rows: n,
            cols: k,
        };
        let mut y = vec![0.0; 2 * n];
        linear(isa, pool, &x, packed, PLAIN, &mut y, &mut scratch(pool));
        assert!(
            y[..n].iter().all(|y| y.is_nan()),
            "{isa:?}: the row with NaN"
        );
        for (i, y) in y[n..].iter().enumerate() {
            assert_eq!(y.is_nan(), i == 5, "{isa:?}: column {i} is {y}");
        }
    }
}

#[test]
fn quantised_weights_are_quantised_to_themselves() {
    let (n, k) = (37, 50);
    let mut w = Numbers(8).take(n * k);
    w[..k].fill(0.0);
    w[k..2 * k].iter_mut().for_each(|w| *w *= 1e-30);
    w[2 * k..3 * k].iter_mut().for_each(|w| *w *= 1e30);
    let mean = vec![vec![1.0; k]];
    let feedback = Feedback::new(&mean, &vec![0.1; k]).unwrap();
    for isa in Isa::available() {
        for feedback in [None, Some(&feedback)] {
            let (panels, columns) = pack(isa, &w, n, k, feedback);
            let packed = Packed {
                panels: &panels,
                columns: &columns,
                rows: n,
                cols: k,
            };
            let mut once = vec![0.0; n * k];
            for (row, out) in once.chunks_mut(k).enumerate() {
                packed.unpack_row(row, out);
            }
            for again in [None, feedback] {
                let (p, c) = pack(isa, &once, n, k, again);
                assert_eq!(p, panels, "{isa:?}: whole numbers");
                for (a, b) in c.iter().zip(&columns) {
                    assert_eq!(bits(&a.scales.0), bits(&b.scales.0), "{isa:?}: scales");
                    assert_eq!(a.sums, b.sums, "{isa:?}: sums");
                }
            }
            // Every weight is at most half a step off, without feedback.
            let half = |row: usize| 0.5001 * columns[row / LANES].scales.0[row % LANES];
            if feedback.is_none() {
                for (i, (a, b)) in w.iter().zip(&once).enumerate() {
                    assert!((a - b).abs() <= half(i / k), "weight {i}: {a} became {b}");
                }
            }
        }
    }
}

#[test]
fn feedback_cancels_errors_along_the_means_and_gives_equal_bits() {
    let (k, n) = (300, 40);
    let mut numbers = Numbers(9);
    let w = numbers.take(n * k);
    // Two applications, whose inputs lie around two means.
    let means: Vec<Vec<f64>> = (0..2)
        .map(|_| numbers.take(k).into_iter().map(f64::from).collect())
        .collect();
    let deviation = 0.3;
    let mut x = Vec::new();
    for i in 0..40 {
        let noise = numbers.take(k);
        let mean = &means[i % 2];
        x.extend(
            noise
                .iter()
                .zip(mean)
                .map(|(e, m)| (f64::from(e * deviation) + m) as f32),
        );
    }
    let variance = vec![f64::from(deviation).powi(2) / 3.0; k];
    let feedback = Feedback::new(&means, &variance).unwrap();
    assert_eq!(feedback.inputs(), k);

    // The errors of the weights alone: their products with the mean inputs.
    let along = |feedback: Option<&Feedback>| {
        let (panels, columns) = pack(Isa::best(), &w, n, k, feedback);
        let packed = Packed {
            panels: &panels,
            columns: &columns,
            rows: n,
            cols: k,
        };
        let mut row = vec![0.0; k];
        let mut sum = 0.0;
        for i in 0..n {
            packed.unpack_row(i, &mut row);
            for mean in &means {
                let off: f64 = (0..k)
                    .map(|j| (f64::from(row[j]) - f64::from(w[i * k + j])) * mean[j])
                    .sum();
                sum += off * off;
            }
        }
        sum.sqrt()
    };
    let (plain, better) = (along(None), along(Some(&feedback)));
    assert!(better < 0.1 * plain, "{better:e} of {plain:e}");
    let (plain, better) = (error(&x, &w, k, None), error(&x, &w, k, Some(&feedback)));
    assert!(better < plain, "{better:e} of {plain:e}");

    let (panels, _) = pack(Isa::PORTABLE, &w, n, k, Some(&feedback));
    for isa in Isa::available() {
        assert_eq!(pack(isa, &w, n, k, Some(&feedback)).0, panels, "{isa:?}");
    }
    // Nothing is known from inputs that were always 0, or none.
    assert!(Feedback::new(&[vec![0.0; 3]], &[0.0; 3]).is_none());
    assert!(Feedback::new(&[], &[1.0]).is_none());
    assert!(Feedback::new(&[vec![f64::NAN]], &[1.0]).is_none());
}
