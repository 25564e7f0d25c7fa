//! Sentences as files of the CoNLL tasks have them: a word and its label on each line, a blank line after each sentence.

use std::path::Path;

use albert::AlbertConfig;
use albert::evaluate::{Example, Examples, class_of};
use anyhow::{Context, Result, bail};

use super::{Labelled, text_of};
use crate::stream::short;

pub(super) fn read(path: &Path, config: &AlbertConfig, most: Option<usize>) -> Result<Labelled> {
    let name = path.display();
    let most = most.unwrap_or(usize::MAX);
    let (mut examples, mut places) = (Vec::new(), Vec::new());
    for (number, sentence) in sentences(&text_of(path)?).into_iter().take(most) {
        let (mut words, mut labels) = (Vec::new(), Vec::new());
        for (i, line) in sentence.into_iter().enumerate() {
            let place = || format!("line {} of {name}", number + i);
            let (word, label) = columns(line).with_context(place)?;
            words.push(word.to_owned());
            labels.push(class_of(config, label).with_context(place)?);
        }
        places.push(format!("line {number} of {name}"));
        examples.push(Example {
            input: words,
            label: labels,
        });
    }
    Ok(Labelled {
        examples: Examples::Tags(examples),
        places,
    })
}

/// The lines of each sentence, and the number of its first one.
fn sentences(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut open = false;
    for (line, number) in text.lines().zip(1..) {
        let ends = line.trim().is_empty() || line.starts_with("-DOCSTART-");
        if !ends && !open {
            found.push((number, Vec::new()));
        }
        open = !ends;
        if let (true, Some((_, lines))) = (open, found.last_mut()) {
            lines.push(line);
        }
    }
    found
}

/// The first and the last of a line's columns, between tabs or else blanks.
fn columns(line: &str) -> Result<(&str, &str)> {
    let columns: Vec<&str> = if line.contains('\t') {
        line.split('\t').collect()
    } else {
        line.split_whitespace().collect()
    };
    match columns.as_slice() {
        [word, .., label] => Ok((word, label.trim())),
        _ => bail!(
            "expected a word and its label, between them a tab or a blank, found {:?}",
            short(line)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_with_blank_lines() {
        let text = "-DOCSTART- O\n\nEU B-ORG\nrejects O\n \nGerman\tB-MISC\r\n\n\n";
        let found = sentences(text);
        assert_eq!(
            found,
            [
                (3, vec!["EU B-ORG", "rejects O"]),
                (6, vec!["German\tB-MISC"])
            ]
        );
        assert_eq!(sentences(""), []);
    }

    #[test]
    fn the_word_comes_first_and_the_label_last() {
        assert_eq!(columns("EU NNP I-NP B-ORG").expect("two"), ("EU", "B-ORG"));
        assert_eq!(columns("two words\tO ").expect("two"), ("two words", "O"));
        assert!(columns("EU").is_err());
    }
}
