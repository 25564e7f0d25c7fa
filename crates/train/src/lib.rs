//! Training of ALBERT: tasks and their data, optimisers, schedules, the trainer and its checkpoints.
//!
//! # Modules in reading order
//! 1. [`dataset`]: samples as batches. `tasks`: the files of GLUE, SQuAD, RACE and tagging, their features and metrics.
//! 2. [`learner`]: what a trainer improves; [`model`]: a model and its data as one.
//! 3. [`optim`]: AdamW and LAMB; [`schedule`]: the learning rate at a step.

pub mod dataset;
pub mod learner;
pub mod model;
pub mod optim;
pub mod schedule;
