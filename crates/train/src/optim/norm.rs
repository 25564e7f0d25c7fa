//! Sums of squares in an order that depends on the length alone.
//!
//! Pieces of [`PIECE`] elements; inside a piece sixteen sums in f64, element i in sum i mod 16, added pairwise at the end;
//! the sums of pieces are added in their order.

/// Elements of a piece.
pub const PIECE: usize = 1 << 14;
const LANES: usize = 16;

/// ‖values‖₂. The result does not depend on `threads`; it is not finite exactly when a value is not.
pub fn norm(values: &[f32], threads: usize) -> f64 {
    let pieces: Vec<&[f32]> = values.chunks(PIECE).collect();
    let mut sums = vec![0.0; pieces.len()];
    let share = pieces.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let mut shares = pieces.chunks(share).zip(sums.chunks_mut(share));
        let work = |(pieces, sums): (&[&[f32]], &mut [f64])| {
            for (piece, sum) in pieces.iter().zip(sums) {
                *sum = squares(piece);
            }
        };
        let first = shares.next();
        for share in shares {
            scope.spawn(move || work(share));
        }
        if let Some(share) = first {
            work(share);
        }
    });
    sums.iter().sum::<f64>().sqrt()
}

/// Σ x² of one piece.
pub(super) fn squares(values: &[f32]) -> f64 {
    let mut sums = [0.0f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*x) * f64::from(*x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}
