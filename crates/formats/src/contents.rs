//! What one file holds, whichever its format.

use crate::{
    FormatError, TensorInfo, bundle, hdf5, header, msgpack, placement::Placement,
    positional::Source, torch,
};
use std::{collections::BTreeMap, path::Path};

/// The checked tensors of one file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Sorted by name; their places count from the start of the file.
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// For each tensor that does not lie row-major in one run: how it lies.
    pub(crate) placements: BTreeMap<String, Placement>,
}

/// Reads and checks everything but the tensors' values. The first bytes say what the file is: names
/// of files are often wrong, and the caches of downloaders have none.
pub(crate) fn read(source: &Source, length: u64, path: &Path) -> Result<Contents, FormatError> {
    let failed = |error| FormatError::io("read", path)(error);
    if let Some(kind) = torch::Kind::of(source, length).map_err(failed)? {
        return torch::read(kind, source, length, path);
    }
    if hdf5::is_hdf5(source, length).map_err(failed)? {
        return hdf5::read(source, length, path);
    }
    if msgpack::is_msgpack(source, length).map_err(failed)? {
        return msgpack::read(source, length, path);
    }
    if bundle::is_table(source, length).map_err(failed)? {
        return Err(bundle::not_an_index(path));
    }
    header::read(source, length, path).map_err(|error| match (error, format_by_name(path)) {
        (FormatError::Header { .. }, Some(format)) => FormatError::Container {
            path: path.to_owned(),
            format,
            problem: "its name says so, but its first bytes are those of no format that is known"
                .to_owned(),
            advice: "download or copy it again",
        },
        (error, _) => error,
    })
}

/// What a file should be that is not safetensors.
fn format_by_name(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "h5" | "hdf5" => Some(hdf5::FORMAT),
        "msgpack" => Some(msgpack::FORMAT),
        "bin" | "pt" | "pth" => Some("a PyTorch file"),
        _ => None,
    }
}

/// Two tensors of one name, of those sorted by it.
pub(crate) fn repeated(tensors: &[TensorInfo]) -> Option<&str> {
    let pair = tensors
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)?;
    Some(&pair[0].name)
}

/// Two tensors that share bytes of one file, by their names. Empty ones share nothing.
pub(crate) fn overlapping(tensors: &[TensorInfo]) -> Option<(&str, &str)> {
    let mut order: Vec<&TensorInfo> = tensors
        .iter()
        .filter(|tensor| tensor.place.0 < tensor.place.1)
        .collect();
    order.sort_unstable_by_key(|tensor| (tensor.shard, tensor.place));
    let pair = order
        .windows(2)
        .find(|pair| pair[0].shard == pair[1].shard && pair[1].place.0 < pair[0].place.1)?;
    Some((&pair[0].name, &pair[1].name))
}
