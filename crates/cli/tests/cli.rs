//! The program as its users meet it: every verb on the committed models, every refusal with its exit code and its words.
//! One file, because the last tests go over all verbs, and all share the way in which the program is run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use albert_formats::{Checkpoint, TensorInfo};
use albert_testing::{HubRepository, HubServer};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .canonicalize()
        .expect("fixtures/")
}

/// Random weights and a tokenizer: fixtures/demo.
fn demo() -> String {
    path(&fixtures().join("demo"))
}

fn model(name: &str) -> PathBuf {
    let folder = fixtures().join("model").join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder
}

fn path(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albert"));
    command
        .args(arguments)
        .env_remove("ALBERT_ISA")
        .env_remove("RUST_BACKTRACE");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output in UTF-8")
}

/// Runs and returns stdout and stderr; anything but success fails the test.
#[track_caller]
fn run(arguments: &[&str]) -> (String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().expect("the program starts");
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert!(
        status.success(),
        "{arguments:?}: {status}\n{stdout}\n{stderr}"
    );
    (stdout, stderr)
}

/// Stdout of a run that says nothing on stderr.
#[track_caller]
fn quiet(arguments: &[&str]) -> String {
    let (stdout, stderr) = run(arguments);
    assert_eq!(stderr, "", "{arguments:?}");
    stdout
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// Every instruction set of this machine, as `doctor` names them.
fn instruction_sets() -> Vec<String> {
    let doctor = json(&quiet(&["doctor", "--json"]));
    list(&doctor["instruction_sets"])
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

/// The tensors of a file: shape and elements.
fn tensors(file: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = Checkpoint::open(file).expect("a tensor file");
    let read = |tensor: &TensorInfo| {
        let mut values = vec![0.0; tensor.elements()];
        file.read_f32(tensor, 0, &mut values).expect("elements");
        (tensor.name.clone(), (tensor.shape.clone(), values))
    };
    file.tensors().map(read).collect()
}

// ---------------------------------------------------------------------------------------------
// fill-mask

#[test]
fn fill_mask_prints_candidates_best_first() {
    let out = quiet(&[
        "fill-mask",
        "The capital of France is [MASK].",
        "--model",
        &demo(),
    ]);
    let rows: Vec<&str> = out.lines().collect();
    assert_eq!(rows.len(), 5, "{out}");
    let score = |row: &&str| {
        row.split(' ')
            .next()
            .and_then(|x| x.parse::<f64>().ok())
            .expect("a score")
    };
    let scores: Vec<f64> = rows.iter().map(score).collect();
    // Each is rounded to four digits.
    assert!(
        scores.is_sorted_by(|a, b| a >= b) && scores.iter().sum::<f64>() <= 1.0 + 5.0 * 0.000_05,
        "{out}"
    );
    assert!(
        rows.iter()
            .all(|row| row.contains("the capital of france is")),
        "{out}"
    );
    // The short name is the same verb.
    assert_eq!(
        out,
        quiet(&[
            "fill",
            "The capital of France is [MASK].",
            "--model",
            &demo()
        ])
    );
}

#[test]
fn fill_mask_json_is_a_line_for_each_text() {
    let texts = ["the [MASK] river", "one [MASK] , two [MASK]"];
    let out = quiet(&[
        "fill-mask",
        texts[0],
        texts[1],
        "--model",
        &demo(),
        "--json",
        "--top-k",
        "3",
    ]);
    let lines: Vec<Value> = out.lines().map(json).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(keys(line), ["output", "truncated", "tokens"]);
        assert_eq!(line["truncated"], false);
    }
    // One mask: a list of candidates. Several: a list of such lists.
    let (one, two) = (list(&lines[0]["output"]), list(&lines[1]["output"]));
    assert_eq!((one.len(), two.len(), list(&two[0]).len()), (3, 2, 3));
    for candidate in one.iter().chain(two.iter().flat_map(list)) {
        assert_eq!(keys(candidate), ["score", "token", "token_str", "sequence"]);
        assert!(
            candidate["score"]
                .as_f64()
                .is_some_and(|score| (0.0..=1.0).contains(&score))
        );
    }
    let (word, sequence) = (one[0]["token_str"].as_str(), one[0]["sequence"].as_str());
    let between = sequence
        .and_then(|s| s.strip_prefix("the"))
        .and_then(|s| s.strip_suffix(" river"));
    assert_eq!(between.map(str::trim), word, "{sequence:?}");
    // [CLS] ▁the [MASK] ▁river [SEP]
    assert_eq!(lines[0]["tokens"], 5);
}

#[test]
fn fill_mask_numbers_the_masks_of_a_text() {
    let out = quiet(&[
        "fill-mask",
        "one [MASK] , two [MASK]",
        "--model",
        &demo(),
        "--top-k",
        "2",
    ]);
    let numbers: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(numbers, ["1", "1", "2", "2"], "{out}");
}

// ---------------------------------------------------------------------------------------------
// embed

#[test]
fn embed_gives_a_vector_of_the_hidden_size_for_each_text() {
    let with = |pooling: &[&str]| {
        quiet(
            &[
                &["embed", "a sentence", "another one", "--model", &demo()],
                pooling,
            ]
            .concat(),
        )
    };
    let mut outputs = Vec::new();
    for pooling in ["cls", "mean", "max", "pooler"] {
        let out = with(&["--pooling", pooling]);
        let vectors: Vec<Vec<f32>> = out
            .lines()
            .map(|line| {
                line.split(' ')
                    .map(|x| x.parse().expect("a number"))
                    .collect()
            })
            .collect();
        assert!(
            vectors.len() == 2 && vectors.iter().all(|v| v.len() == 32),
            "{pooling}: {out}"
        );
        outputs.push(out);
    }
    assert_eq!(with(&[]), outputs[1], "mean is the default");
    outputs.sort();
    outputs.dedup();
    assert_eq!(outputs.len(), 4, "each pooling gives vectors of its own");
}

#[test]
fn embed_does_not_depend_on_company_or_threads() {
    let alone = quiet(&[
        "embed",
        "a sentence",
        "--model",
        &demo(),
        "--json",
        "--normalize",
    ]);
    let line = json(alone.trim_end());
    assert_eq!(keys(&line), ["output", "truncated", "tokens"]);
    let vector: Vec<f64> = list(&line["output"])
        .iter()
        .map(|x| x.as_f64().expect("a number"))
        .collect();
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    // 32 elements, each rounded to f32.
    assert!(
        vector.len() == 32 && (length - 1.0).abs() < 1e-6,
        "length {length}"
    );
    let longer = "the capital of france is paris and the capital of italy is rome";
    let together = quiet(&[
        "embed",
        longer,
        "a sentence",
        "--model",
        &demo(),
        "--json",
        "--normalize",
        "--threads",
        "3",
    ]);
    assert_eq!(together.lines().nth(1), alone.lines().next());
}

// ---------------------------------------------------------------------------------------------
// tokenize and decode

/// Runs with these bytes on stdin.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin");
    // A refusal may end the program before it has read all.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// A file in a folder of its own.
fn file(name: &str, contents: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, contents).expect("written");
    let name = self::path(&path);
    (folder, name)
}

#[test]
fn tokenize_prints_a_line_for_each_text() {
    let demo = demo();
    let out = quiet(&["tokenize", "the river", "", "? [MASK]", "--model", &demo]);
    let lines: Vec<&str> = out.split('\n').collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert_eq!((lines[1], lines[3]), ("2 3", ""));
    assert!(
        lines[0].starts_with("2 ") && lines[0].ends_with(" 3"),
        "{out}"
    );
    let bare = quiet(&[
        "tokenize",
        "the river",
        "--model",
        &demo,
        "--no-special-tokens",
    ]);
    assert_eq!(format!("2 {} 3", bare.trim_end()), lines[0]);
    // And back.
    let text = [
        "decode",
        lines[0],
        "--model",
        &demo,
        "--skip-special-tokens",
    ];
    assert_eq!(quiet(&text), "the river\n");
    assert_eq!(
        quiet(&["decode", lines[0], "--model", &demo]),
        "[CLS] the river[SEP]\n"
    );
}

#[test]
fn tokenize_json_tells_where_each_token_came_from() {
    let demo = demo();
    let out = quiet(&["tokenize", "é the river", "--model", &demo, "--json"]);
    let line = json(out.trim_end());
    assert_eq!(
        keys(&line),
        [
            "tokens",
            "ids",
            "offsets",
            "type_ids",
            "attention_mask",
            "special_tokens_mask"
        ]
    );
    let offsets: Vec<(u64, u64)> = list(&line["offsets"])
        .iter()
        .map(|pair| {
            (
                pair[0].as_u64().expect("start"),
                pair[1].as_u64().expect("end"),
            )
        })
        .collect();
    // Code points: "é" is one of them and two bytes.
    let last = offsets[offsets.len() - 2];
    assert_eq!(last.1, 11, "{out}");
    assert_eq!(
        (line["tokens"][0].as_str(), offsets[0]),
        (Some("[CLS]"), (0, 0))
    );
    assert!(
        keys(&line)
            .iter()
            .all(|key| list(&line[*key]).len() == offsets.len())
    );
    // transformers 5 leaves out the token types.
    let out = quiet(&[
        "tokenize",
        "the river",
        "--model",
        &demo,
        "--json",
        "--mode",
        "hf5",
    ]);
    assert!(!keys(&json(out.trim_end())).contains(&"type_ids"), "{out}");
}

#[test]
fn tokenize_reads_lines_as_they_are() {
    let demo = demo();
    let of = |text: &str| quiet(&["tokenize", text, "--model", &demo]);
    let expected = format!("{}{}{}", of("the river\r"), of(""), of("the"));
    let input = "the river\r\n\nthe";
    for input in [input.to_owned(), format!("{input}\n")] {
        let (_folder, file) = file("texts.txt", &input);
        assert_eq!(
            quiet(&["tokenize", "--model", &demo, "--input", &file]),
            expected
        );
        let Output { stdout, status, .. } = fed(&["tokenize", "--model", &demo], input.as_bytes());
        assert!(status.success() && text(&stdout) == expected);
    }
    let (_folder, empty) = file("empty.txt", "");
    assert_eq!(
        quiet(&["tokenize", "--model", &demo, "--input", &empty]),
        ""
    );
    assert_eq!(quiet(&["decode", "--model", &demo, "--input", &empty]), "");
}

#[test]
fn tokenize_gives_the_same_on_any_number_of_threads() {
    let demo = demo();
    let lines: String = (0..60_000)
        .map(|i| format!("the river {i} and paris\n"))
        .collect();
    let (folder, file) = file("texts.txt", &lines);
    let mut outputs = Vec::new();
    for threads in ["1", "2", "5"] {
        let output = path(&folder.path().join(format!("ids-{threads}")));
        let fixed = [
            "tokenize", "--model", &demo, "--input", &file, "--output", &output,
        ];
        let out = quiet(&[&fixed[..], &["--threads", threads]].concat());
        assert_eq!(out, "");
        outputs.push(std::fs::read(&output).expect("ids"));
    }
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
    assert_eq!(
        outputs[0].iter().filter(|byte| **byte == b'\n').count(),
        60_000
    );
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 4, "no temporary file stays");
    // Replacing a file is as good as writing one.
    let output = path(&folder.path().join("ids-1"));
    quiet(&["tokenize", "--model", &demo, "the", "--output", &output]);
    let short = std::fs::read(&output).expect("ids");
    assert_eq!(text(&short), quiet(&["tokenize", "--model", &demo, "the"]));
}

#[test]
fn tokenize_refuses_bytes_that_are_not_utf8_or_replaces_them() {
    let demo = demo();
    let (folder, file) = file("texts.txt", b"the\nri\xFFver\n");
    let output = path(&folder.path().join("ids"));
    let arguments = [
        "tokenize", "--model", &demo, "--input", &file, "--output", &output,
    ];
    let words = [
        "line 2: byte 6 of the input (byte 2 of the line) is not UTF-8",
        "lossily",
    ];
    refused(&arguments, 1, &words);
    assert!(!Path::new(&output).exists(), "a refusal leaves no file");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );
    quiet(&[&arguments[..], &["--lossy"]].concat());
    let found = std::fs::read(&output).expect("ids");
    let replaced = quiet(&["tokenize", "the", "ri\u{FFFD}ver", "--model", &demo]);
    assert_eq!(text(&found), replaced);
}

#[test]
fn every_mode_tokenizes_and_wrong_files_are_named() {
    let model = path(&fixtures().join("tokenizer/albert.model"));
    for mode in ["hf-fast", "hf5", "hf-slow", "google", "sentencepiece"] {
        let out = quiet(&["tokenize", "the river", "--model", &model, "--mode", mode]);
        let decode = ["decode", out.trim_end(), "--model", &model, "--mode", mode];
        let text = quiet(&[&decode[..], &["--skip-special-tokens"]].concat());
        assert_eq!(text.trim(), "the river", "{mode}");
    }
    let demo = demo();
    let slow = ["tokenize", "the", "--model", &demo, "--mode", "hf-slow"];
    refused(&slow, 1, &["spiece.model", "found tokenizer.json alone"]);
    let (folder, _) = file(
        "tokenizer_config.json",
        r#"{"tokenizer_class": "T5Tokenizer"}"#,
    );
    std::fs::copy(&model, folder.path().join("spiece.model")).expect("copied");
    let foreign = ["tokenize", "the", "--model", &path(folder.path())];
    refused(&foreign, 1, &["is not an ALBERT tokenizer", "T5Tokenizer"]);
    let nowhere = ["tokenize", "the", "--model", "no/such/folder"];
    refused(&nowhere, 1, &["no/such/folder", "no such file or folder"]);
    let missing = ["tokenize", "--model", &demo, "--input", "no/such/file"];
    refused(&missing, 1, &["no/such/file"]);
    let output = [
        "tokenize",
        "the",
        "--model",
        &demo,
        "--output",
        "no/such/folder/ids",
    ];
    refused(&output, 1, &["no/such/folder/ids"]);
}

#[test]
fn tokenize_and_decode_refuse_what_they_cannot_read() {
    let demo = demo();
    let mode = ["tokenize", "the", "--model", &demo, "--mode", "hf-quick"];
    refused(
        &mode,
        2,
        &[
            "no such mode",
            "hf-fast, hf5, hf-slow, google, sentencepiece",
        ],
    );
    let both = ["tokenize", "the", "--model", &demo, "--input", "texts.txt"];
    refused(&both, 2, &["cannot be used with"]);
    refused(
        &["tokenize", "a\nb", "--model", &demo],
        1,
        &["line feed", "--input"],
    );
    refused(
        &["decode", "2 x", "--model", &demo],
        1,
        &["line 1: \"x\" is not the number"],
    );
    refused(
        &["decode", "2", "2 -1", "--model", &demo],
        1,
        &["line 2: \"-1\""],
    );
    refused(
        &["decode", "99999", "--model", &demo],
        1,
        &["99999 is not a token", "0 to "],
    );
}

// ---------------------------------------------------------------------------------------------
// inspect, doctor, bench

#[test]
fn inspect_tells_shape_heads_and_lint() {
    let folder = path(&model("masked_lm"));
    let out = quiet(&["inspect", &folder]);
    for expected in [
        "shape        H 24 L 2 A 3 (D 8) I 40 E 12, groups 1 x 1, V 61 P 24",
        "class        AlbertForMaskedLM",
        "heads        AlbertForMaskedLM (masked language model)",
        "lint         config and tensors agree",
    ] {
        assert!(
            out.lines().any(|line| line == expected),
            "{expected:?} is not in\n{out}"
        );
    }
    let listed = quiet(&["inspect", &folder, "--tensors"]);
    assert!(listed.starts_with(&out), "{listed}");
    assert!(
        listed.contains("[61, 12] albert.embeddings.word_embeddings.weight"),
        "{listed}"
    );
}

#[test]
fn inspect_json_has_the_same_facts() {
    let value = json(&quiet(&["inspect", &demo(), "--json"]));
    let expected = [
        "family",
        "architectures",
        "heads",
        "parameters",
        "file_bytes",
        "memory_bytes",
        "memory_bytes_bf16",
        "memory_bytes_int8",
        "quantization",
        "dtypes",
        "labels",
        "names",
        "unknown_keys",
        "legacy_keys",
        "notes",
        "lint",
        "tensors",
    ];
    assert_eq!(keys(&value), expected);
    assert_eq!(value["architectures"][0], "AlbertForPreTraining");
    assert_eq!(
        value["memory_bytes"].as_u64(),
        value["parameters"].as_u64().map(|n| n * 4)
    );
    assert_eq!(
        (list(&value["lint"]).len(), list(&value["tensors"]).len()),
        (0, 32)
    );
}

#[test]
fn inspect_tells_the_sizes_of_a_configuration_alone() {
    let out = quiet(&["inspect", "--config", "albert-base-v2"]);
    for expected in [
        "family       ALBERT base v2",
        "shape        H 768 L 12 A 12 (D 64) I 3072 E 128, groups 1 x 1, V 30000 P 512",
    ] {
        assert!(out.lines().any(|line| line == expected), "{out}");
    }
    let value = json(&quiet(&["inspect", "--config", "base-v2", "--json"]));
    // transformers' AlbertModel has as many.
    assert_eq!(value["parameters_with_pooler"], 11_683_584);
    refused(
        &["inspect", "--config", "huge"],
        1,
        &["--config", "albert-base-v2", "huge"],
    );
    refused(&["inspect"], 2, &["<DIR|ID|--config <FILE|NAME>>"]);
}

#[test]
fn inspect_names_a_contradiction() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = std::fs::read_to_string(fixtures().join("demo/config.json")).expect("config.json");
    let wrong = config.replace("\"intermediate_size\": 64", "\"intermediate_size\": 96");
    assert_ne!(config, wrong);
    std::fs::write(folder.path().join("config.json"), wrong).expect("written");
    let weights = "model.safetensors";
    std::fs::copy(
        fixtures().join("demo").join(weights),
        folder.path().join(weights),
    )
    .expect("copied");
    let out = quiet(&["inspect", &path(folder.path())]);
    let lint = out
        .lines()
        .find(|line| line.starts_with("lint"))
        .expect("a lint");
    assert!(
        lint.contains("intermediate_size") && lint.contains("96") && lint.contains("64"),
        "{lint}"
    );
}

#[test]
fn doctor_names_what_is_used() {
    let value = json(&quiet(&[
        "doctor",
        "--json",
        "--isa",
        "portable",
        "--threads",
        "3",
    ]));
    assert_eq!(
        (value["isa"].as_str(), value["threads"].as_u64()),
        (Some("portable"), Some(3))
    );
    assert_eq!(value["instruction_sets"][0], "portable");
    assert_eq!(value["dtypes"], serde_json::json!(["f32", "bf16", "int8"]));
    // The hint is a message, not data.
    let (out, hint) = run(&["doctor", "--isa", "portable"]);
    assert!(
        out.contains("used              portable") && !out.contains("hint"),
        "{out}"
    );
    assert!(
        hint.contains("portable code is many times slower"),
        "{hint}"
    );
}

#[test]
fn isa_comes_from_the_environment_and_the_flag_wins() {
    let used = |arguments: &[&str]| {
        let output = command(arguments)
            .env("ALBERT_ISA", "portable")
            .output()
            .expect("the program starts");
        json(&text(&output.stdout))["isa"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(used(&["doctor", "--json"]).as_deref(), Some("portable"));
    let best = instruction_sets().pop().expect("portable at least");
    assert_eq!(used(&["doctor", "--json", "--isa", &best]), Some(best));
}

#[test]
fn bench_measures() {
    let folder = demo();
    let arguments = [
        "bench",
        "forward",
        "--model",
        &folder,
        "--lengths",
        "3,1,7",
        "--iterations",
        "4",
    ];
    let out = quiet(&arguments);
    assert!(
        out.contains(" ms, ") && out.contains(" tokens/s (median of 4)"),
        "{out}"
    );
    let value = json(&quiet(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(keys(&value), ["ms"]);
    let times = list(&value["ms"]);
    assert!(
        times.len() == 4
            && times
                .iter()
                .all(|ms| ms.as_f64().is_some_and(|ms| ms > 0.0)),
        "{times:?}"
    );
    let config = path(&fixtures().join("pretrain/config.json"));
    let arguments = ["bench", "train", "--config", &config, "--json"];
    let sizes = ["--batch", "2", "--seq", "16", "--iterations", "3"];
    let value = json(&quiet(&[&arguments[..], &sizes].concat()));
    assert_eq!(list(&value["ms"]).len(), 3);
    // E 16, H 32, F 64: tables, their norm, mapping, a block, the masked-LM head.
    let tables = (30_000 + 64 + 2) * 16 + 32 + 17 * 32;
    let block = 4 * 33 * 32 + 2 * 64 + 33 * 64 + 65 * 32;
    let head = 33 * 16 + 32 + 30_000;
    assert_eq!(value["parameters"], tables + block + head);
    let peak = quiet(&["bench", "peak", "--threads", "1"]);
    assert!(
        peak.contains(" GFLOP/s (") && peak.contains(", 1 threads)"),
        "{peak}"
    );
}

// ---------------------------------------------------------------------------------------------
// forward

/// Runs `forward` on a golden's folder and returns stderr.
#[track_caller]
fn forward(folder: &Path, outputs: &Path, more: &[&str]) -> String {
    let (folder, inputs, outputs) = (
        path(folder),
        path(&folder.join("inputs.safetensors")),
        path(outputs),
    );
    let fixed = [
        "forward",
        "--model",
        &folder,
        "--inputs",
        &inputs,
        "--outputs",
        &outputs,
    ];
    let (stdout, stderr) = run(&[&fixed[..], more].concat());
    assert_eq!(stdout, "", "forward has no data for stdout");
    stderr
}

#[test]
fn forward_runs_the_class_that_the_configuration_names() {
    let scratch = tempfile::tempdir().expect("a folder");
    let outputs = scratch.path().join("out.safetensors");
    for case in [
        "model",
        "pretraining",
        "masked_lm",
        "sequence_classification",
        "token_classification",
        "question_answering",
        "multiple_choice",
    ] {
        assert_eq!(forward(&model(case), &outputs, &[]), "", "{case}");
        let (ours, expected) = (
            tensors(&outputs),
            tensors(&model(case).join("expected.safetensors")),
        );
        assert!(!ours.is_empty(), "{case}");
        for (name, (shape, values)) in &ours {
            let (expected_shape, expected) = expected
                .get(name)
                .unwrap_or_else(|| panic!("{case}: {name} is not expected"));
            assert_eq!(shape, expected_shape, "{case}: {name}");
            // Masked positions are 0. The derived tolerances are those of crates/albert/tests; this one
            // only tells right from wrong.
            let there: Vec<_> = values
                .iter()
                .zip(expected)
                .filter(|(x, _)| **x != 0.0)
                .collect();
            assert!(
                2 * there.len() > values.len(),
                "{case}: {name}: {} of {} elements",
                there.len(),
                values.len()
            );
            for (x, y) in there {
                assert!((x - y).abs() <= 1e-5, "{case}: {name}: {x}, expected {y}");
            }
        }
    }
}

#[test]
fn forward_keeps_hidden_states_and_attentions_when_asked() {
    let scratch = tempfile::tempdir().expect("a folder");
    let outputs = scratch.path().join("out.safetensors");
    forward(
        &model("pretraining"),
        &outputs,
        &["--class", "AlbertModel", "--hidden-states", "--attentions"],
    );
    let written = tensors(&outputs);
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    let (attentions, states): (Vec<&str>, Vec<&str>) = names
        .iter()
        .filter(|name| name.contains('.'))
        .partition(|name| name.starts_with("attentions."));
    assert_eq!(states.len(), attentions.len() + 1, "{names:?}");
    let last = states.last().expect("hidden states");
    assert_eq!(written[*last], written["last_hidden_state"]);
    assert!(written.contains_key("pooler_output"), "{names:?}");
}

#[test]
fn forward_gives_the_same_bytes_on_every_instruction_set_and_number_of_threads() {
    let scratch = tempfile::tempdir().expect("a folder");
    let sets = instruction_sets();
    for case in ["pretraining", "length_max", "head_size_26"] {
        let mut bytes = Vec::new();
        for isa in &sets {
            for threads in ["1", "2", "5"] {
                let outputs = scratch
                    .path()
                    .join(format!("{case}-{isa}-{threads}.safetensors"));
                forward(
                    &model(case),
                    &outputs,
                    &["--isa", isa, "--threads", threads, "--hidden-states"],
                );
                bytes.push(std::fs::read(outputs).expect("the outputs"));
            }
        }
        assert!(
            bytes.iter().all(|other| *other == bytes[0]),
            "{case}: {sets:?}"
        );
    }
}

#[test]
fn forward_tells_of_two_biases_on_stderr_and_chooses() {
    let scratch = tempfile::tempdir().expect("a folder");
    let [decoder, google] = ["decoder", "google"].map(|name| scratch.path().join(name));
    let note = forward(&model("two_biases"), &decoder, &[]);
    assert!(
        note.starts_with("note: predictions.bias and predictions.decoder.bias differ"),
        "{note}"
    );
    forward(&model("two_biases"), &google, &["--google-mlm-bias"]);
    assert_ne!(tensors(&decoder)["logits"], tensors(&google)["logits"]);
}

// ---------------------------------------------------------------------------------------------
// refusals

/// Runs what must fail: exit code, nothing on stdout, and these words on stderr.
#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().expect("the program starts");
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(code), "{arguments:?}\n{stderr}");
    assert_eq!(text(&stdout), "", "{arguments:?}");
    assert!(
        stderr.starts_with("error: ") && !stderr.contains("panicked"),
        "{arguments:?}\n{stderr}"
    );
    for word in words {
        assert!(
            stderr.contains(word),
            "{arguments:?}: {word:?} is not in\n{stderr}"
        );
    }
}

#[test]
fn wrong_flags_exit_with_2_and_say_what_was_meant() {
    let demo = demo();
    let masked = ["fill-mask", "[MASK]", "--model", &demo];
    let bench = ["bench", "forward", "--model", &demo];
    refused(
        &["fil-mask"],
        2,
        &[
            "unrecognized subcommand 'fil-mask'",
            "similar subcommands exist",
            "'fill-mask'",
        ],
    );
    refused(
        &["fill-mask", "[MASK]", "--modle", &demo],
        2,
        &[
            "unexpected argument '--modle'",
            "similar argument exists: '--model'",
        ],
    );
    refused(
        &["embed", "a", "--model", &demo, "--pooling", "maen"],
        2,
        &["invalid value 'maen'", "similar value exists: 'mean'"],
    );
    refused(
        &["tokenize", "a"],
        2,
        &["required arguments were not provided", "--model <PATH|ID>"],
    );
    refused(
        &[&masked[..], &["--top-k", "0"]].concat(),
        2,
        &["--top-k", "zero"],
    );
    refused(
        &[&bench[..], &["--iterations", "0"]].concat(),
        2,
        &["--iterations", "zero"],
    );
    refused(
        &[&bench[..], &["--lengths", "3", "--batch", "2"]].concat(),
        2,
        &["cannot be used with"],
    );
    let class = [
        "forward",
        "--model",
        &demo,
        "--inputs",
        "a",
        "--outputs",
        "b",
        "--class",
        "AlbertForMaskedLm",
    ];
    refused(
        &class,
        2,
        &["invalid value 'AlbertForMaskedLm'", "AlbertForMaskedLM"],
    );
    for threads in ["0", "4097", "-1", "two"] {
        refused(
            &["doctor", &format!("--threads={threads}")],
            2,
            &[&format!("invalid value '{threads}' for '--threads <N>'")],
        );
    }
    refused(
        &["doctor", "--isa", "sse9"],
        2,
        &["'sse9'", "no such instruction set; here: portable"],
    );
}

#[test]
fn a_wrong_instruction_set_in_the_environment_is_refused_too() {
    let output = command(&["doctor"])
        .env("ALBERT_ISA", "sse9")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no such instruction set"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn missing_files_exit_with_1_and_are_named() {
    let (demo, bare) = (demo(), path(&model("masked_lm")));
    let folder = tempfile::tempdir().expect("a folder");
    let empty = path(folder.path());
    refused(
        &["fill-mask", "[MASK]", "--model", "no/such/folder"],
        1,
        &["no/such/folder: no such file or folder"],
    );
    refused(
        &["embed", "a", "--model", "no/such/folder"],
        1,
        &["no/such/folder: no such file or folder"],
    );
    refused(
        &["fill-mask", "[MASK]", "--model", &bare],
        1,
        &[
            "no tokenizer in",
            "tokenizer.json, spiece.model or vocab.txt",
            "beside config.json",
        ],
    );
    refused(&["inspect", "no/such/folder"], 1, &["no/such/folder"]);
    refused(&["inspect", &empty], 1, &["config.json"]);
    refused(
        &["bench", "forward", "--model", &empty],
        1,
        &["config.json"],
    );
    let forward = [
        "forward",
        "--model",
        &demo,
        "--inputs",
        "no.safetensors",
        "--outputs",
        "out",
    ];
    refused(&forward, 1, &["no.safetensors"]);
    std::fs::copy(
        fixtures().join("demo/config.json"),
        folder.path().join("config.json"),
    )
    .expect("copied");
    refused(&["inspect", &empty], 1, &["safetensors"]);
}

#[test]
fn texts_that_do_not_fit_exit_with_1() {
    let demo = demo();
    refused(
        &["fill-mask", "no gap here", "--model", &demo],
        1,
        &["argument 1: ", "expected [MASK] where a word is missing"],
    );
    let long = vec!["a"; 200].join(" ");
    let limit = "at most 128 tokens";
    refused(
        &["embed", &long, "--model", &demo],
        1,
        &[limit, "--long truncate", "found 202"],
    );
    refused(
        &["fill-mask", &format!("{long} [MASK]"), "--model", &demo],
        1,
        &[limit],
    );
    refused(
        &["bench", "forward", "--model", &demo, "--seq", "129"],
        1,
        &[limit],
    );
    refused(
        &["bench", "forward", "--model", &demo, "--lengths", "3,0"],
        1,
        &["at least one token"],
    );
}

/// A folder with the demo's tokenizer and another model.
fn with_tokenizer(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model(case).join(file), folder.path().join(file)).expect("copied");
    }
    std::fs::copy(
        fixtures().join("demo/tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .expect("copied");
    folder
}

#[test]
fn a_model_without_the_head_is_refused_by_name() {
    let folder = with_tokenizer("sequence_classification");
    refused(
        &["fill-mask", "[MASK]", "--model", &path(folder.path())],
        1,
        &[
            "AlbertForMaskedLM needs",
            "predictions.dense.weight",
            "The checkpoint holds AlbertForSequenceClassification",
        ],
    );
    let masked_lm = model("masked_lm");
    let (inputs, outputs) = (
        path(&masked_lm.join("inputs.safetensors")),
        path(&folder.path().join("out")),
    );
    let fixed = [
        "forward",
        "--model",
        &path(&masked_lm),
        "--inputs",
        &inputs,
        "--outputs",
        &outputs,
    ];
    refused(
        &[&fixed[..], &["--class", "AlbertForQuestionAnswering"]].concat(),
        1,
        &[
            "AlbertForQuestionAnswering needs 2 tensors",
            "qa_outputs.weight",
        ],
    );
    assert!(!Path::new(&outputs).exists(), "a refusal leaves no file");
    // The pooler is asked for by a flag.
    let without = with_tokenizer("masked_lm");
    let Output {
        status,
        stdout,
        stderr,
    } = command(&[
        "embed",
        "a",
        "--model",
        &path(without.path()),
        "--pooling",
        "pooler",
    ])
    .output()
    .expect("the program starts");
    assert_eq!((status.code(), text(&stdout)), (Some(2), String::new()));
    assert!(
        text(&stderr).contains("expected mean, cls, max or another that needs no pooler"),
        "{}",
        text(&stderr)
    );
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    // The model has 61 words, the tokenizer 87: "?" is beyond the table.
    let folder = with_tokenizer("masked_lm");
    let words = ["argument 1: ", "below 61 (config vocab_size)", "\"?\""];
    refused(
        &["fill-mask", "? [MASK]", "--model", &path(folder.path())],
        1,
        &words,
    );
}

#[test]
fn a_broken_tokenizer_is_refused() {
    let folder = with_tokenizer("masked_lm");
    let file = folder.path().join("tokenizer.json");
    let tokenizer = std::fs::read_to_string(&file).expect("tokenizer.json");
    let arguments = ["fill-mask", "[MASK]", "--model", &path(folder.path())];
    std::fs::write(&file, tokenizer.replace("[MASK]", "[GAP]")).expect("written");
    refused(
        &arguments,
        1,
        &["not an ALBERT tokenizer", "the vocabulary has no [MASK]"],
    );
    std::fs::write(&file, "{").expect("written");
    refused(&arguments, 1, &["tokenizer.json: "]);
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = path(&model("masked_lm"));
    let inputs = path(&model("masked_lm").join("inputs.safetensors"));
    let outputs = path(&scratch.path().join("out"));
    let fixed = [
        "forward",
        "--model",
        &folder,
        "--outputs",
        &outputs,
        "--inputs",
    ];
    let weights = path(&model("masked_lm").join("model.safetensors"));
    refused(
        &[&fixed[..], &[&weights]].concat(),
        1,
        &["unknown tensor", "known: input_ids, inputs_embeds"],
    );
    // [B, K, S] is for multiple choice, embeddings have the width E of their model.
    let wide = path(&model("inputs_embeds").join("inputs.safetensors"));
    let narrow = [
        "forward",
        "--model",
        &demo(),
        "--outputs",
        &outputs,
        "--inputs",
        &wide,
    ];
    refused(
        &narrow,
        1,
        &["inputs_embeds has shape", "expected [B, S, 16]"],
    );
    assert!(!Path::new(&outputs).exists(), "a refusal leaves no file");
    let nowhere = path(&scratch.path().join("no/such/folder/out"));
    refused(
        &[
            "forward",
            "--model",
            &folder,
            "--inputs",
            &inputs,
            "--outputs",
            &nowhere,
        ],
        1,
        &["no/such/folder"],
    );
}

// ---------------------------------------------------------------------------------------------
// manners

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let demo = demo();
    for arguments in [
        &["inspect", &demo, "--tensors"][..],
        &["inspect", &demo, "--json"],
        &["doctor"],
        &["fill-mask", "the [MASK]", "--model", &demo],
        &["embed", "a", "b", "--model", &demo, "--json"],
        &["tokenize", "a", "b", "--model", &demo],
        &["decode", "2 3", "--model", &demo],
        &[
            "bench",
            "forward",
            "--model",
            &demo,
            "--seq",
            "2",
            "--iterations",
            "1",
        ],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program starts");
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

const VERBS: &[&[&str]] = &[
    &[],
    &["fill-mask"],
    &["classify"],
    &["tag"],
    &["answer"],
    &["choose"],
    &["sentence-order"],
    &["embed"],
    &["similarity"],
    &["features"],
    &["tokenize"],
    &["decode"],
    &["vocab"],
    &["vocab", "train"],
    &["vocab", "add"],
    &["pretrain"],
    // The examples of `evaluate` measure what those of `finetune` wrote.
    &["finetune"],
    &["evaluate"],
    &["quantize"],
    &["convert"],
    &["pull"],
    &["export"],
    &["inspect"],
    &["doctor"],
    &["forward"],
    &["bench"],
    &["bench", "forward"],
    &["bench", "train"],
    &["bench", "peak"],
    &["completions"],
    &["man"],
];

/// The examples at the top of a verb's help.
fn examples(verb: &[&str]) -> Vec<String> {
    let help = quiet(&[verb, &["--help"]].concat());
    assert!(
        help.starts_with("Examples:\n  "),
        "{verb:?}: help opens with examples\n{help}"
    );
    help.lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// Words of a command line with double quotes.
fn words(line: &str) -> Vec<String> {
    let word = |(i, part): (usize, &str)| -> Vec<String> {
        if i % 2 == 1 {
            vec![part.to_owned()]
        } else {
            part.split_whitespace().map(str::to_owned).collect()
        }
    };
    line.split('"').enumerate().flat_map(word).collect()
}

#[test]
fn every_help_opens_with_three_examples_that_run() {
    let scratch = tempfile::tempdir().expect("a folder");
    let inputs = model("masked_lm").join("inputs.safetensors");
    std::fs::copy(inputs, scratch.path().join("in.safetensors")).expect("copied");
    std::fs::write(scratch.path().join("texts.txt"), "the river\n").expect("written");
    std::fs::write(scratch.path().join("masks.txt"), "the [MASK]\n").expect("written");
    std::fs::write(scratch.path().join("numbers.txt"), "2 23 3\n").expect("written");
    for (file, content) in [
        ("pairs.tsv", "text\tpair\nthe river\tof Paris\n"),
        ("words.jsonl", "{\"words\": [\"the\", \"river\"]}\n"),
        (
            "questions.jsonl",
            "{\"question\": \"who?\", \"context\": \"She was in Paris.\"}\n",
        ),
        (
            "race.jsonl",
            "{\"article\": \"A river.\", \"question\": \"It\", \"options\": [\"is old\", \"reads\"]}\n",
        ),
        ("book.txt", "She was in Paris.\n"),
        ("tokens.txt", "transformer\ntoken, izer\n"),
        ("dev.tsv", "sentence\tlabel\nthe river\tneutral\n"),
    ] {
        std::fs::write(scratch.path().join(file), content).expect("written");
    }
    // A text file is known by its bytes, whatever its name is.
    for (file, fixture) in [
        ("corpus.txt", "hound.txt.gz"),
        ("a.txt.gz", "hound.txt.gz"),
        ("b.txt.zst", "held_out.txt.zst"),
    ] {
        let from = fixtures().join("vocab").join(fixture);
        std::fs::copy(from, scratch.path().join(file)).expect("copied");
    }
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let published =
        HubRepository::of_folder("albert/albert-base-v2", commit, &fixtures().join("demo"));
    let hub = HubServer::start(vec![published]);
    let small = fixtures().join("pretrain/config.json");
    std::fs::copy(small, scratch.path().join("small.json")).expect("copied");
    std::fs::create_dir_all(scratch.path().join("GLUE/SST-2")).expect("a folder");
    std::fs::create_dir_all(scratch.path().join("GLUE/MRPC")).expect("a folder");
    let squad = std::fs::read_to_string(fixtures().join("inputs/squad.json")).expect("SQuAD");
    let films = "sentence\tlabel\na good book\t1\na bad book\t0\n";
    for (file, content) in [
        ("GLUE/SST-2/train.tsv", films),
        ("GLUE/SST-2/dev.tsv", films),
        (
            "GLUE/MRPC/test.tsv",
            "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tthe river\tof Paris\n",
        ),
        (
            "train.csv",
            "text,label\na good book,good\na bad book,bad\n",
        ),
        ("train-v2.0.json", &squad),
        ("dev-v2.0.json", &squad),
    ] {
        std::fs::write(scratch.path().join(file), content).expect("written");
    }
    for verb in VERBS {
        let examples = examples(verb);
        assert_eq!(examples.len(), 3, "{verb:?}: {examples:?}");
        for example in examples {
            let (environment, line) = example
                .split_once("albert ")
                .unwrap_or_else(|| panic!("{example}"));
            let task = |name: &str| path(&fixtures().join("pipelines/models").join(name));
            let folder = match line.split(' ').next() {
                Some("forward") => path(&model("masked_lm")),
                Some("classify" | "quantize") => task("three"),
                Some("tag") => task("tags"),
                Some("answer") => task("answer"),
                Some("choose") => task("choose"),
                Some("evaluate") if line.contains("squad2") => path(&scratch.path().join("qa")),
                Some("evaluate") => path(&scratch.path().join("sst2")),
                _ => demo(),
            };
            let mut program = command(&[]);
            program.current_dir(scratch.path());
            program
                .env("HF_ENDPOINT", hub.endpoint())
                .env("HF_HOME", scratch.path().join("hf"));
            program.args(
                words(line)
                    .into_iter()
                    .map(|word| if word == "DIR" { folder.clone() } else { word }),
            );
            program.envs(environment.trim().split_once('='));
            let output = program.output().expect("the program starts");
            assert!(
                output.status.success(),
                "{example}\n{}",
                text(&output.stderr)
            );
        }
    }
}

/// Every verb of the program is in [`VERBS`], so that none escapes the test above.
#[test]
fn no_verb_is_forgotten() {
    let listed = |verb: &[&str]| -> Vec<String> {
        let help = quiet(&[verb, &["--help"]].concat());
        let commands = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        let names = commands
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next());
        names
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let known = |depth: usize| -> Vec<&str> {
        VERBS
            .iter()
            .filter(|verb| verb.len() == depth)
            .filter_map(|verb| verb.last().copied())
            .collect()
    };
    assert_eq!(listed(&[]), known(1));
    assert_eq!([listed(&["vocab"]), listed(&["bench"])].concat(), known(2));
}

#[test]
fn no_arguments_show_the_help_as_a_mistake() {
    let output = command(&[]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).starts_with("Examples:\n"),
        "{}",
        text(&output.stderr)
    );
    let help = quiet(&["--help"]);
    assert!(help.contains("a small demo model is inside"), "{help}");
    assert_eq!(
        quiet(&["--version"]),
        format!("albert {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// Renaming would replace what is no file.
#[cfg(unix)]
#[test]
fn outputs_replace_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let masked_lm = path(&model("masked_lm"));
    let inputs = path(&model("masked_lm").join("inputs.safetensors"));
    let forward = |outputs: &str| {
        let flags = ["--inputs", &inputs, "--outputs", outputs];
        let arguments = [&["forward", "--model", &masked_lm][..], &flags].concat();
        command(&arguments).output().expect("the program starts")
    };
    let socket = path(&folder.path().join("socket"));
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    assert_eq!(forward(&socket).status.code(), Some(1));
    assert_eq!(forward(&path(folder.path())).status.code(), Some(1));
    assert!(!std::fs::metadata(&socket).expect("still there").is_file());
    drop(listener);
    // A link stays one, and its file is replaced.
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "old").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    assert!(forward(&path(&link)).status.success());
    assert!(link.is_symlink());
    assert!(std::fs::read(&file).expect("there").len() > 100);
}
