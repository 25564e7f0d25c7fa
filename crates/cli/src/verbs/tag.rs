//! `albert tag`: the entities of a text, or a label for every token.

use std::fmt;

use albert::pipeline::{self, Aggregation, Entity, TagInput, TagOptions};
use anyhow::Result;

use super::{ModelFlags, Opened, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Kind, Long, Output, Record, TextFlags};

/// Find the entities of a text, or label its tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert tag \"Ada Lovelace lived in London.\" --model DIR
  albert tag \"Ada Lovelace lived in London.\" --model DIR --aggregation none --ignore-labels \"\"
  albert tag --input words.jsonl --model DIR --aggregation first --json")]
pub(crate) struct Tag {
    /// Texts; without any, they come from --input or stdin
    texts: Vec<String>,
    /// How tokens become entities
    #[arg(long, value_enum, value_name = "HOW", default_value = "simple")]
    aggregation: AggregationName,
    /// Labels that are left out; "" for none
    #[arg(long, value_name = "LABEL", value_delimiter = ',', default_value = "O")]
    ignore_labels: Vec<String>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AggregationName {
    /// Not at all: a label for every token
    None,
    /// Neighbours with one kind of label are joined
    Simple,
    /// A word has the label of its first token
    First,
    /// A word has the label with the best mean score
    Average,
    /// A word has the label of its surest token
    Max,
}

impl From<AggregationName> for Aggregation {
    fn from(name: AggregationName) -> Self {
        match name {
            AggregationName::None => Self::None,
            AggregationName::Simple => Self::Simple,
            AggregationName::First => Self::First,
            AggregationName::Average => Self::Average,
            AggregationName::Max => Self::Max,
        }
    }
}

/// Words that were split before, instead of a text.
const WORDS: Field = Field {
    name: "words",
    also: &["tokens"],
    kind: Kind::Texts,
    required: false,
};

#[derive(serde::Serialize)]
struct Entities(Vec<Entity>);

impl fmt::Display for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |entity: &Entity| {
            let place = format!("{}-{}", entity.span.chars.start, entity.span.chars.end);
            let word = entity.word.replace('\u{2581}', " ");
            format!(
                "{:.4}  {:<16} {place:<9} {}",
                entity.score,
                entity.label,
                word.trim_start()
            )
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

/// An input with neither of the two columns.
fn missing() -> albert::Error {
    albert::Error::Input {
        what: "input".to_owned(),
        expected: "a column text, or a list of words".to_owned(),
        found: "neither".to_owned(),
    }
}

impl Tag {
    pub(crate) fn run(self) -> Result<()> {
        let text = Field {
            required: false,
            ..Field::TEXT
        };
        let given = Given::default()
            .texts("<TEXTS>", self.texts)
            .lists("words", Vec::new());
        let job = Job::open(&[text, WORDS], given, false, &self.flags)?;
        let demo = Demo::None("token classification");
        let Opened { model, tokenizer } = self.model.open(demo, &self.flags)?;
        let tag = pipeline::Tag::new(model, tokenizer);
        let options = TagOptions {
            aggregation: self.aggregation.into(),
            ignore_labels: self.ignore_labels,
            limits: self.model.limits(&self.flags, Long::Slide),
        };
        tag.run_batch(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let words: Vec<Option<Vec<&str>>> = inputs.iter().map(|input| input.texts(1)).collect();
            let texts: Vec<TagInput<'_>> = inputs
                .iter()
                .zip(&words)
                .map(|(input, words)| match words {
                    Some(words) => TagInput::Words(words),
                    None => TagInput::Text(input.text(0).unwrap_or_default()),
                })
                .collect();
            let mut results = tag.run_batch(&texts, &options);
            for (i, input) in inputs.iter().enumerate() {
                if let (None, None, Ok(results)) = (input.text(0), &words[i], &mut results) {
                    results[i] = Err(missing());
                }
            }
            replies(results, inputs.len(), |found| {
                Output::value(Entities(found))
            })
        }))
    }
}
