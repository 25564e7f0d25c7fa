//! How good a model's answers to labelled examples are, and whether another precision is good enough.
//!
//! In reading order: this file (the examples of each task, the measures), `run` (a model over the examples), `gate` (two
//! runs compared).

use std::path::Path;

use crate::config::{AlbertConfig, ProblemType};
use crate::error::{Error, Result};
use crate::ops::Backend;

mod gate;
mod run;

pub use gate::{Change, Gate};

/// What a model was trained for, as far as its answers can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A class for a text or a pair of texts.
    Classes,
    /// A number for a text or a pair of texts.
    Values,
    /// A label for each word.
    Tags,
    /// The part of a context that answers a question.
    Answers,
    /// One of several choices.
    Choices,
    /// Hidden tokens of any text.
    Texts,
}

/// An input and what it should give.
#[derive(Clone, Debug, PartialEq)]
pub struct Example<I, L> {
    /// What the model reads.
    pub input: I,
    /// What it should say.
    pub label: L,
}

/// A text, and the second text of a pair.
pub type Texts = (String, Option<String>);

/// Examples of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Examples {
    /// Texts and the number of their class.
    Classes(Vec<Example<Texts, usize>>),
    /// Texts and their value.
    Values(Vec<Example<Texts, f64>>),
    /// Words and the numbers of their labels.
    Tags(Vec<Example<Vec<String>, Vec<usize>>>),
    /// Question and context, and the answers that are right; none where there is no answer.
    Answers(Vec<Example<(String, String), Vec<String>>>),
    /// A text and its continuations, and the number of the right one.
    Choices(Vec<Example<(String, Vec<String>), usize>>),
    /// Texts.
    Texts(Vec<String>),
}

impl Examples {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(list) => list.len(),
            Self::Values(list) => list.len(),
            Self::Tags(list) => list.len(),
            Self::Answers(list) => list.len(),
            Self::Choices(list) => list.len(),
            Self::Texts(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a measure counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Hundredths of the best; more is better.
    Points,
    /// Nats; less is better.
    Loss,
}

/// One measure.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// In points or nats; NaN where it is not defined for these examples.
    pub value: f64,
    /// Which of the two.
    pub unit: Unit,
}

impl Metric {
    fn points(name: &'static str, share: f64) -> Self {
        Self {
            name,
            value: share * 100.0,
            unit: Unit::Points,
        }
    }
}

impl Task {
    /// The task of a model, by the classes in `architectures`.
    ///
    /// # Errors
    /// No class, or one whose answers cannot be measured here.
    pub fn of(config: &AlbertConfig) -> Result<Self> {
        let regression = config.problem_type == Some(ProblemType::Regression);
        let single = config.num_labels() == 1;
        let many = config.problem_type == Some(ProblemType::MultiLabelClassification);
        for class in &config.architectures {
            return Ok(match class.as_str() {
                "AlbertForSequenceClassification" if many || regression && !single => continue,
                "AlbertForSequenceClassification" if regression || single => Self::Values,
                "AlbertForSequenceClassification" => Self::Classes,
                "AlbertForTokenClassification" => Self::Tags,
                "AlbertForQuestionAnswering" | "AlbertForJointQuestionAnswering" => Self::Answers,
                "AlbertForMultipleChoice" => Self::Choices,
                "AlbertForMaskedLM" | "AlbertForPreTraining" => Self::Texts,
                _ => continue,
            });
        }
        let found = match config.architectures.as_slice() {
            [] => "no architectures".to_owned(),
            list if many || regression => {
                format!("{}, with several labels at once", list.join(", "))
            }
            list => list.join(", "),
        };
        Err(Error::input(
            "config.json",
            "architectures with a class whose answers can be measured: sequence (one label or value), token or multiple-choice classification, question answering, masked language model",
            found,
        ))
    }
}

/// The number of a class, given by its name or, where no class is called so, by its number.
///
/// # Errors
/// Neither; lists the names.
pub fn class_of(config: &AlbertConfig, label: &str) -> Result<usize> {
    let label = label.trim();
    let named = config.label_id(label).or_else(|| {
        let same = |name: &String| name.eq_ignore_ascii_case(label);
        config.id2label.iter().position(same)
    });
    let numbered = || label.parse().ok().filter(|&n| n < config.num_labels());
    named.or_else(numbered).ok_or_else(|| {
        let names: Vec<&str> = config
            .id2label
            .iter()
            .take(20)
            .map(String::as_str)
            .collect();
        Error::input(
            "label",
            format!(
                "a label of the model ({}{}) or its number",
                names.join(", "),
                if config.num_labels() > names.len() {
                    ", …"
                } else {
                    ""
                }
            ),
            match label.char_indices().nth(60) {
                Some((end, _)) => format!("{:?}", format!("{}…", &label[..end])),
                None => format!("{label:?}"),
            },
        )
    })
}

/// Runs the model of a folder over examples of its task. Texts that are too long are cut; `Tags` and `Answers` read them
/// in windows.
///
/// # Errors
/// A model that cannot be loaded, [`Error::Example`] for an example that cannot be answered, no examples.
pub fn evaluate<B: Backend>(folder: &Path, device: B, examples: &Examples) -> Result<Vec<Metric>> {
    if examples.is_empty() {
        return Err(Error::input("examples", "at least one", "none"));
    }
    run::run(folder, device, examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(class: &str, labels: &[&str]) -> AlbertConfig {
        let mut config = AlbertConfig::base_v2();
        config.architectures = vec![class.to_owned()];
        config.set_labels(labels.iter().copied());
        config
    }

    #[test]
    fn the_task_is_that_of_the_class() {
        let of = |class, labels: &[&str]| Task::of(&config(class, labels)).expect("a task");
        assert_eq!(
            of("AlbertForSequenceClassification", &["a", "b"]),
            Task::Classes
        );
        assert_eq!(of("AlbertForSequenceClassification", &["a"]), Task::Values);
        assert_eq!(of("AlbertForPreTraining", &["a", "b"]), Task::Texts);
        let mut many = config("AlbertForSequenceClassification", &["a", "b"]);
        many.problem_type = Some(ProblemType::MultiLabelClassification);
        for wrong in [many, config("AlbertModel", &["a", "b"])] {
            let message = Task::of(&wrong).expect_err("no task").to_string();
            assert!(message.contains("architectures"), "{message}");
        }
    }

    #[test]
    fn classes_have_names_and_numbers() {
        let named = config("AlbertForSequenceClassification", &["negative", "positive"]);
        let of = |label| class_of(&named, label).ok();
        assert_eq!(
            [of("positive"), of("Positive "), of("0"), of("1")],
            [Some(1), Some(1), Some(0), Some(1)]
        );
        assert_eq!([of("2"), of("-1"), of("good"), of("")], [None; 4]);
        // A name counts more than a number.
        let numbers = config("AlbertForSequenceClassification", &["1", "0"]);
        assert_eq!(class_of(&numbers, "0").ok(), Some(1));
    }
}
