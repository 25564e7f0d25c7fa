//! The verbs that answer texts: the program prints what the goldens of `fixtures/pipelines` say, the demo models work
//! without any file, and what cannot be done is refused in words that help.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn pipelines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/pipelines")
        .canonicalize()
        .expect("fixtures/pipelines")
}

fn task_model(name: &str) -> String {
    let folder = pipelines().join("models").join(name);
    assert!(folder.is_dir(), "{}", folder.display());
    folder.to_str().expect("UTF-8").to_owned()
}

/// Exit code, stdout and stderr of a run without input.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_albert"))
        .args(arguments)
        .env_remove("ALBERT_ISA")
        .env_remove("RUST_BACKTRACE")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code");
    (code, text(output.stdout), text(output.stderr))
}

/// Stdout of a run that succeeds in silence.
#[track_caller]
fn quiet(arguments: &[&str]) -> String {
    let (code, out, err) = run(arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}\n{out}");
    out
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let (found, out, err) = run(arguments);
    assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}\n{err}");
    for word in words {
        assert!(
            err.starts_with("error: ") && err.contains(word),
            "{arguments:?}: {word:?} is not in\n{err}"
        );
    }
}

/// The answers of a run with `--json`.
#[track_caller]
fn answers(arguments: &[&str]) -> Vec<Value> {
    let out = quiet(&[arguments, &["--json"]].concat());
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Numbers within 1e-5, a list of one as its element, everything else equal.
fn agree(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(a), b) if a.len() == 1 && !b.is_array() => agree(&a[0], b),
        (a, Value::Array(b)) if b.len() == 1 && !a.is_array() => agree(a, &b[0]),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && b.iter()
                    .all(|(key, b)| a.get(key).is_some_and(|a| agree(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(0.0));
            (a - b).abs() <= 1e-5
        }
        (a, b) => a == b,
    }
}

#[test]
fn the_comparison_can_fail() {
    assert!(agree(&json!([{"a": 0.500_001}]), &json!({"a": 0.5})));
    assert!(!agree(&json!({"a": 0.51}), &json!({"a": 0.5})));
    assert!(!agree(&json!({"a": 0.5, "b": 1}), &json!({"a": 0.5})));
    assert!(!agree(&json!([1, 2]), &json!([1, 3])));
    assert!(!agree(&json!(null), &json!(0.5)));
}

/// Every set of parameters through the program: its flags and columns mean what the library's tests check.
#[test]
fn the_program_answers_as_the_goldens_say() {
    let mut sets = 0;
    let tasks = std::fs::read_dir(pipelines()).expect("fixtures/pipelines");
    for task in tasks.map(|entry| entry.expect("an entry").path()) {
        if task.ends_with("models") || !task.is_dir() {
            continue;
        }
        let files = std::fs::read_dir(&task).expect("a task");
        for file in files.map(|entry| entry.expect("an entry").path()) {
            let name = file.to_str().expect("UTF-8").to_owned();
            let Some(stem) = name.strip_suffix(".args.json") else {
                continue;
            };
            let read = |kind: &str| std::fs::read_to_string(format!("{stem}.{kind}")).expect(kind);
            let mut arguments: Vec<String> =
                serde_json::from_str(&read("args.json")).expect("arguments");
            // transformers cuts long inputs unasked, but for question answering and where a stride is given.
            if arguments[0] != "answer" && !arguments.contains(&"--stride".to_owned()) {
                arguments.extend(["--long".to_owned(), "truncate".to_owned()]);
            }
            let model = pipelines().join(read("model.txt").trim());
            let input = format!("{stem}.input.jsonl");
            let model = model.to_str().expect("UTF-8");
            arguments.extend(["--model", model, "--input", &input, "--quiet"].map(str::to_owned));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let found = answers(&arguments);
            let expected = read("expected.jsonl");
            assert_eq!(found.len(), expected.lines().count(), "{stem}");
            for (i, (found, line)) in found.iter().zip(expected.lines()).enumerate() {
                let expected: Value = serde_json::from_str(line).expect("JSON");
                let mut output = found["output"].clone();
                if arguments[0] == "sentence-order" {
                    // The golden has the probabilities in the order of the logits.
                    let of = |name: &str| {
                        let labels = output.as_array().expect("labels").iter();
                        let mut found = labels.filter(|label| label["label"] == name);
                        found.next().map(|label| label["score"].clone())
                    };
                    output = json!([of("in order"), of("swapped")]);
                }
                assert!(
                    agree(&output, &expected["output"]),
                    "{stem} line {}\n{output}\n{}",
                    i + 1,
                    expected["output"]
                );
                assert!(found["tokens"].as_u64().is_some_and(|n| n > 0), "{found}");
            }
            sets += 1;
        }
    }
    assert!(sets >= 30, "only {sets} sets");
}

#[test]
fn the_demo_fills_masks_and_judges_sentiment() {
    let out = quiet(&[
        "fill-mask",
        "The river flows into the [MASK].",
        "--top-k",
        "2",
    ]);
    let words: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(words, ["river", "area"]);
    let labels = |text: &str| answers(&["classify", text])[0]["output"][0]["label"].clone();
    assert_eq!(labels("A warm and funny film."), "positive");
    assert_eq!(labels("Dull, and much too long."), "negative");
    let order = answers(&["sop", "He opened the door.", "Then he went in."]);
    let scores: f64 = order[0]["output"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| label["score"].as_f64().expect("a score"))
        .sum();
    assert!((scores - 1.0).abs() < 1e-12, "{order:?}");
    let alike = answers(&["similarity", "a dog", "--pair", "a dog"]);
    assert!((alike[0]["output"].as_f64().expect("a cosine") - 1.0).abs() < 1e-9);
}

/// The files that the program holds.
fn asset(path: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    std::fs::read(folder.join(path)).expect(path)
}

/// A folder with files of `assets/demo` and one more.
fn demo_with(files: &[&str], name: &str, contents: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        std::fs::write(folder.path().join(file), asset(&format!("demo/{file}"))).expect("written");
    }
    std::fs::write(folder.path().join(name), contents).expect("written");
    folder
}

/// The header of a safetensors file, and what lies behind it.
fn parts(file: &[u8]) -> (serde_json::Map<String, Value>, &[u8]) {
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let (header, data) = rest.split_at(length as usize);
    (serde_json::from_slice(header).expect("a header"), data)
}

/// One file of the tensors of two; of one that both hold, the first file's.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let (mut header, data) = parts(first);
    let (more, behind) = parts(second);
    let mut data = data.to_vec();
    for (name, mut tensor) in more {
        if header.contains_key(&name) {
            continue;
        }
        let place = |i: usize| tensor["data_offsets"][i].as_u64().expect("a place") as usize;
        let start = data.len();
        data.extend_from_slice(&behind[place(0)..place(1)]);
        tensor["data_offsets"] = json!([start, data.len()]);
        header.insert(name, tensor);
    }
    let mut header = serde_json::to_vec(&header).expect("JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The demo is its folder, as any other model: weights, configuration and tokenizer.
#[test]
fn the_demo_answers_as_its_folder() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let demo = demo.to_str().expect("UTF-8");
    // Cleaning up takes the blanks out: "isn't", "here,".
    let text = "It is n't [MASK] here , IS it ?";
    let of = |arguments: &[&str], model: &[&str]| quiet(&[arguments, model, &["--json"]].concat());
    for arguments in [
        &["fill-mask", text, "The river flows into the [MASK]."][..],
        &["embed", text],
        &["sop", text, "She said so."],
    ] {
        assert_eq!(of(arguments, &[]), of(arguments, &["--model", demo]));
    }

    // The flag that the program has in place of tokenizer_config.json.
    let config = String::from_utf8(asset("demo/tokenizer_config.json")).expect("UTF-8");
    let key = "\"clean_up_tokenization_spaces\": true";
    assert!(config.contains(key));
    let other = config.replace(key, "\"clean_up_tokenization_spaces\": false");
    let files = ["config.json", "model.safetensors", "spiece.model"];
    let folder = demo_with(&files, "tokenizer_config.json", other.as_bytes());
    let model = ["--model", folder.path().to_str().expect("UTF-8")];
    let fill = ["fill-mask", text];
    assert_ne!(of(&fill, &[]), of(&fill, &model));
}

/// The classifier takes tensors and the tokenizer of the language model.
#[test]
fn the_demo_of_sentiment_answers_as_one_folder() {
    let whole = joined(
        &asset("sentiment/model.safetensors"),
        &asset("demo/model.safetensors"),
    );
    let files = ["spiece.model", "tokenizer_config.json"];
    let folder = demo_with(&files, "model.safetensors", &whole);
    let config = folder.path().join("config.json");
    std::fs::write(config, asset("sentiment/config.json")).expect("written");
    let model = ["--model", folder.path().to_str().expect("UTF-8")];
    let arguments = [
        "classify",
        "A warm film.",
        "It is n't good .",
        "--top-k",
        "all",
        "--json",
    ];
    let (code, found, err) = run(&[&arguments[..], &model].concat());
    assert_eq!(code, 0, "{err}");
    assert_eq!(quiet(&arguments), found);
}

#[test]
fn a_task_without_a_demo_names_the_model_that_it_needs() {
    for (arguments, task) in [
        (&["tag", "x"][..], "token classification"),
        (&["answer", "x", "--context", "y"], "question answering"),
        (&["choose", "x", "--choice", "y"], "multiple choice"),
        (
            &["classify", "x", "--labels", "a,b"],
            "natural-language inference",
        ),
    ] {
        refused(arguments, 1, &["no model", "--model DIR", task]);
    }
}

#[test]
fn a_model_without_the_head_is_refused_with_what_it_holds() {
    let answer = task_model("answer");
    for (verb, class) in [
        ("fill-mask", "AlbertForMaskedLM"),
        ("classify", "AlbertForSequenceClassification"),
        ("sentence-order", "AlbertForPreTraining"),
    ] {
        let texts = ["a [MASK]", "b"];
        let texts = &texts[..if verb == "sentence-order" { 2 } else { 1 }];
        let arguments = [&[verb], texts, &["--model", &answer]].concat();
        refused(&arguments, 1, &[class, "AlbertForQuestionAnswering"]);
    }
}

/// The tensors of the three classifiers fit one another; the configuration tells which one was trained.
#[test]
fn a_classifier_of_another_task_is_refused() {
    refused(
        &["tag", "x", "--model", &task_model("choose")],
        1,
        &[
            "AlbertForTokenClassification",
            "found AlbertForMultipleChoice",
        ],
    );
    refused(
        &[
            "choose",
            "x",
            "--choice",
            "y",
            "--model",
            &task_model("three"),
        ],
        1,
        &["AlbertForMultipleChoice"],
    );
}

#[test]
fn long_texts_are_refused_cut_or_read_in_windows() {
    let text = "the river ".repeat(200);
    let three = task_model("three");
    let classify = ["classify", &text, "--model", &three];
    refused(
        &classify,
        1,
        &["argument 1", "at most 128 tokens", "--long"],
    );
    let cut = answers(&[&classify[..], &["--long", "truncate"]].concat());
    assert_eq!(cut[0]["truncated"], true);
    let slid = answers(&[&classify[..], &["--long", "slide"]].concat());
    assert_eq!(slid[0]["truncated"], false);
    assert_eq!(slid[0]["tokens"], cut[0]["tokens"]);
    // Windows of a text that repeats itself say what its beginning says, but for their ends.
    let score = |answer: &Value| answer["output"][0]["score"].as_f64().expect("a score");
    assert!((score(&slid[0]) - score(&cut[0])).abs() < 0.1);

    let choose = task_model("choose");
    let slide = [
        "choose", "x", "--choice", "y", "--model", &choose, "--long", "slide",
    ];
    refused(&slide, 2, &["error or truncate", "multiple choice"]);

    let masked = format!("{text} [MASK] {text} [MASK] {text}");
    let filled = answers(&["fill-mask", &masked, "--long", "slide", "--top-k", "1"]);
    assert_eq!(filled[0]["output"].as_array().map(Vec::len), Some(2));
    let sequence = filled[0]["output"][1][0]["sequence"]
        .as_str()
        .expect("a text");
    assert!(sequence.len() > 6000, "the whole text is shown");
}

/// A text that fits gives the same bits whatever is done with longer ones.
#[test]
fn windows_do_not_change_what_fits() {
    let tags = task_model("tags");
    let text = "She was in Paris and Rome, and he was at home.";
    let slide = quiet(&["tag", text, "--model", &tags, "--json"]);
    for long in ["error", "truncate", "slide"] {
        let other = quiet(&["tag", text, "--model", &tags, "--json", "--long", long]);
        assert_eq!(other, slide);
    }
}

/// Answers of windows are joined: every token of a long text is labelled once, in order.
#[test]
fn every_token_of_a_long_text_is_labelled_once() {
    let tags = task_model("tags");
    let text = "Paris is the capital of France. ".repeat(60);
    let arguments = ["tag", &text, "--model", &tags, "--aggregation", "none"];
    let answer = answers(&[&arguments[..], &["--ignore-labels", ""]].concat());
    let tokens = answer[0]["output"].as_array().expect("tokens");
    let number = |token: &Value, key: &str| token[key].as_u64().expect("a number");
    let indexes: Vec<u64> = tokens.iter().map(|token| number(token, "index")).collect();
    assert_eq!(indexes, (1..=tokens.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        answer[0]["tokens"].as_u64(),
        Some(tokens.len() as u64 + 2),
        "[CLS] and [SEP]"
    );
    for pair in tokens.windows(2) {
        assert!(
            number(&pair[0], "end") <= number(&pair[1], "start"),
            "{pair:?}"
        );
    }
}

#[test]
fn flags_that_do_not_fit_are_mistakes() {
    let three = task_model("three");
    let model = ["--model", three.as_str()];
    let with = |arguments: &[&'static str]| [arguments, &model[..]].concat();
    refused(
        &with(&["classify", "x", "--max-tokens", "999"]),
        2,
        &["--max-tokens", "to 128", "999"],
    );
    refused(&with(&["classify", "x", "--top-k", "0"]), 2, &["all"]);
    refused(
        &with(&["classify", "x", "--labels", "a", "--template", "no"]),
        2,
        &["{}"],
    );
    refused(
        &with(&["classify", "a", "b", "--pair", "c"]),
        2,
        &["--pair"],
    );
    for (flag, value) in [("--pair", "c"), ("--top-k", "2")] {
        refused(
            &with(&["classify", "x", "--labels", "a", flag, value]),
            2,
            &["cannot be used with", flag],
        );
    }
    refused(&["fill-mask", "[MASK]", "--targets", ""], 2, &["targets"]);
    refused(&["features", "x", "--layers", "0,99"], 2, &["0 to 4"]);
    refused(&["features", "x", "--layers", "first"], 2, &["all, last"]);
    refused(
        &["embed", "x", "--prompt-name", "query"],
        2,
        &["no prompts"],
    );
    refused(&["sentence-order", "only one"], 2, &["2"]);
    refused(&["similarity", "a", "b"], 2, &["without --pair"]);
    refused(
        &["embed", "a", "--dimensions", "999"],
        2,
        &["--dimensions", "1 to 384"],
    );
    refused(
        &["embed", "a", "--output", "a.csv"],
        2,
        &[".csv files are not written"],
    );
    refused(
        &["embed", "a", "--max-tokens", "2"],
        2,
        &["--max-tokens", "3"],
    );
    let wide = ["embed", "a", "--long", "slide", "--stride", "254"];
    refused(&wide, 2, &["--stride", "less than the 254"]);
    refused(&["fill-mask", "no mask here"], 1, &["argument 1", "[MASK]"]);
}

/// Numbers that no answer needs must not be allocated for, nor overflow.
#[test]
fn huge_numbers_mean_as_much_as_there_is() {
    let answer = task_model("answer");
    let of = |more: &[&str]| {
        let context = "The river is in the south.";
        let fixed = ["answer", "Where?", "--context", context, "--model", &answer];
        answers(&[&fixed[..], more].concat())
    };
    let all = of(&["--top-k", "100000"]);
    for huge in ["4611686018427387904", "18446744073709551615"] {
        assert_eq!(of(&["--top-k", huge]), all);
    }
    let longest = of(&["--max-answer-tokens", "1000"]);
    assert_eq!(
        of(&["--max-answer-tokens", "18446744073709551615"]),
        longest
    );
}

#[test]
fn layers_are_shown_by_their_numbers() {
    let out = quiet(&["features", "the river", "--layers", "1,4"]);
    let numbers: Vec<&str> = out.lines().filter_map(|l| l.split(' ').next()).collect();
    let (first, second) = numbers.split_at(numbers.len() / 2);
    assert!(
        first.iter().all(|n| *n == "1") && second.iter().all(|n| *n == "4"),
        "{out}"
    );
}

#[test]
fn windows_are_never_larger_than_asked_for() {
    let pair = [
        "classify",
        "a river",
        "--pair",
        "",
        "--long",
        "slide",
        "--max-tokens",
        "3",
    ];
    refused(&pair, 1, &["windows of 3 tokens"]);
}

/// Weights that are not numbers give no answer.
#[test]
fn damaged_weights_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = PathBuf::from(task_model("three"));
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(source.join(file), folder.path().join(file)).expect("copied");
    }
    // The tensors lie behind the header; all ones are no number in any floating-point type.
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("a model");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    bytes[8 + header as usize..].fill(0xff);
    std::fs::write(&path, bytes).expect("written");
    let folder = folder.path().to_str().expect("UTF-8");
    for verb in ["classify", "embed", "features"] {
        refused(
            &[verb, "the river", "--model", folder],
            1,
            &["finite numbers", "NaN"],
        );
    }
}

#[test]
fn a_pickle_loads_as_the_same_model() {
    // The same tensors twice: torch's file beside a configuration, and safetensors.
    let folder = tempfile::tempdir().expect("a folder");
    let source = PathBuf::from(task_model("three"));
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(source.join(file), folder.path().join(file)).expect("copied");
    }
    let torch = pipelines().join("three_pytorch_model.bin");
    std::fs::copy(torch, folder.path().join("pytorch_model.bin")).expect("copied");
    let folder = folder.path().to_str().expect("UTF-8");
    let text = "The river of Paris.";
    let of = |model: &str| {
        quiet(&[
            "classify", text, "--model", model, "--json", "--top-k", "all",
        ])
    };
    assert_eq!(of(folder), of(&task_model("three")));
}

#[test]
fn embeddings_follow_the_folder_unless_told_otherwise() {
    let model = task_model("st5-cls-max");
    let of = |more: &[&str]| {
        let answer = answers(&[&["embed", "the river", "--model", &model], more].concat());
        let vector = answer[0]["output"].as_array().expect("a vector").clone();
        vector
            .iter()
            .map(|x| x.as_f64().expect("a number"))
            .collect::<Vec<f64>>()
    };
    // [CLS] and the maximum, one behind the other.
    let both = of(&[]);
    let (cls, max) = (of(&["--pooling", "cls"]), of(&["--pooling", "max"]));
    assert_eq!(both, [cls.clone(), max].concat());
    let short = of(&["--pooling", "cls", "--dimensions", "3", "--normalize"]);
    let norm = cls[..3].iter().map(|x| x * x).sum::<f64>().sqrt();
    for (short, x) in short.iter().zip(&cls) {
        assert!((short - x / norm).abs() < 1e-6);
    }
    assert_eq!(short.len(), 3);
}
