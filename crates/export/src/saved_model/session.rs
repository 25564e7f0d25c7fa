//! A model's graph for a session of TensorFlow's C library: flat, so that a session computes only what is fetched, and with
//! variables that are fed, so that no file is needed. The conventions are those of transformers' TensorFlow classes.

use std::collections::BTreeMap;
use std::path::Path;

use albert::config::ModelClass;
use albert::names::{Field, Site};
use albert::{AlbertConfig, LoadOptions, Loaded, Parameter};
use prost::Message;

use super::function::of_type;
use super::lower::{Lowered, argument, lower};
use super::meta::{Port, VERSIONS, node, port};
use super::names::Variable;
use super::proto::{Attr, DataType, GraphDef, NodeDef};
use crate::Error;
use crate::onnx::graph::Graph;
use crate::onnx::{Form, Source};

/// A graph, and the names of its operations; the tensor of each is its first result.
///
/// Operations that are fed: `input_ids`, `token_type_ids`, `position_ids` (int64) and `attention_mask` (f32), [B, S], or
/// [B, K, S] for multiple choice.
pub struct SessionGraph<'a> {
    /// A message `GraphDef`.
    pub graph_def: Vec<u8>,
    /// What must be set before the first run.
    pub variables: Vec<SessionVariable<'a>>,
    /// The tensor of each output under the name that transformers gives it: those of the class, `hidden_states.0` …,
    /// `attentions.0` …, and `inputs_embeds` [B, S, E] (multiple choice: [B·K, S, E]), which may be fed instead of fetched.
    pub outputs: BTreeMap<String, String>,
}

/// A variable of the graph, in f32.
pub struct SessionVariable<'a> {
    /// Where it stands in the model.
    pub site: Site,
    /// Weight or bias.
    pub field: Field,
    /// Its shape in TensorFlow.
    pub shape: Vec<usize>,
    /// Whether it is the transpose [K, N] of the model's matrix [N, K].
    pub transposed: bool,
    /// The operation that is fed with its value …
    pub value: String,
    /// … the one that stores it …
    pub assign: String,
    /// … and the one that gives it.
    pub read: String,
    tensor: &'a Parameter<'a>,
}

impl SessionVariable<'_> {
    /// Its elements as TensorFlow has them.
    pub fn elements(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.shape.iter().product()];
        let [inputs, outputs] = self.shape[..] else {
            self.tensor.read(0, &mut values);
            return values;
        };
        if !self.transposed {
            self.tensor.read(0, &mut values);
            return values;
        }
        let mut row = vec![0.0; inputs];
        for output in 0..outputs {
            self.tensor.read(output * inputs, &mut row);
            for (input, x) in row.iter().enumerate() {
                values[input * outputs + output] = *x;
            }
        }
        values
    }
}

/// Loads the model of `folder` as the class `class` and hands its graph to `run`, whose result it gives with what loading
/// found.
///
/// # Errors
/// A folder that cannot be loaded as this class, or whose classifier was trained as another one; those of `run`.
pub fn with_graph<T, E: From<Error>>(
    folder: &Path,
    class: ModelClass,
    options: LoadOptions,
    run: impl FnOnce(&AlbertConfig, SessionGraph<'_>) -> Result<T, E>,
) -> Result<(T, Loaded), E> {
    let source = Source {
        folder,
        class,
        int8: None,
        loading: options,
        form: Form::TensorFlow,
    };
    source.build(|config, graph| run(config, session_graph(&graph, class)))
}

fn session_graph<'a>(graph: &Graph<'a>, class: ModelClass) -> SessionGraph<'a> {
    let Lowered {
        body,
        variables,
        reads,
        outputs,
    } = lower(graph, class);
    let mut nodes: Vec<NodeDef> = graph
        .inputs
        .iter()
        .map(|input| given(port(input)))
        .collect();
    let mut named = Vec::new();
    for (number, (variable, read)) in variables.iter().zip(reads).enumerate() {
        let names = [format!("value_{number}"), format!("assign_{number}")];
        nodes.extend(stored(argument(number), variable, &names));
        let [value, assign] = names;
        named.push(SessionVariable {
            site: variable.tensor.site,
            field: variable.tensor.field,
            shape: variable.shape.clone(),
            transposed: variable.transposed,
            value,
            assign,
            read: operation(&read.name),
            tensor: variable.tensor,
        });
    }
    nodes.extend(body.nodes.into_iter().map(|mut one| {
        for input in &mut one.input {
            *input = flat(input);
        }
        one
    }));
    let names = graph.outputs.iter().map(|output| output.name().to_owned());
    let tensors = outputs.iter().map(|output| operation(&output.name));
    SessionGraph {
        outputs: names.zip(tensors).collect(),
        variables: named,
        graph_def: GraphDef {
            node: nodes,
            library: None,
            versions: Some(VERSIONS),
        }
        .encode_to_vec(),
    }
}

fn given(input: Port) -> NodeDef {
    let attr = [
        of_type("dtype", input.kind),
        ("shape", Attr::Shape(input.shape)),
    ];
    node(input.name, "Placeholder", Vec::new(), &attr)
}

/// A variable, what it is fed with, and what stores that.
fn stored(name: String, variable: &Variable<'_>, [value, assign]: &[String; 2]) -> [NodeDef; 3] {
    let float = of_type("dtype", DataType::Float);
    let shaped = [float.clone(), ("shape", Attr::Shape(variable.shape()))];
    let shared = ("shared_name", Attr::S(name.clone().into_bytes()));
    let handle = [shaped[0].clone(), shaped[1].clone(), shared];
    let operands = vec![name.clone(), value.clone()];
    [
        node(name, "VarHandleOp", Vec::new(), &handle),
        node(value.clone(), "Placeholder", Vec::new(), &shaped),
        node(assign.clone(), "AssignVariableOp", operands, &[float]),
    ]
}

/// `node:output:number`, as functions have it, as `node:number`; arguments of the function are nodes here.
fn flat(name: &str) -> String {
    match name.split(':').collect::<Vec<_>>()[..] {
        // The second result of the only operator that has two: `TopKV2`.
        [node, "indices", _] => format!("{node}:1"),
        [node, _, number] => format!("{node}:{number}"),
        _ => name.to_owned(),
    }
}

/// The operation whose first result this is.
fn operation(name: &str) -> String {
    name.split(':').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures")
            .join(name);
        assert!(folder.is_dir(), "{} is missing", folder.display());
        folder
    }

    /// Runs the checks of `check` on a graph and the message in it.
    fn with(case: &str, class: ModelClass, check: impl FnOnce(&SessionGraph<'_>, &GraphDef)) {
        let options = LoadOptions::default();
        let built = with_graph(&fixture(case), class, options, |_, graph| {
            let message = GraphDef::decode(&graph.graph_def[..]).expect("a message");
            check(&graph, &message);
            Ok::<_, Error>(())
        });
        built.expect("a graph");
    }

    #[test]
    fn every_class_is_flat_and_sound() {
        let cases = [
            ("model/groups_l2_g2_n2", ModelClass::Model, 2, 4),
            ("model/pretraining", ModelClass::PreTraining, 2, 2),
            ("model/masked_lm", ModelClass::MaskedLM, 2, 2),
            (
                "model/sequence_classification",
                ModelClass::SequenceClassification,
                2,
                2,
            ),
            (
                "model/token_classification",
                ModelClass::TokenClassification,
                2,
                2,
            ),
            (
                "model/question_answering",
                ModelClass::QuestionAnswering,
                2,
                2,
            ),
            ("model/multiple_choice", ModelClass::MultipleChoice, 2, 2),
            (
                "gradients/joint_question_answering",
                ModelClass::JointQuestionAnswering,
                2,
                2,
            ),
        ];
        for (case, class, layers, blocks) in cases {
            with(case, class, |graph, message| {
                let names: Vec<&str> = message.node.iter().map(|node| node.name.as_str()).collect();
                let known: BTreeSet<&str> = names.iter().copied().collect();
                assert_eq!(names.len(), known.len(), "{case}: a name is there twice");
                for node in &message.node {
                    assert!(
                        !node.op.contains("PartitionedCall"),
                        "{case}: {}",
                        node.name
                    );
                    for input in &node.input {
                        let (name, number) = input.split_once(':').unwrap_or((input, "0"));
                        let giver = message.node.iter().find(|node| node.name == name);
                        let giver = giver.unwrap_or_else(|| panic!("{case}: no {input}"));
                        let second = number == "1" && giver.op == "TopKV2";
                        assert!(number == "0" || second, "{case}: {}: {input}", node.name);
                    }
                }
                let variables = graph.variables.iter();
                let fed = variables.flat_map(|one| [&one.value, &one.assign, &one.read]);
                for name in fed.chain(graph.outputs.values()) {
                    assert!(known.contains(name.as_str()), "{case}: {name}");
                }
                let inputs = [
                    "input_ids",
                    "attention_mask",
                    "token_type_ids",
                    "position_ids",
                ];
                assert!(inputs.iter().all(|name| known.contains(name)), "{case}");
                let count = |what: &str| {
                    let outputs = graph.outputs.keys();
                    outputs.filter(|name| name.starts_with(what)).count()
                };
                assert_eq!(count("hidden_states."), layers + 1, "{case}");
                assert_eq!(count("attentions."), blocks, "{case}");
                assert_eq!(count("inputs_embeds"), 1, "{case}");
            });
        }
    }

    /// Both biases, of which the graph reads one; kernels [K, N].
    #[test]
    fn every_tensor_is_a_variable() {
        let case = "model/two_biases";
        let checkpoint = albert_formats::Checkpoint::open(&fixture(case)).expect("a checkpoint");
        with(case, ModelClass::MaskedLM, |graph, _| {
            let biases = [Site::MlmBias, Site::Decoder];
            let biases = biases.map(|site| {
                let mut all = graph.variables.iter();
                let one = all.find(|one| (one.site, one.field) == (site, Field::Bias));
                one.expect("both biases").elements()
            });
            assert_ne!(biases[0], biases[1]);
            let mut kernels = 0;
            for variable in &graph.variables {
                let name = &variable.tensor.name;
                let tensor = checkpoint.get(name).expect("in the checkpoint");
                let mut stored = vec![0.0; tensor.elements()];
                checkpoint
                    .read_f32(tensor, 0, &mut stored)
                    .expect("numbers");
                let elements = variable.elements();
                if variable.transposed {
                    let [inputs, outputs] = variable.shape[..] else {
                        panic!("{name}: a matrix has two axes");
                    };
                    assert_eq!(tensor.shape, [outputs, inputs], "{name}");
                    for (i, row) in elements.chunks_exact(outputs).enumerate() {
                        let column = stored.iter().skip(i).step_by(inputs);
                        assert!(row.iter().eq(column), "{name}");
                    }
                    kernels += 1;
                } else {
                    assert_eq!(elements, stored, "{name}");
                }
            }
            assert_eq!(kernels, 8);
        });
    }
}
