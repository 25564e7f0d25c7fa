//! The only error of this crate.

use std::{io, path::PathBuf};

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
}

/// Text from a file, quoted for a message: control characters escaped, at most 60 characters.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}
