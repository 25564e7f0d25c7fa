//! Where the examples of a task are, and how long they may be.

use std::path::{Path, PathBuf};

use albert_train::tasks::glue::{self, GlueTask};
use albert_train::tasks::race::ChoiceExamples;
use albert_train::tasks::squad::{SquadFile, Windows};
use albert_train::tasks::table::{Table, TableOptions, Target};
use albert_train::tasks::tagging::TaggedFile;
use albert_train::tasks::text::TextExamples;
use albert_train::tasks::{Encode, Skipped};
use anyhow::{Result, anyhow};

use super::TaskName;
use crate::stream::Voice;

/// Which examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Split {
    /// Those to learn from
    Train,
    /// Those to measure on
    Dev,
    /// Those without labels
    Test,
}

/// Files of examples.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataFlags {
    /// Folder with the task's original files: of GLUE (CoLA/, SST-2/, … or the task's own), of RACE (train/, dev/, test/)
    #[arg(long, value_name = "DIR", alias = "data_dir", alias = "data-dir")]
    data: Option<PathBuf>,
    /// Examples to learn from, for tasks that are one file
    #[arg(long, value_name = "FILE", alias = "train_file")]
    train_file: Option<PathBuf>,
    /// Examples to measure on
    #[arg(long, value_name = "FILE", alias = "validation_file")]
    validation_file: Option<PathBuf>,
    /// Examples to predict
    #[arg(long, value_name = "FILE", alias = "test_file")]
    test_file: Option<PathBuf>,
    /// Column of the text [default: text, sentence, sentence1, …]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column of the second text [default: text_pair, sentence2, …]
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column of the label [default: label, labels, …]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// What stands between labels in a cell, for multi-label
    #[arg(long, value_name = "CHARACTER", default_value_t = ',')]
    label_separator: char,
    /// Examples to learn from at most
    #[arg(long, value_name = "N", alias = "max_train_samples")]
    max_train_samples: Option<usize>,
    /// Examples to measure on, or to predict, at most
    #[arg(long, value_name = "N", alias = "max_eval_samples")]
    max_eval_samples: Option<usize>,
    /// Tokens that neighbouring windows of a long text share [default: 128, but at most a third of a window]
    #[arg(long, value_name = "N", alias = "doc_stride")]
    doc_stride: Option<usize>,
    /// Most tokens of a question (SQuAD: 64), or of question and option together (RACE: 128, but at most a third of a sequence)
    #[arg(long, value_name = "N", alias = "max_query_length")]
    max_query_length: Option<usize>,
}

/// Lengths of samples.
pub(crate) struct Windowing {
    pub(crate) encode: Encode,
    pub(crate) stride: usize,
    pub(crate) query: Option<usize>,
}

impl Windowing {
    pub(crate) fn squad(&self) -> Windows {
        Windows {
            encode: self.encode,
            doc_stride: self.stride,
            max_query_length: Some(self.query.unwrap_or(64)),
        }
    }

    /// Tokens of question and option.
    pub(crate) fn qa(&self) -> usize {
        self.query
            .unwrap_or(128.min(self.encode.max_seq_length / 3))
    }
}

/// Says what was left out.
fn tell(skipped: &[Skipped], voice: Voice) {
    if let Some(first) = skipped.first() {
        voice.note(format_args!(
            "{} parts of the data left out, the first {}: {}",
            skipped.len(),
            first.place,
            first.why
        ));
    }
}

/// A file of a GLUE task; labels decide how many numbers an example has.
pub(crate) fn read_glue(
    task: GlueTask,
    flags: &DataFlags,
    split: glue::Split,
    voice: Voice,
) -> Result<TextExamples> {
    let mut examples = task.read(flags.folder()?, split)?;
    let most = match split {
        glue::Split::Train => flags.max_train_samples,
        _ => flags.max_eval_samples,
    };
    examples.truncate(most.unwrap_or(usize::MAX), 1);
    tell(&examples.skipped, voice);
    Ok(examples)
}

impl DataFlags {
    pub(crate) fn windowing(&self, max_seq_length: usize) -> Windowing {
        Windowing {
            encode: Encode::to(max_seq_length),
            stride: self.doc_stride.unwrap_or(128.min(max_seq_length / 3)),
            query: self.max_query_length,
        }
    }

    fn folder(&self) -> Result<&Path> {
        let folder = self.data.as_deref();
        folder.ok_or_else(|| {
            anyhow!("this task needs --data DIR: the folder with its original files")
        })
    }

    fn most(&self, split: Split) -> usize {
        let most = match split {
            Split::Train => self.max_train_samples,
            Split::Dev | Split::Test => self.max_eval_samples,
        };
        most.unwrap_or(usize::MAX)
    }

    /// The file of a split, where it is named.
    pub(crate) fn file(&self, split: Split) -> Option<&Path> {
        match split {
            Split::Train => self.train_file.as_deref(),
            Split::Dev => self.validation_file.as_deref(),
            Split::Test => self.test_file.as_deref(),
        }
    }

    fn needed(&self, split: Split) -> Result<&Path> {
        self.file(split).ok_or_else(|| {
            let flag = match split {
                Split::Train => "--train-file",
                Split::Dev => "--validation-file",
                Split::Test => "--test-file",
            };
            anyhow!("this task needs {flag} FILE")
        })
    }

    /// What a table's label is.
    pub(crate) fn target(&self, task: TaskName) -> Target {
        match task {
            TaskName::MultiLabel => Target::Labels(self.label_separator),
            TaskName::Regression => Target::Value,
            _ => Target::Class,
        }
    }

    pub(crate) fn table(&self, task: TaskName, split: Split, voice: Voice) -> Result<Table> {
        let options = TableOptions {
            text: self.text_column.clone(),
            pair: self.pair_column.clone(),
            label: self.label_column.clone(),
            ..TableOptions::of(self.target(task))
        };
        let mut table = Table::read(self.needed(split)?, &options)?;
        table.truncate(self.most(split));
        tell(table.skipped(), voice);
        Ok(table)
    }

    pub(crate) fn squad(&self, split: Split, voice: Voice) -> Result<SquadFile> {
        let mut file = SquadFile::read(self.needed(split)?, split == Split::Train)?;
        file.questions.truncate(self.most(split));
        tell(&file.skipped, voice);
        Ok(file)
    }

    pub(crate) fn choices(
        &self,
        task: TaskName,
        split: Split,
        voice: Voice,
    ) -> Result<ChoiceExamples> {
        let mut examples = match (task, self.file(split)) {
            (TaskName::Race, None) => {
                let name = match split {
                    Split::Train => "train",
                    Split::Dev => "dev",
                    Split::Test => "test",
                };
                ChoiceExamples::race(&self.folder()?.join(name))?
            }
            _ => ChoiceExamples::json_lines(self.needed(split)?)?,
        };
        examples.truncate(self.most(split));
        tell(&examples.skipped, voice);
        Ok(examples)
    }

    pub(crate) fn tagged(&self, split: Split) -> Result<TaggedFile> {
        let mut file = TaggedFile::read(self.needed(split)?, None)?;
        file.truncate(self.most(split));
        Ok(file)
    }

    /// Whether there is something to measure on.
    pub(crate) fn has_dev(&self, task: TaskName) -> bool {
        self.validation_file.is_some()
            || match (&self.data, task.glue(), task) {
                (Some(_), Some(_), _) => true,
                (Some(folder), None, TaskName::Race) => folder.join("dev").is_dir(),
                _ => false,
            }
    }

    /// Where the data are, for checkpoints and the model card.
    pub(crate) fn origin(&self) -> String {
        let paths = [&self.data, &self.train_file].into_iter().flatten();
        let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }

    /// What else the numbers of a run depend on.
    pub(crate) fn facts(&self) -> impl Iterator<Item = (String, String)> {
        let most = self.max_train_samples;
        [
            ("data", self.origin()),
            ("training samples at most", format!("{most:?}")),
            ("doc_stride", format!("{:?}", self.doc_stride)),
            ("max_query_length", format!("{:?}", self.max_query_length)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
    }
}
