//! Truncation, padding, pairs, words and batches against what the libraries gave
//! (tools/make_tokenizer_surface.py), and the way of a tokenizer through its files. One file, because what was saved is
//! checked with the same goldens as what was opened.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use albert_tokenizer::{
    AddedToken, AlbertTokenizer, EncodeOptions, Encoding, Error, Input, LoadOptions, Mode, PadTo,
    Padding, Sampling, Sequence, Side, SpieceModel, Strategy, Truncation,
};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn open(path: &str, mode: Mode) -> AlbertTokenizer {
    let path = fixtures().join(path);
    AlbertTokenizer::from_pretrained(path, LoadOptions::mode(mode)).expect("a tokenizer")
}

fn threads(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

// ---------------------------------------------------------------------------------------------
// goldens

fn side(value: &Value) -> Option<Side> {
    match value.as_str() {
        Some("left") => Some(Side::Left),
        Some("right") => Some(Side::Right),
        _ => None,
    }
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().map(|n| n as usize)
}

fn options(value: &Value) -> EncodeOptions {
    let max_length = number(&value["max_length"]);
    EncodeOptions {
        add_special_tokens: value["add_special_tokens"] == true,
        truncation: Truncation {
            strategy: match value["truncation"].as_str() {
                Some("longest_first") => Strategy::LongestFirst,
                Some("only_first") => Strategy::OnlyFirst,
                Some("only_second") => Strategy::OnlySecond,
                Some("do_not_truncate") => Strategy::DoNotTruncate,
                other => panic!("strategy {other:?}"),
            },
            max_length,
            stride: number(&value["stride"]).expect("a stride"),
            side: side(&value["truncation_side"]),
        },
        padding: Padding {
            to: match value["padding"].as_str() {
                Some("longest") => PadTo::Longest,
                Some("max_length") => PadTo::MaxLength(max_length.expect("max_length")),
                _ => PadTo::None,
            },
            side: side(&value["padding_side"]),
            multiple_of: number(&value["pad_to_multiple_of"]),
        },
        return_overflowing_tokens: value["overflow"] == true,
        return_token_type_ids: None,
    }
}

fn sequence(value: &Value) -> Option<Sequence<'_>> {
    match value {
        Value::String(text) => Some(Sequence::Text(text)),
        Value::Array(words) => Some(Sequence::Words(
            words.iter().filter_map(Value::as_str).collect(),
        )),
        Value::Null => None,
        other => panic!("{other}"),
    }
}

/// The keys that the golden has, of our encoding.
fn shown(encoding: &Encoding, input: &Input<'_>, keys: &Value) -> Value {
    let keys = keys.as_object().expect("an encoding").keys();
    let value = |key: &str| match key {
        "ids" => json!(encoding.ids),
        "type_ids" => json!(encoding.type_ids),
        "attention_mask" => json!(encoding.attention_mask),
        "special_tokens_mask" => json!(encoding.special_tokens_mask),
        "offsets" => json!(encoding.char_offsets(input)),
        "word_ids" => json!(encoding.word_ids),
        "sequence_ids" => json!(encoding.sequence_ids()),
        "tokens" => json!(encoding.tokens()),
        "overflowing_tokens" => json!(encoding.overflowing_tokens),
        "num_truncated_tokens" => json!(encoding.num_truncated_tokens),
        other => panic!("unknown key {other}"),
    };
    keys.filter(|key| *key != "overflowing")
        .map(|key| (key.clone(), value(key)))
        .collect()
}

fn goldens(name: &str, tokenizer: &AlbertTokenizer) {
    let path = fixtures().join("tokenizer").join(name);
    let text = std::fs::read_to_string(&path).expect("goldens");
    let (mut encodings, mut refusals, mut windows) = (0, 0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let pairs = case["inputs"].as_array().expect("inputs");
        let inputs: Vec<Input<'_>> = pairs
            .iter()
            .map(|pair| Input {
                first: sequence(&pair[0]).expect("a first sequence"),
                second: sequence(&pair[1]),
            })
            .collect();
        let options = options(&case["options"]);
        let found = if case["batch"] == true {
            let one = tokenizer.encode_batch(&inputs, &options, threads(1));
            let two = tokenizer.encode_batch(&inputs, &options, threads(3));
            assert_eq!(one.as_ref().ok(), two.as_ref().ok(), "{line}");
            one
        } else {
            tokenizer.encode(&inputs[0], &options).map(|e| vec![e])
        };
        let Some(expected) = case["expected"].as_array() else {
            refusals += 1;
            assert!(found.is_err(), "{line}");
            continue;
        };
        let found = found.unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(found.len(), expected.len(), "{line}");
        for ((encoding, expected), input) in found.iter().zip(expected).zip(&inputs) {
            encodings += 1;
            let mut without = expected.clone();
            let inside = without
                .as_object_mut()
                .and_then(|map| map.remove("overflowing"));
            assert_eq!(shown(encoding, input, expected), without, "{line}");
            let inside = inside.as_ref().and_then(Value::as_array);
            assert_eq!(
                encoding.overflowing.len(),
                inside.map_or(0, Vec::len),
                "{line}"
            );
            for (window, expected) in encoding
                .overflowing
                .iter()
                .zip(inside.into_iter().flatten())
            {
                windows += 1;
                assert_eq!(&shown(window, input, expected), expected, "{line}");
            }
        }
    }
    assert!(encodings > 100 && refusals > 5, "{encodings} {refusals}");
    assert_eq!(windows > 50, name.contains("fast"), "{windows}");
}

#[test]
fn the_surface_of_tokenizers() {
    goldens("surface_fast.jsonl", &open("demo", Mode::HfFast));
}

#[test]
fn the_surface_of_transformers_python_tokenizers() {
    goldens(
        "surface_slow.jsonl",
        &open("tokenizer/albert.model", Mode::HfSlow),
    );
}

// ---------------------------------------------------------------------------------------------
// lookups

#[test]
fn tokens_words_and_characters_lead_to_each_other() {
    let tokenizer = open("demo", Mode::HfFast);
    let (first, second) = ("the river", "the capital");
    let encoding = tokenizer
        .encode((first, second), &EncodeOptions::default())
        .expect("encoded");
    let tokens = encoding.tokens();
    assert_eq!(tokens.first(), Some(&"[CLS]"));
    for sequence in 0..2 {
        let text = [first, second][sequence];
        for byte in 0..text.len() {
            let token = encoding.char_to_token(byte, sequence).expect("a token");
            let (found, (start, end)) = encoding.token_to_chars(token).expect("a range");
            assert!(found == sequence && (start..end).contains(&byte));
            let word = encoding.char_to_word(byte, sequence).expect("a word");
            assert_eq!(encoding.token_to_word(token), Some((sequence, word)));
            let range = encoding.word_to_tokens(word, sequence).expect("tokens");
            assert!(range.contains(&token));
            let (start, end) = encoding.word_to_chars(word, sequence).expect("a range");
            assert!((start..end).contains(&byte));
        }
        assert_eq!(encoding.char_to_token(text.len(), sequence), None);
    }
    assert_eq!(encoding.char_to_token(0, 2), None);
    assert_eq!(encoding.token_to_sequence(0), None);
    assert_eq!(encoding.token_to_chars(encoding.len()), None);
    assert_eq!(encoding.n_sequences(), 2);
}

#[test]
fn batches_of_ids_do_not_depend_on_threads() {
    let tokenizer = open("tokenizer/albert.model", Mode::HfSlow);
    let texts: Vec<String> = (0..500)
        .map(|i| format!("the river {i} of 2000, gardens"))
        .collect();
    let one = tokenizer.encode_batch_ids(&texts, true, threads(1));
    assert_eq!(one, tokenizer.encode_batch_ids(&texts, true, threads(4)));
    let options = EncodeOptions::default();
    let full = tokenizer
        .encode_batch(&texts, &options, threads(4))
        .expect("encoded");
    assert!(
        full.iter()
            .zip(&one)
            .all(|(encoding, ids)| encoding.ids == *ids)
    );
    let decoded = tokenizer.decode_batch(&one, true, threads(4));
    assert_eq!(decoded.len(), texts.len());
    assert_eq!(decoded[3], tokenizer.decode(&one[3], true));
}

// ---------------------------------------------------------------------------------------------
// files

/// A folder with this file under that name, and a configuration.
fn folder(file: &str, name: &str, config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(fixtures().join(file), folder.path().join(name)).expect("copied");
    if !config.is_empty() {
        std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("written");
    }
    folder
}

fn refusal(path: &Path, mode: Mode) -> String {
    let loaded = AlbertTokenizer::from_pretrained(path, LoadOptions::mode(mode));
    match loaded {
        Ok(_) => panic!("{} loads", path.display()),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn every_mode_reads_a_model_file() {
    for mode in Mode::ALL {
        let tokenizer = open("tokenizer/albert.model", mode);
        let encoding = tokenizer
            .encode("the river", &EncodeOptions::default())
            .expect("encoded");
        assert_eq!(
            encoding.ids.first(),
            tokenizer.cls_token_id().as_ref(),
            "{mode}"
        );
        assert_eq!(
            encoding.ids.last(),
            tokenizer.sep_token_id().as_ref(),
            "{mode}"
        );
        assert_eq!(encoding.type_ids.is_empty(), mode == Mode::Hf5, "{mode}");
        assert_eq!(
            tokenizer.decode(&encoding.ids, true).trim(),
            "the river",
            "{mode}"
        );
        assert_eq!(tokenizer.num_special_tokens_to_add(true), 3);
    }
}

#[test]
fn a_model_in_memory_is_the_one_of_its_file() {
    let path = fixtures().join("tokenizer/albert.model");
    let bytes = std::fs::read(&path).expect("a model");
    for mode in [Mode::HfFast, Mode::Hf5, Mode::HfSlow, Mode::Google] {
        let model = SpieceModel::parse(&bytes).expect("a model");
        let held = AlbertTokenizer::from_spiece(model, LoadOptions::mode(mode)).expect("built");
        let read = AlbertTokenizer::from_pretrained(&path, LoadOptions::mode(mode)).expect("read");
        let text = "The river [MASK] is 1,000 MILES long.";
        let ids = |tokenizer: &AlbertTokenizer| {
            let encoding = tokenizer.encode(text, &EncodeOptions::default());
            encoding.expect("encoded").ids
        };
        assert_eq!(ids(&held), ids(&read), "{mode}");
        let folder = tempfile::tempdir().expect("a folder");
        held.save_pretrained(folder.path()).expect("saved");
        assert_eq!(
            std::fs::read(folder.path().join("spiece.model")).expect("saved"),
            bytes
        );
    }
}

#[test]
fn the_tokenizer_of_another_model_is_named_as_such() {
    let t5 = folder(
        "tokenizer/albert.model",
        "spiece.model",
        r#"{"tokenizer_class": "T5Tokenizer"}"#,
    );
    says(
        &refusal(t5.path(), Mode::HfFast),
        &["not an ALBERT tokenizer", "T5Tokenizer"],
    );
    let config = r#"{"cls_token": "<s>"}"#;
    let other = folder("tokenizer/albert.model", "spiece.model", config);
    for mode in Mode::ALL {
        says(
            &refusal(other.path(), mode),
            &[
                "not an ALBERT tokenizer",
                "the vocabulary has no <s>: expected",
            ],
        );
    }
    let model = folder("demo/tokenizer.json", "tokenizer.json", "");
    let path = model.path().join("config.json");
    std::fs::write(path, r#"{"model_type": "t5"}"#).expect("written");
    says(&refusal(model.path(), Mode::HfFast), &["model_type \"t5\""]);
}

#[test]
fn missing_files_and_wrong_modes_say_what_was_looked_for() {
    let empty = tempfile::tempdir().expect("a folder");
    says(
        &refusal(empty.path(), Mode::HfFast),
        &["tokenizer.json, spiece.model or vocab.txt", "found none"],
    );
    let json = folder("demo/tokenizer.json", "tokenizer.json", "");
    for mode in [Mode::HfSlow, Mode::Google, Mode::SentencePiece] {
        says(
            &refusal(json.path(), mode),
            &["spiece.model", "tokenizer.json alone"],
        );
        says(
            &refusal(&json.path().join("tokenizer.json"), mode),
            &["hf-fast and hf5 alone"],
        );
    }
    says(
        &refusal(&empty.path().join("none"), Mode::HfFast),
        &["no such file"],
    );
    let broken = folder("demo/tokenizer.json", "tokenizer.json", "{");
    says(
        &refusal(broken.path(), Mode::HfFast),
        &["tokenizer_config.json", "not JSON"],
    );
}

#[test]
fn the_configuration_is_honoured() {
    let config = r#"{"do_lower_case": false, "keep_accents": true, "model_max_length": 4,
        "padding_side": "left", "truncation_side": "left", "model_input_names": ["input_ids"]}"#;
    let folder = folder("tokenizer/albert.model", "spiece.model", config);
    let load = |mode| AlbertTokenizer::from_pretrained(folder.path(), LoadOptions::mode(mode));
    for mode in [Mode::HfFast, Mode::Hf5, Mode::HfSlow] {
        let tokenizer = load(mode).expect("a tokenizer");
        let options = EncodeOptions {
            truncation: Truncation {
                strategy: Strategy::LongestFirst,
                ..Truncation::default()
            },
            padding: Padding {
                to: PadTo::MaxLength(6),
                ..Padding::default()
            },
            ..EncodeOptions::default()
        };
        let encoding = tokenizer.encode("of the river", &options).expect("encoded");
        let all = tokenizer
            .encode("of the river", &EncodeOptions::default())
            .expect("encoded");
        let kept = &all.ids[all.len() - 3..];
        assert_eq!(
            encoding.ids,
            [&[0, 0], &all.ids[..1], kept].concat(),
            "{mode}"
        );
        assert_eq!(encoding.type_ids, [0_u32; 0]);
        // Upper case is unknown to this vocabulary, and stays.
        let upper = tokenizer
            .encode("The", &EncodeOptions::default())
            .expect("encoded");
        let lower = tokenizer
            .encode("the", &EncodeOptions::default())
            .expect("encoded");
        assert_ne!(upper.ids, lower.ids, "{mode}");
    }
    let options = LoadOptions {
        do_lower_case: Some(true),
        ..LoadOptions::default()
    };
    let lowered = AlbertTokenizer::from_pretrained(folder.path(), options).expect("a tokenizer");
    let encode = |text: &str| {
        lowered
            .encode(text, &EncodeOptions::default())
            .expect("encoded")
            .ids
    };
    assert_eq!(encode("The"), encode("the"));
}

#[test]
fn what_was_saved_loads_as_the_same() {
    let texts = [
        "the <x> river",
        "a NEWTOK garden, 2000, newtok [MASK]",
        "café —",
        "",
    ];
    for mode in Mode::ALL {
        let mut tokenizer = open("tokenizer/albert.model", mode);
        let grown = tokenizer.add_tokens(&[AddedToken::new("NEWTOK", false)]);
        match mode {
            Mode::Google | Mode::SentencePiece => {
                says(
                    &grown.expect_err("no added tokens").to_string(),
                    &[mode.name()],
                );
            }
            _ => {
                assert_eq!(grown.expect("added"), 1);
                let size = tokenizer.vocab_size();
                let special = [AddedToken::new("<x>", true), AddedToken::new("the", true)];
                tokenizer.add_special_tokens(&special).expect("added");
                assert!(tokenizer.vocab_size() > size);
                let ids = tokenizer
                    .encode("a<x>", &EncodeOptions::default())
                    .expect("encoded")
                    .ids;
                let new = tokenizer.token_to_id("<x>").expect("a number");
                assert_eq!(ids[ids.len() - 2], new, "{mode}");
                assert!(!tokenizer.decode(&ids, true).contains("<x>"));
                assert!(tokenizer.all_special_ids().contains(&new));
            }
        }
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("new/folder");
        tokenizer.save_pretrained(&folder).expect("saved");
        let options = LoadOptions::mode(mode);
        let again = AlbertTokenizer::from_pretrained(&folder, options).expect("loaded");
        for text in texts {
            let of =
                |t: &AlbertTokenizer| t.encode(text, &EncodeOptions::default()).expect("encoded");
            assert_eq!(of(&again), of(&tokenizer), "{mode} {text:?}");
        }
        assert_eq!(again.get_vocab(), tokenizer.get_vocab(), "{mode}");
        assert_eq!(again.special_tokens(), tokenizer.special_tokens(), "{mode}");
        let model = std::fs::read(folder.join("spiece.model")).expect("spiece.model");
        let original = std::fs::read(fixtures().join("tokenizer/albert.model")).expect("the model");
        assert!(model == original, "the model is copied byte by byte");
        let left = std::fs::read_dir(&folder)
            .expect("a folder")
            .filter(|entry| {
                let name = entry.as_ref().expect("an entry").file_name();
                name.to_string_lossy().starts_with(".albert")
            });
        assert_eq!(left.count(), 0, "no temporary file stays");
    }
}

#[test]
fn a_wordpiece_vocabulary_runs_in_every_mode_but_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n天\n气\nun\n##able\n,\n";
    std::fs::write(folder.path().join("vocab.txt"), vocab).expect("written");
    for mode in [Mode::HfFast, Mode::Hf5, Mode::HfSlow, Mode::Google] {
        let loaded = AlbertTokenizer::from_pretrained(folder.path(), LoadOptions::mode(mode));
        let tokenizer = loaded.expect("a tokenizer");
        let ids = tokenizer
            .encode("天气, Unable x", &EncodeOptions::default())
            .expect("encoded")
            .ids;
        assert_eq!(ids, [2, 5, 6, 9, 7, 8, 1, 3], "{mode}");
        let masked = tokenizer
            .encode("天[MASK]", &EncodeOptions::default())
            .expect("encoded")
            .ids;
        // Google's program knows no special tokens inside a text.
        assert_eq!(masked.contains(&4), mode != Mode::Google, "{mode}");
    }
    says(&refusal(folder.path(), Mode::SentencePiece), &["WordPiece"]);
}

#[test]
fn segmentations_are_drawn_by_seed_and_number() {
    let sampling = Sampling {
        nbest_size: -1,
        alpha: 0.1,
        seed: 5,
    };
    let (text, options) = (
        "understanding readers of the river",
        EncodeOptions::default(),
    );
    for mode in [Mode::HfSlow, Mode::Google, Mode::SentencePiece] {
        let tokenizer = open("tokenizer/albert.model", mode);
        let draw = |number| {
            let drawn = tokenizer.encode_sampled(text, &options, sampling, number);
            drawn.expect("drawn").ids
        };
        assert_eq!(draw(3), draw(3), "{mode}");
        let different: std::collections::BTreeSet<_> = (0..20).map(draw).collect();
        assert!(different.len() > 5, "{mode}");
        let best = tokenizer.encode(text, &options).expect("encoded").ids;
        let list = tokenizer.n_best(text, 4).expect("a list");
        assert_eq!(list[0].0, best[1..best.len() - 1], "{mode}");
        assert!(list.len() == 4 && list.is_sorted_by(|a, b| a.1 >= b.1));
    }
    let fast = open("demo", Mode::HfFast);
    let error = fast
        .encode_sampled(text, &options, sampling, 0)
        .expect_err("no sampling");
    says(&error.to_string(), &["hf-fast", "cannot be drawn"]);
    assert!(fast.n_best(text, 2).is_err());
}

#[test]
fn a_tokenizer_can_be_sent_and_shared() {
    fn check<T: Send + Sync + Clone>(_: &T) {}
    let tokenizer = open("demo", Mode::HfFast);
    check(&tokenizer);
    let error = tokenizer.encode(
        "the river",
        &EncodeOptions {
            truncation: Truncation::to(1),
            ..EncodeOptions::default()
        },
    );
    assert!(matches!(error, Err(Error::Options { .. })));
}
