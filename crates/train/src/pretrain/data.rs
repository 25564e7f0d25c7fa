//! All samples of a pre-training run as a data set.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use albert::heads::PreTrainingLabels;
use albert::{IGNORE_INDEX, Inputs};

use super::cache::TokenCache;
use super::index::{PassIndex, count};
use super::instance::{Corpus, Instance};
use super::options::{PretrainOptions, Stage};
use super::pieces::Pieces;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::state::fnv;

/// The samples of a run, numbered from 0 in the order in which they are to be used: pass after pass over the corpus, each in
/// another random order and with other segments and masks. A stage begins a new pass.
///
/// A sample is a function of the options and its number. It is made when it is asked for; in memory are the indexes of at
/// most two passes, eight bytes for each of their samples.
#[derive(Debug)]
pub struct PretrainData {
    corpus: Corpus,
    stages: Vec<Stage>,
    samples: usize,
    passes: Mutex<Passes>,
}

/// Passes without a sample that are taken for chance.
const EMPTY_PASSES: usize = 64;

/// What is known of the passes so far.
#[derive(Debug, Default)]
struct Passes {
    /// From pass 0 on.
    known: Vec<Pass>,
    /// Those of the passes that were used last, the latest last.
    indexes: Vec<Arc<PassIndex>>,
}

/// A pass's place among all samples.
#[derive(Clone, Copy, Debug)]
struct Pass {
    stage: usize,
    first: u64,
    /// Samples that are used: the last pass of a stage may be cut.
    count: u64,
}

impl Passes {
    /// Keeps an index as the latest; of the others the latest stays, since a step at the border of two passes needs both.
    fn hold(&mut self, index: Arc<PassIndex>) {
        if self.indexes.len() == 2 {
            self.indexes.remove(0);
        }
        self.indexes.push(index);
    }
}

impl PretrainData {
    /// The samples of a run with these stages.
    ///
    /// # Errors
    /// Options out of range, no stage, a cache of another tokenizer, a split without documents.
    pub fn new(
        cache: Arc<TokenCache>,
        pieces: Pieces,
        options: PretrainOptions,
        stages: Vec<Stage>,
    ) -> Result<Self> {
        let corpus = Corpus::new(cache, pieces, options)?;
        if stages.is_empty() {
            return Err(Error::input("stages", "at least one", "none"));
        }
        stages.iter().try_for_each(Stage::check)?;
        let samples = stages
            .iter()
            .try_fold(0u64, |sum, stage| sum.checked_add(stage.samples));
        let samples = samples.and_then(|samples| usize::try_from(samples).ok());
        let samples = samples.ok_or_else(|| Error::input("samples", "less than 2^64", "more"))?;
        if samples == 0 {
            return Err(Error::input("samples", "at least one", "none"));
        }
        Ok(Self {
            corpus,
            stages,
            samples,
            passes: Mutex::default(),
        })
    }

    /// So many whole passes in one stage; `stage.samples` is not used. Samples of an evaluation are one pass over the
    /// documents that are held out: their masks are fixed.
    ///
    /// # Errors
    /// As [`Self::new`], and when the cache cannot be read.
    pub fn of_passes(
        cache: Arc<TokenCache>,
        pieces: Pieces,
        options: PretrainOptions,
        stage: Stage,
        passes: u64,
    ) -> Result<Self> {
        let corpus = Corpus::new(cache, pieces, options)?;
        stage.check()?;
        let counts: Result<Vec<u64>> = (0..passes)
            .map(|pass| count(&corpus, &stage, pass))
            .collect();
        let samples = counts?.iter().sum();
        Self::new(
            corpus.cache,
            corpus.pieces,
            corpus.options,
            vec![Stage { samples, ..stage }],
        )
    }

    /// The stages.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// About how many samples a pass over the corpus has in a stage: counted with the draws of pass 0; others have some more
    /// or fewer.
    ///
    /// # Errors
    /// The cache cannot be read.
    ///
    /// # Panics
    /// When there is no such stage.
    pub fn samples_of_pass(&self, stage: usize) -> Result<u64> {
        count(&self.corpus, &self.stages[stage], 0)
    }

    /// The stage of a sample.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn stage(&self, sample: usize) -> &Stage {
        &self.stages[self.stage_at(sample as u64).expect("a sample of the run")]
    }

    /// Whether samples, at least one, are of one stage.
    pub(super) fn is_of_one_stage(&self, samples: &Range<usize>) -> bool {
        self.stage_at(samples.start as u64) == self.stage_at(samples.end as u64 - 1)
    }

    fn stage_at(&self, sample: u64) -> Option<usize> {
        let mut end = 0;
        self.stages.iter().position(|stage| {
            end += stage.samples;
            sample < end
        })
    }

    /// The pass over the corpus that a sample belongs to, counted over all stages.
    ///
    /// # Errors
    /// The cache cannot be read; there is no such sample.
    pub fn pass(&self, sample: usize) -> Result<u64> {
        Ok(self.find(sample)?.1.pass)
    }

    /// A sample by its number.
    ///
    /// # Errors
    /// The cache cannot be read; there is no such sample.
    pub fn instance(&self, sample: usize) -> Result<Instance> {
        let (place, index) = self.find(sample)?;
        let (sentence, _) = index.get(place);
        self.corpus
            .instance(self.stage(sample), index.pass, sentence)
    }

    /// A sample's place in the index of its pass.
    fn find(&self, sample: usize) -> Result<(u64, Arc<PassIndex>)> {
        let wanted = sample as u64;
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let end = passes
                .known
                .last()
                .map_or(0, |pass| pass.first + pass.count);
            if wanted < end {
                break;
            }
            let outside = || Error::input("sample", format!("0 to {}", self.samples - 1), sample);
            let stage = self.stage_at(end).ok_or_else(outside)?;
            let until: u64 = self.stages[..=stage]
                .iter()
                .map(|stage| stage.samples)
                .sum();
            let pass = passes.known.len() as u64;
            // Passes that are only jumped over, by a run that goes on, need no index.
            let near = passes
                .known
                .last()
                .is_none_or(|before| wanted - end < before.count + before.count / 8);
            let count = if near {
                let index = PassIndex::build(&self.corpus, &self.stages[stage], pass)?;
                let count = index.len();
                passes.hold(Arc::new(index));
                count
            } else {
                count(&self.corpus, &self.stages[stage], pass)?
            };
            // With short targets a pass over a small text may have none, but hardly so many.
            let empty = passes.known.iter().rev().take_while(|pass| pass.count == 0);
            if count == 0 && empty.count() == EMPTY_PASSES {
                let expected = "documents with sentences that follow each other and fit together into max_seq_length";
                return Err(Error::input("text", expected, "none"));
            }
            passes.known.push(Pass {
                stage,
                first: end,
                count: count.min(until - end),
            });
        }
        let pass = passes.known.partition_point(|pass| pass.first <= wanted) - 1;
        let Pass { stage, first, .. } = passes.known[pass];
        let held = passes
            .indexes
            .iter()
            .position(|index| index.pass == pass as u64);
        let index = match held {
            Some(place) => passes.indexes.remove(place),
            None => Arc::new(PassIndex::build(
                &self.corpus,
                &self.stages[stage],
                pass as u64,
            )?),
        };
        passes.hold(Arc::clone(&index));
        Ok((wanted - first, index))
    }
}

impl Dataset<PreTrainingLabels> for PretrainData {
    fn len(&self) -> usize {
        self.samples
    }

    /// From the index; the most that a sample may have where the cache cannot be read, which [`Self::batch`] will say.
    fn tokens(&self, sample: usize) -> usize {
        match self.find(sample) {
            Ok((place, index)) => index.get(place).1,
            Err(_) => self
                .stage_at(sample as u64)
                .map_or(0, |stage| self.stages[stage].max_seq_length),
        }
    }

    /// Of the text and the options: lengths would need the index of every pass.
    fn fingerprint(&self) -> u64 {
        let corpus = &self.corpus;
        let made_of = (corpus.cache.fingerprint(), &corpus.options, &self.stages);
        fnv(format!("{made_of:?}").as_bytes())
    }

    /// Labels [B, S] are −100 but at the places that are predicted.
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, PreTrainingLabels)> {
        let instances: Result<Vec<Instance>> = samples
            .iter()
            .map(|&sample| self.instance(sample))
            .collect();
        Ok(batch(&instances?, self.corpus.pieces.pad))
    }
}

/// Samples padded on the right to the longest of them.
pub(super) fn batch(instances: &[Instance], pad: u32) -> (Inputs, PreTrainingLabels) {
    let ids: Vec<Vec<i64>> = instances
        .iter()
        .map(|instance| instance.input_ids.iter().map(|&id| i64::from(id)).collect())
        .collect();
    let inputs = Inputs::from_sequences(&ids, i64::from(pad));
    let (mut types, mut labels) = (
        vec![0; inputs.batch * inputs.length],
        vec![IGNORE_INDEX; inputs.batch * inputs.length],
    );
    let rows = types
        .chunks_exact_mut(inputs.length.max(1))
        .zip(labels.chunks_exact_mut(inputs.length.max(1)));
    for (instance, (types, labels)) in instances.iter().zip(rows) {
        types[instance.second..instance.input_ids.len()].fill(1);
        for &(place, token) in &instance.masked {
            labels[place as usize] = i64::from(token);
        }
    }
    let orders = instances
        .iter()
        .map(|instance| instance.sentence_order_label.map(i64::from));
    let labels = PreTrainingLabels {
        labels: Some(labels),
        sentence_order_label: orders.collect(),
    };
    (
        Inputs {
            token_type_ids: Some(types),
            ..inputs
        },
        labels,
    )
}
