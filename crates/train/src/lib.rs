//! Training of ALBERT: tasks and their data, optimisers, schedules, the trainer and its checkpoints.
//!
//! # Modules in reading order
//! 1. [`dataset`]: samples as batches. [`tasks`]: the files of GLUE, SQuAD, RACE and tagging, their features and metrics.
//!    [`pretrain`]: text of any size as samples of pre-training; `random`: the draws for them. `measure`: a model over all
//!    samples.
//! 2. [`learner`]: what a trainer improves; [`model`]: a model and its data as one.
//! 3. [`optim`]: AdamW and LAMB; [`schedule`]: the learning rate at a step; [`tie`]: tensors that layers share.
//! 4. [`watch`]: whether anything is learned at all.
//! 5. [`exchange`]: what the ranks of a distributed run tell each other.
//! 6. [`trainer`]: steps, logs, evaluations, checkpoints. In it `options`, `order` (of samples), `parts` (the gradient of a
//!    batch, over all ranks), `agree` (whether ranks have the same), `observer` (who is told), `error`, `resume` (where a run
//!    begins), `record` (logs and evaluations), `save` (checkpoints).
//! 7. [`state`]: checkpoints; [`state::folder`]: how they appear and go.
//! 8. [`recipe`]: published settings; [`memory`]: what a run needs.
//! 9. [`report`]: results, the model card, curves, TensorBoard's events.
//! 10. [`lines`]: text files of any size, plain or compressed. [`vocab`]: a vocabulary, learned from them.

pub mod dataset;
mod error;
pub mod exchange;
pub mod learner;
pub mod lines;
mod measure;
pub mod memory;
pub mod model;
pub mod optim;
pub mod pretrain;
mod random;
pub mod recipe;
pub mod report;
pub mod schedule;
pub mod state;
pub mod tasks;
pub mod tie;
pub mod trainer;
pub mod vocab;
pub mod watch;

pub use error::{At, Error, Place, Result};
