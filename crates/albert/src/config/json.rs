//! Both JSON dialects: which there are, and a configuration file from disk.
//!
//! In reading order: this file, `fields` (the one table of keys), `read` and `write` (through that
//! table), `labels` (class names), `values` (types of fields), `strict` (JSON text).

use std::fmt;
use std::fs::File;
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{AlbertConfig, ConfigError};

mod fields;
mod labels;
mod read;
mod strict;
mod values;
mod write;

pub(super) use strict::describe;
pub(super) use write::to_json;

/// The largest configuration text that is read: 8 MiB. A file of ten thousand labels has one.
pub const MAX_CONFIG_BYTES: usize = 8 << 20;

/// Which program's file it is. The keys are the same; `hidden_act` is not:
///
/// | in the file | `HuggingFace` | `Google` |
/// |---|---|---|
/// | `gelu` | the erf form | the tanh form, which Hugging Face calls `gelu_new` |
/// | `""`, `null` | refused | no activation, as `linear` |
/// | `relu`, `tanh`, `linear` | the same | the same |
/// | anything else | a name in `ACT2FN` | refused, as Google's code does |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigDialect {
    /// transformers' `config.json`.
    HuggingFace,
    /// google-research/albert's `albert_config.json`.
    Google,
}

impl fmt::Display for ConfigDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigDialect::HuggingFace => "Hugging Face",
            ConfigDialect::Google => "Google",
        })
    }
}

/// What reading a configuration noticed without refusing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// How the file was read.
    pub dialect: ConfigDialect,
    /// Why it was taken for that dialect.
    pub dialect_reason: String,
    /// Keys that nobody here knows; kept in [`AlbertConfig::extra`], without effect.
    pub unknown: Vec<String>,
    /// Keys left over from older programs, holding the value that changes nothing; kept.
    pub legacy: Vec<String>,
    /// Absent keys and the value that was filled in, as JSON.
    pub defaults: Vec<(&'static str, String)>,
    /// Anything else worth a line, each a sentence.
    pub notes: Vec<String>,
}

/// The configuration file of a folder; where there is none, the name that it should have.
pub(super) fn file_in(folder: &Path) -> PathBuf {
    let (usual, google) = (
        folder.join("config.json"),
        folder.join("albert_config.json"),
    );
    // `symlink_metadata`: a dangling link is a broken file, not an absent one.
    if let Some(found) = [&usual, &google]
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    {
        return found.clone();
    }
    // albert_zh's are called `albert_config_base.json` and the like.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut named = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("albert_config") && name.ends_with(".json")
    });
    match (named.next(), named.next()) {
        (Some(only), None) => only,
        _ => usual,
    }
}

/// See [`AlbertConfig::from_file`].
pub(super) fn from_file(path: &Path) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
    let io = |cause: IoError, fix| ConfigError::Io {
        path: path.to_path_buf(),
        cause,
        fix,
    };
    let too_large = || ConfigError::TooLarge {
        file: Some(path.to_path_buf()),
    };
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|cause| io(cause, "check the path"))?;
    if metadata.is_dir() {
        let cause = IoError::from(ErrorKind::IsADirectory);
        return Err(io(cause, "name the config.json in it"));
    }
    if metadata.len() > MAX_CONFIG_BYTES as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The length of a pipe or a device is not known beforehand.
    file.take(MAX_CONFIG_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| io(cause, "check the disk and the permissions"))?;
    if bytes.len() > MAX_CONFIG_BYTES {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let cause = IoError::new(ErrorKind::InvalidData, error.utf8_error());
        io(cause, "save it as UTF-8; is it a configuration at all?")
    })?;
    from_json(&text, None, Some(path))
}

/// See [`AlbertConfig::from_json`]; `path` helps to find the dialect and stands in errors.
pub(super) fn from_json(
    text: &str,
    dialect: Option<ConfigDialect>,
    path: Option<&Path>,
) -> Result<(AlbertConfig, ConfigReport), ConfigError> {
    read::read(text, dialect, path).map_err(|error| error.in_file(path))
}
