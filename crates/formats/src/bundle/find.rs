//! The files of a bundle by its prefix, and the prefix by what a user names.

use crate::FormatError;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::FORMAT;
use crate::{error::shown, fault::Fault, index::check_file_name};

const INDEX: &str = ".index";
/// Bytes of the file `checkpoint`, which lists the last few checkpoints.
const MAX_STATE: u64 = 1 << 20;
/// Names that one message lists.
const MAX_LISTED: usize = 5;

fn with(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(suffix);
    name.into()
}

pub(crate) fn index_path(prefix: &Path) -> PathBuf {
    with(prefix, INDEX)
}

pub(crate) fn data_path(prefix: &Path, shard: usize, shards: usize) -> PathBuf {
    with(prefix, &format!(".data-{shard:05}-of-{shards:05}"))
}

/// The prefix that a path means: itself, or that of the file of a bundle that it names; `None` if there
/// is no index beside it.
pub(crate) fn prefix_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = if !path.exists() {
        name
    } else if !path.is_file() {
        return None;
    } else if let Some(stem) = name.strip_suffix(INDEX).or(name.strip_suffix(".meta")) {
        stem
    } else {
        let (stem, numbers) = name.rsplit_once(".data-")?;
        let (one, all) = numbers.split_once("-of-")?;
        let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(one) && is_number(all)).then_some(stem)?
    };
    let prefix = path.with_file_name(stem);
    index_path(&prefix).is_file().then_some(prefix)
}

/// The prefix of the bundle in a folder: the one that its file `checkpoint` names, or the only one.
pub(crate) fn in_folder(folder: &Path) -> Result<Option<PathBuf>, FormatError> {
    let mut stems = Vec::new();
    let entries = fs::read_dir(folder).map_err(FormatError::io("read", folder))?;
    for entry in entries {
        let entry = entry.map_err(FormatError::io("read", folder))?;
        let name = entry.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(INDEX));
        stems.extend(stem.map(str::to_owned));
    }
    stems.sort();
    let state = folder.join("checkpoint");
    if let Some(latest) = latest(&state)? {
        // What stands before the name is where the folder was when it was written.
        let name = latest.rsplit(['/', '\\']).next().unwrap_or_default();
        if stems.iter().any(|stem| stem == name) {
            return Ok(Some(folder.join(name)));
        }
        if stems.len() != 1 {
            let problem = format!(
                "it names the checkpoint {}, but there is no {} beside it",
                shown(&latest),
                shown(&format!("{name}{INDEX}"))
            );
            return Err(
                Fault::file(problem, "name the checkpoint to be read, without .index")
                    .at(FORMAT, &state),
            );
        }
    }
    match stems.as_slice() {
        [] => Ok(None),
        [stem] => Ok(Some(folder.join(stem))),
        [..] => {
            let some: Vec<String> = stems.iter().take(MAX_LISTED).map(|s| shown(s)).collect();
            let problem = format!(
                "it is a folder of {} checkpoints, {}{}",
                stems.len(),
                some.join(", "),
                if stems.len() > MAX_LISTED {
                    ", …"
                } else {
                    ""
                }
            );
            Err(Fault::file(problem, "name one of them, without .index").at(FORMAT, folder))
        }
    }
}

/// `model_checkpoint_path` of a file `checkpoint`, a protobuf message in text form; `None` without file or
/// field.
fn latest(path: &Path) -> Result<Option<String>, FormatError> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = File::open(path).map_err(FormatError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_STATE)
        .read_to_end(&mut bytes)
        .map_err(FormatError::io("read", path))?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("model_checkpoint_path")?;
        let rest = rest.trim_start().strip_prefix(':')?.trim();
        let inner = rest
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .or_else(|| rest.strip_prefix('\'')?.strip_suffix('\''))?;
        Some(inner.to_owned())
    });
    Ok(value)
}

/// The text of a file `checkpoint` that names this one.
pub(super) fn state(name: &str) -> String {
    format!("model_checkpoint_path: \"{name}\"\nall_model_checkpoint_paths: \"{name}\"\n")
}

/// A name that needs no escape in that file.
pub(super) fn check_stem(name: &str) -> Result<(), String> {
    check_file_name(name).map_err(|problem| format!("the prefix {} {problem}", shown(name)))?;
    if name.contains('"') || !name.is_ascii() {
        return Err(format!(
            "the prefix {} has characters that are not ASCII, or quotes",
            shown(name)
        ));
    }
    Ok(())
}
