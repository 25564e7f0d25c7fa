//! The only error of this crate.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a tokenizer could not be read, written or used.
///
/// Messages say what, where, expected, found, and what to do. Text that comes from a file is
/// quoted, escaped and shortened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; `source()` says why.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb: `open`, `read`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// A `spiece.model` is damaged, or of a kind that ALBERT has not.
    #[error("not a usable SentencePiece model: {problem}")]
    Spiece {
        /// What was expected, what was found, what to do.
        problem: String,
    },

    /// The precompiled character map of a normaliser is damaged.
    #[error(
        "the precompiled charsmap of the normaliser is damaged: {problem}; download the file again"
    )]
    Charsmap {
        /// What was expected and what was found.
        problem: String,
    },

    /// A vocabulary cannot be used.
    #[error("vocabulary: {problem}")]
    Vocabulary {
        /// What was expected, what was found, what to do.
        problem: String,
    },

    /// A `tokenizer.json` (or what stands in its place) is damaged or asks for what this crate
    /// cannot do.
    #[error("tokenizer.json{}: {problem}", if place.is_empty() { String::new() } else { format!(", {place}") })]
    TokenizerJson {
        /// Where in the file, such as `normalizer.normalizers[2].pattern`.
        place: String,
        /// What was expected, what was found, what to do.
        problem: String,
    },

    /// No file of a tokenizer where one was expected.
    #[error("no tokenizer in {}: {problem}", path.display())]
    Missing {
        /// The folder or file that was given.
        path: PathBuf,
        /// What was looked for, what was found, what to do.
        problem: String,
    },

    /// The tokenizer of another model.
    #[error("{} is not an ALBERT tokenizer: {problem}", path.display())]
    Foreign {
        /// The folder or file that was given.
        path: PathBuf,
        /// What shows it, and what to do.
        problem: String,
    },

    /// A configuration file says something that cannot be.
    #[error("{}: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        problem: String,
    },

    /// A file of a tokenizer cannot be used; `source()` says why.
    #[error("cannot read {}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },

    /// The mode cannot do what was asked.
    #[error("mode {mode}: {problem}")]
    Mode {
        /// Name of the mode.
        mode: &'static str,
        /// What is missing and what to do.
        problem: String,
    },

    /// The options of an encoding contradict each other or the input.
    #[error("cannot encode: {problem}")]
    Options {
        /// What contradicts what, and what to do.
        problem: String,
    },

    /// A line of a file is not UTF-8.
    #[error(
        "line {line}: byte {byte} of the input (byte {column} of the line) is not UTF-8: convert \
         the file, or read it lossily"
    )]
    Utf8 {
        /// Number of the line, from 1.
        line: u64,
        /// Place of the first wrong byte in the input, from 0.
        byte: u64,
        /// Place of the first wrong byte in its line, from 0.
        column: usize,
    },

    /// The input or output of a stream of lines failed; `source()` says why.
    #[error("cannot {action}")]
    Stream {
        /// What was attempted.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn options(problem: String) -> Self {
        Self::Options { problem }
    }

    /// Turns an answer of the operating system into an error of this crate.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Names the file that an error came from.
    pub(crate) fn in_file(path: &Path) -> impl FnOnce(Self) -> Self {
        let path = path.to_owned();
        move |error| Self::InFile {
            path,
            source: Box::new(error),
        }
    }
}

/// Text from a file, quoted for a message: control characters escaped, at most 60 characters.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}
