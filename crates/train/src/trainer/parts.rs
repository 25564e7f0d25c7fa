//! The gradient of a batch: part by part on this rank, then the sum over all ranks.
//!
//! A batch is cut into [`TrainOptions::parts`] parts. The gradient of each begins at zero and takes its micro-batches in
//! order; the parts are added as a binary tree over their order. Of N ranks each has the parts of one subtree, and the
//! additions above are those of [`Ranks::sum`]: the same tree, whatever N is.
//!
//! [`TrainOptions::parts`]: super::options::TrainOptions::parts
//! [`Ranks::sum`]: crate::exchange::Ranks::sum

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Trainer;
use super::error::{Result, TrainError};
use super::options::{Micro, Order};
use super::order;
use crate::exchange::tree;
use crate::learner::{Learner, added};

/// How a batch ended.
pub(super) enum Batch {
    Done { losses: [f64; 2], tokens: u64 },
    Interrupted,
}

/// How a rank ended its parts, as it tells the others.
const DONE: u64 = 0;
const INTERRUPTED: u64 = 1;
const FAILED: u64 = 2;

/// Why the parts of a rank have no gradient.
enum Stopped<E> {
    Interrupted,
    Failed(E),
}

impl<L: Learner> Trainer<L> {
    /// The gradient of the next batch, in the first vector of `gradients`: the same bits on every rank.
    pub(super) fn batch(&mut self, stop: &AtomicBool) -> Result<Batch> {
        let step = self.state.step;
        let batch = &self.samples(step)[..];
        let parts = self.options.parts;
        let share = parts / self.ranks.size();
        let mine = self.ranks.rank() * share..(self.ranks.rank() + 1) * share;
        let own = &batch[place(mine.start, parts, batch)..place(mine.end, parts, batch)];
        let own_terms = self.learner.terms(own);
        let counts = own_terms
            .as_ref()
            .map_or([0; 2], |terms| terms.map(|count| count as u64));
        let own_tokens: u64 = own
            .iter()
            .map(|sample| self.learner.tokens(*sample) as u64)
            .sum();
        let state = match (&own_terms, stop.load(Ordering::Relaxed)) {
            (Err(_), _) => FAILED,
            (Ok(_), true) => INTERRUPTED,
            (Ok(_), false) => DONE,
        };
        let all = self.ranks.gather([state, counts[0], counts[1], own_tokens]);
        own_terms.map_err(TrainError::learner(step))?;
        let all = all?;
        if let Some(rank) = all.iter().position(|record| record[0] == FAILED) {
            return Err(TrainError::Elsewhere { step, rank });
        }
        if all.iter().any(|record| record[0] == INTERRUPTED) {
            return Ok(Batch::Interrupted);
        }
        let sum = |i: usize| all.iter().map(|record| record[i]).sum::<u64>();
        let (terms, tokens) = ([sum(1) as usize, sum(2) as usize], sum(3));

        let mut work = Work {
            learner: &mut self.learner,
            batch,
            parts,
            micro: self.options.micro,
            terms,
            step,
            stop,
        };
        let found = work.sum(mine, &mut self.gradients);
        let record = match &found {
            Ok(losses) => [DONE, losses[0].to_bits(), losses[1].to_bits()],
            Err(Stopped::Interrupted) => [INTERRUPTED, 0, 0],
            Err(Stopped::Failed(_)) => [FAILED, 0, 0],
        };
        // Told before the sum, in which a rank that stopped would be waited for.
        let all = self.ranks.gather(record);
        if let Err(Stopped::Failed(error)) = found {
            return Err(TrainError::learner(step)(error));
        }
        let all = all?;
        if let Some(rank) = all.iter().position(|record| record[0] == FAILED) {
            return Err(TrainError::Elsewhere { step, rank });
        }
        if all.iter().any(|record| record[0] == INTERRUPTED) {
            return Ok(Batch::Interrupted);
        }
        self.ranks.sum(&mut self.gradients[0])?;
        let losses = [1, 2].map(|i| {
            let of_ranks: Vec<f64> = all.iter().map(|record| f64::from_bits(record[i])).collect();
            tree(&of_ranks)
        });
        Ok(Batch::Done { losses, tokens })
    }
}

impl<L: Learner> Trainer<L> {
    /// The samples of a step, of all ranks.
    fn samples(&mut self, step: u64) -> Vec<usize> {
        let (samples, options) = (self.learner.samples(), &self.options);
        let per_epoch = options.steps_per_epoch(samples);
        let epoch = step / per_epoch;
        let start = (step % per_epoch) as usize * options.batch;
        let end = (start + options.batch).min(samples);
        if options.order == Order::AsGiven {
            return (start..end).collect();
        }
        if self.order.0 != epoch || self.order.1.len() != samples {
            self.order = (epoch, order::permutation(options.seed, epoch, samples));
        }
        self.order.1[start..end].to_vec()
    }
}

/// Where part `part` of a batch begins; the samples are divided as evenly as can be. A part may be empty.
fn place(part: usize, parts: usize, batch: &[usize]) -> usize {
    // Below usize::MAX: both factors are at most the number of samples or of parts.
    (part as u128 * batch.len() as u128 / parts as u128) as usize
}

/// A batch in work on one rank.
struct Work<'a, L> {
    learner: &'a mut L,
    batch: &'a [usize],
    parts: usize,
    micro: Micro,
    terms: [usize; 2],
    step: u64,
    stop: &'a AtomicBool,
}

impl<L: Learner> Work<'_, L> {
    /// Puts the gradient of 2ⁿ parts into the first of n + 1 vectors, whatever they hold, and returns the parts' losses.
    fn sum(
        &mut self,
        parts: Range<usize>,
        gradients: &mut [Vec<f32>],
    ) -> std::result::Result<[f64; 2], Stopped<L::Error>> {
        if parts.len() == 1 {
            return self.part(parts.start, &mut gradients[0]);
        }
        let middle = parts.start + parts.len() / 2;
        let first = self.sum(parts.start..middle, gradients)?;
        let second = self.sum(middle..parts.end, &mut gradients[1..])?;
        let (sum, rest) = gradients.split_at_mut(1);
        for (sum, x) in sum[0].iter_mut().zip(&rest[0]) {
            *sum += *x;
        }
        Ok(added(first, second))
    }

    /// One part, from zero, micro-batch by micro-batch.
    fn part(
        &mut self,
        part: usize,
        gradient: &mut [f32],
    ) -> std::result::Result<[f64; 2], Stopped<L::Error>> {
        gradient.fill(0.0);
        let [start, end] = [part, part + 1].map(|part| place(part, self.parts, self.batch));
        let micro = order::cut(&self.batch[start..end], self.micro, |sample| {
            self.learner.tokens(sample)
        });
        let mut losses = [0.0; 2];
        for samples in micro {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stopped::Interrupted);
            }
            let found = self
                .learner
                .gradient(samples, self.terms, self.step, gradient);
            losses = added(losses, found.map_err(Stopped::Failed)?);
        }
        Ok(losses)
    }
}
