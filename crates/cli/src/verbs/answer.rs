//! `albert answer`: the parts of a context that answer a question.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use albert::Cpu;
use albert::pipeline::{AnswerOptions, AnswerSpan, QuestionAnswering};
use anyhow::{Context, Result, bail};

use super::{ModelFlags, Opened, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Given, Job, Kind, Long, Output, Record, TextFlags};

/// Answer questions from a context of any length
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert answer \"Who lived in London?\" --context \"Ada Lovelace lived in London.\" --model DIR
  albert answer \"Who lived in London?\" --context-file book.txt --model DIR --top-k 3
  albert answer --input questions.jsonl --model DIR --no-answer --json")]
pub(crate) struct Answer {
    /// Questions; without any, they come from --input or stdin
    questions: Vec<String>,
    /// Where to look for the answer; one for all questions, or one for each
    #[arg(
        long = "context",
        short,
        value_name = "TEXT",
        conflicts_with = "context_file"
    )]
    contexts: Vec<String>,
    /// A file with the context of all questions
    #[arg(long, value_name = "FILE")]
    context_file: Option<PathBuf>,
    /// Answers to give, the most likely first
    #[arg(long, value_name = "K", default_value = "1")]
    top_k: NonZeroUsize,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value = "15")]
    max_answer_tokens: NonZeroUsize,
    /// Most tokens of a question; the rest is cut off [default: all]
    #[arg(long, value_name = "N")]
    max_question_tokens: Option<NonZeroUsize>,
    /// "No answer" may be the answer, as for models of SQuAD 2.0
    #[arg(long)]
    no_answer: bool,
    /// Do not widen answers to whole words
    #[arg(long)]
    no_align: bool,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

const QUESTION: Field = Field {
    name: "question",
    also: &["query"],
    kind: Kind::Text,
    required: true,
};

const CONTEXT: Field = Field {
    name: "context",
    also: &["passage", "document", "text"],
    kind: Kind::Text,
    required: true,
};

struct Found(Vec<AnswerSpan>);

impl serde::Serialize for Found {
    /// One answer: itself; several: a list, as transformers.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |found: &AnswerSpan| {
            let place = format!("{}-{}", found.start, found.end);
            let answer = if found.answer.is_empty() {
                "(no answer)"
            } else {
                found.answer.trim()
            };
            format!(
                "{:.4}  {place:<11} {}",
                found.score,
                answer.replace('\n', " ")
            )
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

impl Answer {
    pub(crate) fn run(self) -> Result<()> {
        let mut contexts = self.contexts;
        if let Some(path) = &self.context_file {
            let known = std::fs::metadata(path).with_context(|| path.display().to_string())?;
            if !known.is_file() {
                bail!("{}: expected a regular file", path.display());
            }
            let text = std::fs::read_to_string(path);
            contexts = vec![text.with_context(|| path.display().to_string())?];
        }
        if let ([one], count @ 2..) = (contexts.as_slice(), self.questions.len()) {
            contexts = vec![one.clone(); count];
        }
        let given = Given::default()
            .texts("<QUESTIONS>", self.questions)
            .texts("--context", contexts);
        let job = Job::open(&[QUESTION, CONTEXT], given, false, &self.flags)?;
        let demo = Demo::None("question answering");
        let answer = if self
            .model
            .config(&self.flags)?
            .is_some_and(|config| QuestionAnswering::<Cpu>::is_joint(&config))
        {
            let Opened { model, tokenizer } = self.model.open(demo, &self.flags)?;
            QuestionAnswering::joint(model, tokenizer)
        } else {
            let Opened { model, tokenizer } = self.model.open(demo, &self.flags)?;
            QuestionAnswering::new(model, tokenizer)
        };
        let options = AnswerOptions {
            top_k: self.top_k.get(),
            max_answer_tokens: self.max_answer_tokens.get(),
            no_answer: self.no_answer,
            max_question_tokens: self.max_question_tokens.map(Into::into),
            align_to_words: !self.no_align,
            limits: self.model.limits(&self.flags, Long::Slide),
        };
        answer.run_batch(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let pairs: Vec<_> = inputs
                .iter()
                .map(|input| (input.required(0), input.required(1)))
                .collect();
            let results = answer.run_batch(&pairs, &options);
            replies(results, inputs.len(), |found| Output::value(Found(found)))
        }))
    }
}
