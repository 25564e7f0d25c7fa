//! 16 lanes in one AVX-512 register.

use std::arch::x86_64::*;

use crate::pack::Line;
use crate::simd::{Chunk, Dot, DotKernel, Kernel, LANES, PairKernel, Pairs, Simd, Words};

/// Proof that AVX-512 F, BW, VL and DQ are present.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Whether this machine has the instructions.
    pub(crate) fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("fma")
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`Avx512::detected`] is false.
    pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,avx2")]
        fn inner<K: Kernel>(kernel: K) -> K::Output {
            kernel.eval(Avx512(()))
        }
        assert!(
            Self::detected(),
            "AVX-512 kernel on a machine without AVX-512"
        );
        // SAFETY: the features were just detected.
        unsafe { inner(kernel) }
    }
}

/// Defines methods whose body is intrinsics.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident: $ty:ty),+) -> $out:ty => $value:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),+) -> $out {
            // SAFETY: `self` exists only inside `Avx512::run`, which detected the features.
            unsafe { $value }
        }
    )+};
}

impl Simd for Avx512 {
    type V = __m512;
    type I = __m512i;
    const TILE_ROWS: usize = 9;
    const TILE_VECS: usize = 3;

    fn k_block(_rows: usize) -> usize {
        1024 // Measured on Sapphire Rapids: three panels, 192 KiB, in the second-level cache.
    }

    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        Self::run(kernel)
    }

    intrinsics! {
        splat(x: f32) -> __m512 => _mm512_set1_ps(x);
        // The pointer covers 16 readable f32.
        load(from: &Chunk) -> __m512 => _mm512_loadu_ps(from.as_ptr());
        // The pointer covers 16 writable f32.
        store(v: __m512, to: &mut Chunk) -> () => _mm512_storeu_ps(to.as_mut_ptr(), v);
        add(a: __m512, b: __m512) -> __m512 => _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 => _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 => _mm512_mul_ps(a, b);
        div(a: __m512, b: __m512) -> __m512 => _mm512_div_ps(a, b);
        fma(a: __m512, b: __m512, c: __m512) -> __m512 => _mm512_fmadd_ps(a, b, c);
        max(a: __m512, b: __m512) -> __m512 => _mm512_max_ps(a, b);
        min(a: __m512, b: __m512) -> __m512 => _mm512_min_ps(a, b);
        abs(a: __m512) -> __m512 => _mm512_abs_ps(a);
        copysign(a: __m512, sign: __m512) -> __m512 => {
            let mask = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(mask, a), _mm512_and_ps(mask, sign))
        };
        select_lt(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 => {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x)
        };
        pow2_of_biased(t: __m512) -> __m512 => {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(t));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f80_0000)))
        };
        splat_words(x: i32) -> __m512i => _mm512_set1_epi32(x);
        // The pointer covers 16 readable words, 64-byte aligned.
        load_words(from: &Words) -> __m512i => _mm512_load_si512(from.0.as_ptr().cast());
        // The pointer covers 16 writable words, 64-byte aligned.
        store_words(v: __m512i, to: &mut Words) -> () => _mm512_store_si512(to.0.as_mut_ptr().cast(), v);
        add_words(a: __m512i, b: __m512i) -> __m512i => _mm512_add_epi32(a, b);
        sub_words(a: __m512i, b: __m512i) -> __m512i => _mm512_sub_epi32(a, b);
        mul_words(a: __m512i, b: __m512i) -> __m512i => _mm512_mullo_epi32(a, b);
        dot_pairs(a: __m512i, b: __m512i) -> __m512i => _mm512_madd_epi16(a, b);
        even_bytes(a: __m512i) -> __m512i => _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(a));
        odd_bytes(a: __m512i) -> __m512i => _mm512_srai_epi16::<8>(a);
        byte(a: __m512i, i: usize) -> __m512i => {
            _mm512_srai_epi32::<24>(_mm512_sll_epi32(a, _mm_cvtsi32_si128(24 - 8 * i as i32)))
        };
        to_f32(a: __m512i) -> __m512 => _mm512_cvtepi32_ps(a);
        halves(a: __m512i) -> (__m512, __m512) => {
            let high = _mm512_and_si512(a, _mm512_set1_epi32(!0xffff));
            (
                _mm512_castsi512_ps(high),
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(a)),
            )
        };
        to_bits(a: __m512) -> __m512i => _mm512_castps_si512(a);
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T) {
        // SAFETY: features as above; a prefetch accesses no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(at).cast()) }
    }

    #[inline(always)]
    fn low_bytes(self, a: __m512i) -> [u8; LANES] {
        let mut out = [0; LANES];
        // SAFETY: features as above; `out` has 16 writable bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(a)) };
        out
    }

    #[inline(always)]
    fn transpose(self, r: [__m512; LANES]) -> [__m512; LANES] {
        // SAFETY: `self` exists only inside `Avx512::run`, which detected the features.
        unsafe {
            // 4 x 4 blocks inside each group of four rows …
            let mut t = [_mm512_setzero_ps(); LANES];
            for g in 0..4 {
                let [a, b, c, d] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
                let ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                t[4 * g] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
                t[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
                t[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
                t[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
            }
            // … then the 128-bit blocks among the groups: out[4·q + i] takes block q of t[i + 4·g].
            let mut out = [_mm512_setzero_ps(); LANES];
            for i in 0..4 {
                let low = _mm512_shuffle_f32x4::<0x44>(t[i], t[i + 4]);
                let high = _mm512_shuffle_f32x4::<0xee>(t[i], t[i + 4]);
                let low_next = _mm512_shuffle_f32x4::<0x44>(t[i + 8], t[i + 12]);
                let high_next = _mm512_shuffle_f32x4::<0xee>(t[i + 8], t[i + 12]);
                out[i] = _mm512_shuffle_f32x4::<0x88>(low, low_next);
                out[4 + i] = _mm512_shuffle_f32x4::<0xdd>(low, low_next);
                out[8 + i] = _mm512_shuffle_f32x4::<0x88>(high, high_next);
                out[12 + i] = _mm512_shuffle_f32x4::<0xdd>(high, high_next);
            }
            out
        }
    }
}

/// Proof that AVX-512 VNNI is present too.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    /// Whether this machine has the instructions.
    pub(crate) fn detected() -> bool {
        Avx512::detected() && is_x86_feature_detected!("avx512vnni")
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`Avx512Vnni::detected`] is false.
    pub(crate) fn run<K: DotKernel>(kernel: K) {
        Self::run_with(kernel, |dot| dot);
    }

    /// As [`Self::run`], with what `made` makes of the proof.
    pub(crate) fn run_with<K: DotKernel, D: Dot<Avx512>>(kernel: K, made: fn(Self) -> D) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,avx2")]
        fn inner<K: DotKernel, D: Dot<Avx512>>(kernel: K, dot: D) {
            kernel.eval(Avx512(()), dot);
        }
        assert!(Self::detected(), "VNNI kernel on a machine without VNNI");
        let dot = made(Self(()));
        // SAFETY: the features were just detected.
        unsafe { inner(kernel, dot) }
    }
}

impl Dot<Avx512> for Avx512Vnni {
    const STEPS: usize = 1;

    #[inline(always)]
    fn add(self, _: Avx512, sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: `self` exists only inside `Avx512Vnni::run`, which detected the features.
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }
}

/// Proof that AVX-512 BF16 is present too.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(());

impl Avx512Bf16 {
    /// Whether this machine has the instructions.
    pub(crate) fn detected() -> bool {
        Avx512::detected() && is_x86_feature_detected!("avx512bf16")
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`Avx512Bf16::detected`] is false.
    pub(crate) fn run<K: PairKernel>(kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,avx2")]
        fn inner<K: PairKernel>(kernel: K) {
            kernel.eval(Avx512(()), Avx512Bf16(()));
        }
        assert!(Self::detected(), "BF16 kernel on a machine without BF16");
        // SAFETY: the features were just detected.
        unsafe { inner(kernel) }
    }
}

impl Pairs<Avx512> for Avx512Bf16 {
    const STEPS: usize = 1;
    type Line = Words;
    type Factor = __m512i;
    type Steps = [Chunk; 1];

    fn block(rows: usize) -> usize {
        Avx512::k_block(rows)
    }

    #[inline(always)]
    fn apart(words: Words) -> [Chunk; 1] {
        [words.0.map(|word| f32::from_bits(word as u32))]
    }

    #[inline(always)]
    fn ready<'a>(_: Avx512, words: &'a [Words], _: &'a mut [Line]) -> &'a [Words] {
        words
    }

    #[inline(always)]
    fn load(s: Avx512, line: &Words) -> __m512i {
        s.load_words(line)
    }

    #[inline(always)]
    fn splat(s: Avx512, x: f32) -> __m512i {
        s.splat_words(x.to_bits() as i32)
    }

    #[inline(always)]
    fn add(self, _: Avx512, sum: __m512, x: __m512i, w: __m512i) -> __m512 {
        // SAFETY: `self` exists only inside `Avx512Bf16::run`, which detected the features; the casts change the type of the
        // same 512 bits.
        unsafe {
            _mm512_dpbf16_ps(
                sum,
                std::mem::transmute::<__m512i, __m512bh>(w),
                std::mem::transmute::<__m512i, __m512bh>(x),
            )
        }
    }
}
