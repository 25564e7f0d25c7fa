//! Counter-based random numbers: what is drawn depends on a seed and on numbers that say what for, on nothing else.

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The numbers 0, 1, … of a key: its draws can be made again anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    key: u64,
    next: u64,
}

impl Stream {
    /// The stream for a purpose: `path` tells it from all others of the seed.
    pub(crate) fn new(seed: u64, path: &[u64]) -> Self {
        let key = path.iter().fold(mix(seed), |hash, x| mix(hash ^ x));
        Self { key, next: 0 }
    }

    fn bits(&mut self) -> u64 {
        self.next += 1;
        mix(self.key ^ mix(self.next))
    }

    /// Uniform in 0 … limit − 1; `limit` ≥ 1. Biased by less than limit/2⁶⁴.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³, as Python's `random.random()`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn streams_are_uniform_and_told_apart() {
        let mut counts = [0u32; 10];
        for key in 0..1000 {
            let mut stream = Stream::new(3, &[7, key]);
            for _ in 0..10 {
                counts[stream.below(10) as usize] += 1;
            }
        }
        // 1000 each; standard deviation √(10⁴·0.1·0.9) = 30; five of them.
        assert!(counts.iter().all(|n| n.abs_diff(1000) < 150), "{counts:?}");
        let first = |seed, path: &[u64]| Stream::new(seed, path).bits();
        let all = [
            first(1, &[2, 3]),
            first(1, &[3, 2]),
            first(2, &[2, 3]),
            first(1, &[2]),
        ];
        assert!((0..4).all(|i| !all[..i].contains(&all[i])));
        assert_eq!(first(1, &[2, 3]), all[0]);
        // Frozen: a run that goes on draws the same.
        assert_eq!(Stream::new(42, &[1, 2, 3]).below(1_000_000), FROZEN);
        let mut stream = Stream::new(1, &[]);
        assert!((0..1000).all(|_| stream.below(1) == 0 && stream.uniform() < 1.0));
        assert!((0..1000).all(|_| stream.chance(1.0) && !stream.chance(0.0)));
    }

    const FROZEN: u64 = 99_273;
}
