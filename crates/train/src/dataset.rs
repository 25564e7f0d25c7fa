//! Samples of one kind, as batches for a class of model.

use albert::Inputs;

use crate::random::mix;

use crate::error::Result;

/// Samples that are already numbers. `L` is what the class measures its loss against ([`albert::Head::Labels`]).
pub trait Dataset<L>: Sync {
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Tokens of a sample, special tokens included; all choices of a question together.
    fn tokens(&self, sample: usize) -> usize;
    /// Samples of different groups never share a batch: their arrays have other shapes, as questions with three and with
    /// four choices.
    fn group(&self, _sample: usize) -> usize {
        0
    }
    /// What tells these samples from others. Ranks compare it, so it must not cost much: here a hash of all lengths.
    fn fingerprint(&self) -> u64 {
        (0..self.len()).fold(0, |hash, sample| mix(hash ^ self.tokens(sample) as u64))
    }
    /// The samples named, all of one group, padded on the right to the longest of them, and their labels.
    ///
    /// # Errors
    /// A file that holds the samples cannot be read, or was damaged.
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, L)>;
}
