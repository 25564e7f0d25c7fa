//! Sentences as files of the CoNLL tasks have them: a word and its label on each line, a blank line after each sentence.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::tasks::files::{lines, text_of};

/// How labels mark the words of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `I-x`; `B-x` only where an entity follows another one of its kind.
    Iob1,
    /// `B-x` for the first word, `I-x` for the others (IOB2).
    Bio,
    /// `B-x`, `I-x`, `E-x` for the last word, `S-x` for the only one.
    Bioes,
    /// Labels without a prefix, as parts of speech.
    Plain,
}

/// Words with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Its words.
    pub words: Vec<String>,
    /// A label for each.
    pub labels: Vec<String>,
    /// The line of its first word, from 1.
    pub line: usize,
}

/// A file of sentences.
#[derive(Clone, Debug)]
pub struct TaggedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its sentences.
    pub sentences: Vec<Sentence>,
    /// How its labels are to be read. Metrics read every scheme as seqeval's default mode does.
    pub scheme: Scheme,
}

impl TaggedFile {
    /// Reads a file: the word stands in the first column, the label in the last, between them tabs or else blanks. Blank
    /// lines, also of blanks and tabs, end a sentence; lines that begin with `-DOCSTART-` end one and are no words. Without
    /// a `scheme`, the labels tell.
    ///
    /// # Errors
    /// A line with one column, a label that the named scheme does not have: with the line.
    pub fn read(path: &Path, scheme: Option<Scheme>) -> Result<Self> {
        let text = text_of(path)?;
        let mut sentences: Vec<Sentence> = Vec::new();
        let mut open = false;
        for (line, row) in lines(&text) {
            if row.trim().is_empty() || row.starts_with("-DOCSTART-") {
                open = false;
                continue;
            }
            let (word, label) = columns(row).ok_or_else(|| {
                let expected = "a word and its label, between them a tab or a blank";
                Error::data(path, At::Line(line), expected, format!("{row:?}"))
            })?;
            let known = scheme.is_none_or(|scheme| scheme.has(label));
            if let (false, Some(scheme)) = (known, scheme) {
                let expected = format!("a label of the scheme {scheme:?}");
                return Err(Error::data(
                    path,
                    At::Line(line),
                    expected,
                    format!("{label:?}"),
                ));
            }
            if !open {
                sentences.push(Sentence {
                    line,
                    ..Sentence::default()
                });
                open = true;
            }
            if let Some(sentence) = sentences.last_mut() {
                sentence.words.push(word.to_owned());
                sentence.labels.push(label.to_owned());
            }
        }
        Ok(Self {
            path: path.to_owned(),
            scheme: scheme.unwrap_or_else(|| detect(&sentences)),
            sentences,
        })
    }

    /// Keeps the first `most` sentences.
    pub fn truncate(&mut self, most: usize) {
        self.sentences.truncate(most);
    }

    /// The numbers of the labels among `names`.
    pub(super) fn numbers(&self, names: &[String]) -> Result<Vec<Vec<usize>>> {
        let places: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        let number = |(sentence, i): (&Sentence, usize)| {
            let label = sentence.labels[i].as_str();
            places.get(label).copied().ok_or_else(|| {
                let expected = format!("a label of the training data ({})", names.join(", "));
                let at = At::Line(sentence.line + i);
                Error::data(&self.path, at, expected, format!("{label:?}"))
            })
        };
        self.sentences
            .iter()
            .map(|one| (0..one.labels.len()).map(|i| number((one, i))).collect())
            .collect()
    }
}

/// The names of all labels, sorted by their code points, as transformers' `run_ner.py` numbers them.
pub fn label_names<'a>(files: impl IntoIterator<Item = &'a TaggedFile>) -> Vec<String> {
    let sentences = files.into_iter().flat_map(|file| &file.sentences);
    let names: BTreeSet<&String> = sentences.flat_map(|sentence| &sentence.labels).collect();
    names.into_iter().cloned().collect()
}

impl Scheme {
    fn has(self, label: &str) -> bool {
        let prefixes: &[&str] = match self {
            Self::Plain => return true,
            Self::Iob1 | Self::Bio => &["B-", "I-"],
            Self::Bioes => &["B-", "I-", "E-", "S-"],
        };
        label == "O" || prefixes.iter().any(|prefix| label.starts_with(prefix))
    }
}

/// The scheme that the labels of a file follow.
fn detect(sentences: &[Sentence]) -> Scheme {
    let labels = || {
        sentences
            .iter()
            .flat_map(|one| &one.labels)
            .map(String::as_str)
    };
    if !labels().all(|label| Scheme::Bioes.has(label)) || labels().all(|label| label == "O") {
        return Scheme::Plain;
    }
    if labels().any(|label| label.starts_with("E-") || label.starts_with("S-")) {
        return Scheme::Bioes;
    }
    // Where an entity begins: with I, as only IOB1 does, or with B where IOB1 needs none.
    let (mut begun_with_i, mut needless_b) = (false, false);
    for sentence in sentences {
        let mut before = "O";
        for label in &sentence.labels {
            let kind = |label: &str| label.get(2..).unwrap_or_default().to_owned();
            let follows = before != "O" && kind(before) == kind(label);
            begun_with_i |= label.starts_with("I-") && !follows;
            needless_b |= label.starts_with("B-") && !follows;
            before = label;
        }
    }
    if begun_with_i && !needless_b {
        Scheme::Iob1
    } else {
        Scheme::Bio
    }
}

/// The first and the last of a line's columns.
fn columns(line: &str) -> Option<(&str, &str)> {
    let columns: Vec<&str> = if line.contains('\t') {
        line.split('\t').collect()
    } else {
        line.split_whitespace().collect()
    };
    match columns.as_slice() {
        [word, .., label] if !label.trim().is_empty() => Some((word, label.trim())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(labels: &str) -> Scheme {
        let labels = labels.split(' ').map(str::to_owned).collect();
        detect(&[Sentence {
            labels,
            ..Sentence::default()
        }])
    }

    #[test]
    fn labels_tell_their_scheme() {
        assert_eq!(scheme("B-a I-a O B-b"), Scheme::Bio);
        assert_eq!(scheme("I-a I-a B-a O I-b"), Scheme::Iob1);
        assert_eq!(scheme("I-a O B-a"), Scheme::Bio, "a mistake in BIO");
        assert_eq!(scheme("S-a O B-a E-a"), Scheme::Bioes);
        assert_eq!(scheme("NN VB O"), Scheme::Plain);
        assert_eq!(scheme("O O"), Scheme::Plain);
    }
}
