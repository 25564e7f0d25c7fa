//! Hostile and unsupported `tokenizer.json`: an error that names the place, never a panic, and no
//! memory beyond a small multiple of the file.

use albert_tokenizer::raw::Raw;
use proptest::prelude::*;
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 512, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "<pad>"},
        "added_tokens": [{"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "``"}, "content": "\""},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<pad>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<pad>": {"id": "<pad>", "ids": [0], "tokens": ["<pad>"]}}},
        "decoder": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
        "model": {"type": "Unigram", "unk_id": 1, "vocab": [["<pad>", 0.0], ["<unk>", 0.0], ["▁", -1.0], ["a", -2.0]]}
    })
}

fn load(json: &str) -> Result<Raw, String> {
    Raw::tokenizers("hf-fast", json.as_bytes()).map_err(|e| e.to_string())
}

/// The file with one value replaced, at a JSON pointer, is refused with these words.
fn refused(pointer: &str, value: Value, words: &[&str]) {
    let mut file = valid();
    *file
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{pointer} exists")) = value;
    match load(&file.to_string()) {
        Ok(_) => panic!("{pointer} was accepted"),
        Err(error) => {
            for word in words {
                assert!(
                    error.contains(word),
                    "{pointer}: {error:?} does not say {word:?}"
                );
            }
        }
    }
}

#[test]
fn the_valid_file_loads_and_encodes() {
    let mut raw = load(&valid().to_string()).expect("valid");
    assert_eq!(raw.pieces("a  A<pad>").ids, [2, 3, 2, 3, 0]);
}

#[test]
fn every_unsupported_part_is_named() {
    refused("/version", json!("2.0"), &["version", "2.0"]);
    refused(
        "/normalizer/normalizers/2",
        json!({"type": "ByteLevel"}),
        &["normalizer.normalizers[2]", "ByteLevel"],
    );
    refused(
        "/normalizer/normalizers/1/pattern/Regex",
        json!("a+"),
        &["pattern.Regex", "a+"],
    );
    refused(
        "/normalizer/normalizers/0/pattern/String",
        json!(""),
        &["empty"],
    );
    refused(
        "/normalizer/normalizers/2",
        json!({"type": "Prepend", "prepend": ""}),
        &["empty"],
    );
    for charsmap in [json!(null), json!("")] {
        let step = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        refused(
            "/normalizer/normalizers/2",
            step,
            &["normalizers[2].precompiled_charsmap", "remove"],
        );
    }
    let step = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
    refused("/normalizer/normalizers/2", step, &["charsmap"]);
    let step = json!({"type": "Precompiled", "precompiled_charsmap": "A!=="});
    refused("/normalizer/normalizers/2", step, &["base64"]);
    refused(
        "/pre_tokenizer",
        json!({"type": "ByteLevel"}),
        &["pre_tokenizer", "ByteLevel"],
    );
    refused(
        "/pre_tokenizer/add_prefix_space",
        json!("yes"),
        &["pre_tokenizer.add_prefix_space", "yes"],
    );
    refused(
        "/pre_tokenizer/replacement",
        json!("ab"),
        &["one character"],
    );
    refused(
        "/decoder",
        json!({"type": "BPEDecoder"}),
        &["decoder", "BPEDecoder"],
    );
    refused(
        "/post_processor",
        json!({"type": "RobertaProcessing"}),
        &["post_processor", "RobertaProcessing"],
    );
    refused(
        "/post_processor/single/0/SpecialToken/id",
        json!("[X]"),
        &["[X]", "special_tokens"],
    );
    refused("/post_processor/single/1/Sequence/id", json!("B"), &["B"]);
    refused(
        "/post_processor/special_tokens/<pad>/ids",
        json!([0, 1]),
        &["2 ids"],
    );
    refused(
        "/post_processor/special_tokens/<pad>/ids",
        json!([9]),
        &["post_processor", "9"],
    );
    refused(
        "/truncation/strategy",
        json!("Random"),
        &["truncation.strategy", "Random"],
    );
    refused(
        "/padding/strategy",
        json!("Widest"),
        &["padding.strategy", "Widest"],
    );
    refused("/padding/pad_id", json!(-1), &["padding.pad_id", "-1"]);
    refused("/model/type", json!("BPE"), &["model", "BPE"]);
    refused("/model/unk_id", json!(4), &["unk_id", "4"]);
    refused("/model/unk_id", json!(null), &["unk_id"]);
    refused("/model/vocab", json!([]), &["empty"]);
    refused("/model/vocab", json!({"a": 1}), &["vocab"]);
    // serde names line and column instead.
    refused("/model/vocab/3", json!(["a"]), &["line 1 column"]);
    refused(
        "/added_tokens/0/id",
        json!(3),
        &["added_tokens[0]", "id 3", "0"],
    );
    refused(
        "/added_tokens/0/content",
        json!(""),
        &["added_tokens[0].content"],
    );
    refused(
        "/added_tokens/0/special",
        json!(null),
        &["added_tokens[0].special", "null"],
    );
}

#[test]
fn unknown_keys_are_refused_not_ignored() {
    for pointer in [
        "",
        "/normalizer/normalizers/2",
        "/pre_tokenizer",
        "/decoder",
        "/post_processor",
        "/model",
        "/added_tokens/0",
        "/truncation",
        "/padding",
    ] {
        let mut file = valid();
        file.pointer_mut(pointer).expect("exists")["surprise"] = json!(1);
        let error = load(&file.to_string())
            .err()
            .unwrap_or_else(|| panic!("{pointer} was accepted"));
        assert!(error.contains("surprise"), "{error}");
    }
}

#[test]
fn broken_json() {
    let text = valid().to_string();
    for broken in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\u{feff}{}",
        &text[..text.len() / 2],
    ] {
        assert!(load(broken).is_err(), "{broken:?}");
    }
    let deep = format!(
        "{{\"normalizer\": {}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(load(&deep).err().is_some_and(|e| e.contains("recursion")));
    let mut nested = json!({"type": "Lowercase"});
    for _ in 0..200 {
        nested = json!({"type": "Sequence", "normalizers": [nested]});
    }
    let mut file = valid();
    file["normalizer"] = nested;
    assert!(load(&file.to_string()).is_err());
    let twice = text.replacen(
        "\"version\":\"1.0\"",
        "\"version\":\"1.0\",\"version\":\"1.0\"",
        1,
    );
    assert!(load(&twice).err().is_some_and(|e| e.contains("duplicate")));
    let twice = text.replacen("\"unk_id\":1", "\"unk_id\":1,\"unk_id\":1", 1);
    assert!(load(&twice).err().is_some_and(|e| e.contains("unk_id")));
    for score in ["1e999", "NaN", "\"-1\"", "null"] {
        let bad = text.replacen("-2.0", score, 1);
        assert!(load(&bad).is_err(), "{score}");
    }
}

#[test]
fn word_piece_vocabularies() {
    let with = |vocab: &str| {
        let mut file = valid();
        file["added_tokens"] = json!([]);
        file["post_processor"] = json!(null);
        file["model"] = json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 18446744073709551615u64, "vocab": "VOCAB"});
        load(&file.to_string().replace("\"VOCAB\"", vocab))
    };
    assert!(with(r#"{"[UNK]": 0, "a": 1}"#).is_ok());
    for (vocab, word) in [
        (r#"{"a": 1}"#, "[UNK]"),
        (r#"{"[UNK]": 0, "a": 0}"#, "both"),
        (r#"{"[UNK]": 0, "a": 1, "a": 2}"#, "twice"),
        (r#"{"[UNK]": 0, "a": 4294967295}"#, "4294967295"),
        (r#"{"[UNK]": 0, "a": -1}"#, "line 1"),
        (r#"["a"]"#, "line 1"),
        ("{}", "[UNK]"),
    ] {
        let error = with(vocab)
            .err()
            .unwrap_or_else(|| panic!("{vocab} was accepted"));
        assert!(error.contains(word), "{vocab}: {error}");
    }
}

#[test]
fn added_tokens_that_clash_are_refused() {
    let token = |id: u32, content: &str, normalized: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": normalized, "special": false})
    };
    let with = |tokens: Vec<Value>| {
        let mut file = valid();
        file["added_tokens"] = json!(tokens);
        load(&file.to_string()).err()
    };
    assert_eq!(with(vec![token(4, "x", true), token(5, "y", true)]), None);
    assert_eq!(
        with(vec![token(4, "x", true), token(4, "x", true)]),
        None,
        "the same twice"
    );
    for (tokens, word) in [
        (vec![token(4, "x", true), token(4, "x", false)], "twice"),
        (
            vec![token(4, "x", true), token(5, "X", true)],
            "after normalisation",
        ),
        (vec![token(4, "x", true), token(6, "y", true)], "id 6"),
        (vec![token(4294967295, "x", true)], "4294967295"),
    ] {
        let error = with(tokens.clone()).unwrap_or_else(|| panic!("{tokens:?} was accepted"));
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn many_added_tokens_with_one_beginning_stay_quick() {
    let mut file = valid();
    let tokens: Vec<Value> = (0..20_000u32)
        .map(|i| json!({"id": 4 + i, "content": format!("aaaa{i}"), "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": true, "special": false}))
        .collect();
    file["added_tokens"] = json!(tokens);
    let mut raw = load(&file.to_string()).expect("valid");
    // Without a trie this would be 20,000 comparisons at each of 200,000 places.
    assert!(raw.pieces(&"a".repeat(200_000)).ids.len() >= 200_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = valid().to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Raw::tokenizers("hf-fast", &bytes);
        let cut = cut.index(bytes.len());
        if let Ok(mut raw) = Raw::tokenizers("hf5", &bytes[..cut]) {
            raw.pieces("a  b");
        }
        if let Ok(mut raw) = Raw::tokenizers("hf-fast", &bytes) {
            raw.pieces("Aa  \u{301}b<pad>``x");
            let _ = raw.decode(&[0, 1, 2, 3, 4, u32::MAX], false);
        }
    }
}
