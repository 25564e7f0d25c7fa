//! A model as an ONNX file: one graph over the structure of the model, each tensor in it once.

mod builder;
pub(crate) mod graph;
mod heads;
mod model;
pub mod proto;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use albert::config::ModelClass;
use albert::names::{Field, Site};
use albert::pipeline::check_trained_for;
use albert::{
    Albert, AlbertConfig, Cpu, CpuOptions, Head, LoadOptions, Loaded, MlmBias, Precision,
    heads as classes,
};
use serde_json::{Map, Value};

use crate::{Error, Result};
use builder::Builder;
use graph::Graph;
use model::Batch;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// Version of ONNX' operators: the first with LayerNormalization.
pub const OPSET: i64 = 17;
/// Version of the format that came with it.
const IR_VERSION: i64 = 8;

/// How to write a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// In 8-bit whole numbers instead of f32, and which computation with them.
    pub int8: Option<Int8>,
    /// Which of two different MLM biases to add.
    pub mlm_bias: MlmBias,
}

/// How a graph computes with weights of 8 bits, which have a scale for each row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int8 {
    /// Products of whole numbers (`DynamicQuantizeLinear`, `MatMulInteger`): activations become u8 with one scale for the
    /// batch. What ONNX Runtime runs fast.
    #[default]
    Dynamic,
    /// Weights become f32 (`DequantizeLinear`), products are those of f32 unless the runtime knows better, as OpenVINO does.
    Weights,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Size of the file.
    pub bytes: u64,
    /// What loading found.
    pub loaded: Loaded,
}

/// Writes the model of `folder` as the class `class` to `file`, which appears when it is complete.
///
/// Inputs are `input_ids`, `attention_mask` and `token_type_ids`, int64 [B, S] ([B, K, S] for multiple choice); outputs have
/// transformers' names. Every value of the mask but 0 keeps a token.
///
/// # Errors
/// A folder that cannot be loaded as this class, or whose classifier was trained as another one; a file that cannot be written,
/// or would have 2 GiB or more.
pub fn export(folder: &Path, class: ModelClass, file: &Path, options: Options) -> Result<Written> {
    let source = Source::new(folder, class, options);
    let (bytes, loaded) = source.build(|config, graph| -> Result<_> {
        let about = about(config, class, options.int8);
        write::write(file, &about, graph)
    })?;
    Ok(Written { bytes, loaded })
}

/// Whose conventions a graph follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Those of transformers' PyTorch classes, with the inputs and outputs that runtimes need.
    Torch,
    /// Those of its TensorFlow classes: (1 − mask)·(−10000) is added to the scores, with a mask in f32. `position_ids` is an
    /// input too, word embeddings, hidden states and attentions are outputs.
    TensorFlow,
}

/// A model to export, and how.
pub(crate) struct Source<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) class: ModelClass,
    pub(crate) int8: Option<Int8>,
    pub(crate) loading: LoadOptions,
    pub(crate) form: Form,
}

impl<'a> Source<'a> {
    pub(crate) fn new(folder: &'a Path, class: ModelClass, options: Options) -> Self {
        Self {
            folder,
            class,
            int8: options.int8,
            loading: LoadOptions {
                mlm_bias: options.mlm_bias,
                ..LoadOptions::default()
            },
            form: Form::Torch,
        }
    }

    /// Loads the model, builds its graph, which `write` writes; gives what that gives and what loading found.
    pub(crate) fn build<T, E: From<Error>>(
        &self,
        write: impl FnOnce(&AlbertConfig, Graph<'_>) -> Result<T, E>,
    ) -> Result<(T, Loaded), E> {
        match self.class {
            ModelClass::Model | ModelClass::ModelWithoutPooler => {
                self.run::<classes::Base, T, E>(write)
            }
            ModelClass::PreTraining => self.run::<classes::PreTraining<Cpu>, T, E>(write),
            ModelClass::MaskedLM => self.run::<classes::MaskedLm<Cpu>, T, E>(write),
            ModelClass::SequenceClassification => {
                self.run::<classes::SequenceClassification<Cpu>, T, E>(write)
            }
            ModelClass::TokenClassification => {
                self.run::<classes::TokenClassification<Cpu>, T, E>(write)
            }
            ModelClass::QuestionAnswering => {
                self.run::<classes::QuestionAnswering<Cpu>, T, E>(write)
            }
            ModelClass::JointQuestionAnswering => {
                self.run::<classes::JointQuestionAnswering<Cpu>, T, E>(write)
            }
            ModelClass::MultipleChoice => self.run::<classes::MultipleChoice<Cpu>, T, E>(write),
        }
    }

    fn run<H: Head<Cpu>, T, E: From<Error>>(
        &self,
        write: impl FnOnce(&AlbertConfig, Graph<'_>) -> Result<T, E>,
    ) -> Result<(T, Loaded), E> {
        let (model, loaded) = self.load::<H>()?;
        let (config, tensors) = (model.config(), model.tensors());
        let mut b = Builder::new(config, &tensors, self.int8.unwrap_or_default(), self.form);
        let batch = Batch::new(&mut b, self.class == ModelClass::MultipleChoice);
        let stored = b.has(Site::Pooler, Field::Weight);
        let pooler = heads::has_pooler(self.class).unwrap_or(stored);
        let encoded = model::encode(&mut b, batch, pooler);
        heads::head(&mut b, self.class, &encoded, self.loading.mlm_bias);
        if self.form == Form::TensorFlow {
            heads::inner(&mut b, &encoded);
            b.keep_all();
        }
        Ok((write(config, b.graph)?, loaded))
    }

    fn load<H: Head<Cpu>>(&self) -> Result<(Albert<H>, Loaded)> {
        let options = CpuOptions {
            precision: match self.int8 {
                Some(_) => Precision::Int8,
                None => Precision::F32,
            },
            ..CpuOptions::default()
        };
        let device = Cpu::new(options).map_err(|source| albert::Error::System {
            action: "start the threads",
            source,
        })?;
        check_trained_for::<H, Cpu>(self.folder)?;
        Ok(Albert::<H>::from_pretrained(
            self.folder,
            device,
            self.loading,
        )?)
    }
}

/// Everything but the graph.
fn about(config: &AlbertConfig, class: ModelClass, int8: Option<Int8>) -> ModelProto {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    let labels = config.id2label.iter().enumerate();
    let labels: Map<String, Value> = labels
        .map(|(i, label)| (i.to_string(), Value::from(label.as_str())))
        .collect();
    let mut metadata = vec![
        entry("model_type", "albert".to_owned()),
        entry("architecture", class.name().to_owned()),
        entry("id2label", Value::from(labels).to_string()),
    ];
    if let Some(problem) = config.problem_type {
        metadata.push(entry("problem_type", problem.name().to_owned()));
    }
    let weights = match int8 {
        None => "f32",
        Some(Int8::Dynamic) => "int8, products of whole numbers",
        Some(Int8::Weights) => "int8, products of f32",
    };
    let family = config.family().unwrap_or("ALBERT");
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("albert".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: Some(format!(
            "{} ({family}): {} layers of width {}, at most {} tokens; weights {weights}",
            class.name(),
            config.num_hidden_layers,
            config.hidden_size,
            config.max_position_embeddings,
        )),
        graph: None,
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(OPSET),
        }],
        metadata_props: metadata,
    }
}
