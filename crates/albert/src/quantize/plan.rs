//! What becomes of each tensor of a checkpoint, and the scales of the rows of those that become integers.

use std::collections::BTreeMap;
use std::path::Path;

use albert_formats::{Checkpoint, Dtype, FormatError, TensorInfo};
use albert_kernels::Isa;
use albert_kernels::feedback::Feedback;
use albert_kernels::int8::{packed_len, quantize_rows};
use albert_kernels::pack::{LANES, Words};

use super::quantized_already;
use crate::calibrate;
use crate::checkpoint::View;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::names::{self, Field, Site};
use crate::ops::{Cpu, CpuOptions, Moments, Precision};

/// A tensor on its way.
pub(super) struct Planned<'a> {
    pub(super) info: &'a TensorInfo,
    pub(super) kind: Kind,
}

/// What a tensor becomes.
pub(super) enum Kind {
    /// Integers; a scale for each row, and √(Σ(w − s·q)² / Σw²).
    Matrix {
        scales: Vec<f32>,
        error: f64,
        feedback: Option<Feedback>,
    },
    /// bfloat16.
    Half,
    /// f32.
    Real,
    /// Whole numbers stay as they are: the buffers that old files carry.
    Whole,
}

/// Elements that are read at once, at least one row.
pub(super) const AT_ONCE: usize = 1 << 16;

/// Decides, and reads every element once. Refuses what is quantised already, what is not finite, and what does not have
/// the shape that the configuration says.
pub(super) fn plan<'a>(
    folder: &Path,
    config: &AlbertConfig,
    checkpoint: &'a Checkpoint,
    left_out: &mut Vec<String>,
) -> Result<Vec<Planned<'a>>> {
    if let Some(tensor) = checkpoint
        .tensors()
        .find(|tensor| tensor.dtype == Dtype::I8)
    {
        return Err(quantized_already(
            folder,
            format!("tensor {} of type I8", tensor.name),
        ));
    }
    let view = View::new(checkpoint);
    view.require_torch(folder)?;
    let matrices = matrices(config, &view);
    let moments = moments(folder, config, checkpoint)?;
    let copy = copy_of_the_word_table(config, &view)?;
    let mut planned = Vec::new();
    for info in checkpoint.tensors() {
        if copy == Some(&info.name) {
            left_out.push(format!("{}: it is the word table", info.name));
            continue;
        }
        let kind = match (matrices.get(&info.name), info.dtype) {
            (Some((shape, _)), _) if *shape != info.shape => {
                return Err(Error::Shape {
                    path: folder.to_owned(),
                    name: info.name.clone(),
                    expected: shape.clone(),
                    found: info.shape.clone(),
                });
            }
            (Some((_, site)), Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16) => {
                if site.quantized_bits() == 16 {
                    check_finite(folder, checkpoint, info)?;
                    Kind::Half
                } else {
                    let known = moments.get(&site.input_site());
                    let feedback =
                        known.and_then(|known| Feedback::new(&known.means, &known.variance));
                    matrix(folder, checkpoint, info, feedback)?
                }
            }
            (None, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16) => {
                check_finite(folder, checkpoint, info)?;
                Kind::Real
            }
            (None, Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::U8 | Dtype::Bool) => Kind::Whole,
            (_, dtype) => {
                return Err(Error::Folder {
                    path: folder.to_owned(),
                    problem: format!(
                        "tensor {} is {dtype}: expected F64, F32, F16 or BF16; take a checkpoint in one of these",
                        info.name
                    ),
                });
            }
        };
        planned.push(Planned { info, kind });
    }
    let is_matrix = |planned: &Planned<'_>| matches!(planned.kind, Kind::Matrix { .. });
    if !planned.iter().any(is_matrix) {
        return Err(Error::Folder {
            path: folder.to_owned(),
            problem: "expected the matrices of an ALBERT, found none; `albert inspect --tensors` lists what it holds"
                .to_owned(),
        });
    }
    Ok(planned)
}

/// What loading this checkpoint on a device of integers would learn about the inputs of its blocks: the folder gives the
/// same answers as loading its source so. Nothing where the file is not a whole encoder: it may hold a head alone.
fn moments(
    folder: &Path,
    config: &AlbertConfig,
    checkpoint: &Checkpoint,
) -> Result<BTreeMap<Site, Moments>> {
    let options = CpuOptions {
        precision: Precision::Int8,
        ..CpuOptions::default()
    };
    let device = Cpu::new(options).map_err(|source| Error::System {
        action: "start the threads",
        source,
    })?;
    calibrate::of_checkpoint(config, checkpoint, folder, &device)
}

/// The tensors of the file that are matrices which lose bits, by their names there: shape and place.
fn matrices<'a>(
    config: &AlbertConfig,
    view: &View<'a>,
) -> BTreeMap<&'a String, (Vec<usize>, Site)> {
    let sites =
        names::base_sites(config)
            .into_iter()
            .chain([Site::Pooler, Site::MlmDense, Site::Decoder]);
    let tensors = sites
        .filter(|site| site.quantized_bits() < 32)
        .flat_map(|site| site.tensors(config, config.num_labels()))
        .filter(|tensor| tensor.field == Field::Weight);
    let mut found = BTreeMap::new();
    for tensor in tensors {
        for info in view.all(&tensor.name).flat_map(|stored| stored.infos()) {
            found.insert(&info.name, (tensor.shape.clone(), tensor.site));
        }
    }
    found
}

/// The name of a decoder that repeats the word table, bit for bit, in a file that ties the two.
fn copy_of_the_word_table<'a>(
    config: &AlbertConfig,
    view: &View<'a>,
) -> Result<Option<&'a String>> {
    let find = |site: Site| view.get(&site.name(Field::Weight));
    let (Some(words), Some(decoder)) = (find(Site::WordEmbeddings), find(Site::Decoder)) else {
        return Ok(None);
    };
    let tied = config.tie_word_embeddings && words.shape() == decoder.shape();
    if !tied || !view.same(words, decoder)? {
        return Ok(None);
    }
    Ok(decoder.info().map(|info| &info.name))
}

/// Calls `each` with the number of each row and its elements.
pub(super) fn for_rows(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    mut each: impl FnMut(usize, &[f32]) -> std::result::Result<(), FormatError>,
) -> std::result::Result<(), FormatError> {
    let cols = info.shape.last().copied().unwrap_or(1).max(1);
    let step = (AT_ONCE / cols).max(1) * cols;
    let mut buffer = vec![0.0; step.min(info.elements())];
    for first in (0..info.elements()).step_by(step) {
        let count = step.min(info.elements() - first);
        checkpoint.read_f32(info, first, &mut buffer[..count])?;
        for (i, row) in buffer[..count].chunks_exact(cols).enumerate() {
            each(first / cols + i, row)?;
        }
    }
    Ok(())
}

/// Calls `each` with the number of each row of a matrix, its elements, its integers and its scale.
pub(super) fn for_integers(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    feedback: Option<&Feedback>,
    mut each: impl FnMut(usize, &[f32], &[i8], f32) -> std::result::Result<(), FormatError>,
) -> std::result::Result<(), FormatError> {
    let (rows, cols) = (info.shape[0], info.shape[1]);
    let mut panel = vec![Words::default(); packed_len(1, cols)];
    let (mut weights, mut integers) = (vec![0.0; LANES * cols], vec![0; LANES * cols]);
    for first in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - first) * cols;
        let (weights, integers) = (&mut weights[..count], &mut integers[..count]);
        checkpoint.read_f32(info, first * cols, weights)?;
        let columns = quantize_rows(Isa::best(), weights, cols, feedback, &mut panel, integers);
        let rows = weights.chunks_exact(cols).zip(integers.chunks_exact(cols));
        for (i, ((row, integers), scale)) in rows.zip(columns.scales.0).enumerate() {
            each(first + i, row, integers, scale)?;
        }
    }
    Ok(())
}

fn matrix(
    folder: &Path,
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    feedback: Option<Feedback>,
) -> Result<Kind> {
    let mut scales = Vec::with_capacity(info.shape[0]);
    let (mut wrong, mut lost, mut total) = (None, 0.0, 0.0);
    for_integers(
        checkpoint,
        info,
        feedback.as_ref(),
        |i, row, integers, scale| {
            if !scale.is_finite() {
                wrong.get_or_insert(i);
            }
            for (&w, &q) in row.iter().zip(integers) {
                lost += (f64::from(w) - f64::from(scale) * f64::from(q)).powi(2);
                total += f64::from(w).powi(2);
            }
            scales.push(scale);
            Ok(())
        },
    )?;
    match wrong {
        Some(row) => Err(not_finite(folder, info, row)),
        None => Ok(Kind::Matrix {
            scales,
            error: if total == 0.0 {
                0.0
            } else {
                (lost / total).sqrt()
            },
            feedback,
        }),
    }
}

fn check_finite(folder: &Path, checkpoint: &Checkpoint, info: &TensorInfo) -> Result<()> {
    let mut wrong = None;
    for_rows(checkpoint, info, |i, row| {
        if row.iter().any(|x| !x.is_finite()) {
            wrong.get_or_insert(i);
        }
        Ok(())
    })?;
    wrong.map_or(Ok(()), |row| Err(not_finite(folder, info, row)))
}

fn not_finite(folder: &Path, info: &TensorInfo, row: usize) -> Error {
    Error::Folder {
        path: folder.to_owned(),
        problem: format!(
            "tensor {}, row {row}: expected finite numbers within the range of f32, found others; the weights may be damaged, take another copy of the checkpoint",
            info.name
        ),
    }
}
