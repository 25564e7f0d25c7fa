//! The tokenizers family against the crate `tokenizers`, on small tokenizers and random texts:
//! ids, offsets, words, tokens and decoded text must be equal; so must our fast and our general way. One file, because
//! one list of tokenizers and one comparison serve all of it.

use albert_tokenizer::raw::Raw;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// Scores with few digits: the crate reads them without rounding, whatever its JSON reader does.
fn unigram() -> Value {
    let pieces = [
        ("<pad>", 0.0),
        ("<unk>", 0.0),
        ("[CLS]", 0.0),
        ("[SEP]", 0.0),
        ("[MASK]", 0.0),
        ("▁", -2.5),
        ("▁the", -3.0),
        ("the", -4.5),
        ("th", -4.0),
        ("he", -4.0),
        ("t", -5.0),
        ("h", -5.0),
        ("e", -4.75),
        ("a", -4.5),
        ("b", -5.5),
        ("ab", -9.75),
        ("aba", -10.0),
        ("▁ab", -7.0),
        (",", -4.0),
        (".", -4.0),
        ("\"", -5.0),
        ("1", -6.0),
        ("2", -6.0),
        ("▁2,", -3.0),
        ("é", -6.5),
        ("中", -7.0),
        ("ß", -7.0),
        ("<0x41>", -9.0),
        ("<0xF0>", -9.0),
        ("x\u{301}", -6.0),
        ("i\u{307}", -6.0),
    ];
    let vocab: Vec<Value> = pieces.iter().map(|(t, s)| json!([t, s])).collect();
    json!({"type": "Unigram", "unk_id": 1, "vocab": vocab, "byte_fallback": false})
}

fn word_piece() -> Value {
    let tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "th",
        "##e",
        "##he",
        "a",
        "##a",
        "b",
        "##b",
        "ab",
        "##ab",
        ".",
        ",",
        "中",
        "1",
        "##1",
        "##2",
        "e",
        "##é",
        "é",
        "\"",
        "'",
        "##x\u{301}",
        "do",
        "not",
        "s",
    ];
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(i, t)| ((*t).to_owned(), json!(i)))
        .collect();
    json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 12, "vocab": vocab})
}

fn token(id: u32, content: &str, flags: &str) -> Value {
    let has = |flag: &str| flags.split(' ').any(|f| f == flag);
    json!({"id": id, "content": content, "single_word": has("single"), "lstrip": has("left"),
        "rstrip": has("right"), "normalized": has("normalized"), "special": has("special")})
}

fn specials() -> Vec<Value> {
    vec![
        token(0, "<pad>", "special"),
        token(1, "<unk>", "special"),
        token(2, "[CLS]", "special"),
        token(3, "[SEP]", "special"),
        token(4, "[MASK]", "special left"),
    ]
}

fn file(parts: &[(&str, Value)]) -> Value {
    let mut file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": specials(),
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": unigram()});
    for (key, value) in parts {
        file[key] = value.clone();
    }
    file
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer");
    std::fs::read(folder.join(name)).expect("fixture")
}

fn charsmap() -> Value {
    let json = Raw::tokenizer_json("hf-fast", &fixture("albert.model")).expect("fixture");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let steps = json["normalizer"]["normalizers"].as_array().expect("steps");
    let map = steps
        .iter()
        .find(|s| s["type"] == "Precompiled")
        .expect("a charsmap");
    map.clone()
}

fn sequence(key: &str, steps: Vec<Value>) -> Value {
    json!({"type": "Sequence", key: steps})
}

fn replace(pattern: Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

/// Many tokenizers, each with what another one lacks.
fn tokenizers() -> Vec<(String, Vec<u8>)> {
    let albert = || {
        vec![
            replace(json!({"String": "``"}), "\""),
            replace(json!({"String": "''"}), "\""),
            json!({"type": "NFKD"}),
            json!({"type": "StripAccents"}),
            json!({"type": "Lowercase"}),
            charsmap(),
            replace(json!({"Regex": " {2,}"}), " "),
        ]
    };
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    let decoder = metaspace("always");
    let bert = |lowercase: bool, strip: Value| {
        json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": strip, "lowercase": lowercase})
    };
    let mut fallback = unigram();
    fallback["byte_fallback"] = json!(true);
    let mut all: Vec<(&str, Value)> = vec![
        (
            "albert",
            file(&[
                ("normalizer", sequence("normalizers", albert())),
                (
                    "pre_tokenizer",
                    json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}),
                ),
                ("decoder", decoder.clone()),
            ]),
        ),
        (
            "cased with accents",
            file(&[
                (
                    "normalizer",
                    sequence(
                        "normalizers",
                        vec![charsmap(), replace(json!({"Regex": " {2,}"}), " ")],
                    ),
                ),
                ("pre_tokenizer", metaspace("first")),
                ("decoder", metaspace("never")),
            ]),
        ),
        (
            "transformers 5",
            file(&[
                (
                    "normalizer",
                    sequence("normalizers", albert()[..6].to_vec()),
                ),
                (
                    "pre_tokenizer",
                    sequence(
                        "pretokenizers",
                        vec![json!({"type": "WhitespaceSplit"}), metaspace("always")],
                    ),
                ),
                ("decoder", decoder.clone()),
            ]),
        ),
        (
            "never, unsplit",
            file(&[
                ("normalizer", json!({"type": "NFC"})),
                (
                    "pre_tokenizer",
                    json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "never", "split": false}),
                ),
            ]),
        ),
        (
            "strip and prepend",
            file(&[
                (
                    "normalizer",
                    sequence(
                        "normalizers",
                        vec![
                            json!({"type": "Strip", "strip_left": true, "strip_right": true}),
                            json!({"type": "Prepend", "prepend": "▁a"}),
                            json!({"type": "Nmt"}),
                            json!({"type": "NFKC"}),
                        ],
                    ),
                ),
                ("pre_tokenizer", json!({"type": "Whitespace"})),
                (
                    "decoder",
                    sequence(
                        "decoders",
                        vec![
                            replace(json!({"String": "▁"}), " "),
                            json!({"type": "ByteFallback"}),
                            json!({"type": "Fuse"}),
                            json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}),
                        ],
                    ),
                ),
                ("model", fallback.clone()),
            ]),
        ),
        (
            "added tokens of all kinds",
            file(&[
                ("normalizer", sequence("normalizers", albert())),
                ("pre_tokenizer", metaspace("always")),
                ("decoder", decoder.clone()),
                (
                    "added_tokens",
                    Value::Array(
                        [
                            specials(),
                            vec![
                                token(31, "THE", "normalized"),
                                token(24, "é", "normalized single"),
                                token(15, "ab", "single left"),
                                token(32, "abab", "right"),
                                token(33, "a b", "normalized"),
                                token(34, "  ", ""),
                                token(35, "1.", "right left"),
                                token(36, "[cls]", "special normalized"),
                                token(37, "ΑΣ", "normalized left"),
                            ],
                        ]
                        .concat(),
                    ),
                ),
            ]),
        ),
        (
            "normalized tokens on the fast way",
            file(&[
                ("normalizer", sequence("normalizers", albert())),
                ("pre_tokenizer", metaspace("always")),
                (
                    "added_tokens",
                    Value::Array(
                        [
                            specials(),
                            vec![
                                token(31, "THE", "normalized left"),
                                token(24, "é", "normalized single"),
                                token(19, ".", ""),
                            ],
                        ]
                        .concat(),
                    ),
                ),
            ]),
        ),
        ("nothing", file(&[])),
        (
            "lower case alone",
            file(&[
                ("normalizer", json!({"type": "Lowercase"})),
                ("pre_tokenizer", json!({"type": "WhitespaceSplit"})),
            ]),
        ),
        (
            "nfd",
            file(&[
                (
                    "normalizer",
                    sequence(
                        "normalizers",
                        vec![json!({"type": "NFD"}), replace(json!({"String": "a"}), "")],
                    ),
                ),
                ("pre_tokenizer", metaspace("always")),
            ]),
        ),
    ];
    for behavior in [
        "Removed",
        "Isolated",
        "MergedWithPrevious",
        "MergedWithNext",
        "Contiguous",
    ] {
        all.push((
            behavior,
            file(&[(
                "pre_tokenizer",
                sequence(
                    "pretokenizers",
                    vec![
                        json!({"type": "Punctuation", "behavior": behavior}),
                        metaspace("first"),
                    ],
                ),
            )]),
        ));
    }
    let mut old = unigram();
    old.as_object_mut().expect("object").remove("type");
    all.push(("old", file(&[("model", old)])));
    for (name, lowercase, strip) in [
        ("bert", true, Value::Null),
        ("bert cased", false, json!(true)),
        ("bert accents", true, json!(false)),
    ] {
        let mut specials = specials();
        for (i, content) in ["[PAD]", "[UNK]"].iter().enumerate() {
            specials[i]["content"] = json!(content);
        }
        all.push((
            name,
            file(&[
                ("normalizer", bert(lowercase, strip)),
                ("pre_tokenizer", json!({"type": "BertPreTokenizer"})),
                ("model", word_piece()),
                ("added_tokens", Value::Array(specials)),
                (
                    "decoder",
                    json!({"type": "WordPiece", "prefix": "##", "cleanup": lowercase}),
                ),
            ]),
        ));
    }
    let mut all: Vec<(String, Vec<u8>)> = all
        .into_iter()
        .map(|(name, file)| (name.to_owned(), file.to_string().into_bytes()))
        .collect();
    for mode in ["hf-fast", "hf5", "hf5+cased+keep-accents+no-prefix"] {
        let json = Raw::tokenizer_json(mode, &fixture("albert.model")).expect("fixture");
        all.push((format!("{mode} of albert.model"), json));
    }
    all
}

struct Pair {
    name: String,
    theirs: Tokenizer,
    fast: Raw,
    general: Raw,
}

fn pairs() -> Vec<Pair> {
    tokenizers()
        .into_iter()
        .map(|(name, json)| Pair {
            theirs: Tokenizer::from_bytes(&json).unwrap_or_else(|e| panic!("{name}: {e}")),
            fast: Raw::tokenizers("hf-fast+exact", &json).unwrap_or_else(|e| panic!("{name}: {e}")),
            general: Raw::tokenizers("hf-fast+exact+general", &json).expect("as before"),
            name,
        })
        .collect()
}

impl Pair {
    fn check(&mut self, text: &str) {
        let name = &self.name;
        let theirs = self
            .theirs
            .encode(text, false)
            .expect("the library encodes");
        for raw in [&mut self.fast, &mut self.general] {
            let pieces = raw.pieces(text).clone();
            assert_eq!(pieces.ids, theirs.get_ids(), "{name}: ids of {text:?}");
            assert_eq!(
                pieces.offsets,
                theirs.get_offsets(),
                "{name}: offsets of {text:?}"
            );
            assert_eq!(
                pieces.words,
                theirs.get_word_ids(),
                "{name}: words of {text:?}"
            );
            let mut tokens: Vec<&str> = pieces
                .ids
                .iter()
                .map(|&id| raw.token(id).expect("named"))
                .collect();
            for (index, surface) in &pieces.surfaces {
                tokens[*index] = surface;
            }
            // Of an added token the library shows the text that stands there.
            for (index, theirs) in theirs.get_tokens().iter().enumerate() {
                assert_eq!(tokens[index], theirs, "{name}: token {index} of {text:?}");
            }
            let mut ids = Vec::new();
            raw.ids(text, &mut ids);
            assert_eq!(ids, theirs.get_ids(), "{name}: ids alone of {text:?}");
            for skip in [false, true] {
                let text = self.theirs.decode(&ids, skip).expect("the library decodes");
                assert_eq!(
                    raw.decode(&ids, skip),
                    text,
                    "{name}: decoding {ids:?}, skip {skip}"
                );
            }
        }
    }
}

const PARTS: [&str; 62] = [
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\u{a0}",
    "\u{3000}",
    "\u{200b}",
    "\u{7f}",
    "\0",
    "\u{1c}",
    "▁",
    "▁▁",
    "the",
    "The",
    "THE",
    "ab",
    "abab",
    "aba",
    "a",
    "b",
    "t",
    "h",
    "e",
    "é",
    "e\u{301}",
    "\u{301}",
    "x\u{301}",
    "İ",
    "ß",
    "中",
    "Ａ",
    "ﬁ",
    "…",
    "½",
    "ﷺ",
    "가",
    "\u{1100}\u{1161}",
    "\u{600}",
    "\u{e35}",
    "\u{344}\u{323}",
    "👩\u{200d}👧",
    "ΑΣ",
    "Σ",
    ",",
    ".",
    "2,",
    "1.",
    "12",
    "``",
    "''",
    "'",
    "\"",
    "[CLS]",
    "[MASK]",
    "<pad>",
    "[cls]",
    "don't",
    "do not",
];

#[test]
fn hand_written_texts() {
    let mut pairs = pairs();
    let mut texts: Vec<String> = PARTS.iter().map(|p| (*p).to_owned()).collect();
    for a in PARTS {
        for b in PARTS {
            texts.push(format!("{a}{b}"));
            texts.push(format!("ab {a}{b} the"));
        }
    }
    texts.push(String::new());
    texts.push("the ".repeat(3_000));
    texts.push("ab".repeat(20_000));
    texts.push("é".repeat(20_000));
    for pair in &mut pairs {
        for text in &texts {
            pair.check(text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_mixtures(texts in prop::collection::vec(prop::collection::vec(0..PARTS.len(), 0..24), 12)) {
        thread_local! {
            static PAIRS: std::cell::RefCell<Vec<Pair>> = std::cell::RefCell::new(pairs());
        }
        PAIRS.with_borrow_mut(|pairs| {
            for text in &texts {
                let text: String = text.iter().map(|&i| PARTS[i]).collect();
                pairs.iter_mut().for_each(|pair| pair.check(&text));
            }
        });
    }

    #[test]
    fn random_unicode(texts in prop::collection::vec("\\PC{0,20}|[ a-e\u{300}-\u{310}\u{600}-\u{605}中]{0,20}|.{0,12}", 12)) {
        thread_local! {
            static PAIRS: std::cell::RefCell<Vec<Pair>> = std::cell::RefCell::new(pairs());
        }
        PAIRS.with_borrow_mut(|pairs| {
            for text in &texts {
                pairs.iter_mut().for_each(|pair| pair.check(text));
            }
        });
    }
}

#[test]
fn what_is_written_is_read_back_and_behaves_the_same() {
    for (name, json) in tokenizers() {
        let written = Raw::tokenizer_json("hf-fast", &json).expect("it was read");
        let again = Raw::tokenizer_json("hf-fast", &written).expect("our own file");
        assert_eq!(written, again, "{name}");
        let theirs = Tokenizer::from_bytes(&written).unwrap_or_else(|e| panic!("{name}: {e}"));
        let original = Tokenizer::from_bytes(&json).expect("as before");
        for text in [
            "The abab 1. é",
            "  [MASK]ab  THE",
            "a\u{301}\n…½",
            "2, 12 ``x''",
        ] {
            let (a, b) = (
                original.encode(text, false).expect("encodes"),
                theirs.encode(text, false).expect("encodes"),
            );
            assert_eq!(a.get_ids(), b.get_ids(), "{name} {text:?}");
            assert_eq!(a.get_offsets(), b.get_offsets(), "{name} {text:?}");
            assert_eq!(
                original.decode(a.get_ids(), true).ok(),
                theirs.decode(a.get_ids(), true).ok()
            );
        }
    }
}
