//! From text to answer: one type for each task, over a model, a tokenizer and nothing else.
//!
//! ```
//! use std::path::Path;
//! use albert::pipeline::{FillMask, FillMaskOptions};
//! use albert::{Cpu, CpuOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
//! let device = Cpu::new(CpuOptions::default())?;
//! let (fill, _) = FillMask::from_pretrained(&folder, device)?;
//! let answer = fill.run("The capital of [MASK] is Paris.", &FillMaskOptions::default())?;
//! for filled in &answer.output[0] {
//!     println!("{:.4} {}", filled.score, filled.sequence);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every type has `from_pretrained` for a folder, `new` for a model and a tokenizer that are there
//! already, `run` for one input and `run_batch` for many. The result of an input does not depend
//! on the others of its batch; each has its own error. Outputs serialise as the values that the
//! pipelines of Hugging Face transformers return, with positions in code points.
//!
//! Nothing is cut silently: an input with more tokens than the model takes is an error, unless
//! [`Limits`] says otherwise, and [`Answer::truncated`] tells.

mod answer;
mod batch;
mod choose;
mod classify;
mod embed;
mod features;
mod fill_mask;
mod scores;
mod sentence_order;
mod span;
mod tag;
mod text;
mod zero_shot;

pub use answer::{AnswerOptions, AnswerSpan, QuestionAnswering};
pub use choose::{Choice, Choose, ChooseOptions};
pub use classify::{Apply, Classify, ClassifyOptions, Label};
pub use embed::{Embed, EmbedOptions, Pooling, PoolingMode, SentenceModules, cosine_similarity};
pub use features::{Features, FeaturesOptions, TokenFeatures};
pub use fill_mask::{FillMask, FillMaskOptions, Filled, Guesses};
pub use sentence_order::{SentenceOrder, SentenceOrderOptions};
pub use span::Span;
pub use tag::{Aggregation, Entity, Tag, TagInput, TagOptions};
pub use zero_shot::{Ranking, ZeroShot, ZeroShotOptions};

/// What a pipeline says about one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// The answer itself.
    pub output: T,
    /// Tokens of the whole input, with special tokens, before anything was cut.
    pub tokens: usize,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

impl<T> Answer<T> {
    /// The same answer in another form.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            output: change(self.output),
            tokens: self.tokens,
            truncated: self.truncated,
        }
    }
}

/// One result for each input of a batch, in their order.
pub type Results<T> = Vec<crate::error::Result<Answer<T>>>;

/// What happens to an input with more tokens than fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Long {
    /// It is an error.
    #[default]
    Error,
    /// The end is cut off, and the answer says so.
    Truncate,
    /// Overlapping windows cover the whole input; the task says how their answers are joined.
    Slide,
}

/// How much text a model sees at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What happens to longer inputs.
    pub long: Long,
    /// Most tokens of one window, special tokens included; `None`: the smaller one of the
    /// tokenizer's `model_max_length` and the model's positions, P. Never more than P.
    pub max_tokens: Option<usize>,
    /// Tokens that neighbouring windows share; `None`: as the task says, a quarter of a window
    /// unless it says otherwise.
    pub stride: Option<usize>,
    /// Tokens that the model gets at once: more need more memory, fewer cost speed. Results do not
    /// depend on it.
    pub batch_tokens: usize,
}

impl Limits {
    /// The default but for what happens to long inputs.
    #[must_use]
    pub fn long(long: Long) -> Self {
        Self {
            long,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            long: Long::Error,
            max_tokens: None,
            stride: None,
            batch_tokens: 2048,
        }
    }
}

/// Refuses a folder whose `config.json` names a classifier of another task: its tensors may fit all the same.
/// `from_pretrained` of the pipelines does so.
///
/// # Errors
/// Names both classes; a configuration that cannot be read.
pub fn check_trained_for<H: crate::Head<B>, B: crate::ops::Backend>(
    folder: &std::path::Path,
) -> crate::Result<()> {
    let config = crate::ModelFolder::open(folder)?.config;
    crate::checkpoint::check_trained_for(H::CLASS, &config)
}

/// The result of the only input of a batch.
fn only<T>(mut results: Vec<T>) -> T {
    assert_eq!(results.len(), 1, "one result for one input");
    results.remove(0)
}
