//! The files of RACE, and questions as JSON lines.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{ChoiceExample, ChoiceExamples, Level};
use crate::error::{At, Error, Result};
use crate::tasks::Skipped;
use crate::tasks::files::{json, lines, text_of};

#[derive(Deserialize)]
struct Article {
    article: String,
    questions: Vec<String>,
    options: Vec<Vec<String>>,
    #[serde(default)]
    answers: Vec<String>,
    #[serde(default)]
    id: Option<String>,
}

const RACE: &str = "RACE's JSON: article, questions, options, answers, id";

pub(super) fn race(folder: &Path) -> Result<ChoiceExamples> {
    let mut examples = ChoiceExamples::default();
    for level in [Level::Middle, Level::High] {
        let own = folder.join(level.name());
        if !own.is_dir() {
            continue;
        }
        let all = own.join("all.txt");
        if all.is_file() {
            let text = text_of(&all)?;
            for (number, line) in lines(&text).filter(|(_, line)| !line.trim().is_empty()) {
                add(
                    &mut examples,
                    json(&all, number, line, RACE)?,
                    level,
                    &all,
                    number,
                )?;
            }
            continue;
        }
        for path in texts(&own)? {
            let article = json(&path, 1, &text_of(&path)?, RACE)?;
            add(&mut examples, article, level, &path, 1)?;
        }
    }
    if examples.questions.is_empty() {
        let expected = "folders middle and high with all.txt or a .txt for each article";
        return Err(Error::data(folder, At::File, expected, "no questions"));
    }
    Ok(examples)
}

/// The files of articles, in the order of their names: numbers by size.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("list", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort_by_key(|path| {
        let name = path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        (name.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    Ok(found)
}

fn add(
    examples: &mut ChoiceExamples,
    article: Article,
    level: Level,
    path: &Path,
    line: usize,
) -> Result<()> {
    let at = At::Line(line);
    let count = article.questions.len();
    let labelled = !article.answers.is_empty();
    if article.options.len() != count || labelled && article.answers.len() != count {
        let found = format!(
            "{count} questions, {} lists of options, {} answers",
            article.options.len(),
            article.answers.len()
        );
        return Err(Error::data(
            path,
            at,
            "options and an answer for each question",
            found,
        ));
    }
    let name = article.id.unwrap_or_else(|| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_default()
    });
    for (i, (question, options)) in article.questions.iter().zip(article.options).enumerate() {
        if options.len() < 2 {
            let why = format!("question {} has {} options", i + 1, options.len());
            examples.skipped.push(Skipped::new(path, at.clone(), why));
            continue;
        }
        let answer = match article.answers.get(i) {
            Some(label) => Some(place(label, &options).ok_or_else(|| {
                let expected = format!("an answer from A to {}", letter(options.len() - 1));
                Error::data(
                    path,
                    at.clone(),
                    expected,
                    format!("{label:?} for question {}", i + 1),
                )
            })?),
            None => None,
        };
        examples.questions.push(ChoiceExample {
            id: format!("{name}:{i}"),
            article: examples.articles.len(),
            choices: options
                .iter()
                .map(|option| joined(question, option))
                .collect(),
            answer,
            level: Some(level),
        });
    }
    examples.articles.push(article.article);
    Ok(())
}

/// A question with its option: in place of every `_`, or else behind it.
fn joined(question: &str, option: &str) -> String {
    if question.contains('_') {
        question.replace('_', option)
    } else {
        format!("{question} {option}")
    }
}

fn letter(place: usize) -> char {
    u8::try_from(place).map_or('Z', |place| char::from(b'A'.saturating_add(place)))
}

/// The place of an answer given by its letter.
fn place(label: &str, options: &[String]) -> Option<usize> {
    match label.trim().as_bytes() {
        [byte] if byte.is_ascii_alphabetic() => {
            let place = usize::from(byte.to_ascii_uppercase() - b'A');
            (place < options.len()).then_some(place)
        }
        _ => None,
    }
}

pub(super) fn json_lines(path: &Path) -> Result<ChoiceExamples> {
    let text = text_of(path)?;
    let mut examples = ChoiceExamples::default();
    for (number, line) in lines(&text).filter(|(_, line)| !line.trim().is_empty()) {
        let at = || At::Line(number);
        let object: serde_json::Map<String, Value> =
            json(path, number, line, "a JSON object on each line")?;
        let field = |names: &[&str]| names.iter().find_map(|name| object.get(*name));
        let text = |names: &[&str]| field(names).and_then(Value::as_str);
        let article = text(&["article", "context", "passage", "text", "sentence1"]);
        let article = article.ok_or_else(|| {
            Error::data(
                path,
                at(),
                "article (or context, passage, text, sentence1), a text",
                "none",
            )
        })?;
        let options = options(&object);
        let options = options.filter(|options| options.len() > 1).ok_or_else(|| {
            let expected =
                "choices (or options, endings; or ending0, ending1, …), at least two texts";
            Error::data(path, at(), expected, "none")
        })?;
        let label = field(&["label", "answer"]).filter(|label| !label.is_null());
        let answer = match label {
            None => None,
            Some(label) => Some(labelled(label, &options).ok_or_else(|| {
                let expected = format!(
                    "label (or answer): one of the {} choices by its place from 0, its letter from A or its text",
                    options.len()
                );
                Error::data(path, at(), expected, label)
            })?),
        };
        let question = text(&["question", "sentence2"]);
        let choice = |option: String| match question {
            Some(question) => joined(question, &option),
            None => option,
        };
        let id = match field(&["id"]) {
            Some(Value::String(id)) => id.clone(),
            Some(other) => other.to_string(),
            None => examples.questions.len().to_string(),
        };
        examples.questions.push(ChoiceExample {
            id,
            article: examples.articles.len(),
            choices: options.into_iter().map(choice).collect(),
            answer,
            level: None,
        });
        examples.articles.push(article.to_owned());
    }
    Ok(examples)
}

/// The choices of a line; `None` where one is no text.
fn options(object: &serde_json::Map<String, Value>) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let named = ["choices", "options", "endings"].iter();
    if let Some(Value::Array(list)) = named.into_iter().find_map(|name| object.get(*name)) {
        return list.iter().map(text).collect();
    }
    let endings = (0..).map_while(|i: usize| object.get(&format!("ending{i}")));
    endings.map(text).collect()
}

fn labelled(label: &Value, options: &[String]) -> Option<usize> {
    let text = match label {
        Value::Number(number) => number.to_string(),
        other => other.as_str()?.trim().to_owned(),
    };
    let same = options.iter().position(|option| *option == text);
    let number = || text.parse().ok().filter(|place| *place < options.len());
    same.or_else(number).or_else(|| place(&text, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_take_the_place_of_blanks_or_follow() {
        assert_eq!(joined("He _ and _ .", "ran"), "He ran and ran .");
        assert_eq!(joined("Why?", "Because."), "Why? Because.");
    }

    #[test]
    fn labels_are_texts_places_or_letters() {
        let options = ["x".to_owned(), "1".to_owned(), "A".to_owned()];
        let of = |label: Value| labelled(&label, &options);
        assert_eq!(of("x".into()), Some(0));
        assert_eq!(of("1".into()), Some(1), "its text counts first");
        assert_eq!(of(2.into()), Some(2));
        assert_eq!(of("B".into()), Some(1));
        assert_eq!((of("D".into()), of(3.into())), (None, None));
    }
}
