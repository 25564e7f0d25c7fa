//! The order of tensors in a written file, and its header.

use crate::{
    Dtype, FormatError,
    document::METADATA,
    dtype::{SUPPORTED, extent},
    error::shown,
    header::{MAX_HEADER, PREFIX},
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A tensor to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSpec<'a> {
    /// The name in the file.
    pub name: &'a str,
    /// The type in the file.
    pub dtype: Dtype,
    /// The sizes, outermost first; empty for a scalar.
    pub shape: &'a [usize],
}

/// A tensor with its place in the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) spec: TensorSpec<'a>,
    pub(crate) elements: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The start of a file, and what must follow it.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    /// Length and JSON, padded with spaces so that the data start at a multiple of 8.
    pub(crate) header: Vec<u8>,
    /// In the order of the file: larger elements first (so that each tensor is aligned), then by name.
    pub(crate) tensors: Vec<Planned<'a>>,
    /// Header and data together.
    pub(crate) file_length: u64,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(
        path: &Path,
        metadata: &BTreeMap<String, String>,
        tensors: &[TensorSpec<'a>],
    ) -> Result<Self, FormatError> {
        let refuse = |problem| FormatError::Unwritable {
            path: path.to_owned(),
            problem,
        };
        let mut order = Vec::with_capacity(tensors.len());
        for spec in tensors {
            let Some(rank) = SUPPORTED.iter().position(|dtype| *dtype == spec.dtype) else {
                let problem = format!(
                    "tensor {} is {}, which is not written",
                    shown(spec.name),
                    spec.dtype
                );
                return Err(refuse(problem));
            };
            order.push((rank, spec));
        }
        check_names(tensors).map_err(refuse)?;
        order.sort_by_key(|(rank, spec)| (*rank, spec.name));

        let mut planned = Vec::with_capacity(order.len());
        let mut start = 0_u64;
        for (_, spec) in order {
            let too_large = |problem| refuse(format!("tensor {}: {problem}", shown(spec.name)));
            let extent = extent(spec.dtype, spec.shape).map_err(too_large)?;
            let end = start
                .checked_add(extent.bytes)
                .ok_or_else(|| too_large("all sizes overflow".to_owned()))?;
            planned.push(Planned {
                spec: *spec,
                elements: extent.elements,
                start,
                end,
            });
            start = end;
        }
        let header = encode(metadata, &planned).map_err(refuse)?;
        let file_length = start.checked_add(header.len() as u64);
        let file_length = file_length.ok_or_else(|| refuse("its size overflows".to_owned()))?;
        Ok(Self {
            header,
            tensors: planned,
            file_length,
        })
    }
}

/// Refuses names that no reader could tell apart.
pub(crate) fn check_names(tensors: &[TensorSpec<'_>]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for spec in tensors {
        if spec.name == METADATA {
            return Err(format!("no tensor may be named {METADATA}"));
        }
        if !names.insert(spec.name) {
            return Err(format!("two tensors are named {}", shown(spec.name)));
        }
    }
    Ok(())
}

fn encode(metadata: &BTreeMap<String, String>, tensors: &[Planned<'_>]) -> Result<Vec<u8>, String> {
    let json =
        serde_json::to_string(&Json { metadata, tensors }).map_err(|error| error.to_string())?;
    let length = json.len().next_multiple_of(PREFIX) as u64;
    if length > MAX_HEADER {
        return Err(format!(
            "its header would have {length} bytes; at most {MAX_HEADER} are allowed"
        ));
    }
    let mut header = length.to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    Ok(header)
}

struct Json<'a> {
    metadata: &'a BTreeMap<String, String>,
    tensors: &'a [Planned<'a>],
}

#[derive(serde::Serialize)]
struct JsonTensor<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: (u64, u64),
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            object.serialize_entry(METADATA, self.metadata)?;
        }
        for Planned {
            spec, start, end, ..
        } in self.tensors
        {
            let tensor = JsonTensor {
                dtype: spec.dtype.name(),
                shape: spec.shape,
                data_offsets: (*start, *end),
            };
            object.serialize_entry(spec.name, &tensor)?;
        }
        object.end()
    }
}
