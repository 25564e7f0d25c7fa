//! Attacks on the structures of HDF5, those with checksums too: each ends with an answer in bounded time and memory.

use super::read;
use crate::{FormatError, contents::Contents, positional::Source, trust::trust};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/containers");
    fs::read(folder.join(name)).expect("a fixture")
}

fn open(bytes: Vec<u8>) -> Result<Contents, FormatError> {
    let length = bytes.len() as u64;
    read(&Source::Memory(bytes.into()), length, Path::new("model.h5"))
}

/// Where `pattern` stands, each time.
fn places(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(pattern.len()).enumerate();
    windows
        .filter(|(_, window)| *window == pattern)
        .map(|(at, _)| at)
        .collect()
}

/// Puts `value` at `offset` after each place of `pattern` in turn; each file must be refused with one of `parts`.
#[track_caller]
fn refused(name: &str, pattern: &[u8], offset: usize, value: &[u8], parts: &[&str]) {
    trust();
    let bytes = fixture(name);
    let places = places(&bytes, pattern);
    assert!(!places.is_empty());
    for place in places {
        let mut bytes = bytes.clone();
        bytes[place + offset..place + offset + value.len()].copy_from_slice(value);
        let begin = Instant::now();
        let error = match open(bytes) {
            Ok(_) => panic!("accepted: {name} {place}"),
            Err(error) => error.to_string(),
        };
        assert!(begin.elapsed() < Duration::from_secs(20), "{error}");
        assert!(error.contains("model.h5"), "{error}");
        assert!(
            parts.iter().any(|part| error.contains(part)),
            "{place}: {error}"
        );
    }
}

const FAR: [u8; 8] = (1_u64 << 62).to_le_bytes();
const NONE: [u8; 8] = [0xff; 8];

#[test]
fn heaps_and_trees_of_the_older_form() {
    const OLD: &str = "h5_types.h5";
    refused(OLD, b"HEAP", 8, &FAR, &["local heap at byte"]);
    refused(OLD, b"HEAP", 24, &FAR, &["local heap at byte"]);
    refused(OLD, b"HEAP", 24, &NONE, &["lacks a local heap"]);
    refused(
        OLD,
        b"HEAP",
        8,
        &1_u64.to_le_bytes(),
        &["beyond the end of its heap"],
    );
    refused(OLD, b"TREE", 4, &[1], &["does not belong there"]);
    refused(OLD, b"TREE", 5, &[1], &["there is no B-tree at byte"]);
    refused(OLD, b"TREE", 5, &[200], &["does not belong there"]);
    refused(
        OLD,
        b"TREE",
        6,
        &[0xff; 2],
        &["B-tree at byte", "node of a group"],
    );
    refused(OLD, b"TREE", 32, &FAR, &["node of a group at byte"]);
    refused(
        OLD,
        b"SNOD",
        6,
        &[0xff; 2],
        &[
            "node of a group",
            "its heap",
            "is empty",
            "no object header",
            "two names",
            "cut short",
            "object header",
        ],
    );
    // Names and headers of the first symbol.
    refused(OLD, b"SNOD", 8, &FAR, &["beyond the end of its heap"]);
    refused(OLD, b"SNOD", 16, &FAR, &["object header at byte"]);
    refused("h5_many.h5", b"GCOL", 8, &FAR, &["global heap at byte"]);
    refused("h5_many.h5", b"GCOL", 24, &FAR, &["its global heap"]);
}

/// A tree whose root is its own child, and messages that go on in themselves.
#[test]
fn loops() {
    trust();
    let bytes = fixture("h5_types.h5");
    for place in places(&bytes, b"TREE") {
        let mut bytes = bytes.clone();
        bytes[place + 5] = 1;
        bytes[place + 32..place + 40].copy_from_slice(&(place as u64).to_le_bytes());
        let error = open(bytes).map(|_| ()).expect_err("a loop").to_string();
        assert!(error.contains("does not belong there"), "{error}");
    }
    let bytes = fixture("h5_many.h5");
    let found = places(&bytes, &[0x10, 0, 0x10, 0, 0, 0, 0, 0]);
    assert!(!found.is_empty(), "headers in several blocks");
    for place in found {
        let mut bytes = bytes.clone();
        bytes[place + 8..place + 16].copy_from_slice(&(place as u64).to_le_bytes());
        bytes[place + 16..place + 24].copy_from_slice(&24_u64.to_le_bytes());
        let error = open(bytes).map(|_| ()).expect_err("a loop").to_string();
        assert!(error.contains("goes on more than 1024 times"), "{error}");
    }
}

#[test]
fn heaps_and_trees_of_the_newer_form() {
    const NEW: &str = "h5_many_latest.h5";
    let heap = |offset, value: &[u8], parts: &[&str]| refused(NEW, b"FRHP", offset, value, parts);
    heap(4, &[1], &["impossible sizes"]);
    heap(7, &[8, 0], &["is compressed"]);
    // Columns, first and largest block, bits, root and its rows.
    heap(110, &[0, 0], &["impossible sizes"]);
    heap(112, &[3, 0, 0, 0, 0, 0, 0, 0], &["impossible sizes"]);
    heap(112, &FAR, &["impossible sizes"]);
    heap(120, &FAR, &["impossible sizes"]);
    heap(128, &[0xff, 0xff], &["impossible sizes"]);
    heap(132, &FAR, &["fractal heap at byte"]);
    heap(132, &NONE, &["lacks a fractal heap", "is not there"]);
    let tree = |offset, value: &[u8], parts: &[&str]| refused(NEW, b"BTHD", offset, value, parts);
    tree(5, &[1], &["does not belong there"]);
    tree(6, &[1, 0, 0, 0], &["impossible nodes"]);
    tree(10, &[1, 0], &["does not belong there"]);
    tree(10, &[0xff; 2], &["impossible nodes"]);
    tree(12, &[0xff; 2], &["does not belong there"]);
    tree(
        12,
        &[2, 0],
        &["there is no B-tree node", "B-tree node at byte"],
    );
    tree(16, &FAR, &["B-tree node at byte"]);
    tree(
        24,
        &[0xff; 2],
        &["B-tree node at byte", "fractal heap", "object of"],
    );
    refused(NEW, b"OHDR", 4, &[3], &["object header"]);
    refused(
        "h5_chunked_latest.h5",
        b"FAHD",
        8,
        &FAR,
        &["does not fit the dataset"],
    );
    refused(
        "h5_chunked_latest.h5",
        b"FAHD",
        6,
        &[7],
        &["does not fit the dataset"],
    );
    refused(
        "h5_chunked_latest.h5",
        b"FAHD",
        16,
        &FAR,
        &["list of chunks at byte"],
    );
    refused(
        "h5_chunked_latest.h5",
        b"FADB",
        14,
        &FAR,
        &["lies beyond the file"],
    );
}

/// Any changes to files whose checksums are let pass.
#[test]
fn changed_structures_are_answered_in_time() {
    trust();
    let mut state = 7_u64;
    let mut below = move |end: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ((state >> 33) % end as u64) as usize
    };
    let mut accepted = 0;
    for name in [
        "h5_types_latest.h5",
        "h5_chunked_latest.h5",
        "h5_many_latest.h5",
        "h5_many.h5",
    ] {
        let original = fixture(name);
        // Structures and what is near them.
        let marks: Vec<usize> = [
            b"OHDR", b"FRHP", b"BTHD", b"BTLF", b"BTIN", b"FHDB", b"FHIB", b"FAHD", b"FADB",
            b"TREE", b"SNOD", b"HEAP",
        ]
        .iter()
        .flat_map(|mark| places(&original, *mark))
        .collect();
        for _ in 0..400 {
            let mut bytes = original.clone();
            for _ in 0..=below(3) {
                let at = (marks[below(marks.len())] + 4 + below(150)).min(bytes.len() - 9);
                let width = [1, 2, 4, 8][below(4)];
                let value = [
                    0,
                    1,
                    0x7f,
                    0xff,
                    0xffff,
                    1 << 31,
                    1 << 62,
                    u64::MAX,
                    below(bytes.len()) as u64,
                ][below(9)];
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            let begin = Instant::now();
            match open(bytes) {
                Ok(_) => accepted += 1,
                Err(error) => assert!(error.to_string().len() < 2000),
            }
            assert!(begin.elapsed() < Duration::from_secs(20));
        }
    }
    assert!(accepted > 0);
}
