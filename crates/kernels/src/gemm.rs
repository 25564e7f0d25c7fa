//! y = act(x · Wᵀ + b): register tiles over packed panels.
//!
//! Every output element is, for each [`CHAIN`] terms, one chain of fused multiply-adds in increasing k that
//! starts from zero; the chains are added in order. Neither the shape of the batch, nor
//! the tile, nor the thread, nor the instruction set changes that.

use std::ops::Range;

use crate::Isa;
use crate::activation::Activation;
use crate::pack::{self, Line, pack_panel, panel};
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{Kernel, LANES, Simd};

/// Terms of one chain of fused multiply-adds. Part of the numeric definition.
pub const CHAIN: usize = 64;

/// Terms that a register tile takes in one go, a multiple of [`CHAIN`]: its panels stay in the second-level cache while
/// the row tiles of a task pass. No result depends on it.
const K_BLOCK: usize = 1024;

/// Activations that one task packs at most (512 KiB), to stay in the second-level cache beside the panels.
const PACKED_ELEMENTS: usize = 1 << 17;

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

/// Rows of one task: as many as stay in cache, spread evenly over tasks that the threads share evenly.
fn rows_per_task(rows: usize, k: usize, threads: usize) -> usize {
    let most = (PACKED_ELEMENTS / k).clamp(48, 448);
    let parts = match rows.div_ceil(most) {
        0 | 1 => 1,
        parts => parts.next_multiple_of(threads),
    };
    rows.div_ceil(parts).max(1)
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
    assert!(
        k > 0 && x.len().is_multiple_of(k),
        "{} inputs in rows of {k}",
        x.len()
    );
    let rows = x.len() / k;
    assert_eq!(
        w.panels.len(),
        pack::packed_len(n, k),
        "panels of {n} x {k}"
    );
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), n, "bias");
    }
    if let Some(residual) = epilogue.residual {
        assert_eq!(residual.len(), rows * n, "residual");
    }
    let row_step = rows_per_task(rows, k, pool.threads());
    // Few rows: split the columns so that every thread has a task, in whole groups of panels.
    let row_parts = rows.div_ceil(row_step);
    let col_parts = pool.threads().div_ceil(row_parts);
    let group = 3 * LANES;
    let col_step = n.div_ceil(col_parts).next_multiple_of(group);
    let grid = Grid {
        rows: Cuts::Even {
            len: rows,
            step: row_step,
        },
        cols: Cuts::Even {
            len: n,
            step: col_step,
        },
    };
    let out = MatMut::new(y, rows, n);
    pool.for_tiles(out, grid, scratch, |scratch, tile| {
        let (scratch, _) = scratch.get(tile.rows().len() * k + LANES, 0);
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
                let panels = Panels {
                    w: self.w,
                    panel: col / LANES,
                    vecs,
                    block,
                };
                let next = panels.following(S::TILE_VECS, cols.end);
                for (i, (first, count)) in tiles.enumerate() {
                    let a = &self.scratch[first * k + panels.block.start * count
                        ..first * k + panels.block.end * count];
                    let ahead = next
                        .as_ref()
                        .map_or(&[][..], |next| next.share(i, tiles.tiles));
                    let to = Target {
                        tile: &mut self.tile,
                        row: rows.start + first,
                        cols: col..col_end,
                        add: k_start > 0,
                    };
                    match vecs {
                        1 => tile_of_rows::<S, 1>(s, count, a, panels.all(), ahead, to),
                        2 => tile_of_rows::<S, 2>(s, count, a, panels.all(), ahead, to),
                        3 => tile_of_rows::<S, 3>(s, count, a, panels.all(), ahead, to),
                        _ => tile_of_rows::<S, 4>(s, count, a, panels.all(), ahead, to),
                    }
                }
            }
            self.finish(s, col..col_end);
            col = col_end;
        }
    }
}

/// One block of k of the panels that a register tile reads.
struct Panels<'a> {
    w: Packed<'a>,
    panel: usize,
    vecs: usize,
    block: Range<usize>,
}

impl<'a> Panels<'a> {
    fn lines(&self, vec: usize) -> &'a [Line] {
        &panel(self.w.panels, self.w.cols, self.panel + vec)[self.block.clone()]
    }

    fn all<const VECS: usize>(&self) -> [&'a [Line]; VECS] {
        std::array::from_fn(|vec| self.lines(vec))
    }

    /// The block that is read after this one: the next block of k, or the first one of the next panels.
    fn following(&self, most_vecs: usize, col_end: usize) -> Option<Self> {
        let k = self.w.cols;
        let (panel, start) = if self.block.end < k {
            (self.panel, self.block.end)
        } else {
            (self.panel + self.vecs, 0)
        };
        let left = col_end.div_ceil(LANES).saturating_sub(panel);
        (left > 0).then(|| Self {
            w: self.w,
            panel,
            vecs: left.min(most_vecs),
            block: start..k.min(start + K_BLOCK),
        })
    }

    /// The part of this block that row tile `i` of `tiles` brings into the second-level cache while it computes.
    fn share(&self, i: usize, tiles: usize) -> &'a [Line] {
        let per_vec = tiles.div_ceil(self.vecs);
        let lines = self.lines(i / per_vec);
        let (i, step) = (i % per_vec, lines.len().div_ceil(per_vec));
        &lines[(i * step).min(lines.len())..((i + 1) * step).min(lines.len())]
    }
}

impl LinearTask<'_> {
    /// Bias, activation and residual of the columns whose sums are complete and still in cache.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, s: S, cols: Range<usize>) {
        let Epilogue {
            bias,
            activation,
            residual,
        } = self.epilogue;
        if bias.is_none() && activation == Activation::Linear && residual.is_none() {
            return;
        }
        let bias = bias.map(|b| &b[cols.clone()]);
        activation.apply_tile(
            s,
            &mut self.tile,
            cols,
            bias,
            residual.map(|r| (r, self.w.rows)),
        );
    }
}

/// Where a register tile goes.
struct Target<'t, 'a> {
    tile: &'t mut TileMut<'a>,
    row: usize,
    cols: Range<usize>,
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
        Self {
            rows,
            tiles: rows.div_ceil(most),
            next: 0,
        }
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
fn tile_of_rows<S: Simd, const VECS: usize>(
    s: S,
    count: usize,
    a: &[f32],
    b: [&[Line]; VECS],
    ahead: &[Line],
    to: Target<'_, '_>,
) {
    macro_rules! choose {
        ($($rows:literal)+) => {
            match count {
                $($rows if $rows <= S::TILE_ROWS && VECS <= S::TILE_VECS => store_tile::<S, $rows, VECS>(s, a, b, ahead, to),)+
                _ => unreachable!("tiles have 1 to {} rows", S::TILE_ROWS),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

#[inline(always)]
fn store_tile<S: Simd, const ROWS: usize, const VECS: usize>(
    s: S,
    a: &[f32],
    b: [&[Line]; VECS],
    ahead: &[Line],
    to: Target<'_, '_>,
) {
    let mut total = None;
    if to.add {
        let mut before = [[s.splat(0.0); VECS]; ROWS];
        for (i, before) in before.iter_mut().enumerate() {
            let out = to.tile.row(to.row + i, to.cols.clone());
            for (before, out) in before.iter_mut().zip(out.chunks(LANES)) {
                *before = s.load_partial(out);
            }
        }
        total = Some(before);
    }
    let total = product::<S, ROWS, VECS, ROWS>(s, total, a.as_chunks::<ROWS>().0, b, ahead);
    for (i, total) in total.into_iter().enumerate() {
        let out = to.tile.row(to.row + i, to.cols.clone());
        for (total, out) in total.into_iter().zip(out.chunks_mut(LANES)) {
            s.store_partial(total, out);
        }
    }
}

/// Rows 0..ROWS of panel `a` ([k][WIDTH]) times VECS panels `b` ([k][16]): chains of [`CHAIN`] terms, added in order to
/// `total`, where there is one. Lines of `ahead` are prefetched on the way.
#[inline(always)]
pub(crate) fn product<S: Simd, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    total: Option<[[S::V; VECS]; ROWS]>,
    a: &[[f32; WIDTH]],
    b: [&[Line]; VECS],
    ahead: &[Line],
) -> [[S::V; VECS]; ROWS] {
    let b = b.map(|panel| &panel[..a.len()]);
    let first_is_set = total.is_none();
    let mut total = total.unwrap_or([[s.splat(0.0); VECS]; ROWS]);
    let mut ahead = ahead.chunks(2 * CHAIN);
    for (i, a) in a.chunks(CHAIN).enumerate() {
        let b = b.map(|panel| &panel[i * CHAIN..][..a.len()]);
        let sums = chain::<S, ROWS, VECS, WIDTH>(s, a, b, ahead.next().unwrap_or_default());
        add_tile::<S, ROWS, VECS>(s, &mut total, sums, i > 0 || !first_is_set);
    }
    total
}

#[inline(always)]
fn add_tile<S: Simd, const ROWS: usize, const VECS: usize>(
    s: S,
    total: &mut [[S::V; VECS]; ROWS],
    sums: [[S::V; VECS]; ROWS],
    add: bool,
) {
    for (total, sums) in total.iter_mut().zip(sums) {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total = if add { s.add(*total, sum) } else { sum };
        }
    }
}

/// One chain of fused multiply-adds for each element, in increasing k, from zero; prefetches two lines of `ahead` a step.
#[inline(always)]
fn chain<S: Simd, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    a: &[[f32; WIDTH]],
    b: [&[Line]; VECS],
    ahead: &[Line],
) -> [[S::V; VECS]; ROWS] {
    let mut sums = [[s.splat(0.0); VECS]; ROWS];
    let b = b.map(|panel| &panel[..a.len()]);
    let mut ahead = ahead.iter();
    for k in 0..a.len() {
        for line in ahead.by_ref().take(2) {
            s.prefetch(&line.0[0]);
        }
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
