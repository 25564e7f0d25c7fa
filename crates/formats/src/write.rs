//! Writing one file.

use crate::{
    FormatError, TensorSpec,
    atomic::Pending,
    layout::Layout,
    sink::{Encoder, TensorSink},
};
use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Writes a safetensors file, replacing what was at `path` once the new file is complete.
///
/// `fill` is called once per tensor, in the order of the file (larger elements first, then by name),
/// and hands the tensor's elements to the sink in pieces of any length, so that no second copy of the
/// model is needed. The same input gives the same bytes, those that the `safetensors` library writes.
/// An empty `metadata` is left out. On an error the old file stays and nothing new is left behind.
///
/// # Errors
/// If names repeat or sizes overflow; if `fill` fails or supplies too few elements; if a value does
/// not fit its type; if the folder is missing, not writable or full.
pub fn write_safetensors(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorSpec<'_>],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    write_pending(path, metadata, tensors, &mut fill)?.publish()
}

/// As [`write_safetensors`], up to but without giving the file its name.
pub(crate) fn write_pending(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorSpec<'_>],
    fill: &mut dyn FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<Pending, FormatError> {
    let layout = Layout::new(path, metadata, tensors)?;
    let pending = Pending::create(path)?;
    let mut out = BufWriter::with_capacity(1 << 16, pending.file());
    out.write_all(&layout.header)
        .map_err(FormatError::io("write", path))?;
    for planned in &layout.tensors {
        let spec = planned.spec;
        let mut encoder = Encoder {
            out: &mut out,
            path,
            spec,
            elements: planned.elements,
            written: 0,
        };
        fill(&spec, &mut encoder)?;
        encoder.finish()?;
    }
    out.flush().map_err(FormatError::io("write", path))?;
    drop(out);
    // A `fill` that swallowed a failed write would otherwise leave shifted tensors.
    let length = pending
        .file()
        .metadata()
        .map_err(FormatError::io("write", path))?
        .len();
    if length != layout.file_length {
        let source = io::Error::other(format!("{length} bytes arrived of {}", layout.file_length));
        return Err(FormatError::io("write", path)(source));
    }
    pending.sync()?;
    Ok(pending)
}
