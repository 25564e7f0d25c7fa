//! ALBERT (Lan et al. 2019) as pure functions from parameters and a batch to numbers.
//!
//! ```
//! use std::path::Path;
//! use albert::{AlbertForMaskedLM, Cpu, CpuOptions, Inputs, Keep, LoadOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/model/masked_lm");
//! let device = Cpu::new(CpuOptions::default())?;
//! // A Hugging Face folder: config.json and model.safetensors.
//! let (model, loaded) = AlbertForMaskedLM::from_pretrained(&folder, device, LoadOptions::default())?;
//! assert!(loaded.tensors.unexpected.is_empty());
//!
//! // Two sequences of different lengths: padding costs nothing and changes no bit of the result.
//! let inputs = Inputs::from_sequences(&[vec![2, 17, 4, 3], vec![2, 4, 3]], 0);
//! let output = model.forward(&inputs, None, Keep::default())?;
//! assert_eq!(output.logits.shape, [2, 4, model.config().vocab_size]);
//! # Ok(())
//! # }
//! ```
//!
//! # Modules in reading order
//! 1. [`config`]: the configuration, both JSON dialects, presets, validation.
//! 2. [`names`]: the one table of tensors; `checkpoint` reads and writes models by walking it; [`params`].
//! 3. `inputs`: a padded batch, checked and packed.
//! 4. [`ops`]: the seam to a device, with [`Cpu`] (f32) and [`ops::Reference`] (f64).
//! 5. [`model`]: the forward pass, once, over the seam.
//! 6. [`heads`]: the eight classes; `loss`; [`output`].
//! 7. `pretrained`: [`Albert`], which holds all of it together: load, run, save, prune, resize.
//! 8. [`pipeline`]: from text to answer, a type for each task.
//! 9. [`metrics`], [`evaluate`]: how good answers are. [`quantize`]: folders whose matrices are 8-bit integers.
//!    [`vocabulary`]: folders with more words. [`convert`]: folders for other programs.
//!
//! # Shapes
//! B batch, S padded length, T packed tokens, V vocabulary, E embedding, H hidden, A heads, D head size, F intermediate,
//! L layers, G groups, N inner_group_num, P positions, U token types, C labels, K choices.
//!
//! # Invariants
//! This crate prints nothing, reads no clock and no environment, and touches files only in `config`, `checkpoint`,
//! `pretrained`, `quantize`, `convert`, `vocabulary` and `pipeline/embed/modules.rs`, which reads a `modules.json` and what it names.

mod backward;
mod calibrate;
mod checkpoint;
pub mod config;
pub mod convert;
mod dropout;
mod error;
pub mod evaluate;
mod gradients;
pub mod heads;
mod inputs;
mod loss;
pub mod metrics;
pub mod model;
pub mod names;
pub mod ops;
pub mod output;
pub mod params;
pub mod pipeline;
mod pretrained;
pub mod quantize;
mod random;
mod variables;
pub mod vocabulary;

pub use checkpoint::{
    LoadOptions, LoadReport, Loader, MlmBias, ModelFolder, Named, Parameter, Saver,
    classifier_labels, heads_present, tensor_problems,
};
pub use config::{
    Activation, AlbertConfig, ConfigDialect, ConfigError, ConfigReport, PositionEmbeddingType,
    ProblemType,
};
pub use dropout::DropoutPlan;
pub use error::{Error, Result};
pub use gradients::Training;
pub use inputs::{Inputs, Packed};
pub use loss::IGNORE_INDEX;
pub use model::Keep;
pub use ops::{Cpu, CpuOptions, Precision};
pub use pretrained::{Albert, Head, Loaded, Pass};
pub use quantize::stored_precision;
pub use variables::Variable;

/// Encoder and pooler.
pub type AlbertModel<B = Cpu> = Albert<heads::Base, B>;
/// Masked language model and sentence order.
pub type AlbertForPreTraining<B = Cpu> = Albert<heads::PreTraining<B>, B>;
/// Masked language model.
pub type AlbertForMaskedLM<B = Cpu> = Albert<heads::MaskedLm<B>, B>;
/// Classification or regression of texts and pairs of texts.
pub type AlbertForSequenceClassification<B = Cpu> = Albert<heads::SequenceClassification<B>, B>;
/// A label for every token.
pub type AlbertForTokenClassification<B = Cpu> = Albert<heads::TokenClassification<B>, B>;
/// Start and end of an answer in a text.
pub type AlbertForQuestionAnswering<B = Cpu> = Albert<heads::QuestionAnswering<B>, B>;
/// Start and end of an answer in a text, and whether there is one: Google's head for SQuAD 2.0.
pub type AlbertForJointQuestionAnswering<B = Cpu> = Albert<heads::JointQuestionAnswering<B>, B>;
/// The best of K texts.
pub type AlbertForMultipleChoice<B = Cpu> = Albert<heads::MultipleChoice<B>, B>;
