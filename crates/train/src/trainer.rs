//! The trainer: steps, logs, evaluations, checkpoints. It knows a [`Learner`], never a model.
//!
//! The numbers of a run depend on the learner, the seed and the options, not on threads and not on how often it was
//! interrupted: the order of samples and everything random follow from the step, and a checkpoint holds the rest. Nor do they
//! depend on how many ranks share the work ([`Trainer::with_ranks`]): the tree of additions is that of
//! [`options::TrainOptions::parts`].
//!
//! ```
//! use albert_train::learner::{Learner, Metrics};
//! use albert_train::trainer::{End, Trainer, options::{Length, TrainOptions}};
//! use std::{path::Path, sync::atomic::AtomicBool};
//!
//! /// One parameter, and samples whose mean it is to find.
//! struct Mean([f32; 1], [albert::Variable; 1]);
//!
//! impl Learner for Mean {
//!     type Error = std::io::Error;
//!     fn variables(&self) -> &[albert::Variable] { &self.1 }
//!     fn values(&self) -> &[f32] { &self.0 }
//!     fn assign(&mut self, values: &[f32]) { self.0.copy_from_slice(values) }
//!     fn samples(&self) -> usize { 10 }
//!     fn tokens(&self, _: usize) -> usize { 1 }
//!     fn terms(&self, samples: &[usize]) -> Result<[usize; 2], Self::Error> { Ok([samples.len(), 0]) }
//!     fn gradient(&mut self, samples: &[usize], terms: [usize; 2], _: u64, gradient: &mut [f32]) -> std::io::Result<[f64; 2]> {
//!         let errors = samples.iter().map(|sample| self.0[0] - *sample as f32);
//!         gradient[0] += errors.clone().map(|e| 2.0 * e / terms[0] as f32).sum::<f32>();
//!         Ok([errors.map(|e| f64::from(e * e) / terms[0] as f64).sum(), 0.0])
//!     }
//!     fn evaluate(&mut self) -> std::io::Result<Metrics> { Ok(Metrics::new()) }
//!     fn save(&self, folder: &Path) -> std::io::Result<()> { std::fs::write(folder.join("mean"), self.0[0].to_string()) }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # let variable = albert::Variable { site: albert::names::Site::Pooler, field: albert::names::Field::Weight,
//! #     name: "mean".to_owned(), shape: vec![1], range: 0..1 };
//! let mut options = TrainOptions::new(folder.join("out"));
//! options.length = Length::Steps(200);
//! options.learning_rate = 0.1;
//! let mut trainer = Trainer::new(Mean([0.0], [variable]), options)?;
//! let outcome = trainer.run(&mut (), &AtomicBool::new(false))?; // `&mut ()` is told nothing
//! assert_eq!(outcome.end, End::Finished);
//! assert!((trainer.learner().0[0] - 4.5).abs() < 0.1);
//! assert!(folder.join("out/checkpoint-200").exists() && folder.join("out/mean").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agree;
pub mod error;
pub mod observer;
pub mod options;
pub mod order;
mod parts;
mod record;
mod resume;
mod save;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::exchange::{Ranks, Traffic};
use crate::learner::Learner;
use crate::optim::Optimizer;
use crate::optim::norm::norm;
use crate::schedule::Schedule;
use crate::state::State;
use crate::state::folder::Folder;
use crate::tie::Ties;
use crate::watch::Verdict;
use error::Result;
use observer::{Observer, Warning};
use options::{Cadence, TrainOptions};
use parts::Batch;

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Finished,
    /// Nothing better came for long enough.
    EarlyStopped,
    /// The flag was set; the state is in a checkpoint.
    Interrupted,
}

/// What training gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Batches done, those of earlier runs included.
    pub step: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// Mean loss of all updates.
    pub train_loss: f64,
    /// Step and value of the best evaluation.
    pub best: Option<(u64, f64)>,
    /// Batches of this run.
    pub steps_now: u64,
    /// Tokens of this run.
    pub tokens_now: u64,
    /// Time of this run.
    pub elapsed: Duration,
}

/// A learner on its way.
#[derive(Debug)]
pub struct Trainer<L: Learner> {
    learner: L,
    ranks: Ranks,
    options: TrainOptions,
    schedule: Schedule,
    optimizer: Optimizer,
    parameters: Vec<f32>,
    ties: Ties,
    /// Parameters that every token is multiplied with, once or more.
    computing: usize,
    /// The gradient of a batch, and those of subtrees of its parts that are to be added.
    gradients: Vec<Vec<f32>>,
    state: State,
    folder: Folder,
    order: (u64, Vec<usize>),
    saved: Option<u64>,
    resumed_from: Option<PathBuf>,
    warnings: Vec<Warning>,
}

impl<L: Learner> Trainer<L> {
    /// The checkpoint from which the run goes on.
    pub fn resumed_from(&self) -> Option<&Path> {
        self.resumed_from.as_deref()
    }

    /// Where training stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it was made with.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// The learner, with the parameters of the last update, or the best ones after a run that loads them.
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// Gives the learner back.
    pub fn into_learner(self) -> L {
        self.learner
    }

    /// What this rank sent to others so far.
    pub fn traffic(&self) -> Traffic {
        self.ranks.traffic()
    }

    /// Trains to the end, or until `stop` is set on any rank: then a checkpoint is written, also in the middle of a batch,
    /// whose work is lost. At the end the model is saved into the output folder itself. Of several ranks each has an
    /// observer, and rank 0 alone writes; all return the same.
    ///
    /// # Errors
    /// What the learner refuses, checkpoints that cannot be written, divergence, a rank that ended or differs. The last
    /// checkpoint stays.
    pub fn run(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        let start = Instant::now();
        let (first, first_tokens) = (self.state.step, self.state.tokens);
        for warning in std::mem::take(&mut self.warnings) {
            observer.warned(first, &warning);
        }
        if self.options.watch.rollbacks > 0 && self.saved.is_none() {
            self.save(observer)?;
        }
        let mut clock = (start, first_tokens);
        let end = loop {
            if self.patience_is_over() {
                break End::EarlyStopped;
            }
            if self.state.step >= self.schedule.total {
                break End::Finished;
            }
            if !self.step(observer, stop, &mut clock)? {
                break End::Interrupted;
            }
        };
        if end == End::Interrupted {
            self.save(observer)?;
        } else {
            self.finish(observer)?;
        }
        let (sum, count) = self.state.overall;
        Ok(Outcome {
            end,
            step: self.state.step,
            epoch: self.state.epoch,
            train_loss: sum / count as f64,
            best: self.state.best,
            steps_now: self.state.step.saturating_sub(first),
            tokens_now: self.state.tokens.saturating_sub(first_tokens),
            elapsed: start.elapsed(),
        })
    }

    /// One batch and what is due after it; false when it was interrupted.
    fn step(
        &mut self,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
        clock: &mut (Instant, u64),
    ) -> Result<bool> {
        let step = self.state.step;
        let Batch::Done { losses, tokens } = self.batch(stop)? else {
            return Ok(false);
        };
        let loss = losses[0] + losses[1];
        self.ties.gather(&mut self.gradients[0]);
        let length = norm(&self.gradients[0], self.options.threads);
        let rate = self.schedule.rate(self.options.learning_rate, step) * self.state.rate_scale;
        match self
            .state
            .watch
            .update(&self.options.watch, step, loss, length)
        {
            Verdict::Alarm(alarm) => return self.alarmed(alarm, observer).map(|()| true),
            Verdict::Skip(alarm) => observer.warned(step, &Warning::Skipped { alarm }),
            Verdict::Fine => {
                let (w, g) = (&mut self.parameters, &mut self.gradients[0]);
                self.optimizer
                    .update(w, g, length, rate, self.options.threads);
                self.ties.spread(&mut self.parameters);
                self.learner.assign(&self.parameters);
                for (sum, count) in [&mut self.state.since_log, &mut self.state.overall] {
                    *sum += loss;
                    *count += 1;
                }
                self.state.second_since_log += losses[1];
            }
        }
        self.advance(tokens);
        observer.stepped(self.state.step, self.schedule.total);
        if self.log_is_due() {
            self.log(length, rate, observer, clock);
        }
        let mut better = false;
        if self.is_due(self.options.evaluate) {
            let (found, alarm) = self.evaluate(observer)?;
            better = found;
            if let Some(alarm) = alarm {
                return self.alarmed(alarm, observer).map(|()| true);
            }
        }
        if better || self.is_due(self.options.save) {
            self.save(observer)?;
        }
        Ok(true)
    }

    fn advance(&mut self, tokens: u64) {
        let per_epoch = self.options.steps_per_epoch(self.learner.samples());
        let state = &mut self.state;
        state.step += 1;
        state.tokens += tokens;
        state.total_flos = 6.0 * state.tokens as f64 * self.computing as f64;
        state.epoch = state.step as f64 / per_epoch as f64;
        state.batch_in_epoch = state.step % per_epoch;
    }

    fn log_is_due(&self) -> bool {
        let (step, every) = (self.state.step, self.options.log_every);
        (every > 0 && step.is_multiple_of(every)) || (self.options.log_first && step == 1)
    }

    /// Whether something is due after the batches done. At the end of training everything is that is done at all, but for
    /// evaluations by steps, as in transformers.
    fn is_due(&self, cadence: Cadence) -> bool {
        let step = self.state.step;
        match cadence {
            Cadence::Never => false,
            Cadence::Steps(steps) => step.is_multiple_of(steps),
            Cadence::Epochs => self.state.batch_in_epoch == 0 || step == self.schedule.total,
        }
    }

    fn patience_is_over(&self) -> bool {
        let patience = self.options.patience;
        patience.is_some_and(|patience| self.state.worse >= patience.max(1))
    }
}
