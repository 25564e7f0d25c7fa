//! y = act(x · Wᵀ + b): register tiles over packed panels.
//!
//! Every output element is, per block of [`K_BLOCK`] terms, one chain of fused multiply-adds in
//! increasing k that starts from zero; the blocks are added in order. Neither the shape of the batch, nor
//! the tile, nor the thread, nor the instruction set changes that.

use crate::activation::Activation;
use crate::pack::{self, Line, pack_panel, panel};
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{Kernel, LANES, Simd};
use crate::Isa;

/// Terms of one chain of fused multiply-adds. Part of the numeric definition.
pub const K_BLOCK: usize = 256;

/// Rows of activations that one task packs: its panels stay in the second-level cache (1 MiB).
const PACKED_ELEMENTS: usize = 1 << 18;

/// A weight matrix [rows, cols] (output features, input features) in panels, see [`crate::pack`].
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// `packed_len(rows, cols)` lines.
    pub panels: &'a [Line],
    /// Output features N.
    pub rows: usize,
    /// Input features K.
    pub cols: usize,
}

/// What follows the product, element by element.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added to every row: N elements, or none.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Added after the activation: [T, N].
    pub residual: Option<&'a [f32]>,
}

/// Rows of one task: as many as stay in cache, spread evenly over the tasks.
fn rows_per_task(rows: usize, k: usize) -> usize {
    let most = (PACKED_ELEMENTS / k.max(1)).clamp(48, 448);
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}

/// y [T, N] = epilogue(x [T, K] · Wᵀ).
///
/// # Panics
/// When sizes do not match: our bug, not the caller's data.
pub fn linear(isa: Isa, pool: &Pool, x: &[f32], w: Packed<'_>, epilogue: Epilogue<'_>, y: &mut [f32], scratch: &mut [Scratch]) {
    let (k, n) = (w.cols, w.rows);
    assert!(k > 0 && x.len().is_multiple_of(k), "{} inputs in rows of {k}", x.len());
    let rows = x.len() / k;
    assert_eq!(w.panels.len(), pack::packed_len(n, k), "panels of {n} x {k}");
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), n, "bias");
    }
    if let Some(residual) = epilogue.residual {
        assert_eq!(residual.len(), rows * n, "residual");
    }
    let row_step = rows_per_task(rows, k);
    // Few rows: split the columns so that every thread has two tasks; in whole groups of panels.
    let row_parts = rows.div_ceil(row_step);
    let col_parts = if pool.threads() == 1 { 1 } else { (2 * pool.threads()).div_ceil(row_parts) };
    let group = 4 * LANES;
    let col_step = n.div_ceil(col_parts).next_multiple_of(group);
    let grid = Grid { rows: Cuts::Even { len: rows, step: row_step }, cols: Cuts::Even { len: n, step: col_step } };
    let out = MatMut::new(y, rows, n);
    pool.for_tiles(out, grid, scratch, |scratch, tile| {
        let (scratch, _) = scratch.get(tile.rows().len() * k + LANES, 0);
        isa.run(LinearTask { x, w, epilogue, tile, scratch });
    });
}

struct LinearTask<'a> {
    x: &'a [f32],
    w: Packed<'a>,
    epilogue: Epilogue<'a>,
    tile: TileMut<'a>,
    scratch: &'a mut [f32],
}

impl Kernel for LinearTask<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        let k = self.w.cols;
        let (rows, cols) = (self.tile.rows(), self.tile.cols());
        let tiles = RowTiles::new(rows.len(), S::TILE_ROWS);
        for (first, count) in tiles {
            let mut slices: [&[f32]; LANES] = [&[]; LANES];
            for (i, slice) in slices[..count].iter_mut().enumerate() {
                *slice = &self.x[(rows.start + first + i) * k..][..k];
            }
            pack_panel(s, &slices[..count], count, &mut self.scratch[first * k..]);
        }
        let mut col = cols.start;
        while col < cols.end {
            let vecs = (cols.end - col).div_ceil(LANES).min(S::TILE_VECS);
            let col_end = cols.end.min(col + vecs * LANES);
            for k_start in (0..k).step_by(K_BLOCK) {
                let block = k_start..k.min(k_start + K_BLOCK);
                for (first, count) in tiles {
                    let a = &self.scratch[first * k + block.start * count..first * k + block.end * count];
                    let to = Target { tile: &mut self.tile, row: rows.start + first, cols: col..col_end, add: k_start > 0 };
                    let p = col / LANES;
                    if vecs == 1 {
                        let b = [&panel(self.w.panels, k, p)[block.clone()]];
                        tile_of_rows::<S, 1>(s, count, a, b, to);
                    } else {
                        let b = [&panel(self.w.panels, k, p)[block.clone()], &panel(self.w.panels, k, p + 1)[block.clone()]];
                        tile_of_rows::<S, 2>(s, count, a, b, to);
                    }
                }
            }
            self.finish(s, col..col_end);
            col = col_end;
        }
    }
}

impl LinearTask<'_> {
    /// Bias, activation and residual of the columns whose sums are complete and still in cache.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, s: S, cols: std::ops::Range<usize>) {
        let Epilogue { bias, activation, residual } = self.epilogue;
        if bias.is_none() && activation == Activation::Linear && residual.is_none() {
            return;
        }
        let n = self.w.rows;
        for row in self.tile.rows() {
            let out = self.tile.row(row, cols.clone());
            activation.apply_row(s, out, bias.map(|b| &b[cols.clone()]), residual.map(|r| &r[row * n..][cols.clone()]));
        }
    }
}

/// Where a register tile goes.
struct Target<'t, 'a> {
    tile: &'t mut TileMut<'a>,
    row: usize,
    cols: std::ops::Range<usize>,
    /// Add to what is there (a later block of k) instead of setting it.
    add: bool,
}

/// `rows` rows in tiles of almost equal height, at most `most` each: (first row, rows).
#[derive(Clone, Copy)]
pub(crate) struct RowTiles {
    rows: usize,
    tiles: usize,
    next: usize,
}

impl RowTiles {
    pub(crate) fn new(rows: usize, most: usize) -> Self {
        Self { rows, tiles: rows.div_ceil(most), next: 0 }
    }
}

impl Iterator for RowTiles {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.next == self.tiles {
            return None;
        }
        let first = self.next * self.rows / self.tiles;
        self.next += 1;
        Some((first, self.next * self.rows / self.tiles - first))
    }
}

/// Chooses the register tile for `count` rows at compile time.
#[inline(always)]
fn tile_of_rows<S: Simd, const VECS: usize>(s: S, count: usize, a: &[f32], b: [&[Line]; VECS], to: Target<'_, '_>) {
    macro_rules! choose {
        ($($rows:literal)+) => {
            match count {
                $($rows if $rows <= S::TILE_ROWS => store_tile::<S, $rows, VECS>(s, a, b, to),)+
                _ => unreachable!("tiles have 1 to {} rows", S::TILE_ROWS),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

#[inline(always)]
fn store_tile<S: Simd, const ROWS: usize, const VECS: usize>(s: S, a: &[f32], b: [&[Line]; VECS], to: Target<'_, '_>) {
    let sums = product::<S, ROWS, VECS, ROWS>(s, a.as_chunks::<ROWS>().0, b);
    for (i, sums) in sums.into_iter().enumerate() {
        let out = to.tile.row(to.row + i, to.cols.clone());
        for (sum, out) in sums.into_iter().zip(out.chunks_mut(LANES)) {
            let value = if to.add { s.add(s.load_partial(out), sum) } else { sum };
            s.store_partial(value, out);
        }
    }
}

/// Rows 0..ROWS of panel `a` ([k][WIDTH]) times VECS panels `b` ([k][16]): one chain over k for each element.
#[inline(always)]
pub(crate) fn product<S: Simd, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    a: &[[f32; WIDTH]],
    b: [&[Line]; VECS],
) -> [[S::V; VECS]; ROWS] {
    let mut sums = [[s.splat(0.0); VECS]; ROWS];
    let len = a.len();
    let b = b.map(|panel| &panel[..len]);
    for k in 0..len {
        let row = &a[k];
        let columns = b.map(|panel| s.load(&panel[k].0));
        for i in 0..ROWS {
            let x = s.splat(row[i]);
            for j in 0..VECS {
                sums[i][j] = s.fma(x, columns[j], sums[i][j]);
            }
        }
    }
    sums
}
