//! A model's file: messages for everything but the elements of tensors, which go from the model to the file in pieces.
//!
//! A message is a sequence of fields, each a key (number and kind), a length and that many bytes. All lengths are known before
//! the first byte is written, so that nothing of the size of the model is held a second time.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use albert::Parameter;
use albert_formats::Pending;
use prost::Message;
use prost::encoding::encode_varint;

use super::graph::{Constant, Elements, Graph};
use super::proto::{GraphProto, ModelProto};
use crate::{Error, Result};

/// Numbers of the fields that are written here: `ModelProto.graph`, `GraphProto.initializer`, `TensorProto.raw_data`.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// Most bytes of a message that libraries of protobuf read.
const LIMIT: u64 = (1 << 31) - 1;

/// Elements of a tensor that are read at once, at least a row.
const AT_ONCE: usize = 1 << 16;

/// Key and length of a field of bytes.
fn field(number: u32, length: u64) -> Vec<u8> {
    const BYTES: u32 = 2;
    let mut out = Vec::new();
    encode_varint(u64::from(number << 3 | BYTES), &mut out);
    encode_varint(length, &mut out);
    out
}

/// Writes `model`, whose graph is `graph`; the file appears when it is complete. Gives its size in bytes.
pub(super) fn write(path: &Path, model: &ModelProto, graph: Graph<'_>) -> Result<u64> {
    let Graph {
        nodes,
        constants,
        inputs,
        outputs,
        ..
    } = graph;
    let nodes = GraphProto {
        node: nodes,
        name: Some("albert".to_owned()),
        initializer: Vec::new(),
        input: inputs,
        output: outputs,
    };
    let (head, nodes) = (model.encode_to_vec(), nodes.encode_to_vec());
    let beginnings: Vec<Vec<u8>> = constants.iter().map(beginning).collect();
    let tensors = beginnings.iter().zip(&constants);
    let tensors: u64 = tensors.map(|(start, c)| start.len() as u64 + c.len()).sum();
    let length = nodes.len() as u64 + tensors;
    let graph = field(GRAPH, length);
    let total = (head.len() + graph.len()) as u64 + length;
    check_size(path, total)?;

    let pending = Pending::create(path)?;
    let mut out = BufWriter::with_capacity(1 << 16, pending.file());
    let mut all = || -> io::Result<()> {
        for bytes in [&head, &graph, &nodes] {
            out.write_all(bytes)?;
        }
        for (start, constant) in beginnings.iter().zip(&constants) {
            out.write_all(start)?;
            write_elements(&mut out, constant)?;
        }
        out.flush()
    };
    all().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    drop(out);
    pending.sync()?;
    pending.publish()?;
    Ok(total)
}

/// Refuses a file of more bytes than a message may have.
pub(super) fn check_size(path: &Path, bytes: u64) -> Result<()> {
    if bytes > LIMIT {
        let path = path.to_owned();
        return Err(Error::TooLarge { path, bytes });
    }
    Ok(())
}

/// Everything of an initializer up to its elements.
fn beginning(constant: &Constant<'_>) -> Vec<u8> {
    let header = constant.header().encode_to_vec();
    let data = field(RAW_DATA, constant.len());
    let length = (header.len() + data.len()) as u64 + constant.len();
    [field(INITIALIZER, length), header, data].concat()
}

fn write_elements(out: &mut impl Write, constant: &Constant<'_>) -> io::Result<()> {
    match constant.elements {
        Elements::Bytes(ref bytes) => out.write_all(bytes),
        Elements::Reals(tensor) => write_reals(out, tensor),
        Elements::Integers(tensor) => each_row(tensor, |row, _| {
            let bytes: Vec<u8> = row.iter().map(|q| q.to_le_bytes()[0]).collect();
            out.write_all(&bytes)
        }),
        Elements::Scales(tensor) => {
            each_row(tensor, |_, scale| out.write_all(&scale.to_le_bytes()))
        }
    }
}

fn write_reals(out: &mut impl Write, tensor: &Parameter<'_>) -> io::Result<()> {
    let elements: usize = tensor.shape.iter().product();
    let row = tensor.shape.last().copied().unwrap_or(1).max(1);
    let step = AT_ONCE.div_ceil(row) * row;
    let mut values = vec![0.0; step.min(elements)];
    let mut bytes = Vec::new();
    for first in (0..elements).step_by(step) {
        let values = &mut values[..step.min(elements - first)];
        tensor.read(first, values);
        bytes.clear();
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Whole numbers and scale of each row of a matrix that has them.
fn each_row(
    tensor: &Parameter<'_>,
    mut each: impl FnMut(&[i8], f32) -> io::Result<()>,
) -> io::Result<()> {
    let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
    let mut row = vec![0; cols];
    for i in 0..rows {
        let scale = tensor.integers(i, &mut row);
        each(&row, scale.expect("a matrix of whole numbers"))?;
    }
    Ok(())
}
