//! Activations as whole numbers: a scale and a zero point for each row, a few elements clipped; and sums as f32 again.

use super::QUAD;
use crate::math::ROUND;
use crate::pack::LANES;
use crate::simd::{Dot, Simd, Words};

/// Elements of a row of activations that may be clipped.
pub const OUTLIERS: usize = 16;

/// How far the largest magnitude of a row is above the mean one before any element is clipped. Of normally distributed
/// numbers, 768 have a ratio of 4.
pub const OUTLIER_RATIO: f32 = 6.0;

/// How often the range may be halved.
const HALVINGS: usize = 10;

/// Ranges below this are taken as 0: their reciprocal could overflow.
const TINY: f32 = 1e-30;

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

impl Row {
    /// Exact sums of one panel as f32, before bias and activation; with the sums of its columns' weights, and their scales.
    #[inline(always)]
    pub(super) fn value<S: Simd>(
        &self,
        s: S,
        sums: S::I,
        panel: &[Words],
        (columns, scales): (S::I, S::V),
    ) -> S::V {
        let zero = s.mul_words(s.splat_words(self.zero), columns);
        let sum = s.to_f32(s.sub_words(sums, zero));
        let mut value = s.mul(sum, s.splat(self.scale));
        for (&at, &rest) in self.at.iter().zip(&self.rest).take(self.clipped) {
            let k = at as usize;
            let w = s.byte(s.load_words(&panel[k / QUAD]), k % QUAD);
            value = s.fma(s.splat(rest), s.to_f32(w), value);
        }
        s.mul(value, scales)
    }
}

/// Quantises a row of activations into the words that `D` multiplies (moved as f32, never computed with).
#[inline(always)]
pub(super) fn quantize<S: Simd, D: Dot<S>>(s: S, x: &[f32], words: &mut [f32]) -> Row {
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
