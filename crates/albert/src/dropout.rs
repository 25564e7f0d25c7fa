//! Which elements a step of training drops: a function of the seed, the step, the place in the model, the sample's number
//! and its position, so that neither micro-batches nor threads nor a restart change it.

use albert_kernels::random::mix;

use crate::config::AlbertConfig;
use crate::inputs::Packed;
use crate::ops::Dropout;

/// Chances of dropping, and what the choices depend on.
#[derive(Clone, Debug)]
pub struct DropoutPlan {
    /// Of embeddings and attention outputs; of feed-forward outputs too when `ffn`.
    pub hidden: f64,
    /// Of attention probabilities.
    pub attention: f64,
    /// Of what classifiers read.
    pub classifier: f64,
    /// Whether feed-forward outputs are dropped, as in Google's code and TensorFlow's classes; PyTorch's never are.
    pub ffn: bool,
    /// Chosen once for a run.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
    /// Number of each sequence of the batch among all of the run's `[B]`.
    pub samples: Vec<u64>,
}

/// Places where elements are dropped. `usize`: number of the block's application.
#[derive(Clone, Copy)]
pub(crate) enum DropSite {
    Embeddings,
    Probabilities(usize),
    AttentionOutput(usize),
    FfnOutput(usize),
    Classifier,
}

/// A dropout with its rows.
pub(crate) struct Dropped {
    rate: f64,
    rows: Vec<u64>,
}

impl Dropped {
    pub(crate) fn get(&self) -> Dropout<'_> {
        Dropout {
            rate: self.rate,
            rows: &self.rows,
        }
    }
}

impl DropoutPlan {
    /// The rates of a configuration, with PyTorch's places.
    pub fn of(config: &AlbertConfig, seed: u64) -> Self {
        Self {
            hidden: config.hidden_dropout_prob,
            attention: config.attention_probs_dropout_prob,
            classifier: config
                .classifier_dropout_prob
                .unwrap_or(config.hidden_dropout_prob),
            ffn: false,
            seed,
            step: 0,
            samples: Vec::new(),
        }
    }

    /// For the packed rows of a batch, or some of them; none where nothing is dropped.
    pub(crate) fn rows(
        &self,
        site: DropSite,
        packed: &Packed,
        some: Option<&[u32]>,
    ) -> Option<Dropped> {
        match some {
            None => self.at(site, packed.rows.iter().copied()),
            Some(rows) => self.at(site, rows.iter().map(|&row| packed.rows[row as usize])),
        }
    }

    /// For the first positions of the sequences.
    pub(crate) fn sequences(&self, site: DropSite, batch: usize) -> Option<Dropped> {
        self.at(site, (0..batch).map(|b| (b, 0)))
    }

    /// For rows of (sequence, position).
    fn at(&self, site: DropSite, rows: impl Iterator<Item = (usize, usize)>) -> Option<Dropped> {
        let (kind, number, rate) = match site {
            DropSite::Embeddings => (0, 0, self.hidden),
            DropSite::Probabilities(i) => (1, i, self.attention),
            DropSite::AttentionOutput(i) => (2, i, self.hidden),
            DropSite::FfnOutput(i) => (3, i, if self.ffn { self.hidden } else { 0.0 }),
            DropSite::Classifier => (4, 0, self.classifier),
        };
        if rate == 0.0 {
            return None;
        }
        let stream = [self.step, kind, number as u64]
            .into_iter()
            .fold(mix(self.seed), |hash, x| mix(hash ^ x));
        let key = |(b, s): (usize, usize)| mix(mix(stream ^ self.samples[b]) ^ s as u64);
        Some(Dropped {
            rate,
            rows: rows.map(key).collect(),
        })
    }
}
