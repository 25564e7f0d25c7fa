//! What was written, read back: every tensor and the model's outputs, bit for bit.

use std::path::Path;

use albert_formats::Checkpoint;

use super::plan::Plan;
use crate::calibrate::sample;
use crate::checkpoint::{LoadOptions, MlmBias, ModelFolder, View, equal};
use crate::config::{AlbertConfig, ModelClass};
use crate::error::{Error, Result};
use crate::heads;
use crate::inputs::Inputs;
use crate::model::Keep;
use crate::ops::Cpu;
use crate::output::{Array, Output};
use crate::pretrained::{Albert, Head};

/// What was compared with the source, bit for bit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers they have.
    pub elements: u64,
    /// The outputs of both models on a sample of token numbers: names, and how many numbers.
    pub outputs: Vec<(String, usize)>,
}

type Arrays = Vec<(String, Array<f32>)>;

/// The outputs of a model on a sample of token numbers.
///
/// # Errors
/// A checkpoint that lacks tensors of this class, or cannot be read.
pub(super) fn outputs(
    class: ModelClass,
    config: &AlbertConfig,
    checkpoint: &Checkpoint,
    path: &Path,
    device: &Cpu,
    mlm_bias: Option<MlmBias>,
) -> Result<Arrays> {
    let of = Source {
        config,
        checkpoint,
        path,
        device,
        mlm_bias: mlm_bias.unwrap_or_default(),
    };
    match class {
        ModelClass::Model | ModelClass::ModelWithoutPooler => of.run::<heads::Base>(),
        ModelClass::MaskedLM => of.run::<heads::MaskedLm<Cpu>>(),
        ModelClass::PreTraining => of.run::<heads::PreTraining<Cpu>>(),
        ModelClass::SequenceClassification => of.run::<heads::SequenceClassification<Cpu>>(),
        ModelClass::TokenClassification => of.run::<heads::TokenClassification<Cpu>>(),
        ModelClass::QuestionAnswering => of.run::<heads::QuestionAnswering<Cpu>>(),
        ModelClass::JointQuestionAnswering => of.run::<heads::JointQuestionAnswering<Cpu>>(),
        ModelClass::MultipleChoice => of.run::<heads::MultipleChoice<Cpu>>(),
    }
}

struct Source<'a> {
    config: &'a AlbertConfig,
    checkpoint: &'a Checkpoint,
    path: &'a Path,
    device: &'a Cpu,
    mlm_bias: MlmBias,
}

impl Source<'_> {
    fn run<H: Head<Cpu, Output: Output<f32>>>(&self) -> Result<Arrays> {
        let options = LoadOptions {
            mlm_bias: self.mlm_bias,
            ..LoadOptions::default()
        };
        let (model, _) = Albert::<H, Cpu>::from_checkpoint(
            self.config.clone(),
            self.checkpoint,
            self.path,
            self.device.clone(),
            options,
        )?;
        let mut inputs = inputs(self.config);
        if H::CLASS == ModelClass::MultipleChoice.name() {
            inputs.choices = Some(inputs.batch);
        }
        let output = model.forward(&inputs, None, Keep::default())?;
        let arrays = output.arrays().into_iter();
        Ok(arrays.map(|(name, array)| (name, array.clone())).collect())
    }
}

/// Two sequences of tokens, the second shorter, each with a second part of token type 1 where there is one.
fn inputs(config: &AlbertConfig) -> Inputs {
    let mut inputs = sample(config);
    let length = inputs.length;
    let types = (0..inputs.batch * length).map(|i| i64::from(i % length > length / 2));
    inputs.token_type_ids = (config.type_vocab_size > 1).then(|| types.collect());
    if let Some(mask) = &mut inputs.attention_mask {
        let kept = mask.len() - length / 3;
        mask[kept..].fill(0.0);
    }
    inputs
}

/// Reads the folder that was written, and compares it with its source.
///
/// # Errors
/// Files that cannot be read, and the first number that differs.
pub(super) fn check(
    folder: &Path,
    class: ModelClass,
    source: &View<'_>,
    plan: &Plan<'_>,
    before: &Arrays,
    device: &Cpu,
) -> Result<Check> {
    let ModelFolder {
        config, checkpoint, ..
    } = ModelFolder::open(folder)?;
    let written = View::new(&checkpoint);
    let wrong = |what: String| Error::Folder {
        path: folder.to_owned(),
        problem: format!(
            "{what} of what was written differs from the source; this is a fault of the conversion, please report it"
        ),
    };
    let mut elements = 0;
    for item in &plan.items {
        let found = written.get(&item.site.name(item.field));
        let found = found.filter(|found| found.shape() == item.stored.shape());
        let found = found.ok_or_else(|| wrong(format!("the shape of tensor {}", item.name)))?;
        let count = item.stored.shape().iter().product();
        let (a, b) = (source.reader(item.stored)?, written.reader(found)?);
        let bits = |x: &f32, y: &f32| x.to_bits() == y.to_bits();
        let same = equal(
            count,
            |first, out| Ok(a.read(first, out)?),
            |first, out| Ok(b.read(first, out)?),
            bits,
        )?;
        if !same {
            return Err(wrong(format!("tensor {}", item.name)));
        }
        elements += count as u64;
    }
    let after = outputs(class, &config, &checkpoint, folder, device, None)?;
    for ((name, one), (_, other)) in before.iter().zip(&after) {
        let bits =
            |array: &Array<f32>| -> Vec<u32> { array.data.iter().map(|x| x.to_bits()).collect() };
        if one.shape != other.shape || bits(one) != bits(other) {
            return Err(wrong(format!("output {name}")));
        }
    }
    if before.len() != after.len() {
        return Err(wrong("the number of outputs".to_owned()));
    }
    Ok(Check {
        tensors: plan.items.len(),
        elements,
        outputs: after
            .into_iter()
            .map(|(name, array)| (name, array.data.len()))
            .collect(),
    })
}
