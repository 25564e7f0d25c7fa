//! What needs no TensorFlow: a library that is not there is reported with the way to get one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo builds examples beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/…/deps/test");
    profile
        .join("examples/tf_albert")
        .with_extension(std::env::consts::EXE_EXTENSION)
}

/// The example with this library.
fn run(library: &Path) -> Output {
    let fixtures = albert_testing::fixtures();
    Command::new(example())
        .arg(fixtures.join("demo"))
        .env(albert_tensorflow::VARIABLE, library)
        .output()
        .unwrap_or_else(|error| panic!("{error}; `cargo test` builds the examples"))
}

#[track_caller]
fn refused(library: &Path, parts: &[&str]) {
    let output = run(library);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn no_library() {
    let scratch = tempfile::tempdir().expect("a folder");
    let nothing = scratch.path().join("nothing");
    let advice = "`pip install tensorflow-cpu` brings one";
    refused(
        &nothing,
        &[
            "ALBERT_TENSORFLOW_LIBRARY: expected",
            "found nothing at",
            advice,
        ],
    );
    refused(scratch.path(), &["found a folder without one", advice]);
    let text = scratch.path().join("libtensorflow.so.2");
    std::fs::write(&text, "no library").expect("written");
    refused(
        &text,
        &[
            "found what the system cannot load",
            "libtensorflow.so.2",
            advice,
        ],
    );
}

#[test]
fn unsafe_code_has_one_address() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = std::fs::read_dir(sources).expect("src/");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let holds = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("a source");
        text.contains("unsafe {") || text.contains("unsafe impl") || text.contains("allow(unsafe")
    };
    let found: Vec<PathBuf> = files.filter(holds).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("library.rs"), "{found:?}");
}
