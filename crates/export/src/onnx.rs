//! A model as an ONNX file: one graph over the structure of the model, each tensor in it once.

mod builder;
mod graph;
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

use crate::Result;
use builder::Builder;
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
    let export = Export {
        folder,
        class,
        file,
        options,
    };
    match class {
        ModelClass::Model | ModelClass::ModelWithoutPooler => export.run::<classes::Base>(),
        ModelClass::PreTraining => export.run::<classes::PreTraining<Cpu>>(),
        ModelClass::MaskedLM => export.run::<classes::MaskedLm<Cpu>>(),
        ModelClass::SequenceClassification => export.run::<classes::SequenceClassification<Cpu>>(),
        ModelClass::TokenClassification => export.run::<classes::TokenClassification<Cpu>>(),
        ModelClass::QuestionAnswering => export.run::<classes::QuestionAnswering<Cpu>>(),
        ModelClass::JointQuestionAnswering => export.run::<classes::JointQuestionAnswering<Cpu>>(),
        ModelClass::MultipleChoice => export.run::<classes::MultipleChoice<Cpu>>(),
    }
}

struct Export<'a> {
    folder: &'a Path,
    class: ModelClass,
    file: &'a Path,
    options: Options,
}

impl Export<'_> {
    fn run<H: Head<Cpu>>(&self) -> Result<Written> {
        let options = CpuOptions {
            precision: match self.options.int8 {
                Some(_) => Precision::Int8,
                None => Precision::F32,
            },
            ..CpuOptions::default()
        };
        let device = Cpu::new(options).map_err(|source| albert::Error::System {
            action: "start the threads",
            source,
        })?;
        let loading = LoadOptions {
            mlm_bias: self.options.mlm_bias,
            ..LoadOptions::default()
        };
        check_trained_for::<H, Cpu>(self.folder)?;
        let (model, loaded) = Albert::<H>::from_pretrained(self.folder, device, loading)?;

        let (config, tensors) = (model.config(), model.tensors());
        let mut b = Builder::new(config, &tensors, self.options.int8.unwrap_or_default());
        let batch = Batch::new(&mut b, self.class == ModelClass::MultipleChoice);
        let stored = b.has(Site::Pooler, Field::Weight);
        let pooler = heads::has_pooler(self.class).unwrap_or(stored);
        let encoded = model::encode(&mut b, batch, pooler);
        heads::head(&mut b, self.class, &encoded, self.options.mlm_bias);
        let bytes = write::write(self.file, &self.about(config), b.graph)?;
        Ok(Written { bytes, loaded })
    }

    /// Everything but the graph.
    fn about(&self, config: &AlbertConfig) -> ModelProto {
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
            entry("architecture", self.class.name().to_owned()),
            entry("id2label", Value::from(labels).to_string()),
        ];
        if let Some(problem) = config.problem_type {
            metadata.push(entry("problem_type", problem.name().to_owned()));
        }
        let weights = match self.options.int8 {
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
                self.class.name(),
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
}
