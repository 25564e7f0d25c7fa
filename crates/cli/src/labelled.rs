//! Labelled examples from files: tables and JSON lines, sentences in the form of CoNLL (`conll`), SQuAD's JSON (`squad`),
//! lines of text.

use std::path::Path;

use albert::AlbertConfig;
use albert::evaluate::{Example, Examples, Task, class_of};
use anyhow::{Context, Result, anyhow, bail};

use crate::stream::{Field, Format, Kind, Record, TableFlags, read_all, short};

mod conll;
mod squad;

/// How a file of examples is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LabelledFormat {
    /// A text on each line, without labels: for masked language models
    Text,
    /// A JSON object on each line
    Jsonl,
    /// Cells between tabs, the first line with their names
    Tsv,
    /// Cells between commas, quoted where needed (RFC 4180)
    Csv,
    /// A word and its label on each line, a blank line between sentences
    Conll,
    /// SQuAD's JSON
    Squad,
}

/// Examples, and where each came from.
pub(crate) struct Labelled {
    pub(crate) examples: Examples,
    pub(crate) places: Vec<String>,
}

/// Extensions of files in the form of CoNLL.
const CONLL: [&str; 5] = ["conll", "bio", "iob", "iob2", "txt"];

const PAIR: Field = Field::PAIR;

const LABEL: Field = Field {
    name: "label",
    also: &["gold_label", "score", "answer"],
    kind: Kind::Label,
    required: true,
};

const WORDS: Field = Field {
    name: "words",
    also: &["tokens"],
    kind: Kind::Texts,
    required: true,
};

const LABELS: Field = Field {
    name: "labels",
    also: &["tags", "ner_tags"],
    kind: Kind::Labels,
    required: true,
};

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

const ANSWERS: Field = Field {
    name: "answers",
    also: &["answer"],
    kind: Kind::Texts,
    required: true,
};

const CHOICES: Field = Field {
    name: "choices",
    also: &["options", "endings"],
    kind: Kind::Texts,
    required: true,
};

/// The examples of a file for the task of a model; at most the first `most`.
pub(crate) fn read(
    path: &Path,
    format: Option<LabelledFormat>,
    table: &TableFlags,
    config: &AlbertConfig,
    most: Option<usize>,
) -> Result<Labelled> {
    let task = Task::of(config)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let format = format.or(match (task, extension) {
        (Task::Tags, Some(extension)) if CONLL.contains(&extension) => Some(LabelledFormat::Conll),
        (Task::Answers, Some("json")) => Some(LabelledFormat::Squad),
        _ => None,
    });
    let stream = match (format, task) {
        (Some(LabelledFormat::Conll), Task::Tags) => return conll::read(path, config, most),
        (Some(LabelledFormat::Squad), Task::Answers) => return squad::read(path, most),
        (Some(LabelledFormat::Conll), _) => {
            bail!("--format conll: labels of words, but the model is none of token classification")
        }
        (Some(LabelledFormat::Squad), _) => {
            bail!("--format squad: questions, but the model is none of question answering")
        }
        (None, _) => None,
        (Some(LabelledFormat::Text), _) => Some(Format::Text),
        (Some(LabelledFormat::Jsonl), _) => Some(Format::Jsonl),
        (Some(LabelledFormat::Tsv), _) => Some(Format::Tsv),
        (Some(LabelledFormat::Csv), _) => Some(Format::Csv),
    };
    let text = Field {
        also: &[
            "sentence",
            "sentence1",
            "premise",
            "input",
            "context",
            "passage",
            "article",
        ],
        ..Field::TEXT
    };
    let question = Field {
        required: false,
        ..QUESTION
    };
    let fields: &[Field] = match task {
        Task::Classes | Task::Values => &[Field::TEXT, PAIR, LABEL],
        Task::Tags => &[WORDS, LABELS],
        Task::Answers => &[QUESTION, CONTEXT, ANSWERS],
        Task::Choices => &[text, CHOICES, question, LABEL],
        Task::Texts => &[Field::TEXT],
    };
    let mut records = read_all(path, fields, stream, table)?;
    records.truncate(most.unwrap_or(usize::MAX));
    if task == Task::Texts {
        records.retain(|record| !record.required(0).trim().is_empty());
    }
    let places = records
        .iter()
        .map(|record| record.place.to_string())
        .collect();
    let examples = match task {
        Task::Classes => Examples::Classes(each(&records, |record| {
            Ok(example(pair(record), class_of(config, record.required(2))?))
        })?),
        Task::Values => Examples::Values(each(&records, |record| {
            Ok(example(pair(record), number(record.required(2))?))
        })?),
        Task::Tags => Examples::Tags(each(&records, |record| tagged(config, record))?),
        Task::Answers => Examples::Answers(each(&records, |record| {
            let input = (record.required(0).to_owned(), record.required(1).to_owned());
            Ok(example(input, owned(record, 2)))
        })?),
        Task::Choices => Examples::Choices(each(&records, chosen)?),
        Task::Texts => Examples::Texts(each(&records, |record| Ok(record.required(0).to_owned()))?),
    };
    Ok(Labelled { examples, places })
}

fn each<T>(records: &[Record], make: impl Fn(&Record) -> Result<T>) -> Result<Vec<T>> {
    let make = |record: &Record| make(record).with_context(|| record.place.to_string());
    records.iter().map(make).collect()
}

fn example<I, L>(input: I, label: L) -> Example<I, L> {
    Example { input, label }
}

fn pair(record: &Record) -> (String, Option<String>) {
    let (text, pair) = record.text_and_pair();
    (text.to_owned(), pair.map(str::to_owned))
}

fn owned(record: &Record, field: usize) -> Vec<String> {
    let texts = record.texts(field).unwrap_or_default();
    texts.into_iter().map(str::to_owned).collect()
}

fn number(text: &str) -> Result<f64> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(anyhow!("label: expected a number, found {:?}", short(text))),
    }
}

fn tagged(config: &AlbertConfig, record: &Record) -> Result<Example<Vec<String>, Vec<usize>>> {
    let (words, labels) = (owned(record, 0), owned(record, 1));
    if words.len() != labels.len() || words.is_empty() {
        bail!(
            "expected a label for each word, and at least one, found {} words and {} labels",
            words.len(),
            labels.len()
        );
    }
    let labels = labels.iter().map(|label| class_of(config, label));
    Ok(example(words, labels.collect::<albert::Result<_>>()?))
}

/// The label of multiple choice: the number from 0, a letter from A, or the choice itself.
fn chosen(record: &Record) -> Result<Example<(String, Vec<String>), usize>> {
    let choices = owned(record, 1);
    let label = record.required(3).trim();
    let letter = match label.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => {
            Some(usize::from(letter.to_ascii_uppercase() - b'A'))
        }
        _ => None,
    };
    let place = choices.iter().position(|choice| choice == label);
    let place = place.or_else(|| label.parse().ok()).or(letter);
    let place = place.filter(|place| *place < choices.len()).ok_or_else(|| {
        anyhow!(
            "label: expected one of the {} choices by its number from 0, its letter from A or its text, found {:?}",
            choices.len(),
            short(label)
        )
    })?;
    let seconds = choices.into_iter().map(|choice| match record.text(2) {
        Some(question) => format!("{question} {choice}"),
        None => choice,
    });
    Ok(example(
        (record.required(0).to_owned(), seconds.collect()),
        place,
    ))
}

/// A whole file as text.
fn text_of(path: &Path) -> Result<String> {
    let known =
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !known.is_file() {
        bail!("{}: expected a regular file", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!(
            "{}: byte {at} is not UTF-8: convert the file (iconv -t utf-8)",
            path.display()
        )
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}
