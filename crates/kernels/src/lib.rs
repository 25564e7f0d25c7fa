//! Fast loops over slices of f32, bfloat16 and 8-bit numbers: what the processor does for ALBERT, without knowing ALBERT.
//!
//! ```
//! use albert_kernels::gemm::{Epilogue, Packed, linear};
//! use albert_kernels::pack::{Line, pack_weight_panel, packed_len};
//! use albert_kernels::{Activation, Isa, Scratch, parallel::Pool};
//!
//! // y = relu(x · Wᵀ + b) with x [1, 3] and W [2, 3]
//! let (isa, pool) = (Isa::best(), Pool::new(2)?);
//! let (x, w, b) = ([1.0, 2.0, 3.0], [1.0, 0.0, 1.0, 0.0, -1.0, 0.0], [0.5, 0.5]);
//! let mut panels = vec![Line::default(); packed_len(2, 3)];
//! pack_weight_panel(isa, &w, 3, &mut panels);
//! let mut scratch: Vec<Scratch> = (0..pool.threads()).map(|_| Scratch::default()).collect();
//! let mut y = [0.0; 2];
//! let epilogue = Epilogue { bias: Some(&b), activation: Activation::Relu, residual: None };
//! linear(isa, &pool, &x, Packed { panels: &panels, rows: 2, cols: 3 }, epilogue, &mut y, &mut scratch);
//! assert_eq!(y, [4.5, 0.0]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Equal bits
//! Results do not depend on the instruction set, the number of threads or the rest of the batch: every sum has one
//! order, written down where it is computed, and every other operation is IEEE 754 on single lanes. The tests compare
//! bits. One exception: AMX adds products in bfloat16 in an order of its own, see [`bf16`].
//!
//! # Modules in reading order
//! 1. `simd`: the vector of 16 lanes that every kernel is written in; `arch`: its three implementations; [`Isa`].
//! 2. [`parallel`]: the pool of threads and the tiles they write.
//! 3. [`pack`]: the layout of both operands of a product; [`gemm`]: the product and what follows it; [`bf16`] and [`int8`]:
//!    the same in lower precision; [`feedback`]: how weights are rounded to whole numbers.
//! 4. `math`: exp, tanh, erf; [`activation`], [`norm`], [`attention`].
//! 5. [`backward`]: gradients of these; [`dropout`], [`random`].
//! 6. [`peak`]: what the machine could do at most.
//!
//! `unsafe` stands in `arch` and `parallel` only. A size mismatch is a bug of the caller in this workspace and panics
//! with both sizes.

pub mod activation;
mod arch;
pub mod attention;
pub mod backward;
pub mod bf16;
pub mod dropout;
pub mod feedback;
pub mod gemm;
pub mod int8;
mod isa;
mod math;
pub mod norm;
pub mod pack;
pub mod parallel;
pub mod peak;
pub mod random;
mod scratch;
mod simd;

pub use activation::Activation;
pub use isa::{ISA_NAMES, Isa};
pub use scratch::Scratch;
