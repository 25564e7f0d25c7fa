//! 16 lanes in two AVX2 registers.

use std::arch::x86_64::*;

use crate::simd::{Chunk, Dot, DotKernel, Kernel, LANES, Simd, Words};

/// Proof that AVX2 and FMA are present.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Lanes 0–7 and 8–15.
#[derive(Clone, Copy)]
pub(crate) struct Pair<T = __m256>(T, T);

impl Avx2 {
    /// Whether this machine has the instructions.
    pub(crate) fn detected() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`Avx2::detected`] is false.
    pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<K: Kernel>(kernel: K) -> K::Output {
            kernel.eval(Avx2(()))
        }
        assert!(
            Self::detected(),
            "AVX2 kernel on a machine without AVX2 and FMA"
        );
        // SAFETY: the features were just detected.
        unsafe { inner(kernel) }
    }
}

/// Defines methods that apply an intrinsic to both halves.
macro_rules! halves {
    ($from:ty, $to:ty: $($name:ident($($arg:ident),+) => $value:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Pair<$from>),+) -> Pair<$to> {
            // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
            unsafe { Pair({ $(let $arg = $arg.0;)+ $value }, { $(let $arg = $arg.1;)+ $value }) }
        }
    )+};
}

impl Simd for Avx2 {
    type V = Pair;
    type I = Pair<__m256i>;
    const TILE_ROWS: usize = 6;
    const TILE_VECS: usize = 1;

    fn k_block(rows: usize) -> usize {
        // Measured on Zen 3: panels of 12 KiB in the first-level cache; with few rows, panels and rows together.
        if rows <= 24 { 64 } else { 192 }
    }

    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        Self::run(kernel)
    }

    halves! { __m256, __m256:
        add(a, b) => _mm256_add_ps(a, b);
        sub(a, b) => _mm256_sub_ps(a, b);
        mul(a, b) => _mm256_mul_ps(a, b);
        div(a, b) => _mm256_div_ps(a, b);
        fma(a, b, c) => _mm256_fmadd_ps(a, b, c);
        max(a, b) => _mm256_max_ps(a, b);
        min(a, b) => _mm256_min_ps(a, b);
        abs(a) => _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
        copysign(a, sign) => {
            let mask = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(mask, a), _mm256_and_ps(mask, sign))
        };
        select_lt(a, b, x, y) => _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
        pow2_of_biased(t) => {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(t));
            _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f80_0000)))
        };
    }

    halves! { __m256i, __m256i:
        add_words(a, b) => _mm256_add_epi32(a, b);
        sub_words(a, b) => _mm256_sub_epi32(a, b);
        mul_words(a, b) => _mm256_mullo_epi32(a, b);
        dot_pairs(a, b) => _mm256_madd_epi16(a, b);
        even_bytes(a) => _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(a));
        odd_bytes(a) => _mm256_srai_epi16::<8>(a);
    }

    halves! { __m256i, __m256:
        to_f32(a) => _mm256_cvtepi32_ps(a);
    }

    #[inline(always)]
    fn halves(self, a: Pair<__m256i>) -> (Pair, Pair) {
        // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
        unsafe {
            let upper = _mm256_castsi256_ps(_mm256_set1_epi32(!0xffff));
            let high = Pair(
                _mm256_and_ps(_mm256_castsi256_ps(a.0), upper),
                _mm256_and_ps(_mm256_castsi256_ps(a.1), upper),
            );
            let low = Pair(
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(a.0)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(a.1)),
            );
            (high, low)
        }
    }

    halves! { __m256, __m256i:
        to_bits(a) => _mm256_castps_si256(a);
    }

    #[inline(always)]
    fn splat_words(self, x: i32) -> Pair<__m256i> {
        // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
        unsafe { Pair(_mm256_set1_epi32(x), _mm256_set1_epi32(x)) }
    }

    #[inline(always)]
    fn load_words(self, from: &Words) -> Pair<__m256i> {
        let from = from.0.as_ptr().cast::<__m256i>();
        // SAFETY: features as above; both pointers cover 8 readable words of the 16, 64-byte aligned.
        unsafe { Pair(_mm256_load_si256(from), _mm256_load_si256(from.add(1))) }
    }

    #[inline(always)]
    fn store_words(self, v: Pair<__m256i>, to: &mut Words) {
        let to = to.0.as_mut_ptr().cast::<__m256i>();
        // SAFETY: features as above; both pointers cover 8 writable words of the 16, 64-byte aligned.
        unsafe {
            _mm256_store_si256(to, v.0);
            _mm256_store_si256(to.add(1), v.1);
        }
    }

    #[inline(always)]
    fn byte(self, a: Pair<__m256i>, i: usize) -> Pair<__m256i> {
        // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
        unsafe {
            let up = _mm_cvtsi32_si128(24 - 8 * i as i32);
            Pair(
                _mm256_srai_epi32::<24>(_mm256_sll_epi32(a.0, up)),
                _mm256_srai_epi32::<24>(_mm256_sll_epi32(a.1, up)),
            )
        }
    }

    #[inline(always)]
    fn low_bytes(self, a: Pair<__m256i>) -> [u8; LANES] {
        let mut out = [0; LANES];
        // SAFETY: features as above; `out` has 16 writable bytes.
        unsafe {
            let byte = _mm256_set1_epi32(0xff);
            let a = _mm256_packus_epi32(_mm256_and_si256(a.0, byte), _mm256_and_si256(a.1, byte));
            // packus works on 128-bit halves; 0, 2, 1, 3 brings the lanes into order again.
            let a = _mm256_permute4x64_epi64::<0b11_01_10_00>(a);
            let a = _mm_packus_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            _mm_storeu_si128(out.as_mut_ptr().cast(), a);
        }
        out
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Pair {
        // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
        unsafe { Pair(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }

    #[inline(always)]
    fn load(self, from: &Chunk) -> Pair {
        // SAFETY: features as above; both pointers cover 8 readable f32 of the 16.
        unsafe {
            Pair(
                _mm256_loadu_ps(from.as_ptr()),
                _mm256_loadu_ps(from[8..].as_ptr()),
            )
        }
    }

    #[inline(always)]
    fn store(self, v: Pair, to: &mut Chunk) {
        // SAFETY: features as above; both pointers cover 8 writable f32 of the 16.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), v.0);
            _mm256_storeu_ps(to[8..].as_mut_ptr(), v.1);
        }
    }

    #[inline(always)]
    fn transpose(self, rows: [Pair; LANES]) -> [Pair; LANES] {
        let eight = |from: usize| std::array::from_fn::<Pair, 8, _>(|i| rows[from + i]);
        let (top, bottom) = (eight(0), eight(8));
        let (a, b) = (
            self.transpose8(top.map(|r| r.0)),
            self.transpose8(bottom.map(|r| r.0)),
        );
        let (c, d) = (
            self.transpose8(top.map(|r| r.1)),
            self.transpose8(bottom.map(|r| r.1)),
        );
        let mut out = [self.splat(0.0); LANES];
        for i in 0..8 {
            out[i] = Pair(a[i], b[i]);
            out[8 + i] = Pair(c[i], d[i]);
        }
        out
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T) {
        // SAFETY: features as above; a prefetch accesses no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(at).cast()) }
    }
}

/// Proof that AVX-VNNI is present too.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(());

impl AvxVnni {
    /// Whether this machine has the instructions.
    pub(crate) fn detected() -> bool {
        Avx2::detected() && is_x86_feature_detected!("avxvnni")
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`AvxVnni::detected`] is false.
    pub(crate) fn run<K: DotKernel>(kernel: K) {
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn inner<K: DotKernel>(kernel: K) {
            kernel.eval(Avx2(()), AvxVnni(()));
        }
        assert!(
            Self::detected(),
            "AVX-VNNI kernel on a machine without AVX-VNNI"
        );
        // SAFETY: the features were just detected.
        unsafe { inner(kernel) }
    }
}

impl Dot<Avx2> for AvxVnni {
    const STEPS: usize = 1;

    #[inline(always)]
    fn add(self, _: Avx2, sum: Pair<__m256i>, w: Pair<__m256i>, x: Pair<__m256i>) -> Pair<__m256i> {
        // SAFETY: `self` exists only inside `AvxVnni::run`, which detected the features.
        unsafe {
            Pair(
                _mm256_dpbusd_avx_epi32(sum.0, x.0, w.0),
                _mm256_dpbusd_avx_epi32(sum.1, x.1, w.1),
            )
        }
    }
}

impl Avx2 {
    #[inline(always)]
    fn transpose8(self, r: [__m256; 8]) -> [__m256; 8] {
        // SAFETY: `self` exists only inside `Avx2::run`, which detected the features.
        unsafe {
            let mut t = [_mm256_setzero_ps(); 8];
            for g in 0..2 {
                let [a, b, c, d] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
                let (ab, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                t[4 * g] = _mm256_shuffle_ps::<0x44>(ab, cd);
                t[4 * g + 1] = _mm256_shuffle_ps::<0xee>(ab, cd);
                t[4 * g + 2] = _mm256_shuffle_ps::<0x44>(ab_high, cd_high);
                t[4 * g + 3] = _mm256_shuffle_ps::<0xee>(ab_high, cd_high);
            }
            let mut out = [_mm256_setzero_ps(); 8];
            for i in 0..4 {
                out[i] = _mm256_permute2f128_ps::<0x20>(t[i], t[i + 4]);
                out[4 + i] = _mm256_permute2f128_ps::<0x31>(t[i], t[i + 4]);
            }
            out
        }
    }
}
