//! Which sentences are drawn: n of N, each set as likely as any other, in one pass and without memory.

use crate::random::mix;

/// Knuth's algorithm S (The Art of Computer Programming, 3.4.2): sentence i is taken with probability (n − taken)/(N − i).
pub(super) struct Sample {
    seed: u64,
    /// Sentences still to be drawn …
    wanted: u64,
    /// … of those that still come.
    left: u64,
}

impl Sample {
    pub(super) fn new(seed: u64, wanted: u64, of: u64) -> Self {
        Self {
            seed: mix(seed),
            wanted: wanted.min(of),
            left: of,
        }
    }

    /// Whether the next sentence is drawn. `None`: there should be no next one.
    pub(super) fn next(&mut self) -> Option<bool> {
        let left = self.left;
        self.left = left.checked_sub(1)?;
        // The upper half of a product of 64 bits is uniform below `left`, but for a bias of left/2^64.
        let draw = (u128::from(mix(self.seed ^ mix(left))) * u128::from(left)) >> 64;
        let taken = (draw as u64) < self.wanted;
        self.wanted -= u64::from(taken);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    fn drawn(seed: u64, wanted: u64, of: u64) -> Vec<u64> {
        let mut sample = Sample::new(seed, wanted, of);
        let found = (0..of).filter(|_| sample.next().unwrap()).collect();
        assert_eq!(sample.next(), None);
        found
    }

    #[test]
    fn every_sentence_is_as_likely_and_as_many_as_wanted_come() {
        assert_eq!(drawn(1, 5, 3), [0, 1, 2]);
        assert_eq!(drawn(1, 0, 3), [0; 0]);
        let mut hits = [0_u32; 20];
        for seed in 0..20_000 {
            let found = drawn(seed, 5, 20);
            assert_eq!(found.len(), 5);
            found.iter().for_each(|&i| hits[i as usize] += 1);
        }
        // 5000 of 20000 expected, standard deviation 61; five of them.
        assert!(
            hits.iter().all(|hits| hits.abs_diff(5_000) < 306),
            "{hits:?}"
        );
        assert_ne!(drawn(7, 5, 20), drawn(8, 5, 20));
    }
}
