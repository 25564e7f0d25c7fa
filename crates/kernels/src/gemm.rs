//! y = act(x · Wᵀ + b): register tiles over packed panels.
//!
//! Every output element is, for each [`CHAIN`] terms, one chain of fused multiply-adds in increasing k that
//! starts from zero; the chains are added in order. Neither the shape of the batch, nor
//! the tile, nor the thread, nor the instruction set changes that.

mod tile;

use std::ops::Range;

use crate::Isa;
use crate::activation::{Activation, Finish};
use crate::pack::{self, Line, copy_panel, pack_panel, panel};
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{Kernel, LANES, Simd};
pub(crate) use tile::{Product, RowTiles, Sums, product, tile_of_rows};

/// Terms of one chain of fused multiply-adds. Part of the numeric definition.
pub const CHAIN: usize = 64;

/// Activations that one task packs at most (512 KiB), to stay in the second-level cache beside the panels.
const PACKED_ELEMENTS: usize = 1 << 17;

/// Panels whose sums are finished together: as many as the widest register tile of any instruction set has. The rows of y
/// lie far apart; three cache lines at once from each cost hardly more than one.
pub(crate) const GROUP: usize = 3;

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

/// The left operand of a product, [T, K].
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Its transpose [K, T], row-major.
    Columns(&'a [f32]),
}

impl<'a> Left<'a> {
    fn len(self) -> usize {
        let (Self::Rows(x) | Self::Columns(x)) = self;
        x.len()
    }

    /// Packs rows `first` to `first + count` of T, a panel of that width.
    #[inline(always)]
    fn pack<S: Simd>(self, s: S, first: usize, count: usize, k: usize, panel: &mut [f32]) {
        match self {
            Self::Rows(x) => {
                let mut slices: [&[f32]; LANES] = [&[]; LANES];
                for (i, slice) in slices[..count].iter_mut().enumerate() {
                    *slice = &x[(first + i) * k..][..k];
                }
                pack_panel(s, &slices[..count], count, panel);
            }
            Self::Columns(x) => copy_panel(s, x, x.len() / k, first..first + count, panel),
        }
    }
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

/// Where a product goes.
pub struct Target<'a> {
    /// [T, N]
    pub values: &'a mut [f32],
    /// Add to what is there.
    pub add: bool,
}

impl Epilogue<'_> {
    /// Rows of the product of `inputs` elements with a matrix [n, k].
    ///
    /// # Panics
    /// When sizes do not match.
    pub(crate) fn check(&self, inputs: usize, k: usize, n: usize) -> usize {
        assert!(
            k > 0 && inputs.is_multiple_of(k),
            "{inputs} inputs in rows of {k}"
        );
        let rows = inputs / k;
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), n, "bias");
        }
        if let Some(residual) = self.residual {
            assert_eq!(residual.len(), rows * n, "residual");
        }
        rows
    }
}

/// How a product [rows, n] is split: every thread has a task, in whole groups of panels. A row of packed activations has
/// `k` elements.
pub(crate) fn tasks(rows: usize, k: usize, n: usize, threads: usize) -> Grid<'static> {
    let row_step = rows_per_task(rows, k, threads);
    // Few rows: split the columns.
    let col_parts = threads.div_ceil(rows.div_ceil(row_step));
    let col_step = n.div_ceil(col_parts).next_multiple_of(GROUP * LANES);
    Grid {
        rows: Cuts::Even {
            len: rows,
            step: row_step,
        },
        cols: Cuts::Even {
            len: n,
            step: col_step,
        },
    }
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
    assert_eq!(
        w.panels.len(),
        pack::packed_len(n, k),
        "panels of {n} x {k}"
    );
    let rows = epilogue.check(x.len(), k, n);
    let grid = tasks(rows, k, n, pool.threads());
    let out = MatMut::new(y.values, rows, n);
    pool.for_tiles(out, grid, scratch, |scratch, tile| {
        let rows = tile.rows().len();
        let (activations, sums) = scratch.get(rows * k + LANES, rows * GROUP);
        isa.run(LinearTask {
            x,
            w,
            epilogue,
            add: y.add,
            tile,
            activations,
            sums: sums.as_chunks_mut().0,
        });
    });
}

struct LinearTask<'a> {
    x: Left<'a>,
    w: Packed<'a>,
    epilogue: Epilogue<'a>,
    add: bool,
    tile: TileMut<'a>,
    /// The task's rows of x in panels as wide as its register tiles have rows.
    activations: &'a mut [f32],
    /// Sums of the columns at hand, [rows][panels]. The rows of y lie far apart, often in the same sets of the caches; here
    /// they are close together until they are complete.
    sums: &'a mut [[Line; GROUP]],
}

impl Kernel for LinearTask<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, s: S) {
        let k = self.w.cols;
        let (rows, cols) = (self.tile.rows(), self.tile.cols());
        let tiles = RowTiles::new(rows.len(), S::TILE_ROWS);
        for (first, count) in tiles {
            let panel = &mut self.activations[first * k..];
            self.x.pack(s, rows.start + first, count, k, panel);
        }
        let step = S::k_block(rows.len());
        let mut col = cols.start;
        while col < cols.end {
            let col_end = cols.end.min(col + GROUP * LANES);
            let count = (col_end - col).div_ceil(LANES);
            for at in (0..count).step_by(S::TILE_VECS) {
                let vecs = (count - at).min(S::TILE_VECS);
                for start in (0..k).step_by(step) {
                    let panels = Panels {
                        w: self.w,
                        panel: col / LANES + at,
                        vecs,
                        block: start..k.min(start + step),
                    };
                    let next = panels.following(S::TILE_VECS, cols.end, step);
                    match vecs {
                        1 => self.block::<S, 1>(s, tiles, at, panels, next),
                        2 => self.block::<S, 2>(s, tiles, at, panels, next),
                        _ => self.block::<S, GROUP>(s, tiles, at, panels, next),
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

    /// The block that is read after this one: the next block of k, or the first one of the next panels.
    fn following(&self, most_vecs: usize, col_end: usize, step: usize) -> Option<Self> {
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
            block: start..k.min(start + step),
        })
    }
}

impl LinearTask<'_> {
    /// All rows times one block of VECS panels, added to `sums` from panel `at` on; brings the `next` block into the
    /// second-level cache, each row tile its share.
    #[inline(always)]
    fn block<S: Simd, const VECS: usize>(
        &mut self,
        s: S,
        tiles: RowTiles,
        at: usize,
        panels: Panels<'_>,
        next: Option<Panels<'_>>,
    ) {
        let (k, block) = (self.w.cols, &panels.block);
        let b = std::array::from_fn(|vec| panels.lines(vec));
        let mut next: [_; VECS] = std::array::from_fn(|vec| {
            let lines = next.as_ref().filter(|next| vec < next.vecs);
            let lines = lines.map_or(&[][..], |next| next.lines(vec));
            lines.chunks(lines.len().div_ceil(tiles.tiles).max(1))
        });
        for (first, count) in tiles {
            let product = Product {
                a: &self.activations
                    [first * k + block.start * count..first * k + block.end * count],
                b,
                ahead: next
                    .each_mut()
                    .map(|shares| shares.next().unwrap_or_default()),
            };
            let sums = Sums {
                rows: &mut self.sums[first..first + count],
                at,
                add: block.start > 0,
            };
            tile_of_rows::<S, VECS>(s, count, product, sums);
        }
    }

    /// Bias, activation and residual of the columns whose sums are complete, from `sums` to the task's tile of y.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, s: S, cols: Range<usize>) {
        let Epilogue {
            bias,
            activation,
            residual,
        } = self.epilogue;
        let then = Finish {
            sums: self.sums,
            bias: bias.map(|b| &b[cols.clone()]),
            residual: residual.map(|r| (r, self.w.rows)),
            add: self.add,
        };
        activation.finish(s, then, &mut self.tile, cols);
    }
}
