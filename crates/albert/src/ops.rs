//! The seam: the operations a device must offer. The model is written over them and contains no loop
//! over elements.
//!
//! [`Cpu`] computes in f32 with packed weights; [`Reference`] computes the same naively in f64 and shows that
//! the seam holds. A device owns its buffers: the model only passes them on.

mod cpu;
mod gradient;
mod reference;

pub use cpu::{Cpu, CpuOptions, Precision};
pub use gradient::{Gradient, LinearGradient, NormGradient, To};
pub use reference::Reference;

pub use albert_kernels::attention::Sequence;
pub use albert_kernels::dropout::Dropout;

use albert_kernels::activation::Activation;

/// Reads rows of a matrix from wherever they are: first row, and room for whole rows.
pub type ReadRows<'a, E> = dyn Fn(usize, &mut [f32]) -> Result<(), E> + Sync + 'a;

/// γ, β and ε of a LayerNorm.
#[derive(Clone, Debug)]
pub struct Norm<V> {
    /// γ
    pub gamma: V,
    /// β
    pub beta: V,
    /// ε, added to the variance.
    pub epsilon: f64,
}

/// What follows a matrix product: `norm(residual + dropout(activation(x·Wᵀ + bias)))`, each part optional.
pub struct Epilogue<'a, B: Backend + ?Sized> {
    /// `[N]`
    pub bias: Option<&'a B::Vector>,
    /// Elementwise function, `Linear` for none.
    pub activation: Activation,
    /// Of each element, before the residual.
    pub dropout: Option<Dropout<'a>>,
    /// [T, N]
    pub residual: Option<&'a B::Buffer>,
    /// LayerNorm over N.
    pub norm: Option<&'a Norm<B::Vector>>,
    /// Receives what the first function that is not linear, activation or norm, is applied to [T, N]; gradients need it.
    pub kept: Option<&'a mut B::Buffer>,
}

/// What the embedding layer adds up for each packed row.
pub struct Embedding<'a, B: Backend + ?Sized> {
    /// Words by number …
    pub words: Option<(&'a B::Weight, &'a [u32])>,
    /// … or given: [T, E].
    pub embeds: Option<&'a [f32]>,
    /// Table [U, E] and the row of each token.
    pub types: (&'a B::Vector, &'a [u32]),
    /// Table [P, E] and the row of each token; none for relative positions.
    pub positions: Option<(&'a B::Vector, &'a [u32])>,
    /// LayerNorm over E.
    pub norm: &'a Norm<B::Vector>,
    /// Of each element, after the norm.
    pub dropout: Option<Dropout<'a>>,
    /// Receives what the norm is applied to [T, E].
    pub kept: Option<&'a mut B::Buffer>,
}

/// What attention needs besides queries, keys and values; fields as in [`albert_kernels::attention::Attention`].
pub struct AttentionInput<'a, B: Backend + ?Sized> {
    /// A
    pub heads: usize,
    /// D
    pub head_size: usize,
    /// The packed batch.
    pub layout: &'a Layout,
    /// Table [2P−1, D], P, and whether keys have a term too.
    pub relative: Option<(&'a B::Vector, usize, bool)>,
    /// Factor of each head's probabilities `[A]`.
    pub head_mask: Option<&'a [f32]>,
    /// Of the probabilities.
    pub dropout: Option<Dropout<'a>>,
}

/// Where the tokens of a packed batch came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Rows and keys of each sequence.
    pub sequences: Vec<Sequence>,
    /// Packed row of each key.
    pub key_rows: Vec<u32>,
    /// Position of each packed row in its sequence.
    pub positions: Vec<u32>,
    /// S, the padded length.
    pub length: usize,
}

/// How much of a weight matrix's precision a device may give up.
#[derive(Clone, Copy, Debug)]
pub enum Care<'a> {
    /// As much as it does in general.
    Plain,
    /// The same, with what is known about its inputs.
    Known(&'a Moments),
    /// Not more than half of the bits: it is applied once, and everything follows from it.
    Half,
    /// Nothing: a small matrix, on which an answer hangs.
    Exact,
}

/// What a sample told about the inputs of a matrix that is applied several times.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// The mean input of each application, `[K]` each.
    pub means: Vec<Vec<f64>>,
    /// The variance around those means, averaged over the applications `[K]`.
    pub variance: Vec<f64>,
}

/// A device that can run the model. Sizes that do not match are our bug and panic.
pub trait Backend: Sync {
    /// Element of its results: f32 or f64.
    type Scalar: Copy + Default + Into<f64> + Send + Sync + 'static;
    /// Activations, row-major [rows, cols].
    type Buffer: Clone;
    /// A weight matrix [N, K] in the form that `linear` reads.
    type Weight: Send + Sync;
    /// Biases, norms and small tables.
    type Vector: Clone + Send + Sync;

    /// Takes in a weight matrix [rows, cols].
    ///
    /// # Errors
    /// The first error of `read`.
    fn weight<E: Send>(
        &self,
        rows: usize,
        cols: usize,
        care: Care<'_>,
        read: &ReadRows<'_, E>,
    ) -> Result<Self::Weight, E>;
    /// Whether weights come out better when the device is told about their inputs: [`Care::Known`].
    fn wants_moments(&self) -> bool {
        false
    }
    /// Gives back one row of a weight matrix.
    fn weight_row(&self, weight: &Self::Weight, row: usize, out: &mut [f32]);
    /// Gives back the whole numbers of one row of a weight matrix and their scale, where the device holds it so.
    fn weight_integers(&self, _weight: &Self::Weight, _row: usize, _out: &mut [i8]) -> Option<f32> {
        None
    }
    /// (rows, cols) of a weight matrix.
    fn weight_shape(&self, weight: &Self::Weight) -> (usize, usize);
    /// Takes in a vector or a small table.
    fn vector(&self, values: Vec<f32>) -> Self::Vector;
    /// Gives back a vector.
    fn vector_values(&self, vector: &Self::Vector) -> Vec<f32>;
    /// Activations whose contents do not matter yet.
    fn buffer(&self, rows: usize, cols: usize) -> Self::Buffer;
    /// Activations [rows, cols] with the values given.
    fn upload(&self, rows: usize, cols: usize, values: &[Self::Scalar]) -> Self::Buffer;
    /// Copies activations out, row-major.
    fn values(&self, buffer: &Self::Buffer) -> Vec<Self::Scalar>;
    /// A host number as an element.
    fn scalar(value: f64) -> Self::Scalar;
    /// Threads that the host may use while the device waits.
    fn threads(&self) -> usize {
        1
    }

    /// LayerNorm of the sum of word, type and position rows: [T, E].
    fn embed(&self, embedding: Embedding<'_, Self>) -> Self::Buffer;
    /// out [T, N] = epilogue(x [T, K] · Wᵀ)
    fn linear(
        &self,
        x: &Self::Buffer,
        weight: &Self::Weight,
        epilogue: Epilogue<'_, Self>,
        out: &mut Self::Buffer,
    );
    /// context [T, A·D] from qkv [T, 3·A·D]; probabilities [T, A·S] when wanted.
    fn attention(
        &self,
        qkv: &Self::Buffer,
        input: AttentionInput<'_, Self>,
        context: &mut Self::Buffer,
        probabilities: Option<&mut Self::Buffer>,
    );
    /// The rows named, in that order.
    fn gather_rows(&self, x: &Self::Buffer, rows: &[u32]) -> Self::Buffer;
}
