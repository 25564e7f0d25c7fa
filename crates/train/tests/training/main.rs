//! The trainer over a learner without a model.

mod killed;
mod report;
mod toy;
mod trainer;
