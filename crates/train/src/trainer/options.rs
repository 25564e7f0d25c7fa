//! What a training run is made of, and which of it the numbers depend on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::error::{Result, TrainError};
use crate::optim::{Form, Method, OptimizerOptions};
use crate::schedule::{Kind, Schedule};
use crate::tie::Tied;
use crate::watch::WatchOptions;

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Passes over the data; a fraction ends within one.
    Epochs(f64),
    /// Updates.
    Steps(u64),
}

/// How long the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// Updates.
    Steps(u64),
    /// Share of all updates, rounded up as transformers does.
    Ratio(f64),
}

/// How a batch is cut into parts that are in memory at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Micro {
    /// As many samples.
    Samples(usize),
    /// As many samples as have this many tokens together, at least one.
    Tokens(usize),
}

/// In which order samples are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Another random one in each pass.
    Shuffled,
    /// As the data set numbers them: it has an order of its own.
    AsGiven,
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// Not at all.
    Never,
    /// After every so many updates.
    Steps(u64),
    /// After every pass over the data.
    Epochs,
}

/// Which checkpoint is the best one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Best {
    /// Name of a metric, with or without `eval_`.
    pub metric: String,
    /// Whether more is better.
    pub greater_is_better: bool,
}

/// What to do with checkpoints that are already in the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on from the last complete one, where there is one.
    Last,
    /// Go on from this one.
    From(PathBuf),
    /// There may be none.
    Never,
}

/// A training run.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Folder of checkpoints and results.
    pub output: PathBuf,
    /// What to do when it holds checkpoints.
    pub resume: Resume,
    /// Seed of the order of samples.
    pub seed: u64,
    /// How long.
    pub length: Length,
    /// Samples of an update.
    pub batch: usize,
    /// Their order.
    pub order: Order,
    /// Parts of it whose gradients are computed from zero and added as a binary tree: a power of two, at least the number of
    /// ranks that share a batch. Numbers depend on it, not on the number of ranks.
    pub parts: usize,
    /// How a part is cut.
    pub micro: Micro,
    /// Whether the last samples of a pass are left out where they are fewer than a batch.
    pub drop_last: bool,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Its shape.
    pub schedule: Kind,
    /// Its rise.
    pub warmup: Warmup,
    /// The rule of updates.
    pub optimizer: OptimizerOptions,
    /// Parts of the blocks of which all groups have equal copies: from the first step on those of the first group.
    pub tied: Vec<Tied>,
    /// How often losses are reported, in updates; 0: never.
    pub log_every: u64,
    /// Whether the first update is reported.
    pub log_first: bool,
    /// Names of the two losses that are reported, where the loss is their sum.
    pub losses: Option<[&'static str; 2]>,
    /// How often to evaluate.
    pub evaluate: Cadence,
    /// How often to save.
    pub save: Cadence,
    /// Which checkpoint is the best one. It is saved when it is found, and never removed.
    pub best: Option<Best>,
    /// Ends training after so many evaluations without a better one.
    pub patience: Option<u64>,
    /// Checkpoints that are kept, besides the best one: at least 1. `None`: all.
    pub keep: Option<usize>,
    /// Whether the result is the best checkpoint instead of the last parameters.
    pub load_best_at_end: bool,
    /// When to stop early because nothing is learned.
    pub watch: WatchOptions,
    /// Threads of the update. They change no number.
    pub threads: usize,
    /// What else the numbers depend on, by name: files, dropout, … A checkpoint with other values is refused.
    pub facts: BTreeMap<String, String>,
}

/// More would be a mistake: numbers of samples are kept for a whole batch.
const LARGEST_BATCH: usize = 1 << 24;

impl TrainOptions {
    /// The defaults of transformers' trainer: AdamW, 5e-5, linear, 3 epochs of batches of 8, a log and a checkpoint every 500
    /// updates, no evaluation.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            resume: Resume::Last,
            seed: 42,
            length: Length::Epochs(3.0),
            batch: 8,
            order: Order::Shuffled,
            parts: 1,
            micro: Micro::Samples(8),
            drop_last: false,
            learning_rate: 5e-5,
            schedule: Kind::Linear,
            warmup: Warmup::Steps(0),
            optimizer: OptimizerOptions::new(Method::AdamW, Form::Standard),
            tied: Vec::new(),
            log_every: 500,
            log_first: false,
            losses: None,
            evaluate: Cadence::Never,
            save: Cadence::Steps(500),
            best: None,
            patience: None,
            keep: None,
            load_best_at_end: false,
            watch: WatchOptions::default(),
            threads: 1,
            facts: BTreeMap::new(),
        }
    }

    /// Updates of a pass over this many samples.
    pub fn steps_per_epoch(&self, samples: usize) -> u64 {
        let batch = self.batch.max(1);
        let steps = if self.drop_last {
            samples / batch
        } else {
            samples.div_ceil(batch)
        };
        steps as u64
    }

    /// All updates.
    pub fn total_steps(&self, samples: usize) -> u64 {
        match self.length {
            Length::Steps(steps) => steps,
            // Rounded up, as transformers does.
            Length::Epochs(epochs) => (epochs * self.steps_per_epoch(samples) as f64).ceil() as u64,
        }
    }

    /// The learning rates.
    pub fn schedule(&self, samples: usize) -> Schedule {
        let total = self.total_steps(samples);
        let warmup = match self.warmup {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (ratio * total as f64).ceil() as u64,
        };
        Schedule {
            kind: self.schedule,
            warmup,
            total,
        }
    }

    /// Everything that the numbers depend on, by name.
    pub(crate) fn fingerprint(&self, samples: usize, layout: String) -> BTreeMap<String, Value> {
        let value = |value: &dyn ErasedValue| value.json();
        // A run that diverged may go on with some.
        let watch = WatchOptions {
            rollbacks: 0,
            ..self.watch.clone()
        };
        let mut all: BTreeMap<String, Value> = BTreeMap::from([
            ("seed".into(), value(&self.seed)),
            ("length".into(), value(&self.length)),
            ("batch size".into(), value(&self.batch)),
            ("micro-batch".into(), value(&self.micro)),
            ("drop_last".into(), value(&self.drop_last)),
            ("learning rate".into(), value(&self.learning_rate)),
            ("schedule".into(), value(&self.schedule)),
            ("warm-up".into(), value(&self.warmup)),
            ("evaluation".into(), value(&self.evaluate)),
            ("best metric".into(), value(&self.best)),
            ("patience".into(), value(&self.patience)),
            ("load_best_at_end".into(), value(&self.load_best_at_end)),
            ("watchdog".into(), value(&watch)),
            ("number of samples".into(), value(&samples)),
            ("parameters".into(), Value::String(layout)),
        ]);
        // Left out where it changes nothing: checkpoints of older versions do not know it.
        if self.parts != 1 {
            all.insert("parts".into(), value(&self.parts));
        }
        if self.order != Order::Shuffled {
            all.insert("order".into(), value(&self.order));
        }
        if !self.tied.is_empty() {
            all.insert("tied".into(), value(&self.tied));
        }
        if let Value::Object(optimizer) = value(&self.optimizer) {
            all.extend(
                optimizer
                    .into_iter()
                    .map(|(key, value)| (format!("optimizer {key}"), value)),
            );
        }
        let facts = self.facts.iter();
        all.extend(facts.map(|(key, fact)| (key.clone(), Value::String(fact.clone()))));
        all
    }

    /// Refuses what cannot be with so many samples.
    ///
    /// # Errors
    /// The option that is out of range.
    pub fn check(&self, samples: usize) -> Result<()> {
        let refuse = |name, expected: &str, found: String| {
            Err(TrainError::Option {
                name,
                expected: expected.to_owned(),
                found,
            })
        };
        let micro = match self.micro {
            Micro::Samples(count) | Micro::Tokens(count) => count,
        };
        if !(1..=LARGEST_BATCH).contains(&self.batch) {
            let expected = format!("1 to {LARGEST_BATCH}");
            return refuse("batch size", &expected, self.batch.to_string());
        }
        if !self.parts.is_power_of_two() || self.parts > LARGEST_BATCH {
            let expected = format!("1, 2, 4, 8, … to {LARGEST_BATCH}");
            return refuse("parts", &expected, self.parts.to_string());
        }
        if micro == 0 {
            return refuse("micro-batch", "at least 1", "0".into());
        }
        if self.steps_per_epoch(samples) == 0 {
            let expected = format!("at least {} training samples", self.batch.max(1));
            return refuse("training data", &expected, format!("{samples}"));
        }
        if matches!(self.length, Length::Epochs(epochs) if !(epochs.is_finite() && epochs >= 0.0)) {
            return refuse("epochs", "a number from 0", format!("{:?}", self.length));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate >= 0.0) {
            let found = self.learning_rate.to_string();
            return refuse("learning rate", "a number from 0", found);
        }
        if matches!(self.warmup, Warmup::Ratio(ratio) if !(0.0..=1.0).contains(&ratio)) {
            return refuse(
                "warm-up",
                "a share from 0 to 1",
                format!("{:?}", self.warmup),
            );
        }
        let OptimizerOptions {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            max_grad_norm,
            ..
        } = self.optimizer;
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(name, "a number from 0 and below 1", beta.to_string());
            }
        }
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return refuse("epsilon", "a number above 0", epsilon.to_string());
        }
        if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            return refuse("weight decay", "a number from 0", weight_decay.to_string());
        }
        if let Some(max) = max_grad_norm.filter(|max| !(max.is_finite() && *max > 0.0)) {
            return refuse(
                "max_grad_norm",
                "a number above 0, or none",
                max.to_string(),
            );
        }
        for cadence in [self.evaluate, self.save] {
            if cadence == Cadence::Steps(0) {
                return refuse(
                    "steps between evaluations or checkpoints",
                    "at least 1",
                    "0".into(),
                );
            }
        }
        if self.keep == Some(0) {
            return refuse("checkpoints to keep", "at least 1", "0".into());
        }
        let judged = self.best.is_some() && self.evaluate != Cadence::Never;
        if (self.patience.is_some() || self.load_best_at_end) && !judged {
            let name = "patience or best model at the end";
            let expected = "a metric and an evaluation by steps or epochs";
            return refuse(name, expected, "none".into());
        }
        if self.watch.rollbacks > 0 && self.save == Cadence::Never {
            return refuse(
                "rollbacks",
                "checkpoints to go back to",
                "none are saved".into(),
            );
        }
        Ok(())
    }
}

impl TrainOptions {
    /// Refuses more ranks than parts. (Both are powers of two, so fewer divide them.)
    ///
    /// # Errors
    /// Fewer parts.
    pub fn check_ranks(&self, ranks: usize) -> Result<()> {
        if ranks <= self.parts {
            return Ok(());
        }
        Err(TrainError::Option {
            name: "parts",
            expected: format!(
                "at least {ranks}, the number of processes, as the same number in every run that goes on (--parts {ranks})"
            ),
            found: self.parts.to_string(),
        })
    }
}

/// A value of any serialisable type.
trait ErasedValue {
    fn json(&self) -> Value;
}

impl<T: Serialize> ErasedValue for T {
    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
