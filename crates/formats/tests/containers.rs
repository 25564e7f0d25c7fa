//! Files that TensorFlow, h5py, Keras and Flax wrote: every tensor has the bits that these libraries read.

mod common;

use albert_formats::{Checkpoint, Dtype, FormatError};
use common::{bits, container, message, refused};
use std::{collections::BTreeMap, fs, path::Path};

#[track_caller]
fn open(path: &Path) -> Checkpoint {
    Checkpoint::open(path).unwrap_or_else(|e| panic!("{}: {}", path.display(), message(&e)))
}

/// A checkpoint against the tensors in `CASE.safetensors`: read whole, in runs that begin anywhere, and transposed. Other
/// tensors that it lists cannot be read.
#[track_caller]
fn check(case: &str, found: &Checkpoint) {
    let expected = open(&container(&format!("{case}.safetensors")));
    assert!(expected.tensors().len() > 0);
    for tensor in found.tensors() {
        let is_other = matches!(tensor.dtype, Dtype::Other { .. });
        let is_expected = expected.get(&tensor.name).is_some();
        assert_eq!(is_expected, !is_other, "{case} {tensor:?}");
    }
    for tensor in expected.tensors() {
        let name = &tensor.name;
        let listed = found.get(name);
        let listed = listed.unwrap_or_else(|| panic!("{case} lacks {name}"));
        assert_eq!(listed.dtype, tensor.dtype, "{case} {name}");
        assert_eq!(listed.shape, tensor.shape, "{case} {name}");
        assert_eq!(listed.bytes(), tensor.bytes(), "{case} {name}");
        let count = tensor.elements();
        let all = bits(&expected, tensor, 0, count).expect("read");
        assert_eq!(
            bits(found, listed, 0, count).expect("read"),
            all,
            "{case} {name}"
        );
        for first in 0..count.min(80) {
            for count in [1, 2, 3, 7, 23].map(|n: usize| n.min(count - first)) {
                let part = bits(found, listed, first, count).expect("read");
                assert_eq!(part, all[first..first + count], "{case} {name} {first}");
            }
        }
        assert!(bits(found, listed, 1, count).is_err(), "{case} {name}");
        if tensor.dtype == Dtype::F32 {
            check_transposed(found, name, case);
        }
    }
}

/// The transpose in pieces against the transpose of the whole, for every split of the dimensions.
fn check_transposed(found: &Checkpoint, name: &str, case: &str) {
    let tensor = found.get(name).expect("listed");
    let count = tensor.elements();
    let mut whole = vec![0.0; count];
    found.read_f32(tensor, 0, &mut whole).expect("read");
    for inputs in 0..=tensor.shape.len() {
        let rows: usize = tensor.shape[..inputs].iter().product();
        let columns: usize = tensor.shape[inputs..].iter().product();
        let expected: Vec<u32> = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| row * columns + column))
            .map(|at| whole[at].to_bits())
            .collect();
        for (first, length) in [
            (0, count),
            (count / 3, count / 2),
            (count, 0),
            (0, count.min(1)),
        ] {
            let mut out = vec![0.0; length];
            found
                .read_f32_transposed(tensor, inputs, first, &mut out)
                .expect("read");
            let out: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
            assert_eq!(
                out,
                expected[first..first + length],
                "{case} {name} {inputs}"
            );
        }
        let past = found.read_f32_transposed(tensor, inputs, 1, &mut whole.clone());
        assert!(past.is_err(), "{case} {name}");
    }
}

#[test]
fn checkpoints_of_tensorflow() {
    for case in ["tf_types", "tf_merged", "tf_objects"] {
        let checkpoint = open(&container(case));
        check(case, &checkpoint);
        for tensor in checkpoint.tensors() {
            let verified = checkpoint.verify(tensor).expect("right");
            assert_eq!(
                verified,
                tensor.dtype.name() != "STRING",
                "{case} {tensor:?}"
            );
        }
        check(case, &open(&container(&format!("{case}.index"))));
    }
    let merged = open(&container("tf_merged"));
    assert_eq!(merged.files().len(), 2);
    check(
        "tf_merged",
        &open(&container("tf_merged.data-00001-of-00002")),
    );
    let objects = open(&container("tf_objects"));
    let graph = objects.get("_CHECKPOINTABLE_OBJECT_GRAPH").expect("listed");
    assert_eq!(graph.dtype.name(), "STRING");
    refused(
        objects.read_f32(graph, 0, &mut [0.0]),
        &["is STRING: expected one of"],
    );
    refused(
        Checkpoint::open(&container("refused_partitioned")),
        &[
            "it has slices of partitioned variables",
            "refused_partitioned.index",
        ],
    );
}

/// A folder with copies of the fixtures whose names begin with `prefix`, with it replaced.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (prefix, name) in files {
        for suffix in ["index", "data-00000-of-00001"] {
            let from = container(&format!("{prefix}.{suffix}"));
            fs::copy(from, folder.path().join(format!("{name}.{suffix}"))).expect("copied");
        }
    }
    folder
}

#[test]
fn folders_of_tensorflow() {
    check("tf_saver", &open(&container("tf_saver")));
    let folder = folder(&[("tf_types", "model.ckpt-best")]);
    let path = folder.path();
    check("tf_types", &open(path));
    // The path of whoever wrote it counts for nothing but its last part.
    let state = path.join("checkpoint");
    fs::write(&state, "model_checkpoint_path: \"/cns/x/model.ckpt-5\"\n").expect("written");
    check("tf_types", &open(path));
    for suffix in ["index", "data-00000-of-00001"] {
        let from = container(&format!("tf_objects.{suffix}"));
        fs::copy(from, path.join(format!("model.ckpt-5.{suffix}"))).expect("copied");
    }
    check("tf_objects", &open(path));
    fs::write(&state, "model_checkpoint_path: \"/cns/x/model.ckpt-7\"\n").expect("written");
    refused(
        Checkpoint::open(path),
        &[
            "names the checkpoint \"/cns/x/model.ckpt-7\"",
            "no \"model.ckpt-7.index\"",
        ],
    );
    fs::remove_file(&state).expect("removed");
    refused(
        Checkpoint::open(path),
        &[
            "a folder of 2 checkpoints, \"model.ckpt-5\", \"model.ckpt-best\"",
            "name one of them",
        ],
    );
    check("tf_types", &open(&path.join("model.ckpt-best")));
    fs::write(path.join("model.ckpt-best.meta"), "a graph").expect("written");
    check("tf_types", &open(&path.join("model.ckpt-best.meta")));
    fs::rename(path.join("model.ckpt-5.index"), path.join("model.ckpt-5")).expect("renamed");
    refused(
        Checkpoint::open(&path.join("model.ckpt-5")),
        &["its name does not end with .index"],
    );
    fs::remove_file(path.join("model.ckpt-best.data-00000-of-00001")).expect("removed");
    let gone = Checkpoint::open(&path.join("model.ckpt-best"));
    refused(
        gone,
        &["cannot open", "model.ckpt-best.data-00000-of-00001"],
    );
}

#[test]
fn files_of_h5py() {
    for name in [
        "types",
        "types_latest",
        "chunked",
        "chunked_latest",
        "many",
        "many_latest",
        "compact",
    ] {
        let case = format!("h5_{name}");
        let path = container(&format!("{case}.h5"));
        check(&case, &open(&path));
        let bytes = fs::read(&path).expect("a fixture");
        check(
            &case,
            &Checkpoint::from_bytes("memory", bytes).expect("valid"),
        );
    }
    for case in ["h5_types", "h5_types_latest"] {
        let checkpoint = open(&container(&format!("{case}.h5")));
        let metadata = checkpoint.metadata();
        assert_eq!(metadata["backend"], "tensorflow");
        assert_eq!(metadata["keras_version"], "2.21.0");
        let dtype = |name: &str| checkpoint.get(name).expect("listed").dtype.name();
        assert_eq!(["text", "texts"].map(dtype), ["STRING"; 2]);
        let big = checkpoint.get("big_endian").expect("listed");
        refused(
            checkpoint.read_f32(big, 0, &mut [0.0]),
            &["a type of HDF5 that is not read"],
        );
    }
    for (name, parts) in [
        (
            "lzf",
            [
                "dataset \"x\": it is stored with filter 32000",
                "the library that wrote it",
            ],
        ),
        (
            "growing",
            [
                "dataset \"x\": its chunks are indexed in form 4",
                "fixed shape",
            ],
        ),
        (
            "loop",
            ["the group \"a/again\" has two names", "refused_loop.h5"],
        ),
        (
            "missing",
            [
                "its layer_names names \"b\", which is not there",
                "refused_missing.h5",
            ],
        ),
    ] {
        let path = container(&format!("refused_{name}.h5"));
        refused(Checkpoint::open(&path), &parts);
    }
}

/// Keras' lists, and datasets in the order in which Keras wrote them.
#[test]
fn files_of_keras() {
    let order = fs::read_to_string(container("order.json")).expect("a fixture");
    let order: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&order).expect("valid");
    let layers = order["keras"].as_object().expect("layers");
    let checkpoint = open(&container("keras.h5"));
    check("keras", &checkpoint);
    let list = |key: &str| -> Vec<String> {
        serde_json::from_str(&checkpoint.metadata()[key]).expect("a list")
    };
    assert!(list("layer_names").iter().eq(layers.keys()));
    assert!(checkpoint.metadata()["keras_version"].starts_with("2."));
    let mut paths = Vec::new();
    for (layer, names) in layers {
        let found = list(&format!("{layer}/weight_names"));
        let expected: Vec<&str> = names
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|name| name.as_str())
            .collect();
        assert_eq!(found, expected);
        paths.extend(found.into_iter().map(|name| format!("{layer}/{name}")));
    }
    let in_order: Vec<&str> = checkpoint
        .in_file_order()
        .into_iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert_eq!(in_order, paths);
    let kernel =
        "albert/tf_albert_for_masked_lm/albert/encoder/embedding_hidden_mapping_in/kernel:0";
    assert_eq!(checkpoint.get(kernel).expect("listed").shape, [3, 4]);
    for case in ["h5_many", "h5_many_latest"] {
        let checkpoint = open(&container(&format!("{case}.h5")));
        let layers: Vec<String> =
            serde_json::from_str(&checkpoint.metadata()["layer_names"]).expect("a list");
        assert_eq!(layers.len(), 60);
        let odd = &checkpoint.metadata()[&format!("{}/weight_names", layers[7])];
        assert_eq!(odd, "[\"w:0\"]", "texts of any length");
    }
    let sharded = open(&container("keras_sharded"));
    assert!(sharded.files().len() > 1);
    check("keras_sharded", &sharded);
    check(
        "keras_sharded",
        &open(&container("keras_sharded/tf_model.h5.index.json")),
    );
}

#[test]
fn files_of_flax() {
    for case in ["flax_types", "flax_chunked", "flax_model"] {
        let path = container(&format!("{case}.msgpack"));
        check(case, &open(&path));
        let bytes = fs::read(&path).expect("a fixture");
        check(
            case,
            &Checkpoint::from_bytes("memory", bytes).expect("valid"),
        );
    }
    let model = open(&container("flax_model.msgpack"));
    let kernel = "albert.encoder.embedding_hidden_mapping_in.kernel";
    assert_eq!(model.get(kernel).expect("listed").shape, [3, 4]);
}

/// A folder with one file of each, and an index of shards in two formats.
#[test]
fn folders_and_indexes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::copy(
        container("flax_model.msgpack"),
        path.join("flax_model.msgpack"),
    )
    .expect("copied");
    check("flax_model", &open(path));
    fs::copy(container("keras.h5"), path.join("tf_model.h5")).expect("copied");
    check("keras", &open(path));
    let mut map = BTreeMap::new();
    for (case, shard) in [
        ("flax_model", "flax_model.msgpack"),
        ("keras", "tf_model.h5"),
    ] {
        let listed = open(&container(&format!("{case}.safetensors")));
        map.extend(listed.tensors().map(|t| (t.name.clone(), shard)));
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    fs::write(path.join("flax_model.msgpack.index.json"), index).expect("written");
    let both = open(&path.join("flax_model.msgpack.index.json"));
    assert_eq!(both.tensors().len(), map.len());
    assert_eq!(both.files().len(), 2);
}

/// What was written with a checksum and changed since is found when a tensor is read whole, and by `verify`.
#[test]
fn checksums() -> Result<(), FormatError> {
    let folder = folder(&[("tf_types", "x")]);
    let data = folder.path().join("x.data-00000-of-00001");
    let checkpoint = open(&folder.path().join("x"));
    let tensor = checkpoint.get("deep/er/kernel").expect("listed");
    let mut bytes = fs::read(&data).expect("copied");
    let at = checkpoint.in_file_order();
    let at: u64 = (at.iter())
        .take_while(|found| found.name != tensor.name)
        .map(|found| found.bytes())
        .sum();
    bytes[at as usize + 5] ^= 1;
    fs::write(&data, bytes).expect("written");
    let mut out = [0.0; 12];
    let wrong = [
        "the checksum of tensor \"deep/er/kernel\"",
        "x.data-00000-of-00001 is 0x",
    ];
    refused(checkpoint.read_f32(tensor, 0, &mut out), &wrong);
    refused(checkpoint.verify(tensor), &wrong);
    checkpoint.read_f32(tensor, 0, &mut out[..11])?;
    let bias = checkpoint.get("deep/er/bias").expect("listed");
    assert!(checkpoint.verify(bias)?);
    let other = open(&container("keras.h5"));
    refused(other.verify(bias), &["does not come from the checkpoint"]);
    let first = other.tensors().next().expect("a tensor");
    assert!(!other.verify(first)?, "there is none in HDF5");
    Ok(())
}
