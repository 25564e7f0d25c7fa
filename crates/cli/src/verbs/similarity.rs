//! `albert similarity`: how alike two texts are, by the angle between their vectors.

use albert::pipeline::{Answer, cosine_similarity};
use anyhow::Result;

use super::embed::VectorFlags;
use super::{ModelFlags, Work, replies};
use crate::stream::{Field, Given, Job, Output, Record, TextFlags};

/// Compare texts by the angle between their vectors: 1 is the same, 0 has nothing in common
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert similarity \"A man plays.\" --pair \"A man sleeps.\"
  albert similarity \"a dog\" \"a cat\" \"a car\" --pair \"an animal\" --model DIR
  albert similarity --input pairs.tsv --model DIR --json")]
pub(crate) struct Similarity {
    /// Texts; without any, they come from --input or stdin
    texts: Vec<String>,
    /// What to compare with; one for all texts, or one for each
    #[arg(long = "pair", value_name = "TEXT")]
    pairs: Vec<String>,
    #[command(flatten)]
    vectors: VectorFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

#[derive(serde::Serialize)]
struct Cosine(f64);

impl std::fmt::Display for Cosine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4}", self.0)
    }
}

impl Similarity {
    pub(crate) fn run(self) -> Result<()> {
        let mut pairs = self.pairs;
        if let ([one], count @ 2..) = (pairs.as_slice(), self.texts.len()) {
            pairs = vec![one.clone(); count];
        }
        let given = Given::default()
            .texts("<TEXTS>", self.texts)
            .texts("--pair", pairs);
        let pair = Field {
            required: true,
            ..Field::PAIR
        };
        let job = Job::open(&[Field::TEXT, pair], given, false, &self.flags)?;
        let (embed, options) = self.vectors.open(&self.model, &self.flags)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let texts: Vec<(&str, Option<&str>)> = inputs
                .iter()
                .flat_map(|input| [(input.required(0), None), (input.required(1), None)])
                .collect();
            let results = embed.run_batch(&texts, &options).map(|results| {
                let mut results = results.into_iter();
                let pairs = std::iter::from_fn(|| results.next().zip(results.next()));
                pairs
                    .map(|(a, b)| {
                        let (a, b) = (a?, b?);
                        Ok(Answer {
                            output: cosine_similarity(&a.output, &b.output),
                            tokens: a.tokens + b.tokens,
                            truncated: a.truncated || b.truncated,
                        })
                    })
                    .collect()
            });
            replies(results, inputs.len(), |cosine| {
                Output::value(Cosine(cosine))
            })
        }))
    }
}
