//! Any table of texts or pairs with a class, several labels or a value: CSV, TSV and JSON lines.

mod file;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use albert::heads::ClassLabels;
use albert::ops::Backend;
use albert::{AlbertConfig, AlbertForSequenceClassification, ProblemType, metrics};
use albert_tokenizer::AlbertTokenizer;

use super::text::{TextDataset, TextExamples, classes};
use super::{Encode, Evaluation, Skipped};
use crate::error::{Error, Place, Result};
use crate::learner::Metrics;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Cells between commas, quoted where needed (RFC 4180); the first line names them.
    Csv,
    /// Cells between tabs, quotes mean nothing; the first line names them.
    Tsv,
    /// A JSON object on each line.
    JsonLines,
}

/// What a model learns from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of several classes.
    Class,
    /// Any number of labels: a list, or a cell in which this character stands between them.
    Labels(char),
    /// A number.
    Value,
}

/// What to read of a file.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// What to learn.
    pub target: Target,
    /// How the file is written; `None`: as its extension says (`csv`, `tsv`, `json`, `jsonl`).
    pub format: Option<TableFormat>,
    /// The column of the text; `None`: `text`, `sentence`, `sentence1`, `premise` or `question1`.
    pub text: Option<String>,
    /// The column of the second text; `None`: `text_pair`, `sentence2`, `hypothesis` or `question2`, where there is one.
    pub pair: Option<String>,
    /// The column of the label; `None`: `label`, `labels`, `gold_label` or `score`; a file without it has no labels.
    pub label: Option<String>,
}

impl TableOptions {
    /// Format and columns as the file has them.
    pub fn of(target: Target) -> Self {
        Self {
            target,
            format: None,
            text: None,
            pair: None,
            label: None,
        }
    }
}

/// The rows of a file.
#[derive(Clone, Debug)]
pub struct Table {
    /// Texts without labels.
    texts: TextExamples,
    /// The labels of each row by name, or its value; absent where the file has none.
    labels: Option<Vec<Vec<String>>>,
    places: Vec<Place>,
    target: Target,
}

impl Table {
    /// Reads a file. Empty lines are skipped and listed.
    ///
    /// # Errors
    /// No column for the text, rows with other numbers of cells than the first line, cells of another kind: with file and
    /// line.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        file::read(path, options)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What is no row.
    pub fn skipped(&self) -> &[Skipped] {
        &self.texts.skipped
    }

    /// Keeps the first `most` rows.
    pub fn truncate(&mut self, most: usize) {
        self.texts.truncate(most, 0);
        self.places.truncate(most);
        self.labels
            .iter_mut()
            .for_each(|labels| labels.truncate(most));
    }
}

/// What a model is to learn, and the names of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableTask {
    target: Target,
    names: Vec<String>,
}

impl TableTask {
    /// The task of training data: the names of its labels sorted by their code points, as transformers'
    /// `run_classification.py` numbers them; of values `["LABEL_0"]`.
    ///
    /// # Errors
    /// Training data without labels, or with a single class.
    pub fn of(training: &Table) -> Result<Self> {
        let labels = training.labels.as_ref().filter(|labels| !labels.is_empty());
        let labels =
            labels.ok_or_else(|| Error::input("training data", "rows with labels", "none"))?;
        let names: BTreeSet<&String> = labels.iter().flatten().collect();
        let names: Vec<String> = match training.target {
            Target::Value => vec!["LABEL_0".to_owned()],
            _ => names.into_iter().cloned().collect(),
        };
        let least = match training.target {
            Target::Class => 2,
            Target::Labels(_) | Target::Value => 1,
        };
        if names.len() < least {
            let found = format!("{names:?}");
            let expected = format!("at least {least} different labels");
            return Err(Error::input("training data", expected, found));
        }
        Ok(Self {
            target: training.target,
            names,
        })
    }

    /// The task of a model that learned one: the labels of its configuration.
    pub fn of_model(config: &AlbertConfig, target: Target) -> Self {
        Self {
            target,
            names: config.id2label.clone(),
        }
    }

    /// What logits say: the label, the labels with commas between them, or the value.
    pub fn answer(&self, logits: &[f64]) -> String {
        let named = |i: usize| self.names.get(i).map_or("", String::as_str);
        match self.target {
            Target::Class => named(crate::measure::best(logits)).to_owned(),
            Target::Labels(_) => {
                let given = (0..logits.len()).filter(|&i| logits[i] > 0.0);
                given.map(named).collect::<Vec<_>>().join(",")
            }
            Target::Value => logits.first().map_or_else(String::new, f64::to_string),
        }
    }

    /// The names of the outputs in the order of their numbers, for `id2label`.
    pub fn labels(&self) -> &[String] {
        &self.names
    }

    /// The kind of the problem, for the configuration.
    pub fn problem_type(&self) -> ProblemType {
        match self.target {
            Target::Class => ProblemType::SingleLabelClassification,
            Target::Labels(_) => ProblemType::MultiLabelClassification,
            Target::Value => ProblemType::Regression,
        }
    }

    /// The rows of a table with their labels by number.
    ///
    /// # Errors
    /// A label that the training data does not have, a value that is no number: with file and line.
    pub fn examples(&self, table: &Table) -> Result<TextExamples> {
        let numbers: HashMap<&str, usize> =
            self.names.iter().map(String::as_str).zip(0..).collect();
        let refused = |row: usize, expected: String, found: &str| Error::Data {
            place: table.places[row].clone(),
            expected,
            found: format!("{found:?}"),
        };
        let number = |row: usize, label: &String| {
            numbers.get(label.as_str()).copied().ok_or_else(|| {
                let expected = format!("a label of the training data ({})", self.names.join(", "));
                refused(row, expected, label)
            })
        };
        let mut examples = table.texts.clone();
        let Some(rows) = &table.labels else {
            return Ok(examples);
        };
        let (mut known, mut values) = (Vec::new(), Vec::new());
        for (row, labels) in rows.iter().enumerate() {
            match (self.target, labels.as_slice()) {
                (Target::Labels(_), labels) => {
                    let from = values.len();
                    values.resize(from + self.names.len(), 0.0);
                    for label in labels {
                        values[from + number(row, label)?] = 1.0;
                    }
                }
                (Target::Class, [label]) => known.push(number(row, label)? as i64),
                (Target::Value, [label]) => {
                    let value = label.trim().parse::<f32>().ok().filter(|x| x.is_finite());
                    values.push(value.ok_or_else(|| refused(row, "a number".to_owned(), label))?);
                }
                (_, labels) => {
                    return Err(refused(row, "one label".to_owned(), &labels.join(", ")));
                }
            }
        }
        examples.labels = Some(match self.target {
            Target::Class => ClassLabels::Classes(known),
            _ => ClassLabels::Values(values),
        });
        Ok(examples)
    }

    /// Tokenizes the rows of a table.
    ///
    /// # Errors
    /// As [`TableTask::examples`] and [`TextDataset::new`].
    pub fn dataset(
        &self,
        tokenizer: &AlbertTokenizer,
        table: &Table,
        encode: &Encode,
    ) -> Result<TextDataset> {
        let examples = self.examples(table)?;
        TextDataset::new(
            tokenizer,
            &examples,
            self.problem_type(),
            &self.names,
            encode,
        )
    }

    /// Runs a model over samples: logits [n, C], and where there are labels `loss` and, for classes, `accuracy` and
    /// `f1_macro`; for several labels `f1` (over all labels), `f1_macro` and `accuracy` (all labels of a row right), a label
    /// counting as given where its logit is above 0; for values `mse`, `pearson` and `spearmanr`.
    ///
    /// # Errors
    /// As [`TextDataset::logits`].
    pub fn evaluate<B: Backend>(
        &self,
        model: &AlbertForSequenceClassification<B>,
        data: &TextDataset,
        batch_tokens: usize,
    ) -> Result<Evaluation<Vec<Vec<f64>>>> {
        let (logits, loss) = data.logits(model, batch_tokens)?;
        let mut measured = data
            .labels()
            .map_or_else(Metrics::new, |labels| self.metrics(&logits, labels));
        measured.extend(loss.map(|loss| ("loss".to_owned(), loss)));
        Ok(Evaluation {
            metrics: measured,
            predictions: logits,
        })
    }

    /// The metrics of logits [n, C].
    ///
    /// # Panics
    /// When there are not as many labels.
    pub fn metrics(&self, logits: &[Vec<f64>], labels: &ClassLabels) -> Metrics {
        let named = match labels {
            ClassLabels::Classes(expected) => {
                let number = |&class: &i64| usize::try_from(class).unwrap_or(usize::MAX);
                let expected: Vec<usize> = expected.iter().map(number).collect();
                let found = classes(logits);
                vec![
                    ("accuracy", metrics::accuracy(&found, &expected)),
                    ("f1_macro", metrics::macro_f1(&found, &expected)),
                ]
            }
            ClassLabels::Values(expected) if self.target == Target::Value => {
                let expected: Vec<f64> = expected.iter().copied().map(f64::from).collect();
                let found = logits.concat();
                vec![
                    ("mse", metrics::mean_squared_error(&found, &expected)),
                    ("pearson", metrics::pearson(&found, &expected)),
                    ("spearmanr", metrics::spearman(&found, &expected)),
                ]
            }
            ClassLabels::Values(expected) => {
                let count = self.names.len();
                let expected: Vec<bool> = expected.iter().map(|&x| x > 0.5).collect();
                let found: Vec<bool> = logits.iter().flatten().map(|&x| x > 0.0).collect();
                let [micro, of_labels] = metrics::multilabel_f1(&found, &expected, count);
                let rows =
                    |list: &[bool]| list.chunks(count).map(<[bool]>::to_vec).collect::<Vec<_>>();
                vec![
                    ("f1", micro),
                    ("f1_macro", of_labels),
                    (
                        "accuracy",
                        metrics::accuracy(&rows(&found), &rows(&expected)),
                    ),
                ]
            }
        };
        named
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
