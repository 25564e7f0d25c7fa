//! `albert classify`: labels for texts and pairs of texts, those of the model or any that are named.

use std::fmt;

use albert::Cpu;
use albert::heads::SequenceClassification;
use albert::pipeline::{self, Apply, ClassifyOptions, Label, Ranking, ZeroShot, ZeroShotOptions};
use anyhow::Result;

use super::{ModelFlags, Opened, PairFlags, Work, flag, replies};
use crate::demo::Demo;
use crate::stream::{Field, Job, Long, Output, Record, TextFlags};

/// Label texts, or pairs of texts
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert classify \"A warm and funny film.\"
  albert classify \"It rains.\" --pair \"It is dry.\" --model DIR --top-k all
  albert classify \"The match ended 3:2.\" --model DIR --labels sport,politics")]
pub(crate) struct Classify {
    #[command(flatten)]
    texts: PairFlags,
    /// Labels to give, the most likely first: a number, or all
    #[arg(long, value_name = "K", default_value = "1", value_parser = top_k)]
    top_k: TopK,
    /// From logits to scores [default: as the model was trained]
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "labels")]
    apply: Option<ApplyName>,
    /// Rank these labels by entailment (zero-shot), with a model of natural-language inference
    #[arg(long, value_name = "LABEL", value_delimiter = ',', conflicts_with_all = ["pairs", "top_k"])]
    labels: Vec<String>,
    /// The hypothesis of --labels, with {} once, where the label goes
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "This example is {}.",
        requires = "labels"
    )]
    template: String,
    /// Several of --labels may be true
    #[arg(long, requires = "labels")]
    multi_label: bool,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

#[derive(Clone, Copy)]
struct TopK(Option<usize>);

fn top_k(text: &str) -> Result<TopK, String> {
    match text.parse() {
        Ok(k) if k > 0 => Ok(TopK(Some(k))),
        _ if text == "all" => Ok(TopK(None)),
        _ => Err("expected a number from 1, or all".to_owned()),
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ApplyName {
    /// Scores sum to 1
    Softmax,
    /// Each label by itself
    Sigmoid,
    /// The logits
    None,
}

impl From<ApplyName> for Apply {
    fn from(name: ApplyName) -> Self {
        match name {
            ApplyName::Softmax => Self::Softmax,
            ApplyName::Sigmoid => Self::Sigmoid,
            ApplyName::None => Self::None,
        }
    }
}

/// Labels, as `classify` and `sentence-order` give them.
#[derive(serde::Serialize)]
pub(super) struct Labels(pub(super) Vec<Label>);

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |label: &Label| format!("{:.4}  {}", label.score, label.label);
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

#[derive(serde::Serialize)]
struct Ranked(Ranking);

impl fmt::Display for Ranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.scores.iter().zip(&self.0.labels);
        let lines = lines.map(|(score, label)| format!("{score:.4}  {label}"));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl Classify {
    pub(crate) fn run(mut self) -> Result<()> {
        let texts = std::mem::take(&mut self.texts);
        if !self.labels.is_empty() {
            let job = Job::open(&[Field::TEXT], texts.alone(), false, &self.flags)?;
            return self.rank(job);
        }
        let job = Job::open(&PairFlags::FIELDS, texts.given(), false, &self.flags)?;
        let Opened { model, tokenizer } = self.model.open(Demo::Sentiment, &self.flags)?;
        let classify = pipeline::Classify::new(model, tokenizer);
        let options = ClassifyOptions {
            apply: self.apply.map(Into::into),
            top_k: self.top_k.0,
            limits: self.model.limits(&self.flags, Long::Error),
        };
        classify.run_batch(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let texts: Vec<_> = inputs.iter().map(Record::text_and_pair).collect();
            let results = classify.run_batch(&texts, &options);
            replies(results, inputs.len(), |labels| {
                Output::value(Labels(labels))
            })
        }))
    }

    /// With `--labels`.
    fn rank(self, job: Job) -> Result<()> {
        let demo = Demo::None("natural-language inference");
        let Opened { model, tokenizer } = self
            .model
            .open::<SequenceClassification<Cpu>>(demo, &self.flags)?;
        let rank = ZeroShot::new(model, tokenizer)?;
        if !rank.names_entailment() {
            let note = "no label of the model begins with \"entail\": its last one is taken for it";
            self.flags.voice.note(note);
        }
        let options = ZeroShotOptions {
            // As transformers: blanks around a label, and labels of blanks, mean nothing.
            labels: self
                .labels
                .iter()
                .map(|label| label.trim().to_owned())
                .filter(|label| !label.is_empty())
                .collect(),
            template: self.template,
            multi_label: self.multi_label,
            limits: self.model.limits(&self.flags, Long::Error),
        };
        rank.run_batch::<&str>(&[], &options).map_err(flag)?;
        job.run(&mut Work::new(|inputs: &[Record]| {
            let texts: Vec<&str> = inputs.iter().map(|input| input.required(0)).collect();
            let results = rank.run_batch(&texts, &options);
            replies(results, inputs.len(), |ranking| {
                Output::value(Ranked(ranking))
            })
        }))
    }
}
