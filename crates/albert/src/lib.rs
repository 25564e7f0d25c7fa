//! ALBERT (Lan et al. 2019) as pure functions from parameters and a batch to numbers.
mod checkpoint;
pub mod config;
mod error;
pub mod heads;
mod inputs;
mod loss;
pub mod model;
pub mod names;
pub mod ops;
pub mod output;
pub mod params;
mod pretrained;
mod random;

pub use checkpoint::{LoadOptions, LoadReport, Loader, MlmBias, Saver, heads_present};
pub use config::{Activation, AlbertConfig, ConfigDialect, ConfigError, ConfigReport, PositionEmbeddingType, ProblemType};
pub use error::{Error, Result};
pub use inputs::{Inputs, Packed};
pub use loss::IGNORE_INDEX;
pub use model::Keep;
pub use ops::{Cpu, CpuOptions};
pub use pretrained::{Albert, Head, Loaded, Pass};

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
/// The best of K texts.
pub type AlbertForMultipleChoice<B = Cpu> = Albert<heads::MultipleChoice<B>, B>;
