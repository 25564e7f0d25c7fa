//! 16 lanes as an array: plain Rust, compiled with hardware FMA where the machine has it.

use crate::simd::{Chunk, Kernel, LANES, Simd, Words};

/// Plain Rust, any machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable(());

impl Portable {
    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// Without a hardware FMA every `mul_add` is a call into the C library: slow, the same bits.
    pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "fma")]
            fn with_fma<K: Kernel>(kernel: K) -> K::Output {
                kernel.eval(Portable(()))
            }
            if std::is_x86_feature_detected!("fma") {
                // SAFETY: the feature was just detected.
                return unsafe { with_fma(kernel) };
            }
        }
        kernel.eval(Portable(()))
    }
}

macro_rules! lanewise {
    ($of:ty: $($name:ident($($arg:ident),+) => $value:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: [$of; LANES]),+) -> [$of; LANES] {
            let mut out = [<$of>::default(); LANES];
            for i in 0..LANES {
                $(let $arg = $arg[i];)+
                out[i] = $value;
            }
            out
        }
    )+};
}

/// The two 16-bit numbers of a word.
fn halves(word: i32) -> [i16; 2] {
    [word as i16, (word >> 16) as i16]
}

/// The word of two 16-bit numbers.
fn word([low, high]: [i16; 2]) -> i32 {
    i32::from(low as u16) | i32::from(high) << 16
}

impl Simd for Portable {
    type V = Chunk;
    type I = [i32; LANES];
    const TILE_ROWS: usize = 4;
    const TILE_VECS: usize = 1;

    fn k_block(_rows: usize) -> usize {
        1024
    }

    fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        Self::run(kernel)
    }

    lanewise! { f32:
        add(a, b) => a + b;
        sub(a, b) => a - b;
        mul(a, b) => a * b;
        div(a, b) => a / b;
        fma(a, b, c) => a.mul_add(b, c);
        max(a, b) => if a > b { a } else { b };
        min(a, b) => if a < b { a } else { b };
        abs(a) => a.abs();
        copysign(a, sign) => a.copysign(sign);
        select_lt(a, b, x, y) => if a < b { x } else { y };
        pow2_of_biased(t) => f32::from_bits((t.to_bits() << 23).wrapping_add(0x3f80_0000));
    }

    lanewise! { i32:
        add_words(a, b) => a.wrapping_add(b);
        sub_words(a, b) => a.wrapping_sub(b);
        mul_words(a, b) => a.wrapping_mul(b);
        dot_pairs(a, b) => {
            let ([a, c], [b, d]) = (halves(a), halves(b));
            (i32::from(a) * i32::from(b)).wrapping_add(i32::from(c) * i32::from(d))
        };
        even_bytes(a) => word(halves(a).map(|x| i16::from(x as i8)));
        odd_bytes(a) => word(halves(a).map(|x| x >> 8));
    }

    #[inline(always)]
    fn splat_words(self, x: i32) -> [i32; LANES] {
        [x; LANES]
    }

    #[inline(always)]
    fn load_words(self, from: &Words) -> [i32; LANES] {
        from.0
    }

    #[inline(always)]
    fn store_words(self, v: [i32; LANES], to: &mut Words) {
        to.0 = v;
    }

    #[inline(always)]
    fn byte(self, a: [i32; LANES], i: usize) -> [i32; LANES] {
        a.map(|x| i32::from((x >> (8 * i)) as i8))
    }

    #[inline(always)]
    fn low_bytes(self, a: [i32; LANES]) -> [u8; LANES] {
        a.map(|x| x as u8)
    }

    #[inline(always)]
    fn to_f32(self, a: [i32; LANES]) -> Chunk {
        a.map(|x| x as f32)
    }

    #[inline(always)]
    fn halves(self, a: [i32; LANES]) -> (Chunk, Chunk) {
        let (mut high, mut low) = ([0.0; LANES], [0.0; LANES]);
        for (i, x) in a.into_iter().enumerate() {
            high[i] = f32::from_bits(x as u32 & 0xffff_0000);
            low[i] = f32::from_bits((x as u32) << 16);
        }
        (high, low)
    }

    #[inline(always)]
    fn to_bits(self, a: Chunk) -> [i32; LANES] {
        a.map(|x| x.to_bits() as i32)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Chunk {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Chunk) -> Chunk {
        *from
    }

    #[inline(always)]
    fn store(self, v: Chunk, to: &mut Chunk) {
        *to = v;
    }

    #[inline(always)]
    fn transpose(self, rows: [Chunk; LANES]) -> [Chunk; LANES] {
        let mut out = [[0.0; LANES]; LANES];
        for (i, row) in rows.iter().enumerate() {
            for (j, &x) in row.iter().enumerate() {
                out[j][i] = x;
            }
        }
        out
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}
}
