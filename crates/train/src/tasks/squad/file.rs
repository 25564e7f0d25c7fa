//! SQuAD's JSON, of versions 1.1 and 2.0, checked.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use crate::error::{At, Error, Result};
use crate::tasks::Skipped;
use crate::tasks::files::{json, text_of};

/// An answer in its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gold {
    /// Its text.
    pub text: String,
    /// Its first byte in the context.
    pub start: usize,
}

/// A question about a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the file calls it; unique.
    pub id: String,
    /// Its text.
    pub question: String,
    /// Its context, by its place.
    pub context: usize,
    /// The answers that are right; none where there is no answer.
    pub answers: Vec<Gold>,
}

impl Question {
    /// The bytes of the first answer.
    pub(super) fn span(&self) -> Option<(usize, usize)> {
        let answer = self.answers.first()?;
        Some((answer.start, answer.start + answer.text.len()))
    }
}

/// A file of questions.
#[derive(Clone, Debug, Default)]
pub struct SquadFile {
    /// Paragraphs.
    pub contexts: Vec<String>,
    /// Questions in the order of the file.
    pub questions: Vec<Question>,
    /// Whether a question says that it has no answer (`is_impossible`): version 2.0.
    pub no_answers: bool,
    /// Whether there is an answer, or word that there is none.
    pub labelled: bool,
    /// Questions that are left out.
    pub skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
struct Whole {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: serde_json::Value,
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    answer_start: usize,
}

impl SquadFile {
    /// Reads a file. A question whose first answer does not stand where `answer_start` (in code points) says cannot be
    /// learned from: with `training` it is left out and listed.
    ///
    /// # Errors
    /// Other JSON, with its line; an id that occurs twice; an answer that begins behind the context.
    pub fn read(path: &Path, training: bool) -> Result<Self> {
        let expected = "SQuAD's JSON: data, paragraphs, context, qas with id, question and answers";
        let whole: Whole = json(path, 1, &text_of(path)?, expected)?;
        let (mut file, mut known) = (Self::default(), HashSet::new());
        for paragraph in whole
            .data
            .into_iter()
            .flat_map(|article| article.paragraphs)
        {
            let context = paragraph.context;
            let starts: Vec<usize> = context.char_indices().map(|(byte, _)| byte).collect();
            for entry in paragraph.qas {
                let id = match entry.id {
                    serde_json::Value::String(id) => id,
                    other => other.to_string(),
                };
                let at = || At::Entry(format!("question {id}"));
                if !known.insert(id.clone()) {
                    return Err(Error::data(
                        path,
                        at(),
                        "an id for each question",
                        "it a second time",
                    ));
                }
                file.no_answers |= entry.is_impossible;
                file.labelled |= entry.is_impossible || !entry.answers.is_empty();
                let mut answers = Vec::with_capacity(entry.answers.len());
                for answer in entry.answers {
                    let start = starts.get(answer.answer_start).copied().ok_or_else(|| {
                        let expected = format!("answer_start below {} code points", starts.len());
                        Error::data(path, at(), expected, answer.answer_start)
                    })?;
                    answers.push(Gold {
                        text: answer.text,
                        start,
                    });
                }
                let misplaced = answers
                    .first()
                    .filter(|answer| !context[answer.start..].starts_with(&answer.text));
                if let (true, Some(answer)) = (training, misplaced) {
                    let why = format!(
                        "the answer {:?} is not where answer_start says",
                        answer.text
                    );
                    file.skipped.push(Skipped::new(path, at(), why));
                    continue;
                }
                file.questions.push(Question {
                    id,
                    question: entry.question,
                    context: file.contexts.len(),
                    answers,
                });
            }
            file.contexts.push(context);
        }
        Ok(file)
    }

    /// Keeps the first `most` questions.
    pub fn truncate(&mut self, most: usize) {
        self.questions.truncate(most);
    }
}
