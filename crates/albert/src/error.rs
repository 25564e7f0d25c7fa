//! Why a model could not be loaded, saved or run.

use std::path::PathBuf;

use albert_formats::FormatError;

use crate::config::ConfigError;

/// The error of this crate. Messages say what, where, expected, found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tokenizer's file is wrong, or a text cannot be encoded as asked.
    #[error(transparent)]
    Tokenizer(#[from] albert_tokenizer::Error),
    /// An input has more tokens than the model takes.
    #[error(
        "text: expected at most {limit} tokens, found {tokens}; cut the text, or ask for truncation or windows (`Limits::long`)"
    )]
    TooLong {
        /// Tokens of the input, special tokens included.
        tokens: usize,
        /// Most tokens.
        limit: usize,
    },
    /// A sentence-transformers folder says something that cannot be.
    #[error("{}: {problem}", path.display())]
    Modules {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        problem: String,
    },
    /// A checkpoint file is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The checkpoint lacks tensors that the class needs.
    #[error("{}: {class} needs {count} tensor{} that {} not there: {names}. {advice}", path.display(), plural(*count, "", "s"), plural(*count, "is", "are"))]
    Missing {
        /// Checkpoint.
        path: PathBuf,
        /// Class that was asked for.
        class: &'static str,
        /// How many are missing.
        count: usize,
        /// The first few names.
        names: String,
        /// What the checkpoint does hold, and what to do.
        advice: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{}: tensor {name} has shape {found:?}, config.json implies {expected:?}; correct config.json (`albert inspect` names the field) or use the checkpoint that belongs to it", path.display())]
    Shape {
        /// Checkpoint.
        path: PathBuf,
        /// Tensor.
        name: String,
        /// Shape from the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of whole numbers lacks a tensor that belongs to it.
    #[error("{}: tensor {name} is I8: expected beside it {companion}, found none; take the file that its maker wrote, whole", path.display())]
    Companion {
        /// Checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Name and shape of the tensor that is missing.
        companion: String,
    },
    /// A folder, or a file of it, is not what is needed.
    #[error("{}: {problem}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        problem: String,
    },
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
    /// An example of an evaluation cannot be answered.
    #[error("example {}", index + 1)]
    Example {
        /// Which one, from 0.
        index: usize,
        /// Why.
        source: Box<Error>,
    },
    /// An argument of a call is wrong.
    #[error("{what}: expected {expected}, found {found}")]
    Input {
        /// Which argument, and where in it.
        what: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The system refused something.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the system about a path.
    pub(crate) fn file<'a>(
        action: &'static str,
        path: &'a std::path::Path,
    ) -> impl Fn(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
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

fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}
