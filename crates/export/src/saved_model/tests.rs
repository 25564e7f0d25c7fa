//! Every folder is read back and checked: names, order, types, objects, and that the variables are the tensors of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use albert::AlbertConfig;
use albert_formats::Checkpoint;

use super::proto::objects::Kind;
use super::proto::{Attr, DataType, FunctionDef, MetaGraphDef, NodeDef, SavedModel};
use super::*;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder
}

/// An exported model: the graph, the size of its file, and the variables as f32 by name.
struct Exported {
    graph: MetaGraphDef,
    bytes: usize,
    variables: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

fn exported(case: &str) -> Exported {
    let folder = fixture(case);
    let (config, _) =
        AlbertConfig::from_file(&folder.join("config.json")).expect("a configuration");
    let class = ModelClass::from_name(&config.architectures[0]).expect("a class");
    let scratch = tempfile::tempdir().expect("a folder");
    let output = scratch.path().join("saved");
    let written = export(&folder, class, &output, MlmBias::default()).expect("exported");
    let bytes = std::fs::read(output.join("saved_model.pb")).expect("written");
    let mut model = SavedModel::decode(&bytes[..]).expect("a message");
    assert_eq!(model.saved_model_schema_version, 1);
    assert_eq!(model.meta_graphs.len(), 1);

    let data = output.join("variables/variables.data-00000-of-00001");
    let index = output.join("variables/variables.index");
    let size = |path: &Path| std::fs::metadata(path).expect("written").len();
    assert_eq!(
        written.bytes,
        bytes.len() as u64 + size(&data) + size(&index)
    );
    let checkpoint = Checkpoint::open(&index).expect("a bundle");
    let tensors = checkpoint
        .tensors()
        .filter(|tensor| !tensor.name.starts_with('_'));
    let variables = tensors.map(|tensor| {
        let mut values = vec![0.0; tensor.elements()];
        checkpoint
            .read_f32(tensor, 0, &mut values)
            .expect("numbers");
        let name = tensor.name.strip_suffix("/.ATTRIBUTES/VARIABLE_VALUE");
        let name = name
            .expect("as TensorFlow calls a variable's value")
            .to_owned();
        (name, (tensor.shape.clone(), values))
    });
    let variables: BTreeMap<_, _> = variables.collect();
    assert_eq!(variables.len(), written.variables);
    Exported {
        graph: model.meta_graphs.remove(0),
        bytes: bytes.len(),
        variables,
    }
}

impl Exported {
    fn functions(&self) -> &[FunctionDef] {
        let graph = self.graph.graph_def.as_ref().expect("a graph");
        &graph.library.as_ref().expect("functions").function
    }

    fn nodes(&self) -> &[NodeDef] {
        &self.graph.graph_def.as_ref().expect("a graph").node
    }

    /// Names without that of the class.
    fn names(&self) -> Vec<&str> {
        let names = self.variables.keys();
        names
            .map(|name| name.split_once('/').expect("a class").1)
            .collect()
    }
}

/// Fails unless every name stands for one node and every input is one of them.
#[track_caller]
fn check_nodes(nodes: &[NodeDef], arguments: &[&str]) {
    let mut known: BTreeSet<&str> = arguments.iter().copied().collect();
    for node in nodes {
        assert!(known.insert(&node.name), "{} is there twice", node.name);
    }
    for node in nodes {
        for input in &node.input {
            let name = input
                .trim_start_matches('^')
                .split(':')
                .next()
                .unwrap_or("");
            assert!(known.contains(name), "{}: {input}", node.name);
        }
    }
}

#[track_caller]
fn check(model: &Exported) {
    check_nodes(model.nodes(), &[]);
    for function in model.functions() {
        let signature = function.signature.as_ref().expect("a signature");
        let arguments: Vec<&str> = signature
            .input_arg
            .iter()
            .map(|arg| arg.name.as_str())
            .collect();
        assert_eq!(
            arguments[..3],
            ["attention_mask", "input_ids", "token_type_ids"]
        );
        assert_eq!(arguments.len(), 3 + model.variables.len());
        check_nodes(&function.node_def, &arguments);
        let results: BTreeSet<&str> = signature
            .output_arg
            .iter()
            .map(|arg| arg.name.as_str())
            .collect();
        assert_eq!(results, function.ret.keys().map(String::as_str).collect());
        for value in function.ret.values() {
            let node = value.split(':').next();
            assert!(
                function
                    .node_def
                    .iter()
                    .any(|one| Some(one.name.as_str()) == node),
                "{value}"
            );
        }
        for node in &function.node_def {
            if let Some(Attr::Tensor(tensor)) = node
                .attr
                .get("value")
                .and_then(|value| value.value.as_ref())
            {
                assert!(tensor.tensor_content.len() < 256, "{}", node.name);
            }
        }
    }
    let objects = model.graph.object_graph_def.as_ref().expect("objects");
    for object in &objects.nodes {
        for child in &object.children {
            assert!(
                (child.node_id as usize) < objects.nodes.len(),
                "{}",
                child.local_name
            );
        }
    }
    let handles = model.nodes().iter().filter(|node| node.op == "VarHandleOp");
    let handles: Vec<&str> = handles.map(|node| node.name.as_str()).collect();
    for concrete in objects.concrete_functions.values() {
        let bound = concrete.bound_inputs.iter().map(|number| {
            match objects.nodes[*number as usize].kind.as_ref() {
                Some(Kind::Variable(variable)) if variable.trainable => variable.name.as_str(),
                other => panic!("{other:?} is no variable"),
            }
        });
        assert_eq!(bound.collect::<Vec<_>>(), handles);
    }
    let stored: BTreeSet<&str> = model.variables.keys().map(String::as_str).collect();
    assert_eq!(handles.into_iter().collect::<BTreeSet<_>>(), stored);
}

#[test]
fn every_class_is_sound_and_has_transformers_names() {
    let both = ["end_logits", "start_logits"];
    let joint = [
        "cls_logits",
        "end_top_index",
        "end_top_log_probs",
        "start_top_index",
        "start_top_log_probs",
    ];
    let cases: &[(&str, &[&str])] = &[
        ("model/model", &["last_hidden_state", "pooler_output"]),
        ("model/pretraining", &["prediction_logits", "sop_logits"]),
        ("model/masked_lm", &["logits"]),
        ("model/sequence_classification", &["logits"]),
        ("model/token_classification", &["logits"]),
        ("model/question_answering", &both),
        ("model/multiple_choice", &["logits"]),
        (
            "model/groups_l7_g3_n1",
            &["last_hidden_state", "pooler_output"],
        ),
        (
            "model/relative_key_query",
            &["last_hidden_state", "pooler_output"],
        ),
        ("model/untied_decoder", &["logits"]),
        ("gradients/joint_question_answering", &joint),
    ];
    for (case, outputs) in cases {
        let model = exported(case);
        check(&model);
        for (name, kind) in [
            ("serving_default", DataType::Int32),
            ("int64_serving", DataType::Int64),
        ] {
            let signature = &model.graph.signature_def[name];
            let inputs: Vec<&String> = signature.inputs.keys().collect();
            assert_eq!(
                inputs,
                ["attention_mask", "input_ids", "token_type_ids"],
                "{case}"
            );
            for input in signature.inputs.values() {
                assert_eq!(input.dtype(), kind);
                let shape = input.tensor_shape.as_ref().expect("a shape");
                assert!(shape.dim.iter().all(|dim| dim.size == -1), "{case}");
            }
            let given: Vec<&String> = signature.outputs.keys().collect();
            assert_eq!(given, *outputs, "{case}");
        }
    }
}

#[test]
fn variables_are_those_of_transformers_and_kernels_are_transposed() {
    let model = exported("model/masked_lm");
    let block = "albert/encoder/albert_layer_groups_._0/albert_layers_._0";
    let mut expected = vec![
        "albert/embeddings/LayerNorm/beta".to_owned(),
        "albert/embeddings/LayerNorm/gamma".to_owned(),
        "albert/embeddings/position_embeddings/embeddings".to_owned(),
        "albert/embeddings/token_type_embeddings/embeddings".to_owned(),
        "albert/embeddings/word_embeddings/weight".to_owned(),
        "albert/encoder/embedding_hidden_mapping_in/bias".to_owned(),
        "albert/encoder/embedding_hidden_mapping_in/kernel".to_owned(),
        "predictions/LayerNorm/beta".to_owned(),
        "predictions/LayerNorm/gamma".to_owned(),
        "predictions/decoder/bias".to_owned(),
        "predictions/dense/bias".to_owned(),
        "predictions/dense/kernel".to_owned(),
    ];
    for part in ["dense", "key", "query", "value"] {
        expected.extend(["bias", "kernel"].map(|leaf| format!("{block}/attention/{part}/{leaf}")));
    }
    for part in ["ffn", "ffn_output"] {
        expected.extend(["bias", "kernel"].map(|leaf| format!("{block}/{part}/{leaf}")));
    }
    for part in ["attention/LayerNorm", "full_layer_layer_norm"] {
        expected.extend(["beta", "gamma"].map(|leaf| format!("{block}/{part}/{leaf}")));
    }
    expected.sort();
    assert_eq!(model.names(), expected);
    assert!(
        model
            .variables
            .keys()
            .all(|name| name.starts_with("tf_albert_for_masked_lm/"))
    );

    let checkpoint = Checkpoint::open(&fixture("model/masked_lm")).expect("a checkpoint");
    let stored = |name: &str| {
        let tensor = checkpoint.get(name).expect("in the checkpoint");
        let mut values = vec![0.0; tensor.elements()];
        checkpoint
            .read_f32(tensor, 0, &mut values)
            .expect("numbers");
        (tensor.shape.clone(), values)
    };
    let variable = |name: &str| &model.variables[&format!("tf_albert_for_masked_lm/{name}")];
    let words = stored("albert.embeddings.word_embeddings.weight");
    assert_eq!(*variable("albert/embeddings/word_embeddings/weight"), words);
    let (shape, values) = stored("albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight");
    let (transposed, columns) = variable(&format!("{block}/ffn/kernel"));
    assert_eq!(*transposed, [shape[1], shape[0]]);
    for (i, row) in columns.chunks_exact(shape[0]).enumerate() {
        let column: Vec<f32> = values.iter().skip(i).step_by(shape[1]).copied().collect();
        assert_eq!(row, column);
    }
}

#[test]
fn the_graph_takes_little_beside_the_weights() {
    let model = exported("model/masked_lm");
    let nodes: usize = model
        .functions()
        .iter()
        .map(|function| function.node_def.len())
        .sum();
    let nodes = nodes + model.nodes().len();
    // 24 layers of the large model are some 2000 nodes, 1 % of its 70 MB at this size each.
    assert!(
        model.bytes < 350 * nodes,
        "{} bytes for {nodes} nodes",
        model.bytes
    );
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let scratch = tempfile::tempdir().expect("a folder");
    let output = scratch.path().join("saved");
    let refused = |case: &str, class: ModelClass, output: &Path| {
        let error = export(&fixture(case), class, output, MlmBias::default());
        error.expect_err("refused").to_string()
    };
    let missing = refused("model/model", ModelClass::MaskedLM, &output);
    assert!(missing.contains("predictions.dense.weight"), "{missing}");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("there").count(), 0);

    std::fs::create_dir(&output).expect("made");
    std::fs::write(output.join("old"), "old").expect("written");
    let full = refused("model/model", ModelClass::Model, &output);
    assert!(full.contains("saved"), "{full}");
    assert_eq!(std::fs::read_dir(&output).expect("there").count(), 1);
    assert_eq!(std::fs::read_dir(scratch.path()).expect("there").count(), 1);
}
