//! What goes to stderr besides errors: notes unless `--quiet`, details with `-v`.

use std::fmt::Display;
use std::io::Write;

/// A line on stderr. Where nobody reads there any more, nothing is said: no reason to stop the work.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How much to say.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Voice {
    /// Say nothing on stderr but errors: no notes, no progress
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Tell what was loaded and read, and how long it took
    #[arg(long, short)]
    verbose: bool,
}

impl Voice {
    /// A voice that says nothing but errors.
    pub(crate) fn silenced() -> Self {
        Self {
            quiet: true,
            verbose: false,
        }
    }

    /// What the user should know.
    pub(crate) fn note(self, note: impl Display) {
        if !self.quiet {
            say(format_args!("note: {note}"));
        }
    }

    /// What only the curious want to know.
    pub(crate) fn detail(self, detail: impl Display) {
        if self.verbose {
            say(detail);
        }
    }

    pub(crate) fn is_verbose(self) -> bool {
        self.verbose
    }

    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }
}
