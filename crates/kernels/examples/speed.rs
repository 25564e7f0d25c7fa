use albert_kernels::{*, gemm::*, parallel::*, pack::*};
use std::time::Instant;
fn main() {
    let threads: usize = std::env::args().nth(1).map_or(2, |x| x.parse().unwrap());
    let isa = std::env::args().nth(2).map_or(Isa::best(), |x| Isa::from_name(&x).unwrap());
    let pool = Pool::new(threads).unwrap();
    let mut b = f64::MAX; for _ in 0..20 { let s = Instant::now(); peak::run_peak(isa, &pool); b = b.min(s.elapsed().as_secs_f64()); }
    println!("peak {:.1}", peak::PEAK_OPERATIONS as f64 * threads as f64 / b * 1e-9);
    for (t, k, n) in [(16,768,2304),(16,768,3072),(16,3072,768),(128,768,3072),(128,3072,768),(1024,768,768),(1024,768,3072),(1024,3072,768)] {
        let x: Vec<f32> = (0..t*k).map(|i| (i % 17) as f32 * 0.1).collect();
        // 3 distinct copies in rotation, as a layer has
        let w = vec![Line([0.5;16]); packed_len(n, k)];
        let mut y = vec![0f32; t*n];
        let mut scratch: Vec<Scratch> = (0..threads).map(|_| Scratch::default()).collect();
        let bias = vec![0.1f32; n];
        let mut best = f64::MAX; let mut all = 0.0; let reps = 5 + (2e10 / (2.0*t as f64*k as f64*n as f64)) as usize;
        for _ in 0..reps { let s = Instant::now();
            linear(isa, &pool, &x, Packed{panels:&w, rows:n, cols:k}, Epilogue{bias:Some(&bias), activation:Activation::Linear, residual:None}, &mut y, &mut scratch);
            let e = s.elapsed().as_secs_f64(); best = best.min(e); all += e; }
        let f = 2e-9*t as f64*k as f64*n as f64;
        println!("{t:5} {k:5} {n:5}  best {:7.1}  mean {:7.1} GFLOP/s  {:.1} us", f/best, f/(all/reps as f64), best*1e6);
    }
}
