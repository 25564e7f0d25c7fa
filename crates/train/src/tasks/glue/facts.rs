//! The one table of what distinguishes the tasks of GLUE.

use super::Split;

/// A task of GLUE, or its diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlueTask {
    /// Is the sentence acceptable?
    Cola,
    /// Is the phrase of a review positive?
    Sst2,
    /// Do the sentences say the same?
    Mrpc,
    /// How alike are the sentences, from 0 to 5?
    StsB,
    /// Do the questions ask the same?
    Qqp,
    /// Does the first sentence entail the second?
    Mnli,
    /// Does the sentence answer the question?
    Qnli,
    /// Does the first text entail the second?
    Rte,
    /// Does the sentence with the pronoun resolved follow?
    Wnli,
    /// The diagnostics: answered by a model of MNLI.
    Ax,
}

/// What a task is measured by.
pub(super) enum Measure {
    Accuracy,
    AccuracyAndF1,
    Matthews,
    Correlations,
}

/// Where things stand in a row.
pub(super) struct Columns {
    /// Whether the first line names the columns.
    pub(super) header: bool,
    /// Cells of a row; with a header, as many as it has, but no fewer.
    pub(super) width: usize,
    /// What the file calls the example.
    pub(super) id: Option<usize>,
    pub(super) first: usize,
    pub(super) second: Option<usize>,
    /// `None`: the last one.
    pub(super) label: Option<usize>,
}

/// A row of the table.
pub(super) struct Facts {
    /// As in the paper.
    pub(super) title: &'static str,
    /// As `run_glue.py` calls it.
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    /// The classes as the data set `glue` of the Hugging Face Hub names them: so a model's answers are words.
    pub(super) labels: &'static [&'static str],
    /// The same classes as GLUE's own files name them; none where they have values.
    pub(super) cells: &'static [&'static str],
    pub(super) measure: Measure,
    /// Of training and development data.
    pub(super) train: Columns,
    pub(super) test: Columns,
}

const fn columns(
    header: bool,
    width: usize,
    id: Option<usize>,
    first: usize,
    second: Option<usize>,
    label: Option<usize>,
) -> Columns {
    Columns {
        header,
        width,
        id,
        first,
        second,
        label,
    }
}

const NUMBERS: &[&str] = &["0", "1"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];
const THREE: &[&str] = &["contradiction", "entailment", "neutral"];

const FACTS: [Facts; 10] = [
    Facts {
        title: "CoLA",
        name: "cola",
        folder: "CoLA",
        labels: &["unacceptable", "acceptable"],
        cells: NUMBERS,
        measure: Measure::Matthews,
        train: columns(false, 4, None, 3, None, Some(1)),
        test: columns(true, 2, Some(0), 1, None, None),
    },
    Facts {
        title: "SST-2",
        name: "sst2",
        folder: "SST-2",
        labels: &["negative", "positive"],
        cells: NUMBERS,
        measure: Measure::Accuracy,
        train: columns(true, 2, None, 0, None, Some(1)),
        test: columns(true, 2, Some(0), 1, None, None),
    },
    Facts {
        title: "MRPC",
        name: "mrpc",
        folder: "MRPC",
        labels: &["not_equivalent", "equivalent"],
        cells: NUMBERS,
        measure: Measure::AccuracyAndF1,
        train: columns(true, 5, None, 3, Some(4), Some(0)),
        test: columns(true, 5, Some(0), 3, Some(4), None),
    },
    Facts {
        title: "STS-B",
        name: "stsb",
        folder: "STS-B",
        labels: &["LABEL_0"],
        cells: &[],
        measure: Measure::Correlations,
        train: columns(true, 10, Some(0), 7, Some(8), None),
        test: columns(true, 9, Some(0), 7, Some(8), None),
    },
    Facts {
        title: "QQP",
        name: "qqp",
        folder: "QQP",
        labels: &["not_duplicate", "duplicate"],
        cells: NUMBERS,
        measure: Measure::AccuracyAndF1,
        train: columns(true, 6, Some(0), 3, Some(4), Some(5)),
        test: columns(true, 3, Some(0), 1, Some(2), None),
    },
    Facts {
        title: "MNLI",
        name: "mnli",
        folder: "MNLI",
        labels: THREE,
        cells: THREE,
        measure: Measure::Accuracy,
        train: columns(true, 11, Some(0), 8, Some(9), None),
        test: columns(true, 10, Some(0), 8, Some(9), None),
    },
    Facts {
        title: "QNLI",
        name: "qnli",
        folder: "QNLI",
        labels: ENTAILMENT,
        cells: ENTAILMENT,
        measure: Measure::Accuracy,
        train: columns(true, 4, Some(0), 1, Some(2), None),
        test: columns(true, 3, Some(0), 1, Some(2), None),
    },
    Facts {
        title: "RTE",
        name: "rte",
        folder: "RTE",
        labels: ENTAILMENT,
        cells: ENTAILMENT,
        measure: Measure::Accuracy,
        train: columns(true, 4, Some(0), 1, Some(2), None),
        test: columns(true, 3, Some(0), 1, Some(2), None),
    },
    Facts {
        title: "WNLI",
        name: "wnli",
        folder: "WNLI",
        labels: &["not_entailment", "entailment"],
        cells: NUMBERS,
        measure: Measure::Accuracy,
        train: columns(true, 4, Some(0), 1, Some(2), None),
        test: columns(true, 3, Some(0), 1, Some(2), None),
    },
    Facts {
        title: "AX",
        name: "ax",
        folder: "diagnostic",
        labels: THREE,
        cells: THREE,
        measure: Measure::Matthews,
        train: columns(true, 4, Some(0), 1, Some(2), None),
        test: columns(true, 3, Some(0), 1, Some(2), None),
    },
];

impl GlueTask {
    /// All of them, in the order of the paper.
    pub const ALL: [Self; 10] = [
        Self::Cola,
        Self::Sst2,
        Self::Mrpc,
        Self::StsB,
        Self::Qqp,
        Self::Mnli,
        Self::Qnli,
        Self::Rte,
        Self::Wnli,
        Self::Ax,
    ];

    pub(super) fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// Its name in `run_glue.py`: `cola`, `sst2`, …
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// A task by its name, in any of the spellings `sst2`, `SST-2`, `sst-2`; `None` for others.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
        let all = Self::ALL.into_iter();
        all.into_iter()
            .find(|task| plain(task.name()) == plain(name))
    }
}

impl Facts {
    /// The name of a file, where the task has it.
    pub(super) fn file(&self, split: Split) -> Option<&'static str> {
        let mnli = self.name == "mnli";
        match split {
            Split::Test if self.name == "ax" => Some("diagnostic.tsv"),
            _ if self.name == "ax" => None,
            Split::Train => Some("train.tsv"),
            Split::Dev if mnli => Some("dev_matched.tsv"),
            Split::DevMismatched if mnli => Some("dev_mismatched.tsv"),
            Split::Test if mnli => Some("test_matched.tsv"),
            Split::TestMismatched if mnli => Some("test_mismatched.tsv"),
            Split::Dev => Some("dev.tsv"),
            Split::Test => Some("test.tsv"),
            Split::DevMismatched | Split::TestMismatched => None,
        }
    }

    /// The names of the files with predictions: of `run_glue.py`, and of the official submission.
    pub(super) fn outputs(&self, split: Split) -> [String; 2] {
        let (key, name) = match (self.name, split.is_mismatched()) {
            ("mnli", true) => ("mnli-mm", "MNLI-mm"),
            ("mnli", false) => ("mnli", "MNLI-m"),
            _ => (self.name, self.title),
        };
        [format!("predict_results_{key}.txt"), format!("{name}.tsv")]
    }
}
