//! The second half of the seam: what a device must offer to train.
//!
//! Each operation mirrors one of [`Backend`]: it takes the gradient of a result and gives those of the operands. Gradients
//! of parameters are added to slices on the host, in the parameters' own layout, in f32 or, on the reference, f64.

use albert_kernels::activation::Activation;

use super::{AttentionInput, Backend, Dropout, Norm};

/// Gradients of a linear layer's parameters, added to what is there.
pub struct LinearGradient<'a, T> {
    /// [N, K]
    pub weight: &'a mut [T],
    /// `[N]`, where there is a bias.
    pub bias: Option<&'a mut [T]>,
}

/// Gradients of a LayerNorm's parameters, added to what is there.
pub struct NormGradient<'a, T> {
    /// Of γ.
    pub gamma: &'a mut [T],
    /// Of β.
    pub beta: &'a mut [T],
}

/// Where a gradient goes.
pub enum To<'a, T> {
    /// Replaces what is there.
    Set(&'a mut T),
    /// Is added to what is there.
    Add(&'a mut T),
}

/// A device that can train.
pub trait Gradient: Backend {
    /// Why it cannot, as it was opened: 8-bit weights have no gradient.
    fn refusal(&self) -> Option<String> {
        None
    }
    /// Replaces a weight matrix [N, K] by other numbers of the same shape.
    fn reload(&self, weight: &mut Self::Weight, values: &[f32]);
    /// Activations [rows, cols] of zeros.
    fn zeros(&self, rows: usize, cols: usize) -> Self::Buffer;
    /// Drops elements in place; the gradient's operation is the same.
    fn drop_out(&self, dropout: Dropout<'_>, x: &mut Self::Buffer);
    /// activation(x), element by element.
    fn activate(&self, activation: Activation, x: &Self::Buffer) -> Self::Buffer;
    /// gradient ← gradient · activation′(x)
    fn activation_backward(
        &self,
        activation: Activation,
        x: &Self::Buffer,
        gradient: &mut Self::Buffer,
    );
    /// gradient of LayerNorm(x) → gradient of x, in place.
    fn norm_backward(
        &self,
        x: &Self::Buffer,
        norm: &Norm<Self::Vector>,
        gradient: &mut Self::Buffer,
        into: NormGradient<'_, Self::Scalar>,
    );
    /// From the gradient [T, N] of x·Wᵀ + b to those of W and b, and, where `inputs` is given, to that of x [T, K].
    fn linear_backward(
        &self,
        x: &Self::Buffer,
        weight: &Self::Weight,
        gradient: &Self::Buffer,
        into: LinearGradient<'_, Self::Scalar>,
        inputs: Option<To<'_, Self::Buffer>>,
    );
    /// Adds Σ over the rows of x [T, N].
    fn add_sums(&self, x: &Self::Buffer, into: &mut [Self::Scalar]);
    /// From the gradient of the context [T, A·D] to that of qkv [T, 3·A·D]. Without relative positions.
    fn attention_backward(
        &self,
        qkv: &Self::Buffer,
        input: AttentionInput<'_, Self>,
        gradient: &Self::Buffer,
        qkv_gradient: &mut Self::Buffer,
    );
    /// Adds row i of `gradient` to row `rows[i]` of `into`: the gradient of [`Backend::gather_rows`].
    fn add_rows(&self, gradient: &Self::Buffer, rows: &[u32], into: &mut Self::Buffer);
    /// Σ −ln of the target's softmax over the rows of `logits` [n, C], which become (softmax(row) − onehot(target))·scale.
    fn cross_entropy(&self, logits: &mut Self::Buffer, targets: &[u32], scale: f64) -> f64;
}
