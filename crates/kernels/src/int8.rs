//! y = act(x · Wᵀ + b) in 8-bit whole numbers: how weights and activations become whole numbers, and their product.
//!
//! **Weights.** Row n of W [N, K] is s_n · q with q in −127 … 127. s_n is max|w|/127 rounded up to [`SCALE_BITS`]
//! significant bits, so that s_n · q is exact in f32 and what was quantised once is quantised again to the same numbers.
//!
//! **Activations.** Each row of x has its own scale s and zero point z: x ≈ s · (q − z) with q in 0 … 255, over
//! the range of the row and 0. Few elements far outside of the others would make s too large for those: where the
//! largest magnitude is more than [`OUTLIER_RATIO`] times the mean one, the range is halved as long as at most
//! [`OUTLIERS`] elements lie outside. Those are clipped, and what was cut off each, r, is multiplied in f32.
//!
//! **Product.** a = Σ q·w in whole numbers, exact. Then in f32, in this order: (a − z·Σw) · s, plus r · w for each clipped
//! element in increasing k (fused), times s_n. The rest is as in [`crate::gemm`]. No step depends on the instruction set.

use std::ops::Range;

use crate::Isa;
use crate::activation::Finish;
use crate::feedback::{Feedback, MOST_MEANS};
use crate::gemm::{Epilogue, GROUP, RowTiles, tasks};
use crate::math::ROUND;
use crate::pack::{LANES, Line, pack_panel};
use crate::parallel::{MatMut, Pool, TileMut};
use crate::scratch::{Scratch, WordScratch};
use crate::simd::{Dot, DotKernel, Kernel, Simd, Words};

/// Largest magnitude of a quantised weight.
pub const WEIGHT_MAX: f32 = 127.0;

/// Significant bits of a scale of weights: with the 7 bits of a weight not more than f32 has.
pub const SCALE_BITS: u32 = 16;

/// Elements of a row of activations that may be clipped.
pub const OUTLIERS: usize = 16;

/// How far the largest magnitude of a row is above the mean one before any element is clipped. Of normally distributed
/// numbers, 768 have a ratio of 4.
pub const OUTLIER_RATIO: f32 = 6.0;

/// How often the range may be halved.
const HALVINGS: usize = 10;

/// Ranges below this are taken as 0: their reciprocal could overflow.
const TINY: f32 = 1e-30;

/// Inputs K of a product whose sums stay within 32 bits.
pub const MAX_COLS: usize = i32::MAX as usize / (255 * 127);

/// Bytes of a word: weights of a column that are multiplied together.
const QUAD: usize = 4;

/// Words of one panel that are multiplied at a time where bytes must be widened first: widened, they stay in the
/// first-level cache.
const BLOCK: usize = 96;

/// Lines of a matrix [rows, cols] packed in panels of 16 rows.
pub const fn packed_len(rows: usize, cols: usize) -> usize {
    rows.div_ceil(LANES) * cols.div_ceil(QUAD)
}

/// The scale of a row of weights. NaN where a weight is not finite, 0 where all are 0.
#[inline(always)]
fn weight_scale(row: &[f32]) -> f32 {
    let top = row.iter().fold(0.0, |top: f32, w| top.max(w.abs()));
    if !row.iter().all(|w| w.is_finite()) {
        return f32::NAN;
    }
    let low = (1 << (f32::MANTISSA_DIGITS - SCALE_BITS)) - 1;
    f32::from_bits(((top / WEIGHT_MAX).to_bits() + low) & !low)
}

/// Quantises at most 16 complete rows of `cols` weights as [`pack_weight_panel`] does, into whole numbers in the same
/// order; `panel` is room to work in. A scale is NaN where a weight is not finite, 0 where all are 0.
///
/// # Panics
/// When the sizes do not fit.
pub fn quantize_rows(
    isa: Isa,
    rows: &[f32],
    cols: usize,
    feedback: Option<&Feedback>,
    panel: &mut [Words],
    out: &mut [i8],
) -> Columns {
    assert_eq!(rows.len(), out.len(), "rows of weights");
    let columns = pack_weight_panel(isa, rows, cols, feedback, panel);
    for (r, row) in out.chunks_exact_mut(cols).enumerate() {
        for (quad, words) in row.chunks_mut(QUAD).zip(&*panel) {
            for (q, byte) in quad.iter_mut().zip(words.0[r].to_le_bytes()) {
                *q = byte as i8;
            }
        }
    }
    columns
}

/// Packs rows `16·p …` of a row-major matrix (`rows`: at most 16 complete rows of `cols` elements) into panel p: word k
/// of a column holds its weights 4k … 4k + 3; missing ones are zero. With `feedback` a weight is rounded with regard to
/// those before it, see [`crate::feedback`]; weights that are whole multiples of their scale stay what they are.
///
/// # Panics
/// When the sizes do not fit.
pub fn pack_weight_panel(
    isa: Isa,
    rows: &[f32],
    cols: usize,
    feedback: Option<&Feedback>,
    panel: &mut [Words],
) -> Columns {
    assert!(
        cols > 0 && rows.len() <= LANES * cols && rows.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        rows.len()
    );
    assert_eq!(
        panel.len(),
        cols.div_ceil(QUAD),
        "a panel of {cols} columns"
    );
    if let Some(feedback) = feedback {
        assert_eq!(feedback.inputs(), cols, "feedback for {cols} columns");
    }
    isa.run(Pack {
        rows,
        cols,
        feedback,
        panel,
    })
}

struct Pack<'a> {
    rows: &'a [f32],
    cols: usize,
    feedback: Option<&'a Feedback>,
    panel: &'a mut [Words],
}

impl Kernel for Pack<'_> {
    type Output = Columns;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Columns {
        let mut columns = Columns::default();
        let mut divisors = [1.0; LANES];
        for (r, row) in self.rows.chunks_exact(self.cols).enumerate() {
            let scale = weight_scale(row);
            columns.scales.0[r] = scale;
            divisors[r] = if scale > 0.0 { scale } else { 1.0 };
        }
        let divisor = s.load(&divisors);
        let mut errors = [s.splat(0.0); MOST_MEANS];
        for (block, panel) in self.panel.chunks_mut(LANES / QUAD).enumerate() {
            let from = block * LANES;
            let upto = self.cols.min(from + LANES);
            let mut weights = [s.splat(0.0); LANES];
            for (v, row) in weights.iter_mut().zip(self.rows.chunks_exact(self.cols)) {
                *v = s.load_partial(&row[from..upto]);
            }
            let weights = s.transpose(weights);
            for (quad, words) in panel.iter_mut().enumerate() {
                *words = Words::default();
                for i in 0..QUAD {
                    let k = from + quad * QUAD + i;
                    if k >= upto {
                        break;
                    }
                    let w = weights[quad * QUAD + i];
                    let q = match self.feedback {
                        Some(f) => f.round(s, k, w, (divisor, WEIGHT_MAX), &mut errors),
                        None => s.div(w, divisor),
                    };
                    let mut whole = Words::default();
                    s.store_words(s.to_bits(s.add(q, s.splat(ROUND))), &mut whole);
                    for r in 0..LANES {
                        let q = whole.0[r] as i8;
                        columns.sums.0[r] += i32::from(q);
                        words.0[r] |= i32::from(q as u8) << (8 * i);
                    }
                }
            }
        }
        columns
    }
}

/// What belongs to the 16 columns of a panel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns {
    /// Scales s_n.
    pub scales: Line,
    /// Sums of the whole numbers.
    pub sums: Words,
}

/// A weight matrix [rows, cols] (output features, input features) in panels.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// `packed_len(rows, cols)` lines, as [`pack_weight_panel`] writes them.
    pub panels: &'a [Words],
    /// One for each panel.
    pub columns: &'a [Columns],
    /// Output features N.
    pub rows: usize,
    /// Input features K.
    pub cols: usize,
}

impl<'a> Packed<'a> {
    /// Words of a column.
    fn quads(&self) -> usize {
        self.cols.div_ceil(QUAD)
    }

    fn panel(&self, p: usize) -> &'a [Words] {
        &self.panels[p * self.quads()..][..self.quads()]
    }

    /// Row `row` as f32: its whole numbers times its scale, exact.
    pub fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let (p, lane) = (row / LANES, row % LANES);
        let scale = self.columns[p].scales.0[lane];
        for (out, words) in out.chunks_mut(QUAD).zip(self.panel(p)) {
            for (out, q) in out.iter_mut().zip(words.0[lane].to_le_bytes()) {
                *out = f32::from(q as i8) * scale;
            }
        }
    }
}

/// How a row of activations became whole numbers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Row {
    scale: f32,
    zero: i32,
    clipped: usize,
    /// Where the clipped elements stand …
    at: [u32; OUTLIERS],
    /// … and what was cut off.
    rest: [f32; OUTLIERS],
}

/// y [T, N] = epilogue(x [T, K] · Wᵀ).
///
/// # Panics
/// When sizes do not match or K is above [`MAX_COLS`]: our bug, not the caller's data.
pub fn linear(
    isa: Isa,
    pool: &Pool,
    x: &[f32],
    w: Packed<'_>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    scratch: &mut [Scratch],
) {
    let (k, n) = (w.cols, w.rows);
    assert!(k <= MAX_COLS, "{k} columns, at most {MAX_COLS}");
    assert_eq!(w.panels.len(), packed_len(n, k), "panels of {n} x {k}");
    assert_eq!(w.columns.len(), n.div_ceil(LANES), "columns of {n} x {k}");
    let rows = epilogue.check(x.len(), k, n);
    let grid = tasks(rows, k.div_ceil(2), n, pool.threads());
    pool.for_tiles(MatMut::new(y, rows, n), grid, scratch, |scratch, tile| {
        isa.run_dot(LinearTask {
            x,
            w,
            epilogue,
            tile,
            scratch,
        });
    });
}

struct LinearTask<'a> {
    x: &'a [f32],
    w: Packed<'a>,
    epilogue: Epilogue<'a>,
    tile: TileMut<'a>,
    scratch: &'a mut Scratch,
}

impl DotKernel for LinearTask<'_> {
    #[inline(always)]
    fn eval<S: Simd, D: Dot<S>>(self, s: S, dot: D) {
        let Self {
            x,
            w,
            epilogue,
            mut tile,
            scratch,
        } = self;
        let (k, quads) = (w.cols, w.quads());
        let steps = quads * D::STEPS;
        let (rows, cols) = (tile.rows(), tile.cols());
        let count = rows.len();
        let block = if D::STEPS == 1 { quads } else { BLOCK };
        let WordScratch {
            flat,
            lines,
            words,
            rows: quantized,
        } = scratch.words(
            (count + S::TILE_ROWS) * steps + 2 * LANES,
            count * GROUP,
            count * GROUP + D::STEPS * BLOCK * GROUP,
            count,
        );
        let (activations, row_words) = flat.split_at_mut(count * steps + LANES);
        let (sums, wide) = words.split_at_mut(count * GROUP);
        let (sums, lines) = (
            sums.as_chunks_mut::<GROUP>().0,
            lines.as_chunks_mut::<GROUP>().0,
        );

        let tiles = RowTiles::new(count, S::TILE_ROWS);
        for (first, count) in tiles {
            for i in 0..count {
                let row = &x[(rows.start + first + i) * k..][..k];
                quantized[first + i] =
                    quantize::<S, D>(s, row, &mut row_words[i * steps..][..steps]);
            }
            let mut slices: [&[f32]; LANES] = [&[]; LANES];
            for (slice, words) in slices[..count].iter_mut().zip(row_words.chunks(steps)) {
                *slice = words;
            }
            pack_panel(
                s,
                &slices[..count],
                count,
                &mut activations[first * steps..],
            );
        }
        let mut col = cols.start;
        while col < cols.end {
            let col_end = cols.end.min(col + GROUP * LANES);
            let panel = col / LANES;
            let panels = (col_end - col).div_ceil(LANES);
            for at in (0..panels).step_by(S::TILE_VECS) {
                let vecs = (panels - at).min(S::TILE_VECS);
                for start in (0..quads).step_by(block) {
                    let part = start..quads.min(start + block);
                    let mut b: [&[Words]; GROUP] = [&[]; GROUP];
                    for (b, p) in b[..vecs].iter_mut().zip(panel + at..) {
                        *b = &w.panel(p)[part.clone()];
                    }
                    if D::STEPS == 2 {
                        let next = (panel + at) * quads + part.end;
                        widen(
                            s,
                            &mut b[..vecs],
                            w.panels.get(next..).unwrap_or_default(),
                            wide,
                        );
                    }
                    let operands = Operands {
                        activations: &*activations,
                        steps,
                        part: part.start * D::STEPS..part.end * D::STEPS,
                        b,
                        at,
                    };
                    match vecs {
                        1 => operands.all_rows::<S, D, 1>(s, dot, tiles, sums),
                        2 => operands.all_rows::<S, D, 2>(s, dot, tiles, sums),
                        _ => operands.all_rows::<S, D, GROUP>(s, dot, tiles, sums),
                    }
                }
            }
            for ((row, sums), lines) in quantized.iter().zip(&*sums).zip(&mut *lines) {
                for (p, (sums, line)) in (panel..panel + panels).zip(sums.iter().zip(lines)) {
                    s.store(row.value(s, sums, w.panel(p), &w.columns[p]), &mut line.0);
                }
            }
            let then = Finish {
                sums: lines,
                bias: epilogue.bias.map(|b| &b[col..col_end]),
                residual: epilogue.residual.map(|r| (r, w.rows)),
            };
            epilogue.activation.finish(s, then, &mut tile, col..col_end);
            col = col_end;
        }
    }
}

/// Bytes as 16-bit numbers: numbers 0 and 2 of each word, then 1 and 3. `panels` then point into `wide`. Asks for as many
/// lines of `next`, which come after, on the way.
#[inline(always)]
fn widen<'a, S: Simd>(s: S, panels: &mut [&'a [Words]], next: &[Words], wide: &'a mut [Words]) {
    let (mut rest, mut next) = (wide, next.iter());
    for panel in panels {
        let (now, later) = rest.split_at_mut(2 * panel.len());
        for (words, [even, odd]) in panel.iter().zip(now.as_chunks_mut::<2>().0) {
            if let Some(line) = next.next() {
                s.prefetch(line);
            }
            let words = s.load_words(words);
            s.store_words(s.even_bytes(words), even);
            s.store_words(s.odd_bytes(words), odd);
        }
        (*panel, rest) = (now, later);
    }
}

/// One block of k of a few panels, and all activations.
struct Operands<'a> {
    /// Panels of activations, [step][rows of the tile].
    activations: &'a [f32],
    /// Steps of a whole row …
    steps: usize,
    /// … and those of the block.
    part: Range<usize>,
    /// Lines of the block, one for each step.
    b: [&'a [Words]; GROUP],
    /// Where the sums of the first panel go.
    at: usize,
}

impl Operands<'_> {
    #[inline(always)]
    fn all_rows<S: Simd, D: Dot<S>, const VECS: usize>(
        &self,
        s: S,
        dot: D,
        tiles: RowTiles,
        sums: &mut [[Words; GROUP]],
    ) {
        for (first, count) in tiles {
            let a = &self.activations[first * self.steps + self.part.start * count
                ..first * self.steps + self.part.end * count];
            let sums = &mut sums[first..first + count];
            macro_rules! choose {
                ($($rows:literal)+) => {
                    match count {
                        $($rows if $rows <= S::TILE_ROWS && VECS <= S::TILE_VECS => self.tile::<S, D, $rows, VECS>(s, dot, a, sums),)+
                        _ => unreachable!("tiles have 1 to {} rows", S::TILE_ROWS),
                    }
                };
            }
            choose!(1 2 3 4 5 6 7 8 9);
        }
    }

    /// One register tile: sums of products over the block, set by the first block and added to by the others.
    #[inline(always)]
    fn tile<S: Simd, D: Dot<S>, const ROWS: usize, const VECS: usize>(
        &self,
        s: S,
        dot: D,
        a: &[f32],
        to: &mut [[Words; GROUP]],
    ) {
        let mut b = [&[] as &[Words]; VECS];
        for (b, panel) in b.iter_mut().zip(self.b) {
            *b = &panel[..self.part.len()];
        }
        let mut sums = [[s.splat_words(0); VECS]; ROWS];
        // One step for each turn: in longer straight-line code the compiler sums products in trees and runs out of
        // registers.
        for (k, a) in a.as_chunks::<ROWS>().0.iter().enumerate() {
            let mut w = [s.splat_words(0); VECS];
            for j in 0..VECS {
                w[j] = s.load_words(&b[j][k]);
            }
            for i in 0..ROWS {
                let x = s.splat_words(a[i].to_bits() as i32);
                for j in 0..VECS {
                    sums[i][j] = dot.add(s, sums[i][j], w[j], x);
                }
            }
        }
        for (sums, to) in sums.into_iter().zip(to) {
            for (sum, to) in sums.into_iter().zip(&mut to[self.at..]) {
                let sum = if self.part.start == 0 {
                    sum
                } else {
                    s.add_words(s.load_words(to), sum)
                };
                s.store_words(sum, to);
            }
        }
    }
}

impl Row {
    /// Exact sums of one panel as f32, before bias and activation.
    #[inline(always)]
    fn value<S: Simd>(&self, s: S, sums: &Words, panel: &[Words], columns: &Columns) -> S::V {
        let zero = s.mul_words(s.splat_words(self.zero), s.load_words(&columns.sums));
        let sum = s.to_f32(s.sub_words(s.load_words(sums), zero));
        let mut value = s.mul(sum, s.splat(self.scale));
        for (&at, &rest) in self.at.iter().zip(&self.rest).take(self.clipped) {
            let k = at as usize;
            let w = s.byte(s.load_words(&panel[k / QUAD]), k % QUAD);
            value = s.fma(s.splat(rest), s.to_f32(w), value);
        }
        s.mul(value, s.load(&columns.scales.0))
    }
}

/// Quantises a row of activations into the words that `D` multiplies (moved as f32, never computed with).
#[inline(always)]
fn quantize<S: Simd, D: Dot<S>>(s: S, x: &[f32], words: &mut [f32]) -> Row {
    let zero = s.splat(0.0);
    let (mut low, mut high) = (zero, zero);
    for chunk in x.chunks(LANES) {
        let x = s.load_partial(chunk);
        low = s.min(x, low);
        high = s.max(x, high);
    }
    let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
    s.store(low, &mut lows);
    s.store(high, &mut highs);
    let (mut low, mut high) = (0.0, 0.0);
    for i in 0..LANES {
        low = if lows[i] < low { lows[i] } else { low };
        high = if highs[i] > high { highs[i] } else { high };
    }
    let total = sum_of_magnitudes(s, x);
    let mut row = Row::default();
    if !total.is_finite() {
        row.scale = f32::NAN;
        words.fill(0.0);
        return row;
    }
    let top = if high > -low { high } else { -low };
    let mut limit = top;
    if top > OUTLIER_RATIO * (total / x.len() as f32) {
        for _ in 0..HALVINGS {
            if count_above(s, x, 0.5 * limit) > OUTLIERS as f32 {
                break;
            }
            limit *= 0.5;
        }
        low = if low < -limit { -limit } else { low };
        high = if high > limit { limit } else { high };
    }
    let range = high - low;
    if range < TINY {
        words.fill(0.0);
        return row;
    }
    let (scale, inverse) = (range / 255.0, 255.0 / range);
    let point = (-low * inverse + ROUND) - ROUND;
    row.scale = scale;
    row.zero = point as i32;
    for (x, words) in x
        .chunks(LANES)
        .zip(words.chunks_mut(LANES / QUAD * D::STEPS))
    {
        let q = s.fma(s.load_partial(x), s.splat(inverse), s.splat(point));
        let q = s.max(zero, s.min(s.splat(255.0), q));
        let bytes = s.low_bytes(s.to_bits(s.add(q, s.splat(ROUND))));
        for (words, quad) in words.chunks_mut(D::STEPS).zip(bytes.as_chunks::<QUAD>().0) {
            let quad = u32::from_le_bytes(*quad);
            if D::STEPS == 1 {
                words[0] = f32::from_bits(quad);
            } else {
                words[0] = f32::from_bits(quad & 0x00ff_00ff);
                words[1] = f32::from_bits(quad >> 8 & 0x00ff_00ff);
            }
        }
    }
    if limit < top {
        for (k, &x) in x.iter().enumerate().filter(|(_, x)| x.abs() > limit) {
            let q = f32::mul_add(x, inverse, point);
            let q = if q > 0.0 { q } else { 0.0 };
            let q = if q < 255.0 { q } else { 255.0 };
            let q = (q + ROUND) - ROUND;
            row.at[row.clipped] = k as u32;
            row.rest[row.clipped] = f32::mul_add(-scale, q - point, x);
            row.clipped += 1;
        }
    }
    row
}

/// Accumulators of a row's sum: lane i of accumulator j adds elements 16·(4m + j) + i. Part of the numeric
/// definition.
const ACCUMULATORS: usize = 4;

/// Σ|x|
#[inline(always)]
fn sum_of_magnitudes<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); ACCUMULATORS];
    for group in x.chunks(LANES * ACCUMULATORS) {
        for (sum, chunk) in sums.iter_mut().zip(group.chunks(LANES)) {
            *sum = s.add(*sum, s.abs(s.load_partial(chunk)));
        }
    }
    s.fold_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// Elements whose magnitude is above `limit`, which is not negative.
#[inline(always)]
fn count_above<S: Simd>(s: S, x: &[f32], limit: f32) -> f32 {
    let (one, limit) = (s.splat(1.0), s.splat(limit));
    let (zero, mut count) = (s.splat(0.0), s.splat(0.0));
    for chunk in x.chunks(LANES) {
        let above = s.select_lt(limit, s.abs(s.load_partial(chunk)), one, zero);
        count = s.add(count, above);
    }
    s.fold_add(count)
}
