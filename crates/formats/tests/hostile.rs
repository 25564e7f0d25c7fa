//! Damaged and malicious files: each is refused by name, none crashes.

mod common;

use albert_formats::{Checkpoint, fuzzing};
use common::{file, message, open, refused};
use std::fs;

/// Two tensors of 8 and 4 bytes and metadata.
const HEADER: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b.c":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}"#;

fn valid() -> Vec<u8> {
    file(HEADER, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
}

#[track_caller]
fn refused_header(header: impl AsRef<[u8]>, data: usize, parts: &[&str]) {
    refused(open(&file(header, &vec![0; data])), parts);
}

#[test]
fn the_valid_file_is_valid() {
    let checkpoint = open(&valid()).expect("valid");
    let listed: Vec<_> = checkpoint
        .tensors()
        .map(|t| (t.name.as_str(), t.bytes()))
        .collect();
    assert_eq!(listed, [("a", 8), ("b.c", 4)]);
    assert_eq!(checkpoint.metadata()["format"], "pt");
    assert_eq!(checkpoint.total_bytes(), 12);
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cut.safetensors");
    let bytes = valid();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("written");
        let error = Checkpoint::open(&path).expect_err("too short");
        let expected = match length {
            0..8 => "not even the 8 of the header's length",
            _ if length < 8 + HEADER.len() => "follow",
            _ => "it was cut short",
        };
        assert!(message(&error).contains(expected), "{length}: {error}");
        assert!(
            message(&error).contains("cut.safetensors"),
            "{length}: {error}"
        );
        assert!(fuzzing::safetensors(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    let mut bytes = valid();
    bytes.push(0);
    refused(
        open(&bytes),
        &[
            "bytes that belong to no tensor",
            "has 165 bytes",
            "describes 164",
        ],
    );
}

/// One and two flipped bits: never a panic, and whatever is still accepted is what the reference
/// reader sees.
#[test]
fn flipped_bits_never_panic() {
    let original = valid();
    let bits = (8 + HEADER.len()) * 8;
    let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    let mut accepted = 0;
    for first in 0..bits {
        for second in [first, first + 1, first + 8, first + 131] {
            let mut bytes = original.clone();
            flip(&mut bytes, first);
            if second != first && second < bits {
                flip(&mut bytes, second);
            }
            if let Ok(tensors) = fuzzing::safetensors(&bytes) {
                accepted += 1;
                let theirs =
                    safetensors::SafeTensors::deserialize(&bytes).expect("the reference accepts");
                assert_eq!(tensors.len(), theirs.len());
                for tensor in tensors {
                    let view = theirs.tensor(&tensor.name).expect("the same name");
                    assert_eq!(view.data(), &bytes[tensor.place]);
                    assert_eq!(view.shape(), tensor.shape);
                }
            }
        }
    }
    assert!(accepted > 0, "a flipped bit in a name is harmless");
}

#[test]
fn header_lengths() {
    let with_length = |length: u64| [&length.to_le_bytes(), HEADER.as_bytes(), &[0; 12]].concat();
    refused(
        open(&with_length(u64::MAX)),
        &["18446744073709551615 bytes", "at most 100000000"],
    );
    refused(
        open(&with_length(100_000_001)),
        &["100000001 bytes", "at most 100000000"],
    );
    refused(
        open(&with_length(100_000_000)),
        &["100000000 bytes", "only 156 follow"],
    );
    refused(open(&with_length(157)), &["157 bytes", "only 156 follow"]);
    refused(open(&with_length(0)), &["does not begin with `{`"]);
    refused(open(b""), &["it has 0 bytes"]);
    refused(
        open(&[0x80, 2, 0x8a, 0x0a]),
        &[
            "cannot be read as a PyTorch file",
            "its pickle was cut short",
        ],
    );
}

#[test]
fn other_formats_are_recognised() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    refused(open(pointer), &["it is a Git LFS pointer", "git lfs pull"]);
    refused(open(b"<!DOCTYPE html><html>"), &["it is a web page"]);
    refused(
        open(b"PK\x03\x04\0\0\x08\x08\0\0"),
        &["its zip archive was cut short", "download or copy it again"],
    );
    refused(
        open(&[0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46]),
        &["its pickle was cut short"],
    );
    refused(
        open(b"\x89HDF\r\n\x1a\n\0"),
        &["cannot be read as an HDF5 file", "superblock"],
    );
}

#[test]
fn header_must_be_a_utf8_json_object() {
    refused_header("[]", 0, &["does not begin with `{`"]);
    refused_header(" {}", 0, &["does not begin with `{`"]);
    refused_header("{", 0, &["header is wrong", "EOF"]);
    refused_header("{}{}", 0, &["trailing characters"]);
    refused_header("{}\0\0", 0, &["trailing characters"]);
    refused_header(b"{\"\xff\":1}", 0, &["not UTF-8", "index 2"]);
    refused_header(r#"{"\ud800":1}"#, 0, &["header is wrong"]);
    refused_header(
        r#"{"a":1}"#,
        0,
        &[r#"in "a""#, "expected an object with dtype"],
    );
    refused_header(
        r#"{"a":["F32",[1],[0,4]]}"#,
        4,
        &["expected an object with dtype"],
    );
    assert!(
        open(&file("{}   \n", b"")).is_ok(),
        "padding is part of the format"
    );
}

#[test]
fn repeated_keys() {
    let a = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let escaped = a.replace(r#""a""#, r#""\u0061""#);
    refused_header(format!("{{{a},{a}}}"), 1, &[r#"key "a" occurs twice"#]);
    refused_header(
        format!("{{{a},{escaped}}}"),
        1,
        &[r#"key "a" occurs twice"#],
    );
    let twice = r#"{"__metadata__":{},"__metadata__":{}}"#;
    refused_header(twice, 0, &[r#"key "__metadata__" occurs twice"#]);
    let inner = r#"{"__metadata__":{"k":"1","k":"2"}}"#;
    refused_header(inner, 0, &[r#"in "__metadata__": key "k" occurs twice"#]);
    for field in [
        r#""dtype":"U8""#,
        r#""shape":[1]"#,
        r#""data_offsets":[0,1]"#,
    ] {
        let header =
            format!(r#"{{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1],{field}}}}}"#);
        refused_header(header, 1, &[r#"in "a": key "#, "occurs twice"]);
    }
}

#[test]
fn metadata_is_limited() {
    let header = |count: usize| {
        let entries: Vec<String> = (0..count).map(|i| format!(r#""{i:x}":"""#)).collect();
        format!(r#"{{"__metadata__":{{{}}}}}"#, entries.join(","))
    };
    let most = open(&file(header(1 << 16), b"")).expect("as many as are allowed");
    assert_eq!(most.metadata().len(), 1 << 16);
    refused_header(
        header((1 << 16) + 1),
        0,
        &[r#"in "__metadata__": more than 65536 entries"#],
    );
}

#[test]
fn fields_of_a_tensor() {
    let with = |body: &str| format!(r#"{{"a":{{{body}}}}}"#);
    refused_header(with(""), 0, &[r#"in "a""#, "missing field `dtype`"]);
    refused_header(
        with(r#""dtype":"U8","shape":[1]"#),
        1,
        &["missing field `data_offsets`"],
    );
    refused_header(
        with(r#""dtype":"U8","data_offsets":[0,1]"#),
        1,
        &["missing field `shape`"],
    );
    let unknown = r#""dtype":"F33","shape":[1],"data_offsets":[0,1]"#;
    refused_header(with(unknown), 1, &[r#"in "a""#, r#"unknown dtype "F33""#]);
    for shape in [
        "[-1]",
        "[1.0]",
        "[18446744073709551616]",
        "1",
        "null",
        "[[1]]",
    ] {
        let body = format!(r#""dtype":"U8","shape":{shape},"data_offsets":[0,1]"#);
        refused_header(with(&body), 1, &[r#"in "a": in "shape""#]);
    }
    for offsets in [
        "[0]",
        "[0,1,2]",
        "[-1,0]",
        "[0,1e0]",
        "{}",
        "[0,18446744073709551616]",
    ] {
        let body = format!(r#""dtype":"U8","shape":[1],"data_offsets":{offsets}"#);
        refused_header(with(&body), 1, &[r#"in "a": in "data_offsets""#]);
    }
    let rank = format!(
        r#""dtype":"U8","shape":[{}1],"data_offsets":[0,1]"#,
        "1,".repeat(64)
    );
    refused_header(with(&rank), 1, &["more than 64 dimensions"]);
    refused_header(
        r#"{"__metadata__":{"k":1}}"#,
        0,
        &[r#"in "__metadata__": in "k""#, "string"],
    );
    refused_header(r#"{"__metadata__":null}"#, 0, &["expected an object"]);
    let extra = r#""dtype":"U8","shape":[1],"data_offsets":[0,1],"later":{"x":[1,2]}"#;
    assert!(
        open(&file(with(extra), &[0])).is_ok(),
        "unknown fields are for later versions"
    );
}

#[test]
fn offsets() {
    let one = |shape: &str, start: u64, end: u64| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}}}"#)
    };
    refused_header(
        one("[2]", 0, 4),
        4,
        &[r#"tensor "a""#, "[0, 4] do not span the 8 bytes"],
    );
    refused_header(
        one("[1]", 4, 8),
        8,
        &[r#"tensor "a""#, "leave a hole after", "end at 0"],
    );
    refused_header(one("[1]", 0, 4), 8, &["bytes that belong to no tensor"]);
    refused_header(one("[1]", 0, 4), 3, &["it was cut short"]);
    refused_header(one("[0]", 4, 0), 4, &["leave a hole"]);
    refused_header(one("[0]", 0, u64::MAX), 4, &["do not span the 0 bytes"]);
    let max = (u64::MAX / 4).to_string();
    refused_header(one(&format!("[{max}]"), 0, u64::MAX - 3), 4, &["overflows"]);
    refused_header(one("[4294967296,4294967296]", 0, 0), 0, &["overflows"]);
    refused_header(one("[4294967296,4294967296,0]", 0, 0), 0, &["overflows"]);
    let most = (u64::MAX / 32).to_string();
    let end = u64::MAX / 32 * 4;
    refused_header(one(&format!("[{most}]"), 0, end), 4, &["it was cut short"]);

    let two = |a: [u64; 2], b: [u64; 2]| {
        let entry = |[s, e]: [u64; 2]| {
            format!(
                r#"{{"dtype":"U8","shape":[{}],"data_offsets":[{s},{e}]}}"#,
                e - s
            )
        };
        format!(r#"{{"a":{},"b":{}}}"#, entry(a), entry(b))
    };
    refused_header(
        two([0, 4], [2, 6]),
        6,
        &[r#"tensor "b""#, "[2, 6] overlap", "end at 4"],
    );
    refused_header(two([0, 4], [0, 4]), 4, &["overlap"]);
    refused_header(two([0, 4], [5, 6]), 6, &[r#"tensor "b""#, "hole"]);
    assert!(
        open(&file(two([2, 6], [0, 2]), &[0; 6])).is_ok(),
        "any order in the header"
    );
    assert!(
        open(&file(two([3, 3], [0, 3]), &[0; 3])).is_ok(),
        "empty at the end"
    );
    assert!(
        open(&file(two([0, 0], [0, 3]), &[0; 3])).is_ok(),
        "empty at the start"
    );
}

#[test]
fn nesting_does_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = open.repeat(1_000_000) + "1" + &close.repeat(1_000_000);
        refused_header(&deep, 0, &["not a valid safetensors file"]);
        refused_header(format!(r#"{{"a":{deep}}}"#), 0, &["header is wrong"]);
        let unknown = format!(r#"{{"a":{{"later":{deep}}}}}"#);
        let result = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || fuzzing::safetensors(&file(unknown, b"")).map(drop))
            .expect("a thread")
            .join()
            .expect("no overflow of a small stack");
        refused(result, &["header is wrong"]);
    }
}

#[test]
fn messages_are_short_and_escaped() {
    let name = "\\u001b[31m".to_owned() + &"x".repeat(1_000_000);
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,2]}"#;
    refused_header(
        format!(r#"{{"{name}":{entry}}}"#),
        2,
        &[r"\u{1b}[31m", "… (1000005 bytes)"],
    );
    refused_header(
        format!(r#"{{"{name}":1}}"#),
        0,
        &["expected an object with dtype"],
    );
    refused_header(
        format!(r#"{{"a":"{name}"}}"#),
        0,
        &["expected an object with dtype"],
    );
    let dtype = format!(r#"{{"a":{{"dtype":"{name}"}}}}"#);
    refused_header(dtype, 0, &["unknown dtype"]);
}

#[test]
fn other_dtypes_are_listed_but_not_read() {
    let header = r#"{"e":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"f":{"dtype":"F4","shape":[4],"data_offsets":[2,4]}}"#;
    let checkpoint = open(&file(header, &[0; 4])).expect("valid");
    let tensor = checkpoint.get("e").expect("listed");
    assert_eq!(tensor.dtype.name(), "F8_E4M3");
    let expected = [
        r#"tensor "e""#,
        "is F8_E4M3: expected one of F64, F32, F16, BF16",
    ];
    refused(checkpoint.read_f32(tensor, 0, &mut [0.0; 2]), &expected);
    refused(
        checkpoint.read_i64(tensor, 0, &mut [0; 2]),
        &["F8_E4M3: expected one of I64"],
    );
    assert_eq!(checkpoint.get("f").expect("listed").bytes(), 2);
}

#[test]
fn things_that_are_not_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    refused(
        Checkpoint::open(path),
        &["no checkpoint in", "expected model.safetensors"],
    );
    refused(
        Checkpoint::open(&path.join("absent")),
        &["cannot open", "absent"],
    );
    fs::create_dir(path.join("model.safetensors")).expect("made");
    refused(
        Checkpoint::open(path),
        &["model.safetensors is not a regular file"],
    );
    #[cfg(unix)]
    refused(
        Checkpoint::open("/dev/zero".as_ref()),
        &["/dev/zero is not a regular file"],
    );
}
