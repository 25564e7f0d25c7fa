//! Why data could not be read, or a model not be trained or measured.

use std::path::{Path, PathBuf};

/// The error of this crate. Messages say what, where, expected, found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something about a file or folder.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of examples is not what the task needs.
    #[error("{place}: expected {expected}, found {found}")]
    Data {
        /// The file, and where in it.
        place: Place,
        /// What was expected, and what to do.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An argument of a call is wrong.
    #[error("{what}: expected {expected}, found {found}")]
    Input {
        /// Which argument.
        what: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A cache of tokens is not the one that is wanted.
    #[error(
        "{} holds tokens of another preparation: its {what} is {found}, wanted is {wanted}; give another folder, or ask to \
         rebuild it (--rebuild-cache)",
        folder.display()
    )]
    Cache {
        /// The folder of the cache.
        folder: PathBuf,
        /// What differs.
        what: String,
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The caller stopped the work; it can go on.
    #[error("stopped before the end; the same call goes on where it was")]
    Stopped,
    /// The model refused a batch, or could not be read.
    #[error(transparent)]
    Model(#[from] albert::Error),
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] albert_tokenizer::Error),
    /// A file could not be written.
    #[error(transparent)]
    Format(#[from] albert_formats::FormatError),
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, or what else is known: a question's id.
    pub at: At,
}

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// The file as a whole.
    File,
    /// A line, from 1.
    Line(usize),
    /// An entry, by its name.
    Entry(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.at {
            At::File => write!(f, "{}", self.path.display()),
            At::Line(line) => write!(f, "{}, line {line}", self.path.display()),
            At::Entry(name) => write!(f, "{}, {name}", self.path.display()),
        }
    }
}

impl Error {
    pub(crate) fn file<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl Fn(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn data(
        path: &Path,
        at: At,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Data {
            place: Place {
                path: path.to_owned(),
                at,
            },
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    pub(crate) fn input(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Input {
            what: what.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
