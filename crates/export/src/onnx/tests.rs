//! Every file is read back and checked: names, order, sizes, and that the tensors are those of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use albert::names::SCALE;
use albert::quantize::quantize_into;
use albert_formats::{Checkpoint, Dtype};
use prost::Message;

use super::proto::{DataType, GraphProto, Length, ValueInfoProto};
use super::*;
use crate::Error;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder
}

/// The class that the configuration of a folder names.
fn class(folder: &Path) -> ModelClass {
    let (config, _) =
        AlbertConfig::from_file(&folder.join("config.json")).expect("a configuration");
    ModelClass::from_name(&config.architectures[0]).expect("a class")
}

fn exported(folder: &Path, class: ModelClass, options: Options) -> ModelProto {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("model.onnx");
    let written = export(folder, class, &file, options).expect("exported");
    let bytes = std::fs::read(&file).expect("written");
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(std::fs::read_dir(scratch.path()).expect("there").count(), 1);
    ModelProto::decode(&bytes[..]).expect("a message")
}

fn graph(model: &ModelProto) -> &GraphProto {
    model.graph.as_ref().expect("a graph")
}

fn names(values: &[ValueInfoProto]) -> Vec<&str> {
    values.iter().map(|value| value.name()).collect()
}

/// Fails unless every name stands for one value that is there before it is used, and every constant is used and has the bytes
/// of its shape.
#[track_caller]
fn check(model: &ModelProto) {
    let graph = graph(model);
    assert_eq!(model.ir_version(), 8);
    assert_eq!(model.opset_import.len(), 1);
    assert_eq!(model.opset_import[0].version(), OPSET);
    let mut known = BTreeSet::new();
    for name in names(&graph.input) {
        assert!(known.insert(name), "{name} is given twice");
    }
    let mut contents = BTreeSet::new();
    for constant in &graph.initializer {
        let name = constant.name();
        assert!(known.insert(name), "{name} is there twice");
        let elements: i64 = constant.dims.iter().product();
        let size = match constant.data_type() {
            1 => 4,
            3 => 1,
            7 => 8,
            other => panic!("{name} has type {other}"),
        };
        assert_eq!(constant.raw_data().len() as i64, elements * size, "{name}");
        let large = constant.raw_data().len() > 256;
        assert!(
            !large || contents.insert(constant.raw_data()),
            "{name} repeats another"
        );
    }
    let (mut used, mut nodes) = (BTreeSet::new(), BTreeSet::new());
    for node in &graph.node {
        assert!(nodes.insert(node.name()), "{} is there twice", node.name());
        for input in &node.input {
            assert!(known.contains(input.as_str()), "{}: {input}", node.name());
            used.insert(input.as_str());
        }
        for output in &node.output {
            assert!(known.insert(output), "{output} is computed twice");
        }
    }
    for output in names(&graph.output) {
        assert!(used.insert(output) || known.contains(output), "{output}");
        let computed = graph
            .node
            .iter()
            .any(|node| node.output.iter().any(|name| name == output));
        assert!(computed, "{output} is not computed");
    }
    for constant in &graph.initializer {
        assert!(
            used.contains(constant.name()),
            "{} is not used",
            constant.name()
        );
    }
}

/// Constants of the graph that have the names of tensors, in f32, by name.
fn tensors(model: &ModelProto) -> BTreeMap<&str, (Vec<usize>, Vec<f32>)> {
    let of = |tensor: &'_ proto::TensorProto| {
        let shape = tensor.dims.iter().map(|&n| n as usize).collect();
        let elements = tensor.raw_data().as_chunks::<4>().0.iter();
        (
            shape,
            elements.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        )
    };
    let constants = graph(model).initializer.iter();
    constants
        .filter(|tensor| tensor.name().ends_with("weight") || tensor.name().ends_with("bias"))
        .map(|tensor| (tensor.name(), of(tensor)))
        .collect()
}

/// Number of uses of a constant.
fn uses(model: &ModelProto, name: &str) -> usize {
    let inputs = graph(model).node.iter().flat_map(|node| &node.input);
    inputs.filter(|input| *input == name).count()
}

/// Cases of fixtures/model whose class is that of the file.
const CASES: &[&str] = &[
    "model",
    "pretraining",
    "masked_lm",
    "sequence_classification",
    "token_classification",
    "question_answering",
    "multiple_choice",
    "groups_l2_g2_n2",
    "groups_l7_g3_n1",
    "embedding_equals_hidden",
    "untied_decoder",
    "two_decoder_weights",
    "two_biases",
    "relative_key",
    "relative_key_query",
    "pruned_heads",
    "sharded",
    "regression",
];

#[test]
fn every_class_is_a_sound_graph_with_the_tensors_of_its_checkpoint() {
    for case in CASES {
        let folder = fixture("model").join(case);
        let model = exported(&folder, class(&folder), Options::default());
        check(&model);
        let checkpoint = Checkpoint::open(&folder).expect("a checkpoint");
        for (name, (shape, values)) in tensors(&model) {
            let tensor = checkpoint.get(name);
            let tensor =
                tensor.unwrap_or_else(|| panic!("{case}: {name} is not in the checkpoint"));
            let mut expected = vec![0.0; tensor.elements()];
            checkpoint
                .read_f32(tensor, 0, &mut expected)
                .expect("elements");
            assert_eq!(
                (&tensor.shape, &expected),
                (&shape, &values),
                "{case}: {name}"
            );
        }
    }
}

#[test]
fn inputs_and_outputs_have_transformers_names() {
    let expected: &[(&str, &[&str])] = &[
        ("model/model", &["last_hidden_state", "pooler_output"]),
        ("model/pretraining", &["prediction_logits", "sop_logits"]),
        ("model/masked_lm", &["logits"]),
        ("model/sequence_classification", &["logits"]),
        ("model/token_classification", &["logits"]),
        ("model/question_answering", &["start_logits", "end_logits"]),
        ("model/multiple_choice", &["logits"]),
        (
            "gradients/joint_question_answering",
            &[
                "start_top_log_probs",
                "start_top_index",
                "end_top_log_probs",
                "end_top_index",
                "cls_logits",
            ],
        ),
    ];
    for (case, outputs) in expected {
        let folder = fixture(case);
        let model = exported(&folder, class(&folder), Options::default());
        check(&model);
        let inputs = ["input_ids", "attention_mask", "token_type_ids"];
        assert_eq!(names(&graph(&model).input), inputs, "{case}");
        assert_eq!(names(&graph(&model).output), *outputs, "{case}");
    }
}

/// Names and lengths of the axes of an input or output.
fn axes(value: &ValueInfoProto) -> Vec<String> {
    let kind = value
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref());
    let shape = kind.and_then(|kind| kind.shape.as_ref()).expect("a shape");
    let text = |length: Option<&Length>| match length {
        Some(Length::Value(n)) => n.to_string(),
        Some(Length::Param(name)) => name.clone(),
        None => panic!("an axis without a length"),
    };
    shape
        .dim
        .iter()
        .map(|dim| text(dim.value.as_ref()))
        .collect()
}

#[test]
fn batch_and_length_vary() {
    let folder = fixture("model/masked_lm");
    let model = exported(&folder, ModelClass::MaskedLM, Options::default());
    assert_eq!(
        axes(&graph(&model).input[0]),
        ["batch_size", "sequence_length"]
    );
    assert_eq!(
        axes(&graph(&model).output[0]),
        ["batch_size", "sequence_length", "61"]
    );
    let folder = fixture("model/multiple_choice");
    let model = exported(&folder, ModelClass::MultipleChoice, Options::default());
    assert_eq!(
        axes(&graph(&model).input[2]),
        ["batch_size", "num_choices", "sequence_length"]
    );
    assert_eq!(
        axes(&graph(&model).output[0]),
        ["batch_size", "num_choices"]
    );
}

#[test]
fn layers_share_the_tensors_of_their_group_and_the_decoder_those_of_the_word_table() {
    let weight =
        |group: usize| format!("encoder.albert_layer_groups.{group}.albert_layers.0.ffn.weight");
    let folder = fixture("model/groups_l7_g3_n1");
    let model = exported(&folder, ModelClass::Model, Options::default());
    // ⌊i·3/7⌋ of 0 … 6
    assert_eq!([0, 1, 2].map(|g| uses(&model, &weight(g))), [3, 2, 2]);
    let folder = fixture("model/masked_lm");
    let model = exported(&folder, ModelClass::MaskedLM, Options::default());
    assert_eq!(uses(&model, "albert.embeddings.word_embeddings.weight"), 2);
    // One that is no copy is there, too.
    let folder = fixture("model/untied_decoder");
    let model = exported(&folder, ModelClass::MaskedLM, Options::default());
    assert_eq!(uses(&model, "albert.embeddings.word_embeddings.weight"), 1);
    assert_eq!(uses(&model, "predictions.decoder.weight"), 1);
}

#[test]
fn nodes_take_little_beside_the_weights() {
    let folder = fixture("model/masked_lm");
    let model = exported(&folder, ModelClass::MaskedLM, Options::default());
    let data = graph(&model).initializer.iter();
    let data: usize = data.map(|tensor| tensor.raw_data().len()).sum();
    let rest = model.encoded_len() - data;
    // 24 layers of the large model are some 800 nodes, 1 % of its 70 MB at this size each.
    let nodes = graph(&model).node.len();
    assert!(rest < 500 * nodes, "{rest} bytes for {nodes} nodes");
}

#[test]
fn of_two_biases_the_option_chooses() {
    let folder = fixture("model/two_biases");
    for (mlm_bias, used, other) in [
        (
            MlmBias::Decoder,
            "predictions.decoder.bias",
            "predictions.bias",
        ),
        (
            MlmBias::Google,
            "predictions.bias",
            "predictions.decoder.bias",
        ),
    ] {
        let options = Options {
            mlm_bias,
            ..Options::default()
        };
        let model = exported(&folder, ModelClass::MaskedLM, options);
        check(&model);
        assert_eq!((uses(&model, used), uses(&model, other)), (1, 0));
    }
}

#[test]
fn integers_and_scales_are_those_of_a_quantised_folder() {
    let (source, scratch) = (
        fixture("model/pretraining"),
        tempfile::tempdir().expect("a folder"),
    );
    quantize_into(&source, scratch.path()).expect("quantised");
    let checkpoint = Checkpoint::open(scratch.path()).expect("a checkpoint");
    for int8 in [Int8::Dynamic, Int8::Weights] {
        let options = Options {
            int8: Some(int8),
            ..Options::default()
        };
        let model = exported(&source, ModelClass::PreTraining, options);
        check(&model);
        assert_eq!(
            model,
            exported(scratch.path(), ModelClass::PreTraining, options)
        );
        let mut matrices = 0;
        for constant in &graph(&model).initializer {
            if constant.data_type() != DataType::Int8 as i32 || constant.dims.is_empty() {
                continue;
            }
            matrices += 1;
            let tensor = checkpoint.get(constant.name()).expect("in the folder");
            assert_eq!(tensor.dtype, Dtype::I8);
            let mut integers = vec![0; tensor.elements()];
            checkpoint
                .read_i8(tensor, 0, &mut integers)
                .expect("integers");
            let bytes: Vec<u8> = integers.iter().flat_map(|q| q.to_le_bytes()).collect();
            assert_eq!(constant.raw_data(), bytes, "{}", constant.name());

            let name = format!("{}{SCALE}", constant.name());
            let scales = graph(&model).initializer.iter().find(|t| t.name() == name);
            let stored = checkpoint.get(&name).expect("scales");
            let mut values = vec![0.0; stored.elements()];
            checkpoint.read_f32(stored, 0, &mut values).expect("scales");
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(scales.expect("beside it").raw_data(), bytes, "{name}");
        }
        // Word table, six of the block, pooler, dense.
        assert_eq!(matrices, 9);
    }
}

#[test]
fn the_file_says_what_it_is() {
    let folder = fixture("pipelines/models/three");
    let model = exported(
        &folder,
        ModelClass::SequenceClassification,
        Options::default(),
    );
    assert_eq!(model.producer_name(), "albert");
    assert!(
        model
            .doc_string()
            .contains("AlbertForSequenceClassification")
    );
    let value = |key: &str| {
        let entry = model.metadata_props.iter().find(|entry| entry.key() == key);
        entry.map(|entry| entry.value().to_owned())
    };
    let (config, _) =
        AlbertConfig::from_file(&folder.join("config.json")).expect("a configuration");
    let labels: Map<String, Value> =
        serde_json::from_str(&value("id2label").expect("labels")).expect("JSON");
    let labels: Vec<&str> = labels.values().filter_map(Value::as_str).collect();
    assert_eq!(labels, config.id2label);
    assert_eq!(
        value("architecture").as_deref(),
        Some("AlbertForSequenceClassification")
    );
}

#[test]
fn what_cannot_be_is_refused_and_leaves_the_old_file() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("model.onnx");
    std::fs::write(&file, "old").expect("written");
    let refused = |case: &str, class: ModelClass, file: &Path| {
        let folder = fixture("model").join(case);
        let error = export(&folder, class, file, Options::default()).expect_err("refused");
        error.to_string()
    };
    let missing = refused("model", ModelClass::MaskedLM, &file);
    assert!(missing.contains("predictions.dense.weight"), "{missing}");
    let other = refused(
        "token_classification",
        ModelClass::SequenceClassification,
        &file,
    );
    assert!(other.contains("AlbertForTokenClassification"), "{other}");
    let nowhere = scratch.path().join("no/model.onnx");
    let nowhere = refused("model", ModelClass::Model, &nowhere);
    assert!(nowhere.contains("no/model.onnx"), "{nowhere}");
    assert_eq!(std::fs::read(&file).expect("there"), b"old");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("there").count(), 1);
}

#[test]
fn a_file_that_no_library_of_protobuf_reads_is_not_begun() {
    let file = Path::new("large.onnx");
    assert!(write::check_size(file, (1 << 31) - 1).is_ok());
    let error = write::check_size(file, 1 << 31).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { bytes, .. } if bytes == 1 << 31));
}
