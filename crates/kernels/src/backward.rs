//! Gradients of the operations that are not products: sums over rows, LayerNorm, cross-entropy, attention.

mod attention;
mod columns;
mod loss;
mod norm;

pub use attention::attention_backward;
pub use columns::add_column_sums;
pub use loss::cross_entropy;
pub use norm::layer_norm_backward;
