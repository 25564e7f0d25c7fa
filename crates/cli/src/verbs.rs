//! The verbs, one file each.

mod bench;
mod completions;
mod decode;
mod doctor;
mod embed;
mod fill_mask;
mod forward;
mod inspect;
mod man;
mod tokenize;

use std::path::Path;

use anyhow::Result;

use crate::stream::{Long, TextFlags, Voice, usage};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    #[command(visible_alias = "fill")]
    FillMask(fill_mask::FillMask),
    Embed(embed::Embed),
    Tokenize(tokenize::Tokenize),
    Decode(decode::Decode),
    Inspect(inspect::Inspect),
    Doctor(doctor::Doctor),
    Forward(forward::Forward),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Verb {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::FillMask(verb) => verb.run(),
            Self::Embed(verb) => verb.run(),
            Self::Tokenize(verb) => verb.run(),
            Self::Decode(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Forward(verb) => verb.run(),
            Self::Bench(verb) => verb.run(),
            Self::Completions(verb) => verb.run(),
            Self::Man(verb) => verb.run(),
        }
    }
}

/// What loading found that the user should know, on stderr.
fn tell(loaded: &albert::Loaded, voice: Voice) {
    for note in loaded.config.notes.iter().chain(&loaded.tensors.notes) {
        voice.note(note);
    }
    if !loaded.tensors.unexpected.is_empty() {
        voice.note(format_args!(
            "tensors that no ALBERT model has, ignored: {}",
            loaded.tensors.unexpected.join(", ")
        ));
    }
}

/// With -v: which model, and where it runs.
fn describe(model: &Path, flags: &TextFlags) {
    let options = flags.device.options();
    flags.voice.detail(format_args!(
        "model {}, {} with {} threads",
        model.display(),
        options.isa.name(),
        options.threads
    ));
}

/// `--long` of the verbs that have no windows yet.
fn long(flags: &TextFlags, default: Long) -> Result<Long> {
    match flags.long(default) {
        Long::Slide => Err(usage(
            "--long slide: this verb has no windows yet: choose error or truncate",
        )),
        long => Ok(long),
    }
}
