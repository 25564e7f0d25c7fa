//! Linear layers against their numeric definition, term by term, and against f64.

mod common;

use albert_kernels::gemm::{CHAIN, Epilogue, Packed, linear};
use albert_kernels::pack::unpack_row;
use albert_kernels::{Activation, Isa};
use common::{Numbers, bits, pack, pools, scratch};

/// The definition: chains of fused multiply-adds, added in order.
fn by_definition(x: &[f32], w: &[f32]) -> f32 {
    let chains = x.chunks(CHAIN).zip(w.chunks(CHAIN)).map(|(x, w)| {
        x.iter()
            .zip(w)
            .fold(0.0, |sum, (x, w)| f32::mul_add(*x, *w, sum))
    });
    chains.reduce(|total, chain| total + chain).unwrap()
}

/// Rows, inputs and outputs around every tile, panel, chain and block boundary.
const ROWS: [usize; 10] = [1, 2, 5, 6, 7, 13, 14, 15, 29, 100];
const SIZES: [(usize, usize); 12] = [
    (1, 1),
    (3, 15),
    (16, 16),
    (17, 33),
    (63, 31),
    (64, 32),
    (65, 64),
    (128, 65),
    (256, 48),
    (257, 100),
    (512, 17),
    (1030, 40),
];

#[test]
fn every_product_equals_its_definition_on_every_instruction_set_and_thread_count() {
    let pools = pools();
    let mut numbers = Numbers(1);
    for (k, n) in SIZES {
        let w = numbers.take(n * k);
        for rows in ROWS {
            let x = numbers.take(rows * k);
            let (bias, residual) = (numbers.take(n), numbers.take(rows * n));
            let expected: Vec<f32> = (0..rows * n)
                .map(|i| {
                    let (row, col) = (i / n, i % n);
                    residual[i]
                        + (by_definition(&x[row * k..][..k], &w[col * k..][..k]) + bias[col])
                })
                .collect();
            for isa in Isa::available() {
                let panels = pack(isa, &w, n, k);
                for pool in &pools {
                    let mut y = vec![f32::NAN; rows * n];
                    let epilogue = Epilogue {
                        bias: Some(&bias),
                        activation: Activation::Linear,
                        residual: Some(&residual),
                    };
                    linear(
                        isa,
                        pool,
                        &x,
                        Packed {
                            panels: &panels,
                            rows: n,
                            cols: k,
                        },
                        epilogue,
                        &mut y,
                        &mut scratch(pool),
                    );
                    assert_eq!(
                        bits(&y),
                        bits(&expected),
                        "{isa:?}, {} threads, [{rows}, {k}] x [{n}, {k}]",
                        pool.threads()
                    );
                }
            }
        }
    }
}

#[test]
fn large_batches_split_by_rows_equal_their_definition() {
    let (rows, k, n) = (900, 130, 70);
    let mut numbers = Numbers(2);
    let (x, w) = (numbers.take(rows * k), numbers.take(n * k));
    for isa in Isa::available() {
        let panels = pack(isa, &w, n, k);
        for pool in &pools() {
            let mut y = vec![f32::NAN; rows * n];
            let epilogue = Epilogue {
                bias: None,
                activation: Activation::Linear,
                residual: None,
            };
            linear(
                isa,
                pool,
                &x,
                Packed {
                    panels: &panels,
                    rows: n,
                    cols: k,
                },
                epilogue,
                &mut y,
                &mut scratch(pool),
            );
            for (i, y) in y.iter().enumerate() {
                let expected = by_definition(&x[i / n * k..][..k], &w[i % n * k..][..k]);
                assert_eq!(y.to_bits(), expected.to_bits(), "{isa:?}, element {i}");
            }
        }
    }
}

#[test]
fn the_error_against_f64_stays_below_its_bound() {
    // Each of the CHAIN + K/CHAIN roundings is at most 2⁻²⁴ of a partial sum, which is at most Σ|x·w|.
    let (k, n) = (1030, 40);
    let mut numbers = Numbers(3);
    let (x, w) = (numbers.take(k), numbers.take(n * k));
    for col in 0..n {
        let w = &w[col * k..][..k];
        let exact: f64 = x
            .iter()
            .zip(w)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum();
        let size: f64 = x
            .iter()
            .zip(w)
            .map(|(x, w)| (f64::from(*x) * f64::from(*w)).abs())
            .sum();
        let bound = (CHAIN + k.div_ceil(CHAIN)) as f64 * 2f64.powi(-24) * size;
        let error = (f64::from(by_definition(&x, w)) - exact).abs();
        assert!(
            error <= bound && error > 0.0,
            "column {col}: error {error:e}, bound {bound:e}"
        );
    }
}

#[test]
fn panels_give_their_rows_back() {
    let (rows, cols) = (37, 29);
    let w = Numbers(4).take(rows * cols);
    for isa in Isa::available() {
        let panels = pack(isa, &w, rows, cols);
        let mut row = vec![0.0; cols];
        for i in 0..rows {
            unpack_row(&panels, cols, i, &mut row);
            assert_eq!(row, w[i * cols..][..cols], "{isa:?}, row {i}");
        }
    }
}

#[test]
#[should_panic(expected = "panels of 16 x 8")]
fn a_wrong_size_is_our_bug_and_panics() {
    let pool = &pools()[0];
    let epilogue = Epilogue {
        bias: None,
        activation: Activation::Linear,
        residual: None,
    };
    linear(
        Isa::PORTABLE,
        pool,
        &[0.0; 8],
        Packed {
            panels: &[],
            rows: 16,
            cols: 8,
        },
        epilogue,
        &mut [0.0; 16],
        &mut scratch(pool),
    );
}
