//! Windows of SQuAD and labels of words are those that transformers' tokenizer gives; nothing is cut without being counted.

mod common;

use albert_train::dataset::Dataset;
use albert_train::tasks::Encode;
use albert_train::tasks::squad::{SquadDataset, SquadFile, Windows};
use albert_train::tasks::tagging::{Scheme, TaggedDataset, TaggedFile, label_names};
use serde_json::{Value, json};

fn squad() -> SquadFile {
    SquadFile::read(&common::fixtures().join("tasks/squad.json"), true).expect("SQuAD")
}

fn windows(max_query_length: Option<usize>) -> Windows {
    Windows {
        encode: Encode::to(40),
        doc_stride: 10,
        max_query_length,
    }
}

#[test]
fn windows_and_answers_are_those_of_transformers() {
    let file = squad();
    assert!(file.no_answers && file.labelled && file.skipped.is_empty());
    let data = SquadDataset::new(&common::tokenizer(), &file, &windows(None)).expect("windows");
    let found: Vec<Value> = (0..data.len())
        .map(|i| {
            let window = &data.windows()[i];
            let id = &file.questions[window.question].id;
            json!([id, data.ids(i), window.answer.0, window.answer.1])
        })
        .collect();
    assert_eq!(Value::from(found), common::json("squad_features.json"));
    assert_eq!(data.cut(), 0);
}

#[test]
fn an_answer_is_the_text_between_its_tokens() {
    let file = squad();
    let data = SquadDataset::new(&common::tokenizer(), &file, &windows(Some(64))).expect("windows");
    let mut seen = 0;
    for window in data.windows() {
        let (first, last) = window.answer;
        if (first, last) == (0, 0) {
            continue;
        }
        let question = &file.questions[window.question];
        let (start, end) = (window.offsets[first], window.offsets[last]);
        let (start, end) = (start.expect("a token").0, end.expect("a token").1);
        let text = &file.contexts[question.context][start..end];
        assert!(text.contains(question.answers[0].text.as_str()), "{text:?}");
        seen += 1;
    }
    assert!(seen >= file.questions.len() - 2, "{seen}");
}

#[test]
fn long_questions_are_cut_and_counted() {
    let file = squad();
    let data = SquadDataset::new(&common::tokenizer(), &file, &windows(Some(4))).expect("windows");
    assert_eq!(data.cut(), file.questions.len());
    let long = Windows {
        encode: Encode::to(16),
        ..windows(None)
    };
    let Err(error) = SquadDataset::new(&common::tokenizer(), &file, &long) else {
        panic!("no room");
    };
    assert!(error.to_string().contains("max_query_length"), "{error}");
}

#[test]
fn wrong_squad_files_are_refused_with_their_place() {
    let paragraph = |qas: &str| {
        format!(
            "{{\"data\": [{{\"paragraphs\": [{{\"context\": \"Zoë read.\", \"qas\": [{qas}]}}]}}]}}"
        )
    };
    let question = |id: &str, start: i64, text: &str| {
        format!(
            "{{\"id\": \"{id}\", \"question\": \"Who?\", \"answers\": [{{\"text\": \"{text}\", \"answer_start\": {start}}}]}}"
        )
    };
    let file = |text: &str, training: bool| {
        let folder = common::folder(&[("a.json", text)]);
        SquadFile::read(&folder.path().join("a.json"), training)
    };
    for (text, words) in [
        (
            paragraph(&question("q", 9, "x")),
            "question q: expected answer_start below 9",
        ),
        (paragraph(&question("q", -1, "x")), "line 1"),
        (
            paragraph(&[question("q", 0, "Zoë"), question("q", 0, "Zoë")].join(",")),
            "second time",
        ),
        (
            "{\n\"data\": 5}".to_owned(),
            "a.json, line 2: expected SQuAD's JSON",
        ),
    ] {
        let error = file(&text, false).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let misplaced = paragraph(&[question("q", 1, "Zoë"), question("r", 4, "read")].join(","));
    let training = file(&misplaced, true).expect("one question");
    assert_eq!((training.questions.len(), training.skipped.len()), (1, 1));
    assert_eq!(
        training.questions[0].answers[0].start,
        "Zoë ".len(),
        "bytes"
    );
    assert_eq!(file(&misplaced, false).expect("two").questions.len(), 2);
}

fn tags() -> TaggedFile {
    TaggedFile::read(&common::fixtures().join("tasks/tags.conll"), None).expect("sentences")
}

#[test]
fn labels_stand_on_the_first_piece_as_in_transformers() {
    let file = tags();
    assert_eq!(file.scheme, Scheme::Bio);
    let names = label_names([&file]);
    let data = TaggedDataset::new(&common::tokenizer(), &file, &names, 0, &Encode::to(512))
        .expect("samples");
    let rows: Vec<Value> = (0..data.len())
        .map(|i| json!([data.sample(i).0, data.sample(i).1]))
        .collect();
    assert_eq!(
        json!({"names": names, "rows": rows}),
        common::json("tag_features.json")
    );
    let (inputs, labels) = data.batch(&[0, 2]).expect("samples");
    assert_eq!(labels.len(), inputs.batch * inputs.length);
    assert_eq!(labels[inputs.length + data.tokens(2)], -100, "padding");
}

#[test]
fn long_sentences_become_windows_in_which_every_word_counts_once() {
    let file = tags();
    let names = label_names([&file]);
    for (most, stride) in [(8, 0), (8, 3), (12, 4), (3, 0)] {
        let data = TaggedDataset::new(
            &common::tokenizer(),
            &file,
            &names,
            stride,
            &Encode::to(most),
        )
        .expect("samples");
        assert!(data.split() > 0 && data.len() > file.sentences.len());
        let labelled = |i| {
            data.sample(i)
                .1
                .iter()
                .filter(|label| **label != -100)
                .count()
        };
        let words: usize = (0..data.len()).map(labelled).sum();
        let expected: usize = file.sentences.iter().map(|one| one.words.len()).sum();
        assert_eq!((words, data.unseen()), (expected, 0));
        assert!((0..data.len()).all(|i| data.tokens(i) <= most));
    }
}

#[test]
fn wrong_conll_files_are_refused_with_their_line() {
    let read = |text: &str, scheme| {
        let folder = common::folder(&[("a.conll", text)]);
        TaggedFile::read(&folder.path().join("a.conll"), scheme)
    };
    let error = read("one O\n\ntwo\n", None)
        .expect_err("one column")
        .to_string();
    assert!(
        error.contains("a.conll, line 3: expected a word and its label"),
        "{error}"
    );
    let error = read("one O\ntwo E-a\n", Some(Scheme::Bio))
        .expect_err("BIOES")
        .to_string();
    assert!(
        error.contains("line 2: expected a label of the scheme Bio"),
        "{error}"
    );
    let file = read("one O\n\nzero O\ntwo B-a\n", None).expect("sentences");
    let Err(error) = TaggedDataset::new(
        &common::tokenizer(),
        &file,
        &["O".to_owned()],
        0,
        &Encode::to(9),
    ) else {
        panic!("an unknown label");
    };
    assert!(
        error
            .to_string()
            .contains("line 4: expected a label of the training data (O)"),
        "{error}"
    );
}
