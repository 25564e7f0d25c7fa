//! Writes one small model in every format into a folder, for the real libraries to read: `tools/check_containers.py`.

use albert_formats::{
    Dtype, FormatError, TensorSink, TensorSpec, write_hdf5, write_msgpack, write_safetensors,
    write_tf_bundle, write_torch,
};
use std::{collections::BTreeMap, path::PathBuf};

type Spec = (&'static str, Dtype, &'static [usize]);

/// Names with `/`, types and shapes; element i of a tensor is i − 2, of a `BOOL` i mod 2, of a `U8` i.
const TENSORS: [Spec; 12] = [
    ("albert/m/albert/pooler/kernel:0", Dtype::F32, &[3, 4]),
    ("albert/m/albert/pooler/bias:0", Dtype::F32, &[4]),
    ("albert/m/albert/table/weight:0", Dtype::F64, &[300, 70]),
    ("albert/m/half", Dtype::F16, &[5]),
    ("albert/m/long", Dtype::I64, &[2, 3, 2]),
    ("albert/m/int", Dtype::I32, &[7]),
    ("albert/m/short", Dtype::I16, &[7]),
    ("albert/m/char", Dtype::I8, &[3, 1]),
    ("albert/m/byte", Dtype::U8, &[9]),
    ("classifier/bool", Dtype::Bool, &[4]),
    ("classifier/scalar", Dtype::F32, &[]),
    ("classifier/empty", Dtype::F32, &[0, 3]),
];
/// HDF5 has no such type.
const BRAIN: Spec = ("classifier/brain", Dtype::BF16, &[6]);
/// A layer of Keras, which finds its weights by the lists alone.
const DENSE: [Spec; 2] = [
    ("dense/dense/kernel:0", Dtype::F32, &[3, 2]),
    ("dense/dense/bias:0", Dtype::F32, &[2]),
];

fn fill(spec: &TensorSpec<'_>, sink: &mut dyn TensorSink) -> Result<(), FormatError> {
    let count: usize = spec.shape.iter().product();
    let whole = |value: &dyn Fn(i64) -> i64| (0..count as i64).map(value).collect::<Vec<_>>();
    match spec.dtype {
        Dtype::Bool => sink.write_i64(&whole(&|i| i % 2)),
        Dtype::U8 => sink.write_i64(&whole(&|i| i)),
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
            (0..count).try_for_each(|i| sink.write_f32(&[i as f32 - 2.0]))
        }
        _ => sink.write_i64(&whole(&|i| i - 2)),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: containers FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    let spec = |&(name, dtype, shape): &Spec| TensorSpec { name, dtype, shape };
    let plain: Vec<TensorSpec<'_>> = TENSORS.iter().map(spec).collect();
    let all: Vec<TensorSpec<'_>> = TENSORS.iter().chain([&BRAIN]).map(spec).collect();
    let dense: Vec<TensorSpec<'_>> = DENSE.iter().map(spec).collect();
    let dotted: Vec<String> = all.iter().map(|spec| spec.name.replace('/', ".")).collect();
    let dotted: Vec<TensorSpec<'_>> = (all.iter().zip(&dotted))
        .map(|(spec, name)| TensorSpec { name, ..*spec })
        .collect();
    let texts = |texts: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        texts.iter().map(owned).collect()
    };

    write_tf_bundle(&folder.join("model.ckpt-best"), &all, fill)?;
    let keras = texts(&[("backend", "tensorflow"), ("keras_version", "2.21.0")]);
    let layers = ["albert", "dropout_4", "classifier"];
    write_hdf5(&folder.join("tf_model.h5"), &keras, &layers, &plain, fill)?;
    write_hdf5(&folder.join("dense.h5"), &keras, &["dense"], &dense, fill)?;
    write_msgpack(&folder.join("flax_model.msgpack"), &dotted, fill)?;
    let ties = [("tied", "albert.m.albert.pooler.kernel:0")];
    write_torch(&folder.join("pytorch_model.bin"), &dotted, &ties, fill)?;
    for format in ["tf", "flax"] {
        let path = folder.join(format!("{format}.safetensors"));
        write_safetensors(&path, &texts(&[("format", format)]), &plain, fill)?;
    }
    Ok(())
}
