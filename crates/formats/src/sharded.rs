//! Writing several files with an index.

use crate::{
    FormatError, TensorSpec,
    dtype::extent,
    error::shown,
    index::check_file_name,
    layout::check_names,
    sink::TensorSink,
    write::{write_pending, write_safetensors},
    write_atomically,
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Writes a checkpoint into `folder`: `{stem}.safetensors` if the tensors fit in `max_shard_bytes`,
/// otherwise `{stem}-00001-of-000NN.safetensors`, … and `{stem}.safetensors.index.json`.
///
/// Tensors are put into shards in the order given; one that is larger than `max_shard_bytes` gets a
/// shard of its own. All shards are written before the first gets its name, and the index comes last,
/// so that an error in `fill` or a full disk leaves an older checkpoint untouched. An older checkpoint
/// of the other form is then no longer valid, and its file (or its index) is removed.
/// Returns the tensors' files in order.
///
/// # Errors
/// As [`write_safetensors`]; and if `stem` is not a plain file name.
pub fn write_safetensors_sharded(
    folder: &Path,
    stem: &str,
    max_shard_bytes: u64,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorSpec<'_>],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<Vec<PathBuf>, FormatError> {
    let refuse = |problem| FormatError::Unwritable {
        path: folder.to_owned(),
        problem,
    };
    check_file_name(stem)
        .map_err(|problem| refuse(format!("the stem {} {problem}", shown(stem))))?;
    check_names(tensors).map_err(refuse)?;
    let single = folder.join(format!("{stem}.safetensors"));
    let index = folder.join(format!("{stem}.safetensors.index.json"));
    let (groups, total_size) = split(tensors, max_shard_bytes).map_err(refuse)?;
    if groups.len() <= 1 {
        write_safetensors(&single, metadata, tensors, fill)?;
        remove(&index)?;
        return Ok(vec![single]);
    }

    let mut weight_map = BTreeMap::new();
    let mut pending = Vec::with_capacity(groups.len());
    for (number, group) in (1..).zip(&groups) {
        let name = format!("{stem}-{number:05}-of-{:05}.safetensors", groups.len());
        pending.push(write_pending(
            &folder.join(&name),
            metadata,
            group,
            &mut fill,
        )?);
        weight_map.extend(group.iter().map(|spec| (spec.name, name.clone())));
    }
    let contents = Index {
        metadata: IndexMetadata { total_size },
        weight_map,
    };
    let mut contents =
        serde_json::to_string_pretty(&contents).map_err(|error| refuse(error.to_string()))?;
    contents.push('\n');

    let mut files = Vec::with_capacity(pending.len());
    for file in pending {
        files.push(file.target().to_owned());
        file.publish()?;
    }
    write_atomically(&index, contents.as_bytes())?;
    remove(&single)?;
    Ok(files)
}

#[derive(serde::Serialize)]
struct Index<'a> {
    metadata: IndexMetadata,
    weight_map: BTreeMap<&'a str, String>,
}

#[derive(serde::Serialize)]
struct IndexMetadata {
    total_size: u64,
}

/// The tensors of each shard, and the bytes of all.
fn split<'a>(
    tensors: &[TensorSpec<'a>],
    max_bytes: u64,
) -> Result<(Vec<Vec<TensorSpec<'a>>>, u64), String> {
    let mut groups: Vec<Vec<TensorSpec<'a>>> = Vec::new();
    let (mut in_last, mut total) = (0_u64, 0_u64);
    for spec in tensors {
        let bytes = extent(spec.dtype, spec.shape)
            .map_err(|problem| format!("tensor {}: {problem}", shown(spec.name)))?
            .bytes;
        total = total
            .checked_add(bytes)
            .ok_or("the size of all tensors overflows")?;
        match groups.last_mut() {
            Some(last) if bytes <= max_bytes.saturating_sub(in_last) => {
                last.push(*spec);
                in_last += bytes;
            }
            _ => {
                groups.push(vec![*spec]);
                in_last = bytes;
            }
        }
    }
    Ok((groups, total))
}

fn remove(path: &Path) -> Result<(), FormatError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FormatError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
