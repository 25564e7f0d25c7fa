//! Random segmentations (subword regularisation): how they are drawn, and from which numbers.

use crate::{
    engine::{Cache, Pieces},
    lattice::{Lattice, Path, choose},
    sentencepiece::SentencePiece,
};

/// How segmentations are drawn, as SentencePiece's `enable_sampling` does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 or 1: no sampling. From 2 to 512: one of so many best. Negative: one of all.
    pub nbest_size: i32,
    /// Smoothing: the probability of a segmentation is in proportion to exp(alpha · score).
    pub alpha: f32,
    /// Equal seeds, numbers and texts give equal segmentations.
    pub seed: u64,
}

/// More best segmentations than so many are never listed.
pub(crate) const MAX_NBEST: usize = 512;

/// Draws the segmentations of one text.
pub(crate) struct Sampler {
    sampling: Sampling,
    state: u64,
    counter: u64,
}

impl Sampler {
    /// `number` tells texts apart: its place in the data, or the epoch and the place.
    pub(crate) fn new(sampling: Sampling, number: u64) -> Self {
        Self {
            sampling,
            state: mix(sampling.seed ^ mix(number)),
            counter: 0,
        }
    }

    /// From 0 to below 1: 53 bits of a function of seed, number of the text and draw.
    fn random(&mut self) -> f64 {
        self.counter += 1;
        (mix(self.state ^ mix(self.counter)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl SentencePiece {
    /// The best segmentations with their scores, best first; at most 512. As SentencePiece, it
    /// gives the best one alone, with the score 0, where one is asked for.
    pub(crate) fn n_best(&self, text: &str, count: usize, cache: &mut Cache) -> Vec<(Pieces, f32)> {
        let (normalized, origins) = self.normalized(text, cache);
        let count = count.clamp(1, MAX_NBEST);
        let result = if normalized.is_empty() || count == 1 {
            let mut pieces = Pieces::default();
            self.pieces(text, cache, &mut pieces);
            vec![(pieces, 0.0)]
        } else {
            Lattice::new(&normalized, &self.model)
                .n_best(count)
                .into_iter()
                .map(|(path, score)| {
                    let mut pieces = Pieces::default();
                    self.path(&path, &normalized, &origins, &mut pieces);
                    (pieces, score)
                })
                .collect()
        };
        (cache.normalized, cache.origins) = (normalized, origins);
        result
    }

    /// Appends the pieces of one segmentation, drawn by `sampler`.
    pub(crate) fn sample(
        &self,
        text: &str,
        sampler: &mut Sampler,
        cache: &mut Cache,
        out: &mut Pieces,
    ) {
        let Sampling {
            nbest_size, alpha, ..
        } = sampler.sampling;
        if (0..=1).contains(&nbest_size) {
            return self.pieces(text, cache, out);
        }
        let (normalized, origins) = self.normalized(text, cache);
        if !normalized.is_empty() {
            let mut lattice = Lattice::new(&normalized, &self.model);
            let path = if nbest_size < 0 {
                lattice.sample(alpha, || sampler.random())
            } else {
                let paths = lattice.n_best((nbest_size as usize).min(MAX_NBEST));
                draw(paths, alpha, sampler.random())
            };
            self.path(&path, &normalized, &origins, out);
        }
        (cache.normalized, cache.origins) = (normalized, origins);
    }

    fn normalized(&self, text: &str, cache: &mut Cache) -> (String, Vec<usize>) {
        let mut normalized = std::mem::take(&mut cache.normalized);
        let mut origins = std::mem::take(&mut cache.origins);
        self.normalizer
            .normalize(text, &mut normalized, &mut origins);
        (normalized, origins)
    }
}

fn draw(paths: Vec<Path>, alpha: f32, random: f64) -> Vec<crate::unigram::Step> {
    // The highest first, so the differences are at most 0 and cannot overflow.
    let scaled = |score: f32| f64::from(alpha * score);
    let highest = paths
        .iter()
        .map(|(_, score)| scaled(*score))
        .fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = paths
        .iter()
        .map(|(_, score)| (scaled(*score) - highest).exp())
        .collect();
    let chosen = choose(&mut weights, random);
    paths
        .into_iter()
        .nth(chosen)
        .map(|(path, _)| path)
        .unwrap_or_default()
}
