//! Matrix products of 8-bit whole numbers: how weights and activations become whole numbers, and back.
//!
//! Weights: row n of W [N, K] is s_n · q with q in −127 … 127. s_n is max|w|/127 rounded up to [`SCALE_BITS`] significant
//! bits, so that s_n · q is exact in f32 and what was quantised once is quantised again to the same numbers.

/// Largest magnitude of a quantised weight.
pub const WEIGHT_MAX: f32 = 127.0;

/// Significant bits of a scale of weights: with the 7 bits of a weight not more than f32 has.
pub const SCALE_BITS: u32 = 16;

/// The scale of a row of weights. NaN where a weight is not finite, 0 where all are 0.
pub fn weight_scale(row: &[f32]) -> f32 {
    let sum: f32 = row.iter().map(|w| w * 0.0).sum();
    let top = row.iter().fold(0.0, |top: f32, w| top.max(w.abs()));
    let low = (1 << (f32::MANTISSA_DIGITS - SCALE_BITS)) - 1;
    let scale = f32::from_bits(((top / WEIGHT_MAX).to_bits() + low) & !low);
    // Not finite: 0 · w is NaN.
    if sum == 0.0 { scale } else { f32::NAN }
}

/// Quantises a row of weights: the nearest multiples of the scale, ties to even. Returns the scale.
///
/// # Panics
/// When the lengths differ.
pub fn quantize_weights(row: &[f32], out: &mut [i8]) -> f32 {
    assert_eq!(row.len(), out.len(), "a row of weights");
    let scale = weight_scale(row);
    let divisor = if scale == 0.0 { 1.0 } else { scale };
    for (q, w) in out.iter_mut().zip(row) {
        *q = (w / divisor).round_ties_even() as i8;
    }
    scale
}
