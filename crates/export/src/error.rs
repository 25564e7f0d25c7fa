//! Why a model could not be exported.

use std::path::PathBuf;

use albert_formats::FormatError;

/// The error of this crate. Messages say what, where, expected, found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(#[from] albert::Error),
    /// The file cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The system refused to write the file.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file would be larger than a message of protobuf may be.
    #[error("{}: expected at most 2147483647 bytes, the most of a message of protobuf, the model takes {bytes}; take a smaller model, or 8-bit weights", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
