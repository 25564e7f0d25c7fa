//! Between the world and the verbs that answer texts: inputs in any format become records, a task
//! answers them window by window, and the answers are written in their order.
//!
//! In reading order: [`record`] (what a verb reads), [`task`] (what it gives), [`flags`], `source`,
//! `line` and `read` (bytes to records), `feed` (the thread that reads ahead), `write` and `target`
//! (answers to bytes), [`job`] (the loop over all of it).

mod columns;
mod feed;
mod flags;
pub(crate) mod interrupt;
mod job;
mod line;
mod progress;
mod read;
mod record;
mod source;
mod target;
mod task;
mod voice;
mod write;

pub(crate) use columns::short;
pub(crate) use flags::{Format, Long, TableFlags, TextFlags};
pub(crate) use job::Job;
pub(crate) use record::{Field, Given, Kind, Record};
pub(crate) use source::read_all;
pub(crate) use target::Target;
pub(crate) use task::{Output, Reply, Task};
pub(crate) use voice::{Voice, say};

/// A mistake in the flags: `error: …` on stderr, exit code 2.
pub(crate) fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    clap::Error::raw(
        clap::error::ErrorKind::ArgumentConflict,
        format!("{message}\n"),
    )
    .into()
}
