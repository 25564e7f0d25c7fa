//! Checkpoints of several files.

mod common;

use albert_formats::{
    Checkpoint, Dtype, FormatError, TensorSink, TensorSpec, write_safetensors_sharded,
};
use common::{file, names, nothing, refused, spec};
use std::{fs, path::Path};

const INDEX: &str = "model.safetensors.index.json";

fn index(folder: &Path, weight_map: &str) {
    let text = format!(r#"{{"metadata":{{"total_size":"wrong"}},"weight_map":{weight_map}}}"#);
    fs::write(folder.join(INDEX), text).expect("written");
}

/// A shard with tensors of one byte each.
fn shard(path: &Path, tensors: &[&str]) {
    let entry = |(at, name): (usize, &&str)| {
        format!(
            r#""{name}":{{"dtype":"U8","shape":[],"data_offsets":[{at},{}]}}"#,
            at + 1
        )
    };
    let entries: Vec<String> = tensors.iter().enumerate().map(entry).collect();
    let header = format!(
        r#"{{"__metadata__":{{"of":"{}"}},{}}}"#,
        tensors[0],
        entries.join(",")
    );
    let data: Vec<u8> = (1..=tensors.len() as u8).collect();
    fs::write(path, file(header, &data)).expect("written");
}

/// A folder with shards `s1` (a, b) and `s2` (c).
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    shard(&folder.path().join("s1"), &["b", "a"]);
    shard(&folder.path().join("s2"), &["c"]);
    folder
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = folder();
    index(folder.path(), r#"{"a":"s1","c":"s2","b":"s1"}"#);
    for path in [folder.path().to_owned(), folder.path().join(INDEX)] {
        let checkpoint = Checkpoint::open(&path).expect("valid");
        let listed: Vec<&str> = checkpoint
            .tensors()
            .map(|tensor| tensor.name.as_str())
            .collect();
        assert_eq!(listed, ["a", "b", "c"]);
        assert_eq!(checkpoint.total_bytes(), 3);
        assert_eq!(checkpoint.metadata()["of"], "b", "the first file wins");
        let files: Vec<_> = checkpoint
            .files()
            .map(|file| file.file_name().expect("named"))
            .collect();
        assert_eq!(files, ["s1", "s2"]);
        for (name, value) in [("a", 2), ("b", 1), ("c", 1)] {
            let mut out = [0];
            checkpoint
                .read_i64(checkpoint.get(name).expect("listed"), 0, &mut out)
                .expect("read");
            assert_eq!(out, [value], "{name}");
        }
        assert!(checkpoint.get("").is_none() && checkpoint.get("d").is_none());
    }
}

/// Of two checkpoints, one over the other, the upper one's tensors count.
#[test]
fn a_checkpoint_lies_over_another() {
    let base = folder();
    index(base.path(), r#"{"a":"s1","c":"s2","b":"s1"}"#);
    let base = Checkpoint::open(base.path()).expect("valid");
    let upper = tempfile::tempdir().expect("a temporary folder");
    let upper = upper.path().join("upper");
    shard(&upper, &["x", "d", "c", "a"]);
    let both = Checkpoint::open(&upper).expect("valid").over(base);
    let listed: Vec<&str> = both.tensors().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(listed, ["a", "b", "c", "d", "x"]);
    // Below, a is 2, b is 1, c is 1; above, a is 4, c is 3.
    for (name, value) in [("a", 4), ("b", 1), ("c", 3), ("d", 2), ("x", 1)] {
        let mut out = [0];
        let tensor = both.get(name).expect("listed");
        both.read_i64(tensor, 0, &mut out).expect("read");
        assert_eq!(out, [value], "{name}");
    }
    assert_eq!(both.metadata()["of"], "x");
    assert_eq!(both.total_bytes(), 5);
    assert_eq!(both.files().len(), 3);
}

#[test]
fn a_single_file_goes_before_an_index() {
    let folder = folder();
    index(folder.path(), "{}");
    shard(&folder.path().join("model.safetensors"), &["x"]);
    assert!(
        Checkpoint::open(folder.path())
            .expect("valid")
            .get("x")
            .is_some()
    );
}

#[test]
fn index_and_shards_must_agree() {
    let folder = folder();
    let refused_map = |weight_map: &str, parts: &[&str]| {
        index(folder.path(), weight_map);
        refused(Checkpoint::open(folder.path()), &[parts, &[INDEX]].concat());
    };
    let missing = r#"its shard "s3" is missing from"#;
    refused_map(r#"{"a":"s1","b":"s1","c":"s3"}"#, &[missing]);
    refused_map(
        r#"{"a":"s1","b":"s1","c":"s1"}"#,
        &[r#"its shard "s1" does not hold tensor "c""#],
    );
    refused_map(
        r#"{"a":"s1","b":"s1","c":"s2","d":"s2"}"#,
        &[r#"its shard "s2" does not hold tensor "d""#],
    );
    refused_map(
        r#"{"a":"s1","b":"s2","c":"s2"}"#,
        &[r#"its shard "s2" does not hold tensor "b""#],
    );
    refused_map(
        r#"{"a":"s1","c":"s2"}"#,
        &[r#"tensor "b" of shard "s1" is not in the weight_map"#],
    );
    refused_map(
        r#"{"a":"s1","a":"s1"}"#,
        &[r#"in "weight_map": key "a" occurs twice"#],
    );
    refused_map(
        r#"{"a":"s1"},"weight_map":{}"#,
        &[r#"key "weight_map" occurs twice"#],
    );
    refused_map(
        r#"{"a":1}"#,
        &[r#"in "weight_map": in "a""#, "expected a string"],
    );
    refused_map("[]", &["expected an object"]);
    shard(&folder.path().join("s2"), &["c", "a"]);
    let both = r#"tensor "a" is in two shards, "s1" and "s2""#;
    refused_map(r#"{"a":"s1","b":"s1","c":"s2"}"#, &[both]);

    fs::write(folder.path().join(INDEX), "{}").expect("written");
    refused(Checkpoint::open(folder.path()), &[r#"no key "weight_map""#]);
    fs::write(folder.path().join(INDEX), "[".repeat(1_000_000)).expect("written");
    refused(Checkpoint::open(folder.path()), &["not a valid index"]);
    let large = fs::File::create(folder.path().join(INDEX)).expect("made");
    large.set_len(100_000_001).expect("a sparse file");
    refused(
        Checkpoint::open(folder.path()),
        &["longer than the 100000000 bytes"],
    );
}

#[test]
fn damage_in_a_shard_names_the_shard() {
    let folder = folder();
    index(folder.path(), r#"{"a":"s1","b":"s1","c":"s2"}"#);
    let path = folder.path().join("s2");
    let bytes = fs::read(&path).expect("read");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    refused(
        Checkpoint::open(folder.path()),
        &["s2 has", "it was cut short"],
    );
}

#[test]
fn shard_names_are_plain_file_names() {
    let folder = folder();
    fs::create_dir(folder.path().join("inner")).expect("made");
    let inner = folder.path().join("inner");
    let absolute = folder.path().join("s1");
    let absolute = absolute.to_str().expect("text");
    for name in [
        "../s1",
        absolute,
        "./s1",
        "s1/",
        "x\\\\y",
        "C:s1",
        "/etc/passwd",
        "..\\\\s1",
    ] {
        index(&inner, &format!(r#"{{"a":"{name}"}}"#));
        refused(
            Checkpoint::open(&inner),
            &[r#"of tensor "a" is a path: expected a plain file name"#],
        );
    }
    for name in ["", ".", ".."] {
        index(&inner, &format!(r#"{{"a":"{name}"}}"#));
        refused(Checkpoint::open(&inner), &["is not a file name"]);
    }
    for name in ["s1\\u0000", "\\n", "\\u001b[31m"] {
        index(&inner, &format!(r#"{{"a":"{name}"}}"#));
        refused(Checkpoint::open(&inner), &["holds control characters"]);
    }
    fs::create_dir(inner.join("deeper")).expect("made");
    index(&inner, r#"{"a":"deeper"}"#);
    refused(Checkpoint::open(&inner), &["deeper is not a regular file"]);
}

#[test]
#[cfg(unix)]
fn links_must_stay_in_the_folder() {
    use std::os::unix::fs::symlink;
    let (outside, folder) = (folder(), folder());
    symlink("s1", folder.path().join("inside")).expect("linked");
    index(folder.path(), r#"{"a":"inside","b":"inside"}"#);
    Checkpoint::open(folder.path()).expect("a link within the folder");
    symlink(outside.path().join("s1"), folder.path().join("leaves")).expect("linked");
    index(folder.path(), r#"{"a":"leaves","b":"leaves"}"#);
    refused(
        Checkpoint::open(folder.path()),
        &[r#"its shard "leaves" is a link that leaves the folder"#],
    );
    symlink("nowhere", folder.path().join("dangling")).expect("linked");
    index(folder.path(), r#"{"a":"dangling","b":"dangling"}"#);
    refused(
        Checkpoint::open(folder.path()),
        &[r#"its shard "dangling" is missing"#],
    );
    symlink("circle", folder.path().join("circle")).expect("linked");
    index(folder.path(), r#"{"a":"circle","b":"circle"}"#);
    refused(Checkpoint::open(folder.path()), &["cannot find", "circle"]);
}

/// `models--x/snapshots/<commit>/<file>` links to `models--x/blobs/<hash>`.
#[test]
#[cfg(unix)]
fn the_cache_of_the_hub_may_link_to_its_blobs() {
    use std::os::unix::fs::symlink;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let model = cache.path().join("models--x");
    let commit = model.join("snapshots/0123");
    fs::create_dir_all(&commit).expect("made");
    fs::create_dir_all(model.join("blobs")).expect("made");
    fs::create_dir_all(cache.path().join("blobs")).expect("made");
    shard(&model.join("blobs/aa"), &["a"]);
    shard(&cache.path().join("blobs/aa"), &["a"]);
    symlink("../../blobs/aa", commit.join("s1")).expect("linked");
    symlink("../../../blobs/aa", commit.join("s2")).expect("linked");
    index(&commit, r#"{"a":"s1"}"#);
    Checkpoint::open(&commit).expect("the layout of the hub's cache");
    index(&commit, r#"{"a":"s2"}"#);
    refused(Checkpoint::open(&commit), &["leaves the folder"]);
}

const SPECS: [TensorSpec<'static>; 4] = [
    TensorSpec {
        name: "embeddings",
        dtype: Dtype::F32,
        shape: &[5, 2],
    },
    TensorSpec {
        name: "bias",
        dtype: Dtype::F32,
        shape: &[2],
    },
    TensorSpec {
        name: "ids",
        dtype: Dtype::I64,
        shape: &[1, 3],
    },
    TensorSpec {
        name: "half",
        dtype: Dtype::BF16,
        shape: &[3],
    },
];

fn fill(spec: &TensorSpec<'_>, sink: &mut dyn TensorSink) -> Result<(), FormatError> {
    let count: usize = spec.shape.iter().product();
    if spec.dtype == Dtype::I64 {
        sink.write_i64(&(0..count as i64).collect::<Vec<_>>())
    } else {
        sink.write_f32(&(0..count).map(|i| i as f32).collect::<Vec<_>>())
    }
}

fn write(folder: &Path, max: u64) -> Vec<String> {
    let files =
        write_safetensors_sharded(folder, "model", max, &nothing(), &SPECS, fill).expect("written");
    let names = files.iter().map(|file| {
        file.file_name()
            .expect("named")
            .to_string_lossy()
            .into_owned()
    });
    names.collect()
}

fn check(folder: &Path) {
    let checkpoint = Checkpoint::open(folder).expect("valid");
    assert_eq!(checkpoint.total_bytes(), 40 + 8 + 24 + 6);
    assert_eq!(checkpoint.tensors().len(), 4);
    for spec in SPECS {
        let info = checkpoint.get(spec.name).expect("listed");
        assert_eq!(
            (info.dtype, info.shape.as_slice()),
            (spec.dtype, spec.shape)
        );
        if spec.dtype != Dtype::I64 {
            let mut out = vec![0.0; info.elements()];
            checkpoint.read_f32(info, 0, &mut out).expect("read");
            assert!(out.iter().enumerate().all(|(i, &value)| value == i as f32));
        }
    }
}

#[test]
fn the_written_form_depends_on_the_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    assert_eq!(write(path, 78), ["model.safetensors"]);
    check(path);
    assert_eq!(names(path), ["model.safetensors"]);

    let two = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    assert_eq!(write(path, 48), two);
    check(path);
    assert_eq!(
        names(path),
        [two[0], two[1], INDEX],
        "the older single file is gone"
    );
    let expected = r#"{
  "metadata": {
    "total_size": 78
  },
  "weight_map": {
    "bias": "model-00001-of-00002.safetensors",
    "embeddings": "model-00001-of-00002.safetensors",
    "half": "model-00002-of-00002.safetensors",
    "ids": "model-00002-of-00002.safetensors"
  }
}
"#;
    assert_eq!(
        fs::read_to_string(path.join(INDEX)).expect("read"),
        expected
    );

    assert_eq!(
        write(path, 1).len(),
        4,
        "each tensor is larger than a shard"
    );
    check(path);
    assert_eq!(write(path, u64::MAX), ["model.safetensors"]);
    check(path);
    assert!(!path.join(INDEX).exists(), "the older index is gone");
}

#[test]
fn an_error_leaves_the_older_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), 48);
    let before = names(folder.path());
    let fails = |spec: &TensorSpec<'_>, sink: &mut dyn TensorSink| match spec.name {
        "half" => sink.write_f32(&[1.0]),
        _ => fill(spec, sink),
    };
    let result = write_safetensors_sharded(folder.path(), "model", 48, &nothing(), &SPECS, fails);
    refused(
        result,
        &[
            r#"tensor "half""#,
            "model-00002-of-00002.safetensors",
            "1 were supplied",
        ],
    );
    assert_eq!(names(folder.path()), before);
    check(folder.path());
}

#[test]
fn what_cannot_be_sharded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |stem: &str, specs: &[TensorSpec<'_>]| {
        write_safetensors_sharded(folder.path(), stem, 1, &nothing(), specs, fill)
    };
    refused(
        write("../model", &SPECS),
        &[r#"the stem "../model" is a path"#],
    );
    refused(write("", &SPECS), &["is not a file name"]);
    let twice = [spec("x", Dtype::U8, &[2]), spec("x", Dtype::U8, &[3])];
    refused(write("model", &twice), &[r#"two tensors are named "x""#]);
    let large = [spec("x", Dtype::U8, &[usize::MAX, 9])];
    refused(write("model", &large), &[r#"tensor "x""#, "overflows"]);
    assert!(names(folder.path()).is_empty());
}
