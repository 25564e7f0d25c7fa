//! Damaged and malicious PyTorch files: each is refused by name, none crashes, none runs anything. One file, because it
//! is the list of attacks that are known to be refused.

mod common;

use albert_formats::{Checkpoint, FormatError};
use common::torch::{
    Entry, Tensor, dictionary, entries, entry, legacy, legacy_of, pickle, preamble, text, zip,
};
use common::{fixture, fixtures, message, refused};
use proptest::prelude::*;
use std::{fs, time::Instant};

fn open(bytes: Vec<u8>) -> Result<Checkpoint, FormatError> {
    Checkpoint::from_bytes("model.bin", bytes)
}

/// Opens a pickle in both containers, with a storage of 16 bytes.
fn open_pickle(pickle: &[u8]) -> [Result<Checkpoint, FormatError>; 2] {
    [
        open(zip(&entries(pickle, &[1; 16]))),
        open(legacy_of(pickle, "0", 4, &[1; 16])),
    ]
}

#[track_caller]
fn refused_pickle(pickle: &[u8], parts: &[&str]) {
    for result in open_pickle(pickle) {
        refused(result, parts);
    }
}

/// The pickle of `{"x": …}` where these instructions put the value.
fn with_value(code: &[u8]) -> Vec<u8> {
    pickle(&[b"}(".as_slice(), &text("x"), code, b"u"].concat())
}

#[track_caller]
fn refused_tensor(tensor: Tensor, parts: &[&str]) {
    let mut parts = parts.to_vec();
    parts.push("tensor \"x\" in model.bin");
    refused_pickle(&dictionary(&tensor), &parts);
}

/// Reads everything, so that a wrong place is found.
fn read_all(checkpoint: &Checkpoint) {
    for tensor in checkpoint.tensors() {
        let mut real = vec![0.0; tensor.elements()];
        let mut whole = vec![0; tensor.elements()];
        let read = checkpoint.read_f32(tensor, 0, &mut real);
        let read = read.or_else(|_| checkpoint.read_i64(tensor, 0, &mut whole));
        if let Err(error) = read {
            assert!(matches!(error, FormatError::Dtype { .. }), "{error}");
        }
    }
}

#[test]
fn the_valid_files_are_valid() {
    for result in open_pickle(&dictionary(&Tensor::default())) {
        let checkpoint = result.expect("valid");
        let tensor = checkpoint.get("x").expect("listed");
        let mut out = [0.0; 4];
        checkpoint.read_f32(tensor, 0, &mut out).expect("read");
        assert_eq!(out, [f32::from_bits(0x0101_0101); 4]);
    }
}

#[test]
fn files_that_torch_wrote_are_refused_by_name() {
    let expected: &[(&str, &[&str])] = &[
        (
            "big_endian",
            &["byte order is \"big\"", "load it with PyTorch"],
        ),
        ("bytes", &["instruction 0x43 (SHORT_BINBYTES)"]),
        (
            "compressed",
            &["is compressed (method 8)", "load it with PyTorch"],
        ),
        ("list", &["does not hold a dictionary of tensors"]),
        ("no_tensors", &["holds no tensor"]),
        (
            "os_system",
            &[
                "the global \"posix.system\"",
                "nothing was run",
                "save its state_dict as safetensors",
            ],
        ),
        (
            "os_system_legacy",
            &["the global \"posix.system\"", "nothing was run"],
        ),
        ("other_zip", &["zip archive without data.pkl"]),
        (
            "pickle",
            &["a Python pickle, but not one that torch.save wrote"],
        ),
        (
            "sparse",
            &["the global \"torch._utils._rebuild_sparse_tensor\""],
        ),
        (
            "storage_missing",
            &["\"data/1\", which is not in the archive"],
        ),
        (
            "storage_short",
            &["\"data/1\" has 59 bytes but the pickle describes 60"],
        ),
        (
            "torchscript",
            &["a TorchScript archive", "load it with PyTorch"],
        ),
        ("two_state_dicts", &["more than one state_dict"]),
        (
            "whole_module",
            &["the global \"torch.nn.modules.linear.Linear\""],
        ),
    ];
    let mut names: Vec<String> = fixtures();
    names.retain(|name| name.starts_with("refused_"));
    assert_eq!(names.len(), expected.len());
    for (name, parts) in expected {
        let path = fixture(&format!("refused_{name}.bin"));
        assert!(names.contains(&format!("refused_{name}")));
        let mut parts = parts.to_vec();
        let file = format!("refused_{name}.bin cannot be read as a PyTorch file");
        parts.push(&file);
        refused(Checkpoint::open(&path), &parts);
    }
    assert!(!fs::exists("pickle-was-run").expect("known"));
}

#[test]
fn globals_are_never_resolved() {
    for name in [
        "os\nsystem",
        "builtins\neval",
        "__builtin__\nexec",
        "torch\nload",
        "torch.serialization\nload",
        "collections\nOrderedDict.__class__",
        "torch._utils\n_rebuild_tensor_v2.__globals__",
        "torch.storage\n_load_from_bytes",
        "\n",
    ] {
        let shown = name.replacen('\n', ".", 1);
        let expected = [&format!("the global {shown:?}"), "nothing was run"];
        let code = [
            b"c",
            name.as_bytes(),
            b"\n(",
            &text("touch pickle-was-run"),
            b"tR",
        ]
        .concat();
        refused_pickle(&with_value(&code), &expected.map(|part| part as &str));
        let (module, function) = name.split_once('\n').expect("two names");
        let code = [&text(module)[..], &text(function), b"\x93)R"].concat();
        refused_pickle(&with_value(&code), &expected.map(|part| part as &str));
    }
    assert!(!fs::exists("pickle-was-run").expect("known"));
    refused_pickle(
        &with_value(b"K\x01K\x02\x93"),
        &["a global whose name is not a text"],
    );
    let long = [b"c", "m".repeat(300).as_bytes(), b"\nf\n"].concat();
    refused_pickle(&with_value(&long), &["name of more than 256 bytes"]);
}

#[test]
fn other_instructions_are_refused_by_name() {
    let allowed = b".(NKMJGX]ae}su)tcRbQqrhj\x88\x89\x8a\x8c\x85\x86\x87\x93\x94\x95";
    let mut named = 0;
    for code in (0..=255).filter(|code| !allowed.contains(code)) {
        let expected = format!("has the instruction {code:#04x}");
        let bytes = pickle(&[b"}".as_slice(), &[code], &[0; 16]].concat());
        for result in open_pickle(&bytes) {
            refused(result, &["at byte", &expected]);
        }
        named += usize::from(
            message(&open(zip(&entries(&bytes, b""))).expect_err("refused")).contains(" ("),
        );
    }
    assert_eq!(named, 34);
    for (code, name) in [
        (0x81_u8, "NEWOBJ"),
        (b'i', "INST"),
        (b'o', "OBJ"),
        (0x82, "EXT1"),
        (b'P', "PERSID"),
    ] {
        let expected = format!("({name})");
        refused_pickle(&pickle(&[code]), &[&expected]);
    }
    for protocol in [0, 1, 6, 255] {
        let mut bytes = dictionary(&Tensor::default());
        bytes[1] = protocol;
        refused_pickle(
            &bytes,
            &[&format!("protocol {protocol}, expected 2, 3, 4 or 5")],
        );
    }
}

#[test]
fn stacks_and_types() {
    for (code, expected) in [
        (b"".as_slice(), "from an empty stack"),
        (b"s", "from an empty stack"),
        (b"t", "up to a mark, but none is open"),
        (b"}K\x01K\x02(s", "from an empty stack"),
        (b"K\x01(\x85", "from an empty stack"),
        (b"}(K\x01u", "sets an item without a value"),
        (b"](K\x01K\x02u", "that is not a dictionary"),
        (b"K\x01K\x02K\x03s", "that is not a dictionary"),
        (b"}(K\x01e", "that is not a list"),
        (b"}K\x01a", "that is not a list"),
        (b"}}b", "attributes of something that has none"),
        (b"]}b", "attributes of something that has none"),
        (
            b"ccollections\nOrderedDict\n)RNb",
            "attributes of something that has none",
        ),
        (b"}]", "values are left over"),
        (b"}(", "from an empty stack"),
        (b"(}", "values are left over"),
        (b"h\x00", "asks for value 0, which was not kept"),
        (b"j\xff\xff\xff\xff", "asks for value 4294967295"),
        (b"q\x00", "from an empty stack"),
        (b"}q\xff", "under number 255 in instruction 2"),
        (b"}r\xff\xff\xff\xff", "under number 4294967295"),
        (b"NQ", "a persistent id that is not a storage's"),
        (b"})R", "calls something that is not a global"),
        (
            b"ccollections\nOrderedDict\n}R",
            "calls something that is not a global",
        ),
        (
            b"ccollections\nOrderedDict\n]\x85R",
            "calls OrderedDict with 1 arguments",
        ),
        (b"ctorch\nSize\n)R", "calls Size with 0 arguments"),
        (b"ctorch\nfloat32\n)R", "with 0 arguments"),
        (
            b"ctorch._utils\n_rebuild_parameter\nN\x88N\x87R",
            "calls RebuildParameter with 3",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor\n(NNNNtR",
            "a tensor without a storage",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n(NNtR",
            "calls RebuildTensorV2 with 2",
        ),
        (b"X\x01\0\0\0\xff", "not UTF-8"),
        (
            b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
            "a frame of 9223372036854775807 bytes",
        ),
        (
            b"X\xff\xff\xff\xff",
            "a text of 4294967295 bytes, at most 65536",
        ),
        (b"X\x01\0\x01\0", "a text of 65537 bytes, at most 65536"),
    ] {
        refused_pickle(&pickle(code), &["at byte", expected]);
    }
    for (id, expected) in [
        (b"(X\x06\0\0\0moduleNNNt".as_slice(), "a whole module"),
        (
            b"(X\x07\0\0\0storageNNNK\x01t",
            "persistent id that is not a storage's",
        ),
        (
            b"(X\x07\0\0\0storageNX\x01\0\0\x000NK\x01t",
            "a storage of an unknown class",
        ),
        (
            b"(X\x07\0\0\0storagectorch\nSize\nX\x01\0\0\x000NK\x01t",
            "a storage of an unknown class",
        ),
        (
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000NJ\xff\xff\xff\xfft",
            "a storage of -1 elements",
        ),
        (
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000NK\x01NNt",
            "persistent id that is not",
        ),
        (
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000NK\x01)t",
            "a part of another",
        ),
    ] {
        refused_pickle(&with_value(&[id, b"Q"].concat()), &[expected]);
    }
    let two = [
        Tensor::default().code(),
        Tensor {
            count: 3,
            ..Tensor::default()
        }
        .code(),
    ]
    .concat();
    refused_pickle(&with_value(&two), &["describes storage \"0\" in two ways"]);
}

#[test]
fn dictionaries() {
    let tensor = Tensor::default().code();
    let put = |key: &[u8]| [key, &tensor].concat();
    let twice = pickle(&[b"}(", &put(&text("x"))[..], &put(&text("x")), b"u"].concat());
    refused_pickle(&twice, &["key \"x\" occurs twice"]);
    let number = pickle(&[b"}(", &put(b"K\x01")[..], b"u"].concat());
    refused_pickle(
        &number,
        &["a key of its dictionary of tensors is not a text"],
    );
    for (code, expected) in [
        (b"N".as_slice(), "does not hold a dictionary"),
        (&tensor, "does not hold a dictionary"),
        (b"}", "holds no tensor"),
    ] {
        refused(open(zip(&entries(&pickle(code), &[0; 16]))), &[expected]);
    }
    refused_pickle(&pickle(&tensor), &["does not hold a dictionary"]);
    for name in ["", "a\0b", "../x", "\u{1b}[31m"] {
        let one = pickle(&[b"}(", &put(&text(name))[..], b"u"].concat());
        for result in open_pickle(&one) {
            let checkpoint = result.expect("a name is any text");
            assert!(checkpoint.get(name).is_some());
        }
    }
}

#[test]
fn cycles_are_harmless() {
    // A list and a dictionary in themselves, beside the tensor.
    let tensor = Tensor::default().code();
    for cycle in [
        b"]q\x00h\x00a".as_slice(),
        b"}q\x00K\x01h\x00s",
        b"](q\x00h\x00h\x00h\x00e",
    ] {
        let code = [b"}(", &text("c")[..], cycle, &text("x"), &tensor, b"u"].concat();
        for result in open_pickle(&pickle(&code)) {
            match result {
                Ok(checkpoint) => read_all(&checkpoint),
                Err(error) => assert!(message(&error).contains("at byte"), "{error}"),
            }
        }
    }
    let own = pickle(
        &[
            b"}q\x00(",
            &text("state_dict")[..],
            b"h\x00",
            &text("x"),
            &tensor,
            b"u",
        ]
        .concat(),
    );
    for result in open_pickle(&own) {
        assert_eq!(result.expect("its own state_dict").tensors().len(), 1);
    }
}

/// Each holds much where little was written; the limits are on what it would take.
#[test]
fn bombs_are_refused_in_bounded_time() {
    let start = Instant::now();
    let many = |count: usize, code: &[u8]| code.repeat(count);
    for (code, expected) in [
        (many(100, b"("), "more than 64 marks"),
        (many(1 << 17, b"N"), "more than 65536 values on the stack"),
        (
            [
                b"(".as_slice(),
                &many(60_000, b"N"),
                b"tq\0",
                &many(50, b"h\0"),
                b"t",
            ]
            .concat(),
            "none is open",
        ),
        (
            many(40, &[b"(".as_slice(), &many(60_000, b"N"), b"t"].concat()),
            "more than 1048576 values in tuples",
        ),
        (
            [
                b"]".as_slice(),
                &many(40, &[b"(".as_slice(), &many(60_000, b"N"), b"e"].concat()),
            ]
            .concat(),
            "more than 1048576 values in lists",
        ),
        (
            [b"}".as_slice(), &many(1_100_000, b"\x88\x88s")].concat(),
            "more than 1048576 items in dictionaries",
        ),
        (
            [b"N".as_slice(), &many(1_100_000, b"\x94")].concat(),
            "more than 1048576 values kept",
        ),
        (
            [b"}".as_slice(), &many(70_000, b"]")].concat(),
            "more than 65536 values on the stack",
        ),
        (
            [b"}X\x01\0\0\0x".as_slice(), &many(3_000_000, b"\x85")].concat(),
            "more than 1048576 values in tuples",
        ),
    ] {
        refused_pickle(&pickle(&code), &["at byte", expected]);
    }
    let deep = [
        b"}".as_slice(),
        &text("c"),
        &many(60_000, b"]"),
        &many(59_999, b"a"),
        b"s",
    ]
    .concat();
    let deep = [&deep[..], &text("x"), &Tensor::default().code(), b"s"].concat();
    for result in open_pickle(&pickle(&deep)) {
        read_all(&result.expect("depth alone is harmless"));
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// A pickle beyond the limit is not read in either container.
#[test]
fn long_pickles() {
    let long = pickle(&b"]q\0h\0a".repeat((32 << 20) / 6 + 2));
    refused(
        open(zip(&entries(&long, b""))),
        &["has 335544", "at most 33554432"],
    );
    let long = pickle(&[b"}".as_slice(), &b"K\x01K\x01s".repeat(7_000_000)].concat());
    let file = [preamble(), long].concat();
    refused(
        open(file),
        &["more than the 33554432 bytes that are allowed"],
    );
}

#[test]
fn places_of_tensors() {
    let tensor = || Tensor::default();
    let outside = "does not lie within its storage \"0\", which has 4 elements";
    for (offset, shape, strides) in [
        (1, vec![2, 2], vec![2, 1]),
        (0, vec![5], vec![1]),
        (0, vec![2], vec![4]),
        (4, vec![1], vec![1]),
        (4, vec![], vec![]),
        (5, vec![0], vec![1]),
        (-1, vec![2], vec![1]),
        (i64::MAX, vec![2], vec![1]),
        (0, vec![2], vec![i64::MAX]),
        (0, vec![1 << 40], vec![1 << 40]),
        (0, vec![2, 2], vec![i64::MAX, i64::MAX]),
    ] {
        refused_tensor(
            Tensor {
                offset,
                shape,
                strides,
                ..tensor()
            },
            &[outside],
        );
    }
    for (shape, strides, expected) in [
        (
            vec![2],
            vec![-1],
            "its strides hold -1, expected no negative number",
        ),
        (
            vec![-2],
            vec![1],
            "its shape hold -2, expected no negative number",
        ),
        (vec![2, 2], vec![1], "it has 2 sizes and 1 strides"),
        (vec![1; 65], vec![1; 65], "more than 64 dimensions"),
        (vec![1 << 62, 1 << 62], vec![0, 0], "overflows"),
        (vec![1 << 62, 1 << 62, 0], vec![0, 0, 0], "overflows"),
        (
            vec![1 << 25],
            vec![0],
            "an expansion to more than 16777216 elements",
        ),
        (
            vec![1 << 20, 1 << 20],
            vec![0, 0],
            "an expansion to more than 16777216 elements",
        ),
    ] {
        refused_tensor(
            Tensor {
                shape,
                strides,
                ..tensor()
            },
            &[expected],
        );
    }
    for (offset, shape, strides) in [
        (4, vec![0], vec![1]),
        (3, vec![1, 1], vec![i64::MAX, i64::MAX]),
        (1, vec![3, 1, 2], vec![0, i64::MAX, 2]),
        (0, vec![3, 1, 1], vec![1, i64::MAX, 7]),
        (0, vec![4096, 4096], vec![0, 0]),
        (2, vec![], vec![]),
    ] {
        for result in open_pickle(&dictionary(&Tensor {
            offset,
            shape,
            strides,
            ..tensor()
        })) {
            read_all(&result.expect("within the storage"));
        }
    }
    let untyped = Tensor {
        class: "Size",
        ..tensor()
    };
    refused_pickle(&dictionary(&untyped), &["a storage of an unknown class"]);
    for count in [3, 5, 0, 1 << 60] {
        let file = legacy_of(&dictionary(&tensor()), "0", count, &[0; 16]);
        refused(
            open(file),
            &[&format!("has {count} elements, but its pickle describes 4")],
        );
    }
    for count in [i64::MAX, 1 << 61] {
        for result in open_pickle(&dictionary(&Tensor { count, ..tensor() })) {
            let text = message(&result.expect_err("too large"));
            assert!(
                text.contains("overflows") || text.contains("describes"),
                "{text}"
            );
        }
    }
    let double = Tensor {
        class: "DoubleStorage",
        ..tensor()
    };
    refused(
        open(zip(&entries(&dictionary(&double), &[0; 16]))),
        &["\"data/0\" has 16 bytes but the pickle describes 32"],
    );
}

#[test]
fn archives() {
    let good = entries(&dictionary(&Tensor::default()), &[1; 16]);
    let changed = |at: usize, change: &dyn Fn(&mut Entry)| {
        let mut entries = good.clone();
        change(&mut entries[at]);
        zip(&entries)
    };
    refused(
        open(changed(2, &|e| e.size = Some(12))),
        &["\"archive/data/0\"", "described in two ways"],
    );
    refused(
        open(changed(2, &|e| e.size = Some(99))),
        &["described in two ways, or overlaps"],
    );
    refused(
        open(changed(2, &|e| e.size = Some(u32::MAX))),
        &["directory of its zip archive is broken"],
    );
    refused(
        open(changed(2, &|e| e.header = Some(0))),
        &["\"archive/data.pkl\"", "or overlaps another"],
    );
    refused(
        open(changed(3, &|e| e.header = Some(u32::MAX - 1))),
        &["begins after the directory"],
    );
    refused(
        open(changed(0, &|e| e.header = Some(4))),
        &["begins at byte 4, but"],
    );
    refused(
        open(changed(2, &|e| {
            e.local_name = Some("archive/data/1".into())
        })),
        &["described in two ways"],
    );
    refused(
        open(changed(2, &|e| e.method = 8)),
        &["is compressed (method 8)"],
    );
    refused(
        open(changed(2, &|e| e.flags = 1)),
        &["is encrypted or unusual (flags 0x0001)"],
    );
    refused(
        open(changed(2, &|e| e.flags = 8)),
        &["is followed by 0 bytes that do not describe it"],
    );
    refused(
        open(changed(3, &|e| e.name = "archive/data/0".into())),
        &["\"archive/data/0\"", "occurs twice"],
    );
    for name in [
        "../x",
        "archive/../x",
        "/x",
        "archive//x",
        "a\\b",
        ".",
        "archive/./x",
        "x/",
        "",
        "a\nb",
    ] {
        refused(
            open(changed(3, &|e| e.name = name.into())),
            &["a name that is not a path within the archive"],
        );
    }
    refused(
        open(changed(3, &|e| e.name = "x".repeat(513))),
        &["a name that is too long"],
    );
    refused(
        open(changed(0, &|e| e.name = "other/data.pkl".into())),
        &["\"data/0\", which is not in the archive"],
    );
    refused(
        open(changed(1, &|e| e.data = b"big".to_vec())),
        &["byte order is \"big\", expected \"little\""],
    );
    refused(
        open(changed(1, &|e| e.data = vec![0; 17])),
        &["has 17 bytes, at most 16"],
    );
    refused(
        open(changed(3, &|e| e.name = "archive/code/x.py".into())),
        &["a TorchScript archive"],
    );
    refused(
        open(changed(3, &|e| e.name = "archive/constants.pkl".into())),
        &["a TorchScript archive"],
    );
    let mut folder = good.clone();
    folder.insert(0, entry("archive/", b""));
    assert!(open(zip(&folder)).is_ok(), "a folder's own entry");
    assert!(open(zip(&good)).is_ok());
    refused(open(zip(&[])), &["zip archive without data.pkl"]);

    let file = zip(&good);
    let end = file.len();
    let longer = |bytes: &[u8]| [&file[..], bytes].concat();
    refused(
        open(longer(b"\0")),
        &[
            "does not end with the end of its directory",
            "other bytes follow",
        ],
    );
    refused(open(longer(&file)), &["does not end at byte", "download"]);
    let edited = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    refused(open(edited(end - 2, &[1])), &["does not end with the end"]);
    refused(open(edited(end - 18, &[1])), &["several parts"]);
    refused(open(edited(end - 12, &[9])), &["several parts"]);
    refused(
        open(edited(end - 14, &[9, 0, 9, 0])),
        &["directory of its zip archive is broken"],
    );
    refused(
        open(edited(end - 14, &[3, 0, 3, 0])),
        &["more than its 3 entries"],
    );
    refused(open(edited(end - 10, &[1])), &["does not end at byte"]);
    refused(open(edited(end - 6, &[1])), &["does not end at byte"]);
    refused(
        open(edited(end - 7, &[0xff])),
        &["at most 65536 and 16777216 are allowed"],
    );
    let before = [b"PK\x03\x04 some bytes before", &file[..]].concat();
    refused(open(before), &["does not end at byte"]);
}

/// Torch writes both end records; each of them and what they say is changed.
#[test]
fn zip64() {
    let file = fs::read(fixture("module.bin")).expect("a fixture");
    let end = file.len();
    assert!(file[end - 98..].starts_with(b"PK\x06\x06"));
    let edited = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        open(file)
    };
    let start = end - 98;
    refused(
        edited(start, b"PK\x06\x07"),
        &["no zip64 end record at byte"],
    );
    refused(edited(start + 4, &[45]), &["no zip64 end record"]);
    refused(edited(start + 64, &[1, 2]), &["no zip64 end record"]);
    refused(edited(start + 72, &[2]), &["no zip64 end record"]);
    refused(edited(start + 16, &[1]), &["several parts"]);
    refused(edited(start + 20, &[1]), &["several parts"]);
    refused(edited(start + 60, &[1]), &["several parts"]);
    refused(
        edited(start + 24, &[1]),
        &["the two end records of its zip archive differ: 1 and"],
    );
    refused(edited(start + 32, &[1]), &["differ: 1 and"]);
    refused(
        edited(start + 40, &[0xff; 8]),
        &["differ: 18446744073709551615 and"],
    );
    refused(
        edited(start + 48, &[0xff; 8]),
        &["differ: 18446744073709551615 and"],
    );
    // Only the large record says it.
    let mut only = file.clone();
    only[end - 14..end - 2].fill(0xff);
    assert!(open(only.clone()).is_ok());
    only[start + 48..start + 56].fill(0xff);
    refused(open(only), &["does not end at byte"]);
    // Without its signature it is bytes after the directory.
    refused(edited(start + 56, b"PK\x06\x08"), &["does not end at byte"]);
}

#[test]
fn older_files() {
    let object = dictionary(&Tensor::default());
    let keys = |keys: &[u8]| pickle(&[b"](", keys, b"e"].concat());
    let storage = [&4_u64.to_le_bytes()[..], &[0; 16]].concat();
    let file = |parts: &[&[u8]]| [&preamble(), &object[..], &parts.concat()].concat();
    assert!(open(file(&[&keys(&text("0")), &storage])).is_ok());
    refused(
        open(file(&[&keys(&text("1")), &storage])),
        &["lists storage \"1\", of which its pickle knows nothing"],
    );
    refused(
        open(file(&[&keys(b"K\x00"), &storage])),
        &["a key of its storages is not a text"],
    );
    refused(
        open(file(&[&keys(b"")])),
        &["its list of storages lacks \"0\""],
    );
    refused(
        open(file(&[&pickle(b"N"), &storage])),
        &["no list of its storages"],
    );
    let twice = [&text("0")[..], &text("0")].concat();
    refused(
        open(file(&[&keys(&twice), &storage, &storage])),
        &["lists storage \"0\" twice"],
    );
    refused(
        open(file(&[&keys(&text("0")), &storage, b"\0"])),
        &["its last storage ends at byte", "but it has"],
    );
    refused(
        open(file(&[&keys(&text("0")), &storage[..23]])),
        &["it was cut short in storage \"0\""],
    );
    refused(
        open(file(&[&keys(&text("0")), &storage[..7]])),
        &["it was cut short in storage \"0\""],
    );

    let magic = pickle(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
    let system = |code: &[u8]| [&magic[..], &pickle(b"M\xe9\x03"), &pickle(code), &object].concat();
    for code in [
        b"}".as_slice(),
        b"N",
        b"}X\x0d\0\0\0little_endian\x89s",
        b"]",
    ] {
        refused(
            open(system(code)),
            &["little-endian", "load it with PyTorch"],
        );
    }
    refused(
        open([&magic[..], &pickle(b"M\xe8\x03")].concat()),
        &["the protocol of its format is not 1001"],
    );
    refused(
        open([pickle(b"\x8a\x0a1234567890"), object.clone()].concat()),
        &["not one that torch.save wrote"],
    );
    let mut tar = b"sys_info".to_vec();
    tar.resize(1024, 0);
    tar[257..262].copy_from_slice(b"ustar");
    refused(
        open(tar),
        &[
            "it is a tar archive, the format of torch 0.1",
            "load it with PyTorch",
        ],
    );
}

/// What is cut, at any byte, is refused.
#[test]
fn every_truncation_is_refused() {
    for name in fixtures() {
        if name.starts_with("refused_") {
            continue;
        }
        let bytes = fs::read(fixture(&format!("{name}.bin"))).expect("a fixture");
        for length in 0..bytes.len() {
            let error = open(bytes[..length].to_vec()).expect_err("cut short");
            assert!(
                message(&error).contains("model.bin"),
                "{name} {length}: {error}"
            );
        }
    }
}

/// One flipped bit anywhere: never a panic, and what is accepted can be read.
#[test]
fn flipped_bits_never_panic() {
    let mut accepted = 0;
    for name in [
        "protocol_3",
        "protocol_4",
        "protocol_3_legacy",
        "protocol_5_legacy",
        "module_legacy",
        "without_byteorder",
        "refused_os_system",
    ] {
        let bytes = fs::read(fixture(&format!("{name}.bin"))).expect("a fixture");
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(checkpoint) = open(bytes) {
                accepted += 1;
                if bit % 8 == 3 {
                    read_all(&checkpoint);
                }
            }
        }
    }
    assert!(accepted > 0, "a flipped bit in a number is harmless");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any tensor over any storage: what is accepted has the elements that strides say.
    #[test]
    fn strides_are_followed(
        offset in 0_i64..6,
        axes in prop::collection::vec((0_i64..5, 0_i64..7), 0..5),
        first in 0_usize..9,
    ) {
        let data: Vec<u8> = (0..24).collect();
        let (shape, strides): (Vec<i64>, Vec<i64>) = axes.into_iter().unzip();
        let tensor = Tensor { class: "CharStorage", count: 24, offset, shape: shape.clone(), strides: strides.clone(), ..Tensor::default() };
        let mut expected: Vec<i64> = vec![offset];
        for (size, stride) in shape.iter().zip(&strides) {
            expected = expected.iter().flat_map(|at| (0..*size).map(move |n| at + n * stride)).collect();
        }
        let fits = expected.iter().all(|&at| at < 24);
        for file in [legacy(&tensor, &data), zip(&entries(&dictionary(&tensor), &data))] {
            let result = open(file);
            prop_assert_eq!(result.is_ok(), fits);
            let Ok(checkpoint) = result else { continue };
            let tensor = checkpoint.get("x").expect("listed");
            let first = first.min(expected.len());
            let mut out = vec![0_i8; expected.len() - first];
            checkpoint.read_i8(tensor, first, &mut out).expect("read");
            let found: Vec<i64> = out.into_iter().map(i64::from).collect();
            prop_assert_eq!(&found, &expected[first..]);
        }
    }

    /// Random instructions among right ones.
    #[test]
    fn random_pickles_never_panic(code in prop::collection::vec(
        prop::sample::select(vec![
            b"(".to_vec(), b"t".to_vec(), b"u".to_vec(), b"s".to_vec(), b"e".to_vec(), b"a".to_vec(), b"]".to_vec(),
            b"}".to_vec(), b")".to_vec(), b"R".to_vec(), b"b".to_vec(), b"Q".to_vec(), b"N".to_vec(), b".".to_vec(),
            b"\x85".to_vec(), b"\x86".to_vec(), b"\x87".to_vec(), b"\x94".to_vec(), b"h\0".to_vec(), b"h\x01".to_vec(),
            b"q\0".to_vec(), b"K\x02".to_vec(), text("x"), text("storage"), text("state_dict"), Tensor::default().code(),
            b"ccollections\nOrderedDict\n".to_vec(), b"ctorch\nFloatStorage\n".to_vec(), b"\x93".to_vec(),
            b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), b"ctorch\nSize\n".to_vec(),
        ]), 0..30))
    {
        for result in open_pickle(&pickle(&code.concat())) {
            match result {
                Ok(checkpoint) => read_all(&checkpoint),
                Err(error) => prop_assert!(message(&error).len() < 2000),
            }
        }
    }
}
