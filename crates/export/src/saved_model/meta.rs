//! saved_model.pb: the functions of a model, a graph that holds its variables and calls them, and what restores the variables.

use std::collections::BTreeMap;

use albert::config::ModelClass;

use super::function::{Body, Op, Tensor, attributes, of_type};
use super::lower::{self, argument, cast, lower};
use super::names::Variable;
use super::proto::{
    ArgDef, Attr, DataType, DtypeAndShape, FunctionDef, FunctionDefLibrary, GraphDef, ListValue,
    MetaGraphDef, MetaInfoDef, NameAttrList, NodeDef, OpDef, SavedModel, SaverDef, SignatureDef,
    TensorInfo, TensorProto, TensorShapeProto, VersionDef,
};
use super::{TENSORFLOW, objects};
use crate::onnx::graph::Graph;
use crate::onnx::proto::{Length, ValueInfoProto};

/// The version of the operators, that of [`TENSORFLOW`], and the least that reads them.
pub(super) const VERSIONS: VersionDef = VersionDef {
    producer: 2474,
    min_consumer: 12,
};

/// A signature: its name, the function behind it, and the type of its inputs.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) function: &'static str,
    pub(super) kind: DataType,
}

/// As transformers has them. The function of the second is the model, that of the first calls it.
pub(super) const ENTRIES: [Entry; 2] = [
    Entry {
        name: "serving_default",
        function: "__inference_albert_int32",
        kind: DataType::Int32,
    },
    Entry {
        name: "int64_serving",
        function: "__inference_albert_int64",
        kind: DataType::Int64,
    },
];

/// An input or output of all signatures.
pub(super) struct Port {
    pub(super) name: String,
    /// Of an input that of the model's function.
    pub(super) kind: DataType,
    pub(super) shape: TensorShapeProto,
}

/// A model's function and what it needs.
pub(super) struct Model<'a> {
    /// In the order of their names, as Python has those of a dictionary, and so the arguments of functions.
    pub(super) inputs: Vec<Port>,
    /// In the order of their names.
    pub(super) outputs: Vec<Port>,
    pub(super) variables: Vec<Variable<'a>>,
    functions: Vec<FunctionDef>,
}

impl<'a> Model<'a> {
    pub(super) fn new(graph: &Graph<'a>, class: ModelClass) -> Self {
        let lowered = lower(graph, class);
        let mut results: Vec<(Port, Tensor)> = graph
            .outputs
            .iter()
            .map(port)
            .zip(lowered.outputs)
            .collect();
        results.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (outputs, results) = results.into_iter().unzip();
        let mut inputs: Vec<Port> = graph.inputs.iter().map(port).collect();
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        let mut model = Self {
            inputs,
            outputs,
            variables: lowered.variables,
            functions: Vec::new(),
        };
        let [calls, is] = &ENTRIES;
        model.functions = vec![
            model.function(is, lowered.body, results),
            model.calling(calls, is),
        ];
        model
    }

    /// Arguments that are variables.
    fn handles(&self) -> Vec<Tensor> {
        let handle = |number| Tensor {
            name: argument(number),
            kind: DataType::Resource,
        };
        (0..self.variables.len()).map(handle).collect()
    }

    fn function(&self, entry: &Entry, body: Body, results: Vec<Tensor>) -> FunctionDef {
        let arg = |name: &str, kind: DataType| ArgDef {
            name: name.to_owned(),
            r#type: kind.into(),
            handle_data: Vec::new(),
        };
        let inputs = self.inputs.iter().map(|input| arg(&input.name, entry.kind));
        let variables = self.variables.iter().enumerate();
        let variables = variables.map(|(number, variable)| ArgDef {
            handle_data: vec![DtypeAndShape {
                dtype: DataType::Float.into(),
                shape: Some(variable.shape()),
            }],
            ..arg(&argument(number), DataType::Resource)
        });
        let outputs = self
            .outputs
            .iter()
            .map(|output| arg(&output.name, output.kind));
        let shapes = self.inputs.iter().map(|input| input.shape.clone());
        let scalars = self.variables.iter().map(|_| TensorShapeProto::of([]));
        let shapes = Attr::List(ListValue {
            shape: shapes.chain(scalars).collect(),
            ..ListValue::default()
        });
        let names = self.outputs.iter().map(|output| output.name.clone());
        FunctionDef {
            signature: Some(OpDef {
                name: entry.function.to_owned(),
                input_arg: inputs.chain(variables).collect(),
                output_arg: outputs.collect(),
                is_stateful: true,
            }),
            node_def: body.nodes,
            ret: names
                .zip(results.into_iter().map(|tensor| tensor.name))
                .collect(),
            attr: attributes(&[("_input_shapes", shapes)]),
        }
    }

    /// A function that calls another with its inputs as those of that.
    fn calling(&self, entry: &Entry, other: &Entry) -> FunctionDef {
        let mut body = Body::default();
        let handles = self.handles();
        let given = self.inputs.iter().map(|input| input.name.as_str());
        for name in given.chain(handles.iter().map(|handle| handle.name.as_str())) {
            body.reserve(name);
        }
        let mut inputs: Vec<Tensor> = Vec::new();
        for input in &self.inputs {
            let given = Tensor {
                name: input.name.clone(),
                kind: entry.kind,
            };
            inputs.push(cast(&mut body, "cast", &given, other.kind));
        }
        inputs.extend(handles);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let name = body.node("call", &self.call(other), &inputs);
        let results = self
            .outputs
            .iter()
            .enumerate()
            .map(|(number, output)| Tensor {
                name: format!("{name}:output:{number}"),
                kind: output.kind,
            });
        let results = results.collect();
        self.function(entry, body, results)
    }

    /// A call of a function.
    fn call(&self, entry: &Entry) -> Op<'static> {
        let types = |types: Vec<i32>| {
            Attr::List(ListValue {
                r#type: types,
                ..ListValue::default()
            })
        };
        let inputs = self.inputs.iter().map(|_| entry.kind.into());
        let variables = self.variables.iter().map(|_| DataType::Resource.into());
        let outputs = self.outputs.iter().map(|output| output.kind.into());
        let name = entry.function.to_owned();
        Op {
            op: "StatefulPartitionedCall",
            output: "output",
            attr: vec![
                ("f", Attr::Func(NameAttrList { name })),
                ("Tin", types(inputs.chain(variables).collect())),
                ("Tout", types(outputs.collect())),
            ],
        }
    }

    /// Inputs and a call.
    fn entry(&self, entry: &Entry, nodes: &mut Vec<NodeDef>) -> SignatureDef {
        let placeholder = |input: &Port| format!("{}_{}", entry.name, input.name);
        for input in &self.inputs {
            let attr = [
                of_type("dtype", entry.kind),
                ("shape", Attr::Shape(input.shape.clone())),
            ];
            nodes.push(node(placeholder(input), "Placeholder", Vec::new(), &attr));
        }
        let inputs = self.inputs.iter().map(placeholder);
        let variables = self.variables.iter().map(|variable| variable.name.clone());
        let call = self.call(entry);
        let inputs = inputs.chain(variables).collect();
        nodes.push(node(entry.name.to_owned(), call.op, inputs, &call.attr));

        let info = |name: String, kind: DataType, port: &Port| {
            let info = TensorInfo {
                name,
                dtype: kind.into(),
                tensor_shape: Some(port.shape.clone()),
            };
            (port.name.clone(), info)
        };
        let inputs = self.inputs.iter();
        let inputs =
            inputs.map(|input| info(format!("{}:0", placeholder(input)), entry.kind, input));
        let outputs = self.outputs.iter().enumerate();
        let outputs = outputs
            .map(|(number, output)| info(format!("{}:{number}", entry.name), output.kind, output));
        SignatureDef {
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            method_name: "tensorflow/serving/predict".to_owned(),
        }
    }
}

impl Variable<'_> {
    pub(super) fn shape(&self) -> TensorShapeProto {
        TensorShapeProto::of(self.shape.iter().map(|&n| n as i64))
    }
}

/// The whole file.
pub(super) fn saved_model(model: &Model<'_>) -> SavedModel {
    let mut nodes = Vec::new();
    for variable in &model.variables {
        let attr = [
            of_type("dtype", DataType::Float),
            ("shape", Attr::Shape(variable.shape())),
            ("shared_name", Attr::S(variable.name.clone().into_bytes())),
        ];
        nodes.push(node(
            variable.name.clone(),
            "VarHandleOp",
            Vec::new(),
            &attr,
        ));
    }
    let signatures = ENTRIES.iter();
    let signatures: BTreeMap<String, SignatureDef> = signatures
        .map(|entry| (entry.name.to_owned(), model.entry(entry, &mut nodes)))
        .collect();
    let saver = saver(&model.variables, &mut nodes);
    SavedModel {
        saved_model_schema_version: 1,
        meta_graphs: vec![MetaGraphDef {
            meta_info_def: Some(MetaInfoDef {
                tags: vec!["serve".to_owned()],
                tensorflow_version: TENSORFLOW.to_owned(),
            }),
            graph_def: Some(GraphDef {
                node: nodes,
                library: Some(FunctionDefLibrary {
                    function: model.functions.clone(),
                }),
                versions: Some(VERSIONS),
            }),
            saver_def: Some(saver),
            signature_def: signatures,
            object_graph_def: Some(objects::saved(model)),
        }],
    }
}

/// Nodes that restore the variables from files, and save them.
fn saver(variables: &[Variable<'_>], nodes: &mut Vec<NodeDef>) -> SaverDef {
    let texts = |texts: Vec<Vec<u8>>| {
        let value = TensorProto {
            dtype: DataType::String.into(),
            tensor_shape: Some(TensorShapeProto::of([texts.len() as i64])),
            tensor_content: Vec::new(),
            string_val: texts,
        };
        [
            ("value", Attr::Tensor(value)),
            of_type("dtype", DataType::String),
        ]
    };
    let names = variables
        .iter()
        .map(|variable| variable.key().into_bytes())
        .collect();
    let whole = vec![Vec::new(); variables.len()];
    let text = |name: &str| name.to_owned();
    let types = Attr::List(ListValue {
        r#type: vec![DataType::Float.into(); variables.len()],
        ..ListValue::default()
    });
    let files = ["save/filename", "save/names", "save/slices"]
        .map(text)
        .to_vec();
    let string = [
        of_type("dtype", DataType::String),
        ("shape", Attr::Shape(TensorShapeProto::of([]))),
    ];
    nodes.push(node(files[0].clone(), "Placeholder", Vec::new(), &string));
    nodes.push(node(files[1].clone(), "Const", Vec::new(), &texts(names)));
    nodes.push(node(files[2].clone(), "Const", Vec::new(), &texts(whole)));
    let restored = [("dtypes", types.clone())];
    nodes.push(node(
        text("save/restore"),
        "RestoreV2",
        files.clone(),
        &restored,
    ));

    let float = [of_type("dtype", DataType::Float)];
    let (mut assigned, mut saved) = (Vec::new(), files);
    for (number, variable) in variables.iter().enumerate() {
        let (assign, read) = (
            format!("save/assign_{number}"),
            format!("save/read_{number}"),
        );
        let value = format!("save/restore:{number}");
        nodes.push(node(
            assign.clone(),
            "AssignVariableOp",
            vec![variable.name.clone(), value],
            &float,
        ));
        nodes.push(node(
            read.clone(),
            "ReadVariableOp",
            vec![variable.name.clone()],
            &float,
        ));
        assigned.push(format!("^{assign}"));
        saved.push(read);
    }
    nodes.push(node(text("save/restore_all"), "NoOp", assigned, &[]));
    nodes.push(node(
        text("save/save"),
        "SaveV2",
        saved,
        &[("dtypes", types)],
    ));
    let after = vec![text("save/filename"), text("^save/save")];
    nodes.push(node(
        text("save/saved"),
        "Identity",
        after,
        &[of_type("T", DataType::String)],
    ));
    SaverDef {
        filename_tensor_name: text("save/filename:0"),
        save_tensor_name: text("save/saved:0"),
        restore_op_name: text("save/restore_all"),
        version: 2,
    }
}

pub(super) fn node(name: String, op: &str, input: Vec<String>, attr: &[(&str, Attr)]) -> NodeDef {
    NodeDef {
        name,
        op: op.to_owned(),
        input,
        attr: attributes(attr),
    }
}

/// An input or output of the model's graph; lengths with names vary.
pub(super) fn port(value: &ValueInfoProto) -> Port {
    let tensor = value
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.expect("the graph gives types");
    let lengths = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let lengths = lengths.map(|dim| match dim.value {
        Some(Length::Value(n)) => n,
        Some(Length::Param(_)) | None => -1,
    });
    Port {
        name: value.name().to_owned(),
        kind: lower::kind(tensor.elem_type),
        shape: TensorShapeProto::of(lengths),
    }
}
