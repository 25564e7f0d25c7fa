//! Training of ALBERT: tasks and their data, optimisers, schedules, the trainer and its checkpoints.
//!
//! # Modules in reading order
//! 1. [`dataset`]: samples as batches. [`tasks`]: the files of GLUE, SQuAD, RACE and tagging, their features and metrics.
//! 2. [`learner`]: what a trainer improves.

pub mod dataset;
mod error;
pub mod learner;
pub mod tasks;

pub use error::{At, Error, Place, Result};
