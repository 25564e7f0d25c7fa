//! GLUE: its nine tasks and the diagnostics, from the original files to the files that are submitted.

mod facts;
mod submit;

use std::path::Path;

use albert::heads::ClassLabels;
use albert::ops::Backend;
use albert::{AlbertForSequenceClassification, ProblemType, metrics};
use albert_tokenizer::AlbertTokenizer;

use super::files::{lines, text_of};
use super::text::{TextDataset, TextExamples, classes};
use super::{Encode, Evaluation, Skipped};
use crate::error::{At, Error, Result};
use crate::learner::Metrics;
use crate::measure::mean;
pub use facts::GlueTask;
use facts::{Columns, Facts, Measure};

/// A file of a task. MNLI has two kinds of texts to be measured on: those of the genres of its training data, and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// `train.tsv`
    Train,
    /// `dev.tsv`, of MNLI `dev_matched.tsv`
    Dev,
    /// `dev_mismatched.tsv`
    DevMismatched,
    /// `test.tsv`, of MNLI `test_matched.tsv`; without labels
    Test,
    /// `test_mismatched.tsv`
    TestMismatched,
}

impl Split {
    fn is_test(self) -> bool {
        matches!(self, Self::Test | Self::TestMismatched)
    }

    fn is_mismatched(self) -> bool {
        matches!(self, Self::DevMismatched | Self::TestMismatched)
    }
}

/// The model's answers to the examples of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// A class for each.
    Classes(Vec<usize>),
    /// A value for each.
    Values(Vec<f64>),
}

impl GlueTask {
    /// The names of its classes in the order of their numbers: the names of transformers' `run_glue.py` (`["negative",
    /// "positive"]` where the files of SST-2 have 0 and 1), MNLI's in the order of google-research/albert; `["LABEL_0"]` for
    /// STS-B, which has none.
    pub fn labels(self) -> &'static [&'static str] {
        self.facts().labels
    }

    /// Classes, or for STS-B a value.
    pub fn problem_type(self) -> ProblemType {
        match self.facts().measure {
            Measure::Correlations => ProblemType::Regression,
            _ => ProblemType::SingleLabelClassification,
        }
    }

    /// The files with labels that a model is measured on: one, of MNLI two, of the diagnostics none.
    pub fn dev_splits(self) -> &'static [Split] {
        match self {
            Self::Mnli => &[Split::Dev, Split::DevMismatched],
            Self::Ax => &[],
            _ => &[Split::Dev],
        }
    }

    /// The files without labels.
    pub fn test_splits(self) -> &'static [Split] {
        match self {
            Self::Mnli => &[Split::Test, Split::TestMismatched],
            _ => &[Split::Test],
        }
    }

    /// Reads a file of the task; `folder` holds the folders of the tasks (`CoLA`, `SST-2`, …), or is that of this task.
    /// Cells stand between tabs, quotes mean nothing. Empty lines, rows of QQP with too few cells and rows of MNLI whose
    /// label is `-` are skipped and listed.
    ///
    /// # Errors
    /// No such file for this task; other rows with too few or too many cells, unknown labels: with file and line.
    pub fn read(self, folder: &Path, split: Split) -> Result<TextExamples> {
        let facts = self.facts();
        let name = facts.file(split).ok_or_else(|| {
            Error::input(
                "split",
                format!("one that {} has", facts.title),
                format!("{split:?}"),
            )
        })?;
        let (own, flat) = (folder.join(facts.folder).join(name), folder.join(name));
        let path = if !own.exists() && flat.exists() {
            flat
        } else {
            own
        };
        read(self, facts, &path, split)
    }

    /// Tokenizes examples of the task.
    ///
    /// # Errors
    /// As [`TextDataset::new`].
    pub fn dataset(
        self,
        tokenizer: &AlbertTokenizer,
        examples: &TextExamples,
        encode: &Encode,
    ) -> Result<TextDataset> {
        TextDataset::new(
            tokenizer,
            examples,
            self.problem_type(),
            self.labels(),
            encode,
        )
    }

    /// Runs a model over a file's samples. Metrics have the names of transformers' `run_glue.py` without `eval_`:
    /// `accuracy`, `f1`, `matthews_correlation`, `pearson`, `spearmanr`, where there are two their mean
    /// `combined_score`, and `loss`; those of mismatched files end in `_mm`. There are none without labels.
    ///
    /// # Errors
    /// As [`TextDataset::logits`].
    pub fn evaluate<B: Backend>(
        self,
        model: &AlbertForSequenceClassification<B>,
        data: &TextDataset,
        split: Split,
        batch_tokens: usize,
    ) -> Result<Evaluation<Predictions>> {
        let (logits, loss) = data.logits(model, batch_tokens)?;
        let predictions = match self.problem_type() {
            ProblemType::Regression => Predictions::Values(logits.into_iter().flatten().collect()),
            _ => Predictions::Classes(classes(&logits)),
        };
        let mut metrics = data
            .labels()
            .map_or_else(Metrics::new, |labels| self.metrics(&predictions, labels));
        metrics.extend(loss.map(|loss| ("loss".to_owned(), loss)));
        if split.is_mismatched() {
            let renamed = metrics.into_iter();
            metrics = renamed.map(|(name, value)| (name + "_mm", value)).collect();
        }
        Ok(Evaluation {
            metrics,
            predictions,
        })
    }

    /// The official metrics of the task. NaN where a measure is not defined, as a correlation with a constant.
    ///
    /// # Panics
    /// When the numbers of predictions and labels differ.
    pub fn metrics(self, predictions: &Predictions, labels: &ClassLabels) -> Metrics {
        let measures = match (predictions, labels) {
            (Predictions::Classes(found), ClassLabels::Classes(expected)) => {
                let expected: Vec<usize> = expected
                    .iter()
                    .map(|&class| usize::try_from(class).unwrap_or(usize::MAX))
                    .collect();
                match self.facts().measure {
                    Measure::Matthews => {
                        vec![("matthews_correlation", metrics::matthews(found, &expected))]
                    }
                    Measure::AccuracyAndF1 => vec![
                        ("accuracy", metrics::accuracy(found, &expected)),
                        ("f1", metrics::f1(found, &expected, 1)),
                    ],
                    _ => vec![("accuracy", metrics::accuracy(found, &expected))],
                }
            }
            (Predictions::Values(found), ClassLabels::Values(expected)) => {
                let expected: Vec<f64> = expected.iter().copied().map(f64::from).collect();
                vec![
                    ("pearson", metrics::pearson(found, &expected)),
                    ("spearmanr", metrics::spearman(found, &expected)),
                ]
            }
            _ => Vec::new(),
        };
        let values: Vec<f64> = measures.iter().map(|(_, value)| *value).collect();
        let combined = (values.len() > 1).then(|| ("combined_score", mean(&values)));
        let named = measures.into_iter().chain(combined);
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

fn read(task: GlueTask, facts: &Facts, path: &Path, split: Split) -> Result<TextExamples> {
    let text = text_of(path)?;
    let columns = if split.is_test() {
        &facts.test
    } else {
        &facts.train
    };
    let mut examples = TextExamples::default();
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    let mut width = columns.width;
    for (number, line) in lines(&text) {
        let at = At::Line(number);
        let cells: Vec<&str> = line.split('\t').collect();
        if number == 1 && columns.header {
            // A label stands in the last column, wherever that is.
            width = width.max(cells.len());
            continue;
        }
        if line.is_empty() {
            examples
                .skipped
                .push(Skipped::new(path, at, "an empty line"));
            continue;
        }
        if cells.len() != width {
            let found = format!("{} cells", cells.len());
            if task == GlueTask::Qqp && cells.len() < width {
                examples
                    .skipped
                    .push(Skipped::new(path, at, format!("{found} of {width}")));
                continue;
            }
            let expected = format!("{width} cells between tabs, those of {}", facts.title);
            return Err(Error::data(path, at, expected, found));
        }
        if !split.is_test() {
            let label = cells[columns.label.unwrap_or(width - 1)];
            if task == GlueTask::Mnli && label == "-" {
                examples
                    .skipped
                    .push(Skipped::new(path, at, "no agreed label: -"));
                continue;
            }
            match task.problem_type() {
                ProblemType::Regression => values.push(value(path, at, label)?),
                _ => classes.push(class(path, at, label, facts)?),
            }
        }
        examples.texts.push(texts(&cells, columns));
        examples.ids.push(match columns.id {
            Some(column) => cells[column].to_owned(),
            None => examples.ids.len().to_string(),
        });
    }
    if !split.is_test() {
        examples.labels = Some(match task.problem_type() {
            ProblemType::Regression => ClassLabels::Values(values),
            _ => ClassLabels::Classes(classes),
        });
    }
    Ok(examples)
}

fn texts(cells: &[&str], columns: &Columns) -> albert::evaluate::Texts {
    let second = columns.second.map(|column| cells[column].to_owned());
    (cells[columns.first].to_owned(), second)
}

fn class(path: &Path, at: At, label: &str, facts: &Facts) -> Result<i64> {
    let found = facts.cells.iter().position(|name| *name == label);
    found.map(|class| class as i64).ok_or_else(|| {
        let expected = format!("a label of {} ({})", facts.title, facts.cells.join(", "));
        Error::data(path, at, expected, format!("{label:?}"))
    })
}

fn value(path: &Path, at: At, label: &str) -> Result<f32> {
    let value = label
        .trim()
        .parse::<f32>()
        .ok()
        .filter(|value| value.is_finite());
    value.ok_or_else(|| Error::data(path, at, "a number from 0 to 5", format!("{label:?}")))
}
