//! `albert sentence-order`: whether two texts follow each other, or were swapped.

use albert::pipeline::{self, SentenceOrderOptions};
use anyhow::Result;

use super::classify::Labels;
use super::{ModelFlags, Opened, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Long, Output, Record, TextFlags};

/// Judge whether two texts follow each other, or were swapped
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert sentence-order \"He opened the door.\" \"Then he went in.\"
  albert sentence-order \"He opened the door.\" \"Then he went in.\" --model DIR --json
  albert sentence-order --input pairs.tsv --model DIR")]
pub(crate) struct SentenceOrder {
    /// The first text and the second; without any, pairs come from --input or stdin
    #[arg(num_args = 2, value_names = ["FIRST", "SECOND"])]
    texts: Vec<String>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

impl SentenceOrder {
    pub(crate) fn run(mut self) -> Result<()> {
        let second = self.texts.split_off(self.texts.len().min(1));
        let given = Given::default()
            .texts("<FIRST>", self.texts)
            .texts("<SECOND>", second);
        let pair = Field {
            required: true,
            ..Field::PAIR
        };
        let job = Job::open(&[Field::TEXT, pair], given, false, &self.flags)?;
        let Opened { model, tokenizer } = self.model.open(Demo::Language, &self.flags)?;
        let order = pipeline::SentenceOrder::new(model, tokenizer);
        let options = SentenceOrderOptions {
            limits: self.model.limits(&self.flags, Long::Error),
        };
        order.run_batch(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let pairs: Vec<_> = inputs
                .iter()
                .map(|input| (input.required(0), input.required(1)))
                .collect();
            let results = order.run_batch(&pairs, &options);
            replies(results, inputs.len(), |labels| {
                Output::value(Labels(labels))
            })
        }))
    }
}
