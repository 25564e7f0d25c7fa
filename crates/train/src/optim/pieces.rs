//! The flat vectors cut into pieces of one variable each, and the pieces divided among threads.

use std::ops::Range;

use albert::Variable;

use super::norm::PIECE;

/// At most [`PIECE`] elements of one variable.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) variable: usize,
    pub(super) range: Range<usize>,
}

/// The variables in pieces, in order.
pub(super) fn cut(variables: &[Variable]) -> Vec<Piece> {
    let (mut pieces, mut end) = (Vec::new(), 0);
    for (variable, Variable { name, range, .. }) in variables.iter().enumerate() {
        assert_eq!(range.start, end, "{name} follows the variable before it");
        for start in range.clone().step_by(PIECE) {
            let range = start..(start + PIECE).min(range.end);
            pieces.push(Piece { variable, range });
        }
        end = range.end;
    }
    pieces
}

/// One piece of all vectors.
pub(super) struct Slices<'a> {
    pub(super) variable: usize,
    pub(super) w: &'a mut [f32],
    pub(super) g: &'a mut [f32],
    pub(super) m: &'a mut [f32],
    pub(super) v: &'a mut [f32],
}

/// Pieces that follow each other: one thread's work.
pub(super) struct Part<'a> {
    pieces: &'a [Piece],
    slices: [&'a mut [f32]; 4],
    sums: &'a mut [[f64; 2]],
}

impl Part<'_> {
    /// Calls `work` with each piece and the place of its sums.
    pub(super) fn each(self, mut work: impl FnMut(Slices<'_>, &mut [f64; 2])) {
        let [mut w, mut g, mut m, mut v] = self.slices;
        for (piece, sums) in self.pieces.iter().zip(self.sums) {
            let len = piece.range.len();
            let slices = Slices {
                variable: piece.variable,
                w: take(&mut w, len),
                g: take(&mut g, len),
                m: take(&mut m, len),
                v: take(&mut v, len),
            };
            work(slices, sums);
        }
    }
}

/// Cuts all vectors at boundaries of pieces into at most `threads` parts.
pub(super) fn divide<'a>(
    pieces: &'a [Piece],
    threads: usize,
    mut w: &'a mut [f32],
    mut g: &'a mut [f32],
    mut m: &'a mut [f32],
    mut v: &'a mut [f32],
    mut sums: &'a mut [[f64; 2]],
) -> Vec<Part<'a>> {
    let share = pieces.len().div_ceil(threads.max(1)).max(1);
    let part = |pieces: &'a [Piece]| {
        let len = pieces.iter().map(|piece| piece.range.len()).sum();
        Part {
            pieces,
            slices: [
                take(&mut w, len),
                take(&mut g, len),
                take(&mut m, len),
                take(&mut v, len),
            ],
            sums: take(&mut sums, pieces.len()),
        }
    };
    pieces.chunks(share).map(part).collect()
}

/// Takes the first `len` elements off a slice.
fn take<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(slice).split_at_mut(len);
    *slice = tail;
    head
}
