//! A graph that grows node by node, and the constants that it uses, each once.

use std::collections::{BTreeMap, BTreeSet};

use albert::Parameter;

use super::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, Length, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A value of the graph, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value(String);

/// A constant of the graph.
pub(super) struct Constant<'a> {
    pub(super) name: String,
    pub(super) kind: DataType,
    pub(super) shape: Vec<usize>,
    pub(super) elements: Elements<'a>,
}

/// Where the elements of a constant come from.
pub(super) enum Elements<'a> {
    /// Little-endian.
    Bytes(Vec<u8>),
    /// Numbers of a tensor of the model.
    Reals(&'a Parameter<'a>),
    /// Whole numbers of a matrix of the model …
    Integers(&'a Parameter<'a>),
    /// … and the scales of its rows.
    Scales(&'a Parameter<'a>),
}

impl Constant<'_> {
    /// Bytes of its elements.
    pub(super) fn len(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 * self.kind.size() as u64
    }

    /// Without its elements.
    pub(super) fn header(&self) -> TensorProto {
        TensorProto {
            dims: self.shape.iter().map(|&n| n as i64).collect(),
            data_type: Some(self.kind as i32),
            name: Some(self.name.clone()),
            raw_data: None,
        }
    }
}

/// A fixed argument of an operation.
pub(super) enum Attribute {
    Int(&'static str, i64),
    Float(&'static str, f64),
    Ints(&'static str, &'static [i64]),
    Text(&'static str, &'static str),
}

impl Attribute {
    fn proto(&self) -> AttributeProto {
        let empty = |name: &str, kind: AttributeType| AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(kind as i32),
            ..AttributeProto::default()
        };
        match *self {
            Self::Int(name, i) => AttributeProto {
                i: Some(i),
                ..empty(name, AttributeType::Int)
            },
            Self::Float(name, f) => AttributeProto {
                f: Some(f as f32),
                ..empty(name, AttributeType::Float)
            },
            Self::Ints(name, ints) => AttributeProto {
                ints: ints.to_vec(),
                ..empty(name, AttributeType::Ints)
            },
            Self::Text(name, text) => AttributeProto {
                s: Some(text.as_bytes().to_vec()),
                ..empty(name, AttributeType::String)
            },
        }
    }
}

/// The length of an axis of an input or output: a number, or the name of one that varies.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    Fixed(usize),
    Named(&'static str),
}

/// Nodes, constants, inputs and outputs.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) constants: Vec<Constant<'a>>,
    pub(super) inputs: Vec<ValueInfoProto>,
    pub(super) outputs: Vec<ValueInfoProto>,
    names: BTreeSet<String>,
    /// Before the names of new nodes: where in the model they stand.
    scope: String,
    /// What was computed once for all that need it, by its description.
    shared: BTreeMap<String, Vec<Value>>,
}

impl<'a> Graph<'a> {
    /// Names of new nodes begin with this.
    pub(super) fn enter(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// An input.
    pub(super) fn input(&mut self, name: &str, kind: DataType, axes: &[Axis]) -> Value {
        self.inputs.push(info(name, kind, axes));
        self.names.insert(name.to_owned());
        Value(name.to_owned())
    }

    /// Makes a value an output of this name.
    pub(super) fn output(&mut self, value: &Value, name: &str, kind: DataType, axes: &[Axis]) {
        for node in &mut self.nodes {
            for one in node.input.iter_mut().chain(&mut node.output) {
                if *one == value.0 {
                    name.clone_into(one);
                }
            }
        }
        self.outputs.push(info(name, kind, axes));
    }

    /// An operation with one result.
    pub(super) fn op<const N: usize>(
        &mut self,
        kind: &str,
        label: &str,
        inputs: [&Value; N],
        attributes: &[Attribute],
    ) -> Value {
        let [value] = self.op_many(kind, [label], inputs, attributes);
        value
    }

    /// An operation with several results.
    pub(super) fn op_many<const N: usize, const M: usize>(
        &mut self,
        kind: &str,
        labels: [&str; M],
        inputs: [&Value; N],
        attributes: &[Attribute],
    ) -> [Value; M] {
        let outputs = labels.map(|label| Value(self.free_name(label)));
        self.nodes.push(NodeProto {
            input: inputs.map(|value| value.0.clone()).to_vec(),
            output: outputs.iter().map(|value| value.0.clone()).collect(),
            name: Some(outputs[0].0.clone()),
            op_type: Some(kind.to_owned()),
            attribute: attributes.iter().map(Attribute::proto).collect(),
        });
        outputs
    }

    /// What `make` gives, the same for every call with this description.
    pub(super) fn once<const M: usize>(
        &mut self,
        what: String,
        make: impl FnOnce(&mut Self) -> [Value; M],
    ) -> [Value; M] {
        if let Some(values) = self.shared.get(&what) {
            let values = <[Value; M]>::try_from(values.clone());
            return values.expect("a description stands for one thing");
        }
        let values = make(self);
        self.shared.insert(what, values.to_vec());
        values
    }

    /// A list of whole numbers.
    pub(super) fn int64s(&mut self, values: &[i64]) -> Value {
        let numbers: Vec<String> = values.iter().map(i64::to_string).collect();
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let name = format!("int64[{}]", numbers.join(","));
        self.bytes(name, DataType::Int64, &[values.len()], bytes)
    }

    /// A whole number.
    pub(super) fn int64(&mut self, value: i64) -> Value {
        let bytes = value.to_le_bytes().to_vec();
        self.bytes(format!("int64 {value}"), DataType::Int64, &[], bytes)
    }

    /// A number.
    pub(super) fn float(&mut self, value: f64) -> Value {
        let value = value as f32;
        let bytes = value.to_le_bytes().to_vec();
        self.bytes(format!("float {value:e}"), DataType::Float, &[], bytes)
    }

    /// The zero point of weights: 0.
    pub(super) fn int8_zero(&mut self) -> Value {
        self.bytes("int8 0".to_owned(), DataType::Int8, &[], vec![0])
    }

    fn bytes(&mut self, name: String, kind: DataType, shape: &[usize], bytes: Vec<u8>) -> Value {
        self.constant(Constant {
            name,
            kind,
            shape: shape.to_vec(),
            elements: Elements::Bytes(bytes),
        })
    }

    /// Numbers of a tensor of the model.
    pub(super) fn reals(&mut self, tensor: &'a Parameter<'a>) -> Value {
        self.constant(Constant {
            name: tensor.name.clone(),
            kind: DataType::Float,
            shape: tensor.shape.clone(),
            elements: Elements::Reals(tensor),
        })
    }

    /// A constant; one of the same name is the same.
    pub(super) fn constant(&mut self, constant: Constant<'a>) -> Value {
        let value = Value(constant.name.clone());
        if self.names.insert(constant.name.clone()) {
            self.constants.push(constant);
        }
        value
    }

    fn free_name(&mut self, label: &str) -> String {
        let base = if self.scope.is_empty() {
            label.to_owned()
        } else {
            format!("{}/{label}", self.scope)
        };
        let numbered = (1..).map(|n| {
            if n == 1 {
                base.clone()
            } else {
                format!("{base}_{n}")
            }
        });
        let mut free = numbered.filter(|name| !self.names.contains(name));
        let name = free.next().expect("there are names enough");
        self.names.insert(name.clone());
        name
    }
}

fn info(name: &str, kind: DataType, axes: &[Axis]) -> ValueInfoProto {
    let dim = |axis: &Axis| DimensionProto {
        value: Some(match *axis {
            Axis::Fixed(n) => Length::Value(n as i64),
            Axis::Named(name) => Length::Param(name.to_owned()),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(kind as i32),
                shape: Some(TensorShapeProto {
                    dim: axes.iter().map(dim).collect(),
                }),
            }),
        }),
    }
}
