//! The limit of the machine: fused multiply-adds on registers alone.

use std::hint::black_box;

use crate::Isa;
use crate::parallel::Pool;
use crate::simd::{Kernel, Simd};

/// Independent chains: enough to hide the latency of two units.
const CHAINS: usize = 12;
const ROUNDS: usize = 1_000_000;

/// f32 operations (a multiply-add counts as two) that [`run_peak`] performs on each thread.
pub const PEAK_OPERATIONS: usize = 2 * crate::simd::LANES * CHAINS * ROUNDS;

/// Runs a fixed number of fused multiply-adds on every thread; the caller takes the time.
pub fn run_peak(isa: Isa, pool: &Pool) {
    struct Chains;
    impl Kernel for Chains {
        type Output = f32;
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) -> f32 {
            let (x, y) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
            let mut chains = [s.splat(black_box(1.0)); CHAINS];
            for _ in 0..ROUNDS {
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
    }
    pool.run(pool.threads(), &|_, _| {
        black_box(isa.run(Chains));
    });
}
#[doc(hidden)]
pub fn l1<const R: usize, const N: usize>(isa: Isa, k: usize, reps: usize, rows: usize, panels_n: usize) -> f64 {
    struct X<const R: usize, const N: usize>(usize, usize, usize, usize);
    impl<const R: usize, const N: usize> Kernel for X<R, N> {
        type Output = f64;
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) -> f64 {
            let a = vec![1e-3f32; self.0 * R * self.2];
            let b = vec![crate::pack::Line([1.0; 16]); self.0 * N * self.3];
            let t = std::time::Instant::now();
            let mut sink = 0.0;
            let mut n = 0;
            for r in 0..self.1 {
                for p in 0..self.3 {
                for tile in 0..self.2 {
                    let a = &a[tile * self.0 * R..][..self.0 * R];
                    let bb = &b[p * N * self.0..];
                    let mut pp = [&bb[..self.0]; N];
                    for i in 0..N { pp[i] = &bb[i * self.0..(i + 1) * self.0]; }
                    let sums = crate::gemm::product::<S, R, N, R>(s, a.as_chunks::<R>().0, pp);
                    let mut v = sums[0][0];
                    for x in sums { for y in x { v = s.add(v, y); } }
                    sink += s.fold_add(v); n += 1;
                }}
                black_box(r);
            }
            black_box(sink);
            n as f64 * (R * N * 32 * self.0) as f64 / t.elapsed().as_secs_f64() * 1e-9
        }
    }
    isa.run(X::<R, N>(k, reps, rows, panels_n))
}
