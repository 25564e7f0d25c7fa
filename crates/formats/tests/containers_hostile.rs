//! Damaged and malicious files of TensorFlow, HDF5 and Flax: each is refused by name, none crashes, loops or allocates much.

mod common;

use albert_formats::{Checkpoint, FormatError};
use common::{Numbers, container, message, read_all, refused};
use proptest::prelude::*;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn open(bytes: Vec<u8>) -> Result<Checkpoint, FormatError> {
    Checkpoint::from_bytes("model", bytes)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(container(name)).expect("a fixture")
}

/// Writes an index and data and opens them.
fn open_bundle(folder: &Path, index: &[u8], data: &[u8]) -> Result<Checkpoint, FormatError> {
    fs::write(folder.join("x.index"), index).expect("written");
    fs::write(folder.join("x.data-00000-of-00001"), data).expect("written");
    Checkpoint::open(&folder.join("x"))
}

const IN_MEMORY: [&str; 9] = [
    "h5_types.h5",
    "h5_types_latest.h5",
    "h5_chunked.h5",
    "h5_chunked_latest.h5",
    "h5_compact.h5",
    "keras.h5",
    "flax_types.msgpack",
    "flax_chunked.msgpack",
    "flax_model.msgpack",
];

/// What is cut, at any byte, is refused by name.
#[test]
fn every_truncation_is_refused() {
    for name in IN_MEMORY {
        let bytes = fixture(name);
        // The large files at some bytes only.
        let step = 1 + bytes.len() / 2048;
        for length in (0..bytes.len()).step_by(step) {
            let error = open(bytes[..length].to_vec()).expect_err("cut short");
            let text = message(&error);
            assert!(text.contains("model"), "{name} {length}: {text}");
            assert!(text.len() < 2000, "{name} {length}: {text}");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let index = fixture("tf_types.index");
    let data = fixture("tf_types.data-00000-of-00001");
    open_bundle(path, &index, &data).expect("valid");
    for length in 0..index.len() {
        let error = open_bundle(path, &index[..length], &data).expect_err("cut short");
        assert!(message(&error).contains("x.index"), "{length}: {error}");
    }
    for length in 0..data.len() {
        refused(
            open_bundle(path, &index, &data[..length]),
            &["x.data-00000-of-00001", "it was cut short"],
        );
    }
}

/// One flipped bit anywhere: never a panic, and what is accepted can be read.
#[test]
fn flipped_bits_never_panic() {
    let mut accepted = 0;
    for name in IN_MEMORY {
        let bytes = fixture(name);
        let step = 1 + bytes.len() / 2000;
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(checkpoint) = open(bytes) {
                accepted += 1;
                if bit % 5 == 0 {
                    read_all(&checkpoint);
                }
            }
        }
    }
    assert!(accepted > 0, "a flipped bit in a number is harmless");
    let folder = tempfile::tempdir().expect("a folder");
    let index = fixture("tf_types.index");
    let data = fixture("tf_types.data-00000-of-00001");
    for bit in 0..index.len() * 8 {
        let mut changed = index.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Checksums cover all but the footer.
        if let Ok(checkpoint) = open_bundle(folder.path(), &changed, &data) {
            assert!(bit / 8 >= index.len() - 48, "{bit}");
            read_all(&checkpoint);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several changes at once, numbers that lie among them: an answer in time.
    #[test]
    fn changed_files_are_answered_in_time(seed: u64) {
        let mut numbers = Numbers(seed);
        for name in IN_MEMORY {
            let bytes = numbers.mutate(&fixture(name));
            let begin = Instant::now();
            match open(bytes) {
                Ok(checkpoint) => read_all(&checkpoint),
                Err(error) => prop_assert!(message(&error).len() < 2000),
            }
            prop_assert!(begin.elapsed() < Duration::from_secs(20), "{name} {seed}");
        }
    }
}

/// MessagePack from pieces.
fn msgpack(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn flax() {
    // {"a": array of one byte}
    let one = b"\xc7\x0b\x01\x93\x91\x01\xa5uint8\xc4".as_slice();
    let valid = msgpack(&[
        b"\x81\xa1a",
        b"\xc7\x0c\x01\x93\x91\x01\xa5uint8\xc4\x01\x07",
    ]);
    let checkpoint = open(valid.clone()).expect("valid");
    let mut out = [0];
    let tensor = checkpoint.get("a").expect("listed");
    checkpoint.read_i64(tensor, 0, &mut out).expect("read");
    assert_eq!(out, [7]);
    for (bytes, parts) in [
        (
            msgpack(&[&valid, b"\0"]),
            ["its map ends at byte 18", "but it has 19 bytes"],
        ),
        (
            msgpack(&[b"\x82\xa1a", &valid[3..], b"\xa1a", &valid[3..]]),
            ["two arrays are named \"a\"", "model"],
        ),
        (
            msgpack(&[b"\x81\xa1a", one, b"\x02\x07"]),
            ["was cut short", "byte"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\xff\x01"]),
            ["tensor \"a\" in model", "255 bytes from byte 6 lie beyond"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc9\xff\xff\xff\xff\x01\0\0"]),
            ["4294967295 bytes from byte 9 lie beyond", "cut short"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\x0c\x01\x93\x91\x02\xa5uint8\xc4\x01\x07"]),
            ["shape [2] in U8 has 2", "it has 1 bytes"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\x0c\x01\x93\x91\x01\xa5uint7\xc4\x01\x07"]),
            ["of type \"uint7\"", "not known"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\x0c\x01\x93\x91\xff\xa5uint8\xc4\x01\x07"]),
            ["a size of its shape is Int(-1)", "tensor \"a\""],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\x0d\x01\x93\x91\x01\xa5uint8\xc4\x01\x07\0"]),
            ["ends at byte 19", "has 1"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc7\x03\x01\x92\x90\xa0"]),
            ["there is no array at byte 6", "tensor \"a\""],
        ),
        (
            msgpack(&[b"\x81\xa1a\xd4\x07\0"]),
            ["an extension of type 7", "expected an array"],
        ),
        (
            msgpack(&[b"\x81\xa1a\x01"]),
            ["its map holds no array", "model"],
        ),
        (
            msgpack(&[b"\x81\xa1a\xc1......"]),
            ["no value at byte 3, but 0xc1", "model"],
        ),
        (
            msgpack(&[b"\x82\xa1a\x01\x01\x01......"]),
            ["the key at byte 4 is not a text", "model"],
        ),
        (
            msgpack(&[b"\x81\xdb\xff\xff\xff\xff...."]),
            ["a key at byte 6 has 4294967295 bytes", "1024"],
        ),
        (
            msgpack(&[b"\xdf\xff\xff\xff\xff\xa1a\x01."]),
            ["the key at byte 8 is not a text", "model"],
        ),
        (
            msgpack(&[b"\x81\xa3\xff\xfe\xfd\x01......"]),
            ["a key at byte 2 is not UTF-8", "model"],
        ),
        (
            msgpack(&[&[0x81, 0xa1, b'a'].repeat(200), b"\x01"]),
            ["nested more than 32 deep", "model"],
        ),
        (
            msgpack(&[b"\x81\xa1a", &[0x91].repeat(200), b"\x01"]),
            ["nested more than 32 deep", "model"],
        ),
    ] {
        refused(open(bytes), &parts);
    }
    // Maps and lists of numbers end with the file, however many they say they have.
    let begin = Instant::now();
    let many = msgpack(&[b"\x81\xa1a\xdd\xff\xff\xff\xff", &[1].repeat(5 << 20)]);
    refused(open(many), &["too many entries"]);
    let skipped = msgpack(&[b"\x82\xa1a", &valid[3..], b"\xa1b\xdb\x7f\xff\xff\xff"]);
    refused(
        open(skipped),
        &["was cut short: 2147483647 bytes belong at byte"],
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn flax_in_chunks() {
    let key = b"\xb9__msgpack_chunked_array__".as_slice();
    let array = |value: u8| {
        [
            b"\xc7\x0c\x01\x93\x91\x01\xa5uint8\xc4\x01",
            [value].as_slice(),
        ]
        .concat()
    };
    let chunked = |mark: &[u8], shape: &[u8], chunks: &[u8]| {
        [
            b"\x81\xa1a\x83",
            key,
            mark,
            b"\xa5shape",
            shape,
            b"\xa6chunks",
            chunks,
        ]
        .concat()
    };
    let two = [b"\x82\xa10".as_slice(), &array(7), b"\xa11", &array(9)].concat();
    let checkpoint = open(chunked(b"\xc3", b"\x81\xa10\x02", &two)).expect("valid");
    let tensor = checkpoint.get("a").expect("listed");
    let mut out = [0; 2];
    checkpoint.read_i64(tensor, 0, &mut out).expect("read");
    assert_eq!(out, [7, 9]);
    let same = [b"\x82\xa10".as_slice(), &array(7), b"\xa10", &array(9)].concat();
    let other = [b"\x82\xa10".as_slice(), &array(7), b"\xa12", &array(9)].concat();
    for (bytes, part) in [
        (
            chunked(b"\xc2", b"\x81\xa10\x02", &two),
            "the mark of it is not true",
        ),
        (
            chunked(b"\xc3", b"\x81\xa10\x03", &two),
            "they have 2 elements together, but its shape [3] has 3",
        ),
        (
            chunked(
                b"\xc3",
                b"\x81\xa10\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
                &two,
            ),
            "a size of its shape is no number",
        ),
        (
            chunked(
                b"\xc3",
                b"\x82\xa10\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xa11\x02",
                &two,
            ),
            "overflows",
        ),
        (
            chunked(b"\xc3", b"\x81\xa10\x02", &same),
            "two have one number",
        ),
        (
            chunked(b"\xc3", b"\x81\xa10\x02", &other),
            "they are not numbered from 0",
        ),
        (chunked(b"\xc3", b"\x81\xa10\x02", b"\x80"), "has none"),
        (
            chunked(b"\xc3", b"\x81\xa10\x02", b"\x81\xa10\x01"),
            "a chunk is no array",
        ),
        (
            chunked(b"\xc3", b"\xdf\xff\xff\xff\xff", &two),
            "4294967295 of what 64 are allowed",
        ),
        (
            chunked(b"\xc3", b"\x01", &two),
            "its shape or chunks are no map",
        ),
    ] {
        refused(
            open(bytes),
            &["tensor \"a\" in model: it is in chunks, and", part],
        );
    }
    let root = [b"\x83", key, b"\xc3......"].concat();
    refused(open(root), &["stands in a map that is no array in chunks"]);
}

/// A file is what it holds; where it holds nothing that is known, its name says what it should have been.
#[test]
fn a_file_without_its_first_bytes_is_called_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = fixture("keras.h5");
    for (name, format) in [
        ("tf_model.h5", "an HDF5 file"),
        ("flax_model.msgpack", "a Flax file"),
        ("pytorch_model.bin", "a PyTorch file"),
        ("model.safetensors", "not a valid safetensors file"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, [b"\x00\x00\x00\x00", &saved[8..]].concat()).expect("written");
        refused(
            Checkpoint::open(&path),
            &[name, format, "download or copy it again"],
        );
    }
}
