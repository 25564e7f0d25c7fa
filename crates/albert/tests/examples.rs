//! The programs in `examples/` run and print what they are there to show.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of `fixtures/`.
fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name);
    assert!(folder.is_dir(), "{}", folder.display());
    folder.to_str().expect("UTF-8").to_owned()
}

/// Cargo builds examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/…/deps/test");
    profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

#[track_caller]
fn prints(name: &str, model: &str, words: &[&str], expected: &[&str]) {
    let output = Command::new(example(name))
        .arg(fixture(model))
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}; `cargo test` builds the examples"));
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {err}");
    for part in expected {
        assert!(out.contains(part), "{name}: {part:?} is not in\n{out}");
    }
}

#[test]
fn every_example_runs() {
    let mut names: Vec<String> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))
            .expect("examples/")
            .map(|entry| entry.expect("an entry").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
    names.sort();
    for name in &names {
        let model = |task: &str| format!("pipelines/models/{task}");
        let (model, words, expected): (String, &[&str], &[&str]) = match name.as_str() {
            // It takes no arguments and ignores these; `make readme` runs it too.
            "hidden_state" => ("demo".into(), &[], &["[2, 4, 32]"]),
            "answer" => (
                model("answer"),
                &["Where?", "In the south of Paris."],
                &[".."],
            ),
            "choose" => (
                model("choose"),
                &["A book.", "good", "long"],
                &["* ", "good", "long"],
            ),
            "classify" => (model("three"), &["the river"], &["neutral", "entailment"]),
            "embed" => (
                "demo".into(),
                &["the river", "the river", "a garden"],
                &["1.0000 the river"],
            ),
            "features" => ("demo".into(), &["the river"], &["[CLS]", "▁river", "[SEP]"]),
            "fill_mask" => ("demo".into(), &["the [MASK] is old"], &["is old"]),
            "sentence_order" => ("demo".into(), &["a b", "c d"], &["in order", "swapped"]),
            "tag" => (model("tags"), &["She was in Paris."], &["place"]),
            "zero_shot" => (
                model("three"),
                &["the river", "place", "book"],
                &["place", "book"],
            ),
            other => panic!("examples/{other}.rs has no test here"),
        };
        prints(name, &model, words, expected);
    }
    assert!(names.len() >= 10, "{names:?}");
}
