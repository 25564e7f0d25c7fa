//! The only error of this crate.

use crate::Dtype;
use std::{io, path::PathBuf};

/// Why a checkpoint could not be read or written.
///
/// Messages name the file and the tensor, what was expected, what was found, and what to do. Names
/// that come from a file are quoted, escaped and shortened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
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

    /// A folder, a pipe or a device stands where a file belongs.
    #[error(
        "{} is not a regular file: give a .safetensors file, a PyTorch .bin file, an .h5 or .msgpack file, \
         a TensorFlow checkpoint, or a folder that holds one of these",
        path.display()
    )]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },

    /// A folder without a checkpoint.
    #[error(
        "no checkpoint in {}: expected model.safetensors, model.safetensors.index.json with its \
         shards, pytorch_model.bin, or pytorch_model.bin.index.json with its shards; the like of \
         tf_model.h5 or flax_model.msgpack; or a TensorFlow checkpoint, an .index file with its data; a \
         checkpoint of another format must be converted first",
        folder.display()
    )]
    NoCheckpoint {
        /// The folder that was searched.
        folder: PathBuf,
    },

    /// The file is not safetensors, or its header is damaged.
    #[error(
        "{} is not a valid safetensors file: {problem}; download or copy it again, or convert it if \
         it is of another format",
        path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },

    /// A file of records is damaged or cut short, or holds something else.
    #[error(
        "{}, record {record} (at byte {offset}): {problem}; copy or write the file again",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 1.
        record: u64,
        /// Where the record begins.
        offset: u64,
        /// What was expected and what was found.
        problem: String,
    },

    /// One tensor's entry in the header is wrong.
    #[error(
        "tensor {} in {}: {problem}; the file is damaged or was made to deceive, download it again \
         from a source you trust",
        shown(tensor), path.display()
    )]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What was expected and what was found.
        problem: String,
    },

    /// The file is shorter or longer than its header says.
    #[error(
        "{} has {found} bytes but its header describes {expected}: it {}; download or copy it again",
        path.display(),
        if found < expected { "was cut short" } else { "has bytes that belong to no tensor" }
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the header describes, itself included.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },

    /// The file is PyTorch's, TensorFlow's, HDF5 or MessagePack, but damaged, made to deceive, or more than tensors that can
    /// be read here.
    #[error("{} cannot be read as {format}: {problem}; {advice}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// What it was read as.
        format: &'static str,
        /// What was expected and what was found.
        problem: String,
        /// What to do.
        advice: &'static str,
    },

    /// The bytes of a tensor are not those that were written.
    #[error(
        "the checksum of tensor {} in {} is {found:#010x}, expected {expected:#010x}: the file is damaged, \
         download or copy it again",
        shown(tensor), path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The checksum that was written with the tensor.
        expected: u32,
        /// That of the bytes in the file.
        found: u32,
    },

    /// `model.safetensors.index.json` or `pytorch_model.bin.index.json` is wrong or does not agree with its shards.
    #[error("{}: {problem}; download the whole checkpoint again", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },

    /// A tensor cannot be read or written as the wanted kind of number.
    #[error(
        "tensor {} in {} is {dtype}: expected one of {expected}; convert it to such a type",
        shown(tensor), path.display()
    )]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// The types that the call accepts.
        expected: &'static str,
    },

    /// More elements were asked for than the tensor has.
    #[error(
        "tensor {} in {} has {elements} elements: {count} elements from element {first} were asked for",
        shown(tensor), path.display()
    )]
    Range {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Elements it has.
        elements: usize,
        /// First element asked for.
        first: usize,
        /// Elements asked for.
        count: usize,
    },

    /// A [`TensorInfo`](crate::TensorInfo) was used with a checkpoint it does not come from.
    #[error(
        "tensor {} does not come from the checkpoint {}: take it from `Checkpoint::get` or `tensors`",
        shown(tensor), path.display()
    )]
    ForeignTensor {
        /// A file of the checkpoint that was read from.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// Reading a tensor's bytes failed after its file had been checked.
    #[error(
        "cannot read tensor {} from {}: was the file changed while it was open?",
        shown(tensor), path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The operating system's answer.
        source: io::Error,
    },

    /// What was to be written cannot be a checkpoint.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritable {
        /// The file or folder that was to be written.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },

    /// The caller supplied too few or too many elements.
    #[error(
        "cannot write tensor {} to {}: its shape has {expected} elements, {found} were supplied",
        shown(tensor), path.display()
    )]
    ElementCount {
        /// The file that was to be written.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Elements of its shape.
        expected: usize,
        /// Elements supplied so far, those of the refused call included.
        found: usize,
    },

    /// A value cannot be represented in the tensor's type.
    #[error(
        "cannot write tensor {} to {}: element {element} is {value}, which does not fit {dtype}; \
         write a wider type",
        shown(tensor), path.display()
    )]
    Value {
        /// The file that was to be written.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Row-major number of the element.
        element: usize,
        /// The value.
        value: String,
        /// The tensor's type.
        dtype: Dtype,
    },
}

impl FormatError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Text from a file, quoted for a message: control characters escaped, at most 100 characters.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 100;
    match text.char_indices().nth(LIMIT) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

/// A parser's message, shortened: it may quote whole strings of the file.
pub(crate) fn shortened(message: &str) -> String {
    const HEAD: usize = 200;
    const TAIL: usize = 100;
    let count = message.chars().count();
    if count <= HEAD + TAIL {
        return message.to_owned();
    }
    let head: String = message.chars().take(HEAD).collect();
    let tail: String = message.chars().skip(count - TAIL).collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_files_is_escaped_and_shortened() {
        assert_eq!(shown("a\u{1b}[31m\n"), r#""a\u{1b}[31m\n""#);
        assert_eq!(shown(&"ä".repeat(100)), format!("\"{}\"", "ä".repeat(100)));
        let long = shown(&"ä".repeat(5000));
        assert!(
            long.ends_with("\"… (10000 bytes)") && long.chars().count() < 130,
            "{long}"
        );
        let message = shortened(&format!("{} at line 1 column 7", "ß".repeat(1_000_000)));
        assert!(message.ends_with("at line 1 column 7") && message.chars().count() < 310);
    }
}
