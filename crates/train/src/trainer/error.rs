//! Why training could not begin or go on.

use std::path::{Path, PathBuf};

use albert_formats::FormatError;

/// The error of the trainer. Messages say what, where, expected, found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file or folder could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A tensor file is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The model or its data refused.
    #[error("step {step}")]
    Learner {
        /// The step.
        step: u64,
        /// What the learner said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An option that cannot be.
    #[error("option {name}: expected {expected}, found {found}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The output folder holds something else than checkpoints of training.
    #[error(
        "{}: expected a new or empty folder, or one with a checkpoint to go on from, found {found}; give another folder, or empty it",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// Some of what is in it.
        found: String,
    },
    /// Another process trains into the folder.
    #[error("{}: another training run writes into this folder; wait for it, or give another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint cannot be gone on from.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        problem: String,
    },
    /// A checkpoint was made with an option that would give other numbers.
    #[error(
        "{}: it was made with {option} {expected}, found {found} now; go on with the old value, or begin anew in another folder",
        path.display()
    )]
    Changed {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The option.
        option: String,
        /// Its value in the checkpoint.
        expected: String,
        /// Its value now.
        found: String,
    },
    /// A checkpoint could not be written.
    #[error("checkpoint of step {step} was not written; {kept}")]
    Save {
        /// The step.
        step: u64,
        /// The reason.
        source: Box<TrainError>,
        /// Which checkpoint is there, and what to do.
        kept: String,
    },
    /// Ranks cannot work together.
    #[error(transparent)]
    Exchange(#[from] crate::exchange::ExchangeError),
    /// Another rank could not compute its part of a batch.
    #[error("step {step}: rank {rank} failed; its own message says why")]
    Elsewhere {
        /// The step.
        step: u64,
        /// The rank.
        rank: usize,
    },
    /// Ranks do not have the same.
    #[error(
        "step {step}: rank {rank} has other {what} than rank 0; every rank needs the same program, options and files, and a system whose mathematical functions give the same bits; the last checkpoint is from before"
    )]
    Apart {
        /// The step.
        step: u64,
        /// The rank.
        rank: usize,
        /// In what it differs.
        what: &'static str,
    },
    /// Training diverged, and all restarts that were allowed are used up.
    #[error("step {step}: {alarm}; {}", alarm.advice())]
    Diverged {
        /// The step.
        step: u64,
        /// What was seen.
        alarm: crate::watch::Alarm,
    },
    /// An evaluation lacks the metric that chooses the best checkpoint.
    #[error("metric {name} for the best checkpoint: expected one of {known}; name one of these")]
    Metric {
        /// The metric.
        name: String,
        /// Those that the evaluation gave.
        known: String,
    },
}

/// What the trainer's functions return.
pub type Result<T> = std::result::Result<T, TrainError>;

impl TrainError {
    /// The message, and those of its causes behind it.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// Wraps the operating system's answer.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path: path.clone(),
            source,
        }
    }

    /// Wraps what a learner said.
    pub(crate) fn learner<E: std::error::Error + Send + Sync + 'static>(
        step: u64,
    ) -> impl Fn(E) -> Self {
        move |source| Self::Learner {
            step,
            source: Box::new(source),
        }
    }
}
