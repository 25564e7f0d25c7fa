//! The layers of which a model consists, as nodes: what stands behind the seam elsewhere.

use albert::names::{Field, Site};
use albert::{Activation, AlbertConfig, Parameter};

use super::graph::{Attribute, Constant, Elements, Graph, Value};
use super::proto::DataType;
use super::{Form, Int8};

/// Laplace's μ and σ as transformers rounds them.
#[expect(clippy::approx_constant, reason = "μ is rounded, not 1/√2")]
const LAPLACE: (f64, f64) = (0.707107, 0.282095);

/// A graph and the model that it is built from.
pub(super) struct Builder<'a> {
    pub(super) graph: Graph<'a>,
    pub(super) config: &'a AlbertConfig,
    pub(super) form: Form,
    tensors: &'a [Parameter<'a>],
    int8: Int8,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        config: &'a AlbertConfig,
        tensors: &'a [Parameter<'a>],
        int8: Int8,
        form: Form,
    ) -> Self {
        Self {
            graph: Graph::default(),
            config,
            form,
            tensors,
            int8,
        }
    }

    pub(super) fn has(&self, site: Site, field: Field) -> bool {
        self.find(site, field).is_some()
    }

    fn find(&self, site: Site, field: Field) -> Option<&'a Parameter<'a>> {
        self.tensors
            .iter()
            .find(|tensor| tensor.site == site && tensor.field == field)
    }

    fn get(&self, site: Site, field: Field) -> &'a Parameter<'a> {
        let tensor = self.find(site, field);
        tensor.expect("loading refuses a class whose tensors are not there")
    }

    /// Makes constants of the tensors that no node reads, too.
    pub(super) fn keep_all(&mut self) {
        for tensor in self.tensors {
            self.graph.reals(tensor);
        }
    }

    /// A tensor of the model in floating point.
    pub(super) fn tensor(&mut self, site: Site, field: Field) -> Value {
        let tensor = self.get(site, field);
        self.graph.reals(tensor)
    }

    /// A matrix of the model as whole numbers [N, K] and their scales `[N]`, where it is held so.
    fn integers(&mut self, site: Site) -> Option<(Value, Value)> {
        let tensor = self.get(site, Field::Weight);
        let [rows, cols] = tensor.shape[..] else {
            return None;
        };
        tensor.integers(0, &mut vec![0; cols])?;
        let whole = self.graph.constant(Constant {
            name: tensor.name.clone(),
            kind: DataType::Int8,
            shape: tensor.shape.clone(),
            elements: Elements::Integers(tensor),
        });
        let scales = self.graph.constant(Constant {
            name: format!("{}{}", tensor.name, albert::names::SCALE),
            kind: DataType::Float,
            shape: vec![rows],
            elements: Elements::Scales(tensor),
        });
        Some((whole, scales))
    }

    /// x·Wᵀ + b [T, N] of x [T, K].
    pub(super) fn linear(&mut self, label: &str, x: &Value, site: Site) -> Value {
        let bias = self.tensor(site, Field::Bias);
        self.product(label, x, site, Some(&bias))
    }

    /// x·Wᵀ, or x·Wᵀ + b [T, N] of x [T, K].
    pub(super) fn product(
        &mut self,
        label: &str,
        x: &Value,
        site: Site,
        bias: Option<&Value>,
    ) -> Value {
        match (self.integers(site), self.int8) {
            (None, _) => {
                let weight = self.tensor(site, Field::Weight);
                self.gemm(label, x, &weight, bias)
            }
            (Some((whole, scales)), Int8::Weights) => {
                let [weight] = self.graph.once(format!("{whole:?} in f32"), |graph| {
                    let axis = [Attribute::Int("axis", 0)];
                    [graph.op("DequantizeLinear", "weight", [&whole, &scales], &axis)]
                });
                self.gemm(label, x, &weight, bias)
            }
            (Some((whole, scales)), Int8::Dynamic) => {
                self.whole_product(label, x, &whole, &scales, bias)
            }
        }
    }

    fn gemm(&mut self, label: &str, x: &Value, weight: &Value, bias: Option<&Value>) -> Value {
        let transposed = [Attribute::Int("transB", 1)];
        match bias {
            Some(bias) => self.graph.op("Gemm", label, [x, weight, bias], &transposed),
            None => self.graph.op("Gemm", label, [x, weight], &transposed),
        }
    }

    /// The product of whole numbers: x becomes u8 with one scale and zero point, found as it comes.
    fn whole_product(
        &mut self,
        label: &str,
        x: &Value,
        whole: &Value,
        scales: &Value,
        bias: Option<&Value>,
    ) -> Value {
        let graph = &mut self.graph;
        let [x, scale, zero] = graph.once(format!("{x:?} as integers"), |graph| {
            let labels = ["integers", "integers_scale", "integers_zero"];
            graph.op_many("DynamicQuantizeLinear", labels, [x], &[])
        });
        let [weight] = graph.once(format!("{whole:?} transposed"), |graph| {
            let swap = [Attribute::Ints("perm", &[1, 0])];
            [graph.op("Transpose", "weight", [whole], &swap)]
        });
        let none = graph.int8_zero();
        let sums = graph.op("MatMulInteger", label, [&x, &weight, &zero, &none], &[]);
        let to = [Attribute::Int("to", DataType::Float as i64)];
        let sums = graph.op("Cast", label, [&sums], &to);
        let scale = graph.op("Mul", label, [&scale, scales], &[]);
        let product = graph.op("Mul", label, [&sums, &scale], &[]);
        match bias {
            Some(bias) => graph.op("Add", label, [&product, bias], &[]),
            None => product,
        }
    }

    /// Rows of a table by number.
    pub(super) fn rows(&mut self, label: &str, site: Site, numbers: &Value) -> Value {
        let Some((whole, scales)) = self.integers(site) else {
            let table = self.tensor(site, Field::Weight);
            return self.graph.op("Gather", label, [&table, numbers], &[]);
        };
        let graph = &mut self.graph;
        let rows = graph.op("Gather", label, [&whole, numbers], &[]);
        let to = [Attribute::Int("to", DataType::Float as i64)];
        let rows = graph.op("Cast", label, [&rows], &to);
        let scales = graph.op("Gather", label, [&scales, numbers], &[]);
        let last = graph.int64s(&[-1]);
        let scales = graph.op("Unsqueeze", label, [&scales, &last], &[]);
        graph.op("Mul", label, [&rows, &scales], &[])
    }

    /// LayerNorm over the last axis.
    pub(super) fn norm(&mut self, label: &str, x: &Value, site: Site) -> Value {
        let gamma = self.tensor(site, Field::Weight);
        let beta = self.tensor(site, Field::Bias);
        let attributes = [
            Attribute::Int("axis", -1),
            Attribute::Float("epsilon", self.config.layer_norm_eps),
        ];
        let inputs = [x, &gamma, &beta];
        self.graph
            .op("LayerNormalization", label, inputs, &attributes)
    }

    /// The activation of the configuration, in the forms that runtimes know as one operation.
    pub(super) fn activate(&mut self, x: &Value) -> Value {
        let graph = &mut self.graph;
        match self.config.hidden_act.canonical() {
            Activation::Gelu => gelu(graph, x),
            Activation::Gelu10 => {
                let y = gelu(graph, x);
                clip(graph, &y, -10.0, 10.0)
            }
            Activation::QuickGelu => {
                let scaled = multiply(graph, x, 1.702);
                let gate = graph.op("Sigmoid", "activation", [&scaled], &[]);
                graph.op("Mul", "activation", [x, &gate], &[])
            }
            Activation::Relu => graph.op("Relu", "activation", [x], &[]),
            Activation::Relu2 => {
                let y = graph.op("Relu", "activation", [x], &[]);
                graph.op("Mul", "activation", [&y, &y], &[])
            }
            Activation::Relu6 => clip(graph, x, 0.0, 6.0),
            Activation::LeakyRelu => graph.op(
                "LeakyRelu",
                "activation",
                [x],
                &[Attribute::Float("alpha", 0.01)],
            ),
            Activation::Silu => {
                let gate = graph.op("Sigmoid", "activation", [x], &[]);
                graph.op("Mul", "activation", [x, &gate], &[])
            }
            Activation::Tanh => graph.op("Tanh", "activation", [x], &[]),
            Activation::Sigmoid => graph.op("Sigmoid", "activation", [x], &[]),
            Activation::Linear => x.clone(),
            Activation::Mish => {
                let y = graph.op("Softplus", "activation", [x], &[]);
                let gate = graph.op("Tanh", "activation", [&y], &[]);
                graph.op("Mul", "activation", [x, &gate], &[])
            }
            Activation::Hardswish => graph.op("HardSwish", "activation", [x], &[]),
            Activation::Laplace => {
                let (mean, deviation) = LAPLACE;
                let y = add(graph, x, -mean);
                let y = divide(graph, &y, deviation * std::f64::consts::SQRT_2);
                let y = graph.op("Erf", "activation", [&y], &[]);
                let y = add(graph, &y, 1.0);
                multiply(graph, &y, 0.5)
            }
            Activation::SqrtSoftplus => {
                let y = graph.op("Softplus", "activation", [x], &[]);
                graph.op("Sqrt", "activation", [&y], &[])
            }
            // The rest are other names of this one: `canonical`, and `Activation::kernel` for `gelu_fast`.
            _ => gelu_tanh(graph, x),
        }
    }
}

/// x · ½(1 + erf(x/√2))
fn gelu(graph: &mut Graph<'_>, x: &Value) -> Value {
    let y = divide(graph, x, std::f64::consts::SQRT_2);
    let y = graph.op("Erf", "activation", [&y], &[]);
    let y = add(graph, &y, 1.0);
    let y = graph.op("Mul", "activation", [x, &y], &[]);
    multiply(graph, &y, 0.5)
}

/// ½x · (1 + tanh(√(2/π)(x + 0.044715x³)))
fn gelu_tanh(graph: &mut Graph<'_>, x: &Value) -> Value {
    let three = graph.float(3.0);
    let y = graph.op("Pow", "activation", [x, &three], &[]);
    let y = multiply(graph, &y, 0.044715);
    let y = graph.op("Add", "activation", [x, &y], &[]);
    let y = multiply(graph, &y, (2.0 / std::f64::consts::PI).sqrt());
    let y = graph.op("Tanh", "activation", [&y], &[]);
    let y = add(graph, &y, 1.0);
    let half = multiply(graph, x, 0.5);
    graph.op("Mul", "activation", [&half, &y], &[])
}

fn clip(graph: &mut Graph<'_>, x: &Value, low: f64, high: f64) -> Value {
    let (low, high) = (graph.float(low), graph.float(high));
    graph.op("Clip", "activation", [x, &low, &high], &[])
}

fn add(graph: &mut Graph<'_>, x: &Value, y: f64) -> Value {
    let y = graph.float(y);
    graph.op("Add", "activation", [x, &y], &[])
}

fn divide(graph: &mut Graph<'_>, x: &Value, y: f64) -> Value {
    let y = graph.float(y);
    graph.op("Div", "activation", [x, &y], &[])
}

fn multiply(graph: &mut Graph<'_>, x: &Value, y: f64) -> Value {
    let y = graph.float(y);
    graph.op("Mul", "activation", [x, &y], &[])
}
