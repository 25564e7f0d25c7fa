//! Damaged and malicious indexes of TensorFlow's checkpoints, made by hand with right checksums.

mod common;

use albert_formats::{Checkpoint, Dtype, FormatError};
use common::{message, refused};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Fields of a protobuf message: numbers by their field.
fn numbers(fields: &[(u64, i64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, value) in fields {
        varint(&mut out, field << 3);
        varint(&mut out, value.cast_unsigned());
    }
    out
}

fn inner(field: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3 | 2);
    varint(&mut out, bytes.len() as u64);
    [out, bytes.to_vec()].concat()
}

fn header() -> Vec<u8> {
    [numbers(&[(1, 1)]), inner(3, &numbers(&[(1, 1)]))].concat()
}

/// An entry of this type, shape, offset and size.
fn entry(dtype: i64, shape: &[i64], offset: i64, size: i64) -> Vec<u8> {
    let dims: Vec<u8> = (shape.iter())
        .flat_map(|size| inner(2, &numbers(&[(1, *size)])))
        .collect();
    [
        numbers(&[(1, dtype)]),
        inner(2, &dims),
        numbers(&[(4, offset), (5, size)]),
    ]
    .concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A block of keys that share nothing.
fn block(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut starts) = (Vec::new(), Vec::new());
    for (key, value) in entries {
        starts.extend((out.len() as u32).to_le_bytes());
        out.push(0);
        varint(&mut out, key.len() as u64);
        varint(&mut out, value.len() as u64);
        out.extend(*key);
        out.extend(value);
    }
    if entries.is_empty() {
        starts.extend([0; 4]);
    }
    let count = (starts.len() / 4) as u32;
    [out, starts, count.to_le_bytes().to_vec()].concat()
}

fn append(out: &mut Vec<u8>, block: &[u8], packing: u8) -> Vec<u8> {
    let mut handle = Vec::new();
    varint(&mut handle, out.len() as u64);
    varint(&mut handle, block.len() as u64);
    let content = [block, &[packing]].concat();
    out.extend(&content);
    out.extend(masked(&content));
    handle
}

/// A table of these blocks, each with how it is packed; or with another handle for the only one.
fn table(blocks: &[(Vec<u8>, u8)], handle: Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut list = Vec::new();
    for (number, (block, packing)) in blocks.iter().enumerate() {
        let own = append(&mut out, block, *packing);
        list.push((number as u8, handle.clone().unwrap_or(own)));
    }
    let keys: Vec<[u8; 1]> = list.iter().map(|(number, _)| [*number]).collect();
    let list: Vec<(&[u8], Vec<u8>)> = (keys.iter().zip(&list))
        .map(|(key, (_, handle))| (&key[..], handle.clone()))
        .collect();
    let meta = append(&mut out, &block(&[]), 0);
    let list = append(&mut out, &block(&list), 0);
    let mut footer = [meta, list].concat();
    footer.resize(40, 0);
    [
        out,
        footer,
        0xdb47_7524_8b80_fb57_u64.to_le_bytes().to_vec(),
    ]
    .concat()
}

fn simple(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    table(&[(block(entries), 0)], None)
}

fn open(index: &[u8]) -> Result<Checkpoint, FormatError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::write(path.join("x.index"), index).expect("written");
    fs::write(path.join("x.data-00000-of-00001"), [1; 64]).expect("written");
    Checkpoint::open(Path::new(&path.join("x")))
}

const F32: i64 = 1;

#[test]
fn the_valid_index_is_valid_also_packed() {
    let entries: [(&[u8], Vec<u8>); 3] = [
        (b"", header()),
        (b"a", entry(F32, &[2, 3], 0, 24)),
        (b"b", entry(9, &[], 24, 8)),
    ];
    let plain = block(&entries);
    let packed = snap::raw::Encoder::new()
        .compress_vec(&plain)
        .expect("packed");
    for index in [table(&[(plain, 0)], None), table(&[(packed, 1)], None)] {
        let checkpoint = open(&index).unwrap_or_else(|error| panic!("{}", message(&error)));
        let tensor = checkpoint.get("a").expect("listed");
        assert_eq!(
            (tensor.dtype, tensor.shape.as_slice()),
            (Dtype::F32, &[2, 3][..])
        );
        let mut part = [0.0; 2];
        checkpoint.read_f32(tensor, 1, &mut part).expect("read");
        assert_eq!(part, [f32::from_bits(0x0101_0101); 2]);
    }
}

#[test]
fn entries() {
    let of = |name: &'static [u8], entry: Vec<u8>| simple(&[(b"", header()), (name, entry)]);
    let long = [1; 65];
    for (index, parts) in [
        (
            of(b"a", entry(F32, &[2], 0, 4)),
            ["tensor \"a\" in", "shape [2] in F32 has 8"],
        ),
        (
            of(b"a", entry(F32, &[-1], 0, 4)),
            ["tensor \"a\" in", "a size of its shape is -1"],
        ),
        (
            of(b"a", entry(F32, &[i64::MAX, 4], 0, 4)),
            ["tensor \"a\" in", "overflows"],
        ),
        (
            of(b"a", entry(7, &[i64::MAX, 4], 0, 4)),
            ["tensor \"a\" in", "overflows"],
        ),
        (
            of(b"a", entry(F32, &long, 0, 4)),
            ["tensor \"a\" in", "more than 64 dimensions"],
        ),
        (
            of(b"a", entry(F32, &[1], -4, 4)),
            ["tensor \"a\" in", "its offset is -4"],
        ),
        (
            of(b"a", entry(F32, &[1], 0, -4)),
            ["tensor \"a\" in", "its size is -4"],
        ),
        (
            of(b"a", entry(F32, &[1], 61, 4)),
            [
                "x.data-00000-of-00001",
                "bytes 61 to 65 lie beyond the file's 64",
            ],
        ),
        (
            of(b"a", entry(7, &[], i64::MAX, i64::MAX)),
            ["x.data-00000-of-00001", "lie beyond the file's 64"],
        ),
        (
            of(b"a", entry(99, &[1], 0, 4)),
            ["tensor \"a\" in", "its type is number 99"],
        ),
        (
            of(b"a", [entry(F32, &[1], 0, 4), numbers(&[(3, 1)])].concat()),
            ["tensor \"a\" in", "in data file 1 of 1"],
        ),
        (
            of(b"a", [entry(F32, &[1], 0, 4), inner(7, b"")].concat()),
            [
                "x.index cannot be read as a TensorFlow checkpoint",
                "stored in 1 slices",
            ],
        ),
        (
            of(
                b"a",
                [numbers(&[(1, F32)]), inner(2, &numbers(&[(3, 1)]))].concat(),
            ),
            ["tensor \"a\" in", "its shape is not known"],
        ),
        (
            of(b"a", vec![0xff; 9]),
            ["tensor \"a\" in", "its entry is wrong"],
        ),
        (
            of(b"a", vec![0; 5000]),
            ["tensor \"a\" in", "its entry has 5000 bytes"],
        ),
        (
            of(b"\xff", entry(F32, &[1], 0, 4)),
            ["x.index", "is not UTF-8"],
        ),
        (
            of(&[b'n'; 5000], entry(F32, &[1], 0, 4)),
            ["x.index", "more than 4096 bytes"],
        ),
    ] {
        refused(open(&index), &parts);
    }
    let two = |second: Vec<u8>| {
        simple(&[
            (b"", header()),
            (b"a", entry(F32, &[2], 0, 8)),
            (b"b", second),
        ])
    };
    refused(
        open(&two(entry(F32, &[2], 4, 8))),
        &["tensor \"b\" in", "overlap those of \"a\""],
    );
    open(&two(entry(F32, &[0], 4, 0))).expect("empty tensors share nothing");
}

#[test]
fn headers() {
    let with = |header: Vec<u8>| simple(&[(b"", header), (b"a", entry(F32, &[1], 0, 4))]);
    for (index, part) in [
        (
            simple(&[(b"a", entry(F32, &[1], 0, 4))]),
            "its table has no header",
        ),
        (with(numbers(&[(1, 1), (2, 1)])), "big-endian"),
        (with(numbers(&[(1, 0)])), "it has 0 data files"),
        (
            with(numbers(&[(1, i32::MAX.into())])),
            "it has 2147483647 data files",
        ),
        (
            with([numbers(&[(1, 1)]), inner(3, &numbers(&[(2, 3)]))].concat()),
            "readers of version 3",
        ),
        (with(vec![0xff; 20]), "the header of its table is wrong"),
    ] {
        refused(
            open(&index),
            &["x.index cannot be read as a TensorFlow checkpoint", part],
        );
    }
    let missing = open(&with(numbers(&[(1, 2)])));
    refused(missing, &["cannot open", "x.data-00000-of-00002"]);
}

#[test]
fn blocks() {
    let first = |key: &'static [u8]| (key, entry(F32, &[1], 0, 4));
    let whole = block(&[(b"", header()), first(b"a")]);
    let changed = |at: usize, value: u8| {
        let mut block = whole.clone();
        block[at] = value;
        table(&[(block, 0)], None)
    };
    let number = |values: [u64; 2]| {
        let mut out = Vec::new();
        values.into_iter().for_each(|value| varint(&mut out, value));
        out
    };
    let handle = |values| table(&[(whole.clone(), 0)], Some(number(values)));
    let end = whole.len() - 1;
    for (index, part) in [
        (
            simple(&[(b"", header()), first(b"b"), first(b"a")]),
            "not in ascending order",
        ),
        (
            simple(&[(b"", header()), first(b"a"), first(b"a")]),
            "not in ascending order",
        ),
        (
            table(&[(whole.clone(), 0), (whole.clone(), 0)], None),
            "not in ascending order",
        ),
        (changed(0, 9), "shares more than there is"),
        (changed(1, 0x7f), "beyond its end"),
        (changed(end, 0xff), "a wrong number of whole keys"),
        (changed(end - 3, 0), "a wrong number of whole keys"),
        (changed(end - 7, 1), "a whole key where none begins"),
        (handle([1 << 62, 1 << 62]), "lies beyond its end"),
        (handle([u64::MAX, u64::MAX]), "lies beyond its end"),
        (
            handle([0, 3]),
            "the checksum of the block of its table at byte 0",
        ),
        (
            table(&[(whole.clone(), 2)], None),
            "packed in an unknown way (2)",
        ),
        (table(&[(whole.clone(), 1)], None), "is not valid Snappy"),
        (
            table(&[(b"\xff\xff\xff\xff\x0f".to_vec(), 1)], None),
            "4294967295 bytes",
        ),
        (table(&[(vec![], 0)], None), "was cut short"),
    ] {
        refused(
            open(&index),
            &["x.index cannot be read as a TensorFlow checkpoint", part],
        );
    }
    // A block that unpacks to much more than it has, many times.
    let bomb = snap::raw::Encoder::new()
        .compress_vec(&vec![0; 15 << 20])
        .expect("packed");
    let begin = Instant::now();
    assert!(open(&table(&vec![(bomb, 1); 3], None)).is_err());
    assert!(begin.elapsed() < Duration::from_secs(20));
    let mut footer = simple(&[(b"", header())]);
    let at = footer.len() - 48;
    footer[at..at + 40].fill(0xff);
    refused(open(&footer), &["the footer of its table is wrong"]);
}
