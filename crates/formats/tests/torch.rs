//! Files that torch wrote: every tensor has the bits that torch reads.

mod common;

use albert_formats::Checkpoint;
use common::{assert_same, bits, file, fixture, fixtures, message, refused};
use std::{fs, path::Path};

#[test]
fn every_form_is_read_as_torch_reads_it() {
    let cases: Vec<String> = fixtures()
        .into_iter()
        .filter(|name| !name.starts_with("refused_"))
        .collect();
    assert_eq!(cases.len(), 19, "{cases:?}");
    for case in cases {
        let expected = fixture(&format!("{case}.safetensors"));
        let expected = Checkpoint::open(&expected).expect("valid");
        assert!(expected.tensors().len() > 0);
        let path = fixture(&format!("{case}.bin"));
        let found = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_same(&found, &expected, &case);
        assert_eq!(found.total_bytes(), expected.total_bytes(), "{case}");
        assert!(found.metadata().is_empty());
        assert!(found.files().eq([path.as_path()]));
        let bytes = fs::read(&path).expect("a fixture");
        let found = Checkpoint::from_bytes("in memory", bytes).expect("valid");
        assert_same(&found, &expected, &case);
    }
}

#[test]
fn the_two_formats_hold_the_same() {
    for case in ["types", "views", "module", "parameters", "nested"] {
        let open = |name: String| Checkpoint::open(&fixture(&name)).expect("valid");
        let new = open(format!("{case}.bin"));
        assert_same(&open(format!("{case}_legacy.bin")), &new, case);
    }
}

#[test]
fn tied_tensors_are_listed_under_both_names() {
    for case in ["module.bin", "module_legacy.bin", "repacked.bin"] {
        let checkpoint = Checkpoint::open(&fixture(case)).expect("valid");
        let read = |name: &str| {
            let tensor = checkpoint.get(name).expect("listed");
            assert_eq!((tensor.shape.as_slice(), tensor.bytes()), (&[5, 3][..], 60));
            bits(&checkpoint, tensor, 0, 15).expect("read")
        };
        assert_eq!(read("embed.weight"), read("decoder.weight"));
        let ids = checkpoint.get("position_ids").expect("listed");
        assert_eq!(
            bits(&checkpoint, ids, 0, 6).expect("read"),
            [0, 1, 2, 3, 4, 5]
        );
    }
}

#[test]
fn types_without_a_reader_are_listed() {
    let checkpoint = Checkpoint::open(&fixture("unsigned.bin")).expect("valid");
    let dtype = |name: &str| checkpoint.get(name).expect("listed").dtype.name();
    assert_eq!(["u16", "f8", "f32"].map(dtype), ["U16", "F8_E4M3", "F32"]);
    refused(
        checkpoint.read_i64(checkpoint.get("u16").expect("listed"), 0, &mut [0]),
        &["is U16: expected one of I64"],
    );
}

/// A folder with these files, each with the contents of a fixture.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, from) in files {
        fs::copy(fixture(from), folder.path().join(name)).expect("copied");
    }
    folder
}

fn first_file(folder: &Path) -> String {
    let checkpoint = Checkpoint::open(folder).expect("valid");
    let file = checkpoint.files().next().expect("a file");
    let name = file.file_name().expect("named");
    name.to_string_lossy().into_owned()
}

#[test]
fn a_folder_is_searched_in_order() {
    let folder = folder(&[
        ("pytorch_model.bin", "module.bin"),
        ("part.bin", "types.bin"),
    ]);
    let path = folder.path();
    fs::write(path.join("pytorch_model.bin.index.json"), "{}").expect("written");
    assert_eq!(first_file(path), "pytorch_model.bin");
    let types = Checkpoint::open(&fixture("types.safetensors")).expect("valid");
    let map: Vec<String> = types
        .tensors()
        .map(|t| format!("{:?}:\"part.bin\"", t.name))
        .collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, map.join(","));
    fs::write(path.join("model.safetensors.index.json"), &index).expect("written");
    assert_eq!(first_file(path), "part.bin", "an index of any format");
    fs::copy(fixture("views.safetensors"), path.join("model.safetensors")).expect("copied");
    assert_eq!(first_file(path), "model.safetensors");
    for name in [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
    ] {
        fs::remove_file(path.join(name)).expect("removed");
    }
    fs::write(path.join("pytorch_model.bin.index.json"), &index).expect("written");
    assert_eq!(first_file(path), "part.bin");
    fs::remove_file(path.join("pytorch_model.bin.index.json")).expect("removed");
    refused(
        Checkpoint::open(path),
        &[
            "no checkpoint in",
            "model.safetensors, model.safetensors.index.json",
            "pytorch_model.bin, or pytorch_model.bin.index.json",
        ],
    );
}

/// Shards of all three formats are one checkpoint, with the strides of each.
#[test]
fn shards_may_be_of_any_format() {
    let folder = folder(&[
        ("1.bin", "views.bin"),
        ("2.bin", "module_legacy.bin"),
        ("3", "types.safetensors"),
    ]);
    let shards = [("1.bin", "views"), ("2.bin", "module"), ("3", "types")];
    let mut map = Vec::new();
    for (shard, case) in shards {
        let names = Checkpoint::open(&fixture(&format!("{case}.safetensors"))).expect("valid");
        map.extend(names.tensors().map(|t| format!("{:?}:{shard:?}", t.name)));
    }
    fs::write(
        folder.path().join("pytorch_model.bin.index.json"),
        format!(r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#, map.join(",")),
    )
    .expect("written");
    let result = Checkpoint::open(folder.path());
    let checkpoint = match result {
        Err(error) => panic!("{}", message(&error)),
        Ok(checkpoint) => checkpoint,
    };
    for (_, case) in shards {
        let expected = Checkpoint::open(&fixture(&format!("{case}.safetensors"))).expect("valid");
        for tensor in expected.tensors() {
            let found = checkpoint.get(&tensor.name).expect("listed");
            assert_eq!(
                bits(&checkpoint, found, 0, found.elements()).expect("read"),
                bits(&expected, tensor, 0, tensor.elements()).expect("read"),
            );
        }
    }
}

/// The content says what a file is; its name does not.
#[test]
fn names_do_not_matter() {
    for (name, from) in [
        ("x.safetensors", "module.bin"),
        ("x.safetensors", "module_legacy.bin"),
        ("x.bin", "module.safetensors"),
        ("x", "module.bin"),
        ("x.json.old", "module_legacy.bin"),
    ] {
        let folder = folder(&[(name, from)]);
        let found = Checkpoint::open(&folder.path().join(name)).expect("valid");
        let expected = Checkpoint::open(&fixture("module.safetensors")).expect("valid");
        assert_same(&found, &expected, from);
    }
}

/// A large transposed matrix: more than one round of gathering, more than one read in each.
#[test]
fn large_views() {
    let (rows, columns) = (1024, 700);
    let data: Vec<u8> = (0..rows * columns)
        .flat_map(|n: u32| (n as f32).to_le_bytes())
        .collect();
    let bytes = common::torch::legacy(
        &common::torch::Tensor {
            shape: vec![columns.into(), rows.into()],
            strides: vec![1, columns.into()],
            count: (rows * columns).into(),
            ..Default::default()
        },
        &data,
    );
    let checkpoint = Checkpoint::from_bytes("memory", bytes).expect("valid");
    let tensor = checkpoint.get("x").expect("listed");
    let mut out = vec![0.0; tensor.elements()];
    checkpoint.read_f32(tensor, 0, &mut out).expect("read");
    for (at, value) in out.iter().enumerate() {
        let (column, row) = (at / rows as usize, at % rows as usize);
        assert_eq!(*value, (row * columns as usize + column) as f32);
    }
    let mut part = vec![0.0; 3000];
    checkpoint.read_f32(tensor, 517, &mut part).expect("read");
    assert_eq!(part, out[517..3517]);
}

static EMBEDDED: &[u8] = include_bytes!("../../../fixtures/torch/types.safetensors");

#[test]
fn bytes_in_memory() {
    let embedded = Checkpoint::from_bytes("the embedded model", EMBEDDED).expect("valid");
    let expected = Checkpoint::open(&fixture("types.safetensors")).expect("valid");
    assert_same(&embedded, &expected, "memory");
    assert!(embedded.files().eq([Path::new("the embedded model")]));
    let other = expected.get("i8").expect("listed");
    refused(
        embedded.read_i8(other, 5, &mut [0; 2]),
        &["\"i8\" in the embedded model has 6 elements: 2 elements from element 5"],
    );
    refused(
        embedded.read_i8(embedded.get("u8").expect("listed"), 0, &mut [0]),
        &["is U8: expected one of I8"],
    );
    refused(
        Checkpoint::from_bytes("the embedded model", &EMBEDDED[..100]),
        &["the embedded model is not a valid safetensors file"],
    );
    let owned = Checkpoint::from_bytes("owned", file("{}", b"")).expect("valid");
    assert_eq!(owned.tensors().len(), 0);
}
