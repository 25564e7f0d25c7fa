//! A model and its data as a [`Learner`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert::heads::Trainable;
use albert::{Albert, Cpu, DropoutPlan, Training, Variable};

use crate::dataset::Dataset;
use crate::learner::{Learner, Metrics, added};

/// Why a model cannot learn, be evaluated or be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Of the model: inputs, labels, files.
    #[error(transparent)]
    Model(#[from] albert::Error),
    /// Of the data: a file that cannot be read.
    #[error(transparent)]
    Data(#[from] crate::Error),
    /// Of the evaluation.
    #[error("the evaluation failed")]
    Evaluation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file that goes beside the weights cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file beside the weights cannot be written.
    #[error(transparent)]
    Write(#[from] albert_formats::FormatError),
}

/// Metrics of a model over the evaluation data.
pub type Evaluate<'a, H> =
    dyn FnMut(&Albert<H, Cpu>) -> Result<Metrics, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// How a model learns.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// What is dropped: rates, places and seed; step and samples are filled in.
    pub dropout: DropoutPlan,
    /// See [`Training::checkpointing`].
    pub checkpointing: bool,
    /// Files that are copied beside the weights: the tokenizer's.
    pub files: Vec<PathBuf>,
    /// Bytes of activations that the device keeps from step to step: see [`Cpu::keep_memory`].
    pub kept_bytes: usize,
}

/// A model, its training data and its evaluation.
pub struct ModelLearner<'a, H: Trainable<Cpu>> {
    model: Albert<H, Cpu>,
    data: &'a dyn Dataset<H::Labels>,
    evaluate: Option<Box<Evaluate<'a, H>>>,
    options: ModelOptions,
    variables: Vec<Variable>,
    /// The parameters in f32, whatever the form of the model's weights.
    values: Vec<f32>,
}

impl<'a, H: Trainable<Cpu>> ModelLearner<'a, H> {
    /// A learner that starts from `values`, in the layout of the model's parameters. (A model whose weights are bfloat16
    /// no longer has the values that it was loaded from.)
    pub fn new(
        mut model: Albert<H, Cpu>,
        values: Option<Vec<f32>>,
        data: &'a dyn Dataset<H::Labels>,
        evaluate: Option<Box<Evaluate<'a, H>>>,
        options: ModelOptions,
    ) -> Self {
        let (variables, own) = model.parameters();
        let values = values.unwrap_or(own);
        model.assign(&variables, &values);
        model.device().keep_memory(options.kept_bytes);
        Self {
            model,
            data,
            evaluate,
            options,
            variables,
            values,
        }
    }

    /// Samples by group, in the order of their groups: see [`Dataset::group`].
    fn groups(&self, samples: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &sample in samples {
            groups
                .entry(self.data.group(sample))
                .or_default()
                .push(sample);
        }
        groups.into_values().collect()
    }

    /// The model.
    pub fn model(&self) -> &Albert<H, Cpu> {
        &self.model
    }
}

impl<H: Trainable<Cpu>> Learner for ModelLearner<'_, H> {
    type Error = ModelError;

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn assign(&mut self, values: &[f32]) {
        self.values.copy_from_slice(values);
        self.model.assign(&self.variables, values);
    }

    fn samples(&self) -> usize {
        self.data.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.data.tokens(sample)
    }

    fn fingerprint(&self) -> u64 {
        self.data.fingerprint()
    }

    fn terms(&self, samples: &[usize]) -> Result<[usize; 2], ModelError> {
        let mut terms = [0; 2];
        for samples in self.groups(samples) {
            let (inputs, labels) = self.data.batch(&samples)?;
            let part = H::terms(self.model.config(), &inputs, &labels)?;
            for (sum, part) in terms.iter_mut().zip(part) {
                *sum += part;
            }
        }
        Ok(terms)
    }

    fn gradient(
        &mut self,
        samples: &[usize],
        terms: [usize; 2],
        step: u64,
        gradient: &mut [f32],
    ) -> Result<[f64; 2], ModelError> {
        let mut losses = [0.0; 2];
        for samples in self.groups(samples) {
            let (inputs, labels) = self.data.batch(&samples)?;
            let each = inputs.batch / samples.len();
            let sequences = samples
                .iter()
                .flat_map(|&sample| (0..each).map(move |i| (sample * each + i) as u64));
            let how = Training {
                terms,
                dropout: Some(DropoutPlan {
                    step,
                    samples: sequences.collect(),
                    ..self.options.dropout.clone()
                }),
                checkpointing: self.options.checkpointing,
            };
            let (model, variables) = (&self.model, &self.variables);
            let part = model.gradients(&inputs, &labels, &how, variables, gradient)?;
            losses = added(losses, part);
        }
        Ok(losses)
    }

    fn evaluate(&mut self) -> Result<Metrics, ModelError> {
        match &mut self.evaluate {
            Some(evaluate) => evaluate(&self.model).map_err(ModelError::Evaluation),
            None => Ok(Metrics::new()),
        }
    }

    fn save(&self, folder: &Path) -> Result<(), ModelError> {
        self.model
            .save_parameters(folder, &self.variables, &self.values)?;
        for from in &self.options.files {
            let to = folder.join(from.file_name().unwrap_or_default());
            // Read first: a tokenizer of the output folder is copied onto itself.
            let bytes = std::fs::read(from).map_err(|source| ModelError::Read {
                path: from.clone(),
                source,
            })?;
            albert_formats::write_atomically(&to, &bytes)?;
        }
        Ok(())
    }
}
