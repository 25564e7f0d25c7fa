//! One register tile of a product: a few rows of packed activations times a few panels of weights.

use std::slice::Chunks;

use super::{PART, Single, Terms};
use crate::pack::Line;
use crate::simd::{GROUP, Simd};

/// Steps of a chain in straight-line code: the end of a short loop is foreseen, that of a long one is not.
const UNROLL: usize = 8;

/// `rows` rows in tiles of almost equal height, at most `most` each: (first row, rows).
#[derive(Clone, Copy)]
pub(crate) struct RowTiles {
    /// How many there are.
    pub(super) tiles: usize,
    height: usize,
    /// Tiles, from the first, that are one row higher.
    higher: usize,
    first: usize,
}

impl RowTiles {
    pub(crate) fn new(rows: usize, most: usize) -> Self {
        let tiles = rows.div_ceil(most);
        Self {
            tiles,
            height: rows.checked_div(tiles).unwrap_or(0),
            higher: rows.checked_rem(tiles).unwrap_or(0),
            first: 0,
        }
    }
}

impl Iterator for RowTiles {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        self.tiles = self.tiles.checked_sub(1)?;
        let rows = self.height + usize::from(self.higher > 0);
        self.higher = self.higher.saturating_sub(1);
        self.first += rows;
        Some((self.first - rows, rows))
    }
}

/// The operands of one register tile.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a, L, P, const VECS: usize> {
    /// One panel of activations, [step][rows of the tile].
    pub(super) a: &'a [f32],
    /// Panels of weights, [step][16] each.
    pub(super) b: [&'a [L]; VECS],
    /// Stored lines to prefetch on the way.
    pub(super) ahead: [&'a [P]; VECS],
}

impl<'a, const VECS: usize> Product<'a, Line, Line, VECS> {
    /// Of f32, without prefetching.
    #[inline(always)]
    pub(crate) fn new(a: &'a [f32], b: [&'a [Line]; VECS]) -> Self {
        let ahead = [&[] as &[Line]; VECS];
        Self { a, b, ahead }
    }
}

/// Where the sums of one register tile go.
pub(crate) struct Sums<'a> {
    pub(crate) rows: &'a mut [[Line; GROUP]],
    /// The first panel.
    pub(crate) at: usize,
    /// Add to what is there (a later block of k) instead of setting it.
    pub(crate) add: bool,
}

/// Chooses the register tile for `count` rows at compile time.
#[inline(always)]
pub(crate) fn tile_of_rows<S: Simd, T: Terms<S>, const VECS: usize>(
    s: S,
    terms: T,
    count: usize,
    operands: Product<'_, T::Line, T::Stored, VECS>,
    sums: Sums<'_>,
) {
    macro_rules! choose {
        ($($rows:literal)+) => {
            match count {
                $($rows if $rows <= S::TILE_ROWS && VECS <= S::TILE_VECS => {
                    add_product::<S, T, $rows, VECS>(s, terms, operands, sums)
                },)+
                _ => unreachable!("tiles have 1 to {} rows", S::TILE_ROWS),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9)
}

/// One register tile to `sums`.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "iterators over arrays of vectors copy them in memory"
)]
fn add_product<S: Simd, T: Terms<S>, const ROWS: usize, const VECS: usize>(
    s: S,
    terms: T,
    operands: Product<'_, T::Line, T::Stored, VECS>,
    to: Sums<'_>,
) {
    let a = operands.a.as_chunks::<ROWS>().0;
    let mut add = to.add;
    let mut ahead = operands.ahead.map(|lines| lines.chunks(UNROLL));
    for i in 0..a.len().div_ceil(T::PARTS * PART) {
        let sums = chain::<S, T, ROWS, VECS, ROWS>(s, terms, i, a, operands.b, &mut ahead);
        for i in 0..ROWS {
            let totals = &mut to.rows[i][to.at..][..VECS];
            for j in 0..VECS {
                let mut sum = sums[i][j];
                if add {
                    sum = s.add(s.load(&totals[j].0), sum);
                }
                s.store(sum, &mut totals[j].0);
            }
        }
        add = true;
    }
}

/// Rows 0..ROWS of panel `a` ([k][WIDTH]) times VECS panels `b` ([k][16]) in f32: chains of [`super::CHAIN`] terms, added in
/// order.
#[inline(always)]
pub(crate) fn product<S: Simd, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    a: &[[f32; WIDTH]],
    b: [&[Line]; VECS],
) -> [[S::V; VECS]; ROWS] {
    let mut ahead = std::array::from_fn(|_| [].chunks(UNROLL));
    let mut total = chain::<S, Single, ROWS, VECS, WIDTH>(s, Single, 0, a, b, &mut ahead);
    for i in 1..a.len().div_ceil(super::CHAIN) {
        let sums = chain::<S, Single, ROWS, VECS, WIDTH>(s, Single, i, a, b, &mut ahead);
        for i in 0..ROWS {
            for j in 0..VECS {
                total[i][j] = s.add(total[i][j], sums[i][j]);
            }
        }
    }
    total
}

/// Chain number `i` of a register tile: for each element multiply-adds in increasing k, from zero. Prefetches lines of
/// `ahead` on the way.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "a `map` over arrays of vectors is no loop in registers"
)]
fn chain<S: Simd, T: Terms<S>, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    terms: T,
    i: usize,
    a: &[[f32; WIDTH]],
    b: [&[T::Line]; VECS],
    ahead: &mut [Chunks<'_, T::Stored>; VECS],
) -> [[S::V; VECS]; ROWS] {
    let (whole, rest) = a.as_chunks::<PART>();
    // Loops, where `map` would read better: closures do not always inherit the instructions of the function they
    // stand in, and then each load is a call.
    let (mut starts, mut ends) = ([&[] as &[[T::Line; PART]]; VECS], [&[] as &[T::Line]; VECS]);
    for j in 0..VECS {
        (starts[j], ends[j]) = b[j][..a.len()].as_chunks::<PART>();
    }
    let mut sums = [[s.splat(0.0); VECS]; ROWS];
    for part in i * T::PARTS..(i + 1) * T::PARTS {
        let Some(a) = whole.get(part) else {
            for (k, a) in rest.iter().enumerate() {
                step(s, terms, a, lines(ends, k), &mut sums);
            }
            return sums;
        };
        let mut panels = [&starts[0][part] as &[T::Line]; VECS];
        for j in 1..VECS {
            panels[j] = &starts[j][part];
        }
        for from in (0..PART).step_by(UNROLL) {
            for lines in ahead.iter_mut() {
                for line in lines.next().unwrap_or_default() {
                    s.prefetch(line);
                }
            }
            for (k, a) in a[from..from + UNROLL].iter().enumerate() {
                step(s, terms, a, lines(panels, from + k), &mut sums);
            }
        }
    }
    sums
}

/// Line `k` of each panel.
#[inline(always)]
fn lines<L, const VECS: usize>(panels: [&[L]; VECS], k: usize) -> [&L; VECS] {
    let mut lines = [&panels[0][k]; VECS];
    for j in 1..VECS {
        lines[j] = &panels[j][k];
    }
    lines
}

/// One term of each sum of a register tile.
#[inline(always)]
fn step<S: Simd, T: Terms<S>, const ROWS: usize, const VECS: usize, const WIDTH: usize>(
    s: S,
    terms: T,
    row: &[f32; WIDTH],
    columns: [&T::Line; VECS],
    sums: &mut [[S::V; VECS]; ROWS],
) {
    let mut loaded = [T::splat(s, 0.0); VECS];
    for j in 0..VECS {
        loaded[j] = T::load(s, columns[j]);
    }
    for i in 0..ROWS {
        let x = T::splat(s, row[i]);
        for j in 0..VECS {
            sums[i][j] = terms.add(s, sums[i][j], x, loaded[j]);
        }
    }
}
