//! The tokenizers family against what the published wheel of tokenizers and transformers 5 made of
//! two small tokenizers (tools/make_tokenizers_fixtures.py).

use albert_tokenizer::raw::Raw;
use serde_json::Value;
use std::{fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer")
}

fn rows(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(format!("{name}.jsonl"))).expect("fixture");
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(rows.len() > 100, "{name} has {} lines", rows.len());
    rows
}

/// `[id, start, end, word]` of each piece, offsets in code points.
fn pieces(raw: &mut Raw, text: &str) -> Vec<[usize; 4]> {
    let pieces = raw.pieces(text);
    let chars = |byte: usize| text[..byte].chars().count();
    let offsets = pieces.offsets.iter().zip(&pieces.words);
    let rest = offsets.map(|((a, b), word)| (chars(*a), chars(*b), word.expect("a word") as usize));
    let ids = pieces.ids.iter().map(|&id| id as usize);
    ids.zip(rest)
        .map(|(id, (a, b, word))| [id, a, b, word])
        .collect()
}

fn check(name: &str, mode: &str, key: &str) {
    let json = fs::read(folder().join(format!("{name}.json"))).expect("fixture");
    let mut raw = Raw::tokenizers(mode, &json).expect("the fixture is usable");
    for row in rows(name) {
        let text = row["text"].as_str().expect("text");
        let expected: Vec<[usize; 4]> = serde_json::from_value(row[key].clone()).expect("pieces");
        assert_eq!(pieces(&mut raw, text), expected, "{mode} {text:?}");
        if key == "fast" {
            let ids: Vec<u32> = expected.iter().map(|p| p[0] as u32).collect();
            let decoded = row["decoded"].as_str().expect("text");
            assert_eq!(raw.decode(&ids, true), decoded, "{mode} {text:?}");
        }
    }
}

#[test]
fn the_published_pipeline() {
    check("unigram", "hf-fast", "fast");
    check("unigram", "hf-fast+general", "fast");
}

#[test]
fn the_class_of_transformers_5() {
    check("unigram", "hf5", "hf5");
    check("unigram", "hf5+general", "hf5");
}

#[test]
fn bert() {
    check("wordpiece", "hf-fast", "fast");
    check("wordpiece", "hf-fast+general", "fast");
}
