//! The trainer over a learner without a model.

mod killed;
mod ranks;
mod report;
mod toy;
mod trainer;
