//! Model folders whose matrices are 8-bit integers: written from any checkpoint, compared with it.
//!
//! ```
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
//! # let home = tempfile::tempdir()?;
//! # let destination = home.path().join("int8");
//! let written = albert::quantize::quantize_folder(&source, &destination, false)?;
//! assert!(written.matrices.iter().all(|matrix| matrix.error < 0.01));
//! assert_eq!(albert::stored_precision(&destination)?, albert::Precision::Int8);
//! # Ok(())
//! # }
//! ```
//!
//! The layout of the folder is defined in docs/quantization.md. In reading order: this file, `plan` (which tensors become
//! integers, and the scales of their rows), `write` (config.json and model.safetensors), `draft` (a folder that appears
//! when it is complete), `layers` (what the integers change in the hidden states).

use std::path::{Path, PathBuf};

mod draft;
mod layers;
mod plan;
mod write;

pub use draft::Draft;
pub(crate) use draft::{copy_others, make};
pub use layers::{LayerError, SAMPLE, compare_layers};

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::names::{self, Field};
use crate::ops::Precision;
use crate::pipeline::SentenceModules;

/// What quantising made of one matrix.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MatrixError {
    /// The tensor.
    pub name: String,
    /// [N, K]
    pub shape: [usize; 2],
    /// √(Σ(w − s·q)² / Σw²), 0 for a matrix of zeros.
    pub error: f64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Written {
    /// The matrices that are integers now, in the order of their names.
    pub matrices: Vec<MatrixError>,
    /// Bytes of all tensors of the source.
    pub source_bytes: u64,
    /// Bytes of the new model.safetensors.
    pub file_bytes: u64,
    /// What the source has and the destination does not, and why.
    pub left_out: Vec<String>,
}

/// The precision in which a folder's matrices are stored: int8 where `albert quantize` wrote it, else f32.
///
/// # Errors
/// A config.json that cannot be read, or that names a version or a method that is not known here.
pub fn stored_precision(folder: &Path) -> Result<Precision> {
    let (config, _) = AlbertConfig::from_folder(folder)?;
    Ok(match config.quantization() {
        Some(_) => Precision::Int8,
        None => Precision::F32,
    })
}

/// Bytes of an encoder without pooler in memory, with matrices of this precision.
pub fn memory_bytes(config: &AlbertConfig, precision: Precision) -> u64 {
    let tensors = names::base_sites(config)
        .into_iter()
        .flat_map(|site| site.tensors(config, config.num_labels()));
    let bytes = tensors.map(|tensor| {
        let elements = tensor.shape.iter().map(|&n| n as u64).product::<u64>();
        match precision {
            _ if tensor.site.quantized_bits() == 32 || tensor.field == Field::Bias => elements * 4,
            Precision::F32 => elements * 4,
            Precision::Bf16 => elements * 2,
            Precision::Int8 if tensor.site.quantized_bits() == 16 => elements * 2,
            Precision::Int8 => elements + tensor.shape[0] as u64 * 4,
        }
    });
    bytes.sum()
}

/// Where the encoder of a model folder is, from the folder: a folder of sentence-transformers may hold it in another one.
///
/// # Errors
/// A `modules.json` that cannot be read, where the folder has no config.json either.
pub fn encoder_folder(folder: &Path) -> Result<PathBuf> {
    let here = PathBuf::new();
    match SentenceModules::read(folder) {
        Ok(modules) => {
            let encoder = modules.model_folder(folder);
            Ok(encoder.strip_prefix(folder).map_or(here, Path::to_owned))
        }
        Err(_) if AlbertConfig::from_folder(folder).is_ok() => Ok(here),
        Err(error) => Err(error),
    }
}

/// A part of a folder, which may be all of it.
pub fn below(folder: &Path, part: &Path) -> PathBuf {
    if part.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(part)
    }
}

/// Writes the model in `source`, with matrices of 8-bit integers, and every other file of its folder, to `destination`,
/// which is new or empty; with `replace` it may be a folder that was written so before.
///
/// The destination appears when it is complete, and not at all on an error.
///
/// # Errors
/// A source that cannot be read, is quantised already or has weights that are not finite; a destination that is something
/// else, or within the source; files that cannot be written.
pub fn quantize_folder(source: &Path, destination: &Path, replace: bool) -> Result<Written> {
    let draft = Draft::beside(source, destination, replace)?;
    let written = quantize_into(source, draft.path())?;
    draft.publish()?;
    Ok(written)
}

/// As [`quantize_folder`], into a folder that is there and empty, such as that of a [`Draft`].
///
/// # Errors
/// As [`quantize_folder`]; files that were written stay.
pub fn quantize_into(source: &Path, folder: &Path) -> Result<Written> {
    let encoder = encoder_folder(source)?;
    draft::make(folder, &encoder)?;
    let mut written = write::write(&below(source, &encoder), &below(folder, &encoder))?;
    draft::copy_others(source, folder, &encoder, &mut written.left_out)?;
    Ok(written)
}

/// Refuses a source whose weights are integers already.
fn quantized_already(path: &Path, found: String) -> Error {
    Error::Folder {
        path: path.to_owned(),
        problem: format!(
            "expected weights in floating point, found {found}: it is quantised already; take the model that it was made from"
        ),
    }
}
