//! `albert vocab`: folders are written whole or not at all, other verbs use them, mistakes are named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use albert_formats::Checkpoint;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .canonicalize()
        .expect("fixtures/")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn demo() -> String {
    text(&fixtures().join("demo"))
}

fn hound() -> String {
    text(&fixtures().join("vocab/hound.txt.gz"))
}

/// A folder that must hold nothing but what a test expects.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        text(&self.0.path().join(name))
    }

    fn file(&self, name: &str, contents: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("written");
        path
    }

    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albert"));
    command
        .args(arguments)
        .env_remove("ALBERT_ISA")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().expect("an exit code"),
        text(output.stdout),
        text(output.stderr),
    )
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (code, out, err) = run(arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}\n{out}");
    out
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let (found, out, err) = run(arguments);
    assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    for word in words {
        assert!(
            err.starts_with("error: ") && err.contains(word),
            "{arguments:?}: {word:?} is not in\n{err}"
        );
    }
}

#[test]
fn a_vocabulary_is_learned_and_used() {
    let home = Home::new();
    let (one, two) = (home.path("one"), home.path("two"));
    let out = done(&[
        "vocab",
        "train",
        &hound(),
        "--output",
        &one,
        "--vocab-size",
        "500",
        "--threads",
        "1",
    ]);
    assert_eq!(out, format!("{one}: 500 pieces from 1289 lines\n"));
    let json = done(&[
        "vocab",
        "train",
        &hound(),
        "--output",
        &two,
        "--vocab-size",
        "500",
        "--threads",
        "3",
        "--json",
    ]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({"output": two, "vocab_size": 500, "sentences": 1289, "drawn": 1289})
    );
    for name in [
        "special_tokens_map.json",
        "spiece.model",
        "spiece.vocab",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        let read = |folder: &str| std::fs::read(Path::new(folder).join(name)).expect(name);
        assert_eq!(read(&one), read(&two), "{name}");
    }
    for mode in ["hf-fast", "hf5", "hf-slow", "google", "sentencepiece"] {
        let ids = done(&[
            "tokenize",
            "the hound, said holmes.",
            "--model",
            &one,
            "--mode",
            mode,
        ]);
        let ids: Vec<u32> = ids
            .split_whitespace()
            .map(|id| id.parse().expect("a number"))
            .collect();
        assert!(
            ids.len() > 6
                && ids[0] == 2
                && *ids.last().expect("one") == 3
                && ids.iter().all(|id| *id < 500 && *id != 1),
            "{mode}: {ids:?}"
        );
        let inner = &ids[1..ids.len() - 1];
        let ids = inner
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(
            done(&["decode", &ids, "--model", &one, "--mode", mode])
                .trim_end()
                .replace(" .", ".")
                .replace(" ,", ","),
            "the hound, said holmes.".to_owned(),
            "{mode}"
        );
    }
    assert_eq!(home.names(), ["one", "two"]);
}

#[test]
fn settings_of_the_tokenizer_are_those_of_the_vocabulary() {
    let home = Home::new();
    let out = home.path("cased");
    let (code, _, err) = run(&[
        "vocab",
        "train",
        &hound(),
        "--output",
        &out,
        "--vocab-size",
        "500",
        "--no-lower-case",
        "--keep-accents",
        "--user-defined-symbol=--",
        "--control-symbol",
        "[USER]",
        "--input-sentence-size",
        "800",
        "--seed",
        "3",
        "-v",
    ]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("800 of 1289 lines")
            && err.contains("nats for a word")
            && err.contains("pruned to"),
        "{err}"
    );
    let config: Value = serde_json::from_slice(
        &std::fs::read(Path::new(&out).join("tokenizer_config.json")).expect("read"),
    )
    .expect("JSON");
    assert_eq!(
        (&config["do_lower_case"], &config["keep_accents"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    let vocab = std::fs::read_to_string(Path::new(&out).join("spiece.vocab")).expect("read");
    let head: Vec<&str> = vocab.lines().take(7).collect();
    assert_eq!(
        head,
        [
            "<pad>\t0",
            "<unk>\t0",
            "[CLS]\t0",
            "[SEP]\t0",
            "[MASK]\t0",
            "[USER]\t0",
            "--\t0"
        ]
    );
    assert!(vocab.contains("▁Holmes\t"), "upper case stays");
}

#[test]
fn mistakes_of_train_are_named_and_leave_nothing() {
    let home = Home::new();
    let output = home.path("out");
    let empty = home.file("empty.txt", b"\n\n");
    let bad = home.file("bad.txt", b"fine\nnot \xFF fine\n");
    let with = |arguments: &[&str], code: i32, words: &[&str]| {
        refused(
            &[&["vocab", "train", "--output", &output], arguments].concat(),
            code,
            words,
        );
        assert_eq!(home.names(), ["bad.txt", "empty.txt"], "{arguments:?}");
    };
    let hound = hound();
    with(&[&empty], 1, &["text: expected words", "0 lines"]);
    with(
        &[&bad, "--vocab-size", "30"],
        1,
        &["bad.txt, line 2", "UTF-8", "0xFF at byte 9"],
    );
    with(&[&home.path("none.txt")], 1, &["cannot open", "none.txt"]);
    with(
        &[&hound],
        1,
        &["vocab_size: expected at most ", "found 30000"],
    );
    with(
        &[&hound, "--vocab-size", "20"],
        1,
        &["vocab_size: expected at least ", "found 20"],
    );
    with(
        &[&hound, "--unk-id", "0"],
        1,
        &["pad_id", "the id of <unk>"],
    );
    with(
        &[&hound, "--control-symbol", "[SEP]"],
        1,
        &["control_symbols", "[SEP]"],
    );
    with(
        &[
            &hound,
            "--user-defined-symbol",
            "(",
            "--user-defined-symbol",
            "(",
        ],
        1,
        &["user_defined_symbols", "\"(\" twice"],
    );
    with(&[], 2, &["<FILE>"]);
    with(&[&hound, "--vocab-size", "many"], 2, &["many"]);
    with(
        &[
            &hound,
            "--user-defined-symbol",
            "(",
            "--no-user-defined-symbols",
        ],
        2,
        &["cannot be used"],
    );
    refused(
        &["vocab", "train", &hound, "--output", &home.path("a/b")],
        1,
        &["mkdir -p"],
    );
    let full = home.path("full");
    std::fs::create_dir(&full).expect("a folder");
    std::fs::write(Path::new(&full).join("mine"), "mine").expect("written");
    refused(
        &[
            "vocab",
            "train",
            &hound,
            "--vocab-size",
            "300",
            "--output",
            &full,
        ],
        1,
        &["full", "new or empty", "another name"],
    );
    assert_eq!(names(Path::new(&full)), ["mine"]);
}

/// Rows of a tensor.
fn rows(folder: &str, name: &str) -> Vec<Vec<f32>> {
    let checkpoint = Checkpoint::open(Path::new(folder)).expect("a checkpoint");
    let info = checkpoint.get(name).unwrap_or_else(|| panic!("{name}"));
    let mut values = vec![0.0; info.elements()];
    checkpoint.read_f32(info, 0, &mut values).expect("read");
    let width = info.shape[1..].iter().product::<usize>();
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

const WORDS: &str = "albert.embeddings.word_embeddings.weight";

#[test]
fn tokens_are_added_with_the_mean_of_their_pieces() {
    let home = Home::new();
    let (demo, grown) = (demo(), home.path("grown"));
    let ids = |model: &str, text: &str| -> Vec<usize> {
        let ids = done(&["tokenize", text, "--model", model, "--no-special-tokens"]);
        ids.split_whitespace()
            .map(|id| id.parse().expect("a number"))
            .collect()
    };
    let before = ids(&demo, "riverparis");
    assert!(before.len() > 1, "{before:?}");
    let out = done(&[
        "vocab",
        "add",
        &demo,
        "--tokens",
        "riverparis,qqq",
        "--output",
        &grown,
    ]);
    let (old, new) = (rows(&demo, WORDS), rows(&grown, WORDS));
    assert_eq!(
        out,
        format!(
            "{grown}: 2 tokens more, {} rows instead of {}\n",
            old.len() + 2,
            old.len()
        )
    );
    assert_eq!(new.len(), old.len() + 2);
    assert_eq!(new[..old.len()], old, "old rows keep their bits");
    let mean = |pieces: &[usize], table: &[Vec<f32>]| -> Vec<f32> {
        let width = table[0].len();
        (0..width)
            .map(|i| {
                (pieces.iter().map(|p| f64::from(table[*p][i])).sum::<f64>() / pieces.len() as f64)
                    as f32
            })
            .collect()
    };
    let known: Vec<usize> = before.iter().copied().filter(|id| *id != 1).collect();
    assert_eq!(new[old.len()], mean(&known, &old));
    let bias = (
        rows(&demo, "predictions.bias"),
        rows(&grown, "predictions.bias"),
    );
    assert_eq!(
        (bias.1.len(), &bias.1[..old.len()]),
        (old.len() + 2, &bias.0[..])
    );
    assert_eq!(bias.1[old.len()], mean(&known, &bias.0));
    let config: Value = serde_json::from_slice(
        &std::fs::read(Path::new(&grown).join("config.json")).expect("read"),
    )
    .expect("JSON");
    assert_eq!(config["vocab_size"], old.len() + 2);
    // The tokenizer finds them whole, and the model knows their rows.
    assert_eq!(ids(&grown, "riverparis"), [old.len()]);
    assert_eq!(ids(&grown, "the qqq").last(), Some(&(old.len() + 1)));
    done(&["fill-mask", "the riverparis [MASK]", "--model", &grown]);
    done(&["inspect", &grown]);
    // Again, from a file, onto what was added; a token that is there has a number already.
    let file = home.file("tokens.txt", "zürich\n\n  a, b \nqqq\nzürich\n".as_bytes());
    let again = home.path("again");
    let (code, out, err) = run(&[
        "vocab", "add", &grown, "--file", &file, "--output", &again, "--json",
    ]);
    assert_eq!(
        (code, err.as_str()),
        (
            0,
            "note: tokens that have a number already, and are found whole now: 1\n"
        )
    );
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&json["added"], &json["vocab_size"]),
        (&Value::from(2), &Value::from(old.len() + 4))
    );
    assert_eq!(ids(&again, "qqq"), [old.len() + 1]);
    assert_eq!(ids(&again, "Zürich"), [old.len() + 2]);
    let special = home.path("special");
    done(&[
        "vocab",
        "add",
        &demo,
        "--tokens",
        "[USER]",
        "--special",
        "--output",
        &special,
    ]);
    assert_eq!(ids(&special, "[USER]"), [old.len()]);
    assert_eq!(home.names(), ["again", "grown", "special", "tokens.txt"]);
}

#[test]
fn mistakes_of_add_are_named_and_leave_nothing() {
    let home = Home::new();
    let (demo, output, int8) = (demo(), home.path("out"), home.path("int8"));
    done(&["quantize", &demo, &int8]);
    let blank = home.file("blank.txt", b"\n \n");
    let with = |model: &str, arguments: &[&str], code: i32, words: &[&str]| {
        refused(
            &[&["vocab", "add", model, "--output", &output], arguments].concat(),
            code,
            words,
        );
        assert_eq!(home.names(), ["blank.txt", "int8"], "{arguments:?}");
    };
    with(
        &int8,
        &["--tokens", "qqq"],
        1,
        &["int8", "floating point", "made from"],
    );
    with(
        &demo,
        &["--tokens", "[MASK],▁the"],
        1,
        &["tokens: expected at least one"],
    );
    with(&demo, &["--tokens", "a,,b"], 1, &["--tokens", "\"\""]);
    with(&demo, &["--file", &blank], 1, &["blank.txt", "found none"]);
    with(&demo, &["--file", &home.path("none")], 1, &["cannot open"]);
    with(
        &home.path("none"),
        &["--tokens", "qqq"],
        1,
        &["none: no such file or folder"],
    );
    with(&demo, &[], 2, &["--tokens"]);
    refused(
        &["vocab", "add", &demo, "--tokens", "qqq", "--output", &int8],
        1,
        &["int8", "new or empty"],
    );
    refused(
        &["vocab", "add", &demo, "--tokens", "qqq", "--output", &demo],
        1,
        &["apart from the source"],
    );
}
