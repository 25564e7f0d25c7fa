//! The SentencePiece family against its references, on tiny models of our own
//! (tools/make_tokenizer_fixtures.py).

use albert_tokenizer::{SpieceModel, raw::Raw};
use serde_json::Value;
use std::{fs, path::PathBuf};

const MODELS: [&str; 6] = ["albert", "crossing", "suffix", "bytes", "spaces", "bare"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer")
}

fn model(name: &str) -> SpieceModel {
    let bytes = fs::read(folder().join(format!("{name}.model"))).expect("fixture");
    let model = SpieceModel::parse(&bytes).expect("fixtures are models");
    assert!(model.bytes() == bytes, "saving copies the file");
    model
}

fn raw(mode: &str, name: &str) -> Raw {
    Raw::new(mode, model(name)).expect("fixtures are usable")
}

fn rows(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(format!("{name}.jsonl"))).expect("fixture");
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(rows.len() > 60, "{name} has {} lines", rows.len());
    rows
}

fn numbers(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("numbers")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn ids_and_offsets_are_sentencepieces() {
    for name in MODELS {
        let mut raw = raw("sentencepiece", name);
        for row in rows(name) {
            let line = text(&row["text"]);
            let expected: Vec<(usize, usize)> =
                serde_json::from_value(row["spans"].clone()).expect("spans");
            let pieces = raw.pieces(line);
            assert_eq!(pieces.ids, numbers(&row["ids"]), "{name} {line:?}");
            assert_eq!(pieces.offsets, expected, "{name} {line:?}");
            let mut ids = Vec::new();
            raw.ids(line, &mut ids);
            assert_eq!(ids, numbers(&row["ids"]), "{name} {line:?}");
        }
    }
}

#[test]
fn decoded_text_is_sentencepieces() {
    for name in MODELS {
        let raw = raw("sentencepiece", name);
        for row in rows(name) {
            let decoded = raw.decode(&numbers(&row["ids"]), false);
            assert_eq!(decoded, text(&row["decoded"]), "{name} {}", row["text"]);
        }
    }
}

#[test]
fn n_best_lists_are_sentencepieces() {
    let mut raw = raw("sentencepiece", "albert");
    let mut lists = 0;
    for row in rows("albert") {
        let Some(expected) = row["nbest"].as_array() else {
            continue;
        };
        let found = raw.n_best(text(&row["text"]), 6);
        let found: Vec<(u32, Vec<u32>)> = found
            .into_iter()
            .map(|(pieces, score)| (score.to_bits(), pieces.ids))
            .collect();
        let expected: Vec<(u32, Vec<u32>)> = expected
            .iter()
            .map(|pair| serde_json::from_value(pair.clone()).expect("score and ids"))
            .collect();
        assert_eq!(found, expected, "{}", row["text"]);
        lists += 1;
    }
    assert!(lists > 50, "{lists} lists");
}

#[test]
fn slow_and_google_modes_are_their_references() {
    for (mode, field) in [
        ("hf-slow", "slow"),
        ("hf-slow-keep-accents", "keep_accents"),
        ("google", "google"),
    ] {
        let mut raw = raw(mode, "albert");
        for row in rows("albert") {
            let line = text(&row["text"]);
            let mut ids = Vec::new();
            raw.ids(line, &mut ids);
            assert_eq!(ids, numbers(&row[field]), "{mode} {line:?}");
            let pieces = raw.pieces(line);
            assert_eq!(pieces.ids, ids, "{mode} {line:?}");
            let mut last = 0;
            for &(start, end) in &pieces.offsets {
                assert!(last <= start && start <= end, "{mode} {line:?} {pieces:?}");
                assert!(line.get(start..end).is_some(), "{mode} {line:?} {pieces:?}");
                last = start;
            }
        }
    }
}

#[test]
fn slow_decoding_is_transformers() {
    let raw = raw("hf-slow", "albert");
    for row in rows("albert") {
        let ids = [vec![2], numbers(&row["slow"]), vec![3]].concat();
        let both = &row["slow_decoded"];
        assert_eq!(raw.decode(&ids, false), text(&both[0]), "{}", row["text"]);
        assert_eq!(raw.decode(&ids, true), text(&both[1]), "{}", row["text"]);
    }
}
