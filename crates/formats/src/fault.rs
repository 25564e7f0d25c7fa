//! Why a file of a format besides safetensors is refused, before its path is known.

use crate::FormatError;
use std::{io, path::Path};

const DAMAGED: &str = "download or copy it again";
const DECEIVES: &str = "the file is damaged or was made to deceive, download it again from a \
                        source you trust";
const CONVERT: &str = "convert it with the library that wrote it";

/// Why a file is refused.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    /// A pickle goes on where the bytes end.
    End,
    File {
        problem: String,
        advice: &'static str,
    },
    Tensor {
        tensor: String,
        problem: String,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    pub(crate) fn file(problem: impl Into<String>, advice: &'static str) -> Self {
        let problem = problem.into();
        Self::File { problem, advice }
    }

    /// Bytes that an accident may have lost or changed.
    pub(crate) fn damaged(problem: impl Into<String>) -> Self {
        Self::file(problem, DAMAGED)
    }

    /// What no writer writes.
    pub(crate) fn deceives(problem: impl Into<String>) -> Self {
        Self::file(problem, DECEIVES)
    }

    /// What is valid, and not read here.
    pub(crate) fn unsupported(problem: impl Into<String>) -> Self {
        Self::file(problem, CONVERT)
    }

    pub(crate) fn tensor(tensor: &str, problem: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.to_owned(),
            problem: problem.into(),
        }
    }

    /// The error of the file at `path`; `format` is what it was read as, with its article.
    pub(crate) fn at(self, format: &'static str, path: &Path) -> FormatError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => FormatError::io("read", path)(source),
            Self::End => Self::damaged("its pickle was cut short").at(format, &path),
            Self::File { problem, advice } => FormatError::Container {
                path,
                format,
                problem,
                advice,
            },
            Self::Tensor { tensor, problem } => FormatError::Tensor {
                path,
                tensor,
                problem,
            },
        }
    }
}
