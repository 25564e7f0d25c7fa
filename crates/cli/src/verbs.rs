//! The verbs, one file each.

mod bench;
mod decode;
mod doctor;
mod embed;
mod fill_mask;
mod forward;
mod inspect;
mod tokenize;

use anyhow::Result;

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
        }
    }
}

/// What loading found that the user should know, on stderr.
fn tell(loaded: &albert::Loaded) {
    for note in loaded.config.notes.iter().chain(&loaded.tensors.notes) {
        eprintln!("note: {note}");
    }
    if !loaded.tensors.unexpected.is_empty() {
        eprintln!(
            "note: tensors that no ALBERT model has, ignored: {}",
            loaded.tensors.unexpected.join(", ")
        );
    }
}
