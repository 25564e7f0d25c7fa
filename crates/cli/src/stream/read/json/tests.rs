//! Objects, strings, and what is said of everything else.

use super::super::testing::{all, input};
use super::*;
use crate::stream::record::Field;

const CHOICES: Field = Field {
    name: "choices",
    also: &["options"],
    kind: Kind::Texts,
    required: true,
};

fn lines(fields: &[Field], columns: &[(&str, &str)], bytes: &str) -> Vec<String> {
    let objects = Objects::new(input(bytes.as_bytes(), fields, columns));
    all(Box::new(objects)).expect("lines")
}

#[test]
fn objects_and_strings_are_inputs() {
    let found = lines(
        &[Field::TEXT, Field::PAIR],
        &[],
        "{\"x\": [1, {}], \"text\": \"a\\nb\", \"pair\": \"\\u00e9\"}\r\n\"bare\"\n\n{\"sentence2\": null, \"sentence\": \"s\"}\n{\"sentence\": \"s\", \"text\": \"t\"}\n{\"text\": \"t\", \"sentence\": \"s\"}",
    );
    assert_eq!(
        found,
        [
            "1: a\nb|é",
            "2: bare|-",
            "3: |-",
            "4: s|-",
            "5: t|-",
            "6: t|-"
        ]
    );
    assert_eq!(
        lines(
            &[Field::TEXT],
            &[("text", "q")],
            "{\"text\": \"t\", \"q\": \"u\"}"
        ),
        ["1: u"]
    );
    assert_eq!(
        lines(&[CHOICES], &[], "{\"options\": [\"a\", \"b\"]}"),
        ["1: [\"a\", \"b\"]"]
    );
}

#[test]
fn wrong_lines_are_told_with_their_column() {
    for (line, words) in [
        (
            "{\"text\": 5}",
            "column 10: invalid type: integer `5`, expected a string in \"text\"",
        ),
        ("{\"text\": [\"a\"]}", "expected a string in \"text\""),
        ("{\"text\": \"a\"", "column 12: EOF"),
        ("{\"text\": \"a\"} x", "column 15: trailing characters"),
        ("[1]", "expected an object or a string"),
        (
            "{\"text\": \"a\", \"text\": \"b\"}",
            "the key \"text\" stands twice",
        ),
        (
            "{\"text\": \"\\ud800\"}",
            "column 17: unexpected end of hex escape",
        ),
        (
            "{\"txt\": \"a\"}",
            "no value for `text`: expected the key \"text\", \"sentence\"",
        ),
        ("{\"txt\": \"a\"}", "found \"txt\"; did you mean \"txt\"?"),
        ("{\"text\": null}", "no value for `text`"),
        ("{}", "expected an object with \"text\""),
    ] {
        let found = lines(&[Field::TEXT], &[], &format!("\"a\"\n{line}\n\"b\"\n"));
        assert!(
            found.len() == 3 && found[1].starts_with("2: error: ") && found[1].contains(words),
            "{line}: {found:?}"
        );
    }
    let list = lines(
        &[CHOICES],
        &[],
        "{\"choices\": \"a\"}\n{\"choices\": [\"a\", 1]}\n\"a\"",
    );
    assert!(list.iter().all(|line| line.contains("error")), "{list:?}");
}
