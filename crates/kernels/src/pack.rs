//! Panels: the layout in which matrix products read both operands.
//!
//! A panel holds up to 16 rows of a row-major matrix, transposed: element (row r, column k) stands at
//! `k · width + r`. Weights are packed once in panels of width 16 (16 output columns side by side);
//! activations are packed as they are used, in panels as wide as a register tile has rows.

use std::ops::Range;

pub use crate::simd::{LANES, Words};

use crate::simd::{Kernel, Simd};

/// Packs `rows` (at most 16 slices of equal length K) into `panel`, `[K]`[width].
///
/// `panel` has at least K·width + 16 − width elements: every store writes 16 lanes, the next one
/// overwrites what the last wrote too much.
#[inline(always)]
pub(crate) fn pack_panel<S: Simd>(s: S, rows: &[&[f32]], width: usize, panel: &mut [f32]) {
    let len = rows[0].len();
    let mut from = 0;
    while from < len {
        let upto = len.min(from + LANES);
        let mut block = [s.splat(0.0); LANES];
        for (v, row) in block.iter_mut().zip(rows) {
            // Rows lie far apart: the hardware does not foresee them.
            if let Some(next) = row.get(from + 4 * LANES) {
                s.prefetch(next);
            }
            *v = s.load_partial(&row[from..upto]);
        }
        let block = s.transpose(block);
        for (k, v) in (from..upto).zip(block) {
            let at = k * width;
            s.store_partial(v, &mut panel[at..at + LANES]);
        }
        from = upto;
    }
}

/// As [`pack_panel`], of columns `cols` (at most 16) of a row-major matrix `from` with `stride` columns: its rows are the k.
#[inline(always)]
pub(crate) fn copy_panel<S: Simd>(
    s: S,
    from: &[f32],
    stride: usize,
    cols: Range<usize>,
    panel: &mut [f32],
) {
    let width = cols.len();
    for (k, row) in from.chunks_exact(stride).enumerate() {
        // Beyond the columns stands something that the next store overwrites.
        let row = &row[cols.start..stride.min(cols.start + LANES)];
        s.store_partial(s.load_partial(row), &mut panel[k * width..][..LANES]);
    }
}

/// Packs columns `16·p …` of a row-major matrix [rows, cols] into panel p of its transpose: `rows` lines, missing columns
/// zero.
///
/// # Panics
/// When the sizes do not fit.
pub fn pack_transposed_panel(
    isa: crate::Isa,
    from: &[f32],
    cols: usize,
    p: usize,
    panel: &mut [Line],
) {
    assert_eq!(
        from.len(),
        panel.len() * cols,
        "panel of {} rows of {cols}",
        panel.len()
    );
    struct Pack<'a>(&'a [f32], usize, Range<usize>, &'a mut [Line]);
    impl Kernel for Pack<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            let Pack(from, cols, part, panel) = self;
            for (line, row) in panel.iter_mut().zip(from.chunks_exact(cols)) {
                s.store(s.load_partial(&row[part.clone()]), &mut line.0);
            }
        }
    }
    isa.run(Pack(
        from,
        cols,
        p * LANES..cols.min((p + 1) * LANES),
        panel,
    ));
}

/// 16 elements of a packed panel, one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

/// Lines of a matrix [rows, cols] packed in panels of 16 rows.
pub const fn packed_len(rows: usize, cols: usize) -> usize {
    rows.div_ceil(LANES) * cols
}

/// Packs rows `16·p …` of a row-major matrix (`rows`: at most 16 complete rows of `cols` elements) into panel p,
/// `cols` lines; missing rows become zero.
///
/// # Panics
/// When the sizes do not fit.
pub fn pack_weight_panel(isa: crate::Isa, rows: &[f32], cols: usize, panel: &mut [Line]) {
    assert!(
        cols > 0 && rows.len() <= LANES * cols && rows.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        rows.len()
    );
    assert_eq!(panel.len(), cols, "panel of {cols} lines");
    struct Pack<'a>(&'a [f32], usize, &'a mut [Line]);
    impl Kernel for Pack<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            let Pack(rows, cols, panel) = self;
            for (block, lines) in panel.chunks_mut(LANES).enumerate() {
                let mut vectors = [s.splat(0.0); LANES];
                for (v, row) in vectors.iter_mut().zip(rows.chunks_exact(cols)) {
                    *v = s.load_partial(&row[block * LANES..][..lines.len()]);
                }
                for (line, v) in lines.iter_mut().zip(s.transpose(vectors)) {
                    s.store(v, &mut line.0);
                }
            }
        }
    }
    isa.run(Pack(rows, cols, panel));
}

/// Copies row `row` of a matrix out of its panels.
pub fn unpack_row(panels: &[Line], cols: usize, row: usize, out: &mut [f32]) {
    for (x, line) in out.iter_mut().zip(panel(panels, cols, row / LANES)) {
        *x = line.0[row % LANES];
    }
}

/// Panel p of a packed matrix [rows, cols]: `cols` lines.
pub(crate) fn panel(panels: &[Line], cols: usize, p: usize) -> &[Line] {
    &panels[p * cols..][..cols]
}
