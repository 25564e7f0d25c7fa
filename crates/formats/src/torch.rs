//! `pytorch_model.bin`, from bytes to checked tensors, without running what its pickle asks for.
//!
//! Torch 1.6 and later writes a zip archive: `archive/data.pkl` is the pickle of a dictionary from
//! names to tensors, `archive/data/0`, `archive/data/1`, … are the storages that the tensors are
//! views of. Before that a file was five pickles, the dictionary the fourth of them, and then the
//! storages. The dictionary's pickle is the same in both.
//!
//! A pickle is a program for a stack machine, which may name any function of Python and call it. Ours
//! ([`machine`]) has no functions: the few names that a tensor needs ([`globals`]) are symbols to it,
//! any other is refused.

mod calls;
mod directory;
mod globals;
mod legacy;
mod machine;
mod object;
mod opcodes;
mod tensors;
mod write;
mod zip;

use crate::{FormatError, contents::Contents, fault::Fault, positional::Source};
use std::{io, path::Path};

pub use write::write_torch;

/// Bytes of a pickle. A tensor takes about 200, so that this is far beyond any model, and what the
/// machine allocates for it is bounded besides (`machine::MAX_VALUES`).
const MAX_PICKLE: u64 = 32 << 20;

const CONVERT: &str = "load it with PyTorch on a machine where you trust it, and save its \
                       state_dict as safetensors";

/// Formats of PyTorch, by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Torch 1.6 and later.
    Zip,
    /// Before torch 1.6.
    Pickles,
    /// Torch 0.1.
    Tar,
}

impl Kind {
    /// The kind of a file; `None` for what is not PyTorch's.
    pub(crate) fn of(source: &Source, length: u64) -> io::Result<Option<Self>> {
        let mut start = [0; 263];
        let present = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(start.len());
        source.read_exact_at(&mut start[..present], 0)?;
        let first = u64::from_le_bytes(*start.first_chunk().expect("longer than 8 bytes"));
        Ok(
            if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
                Some(Self::Zip)
            } else if start[257..].starts_with(b"ustar") {
                Some(Self::Tar)
            } else if start[0] == 0x80 && first > crate::header::MAX_HEADER {
                // 0x80 may begin the length of a safetensors header too, but only a possible one.
                Some(Self::Pickles)
            } else {
                None
            },
        )
    }
}

/// Reads and checks everything but the tensors' values.
pub(crate) fn read(
    kind: Kind,
    source: &Source,
    length: u64,
    path: &Path,
) -> Result<Contents, FormatError> {
    let contents = match kind {
        Kind::Zip => zip_file(source, length),
        Kind::Pickles => legacy::read(source, length),
        Kind::Tar => Err(unsupported("it is a tar archive, the format of torch 0.1")),
    };
    contents.map_err(|fault| fault.at("a PyTorch file", path))
}

/// The format of torch 1.6 and later.
fn zip_file(source: &Source, length: u64) -> Result<Contents, Fault> {
    let archive = zip::Archive::read(source, length)?;
    if let Some(order) = archive.get("byteorder") {
        let order = archive.bytes(source, order, 16)?;
        if order != b"little" {
            let order = String::from_utf8_lossy(&order);
            return Err(unsupported(format!(
                "its byte order is {}, expected \"little\"",
                crate::error::shown(&order)
            )));
        }
    }
    let Some(pickle) = archive.get("data.pkl") else {
        return Err(unsupported(
            "it is a zip archive without data.pkl, so it was not written by torch.save",
        ));
    };
    let pickle = archive.bytes(source, pickle, MAX_PICKLE)?;
    let object = machine::run(&pickle, 0)?;
    if object.end != pickle.len() {
        return Err(Fault::damaged(format!(
            "its pickle ends at byte {} of the {} of data.pkl",
            object.end,
            pickle.len()
        )));
    }
    let mut starts = Vec::with_capacity(object.storages.len());
    for storage in &object.storages {
        let name = format!("data/{}", storage.key);
        let Some((start, found)) = archive.get(&name) else {
            return Err(Fault::damaged(format!(
                "its pickle refers to {}, which is not in the archive",
                crate::error::shown(&name)
            )));
        };
        let expected = storage.bytes()?;
        if found != expected {
            return Err(Fault::damaged(format!(
                "{} has {found} bytes but the pickle describes {expected}",
                crate::error::shown(&name)
            )));
        }
        starts.push(start);
    }
    tensors::collect(&object, &starts)
}

/// A file of PyTorch that holds what is not read here.
fn unsupported(problem: impl Into<String>) -> Fault {
    Fault::file(problem, CONVERT)
}
