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
use crate::gemm::{Epilogue, RowTiles, tasks};
use crate::pack::{LANES, pack_panel};
use crate::parallel::{MatMut, Pool, TileMut};
use crate::scratch::{Scratch, WordScratch};
use crate::simd::{Dot, DotKernel, GROUP, Simd, Tiles, Words};

mod activations;
mod weights;

use activations::quantize;

pub(crate) use activations::Row;
pub use activations::{OUTLIER_RATIO, OUTLIERS};
pub use weights::{
    Columns, Packed, SCALE_BITS, WEIGHT_MAX, pack_weight_panel, packed_len, quantize_rows,
};

/// Inputs K of a product whose sums stay within 32 bits.
pub const MAX_COLS: usize = i32::MAX as usize / (255 * 127);

/// Bytes of a word: weights of a column that are multiplied together.
const QUAD: usize = 4;

/// Words of one panel that are multiplied at a time where bytes must be widened first: widened, they stay in the
/// first-level cache.
const BLOCK: usize = 96;

/// Rows from which on tiles of 16 rows are faster than register tiles.
const TILED_ROWS: usize = 4;

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
        let (rows, cols) = (tile.rows(), tile.cols());
        let count = rows.len();
        // Tiles read rows side by side, in whole blocks; register tiles read panels of rows.
        let in_tiles = D::TILES && count >= TILED_ROWS;
        let (steps, room) = if in_tiles {
            (quads.next_multiple_of(LANES), count.next_multiple_of(LANES))
        } else {
            (quads * D::STEPS, count)
        };
        let block = if D::STEPS == 1 { quads } else { BLOCK };
        let WordScratch {
            flat,
            lines,
            words,
            rows: quantized,
        } = scratch.words(
            (room + S::TILE_ROWS) * steps + 2 * LANES,
            count * GROUP,
            room * GROUP + D::STEPS * BLOCK * GROUP,
            count,
        );
        let (activations, row_words) = flat.split_at_mut(room * steps + LANES);
        let (sums, wide) = words.split_at_mut(room * GROUP);
        let (sums, lines) = (
            sums.as_chunks_mut::<GROUP>().0,
            lines.as_chunks_mut::<GROUP>().0,
        );

        let mut ends = [[Words::default(); LANES]; GROUP];
        let tiles = RowTiles::new(if in_tiles { 0 } else { count }, S::TILE_ROWS);
        if in_tiles {
            for (i, words) in activations.chunks_exact_mut(steps).take(count).enumerate() {
                let row = &x[(rows.start + i) * k..][..k];
                let (words, beyond) = words.split_at_mut(quads);
                quantized[i] = quantize::<S, D>(s, row, words);
                beyond.fill(0.0);
            }
        }
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
            if in_tiles {
                // Panels that are not there are the first one again.
                let b = std::array::from_fn(|j| w.panel(panel + if j < panels { j } else { 0 }));
                sums.fill(Default::default());
                let tiles = Tiles {
                    a: activations,
                    stride: steps,
                    b,
                    to: &mut *sums,
                };
                tiles.add_all(&mut ends, |tiles| dot.add_tiles(tiles));
            }
            for at in (0..if in_tiles { 0 } else { panels }).step_by(S::TILE_VECS) {
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
            for i in 0..panels {
                let (panel, columns) = (w.panel(panel + i), &w.columns[panel + i]);
                let (zeros, scales) = (s.load_words(&columns.sums), s.load(&columns.scales.0));
                for ((row, sums), lines) in quantized.iter().zip(&*sums).zip(&mut *lines) {
                    let value = row.value(s, s.load_words(&sums[i]), panel, (zeros, scales));
                    s.store(value, &mut lines[i].0);
                }
            }
            let then = Finish {
                sums: lines,
                bias: epilogue.bias.map(|b| &b[col..col_end]),
                residual: epilogue.residual.map(|r| (r, w.rows)),
                add: false,
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
        for i in 0..ROWS {
            let to = &mut to[i][self.at..][..VECS];
            for j in 0..VECS {
                let mut sum = sums[i][j];
                if self.part.start > 0 {
                    sum = s.add_words(s.load_words(&to[j]), sum);
                }
                s.store_words(sum, &mut to[j]);
            }
        }
    }
}
