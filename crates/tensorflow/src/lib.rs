//! transformers' TensorFlow classes (`TFAlbertModel`, `TFAlbertForMaskedLM`, …), executed by TensorFlow through its C library,
//! which is found and loaded at run time: nothing of TensorFlow is needed to build this crate.
//!
//! ```no_run
//! use std::path::Path;
//! use albert::{Inputs, Keep, LoadOptions};
//! use albert_tensorflow::{TFAlbertForMaskedLM, TensorFlow};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // ALBERT_TENSORFLOW_LIBRARY, or the wheel of `pip install tensorflow-cpu`.
//! let tensorflow = TensorFlow::load()?;
//! // A folder of any dialect: tf_model.h5, model.safetensors, pytorch_model.bin, Google's checkpoints, …
//! let folder = Path::new("albert-base-v2");
//! let (model, _) = TFAlbertForMaskedLM::from_pretrained(folder, &tensorflow, LoadOptions::default())?;
//!
//! let inputs = Inputs::from_sequences(&[vec![2, 14, 4, 3], vec![2, 4, 3]], 0);
//! let output = model.forward(&inputs, None, Keep::default())?;
//! assert_eq!(output.logits.shape, [2, 4, model.config().vocab_size]);
//! model.save_pretrained(Path::new("saved"))?; // tf_model.h5, config.json
//! # Ok(())
//! # }
//! ```
//!
//! # What differs from `albert::Albert`
//! - A masked key gets −10000 instead of the lowest number: a sequence that the mask hides whole attends as without a mask.
//!   Values of the mask between 0 and 1 are between the two.
//! - Masked positions have outputs, as TensorFlow computes them.
//! - `hidden_states` are L + 1, one for each application of a group, also where a group has several blocks.
//! - Losses have a shape: `[B]`, one for each example, of sequence classification, multiple choice and question answering;
//!   `[1]`, the mean over the labelled tokens, of the others.
//!
//! Losses are computed here, in f64 from TensorFlow's logits.
//!
//! # Modules in reading order
//! 1. `error`: [`Error`], the only error.
//! 2. `find`: where the library may be; the only place that reads the environment.
//! 3. `library`: the functions of the library as safe calls; the only unsafe code.
//! 4. `tensorflow`: [`TensorFlow`], the library that was found and how its sessions run.
//! 5. `model`: [`TfAlbert`]: load, run, save. 6. `heads`: [`TfHead`], what each class adds; `loss`.

mod error;
mod find;
mod heads;
mod library;
mod loss;
mod model;
mod tensorflow;

pub use error::{Error, Result};
pub use find::VARIABLE;
pub use heads::TfHead;
pub use model::TfAlbert;
pub use tensorflow::TensorFlow;

use albert::{Cpu, heads as classes};

/// The programs of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tensorflow.md")]
struct Guide;

/// Encoder and pooler.
pub type TFAlbertModel = TfAlbert<classes::Base>;
/// Masked language model and sentence order.
pub type TFAlbertForPreTraining = TfAlbert<classes::PreTraining<Cpu>>;
/// Masked language model.
pub type TFAlbertForMaskedLM = TfAlbert<classes::MaskedLm<Cpu>>;
/// Classification or regression of texts and pairs of texts.
pub type TFAlbertForSequenceClassification = TfAlbert<classes::SequenceClassification<Cpu>>;
/// A label for every token.
pub type TFAlbertForTokenClassification = TfAlbert<classes::TokenClassification<Cpu>>;
/// Start and end of an answer in a text.
pub type TFAlbertForQuestionAnswering = TfAlbert<classes::QuestionAnswering<Cpu>>;
/// The best of K texts.
pub type TFAlbertForMultipleChoice = TfAlbert<classes::MultipleChoice<Cpu>>;
