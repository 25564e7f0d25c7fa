//! y = act(x · Wᵀ + b) with both operands rounded to bfloat16 and sums in f32.
//!
//! Rounding is to nearest, ties to even; magnitudes below 2⁻⁵⁶ become 0, so that no product and no sum is ever subnormal:
//! instructions for bfloat16 flush those to zero. Sums are those of [`crate::gemm`], but for the order inside of each
//! pair: element 2i + 1 comes before element 2i, as `VDPBF16PS` adds them.
//!
//! AMX adds in an order of its own, that no other instruction has: of each 32 terms the even and the odd elements are two
//! chains of fused multiply-adds from zero, in increasing k; their sum is added to the total.

use std::ops::Range;

use crate::Isa;
use crate::activation::Finish;
use crate::gemm::{CHAIN, Epilogue, Left, LinearTask, Operands, PART, Target, Terms};
use crate::pack::{LANES, Line, pack_panel};
use crate::parallel::Pool;
use crate::scratch::Scratch;
use crate::simd::{
    GROUP, Kernel, PairKernel, PairTiles, PairTilesKernel, Pairs, Simd, Tiles, Words,
};

/// Magnitudes below this become 0.
const SMALLEST: f32 = f32::from_bits((127 - 56) << 23);

/// Lines of a matrix [rows, cols] packed in panels of 16 rows.
pub const fn packed_len(rows: usize, cols: usize) -> usize {
    rows.div_ceil(LANES) * cols.div_ceil(2)
}

/// The nearest bfloat16, as f32.
#[inline(always)]
pub fn round(x: f32) -> f32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // NaN must not become ∞, nor −0.
    let bits = if x.is_nan() {
        bits | 0x0040_0000
    } else {
        nearest
    };
    let rounded = f32::from_bits(bits & 0xffff_0000);
    if x.abs() < SMALLEST { 0.0 } else { rounded }
}

/// Packs rows `16·p …` of a row-major matrix (`rows`: at most 16 complete rows of `cols` elements) into panel p: word k of
/// a column holds its elements 2k, in the lower half, and 2k + 1; missing ones are zero.
///
/// # Panics
/// When the sizes do not fit.
pub fn pack_weight_panel(isa: Isa, rows: &[f32], cols: usize, panel: &mut [Words]) {
    assert!(
        cols > 0 && rows.len() <= LANES * cols && rows.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        rows.len()
    );
    assert_eq!(panel.len(), cols.div_ceil(2), "a panel of {cols} columns");
    struct Pack<'a>(&'a [f32], usize, &'a mut [Words]);
    impl Kernel for Pack<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, _: S) {
            let Pack(rows, cols, panel) = self;
            for words in panel.iter_mut() {
                *words = Words::default();
            }
            for (r, row) in rows.chunks_exact(cols).enumerate() {
                for (words, pair) in panel.iter_mut().zip(row.chunks(2)) {
                    words.0[r] = word(pair[0], pair.get(1).copied().unwrap_or_default()) as i32;
                }
            }
        }
    }
    isa.run(Pack(rows, cols, panel));
}

/// Packs columns `16·p …` of a row-major matrix [rows, cols] into panel p of its transpose: word k holds rows 2k and 2k + 1;
/// missing rows and columns are zero.
///
/// # Panics
/// When the sizes do not fit.
pub fn pack_transposed_panel(isa: Isa, from: &[f32], cols: usize, p: usize, panel: &mut [Words]) {
    let rows = from.len() / cols;
    assert_eq!(
        (from.len(), panel.len()),
        (rows * cols, rows.div_ceil(2)),
        "panel of {rows} rows of {cols}"
    );
    struct Pack<'a>(&'a [f32], usize, Range<usize>, &'a mut [Words]);
    impl Kernel for Pack<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, _: S) {
            let Pack(from, cols, part, panel) = self;
            for (words, rows) in panel.iter_mut().zip(from.chunks(2 * cols)) {
                let (even, odd) = rows.split_at(cols);
                let odd = odd.get(part.clone()).unwrap_or_default();
                *words = pair_columns(&even[part.clone()], odd);
            }
        }
    }
    let part = p * LANES..cols.min((p + 1) * LANES);
    isa.run(Pack(from, cols, part, panel));
}

/// A weight matrix [rows, cols] (output features, input features) in panels.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// `packed_len(rows, cols)` lines, as [`pack_weight_panel`] writes them.
    pub panels: &'a [Words],
    /// Output features N.
    pub rows: usize,
    /// Input features K.
    pub cols: usize,
}

impl<'a> Packed<'a> {
    fn panel(&self, p: usize) -> &'a [Words] {
        let words = self.cols.div_ceil(2);
        &self.panels[p * words..][..words]
    }

    /// Row `row` as f32.
    pub fn unpack_row(&self, row: usize, out: &mut [f32]) {
        for (out, words) in out.chunks_mut(2).zip(self.panel(row / LANES)) {
            let word = words.0[row % LANES] as u32;
            for (out, bits) in out.iter_mut().zip([word << 16, word & 0xffff_0000]) {
                *out = f32::from_bits(bits);
            }
        }
    }
}

/// y [T, N] = epilogue(x [T, K] · Wᵀ).
///
/// # Panics
/// When sizes do not match: our bug, not the caller's data.
pub fn linear(
    isa: Isa,
    pool: &Pool,
    x: &[f32],
    w: Packed<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    scratch: &mut [Scratch],
) {
    let y = Target {
        values: y,
        add: false,
    };
    product_of(isa, pool, Left::Rows(x), w, epilogue, y, scratch);
}

/// y [T, N] = epilogue(x [T, K] · Wᵀ), or that added to y.
///
/// # Panics
/// When sizes do not match: our bug, not the caller's data.
pub fn product_of(
    isa: Isa,
    pool: &Pool,
    x: Left<'_>,
    w: Packed<'_>,
    epilogue: Epilogue<'_>,
    y: Target<'_>,
    scratch: &mut [Scratch],
) {
    let (k, n) = (w.cols, w.rows);
    assert_eq!(w.panels.len(), packed_len(n, k), "panels of {n} x {k}");
    let operands = Operands {
        x,
        panels: w.panels,
        rows: n,
        cols: k,
    };
    operands.for_tasks(pool, epilogue, y, scratch, |task| isa.run_pairs(task));
}

impl PairKernel for LinearTask<'_, Words> {
    #[inline(always)]
    fn eval<S: Simd, P: Pairs<S>>(self, s: S, pairs: P) {
        self.multiply(s, ByPairs(pairs));
    }
}

impl PairTilesKernel for LinearTask<'_, Words> {
    #[inline(always)]
    fn eval<S: Simd, T: PairTiles>(self, s: S, tiles: T) {
        let Self {
            operands,
            epilogue,
            add,
            mut tile,
            scratch,
        } = self;
        let words = operands.cols.div_ceil(2);
        let stride = words.next_multiple_of(LANES);
        let (rows, cols) = (tile.rows(), tile.cols());
        let room = rows.len().next_multiple_of(LANES);
        let (a, sums) = scratch.get(room * stride, room * GROUP);
        let sums = sums.as_chunks_mut::<GROUP>().0;
        let mut ends = [[Words::default(); LANES]; GROUP];
        side_by_side(s, operands.x, rows.clone(), operands.cols, a);
        let mut col = cols.start;
        while col < cols.end {
            let col_end = cols.end.min(col + GROUP * LANES);
            let panels = (col_end - col).div_ceil(LANES);
            // Panels that are not there are the first one again.
            let b = std::array::from_fn(|j| {
                let panel = col / LANES + if j < panels { j } else { 0 };
                &operands.panels[panel * words..][..words]
            });
            sums.fill(Default::default());
            let all = Tiles {
                a: &*a,
                stride,
                b,
                to: &mut *sums,
            };
            all.add_all(&mut ends, |part| tiles.add(part));
            let then = Finish {
                sums: &mut sums[..rows.len()],
                bias: epilogue.bias.map(|b| &b[col..col_end]),
                residual: epilogue.residual.map(|r| (r, operands.rows)),
                add,
            };
            epilogue.activation.finish(s, then, &mut tile, col..col_end);
            col = col_end;
        }
    }
}

/// Rows of `x` [T, K] as pairs, each row in whole blocks of 16 words, zeros at its end.
#[inline(always)]
fn side_by_side<S: Simd>(s: S, x: Left<'_>, rows: Range<usize>, k: usize, out: &mut [f32]) {
    let words = k.div_ceil(2);
    let width = words.next_multiple_of(LANES);
    match x {
        Left::Rows(x) => {
            let rows = x[rows.start * k..rows.end * k].chunks_exact(k);
            for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
                let (out, beyond) = out.split_at_mut(words);
                let (pairs, last) = row.as_chunks::<2>();
                for (out, [even, odd]) in out.iter_mut().zip(pairs) {
                    *out = f32::from_bits(word(*even, *odd));
                }
                if let [even] = last {
                    out[words - 1] = f32::from_bits(word(*even, 0.0));
                }
                beyond.fill(0.0);
            }
        }
        Left::Columns(x) => {
            let stride = x.len() / k;
            for first in rows.clone().step_by(LANES) {
                let cols = first..rows.end.min(first + LANES);
                for (block, pairs) in x.chunks(2 * LANES * stride).enumerate() {
                    let mut lines = [s.splat(0.0); LANES];
                    for (line, pair) in lines.iter_mut().zip(pairs.chunks(2 * stride)) {
                        let (even, odd) = pair.split_at(stride);
                        let odd = odd.get(cols.clone()).unwrap_or_default();
                        let words = pair_columns(&even[cols.clone()], odd);
                        *line = s.load(&words.0.map(|word| f32::from_bits(word as u32)));
                    }
                    for (i, row) in s.transpose(lines).into_iter().take(cols.len()).enumerate() {
                        let at = (first - rows.start + i) * width + block * LANES;
                        s.store_partial(row, &mut out[at..at + LANES]);
                    }
                }
            }
        }
    }
}

/// The terms of a product of bfloat16.
#[derive(Clone, Copy)]
struct ByPairs<P>(P);

impl<S: Simd, P: Pairs<S>> Terms<S> for ByPairs<P> {
    type Stored = Words;
    type Line = P::Line;
    type Factor = P::Factor;
    const PARTS: usize = P::STEPS * CHAIN / 2 / PART;
    const STEPS: usize = P::STEPS;

    fn stored(k: usize) -> usize {
        k.div_ceil(2)
    }

    fn block(rows: usize) -> usize {
        P::block(rows)
    }

    fn room(count: usize, k: usize) -> usize {
        count * k.div_ceil(2) * P::STEPS
    }

    fn wide(stored: usize) -> usize {
        if P::STEPS == 1 { 0 } else { P::STEPS * stored }
    }

    #[inline(always)]
    fn pack(
        s: S,
        x: Left<'_>,
        (first, count): (usize, usize),
        k: usize,
        panel: &mut [f32],
        room: &mut [f32],
    ) {
        let steps = k.div_ceil(2) * P::STEPS;
        match x {
            Left::Rows(x) => {
                let mut slices: [&[f32]; LANES] = [&[]; LANES];
                let rooms = room.chunks_exact_mut(steps).take(count);
                for (i, (slice, room)) in slices.iter_mut().zip(rooms).enumerate() {
                    let row = &x[(first + i) * k..][..k];
                    pair_row::<S, P>(row, room);
                    *slice = room;
                }
                pack_panel(s, &slices[..count], count, panel);
            }
            Left::Columns(x) => {
                let stride = x.len() / k;
                let cols = first..stride.min(first + LANES);
                for (i, rows) in x.chunks(2 * stride).enumerate() {
                    let (even, odd) = rows.split_at(stride);
                    let odd = odd.get(cols.clone()).unwrap_or_default();
                    let pairs = pair_columns(&even[cols.clone()], odd);
                    for (step, chunk) in P::apart(pairs).as_ref().iter().enumerate() {
                        let at = (i * P::STEPS + step) * count;
                        s.store_partial(s.load(chunk), &mut panel[at..at + LANES]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn ready<'a>(s: S, stored: &'a [Words], wide: &'a mut [Line]) -> &'a [P::Line] {
        P::ready(s, stored, wide)
    }

    #[inline(always)]
    fn load(s: S, line: &P::Line) -> P::Factor {
        P::load(s, line)
    }

    #[inline(always)]
    fn splat(s: S, x: f32) -> P::Factor {
        P::splat(s, x)
    }

    #[inline(always)]
    fn add(self, s: S, sum: S::V, x: P::Factor, w: P::Factor) -> S::V {
        self.0.add(s, sum, x, w)
    }
}

/// Two numbers rounded to bfloat16 in one word, the even one in the lower half.
#[inline(always)]
fn word(even: f32, odd: f32) -> u32 {
    round(even).to_bits() >> 16 | round(odd).to_bits()
}

/// The pairs of one row, each in as many numbers as it takes steps.
#[inline(always)]
fn pair_row<S: Simd, P: Pairs<S>>(row: &[f32], out: &mut [f32]) {
    let (pairs, last) = row.as_chunks::<2>();
    if P::STEPS == 1 {
        for (out, [even, odd]) in out.iter_mut().zip(pairs) {
            *out = f32::from_bits(word(*even, *odd));
        }
    } else {
        for (out, [even, odd]) in out.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            *out = [round(*odd), round(*even)];
        }
    }
    if let [even] = last {
        let at = pairs.len() * P::STEPS;
        match &mut out[at..] {
            [out] => *out = f32::from_bits(word(*even, 0.0)),
            out => out.copy_from_slice(&[0.0, round(*even)]),
        }
    }
}

/// Words of at most 16 columns of two rows; what is missing is zero.
#[inline(always)]
fn pair_columns(even: &[f32], odd: &[f32]) -> Words {
    let filled = |from: &[f32]| match from.first_chunk::<LANES>() {
        Some(chunk) => *chunk,
        None => {
            let mut chunk = [0.0; LANES];
            chunk[..from.len()].copy_from_slice(from);
            chunk
        }
    };
    let (even, odd) = (filled(even), filled(odd));
    let mut words = Words::default();
    for i in 0..LANES {
        words.0[i] = word(even[i], odd[i]) as i32;
    }
    words
}
