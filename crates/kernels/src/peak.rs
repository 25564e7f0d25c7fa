//! The limit of the machine: fused multiply-adds on registers alone.

use std::hint::black_box;

use crate::Isa;
use crate::parallel::Pool;
use crate::simd::{Kernel, Simd};

/// Vectors that each thread multiplies and adds.
const VECTORS: usize = 12_000_000;

/// f32 operations (a multiply-add counts as two) that [`run_peak`] performs on each thread.
pub const PEAK_OPERATIONS: usize = 2 * crate::simd::LANES * VECTORS;

/// Runs a fixed number of fused multiply-adds on every thread; the caller takes the time.
pub fn run_peak(isa: Isa, pool: &Pool) {
    struct Chains;
    impl Kernel for Chains {
        type Output = f32;
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) -> f32 {
            // Enough independent chains to hide the latency of two units, few enough for the registers: a vector of 16
            // lanes takes one register of AVX-512, two of AVX2.
            if S::TILE_VECS == 1 {
                chains::<S, 6>(s)
            } else {
                chains::<S, 12>(s)
            }
        }
    }
    pool.run(pool.threads(), &|_, _| {
        black_box(isa.run(Chains));
    });
}

#[inline(always)]
fn chains<S: Simd, const CHAINS: usize>(s: S) -> f32 {
    let (x, y) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
    let mut chains = [s.splat(black_box(1.0)); CHAINS];
    for _ in 0..VECTORS / CHAINS {
        for chain in &mut chains {
            *chain = s.fma(*chain, x, y);
        }
    }
    let mut sum = chains[0];
    for chain in &chains[1..] {
        sum = s.add(sum, *chain);
    }
    s.fold_add(sum)
}
