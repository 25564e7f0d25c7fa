//! y = act(x · Wᵀ + b): register tiles over packed panels, of f32 or, for [`crate::bf16`], of pairs of bfloat16.
//!
//! Every output element is, for each [`CHAIN`] terms, one chain of fused multiply-adds in increasing k that
//! starts from zero; the chains are added in order. Neither the shape of the batch, nor
//! the tile, nor the thread, nor the instruction set changes that.

mod terms;
mod tile;

use std::ops::Range;

use crate::Isa;
use crate::activation::{Activation, Finish};
use crate::pack::{self, Line};
use crate::parallel::{Cuts, Grid, MatMut, Pool, TileMut};
use crate::scratch::Scratch;
use crate::simd::{GROUP, Kernel, LANES, Simd};
pub(crate) use terms::{Single, Terms};
pub(crate) use tile::{Product, RowTiles, Sums, product, tile_of_rows};

/// Terms of one chain of fused multiply-adds. Part of the numeric definition.
pub const CHAIN: usize = 64;

/// Steps that a register tile takes between two looks at how many are left: a chain of pairs, half a chain of f32.
pub(crate) const PART: usize = CHAIN / 2;

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

/// The left operand of a product, [T, K].
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Its transpose [K, T], row-major.
    Columns(&'a [f32]),
}

impl Left<'_> {
    fn len(self) -> usize {
        let (Self::Rows(x) | Self::Columns(x)) = self;
        x.len()
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
    let operands = Operands {
        x,
        panels: w.panels,
        rows: n,
        cols: k,
    };
    operands.for_tasks(pool, epilogue, y, scratch, |task| isa.run(task));
}

/// Both operands of a product.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a, P> {
    /// [T, K]
    pub(crate) x: Left<'a>,
    /// Panels of W [N, K].
    pub(crate) panels: &'a [P],
    /// N
    pub(crate) rows: usize,
    /// K
    pub(crate) cols: usize,
}

impl<P: Copy + Sync> Operands<'_, P> {
    /// Cuts the product into tasks, which `run` runs.
    pub(crate) fn for_tasks(
        self,
        pool: &Pool,
        epilogue: Epilogue<'_>,
        y: Target<'_>,
        scratch: &mut [Scratch],
        run: impl Fn(LinearTask<'_, P>) + Sync,
    ) {
        let rows = epilogue.check(self.x.len(), self.cols, self.rows);
        let grid = tasks(rows, self.cols, self.rows, pool.threads());
        let out = MatMut::new(y.values, rows, self.rows);
        pool.for_tiles(out, grid, scratch, |scratch, tile| {
            run(LinearTask {
                operands: self,
                epilogue,
                add: y.add,
                tile,
                scratch,
            });
        });
    }
}

/// One task of a product.
pub(crate) struct LinearTask<'a, P> {
    pub(crate) operands: Operands<'a, P>,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) add: bool,
    pub(crate) tile: TileMut<'a>,
    pub(crate) scratch: &'a mut Scratch,
}

impl Kernel for LinearTask<'_, Line> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.multiply(s, Single);
    }
}

impl<P> LinearTask<'_, P> {
    /// The task, with these terms.
    #[inline(always)]
    pub(crate) fn multiply<S: Simd, T: Terms<S, Stored = P>>(self, s: S, terms: T) {
        let Self {
            operands,
            epilogue,
            add,
            mut tile,
            scratch,
        } = self;
        let k = operands.cols;
        let (stored, row_steps) = (T::stored(k), T::stored(k) * T::STEPS);
        let (rows, cols) = (tile.rows(), tile.cols());
        let step = T::block(rows.len());
        let wide = T::wide(step.min(stored));
        // A row of sums: those of the columns at hand. The rows of y lie far apart, often in the same sets of the caches;
        // here they are close together until they are complete.
        let (numbers, lines) = scratch.get(
            rows.len() * row_steps + LANES + T::room(S::TILE_ROWS, k),
            (rows.len() + wide) * GROUP,
        );
        let (activations, room) = numbers.split_at_mut(rows.len() * row_steps + LANES);
        let (sums, wide_lines) = lines.split_at_mut(rows.len() * GROUP);
        let sums = sums.as_chunks_mut::<GROUP>().0;

        let tiles = RowTiles::new(rows.len(), S::TILE_ROWS);
        for (first, count) in tiles {
            let panel = &mut activations[first * row_steps..];
            let rows = (rows.start + first, count);
            T::pack(s, operands.x, rows, k, panel, room);
        }
        let mut task = Blocks {
            activations,
            row_steps,
            tiles,
            sums,
            wide: wide_lines,
        };
        let mut col = cols.start;
        while col < cols.end {
            let col_end = cols.end.min(col + GROUP * LANES);
            let count = (col_end - col).div_ceil(LANES);
            for at in (0..count).step_by(S::TILE_VECS) {
                let vecs = (count - at).min(S::TILE_VECS);
                for start in (0..stored).step_by(step) {
                    let panels = Panels {
                        all: operands.panels,
                        stored,
                        panel: col / LANES + at,
                        vecs,
                        block: start..stored.min(start + step),
                    };
                    let next = panels.following(S::TILE_VECS, cols.end, step);
                    match vecs {
                        1 => task.block::<S, T, 1>(s, terms, at, panels, next),
                        2 => task.block::<S, T, 2>(s, terms, at, panels, next),
                        _ => task.block::<S, T, GROUP>(s, terms, at, panels, next),
                    }
                }
            }
            let then = Finish {
                sums: task.sums,
                bias: epilogue.bias.map(|b| &b[col..col_end]),
                residual: epilogue.residual.map(|r| (r, operands.rows)),
                add,
            };
            epilogue.activation.finish(s, then, &mut tile, col..col_end);
            col = col_end;
        }
    }
}

/// One block of k of the panels that a register tile reads.
struct Panels<'a, P> {
    all: &'a [P],
    /// Lines of each panel.
    stored: usize,
    panel: usize,
    vecs: usize,
    block: Range<usize>,
}

impl<'a, P> Panels<'a, P> {
    fn lines(&self, vec: usize) -> &'a [P] {
        &self.all[(self.panel + vec) * self.stored..][self.block.clone()]
    }

    /// The block that is read after this one: the next block of k, or the first one of the next panels.
    fn following(&self, most_vecs: usize, col_end: usize, step: usize) -> Option<Self> {
        let (panel, start) = if self.block.end < self.stored {
            (self.panel, self.block.end)
        } else {
            (self.panel + self.vecs, 0)
        };
        let left = col_end.div_ceil(LANES).saturating_sub(panel);
        (left > 0).then(|| Self {
            panel,
            vecs: left.min(most_vecs),
            block: start..self.stored.min(start + step),
            ..*self
        })
    }
}

/// What the blocks of one task share.
struct Blocks<'a> {
    /// The task's rows of x in panels as wide as its register tiles have rows.
    activations: &'a [f32],
    /// Steps of a row.
    row_steps: usize,
    tiles: RowTiles,
    sums: &'a mut [[Line; GROUP]],
    /// Room for the panels of one block, where they are not read as they are stored.
    wide: &'a mut [Line],
}

impl Blocks<'_> {
    /// All rows times one block of VECS panels, added to `sums` from panel `at` on; brings the `next` block into the
    /// second-level cache, each row tile its share.
    #[inline(always)]
    fn block<S: Simd, T: Terms<S>, const VECS: usize>(
        &mut self,
        s: S,
        terms: T,
        at: usize,
        panels: Panels<'_, T::Stored>,
        next: Option<Panels<'_, T::Stored>>,
    ) {
        let steps = panels.block.start * T::STEPS..panels.block.end * T::STEPS;
        let mut b = [&[] as &[T::Line]; VECS];
        let mut wide = &mut *self.wide;
        for (vec, b) in b.iter_mut().enumerate() {
            let wanted = T::wide(panels.block.len());
            let (now, later) = std::mem::take(&mut wide).split_at_mut(wanted);
            *b = T::ready(s, panels.lines(vec), now);
            wide = later;
        }
        let mut next: [_; VECS] = std::array::from_fn(|vec| {
            let lines = next.as_ref().filter(|next| vec < next.vecs);
            let lines = lines.map_or(&[][..], |next| next.lines(vec));
            lines.chunks(lines.len().div_ceil(self.tiles.tiles).max(1))
        });
        for (first, count) in self.tiles {
            let row = first * self.row_steps;
            let product = Product {
                a: &self.activations[row + steps.start * count..row + steps.end * count],
                b,
                ahead: next
                    .each_mut()
                    .map(|shares| shares.next().unwrap_or_default()),
            };
            let sums = Sums {
                rows: &mut self.sums[first..first + count],
                at,
                add: steps.start > 0,
            };
            tile_of_rows::<S, T, VECS>(s, terms, count, product, sums);
        }
    }
}
