//! `albert features`: the vectors of every token, of any layers.

use std::fmt;

use albert::output::Array;
use albert::pipeline::{self, FeaturesOptions, TokenFeatures};
use anyhow::Result;
use serde::ser::{Serialize, Serializer};

use super::{ModelFlags, Opened, PairFlags, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Job, Long, Output, Record, TextFlags, usage};

/// Give the vectors of every token
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert features \"A sentence.\" --json
  albert features \"A sentence.\" --model DIR --layers 0,2
  albert features --input texts.txt --model DIR --layers all --output features.jsonl")]
pub(crate) struct Features {
    #[command(flatten)]
    texts: PairFlags,
    /// Layers to give: numbers from 0, the embeddings, to the last one; or all, or last
    #[arg(long, value_name = "LIST", default_value = "last")]
    layers: String,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

/// The numbers of the layers.
fn layers(list: &str, count: usize) -> Result<Vec<usize>> {
    match list {
        "last" => Ok(vec![count - 1]),
        "all" => Ok((0..count).collect()),
        list => list
            .split(',')
            .map(|number| {
                number.trim().parse().map_err(|_| {
                    usage(format!(
                        "--layers {list}: expected all, last, or numbers from 0 to {}",
                        count - 1
                    ))
                })
            })
            .collect(),
    }
}

/// For every layer an array [S, H], as transformers' feature-extraction gives the last one.
struct Vectors(TokenFeatures);

impl Serialize for Vectors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Rows<'a>(&'a Array);
        impl Serialize for Rows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(rows(self.0))
            }
        }
        serializer.collect_seq(self.0.layers.iter().map(Rows))
    }
}

/// The vectors of the tokens.
fn rows(array: &Array) -> impl Iterator<Item = &[f32]> {
    array.data.chunks_exact(array.shape[1])
}

impl fmt::Display for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = self.0.layers.len() > 1;
        let mut lines = Vec::new();
        for (i, layer) in self.0.numbers.iter().zip(&self.0.layers) {
            for (token, row) in self.0.tokens.iter().zip(rows(layer)) {
                let numbers: Vec<String> = row.iter().map(f32::to_string).collect();
                let head = if several {
                    format!("{i} {token}")
                } else {
                    token.clone()
                };
                lines.push(format!("{head} {}", numbers.join(" ")));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

impl Features {
    pub(crate) fn run(self) -> Result<()> {
        let given = self.texts.given();
        let job = Job::open(&PairFlags::FIELDS, given, false, &self.flags)?;
        let Opened { model, tokenizer } = self.model.open(Demo::Language, &self.flags)?;
        let features = pipeline::Features::new(model, tokenizer);
        let options = FeaturesOptions {
            layers: layers(&self.layers, features.layers())?,
            limits: self.model.limits(&self.flags, Long::Error),
        };
        features.run_batch(&[], &options).map_err(flag)?;
        job.at_once(16).run(&mut Work::new(|inputs: &[Record]| {
            let texts: Vec<_> = inputs.iter().map(Record::text_and_pair).collect();
            let results = features.run_batch(&texts, &options);
            replies(results, inputs.len(), |found| Output::value(Vectors(found)))
        }))
    }
}
