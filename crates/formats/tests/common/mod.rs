//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part")]

use albert_formats::{Checkpoint, Dtype, FormatError, TensorSink, TensorSpec, write_safetensors};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

pub(crate) mod torch;

/// A file with this header and these data.
pub(crate) fn file(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    let header = header.as_ref();
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// Writes `bytes` to a file and opens it.
pub(crate) fn open(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).expect("written");
    Checkpoint::open(&path)
}

/// The messages of an error and its sources, as a program would show them.
pub(crate) fn message(error: &FormatError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Asserts that the result is an error whose messages hold each of `parts`.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, FormatError>, parts: &[&str]) {
    let Err(error) = result else {
        panic!("accepted, but {parts:?} was expected");
    };
    let text = message(&error);
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing from: {text}");
    }
    assert!(text.len() < 2000, "{} bytes of message: {text}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// No metadata.
pub(crate) fn nothing() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// A tensor to write.
pub(crate) fn spec<'a>(name: &'a str, dtype: Dtype, shape: &'a [usize]) -> TensorSpec<'a> {
    TensorSpec { name, dtype, shape }
}

/// Writes one tensor.
pub(crate) fn write_one(
    path: &Path,
    spec: TensorSpec<'_>,
    mut fill: impl FnMut(&mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    write_safetensors(path, &nothing(), &[spec], |_, sink| fill(sink))
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name();
    let mut names: Vec<String> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A file of `fixtures/torch`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/torch");
    folder.join(name)
}

/// The names of all PyTorch files in `fixtures/torch`, without `.bin`.
pub(crate) fn fixtures() -> Vec<String> {
    let names = names(&fixture(""));
    let stem = |name: String| name.strip_suffix(".bin").map(str::to_owned);
    names.into_iter().filter_map(stem).collect()
}
