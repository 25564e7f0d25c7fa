//! Weights as whole numbers: the scale of a row, rounding with or without feedback, panels.

use super::QUAD;
use crate::Isa;
use crate::feedback::{Feedback, MOST_MEANS};
use crate::math::ROUND;
use crate::pack::{LANES, Line};
use crate::simd::{Kernel, Simd, Words};

/// Largest magnitude of a quantised weight.
pub const WEIGHT_MAX: f32 = 127.0;

/// Significant bits of a scale of weights: with the 7 bits of a weight not more than f32 has.
pub const SCALE_BITS: u32 = 16;

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
    pub(super) fn quads(&self) -> usize {
        self.cols.div_ceil(QUAD)
    }

    pub(super) fn panel(&self, p: usize) -> &'a [Words] {
        &self.panels[p * self.quads()..][..self.quads()]
    }

    /// Row `row` as f32: its whole numbers times its scale, exact.
    pub fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let scale = self.scale(row);
        self.unpack(row, out, |q| f32::from(q) * scale);
    }

    /// The whole numbers of row `row`; gives their scale.
    pub fn unpack_integers(&self, row: usize, out: &mut [i8]) -> f32 {
        self.unpack(row, out, |q| q);
        self.scale(row)
    }

    fn scale(&self, row: usize) -> f32 {
        self.columns[row / LANES].scales.0[row % LANES]
    }

    fn unpack<T>(&self, row: usize, out: &mut [T], of: impl Fn(i8) -> T) {
        let (p, lane) = (row / LANES, row % LANES);
        for (out, words) in out.chunks_mut(QUAD).zip(self.panel(p)) {
            for (out, q) in out.iter_mut().zip(words.0[lane].to_le_bytes()) {
                *out = of(q as i8);
            }
        }
    }
}
