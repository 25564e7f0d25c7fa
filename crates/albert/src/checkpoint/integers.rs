//! What must be so of matrices that are stored as whole numbers with scales, and whether config.json says that they are.

use std::path::Path;

use albert_formats::{Checkpoint, Dtype, TensorInfo};

use super::View;
use crate::config::{AlbertConfig, QUANTIZATION_METHOD, QUANTIZATION_VERSION};
use crate::error::{Error, Result};
use crate::names::{self, DELTA_LEFT, DELTA_RIGHT, Field, SCALE, Site};

const WHOLE: &str = "take the file that its maker wrote, whole";

fn folder(path: &Path, problem: String) -> Error {
    Error::Folder {
        path: path.to_owned(),
        problem,
    }
}

/// A row that cannot be what was written.
pub(super) fn damaged(path: &Path, name: &str, row: usize, problem: String) -> Error {
    folder(
        path,
        format!("tensor {name}, row {row}: {problem}; the file is damaged: {WHOLE}"),
    )
}

/// Why an element and the scale of its row do not belong together.
pub(super) fn wrong_element(element: i8, scale: f32) -> Option<String> {
    if element == i8::MIN {
        return Some("expected whole numbers from -127 to 127, found -128".to_owned());
    }
    (scale == 0.0 && element != 0)
        .then(|| format!("expected zeros, since its scale is 0, found {element}"))
}

/// Why a number is not the scale of a row. The smallest that are written are subnormal, for rows of such weights.
fn wrong_scale(scale: f32) -> Option<String> {
    let right = scale.is_finite() && !scale.is_sign_negative();
    (!right).then(|| format!("expected a finite scale, 0 or more, found {scale:?}"))
}

pub(super) fn check_scales(path: &Path, info: &TensorInfo, scales: &[f32]) -> Result<()> {
    for (row, scale) in scales.iter().enumerate() {
        if let Some(problem) = wrong_scale(*scale) {
            let name = format!("{}{SCALE}", info.name);
            return Err(damaged(path, &name, row, problem));
        }
    }
    Ok(())
}

fn not_a_matrix_text(info: &TensorInfo) -> String {
    format!(
        "tensor {} of shape {:?}: expected a floating-point type (F32, F16, BF16 or F64), found I8: matrices alone are stored as whole numbers; {WHOLE}",
        info.name, info.shape
    )
}

pub(super) fn not_a_matrix(path: &Path, info: &TensorInfo) -> Error {
    folder(path, not_a_matrix_text(info))
}

fn wrong_companion_text(info: &TensorInfo, found: &TensorInfo, expected: [usize; 2]) -> String {
    format!(
        "tensor {}: expected shape {expected:?}, since {} is I8 {:?}, found {:?}; the file is damaged: {WHOLE}",
        found.name, info.name, info.shape, found.shape
    )
}

pub(super) fn wrong_companion(
    path: &Path,
    info: &TensorInfo,
    found: &TensorInfo,
    expected: [usize; 2],
) -> Error {
    folder(path, wrong_companion_text(info, found, expected))
}

/// The tensors that `albert quantize` makes whole numbers, as far as the checkpoint holds them.
fn matrices<'a>(config: &AlbertConfig, view: &View<'a>) -> Vec<&'a TensorInfo> {
    names::base_sites(config)
        .into_iter()
        .chain([Site::Pooler, Site::MlmDense, Site::Decoder])
        .filter(|site| site.quantized_bits() == 8)
        .flat_map(|site| site.tensors(config, config.num_labels()))
        .filter(|tensor| tensor.field == Field::Weight)
        .filter_map(|tensor| view.get(&tensor.name)?.info())
        .collect()
}

/// Refuses weights that are stored in another way than config.json says, and a layout that is not known here. A note where
/// config.json says nothing of what `albert quantize` wrote.
pub(super) fn agree(path: &Path, config: &AlbertConfig, view: &View<'_>) -> Result<Option<String>> {
    match disagreement(config, view) {
        Some((true, problem)) => Err(folder(path, problem)),
        other => Ok(other.map(|(_, note)| note)),
    }
}

/// What config.json and the weights say differently, and whether that is an error.
fn disagreement(config: &AlbertConfig, view: &View<'_>) -> Option<(bool, String)> {
    let metadata = view.checkpoint.metadata();
    let (method, version) = (metadata.get("quant_method"), metadata.get("quant_version"));
    if let Some(method) = method
        && method != QUANTIZATION_METHOD
    {
        return Some((
            true,
            format!(
                "the weights name quant_method {method:?}: expected {QUANTIZATION_METHOD:?}; their weights are packed by another program, take the original checkpoint"
            ),
        ));
    }
    if let (Some(_), Some(version)) = (method, version)
        && !(1..=QUANTIZATION_VERSION).any(|known| known.to_string() == *version)
    {
        return Some((
            true,
            format!(
                "the weights name quant_version {version:?}: this program reads {QUANTIZATION_METHOD} up to version {QUANTIZATION_VERSION}; take a newer one, or quantise the original checkpoint with this one"
            ),
        ));
    }
    let matrices = matrices(config, view);
    let wide = matrices.iter().find(|info| info.dtype != Dtype::I8);
    match (config.quantization(), wide) {
        (Some(_), Some(info)) => Some((
            true,
            format!(
                "config.json has a quantization_config, but tensor {} is {}: expected I8; take the folder that `albert quantize` wrote, whole, or the config.json that belongs to these weights",
                info.name, info.dtype
            ),
        )),
        (None, None) if method.is_some() && !matrices.is_empty() => Some((
            false,
            "the weights are those of `albert quantize`, but config.json has no quantization_config: --dtype auto computes in f32 as for any other folder; take the config.json that was written with them".to_owned(),
        )),
        _ => None,
    }
}

/// What is wrong with the tensors of a checkpoint beside their shapes: matrices that are not there, whole numbers where
/// there may be none, scales that are missing, do not fit or are no scales, and a config.json that says another
/// precision. For people; loading refuses or notes the same.
///
/// # Errors
/// Scales that cannot be read.
pub fn tensor_problems(config: &AlbertConfig, checkpoint: &Checkpoint) -> Result<Vec<String>> {
    let view = View::new(checkpoint);
    if let Some(problem) = view.refusal() {
        return Ok(vec![problem]);
    }
    let mut problems: Vec<String> = disagreement(config, &view)
        .into_iter()
        .map(|(_, problem)| problem)
        .collect();
    let decoder = Site::Decoder.tensors(config, config.num_labels());
    let copy = decoder
        .iter()
        .any(|tensor| tensor.field == Field::Weight && view.get(&tensor.name).is_some());
    for site in names::base_sites(config) {
        for tensor in site.tensors(config, config.num_labels()) {
            let repeated = site == Site::WordEmbeddings && copy;
            let spared = repeated || site == Site::Pooler;
            if !spared && view.get(&tensor.name).is_none() {
                problems.push(format!(
                    "tensor {} of shape {:?} is not there; take a complete checkpoint",
                    tensor.name, tensor.shape
                ));
            }
        }
    }
    let repeats = view.all_repeats();
    for (_, stored) in view.known().chain(repeats) {
        if let Some(info) = stored.info().filter(|info| info.dtype == Dtype::I8) {
            whole_numbers(checkpoint, info, &mut problems)?;
        }
    }
    Ok(problems)
}

fn whole_numbers(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    problems: &mut Vec<String>,
) -> Result<()> {
    let [rows, cols] = *info.shape else {
        problems.push(not_a_matrix_text(info));
        return Ok(());
    };
    for (suffix, shape) in [
        (SCALE, [rows, 1]),
        (DELTA_LEFT, [rows, 1]),
        (DELTA_RIGHT, [1, cols]),
    ] {
        let name = format!("{}{suffix}", info.name);
        match checkpoint.get(&name) {
            Some(found) if found.shape != shape => {
                problems.push(wrong_companion_text(info, found, shape));
            }
            None if suffix == SCALE => problems.push(format!(
                "tensor {name} of shape {shape:?} is not there, but {} is I8; {WHOLE}",
                info.name
            )),
            Some(found) if suffix == SCALE => {
                let mut scales = vec![0.0; found.elements()];
                checkpoint.read_f32(found, 0, &mut scales)?;
                let mut wrong = scales.iter().map(|scale| wrong_scale(*scale)).enumerate();
                if let Some((row, Some(problem))) = wrong.find(|(_, wrong)| wrong.is_some()) {
                    problems.push(format!("tensor {name}, row {row}: {problem}; {WHOLE}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
