//! y = act(x · Wᵀ + b) with both operands rounded to bfloat16 and sums in f32.
//!
//! Rounding is to nearest, ties to even; magnitudes below 2⁻⁵⁶ become 0, so that no product and no sum is ever subnormal:
//! instructions for bfloat16 flush those to zero. Sums are those of [`crate::gemm`], but for the order inside of each
//! pair: element 2i + 1 comes before element 2i, as `VDPBF16PS` adds them.

use crate::Isa;
use crate::activation::Finish;
use crate::gemm::{Epilogue, GROUP, Product, RowTiles, Sums, tasks, tile_of_rows};
use crate::pack::{LANES, Line, pack_panel};
use crate::parallel::{MatMut, Pool, TileMut};
use crate::scratch::{Scratch, WordScratch};
use crate::simd::{Kernel, Simd, Words};

/// Magnitudes below this become 0.
const SMALLEST: f32 = f32::from_bits((127 - 56) << 23);

/// Words of a panel that are widened at a time: they stay in the first-level cache.
const BLOCK: usize = 96;

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
                    let high = pair.get(1).map_or(0, |x| round(*x).to_bits());
                    words.0[r] = (round(pair[0]).to_bits() >> 16 | high) as i32;
                }
            }
        }
    }
    isa.run(Pack(rows, cols, panel));
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
    let (k, n) = (w.cols, w.rows);
    assert_eq!(w.panels.len(), packed_len(n, k), "panels of {n} x {k}");
    let rows = epilogue.check(x.len(), k, n);
    let grid = tasks(rows, k, n, pool.threads());
    pool.for_tiles(MatMut::new(y, rows, n), grid, scratch, |scratch, tile| {
        isa.run(LinearTask {
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

impl Kernel for LinearTask<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self {
            x,
            w,
            epilogue,
            mut tile,
            scratch,
        } = self;
        let (k, words) = (w.cols, w.cols.div_ceil(2));
        let (rows, cols) = (tile.rows(), tile.cols());
        let count = rows.len();
        let WordScratch { flat, lines, .. } = scratch.words(
            (count + S::TILE_ROWS) * 2 * words + 2 * LANES,
            count * GROUP + 2 * BLOCK * GROUP,
            0,
            0,
        );
        let (activations, rounded) = flat.split_at_mut(count * 2 * words + LANES);
        let (sums, wide) = lines.split_at_mut(count * GROUP);
        let sums = sums.as_chunks_mut::<GROUP>().0;

        let tiles = RowTiles::new(count, S::TILE_ROWS);
        for (first, count) in tiles {
            for (i, rounded) in rounded.chunks_mut(2 * words).take(count).enumerate() {
                let row = &x[(rows.start + first + i) * k..][..k];
                for (to, pair) in rounded.as_chunks_mut::<2>().0.iter_mut().zip(row.chunks(2)) {
                    let odd = if pair.len() > 1 { round(pair[1]) } else { 0.0 };
                    *to = [odd, round(pair[0])];
                }
            }
            let mut slices: [&[f32]; LANES] = [&[]; LANES];
            for (slice, row) in slices[..count].iter_mut().zip(rounded.chunks(2 * words)) {
                *slice = row;
            }
            let panel = &mut activations[first * 2 * words..];
            pack_panel(s, &slices[..count], count, panel);
        }
        let mut col = cols.start;
        while col < cols.end {
            let col_end = cols.end.min(col + GROUP * LANES);
            let panels = (col_end - col).div_ceil(LANES);
            for at in (0..panels).step_by(S::TILE_VECS) {
                let vecs = (panels - at).min(S::TILE_VECS);
                for start in (0..words).step_by(BLOCK) {
                    let part = start..words.min(start + BLOCK);
                    let mut b: [&[Line]; GROUP] = [&[]; GROUP];
                    let mut rest = &mut *wide;
                    let next = (col / LANES + at) * words + part.end;
                    let mut next = w.panels.get(next..).unwrap_or_default().iter();
                    for (b, p) in b[..vecs].iter_mut().zip(col / LANES + at..) {
                        let (now, later) = rest.split_at_mut(2 * part.len());
                        widen(s, &w.panel(p)[part.clone()], &mut next, now);
                        (*b, rest) = (now, later);
                    }
                    for (first, count) in tiles {
                        let a = first * 2 * words;
                        let a = &activations[a + 2 * part.start * count..a + 2 * part.end * count];
                        let to = Sums {
                            rows: &mut sums[first..first + count],
                            at,
                            add: start > 0,
                        };
                        match vecs {
                            1 => tile_of_rows::<S, 1>(s, count, Product::new(a, [b[0]]), to),
                            2 => tile_of_rows::<S, 2>(s, count, Product::new(a, [b[0], b[1]]), to),
                            _ => tile_of_rows::<S, GROUP>(s, count, Product::new(a, b), to),
                        }
                    }
                }
            }
            let then = Finish {
                sums,
                bias: epilogue.bias.map(|b| &b[col..col_end]),
                residual: epilogue.residual.map(|r| (r, w.rows)),
                add: false,
            };
            epilogue.activation.finish(s, then, &mut tile, col..col_end);
            col = col_end;
        }
    }
}

/// Both halves of each word as f32, the upper one first. Asks for as many lines of `next`, which come after, on the way.
#[inline(always)]
fn widen<S: Simd>(
    s: S,
    panel: &[Words],
    next: &mut std::slice::Iter<'_, Words>,
    wide: &mut [Line],
) {
    for (words, [odd, even]) in panel.iter().zip(wide.as_chunks_mut::<2>().0) {
        if let Some(line) = next.next() {
            s.prefetch(line);
        }
        let (high, low) = s.halves(s.load_words(words));
        s.store(high, &mut odd.0);
        s.store(low, &mut even.0);
    }
}
