//! Seeded numbers for made-up models and inputs.

/// A small generator (SplitMix64; Steele, Lea and Flood 2014): the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A whole number below `limit`, every one about as often.
    ///
    /// # Panics
    /// When `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// Uniform in −1 … 1.
    pub fn signed(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// `count` values, uniform in `middle` ± `spread`.
    pub fn values(&mut self, count: usize, middle: f32, spread: f32) -> Vec<f32> {
        (0..count)
            .map(|_| middle + spread * self.signed())
            .collect()
    }

    /// `count` token numbers below `limit`.
    ///
    /// # Panics
    /// When `limit` is 0.
    pub fn ids(&mut self, count: usize, limit: usize) -> Vec<i64> {
        (0..count).map(|_| self.below(limit) as i64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn same_seed_same_numbers_and_a_plausible_spread() {
        let values = Random::new(3).values(10_000, 0.5, 2.0);
        assert_eq!(values, Random::new(3).values(10_000, 0.5, 2.0));
        assert_ne!(values, Random::new(4).values(10_000, 0.5, 2.0));
        assert!(values.iter().all(|x| (-1.5..=2.5).contains(x)));
        let mean = values.iter().sum::<f32>() / 1e4;
        // Standard error of the mean of U(−1.5, 2.5): 4/√12/100 = 0.012; five of them.
        assert!((mean - 0.5).abs() < 0.06, "{mean}");
        let ids = Random::new(3).ids(1000, 7);
        assert!((0..7).all(|id| ids.contains(&id)) && ids.iter().all(|id| (0..7).contains(id)));
    }
}
