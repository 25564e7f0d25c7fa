//! `albert export`: files are written whole or not at all, and refusals say what is wrong. Their contents are tested where they
//! are made, and with the libraries that read them by tools/check_onnx.py
//! and tools/check_saved_model.py.

#[allow(dead_code, reason = "each file of tests uses a part")]
mod common;

use common::Home;

const TO: &str = "--to onnx --output model.onnx";

#[test]
fn a_file_is_written_and_described() {
    let home = Home::empty();
    let model = "export --model fixtures/model/masked_lm";
    let described = home.done(&format!("{model} {TO}"));
    let bytes = std::fs::metadata(home.path("model.onnx"))
        .expect("written")
        .len();
    let size = bytes as f64 / 1e6;
    assert_eq!(
        described,
        format!("model.onnx: AlbertForMaskedLM, opset 17, f32, {size:.2} MB\n")
    );
    assert_eq!(home.names("."), ["model.onnx"]);
    // The same model gives the same bytes.
    let before = std::fs::read(home.path("model.onnx")).expect("there");
    home.done(&format!("{model} {TO}"));
    assert_eq!(
        std::fs::read(home.path("model.onnx")).expect("there"),
        before
    );
    let base = home.done(&format!("{model} {TO} --class AlbertModel"));
    assert!(base.contains("AlbertModel"), "{base}");
    assert_ne!(
        std::fs::read(home.path("model.onnx")).expect("there"),
        before
    );
}

#[test]
fn a_quantised_folder_gives_whole_numbers_unless_asked_otherwise() {
    let home = Home::empty();
    home.done("quantize fixtures/demo q");
    let words = |dtype: &str| home.done(&format!("export --model q {TO}{dtype}"));
    let size = || {
        std::fs::metadata(home.path("model.onnx"))
            .expect("written")
            .len()
    };
    assert!(words("").contains("int8"));
    let automatic = size();
    assert!(words(" --dtype int8").contains("int8"));
    assert_eq!(size(), automatic);
    assert!(words(" --dtype int8-weights").contains("int8"));
    assert!(words(" --dtype f32").contains("f32"));
    assert!(size() > automatic);
}

#[test]
fn of_two_biases_the_flag_chooses() {
    let home = Home::empty();
    let model = "export --model fixtures/model/two_biases --to onnx --output";
    let (code, _, note) = home.run(&format!("{model} decoder.onnx"));
    assert_eq!(code, Some(0), "{note}");
    assert!(note.starts_with("note: predictions.bias and"), "{note}");
    home.done(&format!("{model} google.onnx --google-mlm-bias"));
    let read = |name: &str| std::fs::read(home.path(name)).expect("written");
    assert_ne!(read("decoder.onnx"), read("google.onnx"));
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_nothing() {
    let home = Home::empty();
    let refused = |arguments: &str, code: i32, words: &[&str]| {
        home.refused(arguments, code, words);
        assert!(!home.path("model.onnx").exists(), "{arguments}");
    };
    let masked_lm = "export --model fixtures/model/masked_lm";
    refused(
        &format!("export --model none {TO}"),
        1,
        &["none", "no such file or folder"],
    );
    refused(masked_lm, 2, &["--to", "--output"]);
    refused(
        &format!("{masked_lm} --to tflite --output model.onnx"),
        2,
        &["tflite", "onnx"],
    );
    refused(
        &format!("{masked_lm} {TO} --class BertModel"),
        2,
        &["AlbertForMaskedLM"],
    );
    refused(
        &format!("{masked_lm} {TO} --class AlbertForQuestionAnswering"),
        1,
        &["qa_outputs.weight", "AlbertForMaskedLM"],
    );
    refused(
        &format!(
            "export --model fixtures/model/token_classification {TO} --class AlbertForSequenceClassification"
        ),
        1,
        &["AlbertForTokenClassification"],
    );
    refused(
        &format!("{masked_lm} --to onnx --output none/model.onnx"),
        1,
        &["none/model.onnx"],
    );
}

#[test]
fn a_saved_model_is_a_new_folder() {
    let home = Home::empty();
    let to = "--to saved-model --output saved";
    let export = format!("export --model fixtures/model/masked_lm {to}");
    home.refused(&format!("{export} --dtype int8"), 1, &["f32"]);
    assert!(!home.path("saved").exists());
    let described = home.done(&export);
    assert!(
        described.starts_with("saved: AlbertForMaskedLM, 28 variables, f32, "),
        "{described}"
    );
    assert_eq!(home.names("saved"), ["saved_model.pb", "variables"]);
    home.refused(&export, 1, &["saved", "empty"]);
}
