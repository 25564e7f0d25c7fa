//! How far the work is, on stderr while it runs; only where somebody looks.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Short work shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Progress {
    start: Instant,
    total: Option<u64>,
    /// Whether a bar may be shown at all.
    wanted: bool,
    bar: Option<ProgressBar>,
    pub(super) inputs: u64,
    pub(super) tokens: u64,
}

impl Progress {
    /// `screen`: answers go to the terminal, where a bar would stand in their way.
    pub(super) fn start(total: Option<u64>, quiet: bool, screen: bool) -> Self {
        let looked_at = std::io::stderr().is_terminal();
        let busy = screen && std::io::stdout().is_terminal();
        Self {
            start: Instant::now(),
            total,
            wanted: !quiet && looked_at && !busy,
            bar: None,
            inputs: 0,
            tokens: 0,
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// `inputs` more are done, with `tokens`; the input is read up to `position`.
    pub(super) fn advance(&mut self, inputs: u64, tokens: u64, position: u64) {
        self.inputs += inputs;
        self.tokens += tokens;
        if !self.wanted || self.start.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.total));
        let seconds = self.start.elapsed().as_secs_f64();
        bar.set_message(format!(
            "{} inputs, {:.0}/s, {:.0} tokens/s",
            self.inputs,
            self.inputs as f64 / seconds,
            self.tokens as f64 / seconds
        ));
        bar.set_position(position);
    }

    /// Runs `print` with the bar out of the way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Colours are left out where NO_COLOR is set.
fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{bar:20.cyan} {percent:>3}%, {eta} left  {msg}",
        None => "{spinner:.cyan} {msg}",
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
