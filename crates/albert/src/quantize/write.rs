//! config.json and model.safetensors of a quantised folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::{AT_ONCE, Kind, Planned, for_integers, for_rows, plan};
use super::{MatrixError, Written, quantized_already};
use crate::checkpoint::ModelFolder;
use crate::config::{ConfigDialect, Quantization};
use crate::error::{Error, Result};
use crate::names::SCALE;
use albert_formats::{
    Checkpoint, Dtype, FormatError, TensorSink, TensorSpec, write_atomically, write_safetensors,
};

/// The file of the weights.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// Reads the model in `source`, writes it to `folder`, which is there.
pub(super) fn write(source: &Path, folder: &Path) -> Result<Written> {
    let ModelFolder {
        mut config,
        checkpoint,
        ..
    } = ModelFolder::open(source)?;
    if let Some(Quantization { version }) = config.quantization() {
        return Err(quantized_already(
            source,
            format!("quantization_config of version {version} in config.json"),
        ));
    }
    let mut left_out = Vec::new();
    let planned = plan(source, &config, &checkpoint, &mut left_out)?;

    let file = folder.join(WEIGHTS);
    write_tensors(&file, &checkpoint, &planned)?;
    config.set_quantization(Some(Quantization::CURRENT));
    config.extra.remove("torch_dtype");
    config.extra.insert("dtype".to_owned(), "float32".into());
    let json = config.to_json(ConfigDialect::HuggingFace)?;
    write_atomically(&folder.join("config.json"), json.as_bytes())?;

    let matrices = planned.iter().filter_map(|planned| match planned.kind {
        Kind::Matrix { error, .. } => Some(MatrixError {
            name: planned.info.name.clone(),
            shape: [planned.info.shape[0], planned.info.shape[1]],
            error,
        }),
        Kind::Half | Kind::Real | Kind::Whole => None,
    });
    Ok(Written {
        matrices: matrices.collect(),
        source_bytes: checkpoint.total_bytes(),
        file_bytes: std::fs::metadata(&file)
            .map_err(Error::file("read", &file))?
            .len(),
        left_out,
    })
}

fn write_tensors(file: &Path, checkpoint: &Checkpoint, planned: &[Planned<'_>]) -> Result<()> {
    let by_name: BTreeMap<&str, &Planned<'_>> = planned
        .iter()
        .map(|planned| (planned.info.name.as_str(), planned))
        .collect();
    let matrices = planned.iter().filter_map(|planned| match &planned.kind {
        Kind::Matrix { scales, .. } => {
            let name = format!("{}{SCALE}", planned.info.name);
            Some((name, ([scales.len(), 1], scales)))
        }
        Kind::Half | Kind::Real | Kind::Whole => None,
    });
    let scales: BTreeMap<String, ([usize; 2], &Vec<f32>)> = matrices.collect();
    let own = planned.iter().map(|Planned { info, kind }| TensorSpec {
        name: &info.name,
        dtype: match kind {
            Kind::Matrix { .. } => Dtype::I8,
            Kind::Half => Dtype::BF16,
            Kind::Real => Dtype::F32,
            Kind::Whole => info.dtype,
        },
        shape: &info.shape,
    });
    let beside = scales.iter().map(|(name, (shape, _))| TensorSpec {
        name,
        dtype: Dtype::F32,
        shape,
    });
    let specs: Vec<TensorSpec<'_>> = own.chain(beside).collect();
    let Quantization { version } = Quantization::CURRENT;
    let metadata = [
        ("format", "pt".to_owned()),
        (
            "quant_method",
            crate::config::QUANTIZATION_METHOD.to_owned(),
        ),
        ("quant_version", version.to_string()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    write_safetensors(file, &metadata, &specs, |spec, sink| {
        match by_name.get(spec.name) {
            Some(planned) => tensor(checkpoint, planned, sink),
            None => sink.write_f32(scales[spec.name].1),
        }
    })?;
    Ok(())
}

fn tensor(
    checkpoint: &Checkpoint,
    planned: &Planned<'_>,
    sink: &mut dyn TensorSink,
) -> std::result::Result<(), FormatError> {
    let info = planned.info;
    match &planned.kind {
        Kind::Matrix { feedback, .. } => {
            for_integers(checkpoint, info, feedback.as_ref(), |_, _, integers, _| {
                let wide: Vec<i64> = integers.iter().copied().map(i64::from).collect();
                sink.write_i64(&wide)
            })
        }
        Kind::Half | Kind::Real => for_rows(checkpoint, info, |_, row| sink.write_f32(row)),
        Kind::Whole => {
            let mut buffer = vec![0; AT_ONCE.min(info.elements())];
            for first in (0..info.elements()).step_by(AT_ONCE) {
                let count = AT_ONCE.min(info.elements() - first);
                checkpoint.read_i64(info, first, &mut buffer[..count])?;
                sink.write_i64(&buffer[..count])?;
            }
            Ok(())
        }
    }
}
