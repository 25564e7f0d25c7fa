//! The safetensors header, from bytes to checked tensor extents.
//!
//! A file is: the header's length N (8 bytes, little-endian), N bytes of JSON, the tensors' data.
//! The JSON maps each tensor's name to its dtype, shape and data offsets `[start, end)`, counted
//! from the first byte after the header; `__metadata__` maps strings to strings.
//! Format: <https://github.com/huggingface/safetensors#format>

use crate::{
    Dtype, FormatError, TensorInfo, contents::Contents, document::Document, dtype::extent, json,
    positional::Source,
};
use std::{ops::Range, path::Path};

/// The header's length as it stands at the start of the file.
pub(crate) const PREFIX: usize = 8;
/// The limit of the reference implementation.
pub(crate) const MAX_HEADER: u64 = 100_000_000;

/// Reads and checks the header of an open file: the tensors cover the data exactly, without holes or
/// overlap.
pub(crate) fn read(file: &Source, file_length: u64, path: &Path) -> Result<Contents, FormatError> {
    let mut prefix = [0; PREFIX];
    let present = prefix
        .len()
        .min(usize::try_from(file_length).unwrap_or(usize::MAX));
    let failed = FormatError::io("read", path);
    file.read_exact_at(&mut prefix[..present], 0)
        .map_err(failed)?;
    let length = header_length(&prefix[..present], file_length, path)?;
    let mut header = vec![0; length];
    let failed = FormatError::io("read", path);
    file.read_exact_at(&mut header, PREFIX as u64)
        .map_err(failed)?;
    parse(&header, file_length, path)
}

/// A tensor of [`check_bytes`].
#[derive(Debug)]
pub struct CheckedTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its place in the bytes that were checked.
    pub place: Range<usize>,
}

/// All checks of one file's bytes, those of opening it; the tensors are sorted by name.
///
/// # Errors
/// Those of [`Checkpoint::open`](crate::Checkpoint::open) with the path `memory`.
pub fn check_bytes(bytes: &[u8]) -> Result<Vec<CheckedTensor>, FormatError> {
    let path = Path::new("memory");
    let prefix = &bytes[..bytes.len().min(PREFIX)];
    let length = header_length(prefix, bytes.len() as u64, path)?;
    let header = parse(&bytes[PREFIX..PREFIX + length], bytes.len() as u64, path)?;
    let listed = header.tensors.into_iter().map(|tensor| CheckedTensor {
        place: tensor.place.0 as usize..tensor.place.1 as usize,
        name: tensor.name,
        dtype: tensor.dtype,
        shape: tensor.shape,
    });
    Ok(listed.collect())
}

/// The header's length, checked against the limit and the file, so that it may be allocated.
fn header_length(prefix: &[u8], file_length: u64, path: &Path) -> Result<usize, FormatError> {
    let refuse = |problem| FormatError::Header {
        path: path.to_owned(),
        problem,
    };
    let Ok(prefix) = <[u8; PREFIX]>::try_from(prefix) else {
        return Err(refuse(format!(
            "it has {file_length} bytes, not even the {PREFIX} of the header's length"
        )));
    };
    let length = u64::from_le_bytes(prefix);
    if length > MAX_HEADER {
        return Err(refuse(match other_format(prefix) {
            Some(kind) => format!("it is {kind}"),
            None => {
                format!("its header would have {length} bytes; at most {MAX_HEADER} are allowed")
            }
        }));
    }
    let present = file_length - PREFIX as u64;
    if length > present {
        return Err(refuse(format!(
            "its header would have {length} bytes, but only {present} follow"
        )));
    }
    usize::try_from(length)
        .map_err(|_| refuse(format!("its header of {length} bytes exceeds the memory")))
}

/// What people rename or download by mistake, by its first bytes.
fn other_format(prefix: [u8; PREFIX]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 2] = [
        (
            b"version ",
            "a Git LFS pointer, not the file itself (run `git lfs pull`)",
        ),
        (b"<", "a web page or XML"),
    ];
    let known = KNOWN
        .into_iter()
        .find(|(start, _)| prefix.starts_with(start));
    known.map(|(_, kind)| kind)
}

/// Checks `header`, the JSON of a file of `file_length` bytes that is known to contain it.
fn parse(header: &[u8], file_length: u64, path: &Path) -> Result<Contents, FormatError> {
    let refuse = |problem| FormatError::Header {
        path: path.to_owned(),
        problem,
    };
    if header.first() != Some(&b'{') {
        return Err(refuse("its header does not begin with `{`".to_owned()));
    }
    let Document {
        mut tensors,
        metadata,
    } = json::parse(header).map_err(|problem| refuse(format!("its header is wrong: {problem}")))?;
    let data_start = (PREFIX + header.len()) as u64;
    place(&mut tensors, data_start, file_length, path)?;
    Ok(Contents {
        tensors,
        metadata,
        ..Contents::default()
    })
}

/// Checks that the tensors cover the data exactly, and gives each its place in the file.
fn place(
    tensors: &mut [TensorInfo],
    data_start: u64,
    file_length: u64,
    path: &Path,
) -> Result<(), FormatError> {
    let refuse = |tensor: &str, problem| FormatError::Tensor {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        problem,
    };
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    // Empty tensors may share their place; those are in the order of their names.
    order.sort_unstable_by_key(|&at| (tensors[at].place, at));
    let mut end_of_previous = 0;
    for at in order {
        let tensor = &tensors[at];
        let (start, end) = tensor.place;
        let name = &tensor.name;
        if start != end_of_previous {
            let kind = if start > end_of_previous {
                "leave a hole after"
            } else {
                "overlap"
            };
            let problem = format!(
                "its data offsets [{start}, {end}] {kind} the data before them, which end at {end_of_previous}"
            );
            return Err(refuse(name, problem));
        }
        let extent =
            extent(tensor.dtype, &tensor.shape).map_err(|problem| refuse(name, problem))?;
        let bytes = extent.bytes;
        if end.checked_sub(start) != Some(bytes) {
            let problem = format!(
                "its data offsets [{start}, {end}] do not span the {bytes} bytes of shape {:?} in {}",
                tensor.shape, tensor.dtype
            );
            return Err(refuse(name, problem));
        }
        end_of_previous = end;
    }
    let expected = data_start.saturating_add(end_of_previous);
    if expected != file_length {
        return Err(FormatError::Length {
            path: path.to_owned(),
            expected,
            found: file_length,
        });
    }
    for TensorInfo { place, .. } in tensors {
        *place = (data_start + place.0, data_start + place.1);
    }
    Ok(())
}
