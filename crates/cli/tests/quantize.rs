//! `albert quantize` and `--dtype`: folders are written whole or not at all, the gate refuses, every verb runs them.
//! One file, because all of it runs the same verb on the same folders.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .canonicalize()
        .expect("fixtures/")
}

fn task(name: &str) -> String {
    text(&fixtures().join("pipelines/models").join(name))
}

fn demo() -> String {
    text(&fixtures().join("demo"))
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
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

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("written");
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
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
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albert"));
    command
        .args(arguments)
        .env_remove("ALBERT_ISA")
        .env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null());
    command
}

/// Exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = command(arguments).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code");
    (code, text(output.stdout), text(output.stderr))
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (code, out, err) = run(arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}\n{out}");
    out
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let (found, out, err) = run(arguments);
    assert_eq!(found, code, "{arguments:?}\n{out}\n{err}");
    for word in words {
        assert!(
            err.starts_with("error: ") && err.contains(word),
            "{arguments:?}: {word:?} is not in\n{err}"
        );
    }
    out
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

// ---------------------------------------------------------------------------------------------
// writing and using

#[test]
fn a_quantised_folder_is_used_as_any_other() {
    let home = Home::new();
    let int8 = home.path("int8");
    let out = done(&["quantize", &demo(), &int8]);
    for beginning in [
        "matrix ",
        "albert.embeddings.word_embeddings ",
        "predictions.dense ",
        "layer ",
        "embeddings ",
        "2 ",
    ] {
        assert!(
            out.lines().any(|line| line.starts_with(beginning)),
            "{beginning}: {out}"
        );
    }
    assert_eq!(home.names(), ["int8"]);
    // Its precision is its own unless another one is asked for.
    let fill = ["fill-mask", "the [MASK] of Paris", "--model", &int8, "-v"];
    for (flags, precision) in [
        (&[][..], "int8"),
        (&["--dtype", "auto"], "int8"),
        (&["--dtype", "f32"], "f32"),
        (&["--dtype", "bf16"], "bf16"),
    ] {
        let (code, out, err) = run(&[&fill[..], flags].concat());
        assert!(code == 0 && out.lines().count() == 5, "{err}");
        assert!(
            err.lines()
                .next()
                .is_some_and(|line| line.contains(&format!(", {precision} on "))),
            "{err}"
        );
    }
    let (_, _, err) = run(&["fill-mask", "the [MASK]", "--model", &demo(), "-v"]);
    assert!(err.contains(", f32 on "), "{err}");
    let inspected = done(&["inspect", &int8]);
    assert!(
        inspected.contains("quantised    int8, version 1"),
        "{inspected}"
    );
    assert!(
        inspected.contains("lint         config and tensors agree"),
        "{inspected}"
    );
    assert!(done(&["inspect", &demo()]).contains("quantised    no"));
}

#[test]
fn quantising_on_the_fly_gives_what_the_folder_gives() {
    let home = Home::new();
    let int8 = home.path("int8");
    done(&["quantize", &demo(), &int8]);
    let embed = |flags: &[&str]| {
        let fixed = ["embed", "the river", "of Paris", "--json"];
        done(&[&fixed[..], flags].concat())
    };
    let stored = embed(&["--model", &int8]);
    assert_eq!(stored, embed(&["--model", &demo(), "--dtype", "int8"]));
    // The integers times their scales in f32 are other numbers: activations are not rounded.
    assert_ne!(stored, embed(&["--model", &int8, "--dtype", "f32"]));
    assert_ne!(stored, embed(&["--model", &demo()]));
}

#[test]
fn the_report_is_one_line_of_json_too() {
    let home = Home::new();
    let texts = home.file("texts.txt", "the river\n\nof Paris\n");
    let out = done(&[
        "quantize",
        &demo(),
        &home.path("int8"),
        "--text",
        &texts,
        "--json",
    ]);
    let value = json(out.trim_end());
    assert_eq!(
        (value["passed"].as_bool(), value["texts"].as_u64()),
        (Some(true), Some(2))
    );
    assert_eq!(value["evaluation"], Value::Null);
    let first = &value["matrices"][0];
    assert_eq!(first["name"], "albert.embeddings.word_embeddings.weight");
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!(
        number(&first["error"]) > 0.0 && number(&first["error"]) < 0.02,
        "{first}"
    );
    let layers = value["layers"].as_array().expect("layers");
    assert!(
        layers.len() == 3
            && layers
                .iter()
                .all(|layer| number(&layer["relative_rms"]) < 0.1)
    );
    assert!(number(&value["file_bytes"]) < number(&value["source_bytes"]));
}

#[test]
fn every_verb_takes_a_dtype() {
    let home = Home::new();
    let inputs = text(&fixtures().join("model/masked_lm/inputs.safetensors"));
    let masked = text(&fixtures().join("model/masked_lm"));
    let (demo, three, tags, answer, choose) = (
        demo(),
        task("three"),
        task("tags"),
        task("answer"),
        task("choose"),
    );
    let outputs = home.path("out.safetensors");
    let verbs: [&[&str]; 11] = [
        &["fill-mask", "the [MASK]", "--model", &demo],
        &["classify", "the river", "--model", &three],
        &["tag", "the river", "--model", &tags],
        &[
            "answer",
            "who?",
            "--context",
            "She was in Paris.",
            "--model",
            &answer,
        ],
        &[
            "choose", "She", "--choice", "was", "--choice", "reads", "--model", &choose,
        ],
        &["sentence-order", "the river", "of Paris", "--model", &demo],
        &["features", "the river", "--model", &demo],
        &["embed", "the river", "--model", &demo],
        &[
            "similarity",
            "the river",
            "--pair",
            "of Paris",
            "--model",
            &demo,
        ],
        &[
            "forward",
            "--model",
            &masked,
            "--inputs",
            &inputs,
            "--outputs",
            &outputs,
        ],
        &[
            "bench",
            "forward",
            "--model",
            &demo,
            "--seq",
            "3",
            "--iterations",
            "1",
        ],
    ];
    for verb in verbs {
        for dtype in ["auto", "f32", "bf16", "int8"] {
            done(&[verb, &["--dtype", dtype]].concat());
        }
        refused(
            &[verb, &["--dtype", "f16"]].concat(),
            2,
            &["invalid value 'f16' for '--dtype"],
        );
    }
    // The models inside the program too.
    done(&["classify", "A warm film.", "--dtype", "int8"]);
}

// ---------------------------------------------------------------------------------------------
// the gate

/// Runs the gate for a model on a file of examples and returns the names of its measures.
#[track_caller]
fn measures(model: &str, name: &str, contents: &str, flags: &[&str]) -> Vec<String> {
    let home = Home::new();
    let (file, int8) = (home.file(name, contents), home.path("int8"));
    let wide = ["quantize", model, &int8, "--evaluate", &file, "--json"];
    let loose = ["--max-drop", "100", "--max-loss-rise", "9"];
    let value = json(done(&[&wide[..], &loose, flags].concat()).trim_end());
    assert_eq!(home.names(), [name, "int8"]);
    let changes = value["evaluation"]["changes"].as_array().expect("changes");
    assert!(
        changes.iter().all(|change| change["passed"] == true),
        "{changes:?}"
    );
    changes
        .iter()
        .map(|change| change["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn every_task_is_measured() {
    let pairs = "sentence\tlabel\nthe river\tneutral\nof Paris\tentailment\nShe reads\t1\n";
    assert_eq!(
        measures(&task("three"), "dev.tsv", pairs, &[]),
        ["accuracy"]
    );
    let values =
        "sentence1,sentence2,score\nthe river,a river,4.5\nof Paris,a book,0.5\nShe,He,2\n";
    assert_eq!(
        measures(&task("regression"), "dev.csv", values, &[]),
        ["pearson", "spearman"]
    );
    let columns = ["--no-header", "--columns", "text=2,label=1"];
    assert_eq!(
        measures(
            &task("three"),
            "dev.tsv",
            "0\tthe river\n2\tof Paris\n",
            &columns
        ),
        ["accuracy"]
    );
    let tags = tag_lines();
    assert_eq!(
        measures(&task("tags"), "dev.conll", &tags, &[])[0],
        "accuracy"
    );
    let words = "{\"words\": [\"the\", \"river\"], \"labels\": [\"O\", \"0\"]}\n";
    assert_eq!(measures(&task("tags"), "dev.jsonl", words, &[]).len(), 2);
    let squad = r#"{"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "The river is in the south.",
        "qas": [{"id": "1", "question": "Where?", "answers": [{"text": "in the south", "answer_start": 13}]},
                {"id": "2", "question": "Who?", "answers": [], "is_impossible": true}]}]}]}"#;
    assert_eq!(
        measures(&task("answer"), "dev.json", squad, &[]),
        ["exact match", "f1"]
    );
    let lines = "{\"question\": \"Where?\", \"context\": \"The river is in the south.\", \"answers\": [\"south\"]}\n";
    assert_eq!(
        measures(&task("answer"), "dev.jsonl", lines, &[]),
        ["exact match", "f1"]
    );
    // Numbers may be numbers.
    let numbers =
        "{\"text\": \"the river\", \"label\": 1}\n{\"text\": \"of Paris\", \"label\": 2.0}\n";
    assert_eq!(
        measures(&task("three"), "dev.jsonl", numbers, &[]),
        ["accuracy"]
    );
    let scores =
        "{\"text\": \"the river\", \"score\": 1.5}\n{\"text\": \"of Paris\", \"score\": -2}\n";
    assert_eq!(
        measures(&task("regression"), "dev.jsonl", scores, &[]).len(),
        2
    );
    let words = "{\"tokens\": [\"the\", \"river\", \"Paris\"], \"ner_tags\": [0, 0, 1]}\n";
    assert_eq!(measures(&task("tags"), "dev.jsonl", words, &[]).len(), 2);
    let cells = "tokens\tner_tags\n[\"the\", \"river\"]\t[0, 1]\n";
    assert_eq!(measures(&task("tags"), "dev.tsv", cells, &[]).len(), 2);
    let choose = "{\"text\": \"A river.\", \"choices\": [\"is old\", \"reads\"], \"label\": 1}\n";
    assert_eq!(
        measures(&task("choose"), "dev.jsonl", choose, &[]),
        ["accuracy"]
    );
    let race = "{\"article\": \"A river.\", \"question\": \"It\", \"options\": [\"is old\", \"reads\"], \"answer\": \"B\"}\n";
    assert_eq!(
        measures(&task("choose"), "dev.jsonl", race, &[]),
        ["accuracy"]
    );
    let texts = "the river is in the south of France\n\nShe was in Paris and reads a good book\n";
    assert_eq!(
        measures(&demo(), "dev.txt", texts, &[]),
        ["loss", "accuracy"]
    );
}

fn tag_lines() -> String {
    "She\tO\nwas\tO\n\nParis\tB-place\n".to_owned()
}

#[test]
fn answers_that_became_worse_than_allowed_are_refused_and_nothing_is_written() {
    let home = Home::new();
    let pairs = "sentence\tlabel\nthe river\tneutral\nof Paris\tentailment\n";
    let (file, int8) = (home.file("dev.tsv", pairs), home.path("int8"));
    let model = task("three");
    // No quantised model is better by 100 points and more.
    let gate = [
        "quantize",
        &model,
        &int8,
        "--evaluate",
        &file,
        "--max-drop",
        "-101",
    ];
    let out = refused(
        &gate,
        1,
        &[
            "int8 was not written",
            "accuracy went from",
            "must rise by at least 101.00 (--max-drop)",
        ],
    );
    assert!(
        out.contains("2 examples") && out.contains("refused") && out.contains("not written: "),
        "{out}"
    );
    assert_eq!(home.names(), ["dev.tsv"]);
    let out = refused(&[&gate[..], &["--json"]].concat(), 1, &["was not written"]);
    assert_eq!(json(out.trim_end())["passed"], false);
    assert_eq!(home.names(), ["dev.tsv"]);
    // What was there before stays.
    done(&["quantize", &model, &int8]);
    let bytes = std::fs::read(home.path("int8/model.safetensors")).expect("it");
    refused(&[&gate[..], &["--force"]].concat(), 1, &["was not written"]);
    assert_eq!(
        std::fs::read(home.path("int8/model.safetensors")).expect("it"),
        bytes
    );
    assert_eq!(home.names(), ["dev.tsv", "int8"]);

    let texts = home.file("texts.txt", "the river is in the south of France\n");
    let demo = demo();
    let other = home.path("other");
    let loss = [
        "quantize",
        &demo,
        &other,
        "--evaluate",
        &texts,
        "--max-loss-rise",
        "-100",
        "--max-drop",
        "100",
    ];
    refused(&loss, 1, &["loss went from", "(--max-loss-rise)"]);
    // A correlation of constants is none.
    let constant = home.file("same.tsv", "sentence\tlabel\nthe river\t1\nof Paris\t1\n");
    let regression = task("regression");
    let measured = ["quantize", &regression, &other, "--evaluate", &constant];
    refused(&measured, 1, &["pearson is not defined for these examples"]);
    // Of classes too.
    let two = changed("pipelines/models/three", |name, shape, values| {
        if name.starts_with("classifier.") {
            values.truncate(values.len() / 3 * 2);
            shape[0] = 2;
        }
    });
    let config = two.path().join("config.json");
    let mut value = json(&std::fs::read_to_string(&config).expect("it"));
    value["id2label"] = serde_json::json!({ "0": "no", "1": "yes" });
    value["label2id"] = serde_json::json!({ "no": 0, "yes": 1 });
    std::fs::write(config, value.to_string()).expect("written");
    let one = home.file(
        "one.tsv",
        "sentence\tlabel\nthe river\tyes\nof Paris\tyes\n",
    );
    let two = text(two.path());
    let gate = [
        "quantize",
        &two,
        &other,
        "--evaluate",
        &one,
        "--max-drop",
        "100",
    ];
    let out = refused(&gate, 1, &["matthews is not defined for these examples"]);
    assert!(
        out.lines()
            .any(|line| line.starts_with("matthews ") && line.ends_with("refused")),
        "{out}"
    );
}

/// A folder of the fixtures with other tensors, in F32.
fn changed(
    source: &str,
    change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>),
) -> tempfile::TempDir {
    use albert_formats::{Checkpoint, Dtype, TensorSpec, write_safetensors};
    let source = fixtures().join(source);
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(&source).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, folder.path().join(name)).expect("copied");
        }
    }
    let checkpoint = Checkpoint::open(&source).expect("a checkpoint");
    let mut tensors = std::collections::BTreeMap::new();
    for info in checkpoint.tensors() {
        let mut values = vec![0.0; info.elements()];
        checkpoint.read_f32(info, 0, &mut values).expect("numbers");
        let mut shape = info.shape.clone();
        change(&info.name, &mut shape, &mut values);
        tensors.insert(info.name.clone(), (shape, values));
    }
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .map(|(name, (shape, _))| TensorSpec {
            name,
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    let file = folder.path().join("model.safetensors");
    write_safetensors(&file, &[].into(), &specs, |spec, sink| {
        sink.write_f32(&tensors[spec.name].1)
    })
    .expect("written");
    folder
}

#[test]
fn outputs_that_are_not_finite_are_named() {
    let broken = changed("model/masked_lm", |name, _, values| {
        if name == "albert.embeddings.LayerNorm.bias" {
            values[0] = f32::NAN;
        }
    });
    let home = Home::new();
    let forward = |folder: &Path| {
        let inputs = text(&folder.join("inputs.safetensors"));
        let out = home.path("out.safetensors");
        run(&[
            "forward",
            "--model",
            &text(folder),
            "--inputs",
            &inputs,
            "--outputs",
            &out,
        ])
    };
    let (code, _, err) = forward(broken.path());
    assert_eq!(code, 0);
    assert!(
        err.starts_with("note: output ")
            && err.contains("output logits: ")
            && err.contains("not finite"),
        "{err}"
    );
    let (code, _, err) = forward(&fixtures().join("model/masked_lm"));
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn inspect_tells_what_loading_refuses() {
    let inspect = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let home = Home::new();
        let folder = home.path("int8");
        done(&["quantize", &demo(), &folder]);
        let file = home.path("int8/model.safetensors");
        let mut bytes = std::fs::read(&file).expect("it");
        let at = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from} is not there"));
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&file, bytes).expect("written");
        let out = done(&["inspect", &folder]);
        assert!(!out.contains("config and tensors agree"), "{out}");
        let lints: Vec<&str> = out
            .lines()
            .filter(|line| line.starts_with("lint "))
            .collect();
        lints.join("\n")
    };
    let scale = inspect("albert.pooler.weight_scale", "albert.pooler.weight_scalf");
    assert!(
        scale.contains("tensor albert.pooler.weight_scale of shape [32, 1] is not there, but albert.pooler.weight is I8"),
        "{scale}"
    );
    let shape = inspect("\"shape\":[87,1]", "\"shape\":[1,87]");
    assert!(
        shape.contains("word_embeddings.weight_scale: expected shape [87, 1]"),
        "{shape}"
    );
    let matrix = inspect("attention.key.weight\"", "attention.kez.weight\"");
    assert!(
        matrix.contains("attention.key.weight of shape [32, 32] is not there"),
        "{matrix}"
    );
    let layout = inspect("\"albert-int8\"", "\"albert-int7\"");
    assert!(layout.contains("quant_method \"albert-int7\""), "{layout}");
    assert!(done(&["inspect", &demo()]).contains(" kB as f32"));
}

#[test]
fn messages_about_examples_are_short_and_name_flags_that_are_there() {
    let home = Home::new();
    let three = task("three");
    let quantize = |file: &str| {
        let (code, _, err) = run(&["quantize", &three, &home.path("int8"), "--evaluate", file]);
        assert_eq!(code, 1);
        assert!(err.len() < 1000, "{} bytes", err.len());
        err
    };
    let long = "x".repeat(1_000_000);
    let err = quantize(&home.file("long.tsv", &format!("{long}\n")));
    assert!(
        err.contains("no column for `text`") && err.contains("xxx…\""),
        "{err}"
    );
    let err = quantize(&home.file("label.tsv", &format!("text\tlabel\na\t{long}\n")));
    assert!(err.contains("xxx…\""), "{err}");
    let file = home.path("bytes.tsv");
    std::fs::write(&file, b"text\tlabel\n\xff\t1\n").expect("written");
    let err = quantize(&file);
    assert!(
        err.contains("not UTF-8") && !err.contains("--on-error"),
        "{err}"
    );
    // A verb that has the flag says so.
    let (_, _, err) = run(&["classify", "--model", &three, "--input", &file]);
    assert!(
        err.contains("not UTF-8") && err.contains("--on-error skip"),
        "{err}"
    );
}

#[test]
fn tensors_that_nobody_knows_are_counted() {
    let source = changed("demo", |_, _, _| {});
    let file = source.path().join("model.safetensors");
    let bytes = std::fs::read(&file).expect("it");
    let size = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let mut header = json(std::str::from_utf8(&bytes[8..8 + size]).expect("UTF-8"));
    for i in 0..9 {
        header[format!("stranger.{i}.{}", "y".repeat(200))] =
            serde_json::json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
    }
    let header = header.to_string();
    let mut image = (header.len() as u64).to_le_bytes().to_vec();
    image.extend(header.as_bytes());
    image.extend(&bytes[8 + size..]);
    std::fs::write(&file, image).expect("written");
    let (code, _, err) = run(&["fill-mask", "the [MASK]", "--model", &text(source.path())]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("and 4 more, 9 in all") && err.len() < 600,
        "{err}"
    );
}

#[test]
fn wrong_examples_are_named_before_anything_is_written() {
    let home = Home::new();
    let int8 = home.path("int8");
    let check = |model: &str, name: &str, contents: &str, flags: &[&str], words: &[&str]| {
        let file = home.file(name, contents);
        refused(
            &[&["quantize", model, &int8, "--evaluate", &file], flags].concat(),
            1,
            words,
        );
        std::fs::remove_file(file).expect("removed");
        assert_eq!(home.names(), Vec::<String>::new());
    };
    let three = task("three");
    let unknown = "sentence\tlabel\nthe river\tneutral\nof Paris\tfilm\n";
    check(
        &three,
        "dev.tsv",
        unknown,
        &[],
        &[
            "line 3 of ",
            "\"film\"",
            "a label of the model (",
            "neutral",
        ],
    );
    check(
        &three,
        "dev.tsv",
        "sentence\ttopic\na\tb\n",
        &[],
        &["\"label\"", "topic"],
    );
    check(
        &three,
        "dev.tsv",
        "sentence\tlabel\n",
        &[],
        &["expected examples, found none"],
    );
    check(
        &task("regression"),
        "dev.tsv",
        "sentence\tlabel\na\tgood\n",
        &[],
        &["line 2 of ", "expected a number"],
    );
    check(
        &task("tags"),
        "dev.conll",
        "She O\nwas\n",
        &[],
        &["line 2 of ", "a word and its label"],
    );
    check(
        &task("answer"),
        "dev.json",
        "{}",
        &[],
        &["SQuAD's JSON", "--format jsonl"],
    );
    check(
        &three,
        "dev.tsv",
        unknown,
        &["--format", "conll"],
        &["none of token classification"],
    );
    let race =
        "{\"article\": \"A river.\", \"options\": [\"is old\", \"reads\"], \"answer\": \"C\"}\n";
    check(
        &task("choose"),
        "dev.jsonl",
        race,
        &[],
        &["line 1 of ", "2 choices", "\"C\""],
    );
    // One that is right, and too long for the task.
    let long = format!(
        "sentence\tlabel\nthe river\tneutral\n{}\tentailment\n",
        "of Paris ".repeat(400)
    );
    let file = home.file("dev.tsv", &long);
    done(&[
        "quantize",
        &three,
        &int8,
        "--evaluate",
        &file,
        "--max-drop",
        "100",
    ]);
    let base = text(&fixtures().join("model/model"));
    refused(
        &["quantize", &base, &int8, "--evaluate", &file],
        1,
        &["architectures", "AlbertModel"],
    );
    refused(
        &["quantize", &three, &int8, "--quotes"],
        2,
        &["give --evaluate FILE"],
    );
    refused(
        &["quantize", &three, &int8, "--max-drop", "1"],
        2,
        &["--evaluate <FILE>"],
    );
    refused(
        &["quantize", &three, &int8, "--examples", "3"],
        2,
        &["--evaluate <FILE>"],
    );
    refused(
        &["quantize", &three, &int8, "--max-drop", "nan"],
        2,
        &["expected a number"],
    );
}

// ---------------------------------------------------------------------------------------------
// refusals and interruptions

#[test]
fn sources_and_destinations_that_do_not_fit_are_refused() {
    let home = Home::new();
    let (demo, int8) = (demo(), home.path("int8"));
    done(&["quantize", &demo, &int8]);
    let file = home.file("file", "x");
    refused(
        &["quantize", &demo, &int8],
        1,
        &["new or empty folder", "--force"],
    );
    refused(
        &["quantize", &int8, &home.path("again")],
        1,
        &["quantised already"],
    );
    refused(
        &["quantize", &demo, &demo, "--force"],
        1,
        &["apart from the source"],
    );
    refused(
        &["quantize", &file, &home.path("a")],
        1,
        &["expected the folder of a model"],
    );
    refused(
        &["quantize", &demo, &home.path("no/such")],
        1,
        &["expected the folder ", "mkdir -p"],
    );
    refused(&["quantize", &demo], 2, &["<DESTINATION>"]);
    assert_eq!(home.names(), ["file", "int8"]);
    done(&["quantize", &demo, &int8, "--force"]);
    // What is not of the model is not removed.
    home.file("int8/thesis.txt", "mine");
    refused(
        &["quantize", &demo, &int8, "--force"],
        1,
        &["thesis.txt", "move it away"],
    );
    assert_eq!(home.names(), ["file", "int8"]);
    assert_eq!(
        std::fs::read(home.path("int8/thesis.txt")).expect("it"),
        b"mine"
    );
    // A folder without a tokenizer is written, but says what it could not compare.
    let plain = text(&fixtures().join("model/masked_lm"));
    let (code, _, err) = run(&["quantize", &plain, &home.path("plain")]);
    assert!(
        code == 0 && err.starts_with("note: hidden states are not compared: "),
        "{err}"
    );
}

#[cfg(unix)]
#[test]
fn a_write_that_fails_half_way_leaves_nothing() {
    let home = Home::new();
    let source = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(fixtures().join("demo").join(name), source.path().join(name))
            .expect("copied");
    }
    // The weights are written before it is found that this one leads nowhere.
    std::os::unix::fs::symlink("nowhere", source.path().join("vocab.txt")).expect("linked");
    let words = ["vocab.txt", "No such file"];
    refused(
        &["quantize", &text(source.path()), &home.path("int8")],
        1,
        &words,
    );
    assert_eq!(home.names(), Vec::<String>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_leaves_nothing() {
    let home = Home::new();
    let full = std::fs::File::create("/dev/full").expect("a device");
    let output = command(&["quantize", &demo(), &home.path("int8")])
        .stdout(full)
        .output()
        .expect("the program starts");
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(home.names(), Vec::<String>::new());
    // But who reads only its beginning gets the folder.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command(&["quantize", &demo(), &home.path("int8")])
        .stdout(writer)
        .output()
        .expect("the program starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(home.names(), ["int8"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_folder() {
    interrupted("-INT", 2);
    interrupted("-TERM", 15);
}

/// Where this test runs under `nohup` the program ignores the signal, as it should, and goes on to its end.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_leaves_no_folder() {
    let status = std::fs::read_to_string("/proc/self/status").expect("it");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(ignored.expect("a mask").trim(), 16).expect("a mask");
    if mask & 1 == 1 {
        eprintln!("not run: SIGHUP is ignored here (nohup)");
    } else {
        interrupted("-HUP", 1);
    }
}

#[cfg(unix)]
fn interrupted(flag: &str, signal: i32) {
    use std::os::unix::process::ExitStatusExt;
    let home = Home::new();
    let examples = tempfile::tempdir().expect("a folder");
    let file = examples.path().join("dev.txt");
    std::fs::write(
        &file,
        "the river is in the south of France\n".repeat(200_000),
    )
    .expect("written");
    let (demo, int8, file) = (demo(), home.path("int8"), text(&file));
    let mut child = command(&["quantize", &demo, &int8, "--evaluate", &file])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    while home.names().is_empty() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended early"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        home.names()[0].starts_with(".int8.albert-"),
        "{:?}",
        home.names()
    );
    let kill = Command::new("kill")
        .args([flag, &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    assert_eq!(child.wait().expect("the end").signal(), Some(signal));
    assert_eq!(home.names(), Vec::<String>::new());
}
