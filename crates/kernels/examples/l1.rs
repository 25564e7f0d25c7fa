use albert_kernels::*;
fn go<const R: usize, const N: usize>() { println!("tile {R}x{N}"); for (k, tiles, panels) in [(256,1,1),(256,8,1),(256,30,1),(768,1,1),(768,30,24)] {
  let reps = 2_000_000_000/(k*R*N*16*tiles*panels) + 1;
  let x: Vec<f64> = (0..5).map(|_| peak::l1::<R,N>(Isa::best(), k, reps, tiles, panels)).collect();
  println!("k {k} tiles {tiles} panels {panels}: {x:.0?}"); } }
fn main(){ go::<14,2>(); go::<12,2>(); go::<8,2>(); go::<9,3>(); go::<8,3>(); go::<6,4>(); go::<28,1>(); }
