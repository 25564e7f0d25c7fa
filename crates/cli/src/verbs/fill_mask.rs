//! `albert fill-mask`: the most likely tokens for each [MASK].

use std::fmt;
use std::num::NonZeroUsize;

use albert::pipeline::{self, FillMaskOptions, Filled};
use anyhow::Result;

use super::{ModelFlags, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Long, Output, Record, TextFlags};

/// Fill each [MASK] of a text with its most likely tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert fill-mask \"The capital of France is [MASK].\"
  albert fill-mask \"She was a [MASK].\" --targets ▁doctor,▁teacher
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
        let mut lines = Vec::new();
        for (i, candidates) in self.0.iter().enumerate() {
            for c in candidates {
                // Of several masks, each line tells its own.
                let mask = match self.0.len() {
                    1 => String::new(),
                    _ => format!("{}  ", i + 1),
                };
                let (score, token) = (c.score, &c.token_str);
                lines.push(format!("{mask}{score:.4}  {token:<16} {}", c.sequence));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Targets that may not be what was meant: those that are cut to their first token, and those that go on in a word
/// where one that begins a word is in the vocabulary too.
fn notes(words: &[String], fill: &pipeline::FillMask) -> Result<Vec<String>> {
    let tokenizer = fill.tokenizer();
    let mut notes = Vec::new();
    for word in words {
        let begins = format!("\u{2581}{word}");
        if tokenizer.token_to_id(word).is_none() {
            let id = fill.targets(&[word]).map_err(flag)?[0];
            let token = tokenizer.id_to_token(id).unwrap_or_default();
            notes.push(format!(
                "the target {word} is no token of the vocabulary: its first token, {token}, stands for it"
            ));
        } else if tokenizer.token_to_id(&begins).is_some() {
            notes.push(format!(
                "the target {word} goes on in a word: {begins} begins one"
            ));
        }
    }
    Ok(notes)
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
                let found = fill.targets(words).map_err(flag)?;
                for note in notes(words, &fill)? {
                    self.flags.voice.note(note);
                }
                Some(found)
            }
        };
        let options = FillMaskOptions {
            top_k: self.top_k.get(),
            targets,
            limits: self.model.limits(&self.flags, Long::Error),
        };
        fill.run_batch::<&str>(&[], &options).map_err(flag)?;
        // A window of the usual size has about five candidates for each text.
        job.at_once(5 * 1024 / self.top_k.get())
            .run(&mut Work::new(|inputs: &[Record]| {
                let texts: Vec<&str> = inputs.iter().map(|input| input.required(0)).collect();
                let results = fill.run_batch(&texts, &options);
                replies(results, inputs.len(), |masks| Output::value(Masks(masks)))
            }))
    }
}
