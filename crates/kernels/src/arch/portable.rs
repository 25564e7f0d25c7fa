//! 16 lanes as an array: plain Rust, compiled with hardware FMA where the machine has it.

use crate::simd::{Chunk, Kernel, LANES, Simd};

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
    ($($name:ident($($arg:ident),+) => $value:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Chunk),+) -> Chunk {
            let mut out = [0.0; LANES];
            for i in 0..LANES {
                $(let $arg = $arg[i];)+
                out[i] = $value;
            }
            out
        }
    )+};
}

impl Simd for Portable {
    type V = Chunk;
    const TILE_ROWS: usize = 4;
    const TILE_VECS: usize = 1;

    fn k_block(_rows: usize) -> usize {
        1024
    }

    lanewise! {
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
    fn prefetch(self, _: &f32) {}
}
