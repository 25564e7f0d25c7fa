//! What a trainer improves: parameters in one flat vector, and the gradient of a loss over samples.

use std::collections::BTreeMap;
use std::path::Path;

use albert::Variable;

use crate::random::mix;

/// Values by name, such as `accuracy`, in the order of their names.
pub type Metrics = BTreeMap<String, f64>;

/// Both losses of two parts.
pub(crate) fn added(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// The seam between the trainer, which knows steps and files, and the model, which knows gradients.
pub trait Learner {
    /// Why a call failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The layout of [`Learner::values`].
    fn variables(&self) -> &[Variable];
    /// All parameters, in f32.
    fn values(&self) -> &[f32];
    /// Replaces all parameters.
    fn assign(&mut self, values: &[f32]);

    /// Number of training samples.
    fn samples(&self) -> usize;
    /// Tokens of a sample: its share of the work.
    fn tokens(&self, sample: usize) -> usize;
    /// What tells the training data from others.
    fn fingerprint(&self) -> u64 {
        (0..self.samples()).fold(0, |hash, sample| mix(hash ^ self.tokens(sample) as u64))
    }
    /// Terms that the losses over these samples are means of: labelled tokens, sequences, …; second place: of the second
    /// loss of pre-training, else 0. Those of micro-batches add up to those of the batch.
    ///
    /// # Errors
    /// Samples that cannot be read or do not fit the model.
    fn terms(&self, samples: &[usize]) -> Result<[usize; 2], Self::Error>;

    /// Adds the gradient of the samples' part of the loss to `gradient`, and returns that part of each of the two losses,
    /// whose sum it is: the sum of their terms divided by `terms`, which counts the whole batch. Dropout depends on `step`
    /// and on the samples' numbers, not on how the batch is cut.
    ///
    /// # Errors
    /// Samples that cannot be read or do not fit the model.
    fn gradient(
        &mut self,
        samples: &[usize],
        terms: [usize; 2],
        step: u64,
        gradient: &mut [f32],
    ) -> Result<[f64; 2], Self::Error>;

    /// Metrics over the evaluation data, `loss` among them; empty when there are none.
    ///
    /// # Errors
    /// Samples that do not fit the model, files that cannot be written.
    fn evaluate(&mut self) -> Result<Metrics, Self::Error>;

    /// Writes the model (configuration, weights, tokenizer) into a folder that exists.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save(&self, folder: &Path) -> Result<(), Self::Error>;
}
