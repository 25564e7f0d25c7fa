//! The nodes of the model's graph, which are ONNX', as TensorFlow's: one match for the operators, of which `forms` has those
//! that are several nodes here.

mod forms;

use std::collections::BTreeMap;

use albert::config::ModelClass;

use super::function::{Body, Op, Tensor, of_type};
use super::meta;
use super::names::Variable;
use super::proto::{Attr, DataType, ListValue};
use crate::onnx::graph::{Elements, Graph};
use crate::onnx::proto::{self as onnx, NodeProto};

/// Operators with one type for operands and result: ONNX' name, TensorFlow's, that of its result.
const SAME: &[(&str, &str, &str)] = &[
    ("Add", "AddV2", "z"),
    ("Div", "RealDiv", "z"),
    ("Erf", "Erf", "y"),
    ("Exp", "Exp", "y"),
    ("LogSoftmax", "LogSoftmax", "logsoftmax"),
    ("MatMul", "BatchMatMulV2", "output"),
    ("Mul", "Mul", "z"),
    ("Pow", "Pow", "z"),
    ("Relu", "Relu", "activations"),
    ("Sigmoid", "Sigmoid", "y"),
    ("Softmax", "Softmax", "softmax"),
    ("Softplus", "Softplus", "activations"),
    ("Sqrt", "Sqrt", "y"),
    ("Sub", "Sub", "z"),
    ("Tanh", "Tanh", "y"),
];

/// Those whose result is a truth value; whether they have a type.
const TRUTH: &[(&str, &str, &str, bool)] = &[
    ("And", "LogicalAnd", "z", false),
    ("Equal", "Equal", "z", true),
    ("Greater", "Greater", "z", true),
    ("Not", "LogicalNot", "y", false),
    ("Or", "LogicalOr", "z", false),
];

/// The body of the model's function.
pub(super) struct Lowered<'a> {
    pub(super) body: Body,
    /// What it reads, in the order of its arguments `variable_0`, `variable_1`, …
    pub(super) variables: Vec<Variable<'a>>,
    /// What reading them gives.
    pub(super) reads: Vec<Tensor>,
    /// Its results, in the order of the graph's outputs.
    pub(super) outputs: Vec<Tensor>,
}

/// Name of the argument that is variable `number`.
pub(super) fn argument(number: usize) -> String {
    format!("variable_{number}")
}

/// The graph as the body of a function of its inputs and variables.
pub(super) fn lower<'a>(graph: &Graph<'a>, class: ModelClass) -> Lowered<'a> {
    let mut lowering = Lowering::new(graph, class);
    for node in &graph.nodes {
        let results = lowering.node(node);
        lowering
            .values
            .extend(node.output.iter().cloned().zip(results));
    }
    let outputs = graph.outputs.iter();
    let outputs = outputs
        .map(|output| lowering.values[output.name()].clone())
        .collect();
    Lowered {
        body: lowering.body,
        variables: lowering.variables,
        reads: lowering.reads,
        outputs,
    }
}

struct Lowering<'a> {
    body: Body,
    variables: Vec<Variable<'a>>,
    reads: Vec<Tensor>,
    values: BTreeMap<String, Tensor>,
    /// Whether a matrix is held as [K, N].
    transposed: BTreeMap<String, bool>,
    constants: BTreeMap<String, (DataType, Vec<usize>, Vec<u8>)>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &Graph<'a>, class: ModelClass) -> Self {
        let mut lowering = Self {
            body: Body::default(),
            variables: Vec::new(),
            reads: Vec::new(),
            values: BTreeMap::new(),
            transposed: BTreeMap::new(),
            constants: BTreeMap::new(),
        };
        for input in &graph.inputs {
            let (name, kind) = (input.name().to_owned(), meta::port(input).kind);
            lowering.body.reserve(&name);
            let tensor = Tensor {
                name: name.clone(),
                kind,
            };
            lowering.values.insert(name, tensor);
        }
        for constant in &graph.constants {
            match &constant.elements {
                Elements::Reals(tensor) => {
                    lowering.variable(&constant.name, Variable::new(class, tensor))
                }
                Elements::Bytes(bytes) => {
                    let known = (
                        kind(Some(constant.kind as i32)),
                        constant.shape.clone(),
                        bytes.clone(),
                    );
                    lowering.constants.insert(constant.name.clone(), known);
                }
                Elements::Integers(_) | Elements::Scales(_) => {
                    unreachable!("a saved model is built from f32")
                }
            }
        }
        lowering
    }

    /// Reads a variable once for all its uses.
    fn variable(&mut self, name: &str, variable: Variable<'a>) {
        let handle = Tensor {
            name: argument(self.variables.len()),
            kind: DataType::Resource,
        };
        self.body.reserve(&handle.name);
        let read = Op {
            op: "ReadVariableOp",
            output: "value",
            attr: vec![of_type("dtype", DataType::Float)],
        };
        let value = self.body.add("read", &read, &[&handle], DataType::Float);
        self.reads.push(value.clone());
        self.values.insert(name.to_owned(), value);
        self.transposed.insert(name.to_owned(), variable.transposed);
        self.variables.push(variable);
    }

    /// Input `number` of a node.
    fn input(&mut self, node: &NodeProto, number: usize) -> Tensor {
        let name = &node.input[number];
        if let Some(value) = self.values.get(name) {
            return value.clone();
        }
        let (kind, shape, bytes) = &self.constants[name];
        self.body.constant(*kind, shape, bytes.clone())
    }

    fn inputs(&mut self, node: &NodeProto) -> Vec<Tensor> {
        (0..node.input.len()).map(|i| self.input(node, i)).collect()
    }

    /// The whole numbers of an input that is a constant.
    fn known(&self, node: &NodeProto, number: usize) -> Vec<i64> {
        let (_, _, bytes) = &self.constants[&node.input[number]];
        let numbers = bytes.as_chunks::<8>().0.iter();
        numbers.map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }

    /// The results of a node.
    fn node(&mut self, node: &NodeProto) -> Vec<Tensor> {
        let (label, op) = (node.name(), node.op_type());
        if let Some((_, op, output)) = SAME.iter().find(|(name, ..)| *name == op) {
            let inputs = self.inputs(node);
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            return vec![self.body.same(label, (op, output), &inputs)];
        }
        if let Some((_, op, output, typed)) = TRUTH.iter().find(|(name, ..)| *name == op) {
            let inputs = self.inputs(node);
            let attr = if *typed {
                vec![of_type("T", inputs[0].kind)]
            } else {
                Vec::new()
            };
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            let op = Op { op, output, attr };
            return vec![self.body.add(label, &op, &inputs, DataType::Bool)];
        }
        vec![match op {
            "Cast" => self.cast(node),
            "Clip" => self.clip(node),
            "Concat" => self.concat(node),
            "Einsum" => self.einsum(node),
            "Expand" => self.shaped(node, "BroadcastTo", "Tidx"),
            "Gather" => self.gather(node),
            "GatherND" => self.gather_nd(node),
            "Gemm" => self.gemm(node),
            "HardSwish" => self.hard_swish(node),
            "LayerNormalization" => self.norm(node),
            "LeakyRelu" => self.leaky_relu(node),
            "Pad" => self.pad(node),
            "Range" => self.range(node),
            "ReduceMax" => self.reduce(node, "Max"),
            "ReduceMin" => self.reduce(node, "Min"),
            "Reshape" => self.shaped(node, "Reshape", "Tshape"),
            "Shape" => self.shape(node),
            "Slice" => self.slice(node),
            "Squeeze" => self.squeeze(node),
            "TopK" => return self.top_k(node).into(),
            "Transpose" => self.transpose(node),
            "Unsqueeze" => self.unsqueeze(node),
            "Where" => self.select(node),
            _ => unreachable!("{op}: the model's graph has no such operator"),
        }]
    }

    fn cast(&mut self, node: &NodeProto) -> Tensor {
        let x = self.input(node, 0);
        let to = kind(integer(node, "to").map(|n| n as i32));
        cast(&mut self.body, node.name(), &x, to)
    }

    fn concat(&mut self, node: &NodeProto) -> Tensor {
        let mut inputs = self.inputs(node);
        let (count, kind) = (inputs.len() as i64, inputs[0].kind);
        // TensorFlow's gradient of this operator knows axes of 32 bits alone.
        let axis = integer(node, "axis").unwrap_or(0) as i32;
        let axis = axis.to_le_bytes().to_vec();
        inputs.push(self.body.constant(DataType::Int32, &[], axis));
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let attr = vec![
            ("N", Attr::I(count)),
            of_type("T", kind),
            of_type("Tidx", DataType::Int32),
        ];
        let op = Op {
            op: "ConcatV2",
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &inputs, kind)
    }

    fn einsum(&mut self, node: &NodeProto) -> Tensor {
        let inputs = self.inputs(node);
        let equation = attribute(node, "equation")
            .and_then(|a| a.s.clone())
            .unwrap_or_default();
        let attr = vec![
            ("N", Attr::I(inputs.len() as i64)),
            of_type("T", DataType::Float),
            ("equation", Attr::S(equation)),
        ];
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let op = Op {
            op: "Einsum",
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &inputs, DataType::Float)
    }

    /// An operator whose second operand is a shape.
    fn shaped(&mut self, node: &NodeProto, op: &str, kind_of_shape: &str) -> Tensor {
        let (x, shape) = (self.input(node, 0), self.input(node, 1));
        let attr = vec![
            of_type("T", x.kind),
            of_type(kind_of_shape, DataType::Int64),
        ];
        let op = Op {
            op,
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &[&x, &shape], x.kind)
    }

    fn gather(&mut self, node: &NodeProto) -> Tensor {
        let (x, numbers) = (self.input(node, 0), self.input(node, 1));
        let axis = integer(node, "axis").unwrap_or(0);
        forms::gather(&mut self.body, node.name(), &x, &numbers, axis, 0)
    }

    fn leaky_relu(&mut self, node: &NodeProto) -> Tensor {
        let x = self.input(node, 0);
        let alpha = attribute(node, "alpha").and_then(|a| a.f).unwrap_or(0.01);
        let attr = vec![of_type("T", x.kind), ("alpha", Attr::F(alpha))];
        let op = Op {
            op: "LeakyRelu",
            output: "activations",
            attr,
        };
        self.body.add(node.name(), &op, &[&x], x.kind)
    }

    fn range(&mut self, node: &NodeProto) -> Tensor {
        let inputs = self.inputs(node);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let attr = vec![of_type("Tidx", DataType::Int64)];
        let op = Op {
            op: "Range",
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &inputs, DataType::Int64)
    }

    fn reduce(&mut self, node: &NodeProto, op: &str) -> Tensor {
        let x = self.input(node, 0);
        let axes = self.body.int64s(integers(node, "axes"));
        forms::reduce(&mut self.body, node.name(), op, &x, &axes)
    }

    fn shape(&mut self, node: &NodeProto) -> Tensor {
        let x = self.input(node, 0);
        let attr = vec![of_type("T", x.kind), of_type("out_type", DataType::Int64)];
        let op = Op {
            op: "Shape",
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &[&x], DataType::Int64)
    }

    fn squeeze(&mut self, node: &NodeProto) -> Tensor {
        let x = self.input(node, 0);
        let axes = self.known(node, 1);
        forms::squeeze(&mut self.body, node.name(), &x, axes)
    }

    fn transpose(&mut self, node: &NodeProto) -> Tensor {
        let x = self.input(node, 0);
        let order = self.body.int64s(integers(node, "perm"));
        let attr = vec![of_type("T", x.kind), of_type("Tperm", DataType::Int64)];
        let op = Op {
            op: "Transpose",
            output: "y",
            attr,
        };
        self.body.add(node.name(), &op, &[&x, &order], x.kind)
    }

    fn select(&mut self, node: &NodeProto) -> Tensor {
        let inputs = self.inputs(node);
        let kind = inputs[1].kind;
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let attr = vec![of_type("T", kind)];
        let op = Op {
            op: "SelectV2",
            output: "output",
            attr,
        };
        self.body.add(node.name(), &op, &inputs, kind)
    }
}

/// x with elements of another type.
pub(super) fn cast(body: &mut Body, label: &str, x: &Tensor, to: DataType) -> Tensor {
    let attr = vec![of_type("SrcT", x.kind), of_type("DstT", to)];
    let op = Op {
        op: "Cast",
        output: "y",
        attr,
    };
    body.add(label, &op, &[x], to)
}

/// A list of whole numbers as an attribute.
fn list(numbers: Vec<i64>) -> Attr {
    Attr::List(ListValue {
        i: numbers,
        ..ListValue::default()
    })
}

/// The type of a constant or output of the graph.
pub(super) fn kind(number: Option<i32>) -> DataType {
    match number {
        Some(n) if n == onnx::DataType::Bool as i32 => DataType::Bool,
        Some(n) if n == onnx::DataType::Int64 as i32 => DataType::Int64,
        _ => DataType::Float,
    }
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n onnx::AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name() == name)
}

fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name)?.i
}

fn integers<'n>(node: &'n NodeProto, name: &str) -> &'n [i64] {
    attribute(node, name).map_or(&[], |attribute| &attribute.ints)
}
