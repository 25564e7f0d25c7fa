//! `albert choose`: which of several continuations fits a text best.

use std::fmt;

use albert::pipeline::{self, Choice, ChooseOptions};
use anyhow::Result;

use super::{ModelFlags, Opened, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Kind, Long, Output, Record, TextFlags};

/// Choose what fits a text best (multiple choice)
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert choose \"It was late. He was\" --choice tired --choice green --model DIR
  albert choose \"It was late.\" --question \"He was\" --choice tired --choice green --model DIR
  albert choose --input race.jsonl --columns text=article --model DIR --long truncate --json")]
pub(crate) struct Choose {
    /// Texts; without any, they come from --input or stdin
    texts: Vec<String>,
    /// One of the choices; all texts get the same ones
    #[arg(long = "choice", value_name = "TEXT")]
    choices: Vec<String>,
    /// A question that stands before each choice, with a space between them
    #[arg(long = "question", value_name = "TEXT")]
    questions: Vec<String>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

const CHOICES: Field = Field {
    name: "choices",
    also: &["options", "endings"],
    kind: Kind::Texts,
    required: true,
};

const QUESTION: Field = Field {
    name: "question",
    also: &[],
    kind: Kind::Text,
    required: false,
};

/// The choice, with the choices themselves for people.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct Chosen {
    choice: Choice,
    #[serde(skip)]
    choices: Vec<String>,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = self.choice.choice;
        write!(f, "{:.4}  {}", self.choice.scores[best], self.choices[best])
    }
}

/// The second sequences: the choices, each behind the question where there is one.
fn seconds(input: &Record) -> Vec<String> {
    let choices = input.texts(1).unwrap_or_default().into_iter();
    match input.text(2) {
        Some(question) => choices.map(|c| format!("{question} {c}")).collect(),
        None => choices.map(str::to_owned).collect(),
    }
}

impl Choose {
    pub(crate) fn run(self) -> Result<()> {
        let count = self.texts.len().max(1);
        let lists = if self.choices.is_empty() {
            Vec::new()
        } else {
            vec![self.choices; count]
        };
        let given = Given::default()
            .texts("<TEXTS>", self.texts)
            .lists("--choice", lists)
            .texts("--question", self.questions);
        let text = Field {
            also: &["context", "passage", "article", "sentence", "premise"],
            ..Field::TEXT
        };
        let job = Job::open(&[text, CHOICES, QUESTION], given, false, &self.flags)?;
        let demo = Demo::None("multiple choice");
        let Opened { model, tokenizer } = self.model.open(demo, &self.flags)?;
        let choose = pipeline::Choose::new(model, tokenizer);
        let options = ChooseOptions {
            limits: self.model.limits(&self.flags, Long::Error),
        };
        choose.run_batch(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let seconds: Vec<Vec<String>> = inputs.iter().map(seconds).collect();
            let questions: Vec<(&str, Vec<&str>)> = inputs
                .iter()
                .zip(&seconds)
                .map(|(input, seconds)| {
                    let seconds = seconds.iter().map(String::as_str).collect();
                    (input.required(0), seconds)
                })
                .collect();
            let results = choose.run_batch(&questions, &options);
            let results = results.map(|results| {
                let named = results.into_iter().zip(inputs);
                let named = named.map(|(result, input)| {
                    let choices = input.texts(1).unwrap_or_default();
                    let choices = choices.into_iter().map(str::to_owned).collect();
                    Ok(result?.map(|choice| Chosen { choice, choices }))
                });
                named.collect()
            });
            replies(results, inputs.len(), Output::value)
        }))
    }
}
