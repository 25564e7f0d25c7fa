//! The verbs, one file each.

mod answer;
mod answers;
mod bench;
mod choose;
mod classify;
mod completions;
mod convert;
mod decode;
mod doctor;
mod embed;
mod evaluate;
mod export;
mod features;
mod fill_mask;
mod finetune;
mod forward;
mod inspect;
mod man;
mod model;
mod pretrain;
mod pull;
mod quantize;
mod sentence_order;
mod similarity;
mod tag;
mod tokenize;
mod vocab;

use anyhow::Result;

use crate::stream::Voice;
use answers::{PairFlags, Work, flag, replies};
pub(crate) use model::{ModelFlags, Opened};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    #[command(visible_alias = "fill")]
    FillMask(fill_mask::FillMask),
    Classify(classify::Classify),
    #[command(visible_alias = "ner")]
    Tag(tag::Tag),
    #[command(visible_alias = "qa")]
    Answer(answer::Answer),
    Choose(choose::Choose),
    #[command(visible_alias = "sop")]
    SentenceOrder(sentence_order::SentenceOrder),
    Embed(embed::Embed),
    Similarity(similarity::Similarity),
    Features(features::Features),
    Tokenize(tokenize::Tokenize),
    Decode(decode::Decode),
    Vocab(vocab::Vocab),
    Pretrain(Box<pretrain::Pretrain>),
    Finetune(Box<finetune::Finetune>),
    Evaluate(evaluate::Evaluate),
    Quantize(quantize::Quantize),
    Convert(convert::Convert),
    Pull(pull::Pull),
    Export(export::Export),
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
            Self::Classify(verb) => verb.run(),
            Self::Tag(verb) => verb.run(),
            Self::Answer(verb) => verb.run(),
            Self::Choose(verb) => verb.run(),
            Self::SentenceOrder(verb) => verb.run(),
            Self::Embed(verb) => verb.run(),
            Self::Similarity(verb) => verb.run(),
            Self::Features(verb) => verb.run(),
            Self::Tokenize(verb) => verb.run(),
            Self::Decode(verb) => verb.run(),
            Self::Vocab(verb) => verb.run(),
            Self::Pretrain(verb) => verb.run(),
            Self::Finetune(verb) => verb.run(),
            Self::Evaluate(verb) => verb.run(),
            Self::Quantize(verb) => verb.run(),
            Self::Convert(verb) => verb.run(),
            Self::Pull(verb) => verb.run(),
            Self::Export(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Forward(verb) => verb.run(),
            Self::Bench(verb) => verb.run(),
            Self::Completions(verb) => verb.run(),
            Self::Man(verb) => verb.run(),
        }
    }
}

/// Ctrl-C or another signal ended the work after it was saved: exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// What loading found that the user should know, on stderr.
fn tell(loaded: &albert::Loaded, voice: Voice) {
    for note in loaded.config.notes.iter().chain(&loaded.tensors.notes) {
        voice.note(note);
    }
    let unexpected = &loaded.tensors.unexpected;
    if !unexpected.is_empty() {
        const SHOWN: usize = 5;
        let mut names: Vec<String> = unexpected
            .iter()
            .take(SHOWN)
            .map(|name| crate::stream::short(name).into_owned())
            .collect();
        if unexpected.len() > SHOWN {
            names.push(format!(
                "and {} more, {} in all",
                unexpected.len() - SHOWN,
                unexpected.len()
            ));
        }
        voice.note(format_args!(
            "tensors that no ALBERT model has, ignored: {}",
            names.join(", ")
        ));
    }
}
