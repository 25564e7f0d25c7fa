//! `albert export`: a model as a file of another runtime.

use std::path::PathBuf;

use albert::config::ModelClass;
use albert::{Precision, stored_precision};
use albert_export::onnx::{self, Int8, OPSET, Options};
use albert_export::saved_model;
use albert_hub::Want;
use anyhow::{Context, Result, bail};

use super::forward;
use crate::hub::RevisionFlag;
use crate::stream::Voice;

/// Write a model as a file of another runtime
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert export --model DIR --to onnx --output model.onnx
  albert export --model DIR --to onnx --output model-int8.onnx --dtype int8
  albert export --model DIR --to saved-model --output FOLDER --class AlbertModel",
    after_help = "\
Inputs: input_ids, attention_mask, token_type_ids [B, S] ([B, K, S] for multiple choice), of any
batch and length. ONNX takes int64; a SavedModel int32, as transformers has it, or int64
(int64_serving).
Outputs: float32 under transformers' names. A SavedModel's variables can be trained."
)]
pub(crate) struct Export {
    /// Model: a folder of configuration and weights, or ORG/NAME of the Hugging Face Hub
    #[arg(long, short, value_name = "DIR|ID")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Form of the file
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Form,
    /// File to write, or new folder (saved-model); it appears when it is complete
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Class to export [default: the first of config.json's architectures]
    #[arg(long, value_name = "NAME", value_parser = forward::CLASSES)]
    class: Option<String>,
    /// Form of the weights and of their products
    #[arg(long, value_enum, value_name = "TYPE", default_value = "auto")]
    dtype: Dtype,
    /// Add predictions.bias, as Google's code, where it differs from predictions.decoder.bias
    #[arg(long)]
    google_mlm_bias: bool,
    #[command(flatten)]
    voice: Voice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// ONNX, one file
    Onnx,
    /// TensorFlow, a folder; 32-bit floating point
    SavedModel,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Dtype {
    /// int8 for a folder that `albert quantize` wrote, else f32
    Auto,
    /// 32-bit floating point
    F32,
    /// 8-bit integers, activations too: fast in ONNX Runtime
    Int8,
    /// 8-bit integers that become f32 as they are used: fast in OpenVINO
    Int8Weights,
}

impl Export {
    pub(crate) fn run(mut self) -> Result<()> {
        let located = self.revision.locate(&self.model, Want::Model, self.voice)?;
        self.model = located.folder;
        if !self.model.is_dir() {
            bail!("{}: expected the folder of a model", self.model.display());
        }
        let name = forward::class(self.class.as_deref(), &self.model)?;
        let class = ModelClass::from_name(&name).with_context(|| forward::unknown_class(&name))?;
        match self.to {
            Form::Onnx => self.onnx(&name, class),
            Form::SavedModel => self.saved_model(&name, class),
        }
    }

    fn onnx(&self, name: &str, class: ModelClass) -> Result<()> {
        let int8 = match self.dtype {
            Dtype::Auto => match stored_precision(&self.model)? {
                Precision::Int8 => Some(Int8::Dynamic),
                Precision::F32 | Precision::Bf16 => None,
            },
            Dtype::F32 => None,
            Dtype::Int8 => Some(Int8::Dynamic),
            Dtype::Int8Weights => Some(Int8::Weights),
        };
        let mlm_bias = forward::mlm_bias(self.google_mlm_bias);
        let options = Options { int8, mlm_bias };
        let written = onnx::export(&self.model, class, &self.output, options)?;
        super::tell(&written.loaded, self.voice);
        println!(
            "{}: {name}, opset {OPSET}, {}, {:.2} MB",
            self.output.display(),
            int8.map_or("f32", |_| "int8"),
            written.bytes as f64 / 1e6,
        );
        Ok(())
    }

    fn saved_model(&self, name: &str, class: ModelClass) -> Result<()> {
        if let Dtype::Int8 | Dtype::Int8Weights = self.dtype {
            bail!("--to saved-model writes f32 alone: leave out --dtype, or take --to onnx");
        }
        let mlm_bias = forward::mlm_bias(self.google_mlm_bias);
        let written = saved_model::export(&self.model, class, &self.output, mlm_bias)?;
        super::tell(&written.loaded, self.voice);
        println!(
            "{}: {name}, {} variables, f32, {:.2} MB",
            self.output.display(),
            written.variables,
            written.bytes as f64 / 1e6,
        );
        Ok(())
    }
}
