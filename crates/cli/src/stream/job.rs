//! The loop: windows of inputs to a task, its answers to the output, failures to where they belong.

use anyhow::{Result, anyhow, bail};

use super::feed::{Feed, Limits, Window};
use super::flags::{OnError, TextFlags};
use super::line::NotUtf8;
use super::progress::Progress;
use super::read::Failure;
use super::record::{Field, Given, Record};
use super::source::{self, Opened};
use super::target::Target;
use super::task::{Reply, Task};
use super::voice::{Voice, say};
use super::write::Form;

/// Inputs and an output, opened and checked, so that a mistake shows before a model is loaded.
pub(crate) struct Job {
    input: Opened,
    form: Form,
    target: Target,
    on_error: OnError,
    voice: Voice,
    limits: Limits,
}

impl Job {
    /// Opens what the flags name. `given`: a column for each of the fields; `vectors`: whether the
    /// answers are embeddings.
    pub(crate) fn open(
        fields: &[Field],
        given: Given,
        vectors: bool,
        flags: &TextFlags,
    ) -> Result<Self> {
        let form = Form::choose(flags, vectors)?;
        let input = source::open(fields, given, flags)?;
        Ok(Self {
            input,
            form,
            target: Target::open(flags.output.as_deref())?,
            on_error: flags.on_error,
            voice: flags.voice,
            limits: Limits::DEFAULT,
        })
    }

    /// For verbs whose answers are large: at most so many inputs are answered at once.
    pub(crate) fn at_once(mut self, inputs: usize) -> Self {
        self.limits.records = self.limits.records.min(inputs.max(1));
        self
    }

    /// Answers all inputs. Those that failed and were skipped are an error at the end.
    pub(crate) fn run(self, task: &mut dyn Task) -> Result<()> {
        let screen = !self.target.is_draft();
        let mut progress = Progress::start(self.input.total, self.voice.is_quiet(), screen);
        let mut writer = self.form.writer(self.target)?;
        let mut feed = Feed::start(self.input.source, self.input.live, self.limits)?;
        let mut failed = 0;
        while let Some(window) = feed.next()? {
            let (inputs, position) = (window.items.len(), window.position);
            let mut tokens = 0;
            for answer in answers(task, window, self.on_error) {
                match answer {
                    Ok((record, reply)) => {
                        tokens += reply.tokens as u64;
                        writer.answer(&record, reply)?;
                    }
                    Err((record, failure)) => {
                        if self.on_error == OnError::Stop {
                            writer.flush()?;
                            progress.finish();
                            let error = match failure.error.downcast::<NotUtf8>() {
                                Ok(error) => {
                                    anyhow!("{error}, or leave such lines out with --on-error skip")
                                }
                                Err(error) => error,
                            };
                            return Err(error.context(failure.place));
                        }
                        failed += 1;
                        let line = format!("error: {}: {:#}", failure.place, failure.error);
                        progress.aside(|| say(line));
                        writer.failure(record.as_ref(), &failure)?;
                    }
                }
            }
            writer.flush()?;
            progress.advance(inputs as u64, tokens, position);
        }
        writer.finish(task.width())?;
        progress.finish();
        self.voice.detail(format_args!(
            "{} inputs, {} tokens in {:.2} s",
            progress.inputs,
            progress.tokens,
            progress.seconds()
        ));
        if failed > 0 {
            bail!("{failed} of {} inputs failed", progress.inputs);
        }
        Ok(())
    }
}

type Answer = Result<(Record, Reply), (Option<Record>, Failure)>;

/// The answers of a window, in order; with `Stop`, up to the first failure.
fn answers(task: &mut dyn Task, window: Window, on_error: OnError) -> Vec<Answer> {
    let (mut records, mut failures) = (Vec::new(), Vec::new());
    let mut order = Vec::with_capacity(window.items.len());
    for item in window.items {
        order.push(item.is_ok());
        match item {
            Ok(record) => records.push(record),
            Err(failure) => {
                failures.push(failure);
                if on_error == OnError::Stop {
                    break;
                }
            }
        }
    }
    let replies = if records.is_empty() {
        Vec::new()
    } else {
        task.run(&records)
    };
    assert_eq!(replies.len(), records.len(), "an answer for each input");
    let mut read = records
        .into_iter()
        .zip(replies)
        .map(|(record, reply)| match reply {
            Ok(reply) => Ok((record, reply)),
            Err(error) => {
                let place = record.place.clone();
                Err((Some(record), Failure { place, error }))
            }
        });
    let mut unread = failures.into_iter().map(|failure| Err((None, failure)));
    let answer = |readable| if readable { read.next() } else { unread.next() };
    order.into_iter().filter_map(answer).collect()
}

#[cfg(test)]
mod tests;
