//! `albert fill-mask`: the most likely tokens for each [MASK].

use std::fmt;
use std::num::NonZeroUsize;

use albert::pipeline::{self, FillMaskOptions, Filled};
use albert_tokenizer::AlbertTokenizer;
use anyhow::Result;

use super::{ModelFlags, Work, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Long, Output, Record, TextFlags, usage};

/// Fill each [MASK] of a text with its most likely tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert fill-mask \"The capital of France is [MASK].\"
  albert fill-mask \"She was a [MASK].\" --targets doctor,teacher,nurse
  albert fill-mask --input masks.txt --model DIR --top-k 1 --json")]
pub(crate) struct FillMask {
    /// Texts, each with one or several [MASK]; without any, they come from --input or stdin
    texts: Vec<String>,
    /// Candidates for each [MASK]
    #[arg(long, value_name = "K", default_value = "5")]
    top_k: NonZeroUsize,
    /// Choose from these words alone; one that is no token of the vocabulary stands for its first token
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    targets: Vec<String>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

/// The answer to a text: a list for each [MASK].
struct Masks(Vec<Vec<Filled>>);

impl serde::Serialize for Masks {
    /// One mask: a list; several: a list of lists, as transformers.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl fmt::Display for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = |candidates: &Vec<Filled>| {
            let line = |c: &Filled| format!("{:.4}  {:<16} {}", c.score, c.token_str, c.sequence);
            candidates.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let masks: Vec<String> = self.0.iter().map(mask).collect();
        f.write_str(&masks.join("\n\n"))
    }
}

/// Targets that may not be what was meant: those that are cut to their first token, and those that go on in a word
/// where one that begins a word is in the vocabulary too.
fn notes(words: &[String], found: &[(u32, bool)], tokenizer: &AlbertTokenizer) -> Vec<String> {
    let mut notes = Vec::new();
    for (id, _) in found.iter().filter(|(_, other)| *other) {
        let token = tokenizer.id_to_token(*id).unwrap_or_default();
        notes.push(format!(
            "a target is no token of the vocabulary, its first token {token} stands for it"
        ));
    }
    for word in words {
        let begins = format!("\u{2581}{word}");
        if tokenizer.token_to_id(word).is_some() && tokenizer.token_to_id(&begins).is_some() {
            notes.push(format!(
                "the target {word} goes on in a word; {begins} begins one"
            ));
        }
    }
    notes
}

impl FillMask {
    pub(crate) fn run(self) -> Result<()> {
        let given = Given::default().texts("<TEXTS>", self.texts);
        let job = Job::open(&[Field::TEXT], given, false, &self.flags)?;
        let opened = self.model.open(Demo::Language, &self.flags)?;
        let fill = pipeline::FillMask::new(opened.model, opened.tokenizer)?;
        let targets = match self.targets.as_slice() {
            [] => None,
            words => {
                let found = fill.targets(words).map_err(usage)?;
                for note in notes(words, &found, fill.tokenizer()) {
                    self.flags.voice.note(note);
                }
                Some(found.into_iter().map(|(id, _)| id).collect())
            }
        };
        let options = FillMaskOptions {
            top_k: self.top_k.get(),
            targets,
            limits: self.model.limits(&self.flags, Long::Error),
        };
        fill.run_batch::<&str>(&[], &options).map_err(usage)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let texts: Vec<&str> = inputs.iter().map(|input| input.required(0)).collect();
            let results = fill.run_batch(&texts, &options);
            replies(results, inputs.len(), |masks| Output::value(Masks(masks)))
        }))
    }
}
