//! The vector every kernel is written in: 16 lanes of f32 or of 32-bit whole numbers, whatever the registers of the
//! machine.
//!
//! AVX-512 holds the lanes in one register, AVX2 in two, portable code in an array. All operations
//! are IEEE 754 operations on each lane (a fused multiply-add rounds once), or exact, so a kernel written over
//! [`Simd`] gives the same bits on every instruction set.

use crate::pack::Line;

/// Lanes of one vector and columns of one packed panel.
pub const LANES: usize = 16;

/// Panels whose sums are finished together: the largest [`Simd::TILE_VECS`] of any instruction set. The rows of a result
/// lie far apart; three cache lines at once from each cost hardly more than one.
pub(crate) const GROUP: usize = 3;

/// 16 consecutive f32 in memory.
pub(crate) type Chunk = [f32; LANES];

/// 16 words of 32 bits, one cache line: sums, four signed bytes each, or a pair of 16-bit numbers each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Words(pub [i32; LANES]);

/// An instruction set, proven present: a value of an implementing type exists only where its
/// instructions do.
///
/// `max` and `min` return the second operand when either is NaN, as x86 does.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// 16 lanes of f32.
    type V: Copy;
    /// 16 lanes of i32, some operations on which see the two 16-bit or four 8-bit numbers of each.
    type I: Copy;
    /// Rows of the largest register tile of a matrix product.
    const TILE_ROWS: usize;
    /// Vectors (of 16 columns) across the largest register tile.
    const TILE_VECS: usize;

    /// Terms of the sums that one pass over `rows` rows takes, a multiple of the length of a chain: while they pass, the
    /// panels stay in a near cache. No result depends on it.
    fn k_block(rows: usize) -> usize;
    /// Runs `kernel` in a function of its own, compiled for this instruction set.
    fn enter<K: Kernel>(self, kernel: K) -> K::Output;

    /// Every lane `x`.
    fn splat(self, x: f32) -> Self::V;
    /// Lanes from memory.
    fn load(self, from: &Chunk) -> Self::V;
    /// Lanes to memory.
    fn store(self, v: Self::V, to: &mut Chunk);
    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a − b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a > b ? a : b
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// a < b ? a : b
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// |a|
    fn abs(self, a: Self::V) -> Self::V;
    /// Magnitude of `a` with the sign of `sign`.
    fn copysign(self, a: Self::V, sign: Self::V) -> Self::V;
    /// a < b ? x : y (false for NaN).
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// 2ⁿ of lanes that hold 1.5·2²³ + n, for −126 ≤ n ≤ 127: the low bits become the exponent.
    fn pow2_of_biased(self, t: Self::V) -> Self::V;
    /// Rows become columns.
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES];
    /// Asks for the cache line at `at` in the second-level cache; no effect on results.
    fn prefetch<T>(self, at: &T);

    /// Every lane `x`.
    fn splat_words(self, x: i32) -> Self::I;
    /// Lanes from memory.
    fn load_words(self, from: &Words) -> Self::I;
    /// Lanes to memory.
    fn store_words(self, v: Self::I, to: &mut Words);
    /// a + b
    fn add_words(self, a: Self::I, b: Self::I) -> Self::I;
    /// a − b
    fn sub_words(self, a: Self::I, b: Self::I) -> Self::I;
    /// The lower 32 bits of a · b.
    fn mul_words(self, a: Self::I, b: Self::I) -> Self::I;
    /// a₀·b₀ + a₁·b₁ of the signed 16-bit numbers in each lane, exact.
    fn dot_pairs(self, a: Self::I, b: Self::I) -> Self::I;
    /// Of four signed bytes in each lane, numbers 0 and 2, as two 16-bit numbers.
    fn even_bytes(self, a: Self::I) -> Self::I;
    /// Of four signed bytes in each lane, numbers 1 and 3, as two 16-bit numbers.
    fn odd_bytes(self, a: Self::I) -> Self::I;
    /// Of four signed bytes in each lane, number `i`, as a 32-bit number.
    fn byte(self, a: Self::I, i: usize) -> Self::I;
    /// The lowest byte of each lane.
    fn low_bytes(self, a: Self::I) -> [u8; LANES];
    /// The nearest f32 of each lane.
    fn to_f32(self, a: Self::I) -> Self::V;
    /// The upper and the lower half of each lane, as the upper halves of f32.
    fn halves(self, a: Self::I) -> (Self::V, Self::V);
    /// The bits of each lane.
    fn to_bits(self, a: Self::V) -> Self::I;

    /// Lanes from a slice of at most 16 elements, zero beyond its end.
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Self::V {
        match from.first_chunk::<LANES>() {
            Some(chunk) => self.load(chunk),
            None => {
                let mut chunk = [0.0; LANES];
                chunk[..from.len()].copy_from_slice(from);
                self.load(&chunk)
            }
        }
    }

    /// The first `to.len()` lanes (at most 16) to memory.
    #[inline(always)]
    fn store_partial(self, v: Self::V, to: &mut [f32]) {
        match to.first_chunk_mut::<LANES>() {
            Some(chunk) => self.store(v, chunk),
            None => {
                let mut chunk = [0.0; LANES];
                self.store(v, &mut chunk);
                let n = to.len();
                to.copy_from_slice(&chunk[..n]);
            }
        }
    }

    /// Sum of the lanes in one fixed tree: 16 → 8 → 4 → 2 → 1, lane i with lane i + half.
    #[inline(always)]
    fn fold_add(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// A computation written once over [`Simd`] and compiled for each instruction set.
pub(crate) trait Kernel {
    /// What the computation returns.
    type Output;
    /// The computation; implementations are `#[inline(always)]` so that they take on the caller's
    /// instruction set.
    fn eval<S: Simd>(self, simd: S) -> Self::Output;
}

/// Sums of products of bytes: four unsigned ones of an activation with four signed ones of a weight, exact.
pub(crate) trait Dot<S: Simd>: Copy {
    /// Steps in which four products are taken. 1: a word holds four bytes; 2: bytes 0 and 2 as 16-bit numbers, then
    /// bytes 1 and 3.
    const STEPS: usize;
    /// Whether there are instructions for many rows at once, [`Dot::add_tiles`].
    const TILES: bool = false;
    /// sum + w · x for one step.
    fn add(self, s: S, sum: S::I, w: S::I, x: S::I) -> S::I;
    /// Products of tiles, where [`Dot::TILES`].
    fn add_tiles(self, _: Tiles<'_, Words>) {
        unreachable!("this instruction set has no tiles");
    }
}

/// Rows times three panels, whose sums are `C`. Rows come in multiples of 16, and so do the lines of each panel.
pub(crate) struct Tiles<'a, C> {
    /// Rows of words, as f32 that are only moved: unsigned bytes or pairs of bfloat16. The first word goes with the panels'
    /// first line.
    pub(crate) a: &'a [f32],
    /// Words from one row to the next.
    pub(crate) stride: usize,
    /// Line k has a word of each of 16 columns: signed bytes or pairs of bfloat16.
    pub(crate) b: [&'a [Words]; GROUP],
    /// What the products are added to, one for each row.
    pub(crate) to: &'a mut [[C; GROUP]],
}

impl<'a, C> Tiles<'a, C> {
    /// Adds all products of `a` with `b`, by `add`; `end` has room for the last lines of the panels, after which `a` has
    /// zeros up to a multiple of 16.
    #[inline(always)]
    pub(crate) fn add_all(self, end: &mut [[Words; LANES]; GROUP], add: impl Fn(Tiles<'_, C>)) {
        let Self { a, stride, b, to } = self;
        let lines = b[0].len();
        let whole = lines / LANES * LANES;
        add(Tiles {
            a,
            stride,
            b: b.map(|panel| &panel[..whole]),
            to: &mut *to,
        });
        if whole < lines {
            // Behind the last line of a panel stands another one.
            for (end, panel) in end.iter_mut().zip(b) {
                let (last, beyond) = end.split_at_mut(lines - whole);
                last.copy_from_slice(&panel[whole..]);
                beyond.fill(Words::default());
            }
            add(Tiles {
                a: &a[whole..],
                stride,
                b: end.each_ref().map(|end| &end[..]),
                to,
            });
        }
    }
}

/// Without an instruction for it: products of 16-bit numbers.
#[derive(Clone, Copy)]
pub(crate) struct Halves;

impl<S: Simd> Dot<S> for Halves {
    const STEPS: usize = 2;

    #[inline(always)]
    fn add(self, s: S, sum: S::I, w: S::I, x: S::I) -> S::I {
        s.add_words(sum, s.dot_pairs(w, x))
    }
}

/// A [`Kernel`] that takes products of bytes.
pub(crate) trait DotKernel {
    /// The computation; implementations are `#[inline(always)]`.
    fn eval<S: Simd, D: Dot<S>>(self, simd: S, dot: D);
}

/// Products of bytes by [`Halves`].
pub(crate) struct ByHalves<K>(pub(crate) K);

impl<K: DotKernel> Kernel for ByHalves<K> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.0.eval(s, Halves);
    }
}

/// Sums of products of pairs of bfloat16: two fused multiply-adds, the odd elements first, none of whose operands or results
/// is subnormal.
pub(crate) trait Pairs<S: Simd>: Copy {
    /// Steps in which a pair is taken. 1: a word holds both elements, the even one in its lower half; 2: the odd element as
    /// f32, then the even one.
    const STEPS: usize;
    /// 16 columns of one step.
    type Line;
    /// One step in each lane.
    type Factor: Copy;
    /// As many chunks as steps.
    type Steps: AsRef<[Chunk]>;

    /// Words of a panel that one pass over `rows` rows multiplies: they stay in a near cache.
    fn block(rows: usize) -> usize;
    /// The steps of 16 words.
    fn apart(words: Words) -> Self::Steps;
    /// The steps of `words`, in `wide`, which has as many lines, where those are not the words.
    fn ready<'a>(s: S, words: &'a [Words], wide: &'a mut [Line]) -> &'a [Self::Line];
    /// A step of 16 columns from memory.
    fn load(s: S, line: &Self::Line) -> Self::Factor;
    /// A step in every lane.
    fn splat(s: S, x: f32) -> Self::Factor;
    /// sum + x · w for one step.
    fn add(self, s: S, sum: S::V, x: Self::Factor, w: Self::Factor) -> S::V;
}

/// Without an instruction for it: numbers of f32.
#[derive(Clone, Copy)]
pub(crate) struct Widened;

impl<S: Simd> Pairs<S> for Widened {
    const STEPS: usize = 2;
    type Line = Line;
    type Factor = S::V;
    type Steps = [Chunk; 2];

    fn block(_: usize) -> usize {
        96 // Widened, they stay in the first-level cache.
    }

    #[inline(always)]
    fn apart(words: Words) -> [Chunk; 2] {
        let odd = words
            .0
            .map(|word| f32::from_bits(word as u32 & 0xffff_0000));
        let even = words.0.map(|word| f32::from_bits((word as u32) << 16));
        [odd, even]
    }

    #[inline(always)]
    fn ready<'a>(s: S, words: &'a [Words], wide: &'a mut [Line]) -> &'a [Line] {
        for (words, [odd, even]) in words.iter().zip(wide.as_chunks_mut::<2>().0) {
            let (high, low) = s.halves(s.load_words(words));
            s.store(high, &mut odd.0);
            s.store(low, &mut even.0);
        }
        wide
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

/// Sums of products of pairs of bfloat16 in tiles: for each 16 pairs the even and the odd elements are two chains of fused
/// multiply-adds from zero, whose sum is added.
pub(crate) trait PairTiles: Copy {
    /// Adds the products to the sums.
    fn add(self, tiles: Tiles<'_, Line>);
}

/// A computation that takes products of pairs of bfloat16 in tiles.
pub(crate) trait PairTilesKernel {
    /// The computation; implementations are `#[inline(always)]`.
    fn eval<S: Simd, T: PairTiles>(self, simd: S, tiles: T);
}

/// A computation that takes products of pairs of bfloat16.
pub(crate) trait PairKernel {
    /// The computation; implementations are `#[inline(always)]`.
    fn eval<S: Simd, P: Pairs<S>>(self, simd: S, pairs: P);
}

/// Products of pairs by [`Widened`].
pub(crate) struct ByWidened<K>(pub(crate) K);

impl<K: PairKernel> Kernel for ByWidened<K> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.0.eval(s, Widened);
    }
}
