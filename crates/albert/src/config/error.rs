//! Why a configuration was refused.

use std::fmt;
use std::path::{Path, PathBuf};

use super::MAX_CONFIG_BYTES;

/// Why a configuration was refused. Every message says where, what was found, what was expected and
/// what to do; it is complete, so there is no `source()` to print behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {cause}; {fix}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
        /// What to do.
        fix: &'static str,
    },
    /// The text is far larger than any configuration.
    #[error(
        "{}larger than {MAX_CONFIG_BYTES} bytes, where a configuration has a few thousand; \
         give the config.json or albert_config.json that belongs to the model",
        place(file)
    )]
    TooLarge {
        /// The file, when there is one.
        file: Option<PathBuf>,
    },
    /// The text is not JSON, or names a key twice.
    #[error("{}line {line}, column {column}: {message}; {fix}", place(file))]
    Json {
        /// The file, when there is one.
        file: Option<PathBuf>,
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What the parser said.
        message: String,
        /// What to do.
        fix: &'static str,
    },
    /// A key that decides the model's shape is absent.
    #[error(
        "{}`{field}` is missing; add it (transformers would take {default}, \
         which is xxlarge's)",
        place(file)
    )]
    Missing {
        /// The file, when there is one.
        file: Option<PathBuf>,
        /// The key.
        field: &'static str,
        /// What transformers fills in.
        default: String,
    },
    /// A field has the wrong type or an impossible value.
    #[error("{}`{field}` is {found}; expected {expected}; {fix}", place(file))]
    Field {
        /// The file, when there is one.
        file: Option<PathBuf>,
        /// The key.
        field: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
        /// What to do.
        fix: String,
    },
    /// The configuration asks for something that this crate does not do.
    #[error(
        "{}`{field}` is {found}, which is not supported: {reason}",
        place(file)
    )]
    Unsupported {
        /// The file, when there is one.
        file: Option<PathBuf>,
        /// The key.
        field: String,
        /// What it holds.
        found: String,
        /// Why not, and what to do.
        reason: String,
    },
}

impl ConfigError {
    /// The key at fault, where one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            ConfigError::Missing { field, .. } => Some(field),
            ConfigError::Field { field, .. } | ConfigError::Unsupported { field, .. } => {
                Some(field)
            }
            _ => None,
        }
    }

    /// The same error with the name of the file it arose in.
    pub(crate) fn in_file(mut self, path: Option<&Path>) -> Self {
        match &mut self {
            ConfigError::Io { .. } => {}
            ConfigError::TooLarge { file }
            | ConfigError::Json { file, .. }
            | ConfigError::Missing { file, .. }
            | ConfigError::Field { file, .. }
            | ConfigError::Unsupported { file, .. } => *file = path.map(Path::to_path_buf),
        }
        self
    }

    /// A wrong type or value; the file is added on the way out.
    pub(crate) fn wrong(
        field: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        ConfigError::Field {
            file: None,
            field: field.into(),
            found: found.to_string(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }

    /// Something this crate does not do; the file is added on the way out.
    pub(crate) fn unsupported(
        field: impl Into<String>,
        found: impl fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        ConfigError::Unsupported {
            file: None,
            field: field.into(),
            found: found.to_string(),
            reason: reason.into(),
        }
    }
}

/// The file in front of a message.
fn place(file: &Option<PathBuf>) -> String {
    match file {
        Some(path) => format!("{}: ", path.display()),
        None => String::from("configuration: "),
    }
}
