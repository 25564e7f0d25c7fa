//! What a product multiplies: numbers of f32, or, with instructions for it or without, pairs of bfloat16.

use super::{CHAIN, Left, PART};
use crate::pack::{LANES, Line, copy_panel, pack_panel};
use crate::simd::Simd;

/// How register tiles read their operands and add a term. A step is what one multiply-add takes of each column.
pub(crate) trait Terms<S: Simd>: Copy {
    /// What panels of weights are made of.
    type Stored;
    /// 16 columns of one step, as tiles read them.
    type Line;
    /// One number of each lane, or more than one.
    type Factor: Copy;
    /// Parts of [`PART`] steps that make one chain.
    const PARTS: usize;
    /// Steps of a stored line.
    const STEPS: usize;

    /// Stored lines of a panel of `k` inputs.
    fn stored(k: usize) -> usize;
    /// Stored lines that one pass over `rows` rows multiplies, as [`Simd::k_block`].
    fn block(rows: usize) -> usize;
    /// Numbers that [`Terms::pack`] works in for a panel of `count` rows.
    fn room(count: usize, k: usize) -> usize;
    /// Lines that [`Terms::ready`] works in for one panel of `stored` lines.
    fn wide(stored: usize) -> usize;
    /// Packs rows `first` to `first + count` of `x` [T, K] as [step][row]; `panel` may be written up to 16 − `count` numbers
    /// beyond that.
    fn pack(s: S, x: Left<'_>, rows: (usize, usize), k: usize, panel: &mut [f32], room: &mut [f32]);
    /// Stored lines as tiles read them, in `wide` where they differ.
    fn ready<'a>(s: S, stored: &'a [Self::Stored], wide: &'a mut [Line]) -> &'a [Self::Line];
    /// 16 columns from memory.
    fn load(s: S, line: &Self::Line) -> Self::Factor;
    /// Every lane what [`Terms::pack`] wrote for one row and step.
    fn splat(s: S, x: f32) -> Self::Factor;
    /// sum + x · w
    fn add(self, s: S, sum: S::V, x: Self::Factor, w: Self::Factor) -> S::V;
}

/// Numbers of f32: one fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Single;

impl<S: Simd> Terms<S> for Single {
    type Stored = Line;
    type Line = Line;
    type Factor = S::V;
    const PARTS: usize = CHAIN / PART;
    const STEPS: usize = 1;

    fn stored(k: usize) -> usize {
        k
    }

    fn block(rows: usize) -> usize {
        S::k_block(rows)
    }

    fn room(_: usize, _: usize) -> usize {
        0
    }

    fn wide(_: usize) -> usize {
        0
    }

    #[inline(always)]
    fn pack(
        s: S,
        x: Left<'_>,
        (first, count): (usize, usize),
        k: usize,
        panel: &mut [f32],
        _: &mut [f32],
    ) {
        match x {
            Left::Rows(x) => {
                let mut slices: [&[f32]; LANES] = [&[]; LANES];
                for (i, slice) in slices[..count].iter_mut().enumerate() {
                    *slice = &x[(first + i) * k..][..k];
                }
                pack_panel(s, &slices[..count], count, panel);
            }
            Left::Columns(x) => copy_panel(s, x, x.len() / k, first..first + count, panel),
        }
    }

    #[inline(always)]
    fn ready<'a>(_: S, stored: &'a [Line], _: &'a mut [Line]) -> &'a [Line] {
        stored
    }

    #[inline(always)]
    fn load(s: S, line: &Line) -> S::V {
        s.load(&line.0)
    }

    #[inline(always)]
    fn splat(s: S, x: f32) -> S::V {
        s.splat(x)
    }

    #[inline(always)]
    fn add(self, s: S, sum: S::V, x: S::V, w: S::V) -> S::V {
        s.fma(x, w, sum)
    }
}
