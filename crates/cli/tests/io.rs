//! Inputs and outputs of the verbs on texts, as users meet them: every format, order, failures,
//! files that appear complete or not at all, pipes, completions and the manual.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn demo() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
    let folder = folder.canonicalize().expect("fixtures/demo");
    folder.to_str().expect("a path in UTF-8").to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albert"));
    command.args(arguments).env_remove("ALBERT_ISA");
    command
}

fn start(arguments: &[&str]) -> Child {
    command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Exit code, stdout and stderr of a run with these bytes on stdin.
fn fed(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = start(arguments);
    // A refusal may end the program before it has read all.
    let _ = child.stdin.take().expect("stdin").write_all(input);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        status.code().expect("an exit code"),
        text(stdout),
        text(stderr),
    )
}

/// Stdout of a run that succeeds in silence.
#[track_caller]
fn quiet(arguments: &[&str], input: &[u8]) -> String {
    let (code, out, err) = fed(arguments, input);
    assert_eq!((code, &err[..]), (0, ""), "{arguments:?}\n{out}");
    out
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let (found, out, err) = fed(arguments, b"");
    assert_eq!((found, &out[..]), (code, ""), "{arguments:?}\n{err}");
    for word in words {
        assert!(
            err.starts_with("error: ") && err.contains(word),
            "{arguments:?}: {word:?} is not in\n{err}"
        );
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).expect("written");
        self.path(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

// ---------------------------------------------------------------------------------------------
// inputs

#[test]
fn every_format_gives_the_same_vectors() {
    let (folder, demo) = (Folder::new(), demo());
    let texts = ["the river", "", "a \"small, garden", "é"];
    let embed =
        |more: &[&str], input: &[u8]| quiet(&[&["embed", "--model", &demo], more].concat(), input);
    let expected = embed(&texts, b"");
    assert_eq!(expected.lines().count(), 4);
    let lines = texts.join("\n");
    let windows = format!("\u{feff}{}\r\n", texts.join("\r\n"));
    let tsv = format!(
        "id\tsentence\n{}",
        texts.map(|t| format!("7\t{t}\n")).concat()
    );
    let csv: String = texts
        .map(|t| format!("\"{}\",7\n", t.replace('"', "\"\"")))
        .concat();
    let object = |text: &str| serde_json::json!({"input": text, "id": [1]}).to_string() + "\n";
    let objects: String = texts.map(object).concat();
    for (name, bytes) in [
        ("a.txt", &lines),
        ("a", &windows),
        ("a.tsv", &tsv),
        ("a.csv", &format!("text,id\n{csv}")),
        ("a.jsonl", &objects),
        ("a.NDJSON", &objects),
    ] {
        let file = folder.file(name, bytes);
        assert_eq!(embed(&["--input", &file], b""), expected, "{name}");
    }
    assert_eq!(embed(&[], lines.as_bytes()), expected);
    assert_eq!(embed(&["--input", "-"], windows.as_bytes()), expected);
    let bare = ["--format", "csv", "--no-header", "--columns", "text=1"];
    assert_eq!(embed(&bare, csv.as_bytes()), expected);
    let columns = ["--format", "jsonl", "--columns", "text=q"];
    let renamed = objects.replace("input", "q");
    assert_eq!(embed(&columns, renamed.as_bytes()), expected);
    assert_eq!(embed(&[], b""), "");
}

#[test]
fn pairs_come_from_flags_columns_or_one_for_all() {
    let demo = demo();
    let embed = |more: &[&str], input: &[u8]| {
        quiet(
            &[&["embed", "--model", &demo, "--json"], more].concat(),
            input,
        )
    };
    let two = embed(&["a", "b", "--pair", "the river", "--pair", "old"], b"");
    let alone = embed(&["a", "b"], b"");
    assert_ne!(two, alone);
    assert_eq!(json(two.lines().next().expect("a line"))["tokens"], 6);
    let table = b"sentence2,sentence1\nthe river,a\nold,b\n";
    assert_eq!(embed(&["--format", "csv"], table), two);
    // One pair for all lines.
    let same = embed(&["a", "b", "--pair", "old", "--pair", "old"], b"");
    assert_eq!(embed(&["--pair", "old"], b"a\nb\n"), same);
    let model = ["embed", "--model", &demo];
    refused(
        &[&model[..], &["a", "b", "--pair", "c"]].concat(),
        2,
        &["2 of <TEXTS> and 1 of --pair: expected as many of both"],
    );
    refused(
        &[&model[..], &["--pair", "c", "--pair", "d"]].concat(),
        2,
        &["2 values of --pair", "expected one, for all of them"],
    );
}

#[test]
fn wrong_use_of_the_flags_is_refused_before_the_model_is_read() {
    let folder = Folder::new();
    let text = folder.file("a.txt", "a\n");
    let of = |more: &[&str], code: i32, words: &[&str]| {
        // No such model: the flags are looked at first.
        refused(&[&["embed", "--model", "none"], more].concat(), code, words);
    };
    of(
        &["a", "--input", &text],
        2,
        &["--input", "cannot be used with <TEXTS>"],
    );
    of(
        &["a", "--format", "csv"],
        2,
        &["--format", "give --input FILE"],
    );
    of(
        &["--input", &text, "--columns", "text=a"],
        2,
        &["lines of text have no columns"],
    );
    of(
        &["--format", "csv", "--columns", "txt=a"],
        2,
        &["this verb reads \"text\", \"pair\"; did you mean \"text\"?"],
    );
    of(&["--columns", "text"], 2, &["expected NAME=COLUMN"]);
    of(
        &["--long", "trunc"],
        2,
        &["invalid value 'trunc'", "'truncate'"],
    );
    of(
        &["--format", "jsn"],
        2,
        &["invalid value 'jsn'", "similar value exists: 'jsonl'"],
    );
    of(
        &["--on-error", "skipp"],
        2,
        &["similar value exists: 'skip'"],
    );
    of(&["-q", "-v"], 2, &["cannot be used with"]);
    of(
        &["--json", "--output", "a.npy"],
        2,
        &["--json cannot be used with a .npy file"],
    );
    of(
        &["--input", "no/such/file"],
        1,
        &["cannot open no/such/file"],
    );
    of(
        &["a", "--output", "no/such/file"],
        1,
        &["cannot create no/such/file"],
    );
    of(&["a", "--output", &folder.path("")], 1, &["it is a folder"]);
    let fill = [
        "fill-mask",
        "[MASK]",
        "--model",
        "none",
        "--output",
        "a.npy",
    ];
    refused(&fill, 2, &["a .npy file holds embeddings"]);
    let demo = demo();
    let slide = ["features", "a", "--model", &demo, "--long", "slide"];
    refused(&slide, 2, &["error or truncate"]);
    if !cfg!(feature = "columnar") {
        let parquet = ["a", "--output", "a.parquet"];
        of(
            &parquet,
            2,
            &["built without .parquet files", "--features columnar"],
        );
    }
    assert_eq!(folder.names(), ["a.txt"], "nothing is left behind");
}

#[test]
fn a_column_that_is_absent_is_named_with_what_is_there() {
    let (folder, demo) = (Folder::new(), demo());
    let file = folder.file("a.tsv", "id\tsentense\n1\ta\n");
    refused(
        &["embed", "--model", &demo, "--input", &file],
        1,
        &[
            "no column for `text`",
            "\"id\", \"sentense\"",
            "--columns text=sentense?",
        ],
    );
}

// ---------------------------------------------------------------------------------------------
// failures

#[test]
fn a_failure_stops_after_the_answers_before_it() {
    let (folder, demo) = (Folder::new(), demo());
    let input = b"{\"text\": \"a [MASK]\"}\n\"[MASK] b\"\n{\"text\": 5}\n\"c [MASK]\"\n";
    let file = folder.file("a.jsonl", input);
    let fill = ["fill-mask", "--model", &demo, "--input", &file, "--json"];
    let (code, out, err) = fed(&fill, b"");
    assert_eq!((code, out.lines().count()), (1, 2), "{err}");
    let place = format!("error: line 3 of {file}: column 10: invalid type: integer `5`");
    assert!(err.starts_with(&place), "{err}");
    // A file is complete or not there.
    let target = folder.path("out.jsonl");
    let (code, out, _) = fed(&[&fill[..], &["--output", &target]].concat(), b"");
    assert_eq!((code, &out[..]), (1, ""));
    assert_eq!(folder.names(), ["a.jsonl"]);
}

#[test]
fn failures_that_are_skipped_keep_the_lines_aligned() {
    let (folder, demo) = (Folder::new(), demo());
    let input = b"a [MASK]\nno gap\n\xff [MASK]\n\nb [MASK]\n";
    let fill = [
        "fill-mask",
        "--model",
        &demo,
        "--on-error",
        "skip",
        "--json",
    ];
    let (code, out, err) = fed(&fill, input);
    let lines: Vec<Value> = out.lines().map(json).collect();
    assert_eq!((code, lines.len()), (1, 5), "{err}");
    for (line, ok) in lines.iter().zip([true, false, false, false, true]) {
        assert_eq!(line.get("output").is_some(), ok, "{line}");
    }
    assert_eq!(
        (&lines[1]["line"], &lines[2]["line"]),
        (&2.into(), &3.into())
    );
    let shown = lines[1]["error"].as_str().expect("a message");
    assert!(
        shown.contains("expected [MASK] where a word is missing"),
        "{shown}"
    );
    let messages: Vec<&str> = err.lines().collect();
    assert!(messages[1].starts_with("error: line 3 of stdin: byte 1 of the line, 0xff"));
    assert_eq!(
        (messages.len(), messages[3]),
        (4, "error: 3 of 5 inputs failed")
    );
    // Arguments too, and a file all the same.
    let target = folder.path("out.jsonl");
    let arguments = [&fill[..], &["x", "[MASK]", "--output", &target]].concat();
    assert_eq!(fed(&arguments, b"").0, 1);
    let out = std::fs::read_to_string(&target).expect("written");
    assert_eq!(json(out.lines().next().expect("a line"))["argument"], 1);
    assert_eq!(out.lines().count(), 2);
}

#[test]
fn long_texts_are_refused_or_truncated() {
    let demo = demo();
    let long = vec!["a"; 200].join(" ");
    let embed = ["embed", &long, "the", "--model", &demo, "--json"];
    refused(
        &embed,
        1,
        &[
            "argument 1: ",
            "found 202",
            "--long truncate",
            "--long slide",
        ],
    );
    let out = quiet(&[&embed[..], &["--long", "truncate"]].concat(), b"");
    let lines: Vec<Value> = out.lines().map(json).collect();
    let told = |line: &Value| (line["truncated"].clone(), line["tokens"].clone());
    // All of its tokens, those that were cut off too.
    assert_eq!(told(&lines[0]), (true.into(), 202.into()));
    assert_eq!(told(&lines[1]), (false.into(), 3.into()));
}

// ---------------------------------------------------------------------------------------------
// outputs

#[test]
fn vectors_are_the_same_in_every_form() {
    let (folder, demo) = (Folder::new(), demo());
    let input: String = (0..2500).map(|n| format!("the river {n}\n")).collect();
    let input = folder.file("in.txt", input);
    let write = |name: &str, more: &[&str]| {
        let target = folder.path(name);
        let embed = [
            "embed", "--model", &demo, "--input", &input, "--output", &target,
        ];
        assert_eq!(quiet(&[&embed[..], more].concat(), b""), "");
        std::fs::read(target).expect("written")
    };
    let numbers = |text: &[u8]| -> Vec<f32> {
        let text = std::str::from_utf8(text).expect("UTF-8");
        text.split_whitespace()
            .map(|x| x.parse().expect("a number"))
            .collect()
    };
    let expected = numbers(&write("out.txt", &[]));
    assert_eq!(expected.len(), 2500 * 32);
    // No result depends on the batch.
    assert_eq!(
        numbers(&write("small.txt", &["--batch-tokens", "1"])),
        expected
    );
    let npy = write("out.npy", &[]);
    let (header, data) = npy.split_at(128);
    let shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (2500, 32), }";
    assert!(header.starts_with(b"\x93NUMPY\x01\x00"));
    assert_eq!(
        std::str::from_utf8(&header[10..]).expect("text").trim_end(),
        shape
    );
    let data: Vec<f32> = data
        .chunks_exact(4)
        .map(|x| f32::from_le_bytes(x.try_into().expect("four bytes")))
        .collect();
    assert_eq!(data, expected);
    let lines = write("out.jsonl", &[]);
    let lines = std::str::from_utf8(&lines).expect("UTF-8").lines();
    let of = |line: &str| -> Vec<f32> {
        let line = json(line);
        let list = line["output"].as_array().expect("a list").iter();
        list.map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    assert_eq!(lines.flat_map(of).collect::<Vec<f32>>(), expected);
    if cfg!(feature = "columnar") {
        assert!(write("out.parquet", &[]).starts_with(b"PAR1"));
        assert!(write("out.arrow", &[]).starts_with(b"ARROW1"));
    }
}

#[test]
fn verbose_tells_and_quiet_does_not() {
    let demo = demo();
    let embed = ["embed", "a", "b c", "--model", &demo, "--threads", "1"];
    let (_, out, err) = fed(&[&embed[..], &["-v"]].concat(), b"");
    let lines: Vec<&str> = err.lines().collect();
    assert!(
        lines[0].starts_with("model ") && lines[0].ends_with(" with 1 threads"),
        "{err}"
    );
    assert!(
        lines[1].starts_with("2 inputs, ") && lines[1].ends_with(" s"),
        "{err}"
    );
    assert_eq!(out, quiet(&[&embed[..], &["-q"]].concat(), b""));
}

// ---------------------------------------------------------------------------------------------
// pipes and signals

#[test]
fn a_slow_pipe_is_answered_line_by_line() {
    let demo = demo();
    let mut child = start(&["embed", "--model", &demo]);
    let mut stdin = child.stdin.take().expect("stdin");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    for text in ["one", "two"] {
        // The pipe stays open: an answer that waited for its end would never come.
        writeln!(stdin, "{text}").expect("written");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, quiet(&["embed", text, "--model", &demo], b""));
    }
    drop(stdin);
    assert!(child.wait().expect("the end").success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_file_and_dies_of_the_signal() {
    use std::os::unix::process::ExitStatusExt;
    let (folder, demo) = (Folder::new(), demo());
    let target = folder.path("out.npy");
    let mut child = start(&["embed", "--model", &demo, "--output", &target]);
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "one").expect("written");
    while folder.names().is_empty() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended early"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        folder.names()[0].starts_with(".albert-"),
        "{:?}",
        folder.names()
    );
    // The signal is watched for before the file exists.
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    assert_eq!(child.wait().expect("the end").signal(), Some(2));
    assert_eq!(folder.names(), Vec::<String>::new());
}

// ---------------------------------------------------------------------------------------------
// completions and the manual

#[test]
fn completions_and_pages_know_every_flag() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = quiet(&["completions", shell], b"");
        for word in ["fill-mask", "on-error", "batch-tokens"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    refused(
        &["completions", "bsh"],
        2,
        &["similar value exists: 'bash'"],
    );
    let folder = Folder::new();
    assert_eq!(quiet(&["man", "--dir", &folder.path("man")], b""), "");
    let page = |name: &str| {
        std::fs::read_to_string(folder.path(&format!("man/{name}.1"))).expect("a page")
    };
    assert_eq!(page("albert"), quiet(&["man"], b""));
    assert_eq!(page("albert-embed"), quiet(&["man", "embed"], b""));
    assert!(page("albert-embed").contains("\\-\\-on\\-error"));
    assert!(
        page("albert-embed").contains(".TH albert-embed 1"),
        "{}",
        page("albert-embed")
    );
    refused(&["man", "embd"], 2, &["no verb \"embd\"", "embed"]);
}

/// A tokenizer that adds no special tokens makes nothing of an empty text: an error of that line, whatever the pooling.
#[test]
fn a_text_without_tokens_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(Path::new(&demo()).join(name), home.path().join(name)).expect("copied");
    }
    let text = std::fs::read_to_string(Path::new(&demo()).join("tokenizer.json")).expect("read");
    let mut tokenizer: Value = serde_json::from_str(&text).expect("JSON");
    tokenizer["post_processor"] = Value::Null;
    std::fs::write(home.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    let input = home.path().join("texts.txt");
    std::fs::write(&input, "the city\n\n").expect("written");
    let folder = home.path().to_str().expect("UTF-8");
    for pooling in ["mean", "cls", "last-token"] {
        let output = command(&["embed", "--model", folder, "--pooling", pooling])
            .args(["--on-error", "skip", "--input"])
            .arg(&input)
            .output()
            .expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            errors.contains("line 2") && errors.contains("at least one token"),
            "{pooling}: {errors}"
        );
        let vectors = String::from_utf8_lossy(&output.stdout);
        assert_eq!(vectors.lines().count(), 2, "{pooling}: {vectors}");
        assert_eq!(vectors.lines().nth(1), Some(""), "{pooling}");
    }
}
