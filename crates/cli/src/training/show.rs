//! How a run is shown: a line for each log and each evaluation on stderr, a bar on a terminal.

use std::path::Path;
use std::time::Instant;

use albert_train::learner::Metrics;
use albert_train::trainer::observer::{Log, Observer, Warning};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stream::{Voice, say};

/// Prints what a trainer tells.
pub(crate) struct Show {
    voice: Voice,
    bar: ProgressBar,
    start: Instant,
    /// Batches done before this run.
    first: u64,
}

/// Metrics as `name value, …`.
pub(crate) fn metrics_line(metrics: &Metrics) -> String {
    let parts: Vec<String> = metrics
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    parts.join(", ")
}

impl Show {
    pub(crate) fn new(voice: Voice, first: u64) -> Self {
        // Hidden where stderr is no terminal.
        let target = if voice.is_quiet() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(4)
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            voice,
            bar,
            start: Instant::now(),
            first,
        }
    }

    fn line(&self, text: impl std::fmt::Display) {
        if !self.voice.is_quiet() {
            self.bar.suspend(|| say(text));
        }
    }
}

impl Observer for Show {
    fn stepped(&mut self, step: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(step);
        if step >= total {
            self.bar.finish_and_clear();
        }
    }

    fn logged(&mut self, log: &Log) {
        let done = (log.step - self.first).max(1) as f64;
        let left = self.start.elapsed().as_secs_f64() / done * (log.total - log.step) as f64;
        let losses = log
            .losses
            .map_or(String::new(), |[(first, a), (second, b)]| {
                format!(" ({first} {a:.4}, {second} {b:.4})")
            });
        self.line(format_args!(
            "step {}/{} (epoch {:.2}): loss {:.4}{losses}, gradient {:.2}, rate {:.2e}, {:.0} tokens/s, {:.0} s left",
            log.step, log.total, log.epoch, log.loss, log.grad_norm, log.learning_rate, log.tokens_per_second, left
        ));
    }

    fn evaluated(&mut self, step: u64, _: f64, metrics: &Metrics) {
        self.line(format_args!("step {step}: {}", metrics_line(metrics)));
    }

    fn saved(&mut self, _: u64, folder: &Path) {
        if self.voice.is_verbose() {
            self.line(format_args!("saved {}", folder.display()));
        }
    }

    fn warned(&mut self, step: u64, warning: &Warning) {
        let text = match warning {
            Warning::Skipped { alarm } => format!("step {step}: update left out: {alarm}"),
            Warning::RolledBack {
                alarm,
                to,
                rate_scale,
            } => format!(
                "step {step}: {alarm}; back to step {to} with {rate_scale} of the learning rate"
            ),
            Warning::Torn { problem } => format!("passed over an incomplete checkpoint: {problem}"),
        };
        self.line(format_args!("warning: {text}"));
    }
}
