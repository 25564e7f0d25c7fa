//! What a trainer tells while it works. It prints nothing itself.

use std::path::Path;

use crate::learner::Metrics;
use crate::watch::Alarm;

/// The numbers since the last log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log {
    /// Batches done.
    pub step: u64,
    /// Of how many.
    pub total: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// Mean loss since the last log; NaN when all updates were left out.
    pub loss: f64,
    /// The two losses that it is the sum of, with their names, where it is one of two.
    pub losses: Option<[(&'static str, f64); 2]>,
    /// Norm of the last gradient, before the clip.
    pub grad_norm: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Tokens per second since the last log.
    pub tokens_per_second: f64,
}

/// What happened besides.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// An update was left out.
    Skipped {
        /// What was seen.
        alarm: Alarm,
    },
    /// Training went back.
    RolledBack {
        /// What was seen.
        alarm: Alarm,
        /// To this step.
        to: u64,
        /// Factor on the learning rate from now on.
        rate_scale: f64,
    },
    /// A folder that looks like a checkpoint is not complete and was passed over.
    Torn {
        /// Why.
        problem: String,
    },
}

/// Someone who is told. All methods do nothing unless written.
pub trait Observer {
    /// A batch is done.
    fn stepped(&mut self, step: u64, total: u64) {
        let _ = (step, total);
    }
    /// A log is due.
    fn logged(&mut self, log: &Log) {
        let _ = log;
    }
    /// The model was evaluated.
    fn evaluated(&mut self, step: u64, epoch: f64, metrics: &Metrics) {
        let _ = (step, epoch, metrics);
    }
    /// A checkpoint is complete.
    fn saved(&mut self, step: u64, folder: &Path) {
        let _ = (step, folder);
    }
    /// Something went wrong that does not end training.
    fn warned(&mut self, step: u64, warning: &Warning) {
        let _ = (step, warning);
    }
}

/// Nobody.
impl Observer for () {}
