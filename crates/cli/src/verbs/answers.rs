//! What the verbs on texts share: texts and pairs from the command line, and the way from a pipeline to replies.

use albert::pipeline::Results;
use anyhow::{Result, anyhow};

use crate::stream::{Field, Given, Output, Record, Reply, Task, usage};

/// Texts, or pairs of texts, of the verbs that read either.
#[derive(clap::Args, Default)]
pub(crate) struct PairFlags {
    /// Texts; without any, they come from --input or stdin
    texts: Vec<String>,
    /// The second text of a pair; the k-th belongs to the k-th text
    #[arg(long = "pair", value_name = "TEXT")]
    pairs: Vec<String>,
}

impl PairFlags {
    pub(crate) const FIELDS: [Field; 2] = [Field::TEXT, Field::PAIR];

    pub(crate) fn given(self) -> Given {
        Given::default()
            .texts("<TEXTS>", self.texts)
            .texts("--pair", self.pairs)
    }

    /// The texts without pairs, which another flag excludes.
    pub(crate) fn alone(self) -> Given {
        Given::default().texts("<TEXTS>", self.texts)
    }
}

/// A verb at work: a function from inputs to replies.
pub(crate) struct Work<F> {
    pub(crate) run: F,
    /// Length of its vectors, for files of embeddings.
    pub(crate) width: usize,
}

impl<F: FnMut(&[Record]) -> Vec<Result<Reply>>> Work<F> {
    /// A verb whose answers are no vectors.
    pub(crate) fn new(run: F) -> Self {
        Self { run, width: 0 }
    }
}

impl<F: FnMut(&[Record]) -> Vec<Result<Reply>>> Task for Work<F> {
    fn run(&mut self, inputs: &[Record]) -> Vec<Result<Reply>> {
        (self.run)(inputs)
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// The results of a batch of `count` inputs as replies.
pub(crate) fn replies<T>(
    results: albert::Result<Results<T>>,
    count: usize,
    output: impl Fn(T) -> Output,
) -> Vec<Result<Reply>> {
    let results = match results {
        Ok(results) => results,
        // Options are checked before the first input; what is left concerns every one.
        Err(error) => return (0..count).map(|_| Err(anyhow!("{error}"))).collect(),
    };
    let reply = |result: albert::Result<albert::pipeline::Answer<T>>| {
        let answer = result.map_err(with_flags)?;
        Ok(Reply {
            output: output(answer.output),
            truncated: answer.truncated,
            tokens: answer.tokens,
        })
    };
    results.into_iter().map(reply).collect()
}

/// Names the flags that help.
fn with_flags(error: albert::Error) -> anyhow::Error {
    match error {
        albert::Error::TooLong { tokens, limit } => anyhow!(
            "expected at most {limit} tokens, found {tokens}: --long truncate leaves out the end; --long slide, of the verbs that have windows, reads all of it"
        ),
        error => error.into(),
    }
}

/// A mistake in the options, as one in the flags that they came from.
pub(super) fn flag(error: albert::Error) -> anyhow::Error {
    match error {
        albert::Error::Input {
            what,
            expected,
            found,
        } => usage(format!(
            "--{}: expected {expected}, found {found}",
            what.replace('_', "-")
        )),
        error => usage(error),
    }
}
