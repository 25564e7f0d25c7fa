//! Kernels.
pub mod activation; mod arch; pub mod attention; pub mod gemm; mod isa; mod math; pub mod norm; pub mod pack; pub mod parallel; pub mod peak; mod scratch; mod simd;
pub use isa::{ISA_NAMES, Isa};
pub use activation::Activation;
pub use scratch::Scratch;
