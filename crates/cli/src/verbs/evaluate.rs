//! `albert evaluate`: measures a model on a task's files, or writes its predictions for those without labels.

use std::io::Write;
use std::path::{Path, PathBuf};

use albert::heads::{
    JointQuestionAnswering, MultipleChoice, QuestionAnswering, SequenceClassification,
    TokenClassification,
};
use albert::{Albert, AlbertConfig, Cpu, Head, LoadOptions, ModelFolder};
use albert_formats::write_atomically;
use albert_hub::Want;
use albert_tokenizer::AlbertTokenizer;
use albert_train::learner::Metrics;
use albert_train::recipe::{Recipe, Source};
use albert_train::tasks::glue::{self, GlueTask};
use albert_train::tasks::race::ChoiceDataset;
use albert_train::tasks::squad::{AnswerChoice, JointSquad, SquadDataset, write_predictions};
use albert_train::tasks::table::TableTask;
use albert_train::tasks::tagging::TaggedDataset;
use anyhow::{Context, Result};

use crate::device::ComputeFlags;
use crate::hub::RevisionFlag;
use crate::stream::Voice;
use crate::training::{
    DataFlags, EVALUATION_TOKENS, Split, TaskName, Windowing, max_seq_length, metrics_line,
    read_glue,
};

/// Measure a model on a task's files with the official metrics, and write its predictions
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert evaluate sst2 --model DIR --data GLUE
  albert evaluate squad2 --model DIR --validation-file dev-v2.0.json --output answers
  albert evaluate mrpc --model DIR --data GLUE --split test --output submission --dtype int8")]
pub(crate) struct Evaluate {
    /// What the model learned
    #[arg(value_enum)]
    task: TaskName,
    /// Model: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(long, short, value_name = "DIR|ID", alias = "model_name_or_path")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Which examples
    #[arg(long, value_enum, default_value = "dev")]
    split: Split,
    /// Folder for predictions, in the files that the task's official scripts read
    #[arg(long, short, value_name = "DIR", alias = "output_dir")]
    output: Option<PathBuf>,
    #[command(flatten)]
    data: DataFlags,
    /// Most tokens of a sequence [default: that of `finetune`]
    #[arg(long, value_name = "N", alias = "max_seq_length")]
    max_seq_length: Option<usize>,
    /// Candidates for each answer (SQuAD)
    #[arg(long, value_name = "N", default_value_t = 20, alias = "n_best_size")]
    n_best_size: usize,
    /// Most tokens of an answer (SQuAD)
    #[arg(
        long,
        value_name = "N",
        default_value_t = 30,
        alias = "max_answer_length"
    )]
    max_answer_length: usize,
    /// How much better "no answer" must be than the best answer (SQuAD 2.0)
    #[arg(
        long,
        value_name = "LOGITS",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        alias = "null_score_diff_threshold"
    )]
    null_score_diff_threshold: f64,
    /// Print the metrics as one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: ComputeFlags,
    #[command(flatten)]
    voice: Voice,
}

impl Evaluate {
    pub(crate) fn run(mut self) -> Result<()> {
        let located = self.revision.locate(&self.model, Want::Model, self.voice)?;
        self.model = located.folder;
        let metrics = match self.task {
            TaskName::Classification | TaskName::MultiLabel | TaskName::Regression => {
                self.table()?
            }
            TaskName::Squad | TaskName::Squad2 => self.squad()?,
            TaskName::Race | TaskName::Choices => self.choices()?,
            TaskName::Tagging => self.tags()?,
            task => self.glue(task.glue().expect("the rest are GLUE's"))?,
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&metrics)?)?;
        } else if !metrics.is_empty() {
            writeln!(out, "{}", metrics_line(&metrics))?;
        }
        Ok(())
    }

    fn open<H: Head<Cpu>>(&self) -> Result<(Albert<H, Cpu>, AlbertTokenizer)> {
        let options = albert_tokenizer::LoadOptions::default();
        let tokenizer = AlbertTokenizer::from_pretrained(&self.model, options)?;
        let (device, _) = self.device.open(Some(&self.model))?;
        let (model, loaded) = Albert::from_pretrained(&self.model, device, LoadOptions::default())?;
        super::tell(&loaded, self.voice);
        Ok((model, tokenizer))
    }

    /// The folder of predictions, where there is to be one.
    fn folder(&self) -> Result<Option<&Path>> {
        if let Some(folder) = &self.output {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(self.output.as_deref())
    }

    /// Lengths of samples of a model.
    fn windowing(&self, config: &AlbertConfig) -> Result<Windowing> {
        let usual = Recipe::of(Source::Default, self.task.kind(), config);
        let usual = usual.map_or(usize::MAX, |recipe| recipe.max_seq_length);
        let length = max_seq_length(self.max_seq_length, usual, config)?;
        Ok(self.data.windowing(length))
    }

    /// Writes lines into a file of the output folder, where there is one.
    fn write(&self, name: &str, lines: impl Iterator<Item = String>) -> Result<()> {
        if let Some(folder) = self.folder()? {
            let mut text = lines.collect::<Vec<_>>().join("\n");
            text.push('\n');
            write_atomically(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    fn glue(&self, task: GlueTask) -> Result<Metrics> {
        let (model, tokenizer) = self.open::<SequenceClassification<Cpu>>()?;
        let encode = self.windowing(model.config())?.encode;
        let splits: &[glue::Split] = match self.split {
            Split::Train => &[glue::Split::Train],
            Split::Dev => task.dev_splits(),
            Split::Test => task.test_splits(),
        };
        let mut all = Metrics::new();
        for &split in splits {
            let examples = read_glue(task, &self.data, split, self.voice)?;
            let data = task.dataset(&tokenizer, &examples, &encode)?;
            let found = task.evaluate(&model, &data, split, EVALUATION_TOKENS)?;
            all.extend(found.metrics);
            if let Some(folder) = self.folder()? {
                task.write_predictions(folder, split, &examples, &found.predictions)?;
            }
        }
        Ok(all)
    }

    fn table(&self) -> Result<Metrics> {
        let (model, tokenizer) = self.open::<SequenceClassification<Cpu>>()?;
        let table = self.data.table(self.task, self.split, self.voice)?;
        let task = TableTask::of_model(model.config(), self.data.target(self.task));
        let encode = self.windowing(model.config())?.encode;
        let data = task.dataset(&tokenizer, &table, &encode)?;
        let found = task.evaluate(&model, &data, EVALUATION_TOKENS)?;
        let rows = found.predictions.iter().map(|logits| task.answer(logits));
        self.write("predictions.txt", rows)?;
        Ok(found.metrics)
    }

    fn squad(&self) -> Result<Metrics> {
        let config = ModelFolder::open(&self.model)?.config;
        let file = self.data.squad(self.split, self.voice)?;
        let windows = self.windowing(&config)?.squad();
        let choice = AnswerChoice {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            no_answer: self.task == TaskName::Squad2,
            null_score_diff_threshold: self.null_score_diff_threshold,
        };
        let found = if albert::pipeline::QuestionAnswering::<Cpu>::is_joint(&config) {
            let (model, tokenizer) = self.open::<JointQuestionAnswering<Cpu>>()?;
            let data = SquadDataset::new(&tokenizer, &file, &windows)?;
            JointSquad(&data).evaluate(&model, &file, &choice, EVALUATION_TOKENS)?
        } else {
            let (model, tokenizer) = self.open::<QuestionAnswering<Cpu>>()?;
            let data = SquadDataset::new(&tokenizer, &file, &windows)?;
            data.evaluate(&model, &file, &choice, EVALUATION_TOKENS)?
        };
        if let Some(folder) = self.folder()? {
            write_predictions(folder, "", &file, &found.predictions, choice.no_answer)?;
        }
        Ok(found.metrics)
    }

    fn choices(&self) -> Result<Metrics> {
        let (model, tokenizer) = self.open::<MultipleChoice<Cpu>>()?;
        let examples = self.data.choices(self.task, self.split, self.voice)?;
        let windows = self.windowing(model.config())?;
        let data = ChoiceDataset::new(&tokenizer, &examples, windows.qa(), &windows.encode)?;
        let found = data.evaluate(&model, EVALUATION_TOKENS)?;
        let rows = examples.questions.iter().zip(&found.predictions);
        self.write(
            "predictions.txt",
            rows.map(|(question, choice)| format!("{}\t{choice}", question.id)),
        )?;
        Ok(found.metrics)
    }

    fn tags(&self) -> Result<Metrics> {
        let (model, tokenizer) = self.open::<TokenClassification<Cpu>>()?;
        let file = self.data.tagged(self.split)?;
        let names = model.config().id2label.clone();
        let windows = self.windowing(model.config())?;
        let stride = windows.stride.min(windows.encode.max_seq_length / 4);
        let data = TaggedDataset::new(&tokenizer, &file, &names, stride, &windows.encode)?;
        let found = data.evaluate(&model, EVALUATION_TOKENS)?;
        let rows = file
            .sentences
            .iter()
            .zip(&found.predictions)
            .map(|(sentence, labels)| {
                let words = sentence.words.iter().zip(labels);
                words
                    .map(|(word, label)| format!("{word}\t{label}\n"))
                    .collect::<String>()
            });
        self.write("predictions.conll", rows)?;
        Ok(found.metrics)
    }
}
