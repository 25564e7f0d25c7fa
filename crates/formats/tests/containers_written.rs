//! Files that we write in every format are read back, bit for bit, and what cannot be written is refused.

mod common;

use albert_formats::{
    Checkpoint, Dtype, FormatError, TensorSink, TensorSpec, write_hdf5, write_msgpack,
    write_tf_bundle, write_torch,
};
use common::{names, nothing, read_all, refused, spec};
use proptest::prelude::*;
use std::path::Path;

const FORMATS: [&str; 4] = ["tf", "h5", "msgpack", "torch"];

/// Writes `tensors` in a format into `folder`, and says what to open.
fn write(
    format: &str,
    folder: &Path,
    tensors: &[TensorSpec<'_>],
    fill: &mut dyn FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<std::path::PathBuf, FormatError> {
    let path = folder.join(format);
    match format {
        "tf" => write_tf_bundle(&path, tensors, fill)?,
        "h5" => write_hdf5(&path, &nothing(), &[], tensors, fill)?,
        "msgpack" => write_msgpack(&path, tensors, fill)?,
        _ => write_torch(&path, tensors, &[], fill)?,
    }
    Ok(path)
}

/// Element `at` of a tensor: small numbers that every type has.
fn value(name: &str, at: usize) -> i64 {
    ((name.len() + at) % 2) as i64
}

fn fill(spec: &TensorSpec<'_>, sink: &mut dyn TensorSink) -> Result<(), FormatError> {
    let count: usize = spec.shape.iter().product();
    let values: Vec<i64> = (0..count).map(|at| value(spec.name, at)).collect();
    let middle = count / 3;
    match spec.dtype {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
            let values: Vec<f64> = values.into_iter().map(|value| value as f64).collect();
            sink.write_f64(&values[..middle])?;
            sink.write_f64(&values[middle..])
        }
        _ => {
            sink.write_i64(&values[..middle])?;
            sink.write_i64(&values[middle..])
        }
    }
}

#[track_caller]
fn check(checkpoint: &Checkpoint, tensors: &[TensorSpec<'_>]) {
    assert_eq!(checkpoint.tensors().len(), tensors.len());
    for spec in tensors {
        let tensor = checkpoint.get(spec.name).expect("listed");
        assert_eq!(
            (tensor.dtype, tensor.shape.as_slice()),
            (spec.dtype, spec.shape)
        );
        let found = common::bits(checkpoint, tensor, 0, tensor.elements()).expect("read");
        let is_real = matches!(
            spec.dtype,
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16
        );
        for (at, bits) in found.into_iter().enumerate() {
            let value = value(spec.name, at);
            let expected = if is_real {
                (value as f64).to_bits()
            } else {
                value as u64
            };
            assert_eq!(bits, expected, "{} {at}", spec.name);
        }
    }
    read_all(checkpoint);
}

const DTYPES: [Dtype; 10] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U8,
    Dtype::Bool,
    Dtype::BF16,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any names, types and shapes come back from every format; the same input gives the same bytes.
    #[test]
    fn what_is_written_is_read(tensors in prop::collection::btree_map(
        "[a-c]{1,3}(x[0-9]{1,2}){0,2}",
        (0..DTYPES.len() - 1, prop::collection::vec(0_usize..6, 0..4)), 0..40))
    {
        for format in FORMATS {
            let separator = match format { "msgpack" | "torch" => ".", _ => "/" };
            // A leaf of its own, so that no name is a part of another.
            let named: Vec<(String, Dtype, &[usize])> = tensors.iter().map(|(name, (dtype, shape))| {
                let name = format!("{}{separator}leaf", name.replace('x', separator));
                (name, DTYPES[*dtype], shape.as_slice())
            }).collect();
            let specs: Vec<TensorSpec<'_>> = named.iter().map(|(name, dtype, shape)| spec(name, *dtype, shape)).collect();
            let folder = tempfile::tempdir().expect("a folder");
            let path = write(format, folder.path(), &specs, &mut fill).expect("written");
            match Checkpoint::open(&path) {
                Ok(checkpoint) => check(&checkpoint, &specs),
                // Files without tensors are likely to be something else.
                Err(error) => prop_assert!(specs.is_empty() && format != "tf", "{format}: {}", common::message(&error)),
            }
            let bytes = |folder: &Path| -> Vec<Vec<u8>> {
                names(folder).iter().map(|name| std::fs::read(folder.join(name)).expect("written")).collect()
            };
            let again = tempfile::tempdir().expect("a folder");
            write(format, again.path(), &specs, &mut fill).expect("written");
            prop_assert_eq!(bytes(folder.path()), bytes(again.path()));
        }
    }
}

#[test]
fn bfloat16_is_written_where_the_format_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let tensors = [spec("x", Dtype::BF16, &[3])];
    for format in FORMATS {
        let path = write(format, folder.path(), &tensors, &mut fill);
        if format == "h5" {
            refused(path, &["tensor \"x\": BF16, which is not written in HDF5"]);
        } else {
            check(
                &Checkpoint::open(&path.expect("written")).expect("valid"),
                &tensors,
            );
        }
    }
}

/// A model larger than the buffers, whose tensors follow each other at odd places.
#[test]
fn large_tensors() {
    let shapes = [[300, 257], [1, 7], [513, 64]];
    let tensors = [
        spec("a", Dtype::F32, &shapes[0]),
        spec("b", Dtype::I8, &shapes[1]),
        spec("c", Dtype::F64, &shapes[2]),
    ];
    for format in FORMATS {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(format, folder.path(), &tensors, &mut fill).expect("written");
        let checkpoint = Checkpoint::open(&path).expect("valid");
        check(&checkpoint, &tensors);
        let order: Vec<&str> = checkpoint
            .in_file_order()
            .iter()
            .map(|t| t.name.as_str())
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
    }
}

#[test]
fn tied_tensors_share_a_storage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pytorch_model.bin");
    let tensors = [
        spec("table", Dtype::F32, &[50, 40]),
        spec("bias", Dtype::F32, &[2]),
    ];
    let ties = [("decoder.weight", "table"), ("decoder.again", "table")];
    write_torch(&path, &tensors, &ties, fill).expect("written");
    let checkpoint = Checkpoint::open(folder.path()).expect("valid");
    assert_eq!(checkpoint.tensors().len(), 4);
    let read = |name: &str| {
        let tensor = checkpoint.get(name).expect("listed");
        common::bits(&checkpoint, tensor, 0, tensor.elements()).expect("read")
    };
    assert_eq!(read("decoder.weight"), read("table"));
    assert!(std::fs::metadata(&path).expect("written").len() < 2 * 50 * 40 * 4);
    for (ties, part) in [
        (
            [("x", "y")],
            "tensor \"x\" is tied to \"y\", which is not written",
        ),
        ([("bias", "table")], "two tensors are named \"bias\""),
    ] {
        refused(
            write_torch(&path, &tensors, &ties, fill),
            &[part, "pytorch_model.bin"],
        );
    }
}

#[test]
fn lists_of_keras() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tf_model.h5");
    let attributes = [("backend".to_owned(), "tensorflow".to_owned())].into();
    let tensors = [
        spec("albert/m/albert/pooler/kernel:0", Dtype::F32, &[2, 3]),
        spec("albert/m/albert/pooler/bias:0", Dtype::F32, &[3]),
        spec("classifier/m/classifier/kernel:0", Dtype::F32, &[3, 2]),
    ];
    let layers = ["albert", "dropout_4", "classifier"];
    write_hdf5(&path, &attributes, &layers, &tensors, fill).expect("written");
    let checkpoint = Checkpoint::open(folder.path()).expect("valid");
    check(&checkpoint, &tensors);
    let metadata = checkpoint.metadata();
    assert_eq!(metadata["backend"], "tensorflow");
    assert_eq!(
        metadata["layer_names"],
        r#"["albert","dropout_4","classifier"]"#
    );
    assert_eq!(
        metadata["albert/weight_names"],
        r#"["m/albert/pooler/kernel:0","m/albert/pooler/bias:0"]"#
    );
    assert_eq!(metadata["dropout_4/weight_names"], "[]");
    // More names than one attribute holds.
    let long: Vec<String> = (0..1000)
        .map(|n| format!("layer/{}{n:04}", "x".repeat(80)))
        .collect();
    let many: Vec<TensorSpec<'_>> = long.iter().map(|name| spec(name, Dtype::I8, &[])).collect();
    write_hdf5(&path, &nothing(), &["layer"], &many, fill).expect("written");
    let checkpoint = Checkpoint::open(&path).expect("valid");
    let names: Vec<String> =
        serde_json::from_str(&checkpoint.metadata()["layer/weight_names"]).expect("a list");
    assert!(names.iter().map(|name| format!("layer/{name}")).eq(long));
}

#[test]
fn what_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let one = |name: &'static str| [spec(name, Dtype::I8, &[])];
    refused(
        write_hdf5(&path, &nothing(), &["a"], &one("b/x"), fill),
        &["begins with the name of no layer"],
    );
    refused(
        write_hdf5(&path, &nothing(), &["a", "a"], &one("a/x"), fill),
        &["two layers are named \"a\""],
    );
    for name in ["a//x", "", "/x", "a/../x"] {
        refused(
            write_hdf5(&path, &nothing(), &[], &one(name), fill),
            &["empty part, `.` or `..`"],
        );
    }
    for name in ["a..x", ""] {
        refused(
            write_msgpack(&path, &one(name), fill),
            &["its part \"\" is empty"],
        );
    }
    for names in [["a", "a.b"], ["a.b", "a"], ["a.b.c", "a.b"]] {
        let tensors = names.map(|name| spec(name, Dtype::I8, &[]));
        refused(
            write_msgpack(&path, &tensors, fill),
            &["is a tensor and a map"],
        );
    }
    let tensors = ["a", "a/b"].map(|name| spec(name, Dtype::I8, &[]));
    refused(
        write_hdf5(&path, &nothing(), &[], &tensors, fill),
        &["\"a\" is a tensor and a group"],
    );
    refused(
        write_tf_bundle(&path, &one(""), fill),
        &["a tensor has no name"],
    );
    refused(
        write_tf_bundle(&folder.path().join("\"x"), &one("x"), fill),
        &["not ASCII, or quotes"],
    );
    for format in FORMATS {
        let huge = [spec("x", Dtype::F32, &[usize::MAX, 2])];
        refused(
            write(format, folder.path(), &huge, &mut fill),
            &["overflows"],
        );
        let twice = [spec("x", Dtype::I8, &[]), spec("x", Dtype::F32, &[])];
        refused(
            write(format, folder.path(), &twice, &mut fill),
            &["two tensors are named \"x\""],
        );
        let other = Dtype::from_name("U16").expect("listed");
        refused(
            write(format, folder.path(), &[spec("x", other, &[1])], &mut fill),
            &["U16, which is not written"],
        );
        let few = |_: &TensorSpec<'_>, sink: &mut dyn TensorSink| sink.write_i64(&[1]);
        let two = [spec("x", Dtype::I8, &[2])];
        refused(
            write(format, folder.path(), &two, &mut { few }),
            &["its shape has 2 elements, 1 were supplied"],
        );
    }
    let huge = [spec("x", Dtype::F32, &[1 << 30])];
    refused(
        write_torch(&path, &huge, &[], fill),
        &["4 GiB or more", "write safetensors"],
    );
    assert_eq!(names(folder.path()), [""; 0], "nothing is left behind");
}
