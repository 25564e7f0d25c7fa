//! SQuAD's JSON, of versions 1.1 and 2.0.

use std::path::Path;

use albert::evaluate::{Example, Examples};
use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Labelled, text_of};

#[derive(Deserialize)]
struct File {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    id: serde_json::Value,
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

pub(super) fn read(path: &Path, most: Option<usize>) -> Result<Labelled> {
    let file: File = serde_json::from_str(&text_of(path)?).with_context(|| {
        format!(
            "{}: expected SQuAD's JSON (data, paragraphs, qas); JSON lines are read with --format jsonl",
            path.display()
        )
    })?;
    let (mut examples, mut places) = (Vec::new(), Vec::new());
    let paragraphs = file.data.into_iter().flat_map(|article| article.paragraphs);
    let questions = paragraphs.flat_map(|Paragraph { context, qas }| {
        qas.into_iter()
            .map(move |question| (context.clone(), question))
    });
    for (context, question) in questions.take(most.unwrap_or(usize::MAX)) {
        let id = match question.id {
            serde_json::Value::String(id) => id,
            other => other.to_string(),
        };
        places.push(format!("question {id} of {}", path.display()));
        examples.push(Example {
            input: (question.question, context),
            label: question
                .answers
                .into_iter()
                .map(|answer| answer.text)
                .collect(),
        });
    }
    Ok(Labelled {
        examples: Examples::Answers(examples),
        places,
    })
}
