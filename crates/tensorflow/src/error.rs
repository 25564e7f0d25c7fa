//! Why TensorFlow could not be loaded, or a model not be run by it.

use std::path::PathBuf;

use crate::find::VARIABLE;

/// How to get the library, for messages.
const ADVICE: &str = "`pip install tensorflow-cpu` brings one: activate its environment, or let ALBERT_TENSORFLOW_LIBRARY name the wheel's folder (…/site-packages/tensorflow) or the file of a libtensorflow (https://www.tensorflow.org/install/lang_c)";

/// The error of this crate. Messages say what, where, expected, found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model cannot be loaded or saved, or inputs and labels do not fit it.
    #[error(transparent)]
    Model(#[from] albert::Error),
    /// The model has no graph.
    #[error(transparent)]
    Export(#[from] albert_export::Error),
    /// There is no library.
    #[error(
        "TensorFlow's C library: {VARIABLE} is not set, and there is none in {searched}; {ADVICE}"
    )]
    NotFound {
        /// Where it was looked for.
        searched: String,
    },
    /// The environment variable names something else.
    #[error("{VARIABLE}: expected the file of TensorFlow's C library or a folder with one, found {found} at {}; {ADVICE}", path.display())]
    Variable {
        /// What it names.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A file is no library, or lacks another one.
    #[error("{}: expected TensorFlow's C library, found what the system cannot load; {ADVICE}", path.display())]
    Library {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: libloading::Error,
    },
    /// A library lacks a function.
    #[error("{}: expected TensorFlow's C library, found none of its functions {symbol}; {ADVICE}", path.display())]
    Symbol {
        /// The file.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
        /// What the system says.
        source: libloading::Error,
    },
    /// A library of another version.
    #[error("{}: expected TensorFlow 2, found {version}; {ADVICE}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        version: String,
    },
    /// TensorFlow refused.
    #[error("TensorFlow cannot {action}: {message} (code {code})")]
    TensorFlow {
        /// What was attempted.
        action: &'static str,
        /// `TF_Code`, for instance 8 where memory is exhausted.
        code: u32,
        /// What it says.
        message: String,
    },
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An argument of a call is wrong.
pub(crate) fn input(what: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    Error::Model(albert::Error::Input {
        what: what.to_owned(),
        expected: expected.into(),
        found: found.to_string(),
    })
}
