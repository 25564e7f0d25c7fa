//! `albert forward`: tensors in, tensors out; no tokenizer.

use std::path::{Path, PathBuf};

use albert::heads::{ClassLabels, JointLabels, PreTrainingLabels, QuestionLabels};
use albert::output::Output;
use albert::{Albert, Cpu, Head, Keep, LoadOptions, MlmBias, ModelFolder};
use albert_hub::Want;
use anyhow::{Context, Result, bail};

use crate::arrays::{self, InputFile};
use crate::device::ComputeFlags;
use crate::hub::RevisionFlag;
use crate::stream::Voice;

/// Run a model on tensors from a safetensors file and write its outputs to another
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert forward --model DIR --inputs in.safetensors --outputs out.safetensors
  albert forward --model DIR --inputs in.safetensors --outputs out.safetensors --class AlbertModel
  albert forward --model DIR --inputs in.safetensors --outputs out.safetensors --hidden-states",
    after_help = "\
Inputs: int64 input_ids [B, S] ([B, K, S] for multiple choice) or inputs_embeds; optional attention_mask, token_type_ids,
position_ids, head_mask, labels, sentence_order_label, start_positions, end_positions, is_impossible.
Outputs: float32 under transformers' names; per-token outputs at masked positions are 0."
)]
pub(crate) struct Forward {
    /// Model: a folder of configuration and weights, or ORG/NAME of the Hugging Face Hub
    #[arg(long, value_name = "DIR|ID")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Input tensors
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Where to write the outputs
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// Class to run [default: the first of config.json's architectures]
    #[arg(long, value_name = "NAME", value_parser = CLASSES)]
    class: Option<String>,
    /// Write hidden_states.0 … too
    #[arg(long)]
    hidden_states: bool,
    /// Write attentions.0 … too
    #[arg(long)]
    attentions: bool,
    /// Add predictions.bias, as Google's code, where it differs from predictions.decoder.bias
    #[arg(long)]
    google_mlm_bias: bool,
    #[command(flatten)]
    device: ComputeFlags,
}

/// The names of the library's classes.
pub(super) const CLASSES: [&str; 8] = [
    "AlbertModel",
    "AlbertForPreTraining",
    "AlbertForMaskedLM",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForQuestionAnswering",
    "AlbertForJointQuestionAnswering",
    "AlbertForMultipleChoice",
];

/// The class that was asked for, or the one that the configuration of a folder names.
pub(super) fn class(asked: Option<&str>, folder: &Path) -> Result<String> {
    if let Some(class) = asked {
        return Ok(class.to_owned());
    }
    let class = ModelFolder::open(folder)?
        .config
        .architectures
        .into_iter()
        .next();
    class.context("config.json names no architectures: give --class")
}

/// What to say of a class that the configuration names and the library does not have.
pub(super) fn unknown_class(name: &str) -> String {
    format!(
        "config.json names the class {name}: give --class, one of {}",
        CLASSES.join(", ")
    )
}

/// What --google-mlm-bias chooses.
pub(super) fn mlm_bias(google: bool) -> MlmBias {
    if google {
        MlmBias::Google
    } else {
        MlmBias::Decoder
    }
}

impl Forward {
    pub(crate) fn run(mut self) -> Result<()> {
        let located = self
            .revision
            .locate(&self.model, Want::Model, Voice::default())?;
        self.model = located.folder;
        let class = class(self.class.as_deref(), &self.model)?;
        let file = InputFile::open(&self.inputs)?;
        match class.as_str() {
            "AlbertModel" => self.run_class::<albert::heads::Base>(&file, |_| Ok(None)),
            "AlbertForPreTraining" => {
                self.run_class::<albert::heads::PreTraining<Cpu>>(&file, |file| {
                    let labels = PreTrainingLabels {
                        labels: file.integers("labels")?,
                        sentence_order_label: file.integers("sentence_order_label")?,
                    };
                    Ok(Some(labels))
                })
            }
            "AlbertForMaskedLM" => self
                .run_class::<albert::heads::MaskedLm<Cpu>>(&file, |file| file.integers("labels")),
            "AlbertForTokenClassification" => self
                .run_class::<albert::heads::TokenClassification<Cpu>>(&file, |file| {
                    file.integers("labels")
                }),
            "AlbertForMultipleChoice" => self
                .run_class::<albert::heads::MultipleChoice<Cpu>>(&file, |file| {
                    file.integers("labels")
                }),
            "AlbertForSequenceClassification" => self
                .run_class::<albert::heads::SequenceClassification<Cpu>>(&file, |file| {
                    if file.is_integer("labels") {
                        return Ok(file.integers("labels")?.map(ClassLabels::Classes));
                    }
                    Ok(file.floats("labels")?.map(ClassLabels::Values))
                }),
            "AlbertForQuestionAnswering" => self
                .run_class::<albert::heads::QuestionAnswering<Cpu>>(&file, |file| {
                    let positions = (
                        file.integers("start_positions")?,
                        file.integers("end_positions")?,
                    );
                    let (Some(start_positions), Some(end_positions)) = positions else {
                        return Ok(None);
                    };
                    Ok(Some(QuestionLabels {
                        start_positions,
                        end_positions,
                    }))
                }),
            "AlbertForJointQuestionAnswering" => self
                .run_class::<albert::heads::JointQuestionAnswering<Cpu>>(&file, |file| {
                    let labels = (
                        file.integers("start_positions")?,
                        file.integers("end_positions")?,
                        file.integers("is_impossible")?,
                    );
                    let (Some(start_positions), Some(end_positions), Some(impossible)) = labels
                    else {
                        return Ok(None);
                    };
                    Ok(Some(JointLabels {
                        start_positions,
                        end_positions,
                        is_impossible: impossible.into_iter().map(|x| x != 0).collect(),
                    }))
                }),
            other => bail!(unknown_class(other)),
        }
    }

    fn run_class<H: Head<Cpu>>(
        &self,
        file: &InputFile,
        labels: impl Fn(&InputFile) -> Result<Option<H::Labels>>,
    ) -> Result<()>
    where
        H::Output: Output<f32>,
    {
        let options = LoadOptions {
            mlm_bias: mlm_bias(self.google_mlm_bias),
            ..LoadOptions::default()
        };
        let (device, _) = self.device.open(Some(&self.model))?;
        let (model, loaded) = Albert::<H>::from_pretrained(&self.model, device, options)?;
        super::tell(&loaded, Voice::default());
        let inputs = file.inputs(model.config())?;
        let keep = Keep {
            hidden_states: self.hidden_states,
            attentions: self.attentions,
        };
        let output = model.forward(&inputs, labels(file)?.as_ref(), keep)?;
        let outputs = output.arrays();
        for (name, array) in &outputs {
            let wrong = array.data.iter().filter(|x| !x.is_finite()).count();
            if wrong > 0 {
                Voice::default().note(format_args!(
                    "output {name}: {wrong} of {} numbers are not finite (NaN or infinite); is that so of the inputs, or are the weights damaged?",
                    array.data.len()
                ));
            }
        }
        arrays::write(&self.outputs, &outputs)
    }
}
