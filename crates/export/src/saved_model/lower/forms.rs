//! Operators of ONNX that are several nodes of TensorFlow, or one with other arguments.

use super::{Lowering, NodeProto, attribute, cast, list};
use crate::saved_model::function::{Body, Op, Tensor, of_type};
use crate::saved_model::proto::{Attr, DataType};

impl Lowering<'_> {
    /// x·W + b, or x·W, with W [K, N], or the table [N, K] where that is the matrix.
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Tensor {
        let label = node.name();
        let (x, weight) = (self.input(node, 0), self.input(node, 1));
        let table = !self.transposed[&node.input[1]];
        let attr = vec![of_type("T", x.kind), ("transpose_b", Attr::B(table))];
        let op = Op {
            op: "MatMul",
            output: "product",
            attr,
        };
        let product = self.body.add(label, &op, &[&x, &weight], x.kind);
        if node.input.len() == 2 {
            return product;
        }
        let bias = self.input(node, 2);
        self.body
            .same(label, ("BiasAdd", "output"), &[&product, &bias])
    }

    /// (x − mean)/√(variance + ε)·γ + β over the last axis
    pub(super) fn norm(&mut self, node: &NodeProto) -> Tensor {
        let label = node.name();
        let [x, gamma, beta] = [0, 1, 2].map(|number| self.input(node, number));
        let epsilon = attribute(node, "epsilon").and_then(|a| a.f).unwrap_or(1e-5);
        let body = &mut self.body;
        let (last, epsilon) = (body.int64s(&[-1]), body.float(epsilon));
        let mean = reduce(body, label, "Mean", &x, &last);
        let y = body.same(label, ("Sub", "z"), &[&x, &mean]);
        let squares = body.same(label, ("Square", "y"), &[&y]);
        let variance = reduce(body, label, "Mean", &squares, &last);
        let variance = body.same(label, ("AddV2", "z"), &[&variance, &epsilon]);
        let scale = body.same(label, ("Rsqrt", "y"), &[&variance]);
        let y = body.same(label, ("Mul", "z"), &[&y, &scale]);
        let y = body.same(label, ("Mul", "z"), &[&y, &gamma]);
        body.same(label, ("AddV2", "z"), &[&y, &beta])
    }

    pub(super) fn clip(&mut self, node: &NodeProto) -> Tensor {
        let [x, low, high] = [0, 1, 2].map(|number| self.input(node, number));
        clip(&mut self.body, node.name(), &x, &low, &high)
    }

    /// x·clip(x + 3, 0, 6)/6
    pub(super) fn hard_swish(&mut self, node: &NodeProto) -> Tensor {
        let (label, x) = (node.name(), self.input(node, 0));
        let body = &mut self.body;
        let [zero, three, six] = [0.0, 3.0, 6.0].map(|number| body.float(number));
        let gate = body.same(label, ("AddV2", "z"), &[&x, &three]);
        let gate = clip(body, label, &gate, &zero, &six);
        let gate = body.same(label, ("RealDiv", "z"), &[&gate, &six]);
        body.same(label, ("Mul", "z"), &[&x, &gate])
    }

    /// ONNX has all beginnings before all ends, TensorFlow a row for each axis.
    pub(super) fn pad(&mut self, node: &NodeProto) -> Tensor {
        let (x, value) = (self.input(node, 0), self.input(node, 2));
        let pads = self.known(node, 1);
        let (before, after) = pads.split_at(pads.len() / 2);
        let rows = before.iter().zip(after).flat_map(|(b, a)| [*b, *a]);
        let bytes = rows.flat_map(i64::to_le_bytes).collect();
        let rows = self
            .body
            .constant(DataType::Int64, &[before.len(), 2], bytes);
        let attr = vec![of_type("T", x.kind), of_type("Tpaddings", DataType::Int64)];
        let op = Op {
            op: "PadV2",
            output: "output",
            attr,
        };
        self.body
            .add(node.name(), &op, &[&x, &rows, &value], x.kind)
    }

    /// The largest of the last axis and where they are, as i64.
    pub(super) fn top_k(&mut self, node: &NodeProto) -> [Tensor; 2] {
        let (label, x) = (node.name(), self.input(node, 0));
        let count = self.known(node, 1)[0] as i32;
        let body = &mut self.body;
        let count = body.constant(DataType::Int32, &[], count.to_le_bytes().to_vec());
        let attr = vec![of_type("T", x.kind)];
        let op = Op {
            op: "TopKV2",
            output: "values",
            attr,
        };
        let name = body.node(label, &op, &[&x, &count]);
        let values = Tensor {
            name: format!("{name}:values:0"),
            kind: x.kind,
        };
        let index = Tensor {
            name: format!("{name}:indices:0"),
            kind: DataType::Int32,
        };
        [values, cast(body, label, &index, DataType::Int64)]
    }

    /// x[i, numbers[i, …, 0]] for every sequence i.
    pub(super) fn gather_nd(&mut self, node: &NodeProto) -> Tensor {
        let (label, x, numbers) = (node.name(), self.input(node, 0), self.input(node, 1));
        let numbers = squeeze(&mut self.body, label, &numbers, vec![-1]);
        gather(&mut self.body, label, &x, &numbers, 1, 1)
    }

    /// x[begin..end] of the first axis.
    pub(super) fn slice(&mut self, node: &NodeProto) -> Tensor {
        let [x, begin, end] = [0, 1, 2].map(|number| self.input(node, number));
        let steps = self.body.int64s(&[1]);
        let attr = vec![of_type("T", x.kind), of_type("Index", DataType::Int64)];
        let op = Op {
            op: "StridedSlice",
            output: "output",
            attr,
        };
        self.body
            .add(node.name(), &op, &[&x, &begin, &end, &steps], x.kind)
    }

    /// One axis after the other, in ascending order.
    pub(super) fn unsqueeze(&mut self, node: &NodeProto) -> Tensor {
        let mut x = self.input(node, 0);
        for axis in self.known(node, 1) {
            let axis = self.body.int64(axis);
            let attr = vec![of_type("T", x.kind), of_type("Tdim", DataType::Int64)];
            let op = Op {
                op: "ExpandDims",
                output: "output",
                attr,
            };
            x = self.body.add(node.name(), &op, &[&x, &axis], x.kind);
        }
        x
    }
}

fn clip(body: &mut Body, label: &str, x: &Tensor, low: &Tensor, high: &Tensor) -> Tensor {
    let x = body.same(label, ("Minimum", "z"), &[x, high]);
    body.same(label, ("Maximum", "z"), &[&x, low])
}

/// Along `axes`, which stay, with length 1.
pub(super) fn reduce(body: &mut Body, label: &str, op: &str, x: &Tensor, axes: &Tensor) -> Tensor {
    let attr = vec![
        of_type("T", x.kind),
        of_type("Tidx", DataType::Int64),
        ("keep_dims", Attr::B(true)),
    ];
    let op = Op {
        op,
        output: "output",
        attr,
    };
    body.add(label, &op, &[x, axes], x.kind)
}

pub(super) fn squeeze(body: &mut Body, label: &str, x: &Tensor, axes: Vec<i64>) -> Tensor {
    let attr = vec![of_type("T", x.kind), ("squeeze_dims", list(axes))];
    let op = Op {
        op: "Squeeze",
        output: "output",
        attr,
    };
    body.add(label, &op, &[x], x.kind)
}

/// Parts of `axis` by number; the first `batch` axes are the same in both.
pub(super) fn gather(
    body: &mut Body,
    label: &str,
    x: &Tensor,
    numbers: &Tensor,
    axis: i64,
    batch: i64,
) -> Tensor {
    let axis = body.int64(axis);
    let attr = vec![
        of_type("Tparams", x.kind),
        of_type("Tindices", DataType::Int64),
        of_type("Taxis", DataType::Int64),
        ("batch_dims", Attr::I(batch)),
    ];
    let op = Op {
        op: "GatherV2",
        output: "output",
        attr,
    };
    body.add(label, &op, &[x, numbers, &axis], x.kind)
}
