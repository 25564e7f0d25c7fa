//! The body of a function that grows node by node.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::{Attr, AttrValue, DataType, NodeDef, TensorProto, TensorShapeProto};

/// A value of the function.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    /// `node:output:number`, or an argument.
    pub(super) name: String,
    /// The type of its elements.
    pub(super) kind: DataType,
}

/// Nodes, and the constants that they use, each once.
#[derive(Default)]
pub(super) struct Body {
    pub(super) nodes: Vec<NodeDef>,
    names: BTreeSet<String>,
    constants: BTreeMap<String, Tensor>,
}

/// A node: its operator, what its first result is called, and what is fixed.
pub(super) struct Op<'o> {
    pub(super) op: &'o str,
    pub(super) output: &'o str,
    pub(super) attr: Vec<(&'o str, Attr)>,
}

impl Body {
    /// A name that no node may have.
    pub(super) fn reserve(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Adds a node; gives its name.
    pub(super) fn node(&mut self, label: &str, op: &Op<'_>, inputs: &[&Tensor]) -> String {
        let name = self.free_name(label);
        self.nodes.push(NodeDef {
            name: name.clone(),
            op: op.op.to_owned(),
            input: inputs.iter().map(|tensor| tensor.name.clone()).collect(),
            attr: attributes(&op.attr),
        });
        name
    }

    /// Adds a node with one result of this type.
    pub(super) fn add(
        &mut self,
        label: &str,
        op: &Op<'_>,
        inputs: &[&Tensor],
        kind: DataType,
    ) -> Tensor {
        let name = self.node(label, op, inputs);
        Tensor {
            name: format!("{name}:{}:0", op.output),
            kind,
        }
    }

    /// Adds a node whose operands and result have one type, its attribute `T`.
    pub(super) fn same(
        &mut self,
        label: &str,
        (op, output): (&str, &str),
        inputs: &[&Tensor],
    ) -> Tensor {
        let kind = inputs[0].kind;
        let op = Op {
            op,
            output,
            attr: vec![of_type("T", kind)],
        };
        self.add(label, &op, inputs, kind)
    }

    /// A list of whole numbers.
    pub(super) fn int64s(&mut self, values: &[i64]) -> Tensor {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(DataType::Int64, &[values.len()], bytes)
    }

    /// A whole number.
    pub(super) fn int64(&mut self, value: i64) -> Tensor {
        self.constant(DataType::Int64, &[], value.to_le_bytes().to_vec())
    }

    /// A number.
    pub(super) fn float(&mut self, value: f32) -> Tensor {
        self.constant(DataType::Float, &[], value.to_le_bytes().to_vec())
    }

    /// A constant of these bytes, little-endian.
    pub(super) fn constant(&mut self, kind: DataType, shape: &[usize], bytes: Vec<u8>) -> Tensor {
        let what = format!("{kind:?} {shape:?} {bytes:?}");
        if let Some(known) = self.constants.get(&what) {
            return known.clone();
        }
        let value = TensorProto {
            dtype: kind.into(),
            tensor_shape: Some(TensorShapeProto::of(shape.iter().map(|&n| n as i64))),
            tensor_content: bytes,
            string_val: Vec::new(),
        };
        let op = Op {
            op: "Const",
            output: "output",
            attr: vec![("value", Attr::Tensor(value)), of_type("dtype", kind)],
        };
        let made = self.add("constant", &op, &[], kind);
        self.constants.insert(what, made.clone());
        made
    }

    fn free_name(&mut self, label: &str) -> String {
        let mut name = label.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{label}_{number}");
        }
        name
    }
}

/// An attribute that is a type.
pub(super) fn of_type(name: &str, kind: DataType) -> (&str, Attr) {
    (name, Attr::Type(kind.into()))
}

/// Attributes by name.
pub(super) fn attributes(attr: &[(&str, Attr)]) -> BTreeMap<String, AttrValue> {
    let attr = attr.iter();
    attr.map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect()
}
