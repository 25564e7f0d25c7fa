//! Whether all ranks have the same: options and data at the start, parameters at every checkpoint.

use super::Trainer;
use super::error::{Result, TrainError};
use crate::learner::Learner;
use crate::state::fnv;

impl<L: Learner> Trainer<L> {
    /// Refuses to begin where a rank differs from rank 0.
    pub(super) fn compare_beginnings(&mut self) -> Result<()> {
        if self.ranks.size() == 1 {
            return Ok(());
        }
        let options = fnv(self.state.options_hash.as_bytes());
        let data = self.learner.fingerprint();
        let [tensors, state] = self.hashes();
        self.compare(
            [options, data, tensors, state],
            ["options", "training data", "parameters", "state"],
        )
    }

    /// Refuses to save where a rank differs from rank 0.
    pub(super) fn compare_states(&mut self) -> Result<()> {
        if self.ranks.size() == 1 {
            return Ok(());
        }
        let hashes = self.hashes();
        self.compare(hashes, ["parameters", "state"])
    }

    fn compare<const W: usize>(&mut self, own: [u64; W], names: [&'static str; W]) -> Result<()> {
        let all = self.ranks.gather(own)?;
        for (rank, record) in all.iter().enumerate() {
            let others = record.iter().zip(&all[0]);
            if let Some(i) = others.into_iter().position(|(own, first)| own != first) {
                return Err(TrainError::Apart {
                    step: self.state.step,
                    rank,
                    what: names[i],
                });
            }
        }
        Ok(())
    }

    /// Of the tensors that a checkpoint holds, and of all else.
    fn hashes(&self) -> [u64; 2] {
        let (m, v, _) = self.optimizer.state();
        let tensors = [&self.parameters, m, v].into_iter().fold(0, floats);
        let state = serde_json::to_vec(&self.state).unwrap_or_default();
        [tensors, fnv(&state)]
    }
}

/// Two elements at a time: differences by accident are seen, and a large model takes no longer than reading it.
fn floats(hash: u64, values: &[f32]) -> u64 {
    let (pairs, rest) = values.as_chunks();
    let pairs = pairs.iter().map(|[a, b]| join(*a, *b));
    let rest = rest.iter().map(|a| join(*a, 0.0));
    pairs.chain(rest).fold(hash, mix)
}

fn join(a: f32, b: f32) -> u64 {
    u64::from(a.to_bits()) << 32 | u64::from(b.to_bits())
}

/// One step of FNV's kind over 64 bits, with a rotation that brings high bits down.
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
        ^ word
}
