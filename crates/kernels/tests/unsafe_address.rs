//! `unsafe` has two addresses in this crate, and every use of it says why it is sound.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_only_in_arch_and_parallel() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut with_unsafe = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let uses = text
            .lines()
            .filter(|line| {
                !line.trim_start().starts_with("//")
                    && line
                        .split(|c: char| !c.is_alphanumeric())
                        .any(|word| word == "unsafe")
            })
            .count();
        if uses > 0 {
            with_unsafe.push(file.strip_prefix(&root).unwrap().display().to_string());
        }
    }
    assert!(!with_unsafe.is_empty(), "the search finds nothing at all");
    let strangers: Vec<_> = with_unsafe
        .iter()
        .filter(|f| !f.starts_with("arch") && *f != "parallel.rs")
        .collect();
    assert!(
        strangers.is_empty(),
        "unsafe outside arch/ and parallel.rs: {strangers:?}"
    );
}
