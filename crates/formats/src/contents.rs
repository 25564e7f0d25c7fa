//! What one file holds, whichever its format.

use crate::{FormatError, TensorInfo, header, positional::Source, torch};
use std::{collections::BTreeMap, path::Path};

/// The checked tensors of one file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Sorted by name; their places count from the start of the file.
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// For each tensor that does not lie row-major in the file: how many elements a step along each
    /// of its dimensions is.
    pub(crate) strides: BTreeMap<String, Vec<u64>>,
}

/// Reads and checks everything but the tensors' values. The first bytes say what the file is: names
/// of files are often wrong, and the caches of downloaders have none.
pub(crate) fn read(source: &Source, length: u64, path: &Path) -> Result<Contents, FormatError> {
    match torch::Kind::of(source, length).map_err(FormatError::io("read", path))? {
        Some(kind) => torch::read(kind, source, length, path),
        None => header::read(source, length, path),
    }
}
