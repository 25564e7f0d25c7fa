//! `albert convert`: the folder answers as its source does, whatever it was written as; refusals leave nothing behind.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name);
    text(
        &path
            .canonicalize()
            .unwrap_or_else(|error| panic!("{name}: {error}")),
    )
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn albert(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_albert"))
        .args(arguments)
        .env_remove("ALBERT_ISA")
        .output()
        .expect("the program starts")
}

/// Stdout of a run that succeeds and says nothing else.
#[track_caller]
fn quiet(arguments: &[&str]) -> String {
    let output = albert(arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        output.status.success() && stderr.is_empty(),
        "{arguments:?}: {stderr}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Stderr of a run that fails with this exit code.
#[track_caller]
fn failed(arguments: &[&str], code: i32) -> String {
    let output = albert(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("UTF-8")
}

const FORMATS: [&str; 5] = ["safetensors", "torch", "tf1", "h5", "flax"];

#[test]
fn every_format_answers_as_its_source() {
    let home = tempfile::tempdir().expect("a folder");
    let question = ["the capital of [MASK] is paris.", "--json", "--model"];
    let demo = fixture("demo");
    let ask = |folder: &str| quiet(&[&["fill-mask"], &question[..], &[folder]].concat());
    let expected = ask(&demo);
    let erf = std::fs::read_to_string(Path::new(&demo).join("config.json")).expect("config.json");
    for format in FORMATS {
        let folder = text(&home.path().join(format));
        if format == "tf1" && erf.contains("\"gelu\"") {
            continue;
        }
        let report = quiet(&["convert", &demo, &folder, "--to", format]);
        assert!(report.contains("equal bit for bit"), "{report}");
        assert_eq!(ask(&folder), expected, "{format}");
        let inspected = quiet(&["inspect", &folder]);
        assert!(
            inspected.contains("config and tensors agree"),
            "{inspected}"
        );
        let back = text(&home.path().join(format!("{format}-back")));
        quiet(&["convert", &folder, &back, "--to", "safetensors"]);
        let bytes =
            |folder: &str| std::fs::read(Path::new(folder).join("model.safetensors")).expect("it");
        assert_eq!(bytes(&back).len(), bytes(&demo).len(), "{format}");
        assert_eq!(ask(&back), expected, "{format} and back");
    }
}

/// What Google's programs leave behind answers as it is, without a conversion.
#[test]
fn googles_folders_are_read() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = fixture("dialects/google_classifier");
    let inspected = quiet(&["inspect", &folder]);
    for part in [
        "names        google-research/albert (TensorFlow 1)",
        "class        AlbertForSequenceClassification",
        "labels       LABEL_0, LABEL_1, LABEL_2",
        "activation   gelu_new",
        "config and tensors agree",
    ] {
        assert!(inspected.contains(part), "{part}: {inspected}");
    }
    let outputs = text(&home.path().join("out.safetensors"));
    let inputs = format!("{folder}/inputs.safetensors");
    quiet(&[
        "forward",
        "--model",
        &folder,
        "--inputs",
        &inputs,
        "--outputs",
        &outputs,
    ]);
    let said = failed(
        &[
            "forward",
            "--model",
            &fixture("dialects/google_race"),
            "--inputs",
            &inputs,
            "--outputs",
            &outputs,
        ],
        1,
    );
    assert!(said.contains("--class"), "{said}");
}

#[test]
fn the_report() {
    let home = tempfile::tempdir().expect("a folder");
    let source = fixture("dialects/google_pretraining");
    let folder = text(&home.path().join("keras"));
    let report = quiet(&["convert", &source, &folder, "--to", "h5", "--tensors"]);
    for part in [
        "class      AlbertForPreTraining",
        "from       google-research/albert (TensorFlow 1)",
        "to         transformers (TensorFlow)",
        "ignored    ",
        "left out   albert_config.json: config.json says the same",
        "bert/pooler/dense/kernel -> albert/pooler/kernel [8, 8]",
        "cls/predictions/output_bias -> predictions/decoder/bias [24]",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let json = quiet(&[
        "convert",
        &folder,
        &text(&home.path().join("back")),
        "--to",
        "torch",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&json).expect("one JSON value");
    assert_eq!(report["class"], "AlbertForPreTraining");
    assert_eq!(report["check"]["outputs"][0][0], "prediction_logits");
    assert!(
        report["repeated"]
            .as_array()
            .is_some_and(|list| list.len() >= 5)
    );
}

#[test]
fn refusals() {
    let home = tempfile::tempdir().expect("a folder");
    let there = text(&home.path().join("there"));
    let demo = fixture("demo");
    for (arguments, code, parts) in [
        (vec!["convert", &demo, &there], 2, vec!["--to"]),
        (
            vec!["convert", &demo, &there, "--to", "onnx"],
            2,
            vec!["onnx", "safetensors"],
        ),
        (
            vec!["convert", "nowhere", &there, "--to", "h5"],
            1,
            vec!["nowhere"],
        ),
        (
            vec!["convert", &demo, &demo, "--to", "h5"],
            1,
            vec!["apart"],
        ),
        (
            vec!["convert", &fixture("quantized"), &there, "--to", "h5"],
            1,
            vec!["floating point"],
        ),
        (
            vec![
                "convert",
                &fixture("model/two_biases"),
                &there,
                "--to",
                "flax",
            ],
            1,
            vec!["--mlm-bias"],
        ),
        (
            vec![
                "convert",
                &demo,
                &there,
                "--to",
                "h5",
                "--class",
                "AlbertForQuestionAnswering",
            ],
            1,
            vec!["qa_outputs", "AlbertForQuestionAnswering"],
        ),
        // Verbs that keep names want PyTorch's.
        (
            vec!["quantize", &fixture("dialects/keras_masked_lm"), &there],
            1,
            vec!["TensorFlow", "albert convert"],
        ),
    ] {
        let said = failed(&arguments, code);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(
            std::fs::read_dir(home.path()).expect("it").count(),
            0,
            "{arguments:?}"
        );
    }
    std::fs::create_dir(&there).expect("made");
    std::fs::write(home.path().join("there/file"), "").expect("written");
    let said = failed(&["convert", &demo, &there, "--to", "h5"], 1);
    assert!(said.contains("new or empty"), "{said}");
    assert_eq!(std::fs::read_dir(&there).expect("it").count(), 1);
}
