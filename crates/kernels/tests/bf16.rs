//! Products in bfloat16 against their numeric definition, term by term.

mod common;

use albert_kernels::bf16::{
    Packed, linear, pack_transposed_panel, pack_weight_panel, packed_len, product_of, round,
};
use albert_kernels::gemm::{CHAIN, Epilogue, Left, Target};
use albert_kernels::pack::{LANES, Words};
use albert_kernels::{Activation, Isa};
use common::{Numbers, bits, pools, scratch};

/// Two fused multiply-adds for each pair, the odd element first, subnormal numbers taken and given as 0: what
/// `VDPBF16PS` computes.
fn pair(sum: f32, x: [f32; 2], w: [f32; 2]) -> f32 {
    let flush = |x: f32| {
        if x.is_subnormal() {
            0.0f32.copysign(x)
        } else {
            x
        }
    };
    let first = flush(flush(x[1]).mul_add(flush(w[1]), sum));
    flush(flush(x[0]).mul_add(flush(w[0]), first))
}

/// Of 16 pairs the even and the odd elements in a chain each, from zero; the sum of both: what `TDPBF16PS` adds.
fn tile_row(x: &[[f32; 2]], w: &[[f32; 2]]) -> f32 {
    let chain = |element: usize| {
        let terms = x.iter().zip(w);
        terms.fold(0.0, |sum, (x, w)| x[element].mul_add(w[element], sum))
    };
    chain(0) + chain(1)
}

/// Chains of [`CHAIN`] terms from zero, added in order; with tiles, rows of tiles.
fn by_definition(isa: Isa, x: &[f32], w: &[f32]) -> f32 {
    let rounded = |x: &[f32]| {
        let mut x: Vec<f32> = x.iter().map(|x| round(*x)).collect();
        x.resize(x.len().next_multiple_of(2), 0.0);
        x
    };
    let (x, w) = (rounded(x), rounded(w));
    if isa.name() == "amx" {
        let (x, w) = (x.as_chunks().0.chunks(16), w.as_chunks().0.chunks(16));
        return x.zip(w).fold(0.0, |sum, (x, w)| sum + tile_row(x, w));
    }
    let chains = x.chunks(CHAIN).zip(w.chunks(CHAIN)).map(|(x, w)| {
        let pairs = x.as_chunks().0.iter().zip(w.as_chunks().0);
        pairs.fold(0.0, |sum, (x, w)| pair(sum, *x, *w))
    });
    chains.reduce(|total, chain| total + chain).unwrap()
}

fn pack(isa: Isa, w: &[f32], n: usize, k: usize) -> Vec<Words> {
    let mut panels = vec![Words([-1; LANES]); packed_len(n, k)];
    for (p, panel) in panels.chunks_mut(k.div_ceil(2)).enumerate() {
        let rows = &w[p * LANES * k..n.min((p + 1) * LANES) * k];
        pack_weight_panel(isa, rows, k, panel);
    }
    panels
}

#[test]
fn every_product_equals_its_definition_on_every_instruction_set_and_thread_count() {
    let pools = pools();
    let mut numbers = Numbers(21);
    for (k, n) in [
        (1, 1),
        (2, 15),
        (3, 16),
        (63, 17),
        (64, 33),
        (65, 31),
        (191, 48),
        (193, 49),
        (384, 50),
        (1030, 40),
    ] {
        let mut w = numbers.take(n * k);
        for count in [1, 2, 5, 6, 7, 13, 29, 100] {
            let mut x = numbers.take(count * k);
            // Numbers whose products would be subnormal, and some that are so themselves.
            x.iter_mut().step_by(7).for_each(|x| *x *= 1e-30);
            x.iter_mut().step_by(11).for_each(|x| *x *= 1e-15);
            w.iter_mut().step_by(5).for_each(|x| *x *= 1e-12);
            let (bias, residual) = (numbers.take(n), numbers.take(count * n));
            for isa in Isa::available() {
                let expected: Vec<f32> = (0..count * n)
                    .map(|i| {
                        let y = by_definition(isa, &x[i / n * k..][..k], &w[i % n * k..][..k]);
                        residual[i] + (y + bias[i % n])
                    })
                    .collect();
                let panels = pack(isa, &w, n, k);
                for pool in &pools {
                    let mut y = vec![f32::NAN; count * n];
                    let epilogue = Epilogue {
                        bias: Some(&bias),
                        activation: Activation::Linear,
                        residual: Some(&residual),
                    };
                    let packed = Packed {
                        panels: &panels,
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

/// Products over the rows of both operands, as gradients of weights are: columns on the left, a transpose on the right.
#[test]
fn products_over_rows_equal_their_definition_and_are_added() {
    let pools = pools();
    let mut numbers = Numbers(23);
    for (t, n, k) in [
        (1, 1, 1),
        (2, 17, 15),
        (7, 33, 17),
        (64, 48, 100),
        (65, 130, 31),
        (301, 50, 64),
    ] {
        let (gradient, x, before) = (
            numbers.take(t * n),
            numbers.take(t * k),
            numbers.take(n * k),
        );
        let column = |from: &[f32], cols: usize, i: usize| -> Vec<f32> {
            from.chunks(cols).map(|row| row[i]).collect()
        };
        for isa in Isa::available() {
            let expected: Vec<f32> = (0..n * k)
                .map(|i| {
                    let (row, line) = (column(&gradient, n, i / k), column(&x, k, i % k));
                    before[i] + by_definition(isa, &row, &line)
                })
                .collect();
            let mut panels = vec![Words([-1; LANES]); packed_len(k, t)];
            for (p, panel) in panels.chunks_mut(t.div_ceil(2)).enumerate() {
                pack_transposed_panel(isa, &x, k, p, panel);
            }
            let packed = Packed {
                panels: &panels,
                rows: k,
                cols: t,
            };
            for pool in &pools {
                let mut y = before.clone();
                let to = Target {
                    values: &mut y,
                    add: true,
                };
                let epilogue = Epilogue {
                    bias: None,
                    activation: Activation::Linear,
                    residual: None,
                };
                let left = Left::Columns(&gradient);
                product_of(isa, pool, left, packed, epilogue, to, &mut scratch(pool));
                assert_eq!(bits(&y), bits(&expected), "{isa:?}, {t} rows, [{n}, {k}]");
            }
        }
    }
}

/// Ten million pairs of every size: after rounding, two fused multiply-adds never meet a subnormal number, so that
/// flushing changes nothing.
#[test]
fn rounded_numbers_need_no_flushing() {
    let mut state = 7u64;
    let mut bits32 = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    let edge = [
        0.0,
        -0.0,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
        f32::MAX,
        f32::INFINITY,
        2f32.powi(-56),
        -(2f32.powi(-56)),
        1.0,
        -1.0,
    ];
    let mut sum = 0.0f32;
    let mut subnormal = 0;
    for i in 0..10_000_000u32 {
        let mut next = |j: u32| {
            let bits = bits32();
            if (i ^ j).is_multiple_of(16) {
                edge[bits as usize % edge.len()]
            } else {
                f32::from_bits(bits)
            }
        };
        let raw = [next(0), next(1), next(2), next(3)];
        subnormal += raw.iter().filter(|x| x.is_subnormal()).count();
        let [a, b, c, d] = raw.map(round);
        if i % 8 == 0 || !sum.is_finite() {
            sum = 0.0;
        }
        let plain = a.mul_add(c, b.mul_add(d, sum));
        let flushed = pair(sum, [a, b], [c, d]);
        if plain.is_nan() {
            assert!(flushed.is_nan());
        } else {
            assert_eq!(
                plain.to_bits(),
                flushed.to_bits(),
                "pair {i}: {a:e} · {c:e} + {b:e} · {d:e} + {sum:e}"
            );
        }
        sum = plain;
    }
    assert!(
        subnormal > 10_000,
        "only {subnormal} subnormal numbers tried"
    );
}

#[test]
fn rounding_is_to_nearest_even_with_a_floor() {
    let cases = [
        (1.0, 1.0),
        (1.0 + 1.0 / 256.0, 1.0),
        (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
        (1.003_906_4, 1.007_812_5),
        (-2.5, -2.5),
        (f32::MAX, f32::INFINITY),
        (2f32.powi(-56), 2f32.powi(-56)),
        (0.99 * 2f32.powi(-56), 0.0),
        (1e-45, 0.0),
    ];
    for (x, y) in cases {
        assert_eq!(round(x), y, "{x:e}");
    }
    assert!(round(f32::NAN).is_nan() && round(f32::from_bits(0x7f80_0001)).is_nan());
    assert_eq!(round(f32::NEG_INFINITY), f32::NEG_INFINITY);
}

#[test]
fn panels_give_their_rounded_rows_back() {
    let (n, k) = (37, 29);
    let w = Numbers(4).take(n * k);
    for isa in Isa::available() {
        let panels = pack(isa, &w, n, k);
        let packed = Packed {
            panels: &panels,
            rows: n,
            cols: k,
        };
        let mut row = vec![0.0; k];
        for i in 0..n {
            packed.unpack_row(i, &mut row);
            let expected: Vec<f32> = w[i * k..][..k].iter().map(|w| round(*w)).collect();
            assert_eq!(row, expected, "{isa:?}, row {i}");
        }
    }
}
