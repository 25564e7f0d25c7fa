//! `tokenizer.json` as data: read with checks, written again; nothing here runs on a text.
//!
//! The file is that of the `tokenizers` library, releases 0.13 to 0.23. What this crate cannot do
//! is refused by name and place; an unknown key is refused too, since ignoring it could change
//! results without a word.

mod base64;
mod decoder;
mod model;
mod node;
mod normalizer;
mod post_processor;
mod pre_tokenizer;
mod read;
mod write;

pub(crate) use decoder::Decoder;
pub(crate) use model::{Model, UnigramSpec, WordPieceSpec};
pub(crate) use normalizer::{BertNormalizer, Normalizer, Pattern};
pub(crate) use post_processor::{Side, Template, TemplatePiece};
pub(crate) use pre_tokenizer::{Behavior, PreTokenizer, PrependScheme};

/// A whole `tokenizer.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    /// How the file wants long inputs cut.
    pub truncation: Option<Truncation>,
    /// How the file wants batches filled.
    pub padding: Option<Padding>,
    /// Tokens recognised before the model sees the text, in file order.
    pub added_tokens: Vec<AddedToken>,
    /// Steps in order; nested sequences are laid flat, which changes nothing.
    pub normalizer: Vec<Normalizer>,
    /// Steps in order, laid flat.
    pub pre_tokenizer: Vec<PreTokenizer>,
    /// Vocabulary and search.
    pub model: Model,
    /// Special tokens around sequences; `None`: none are put.
    pub template: Option<Template>,
    /// Steps from tokens to text; `None`: tokens are joined with spaces.
    pub decoder: Option<Vec<Decoder>>,
}

/// A token that is cut out of the text before the model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddedToken {
    /// Number that the file states; [`crate::added`] checks it against what tokenizers assigns.
    pub id: u32,
    /// The text.
    pub content: String,
    /// Only where no word character stands beside it.
    pub single_word: bool,
    /// Takes the white space on its left.
    pub lstrip: bool,
    /// Takes the white space on its right.
    pub rstrip: bool,
    /// Searched in the normalised text, in its own normalised form.
    pub normalized: bool,
    /// Left out when decoding without special tokens.
    pub special: bool,
}

/// The section `truncation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truncation {
    pub max_length: usize,
    pub stride: usize,
    pub strategy: TruncationStrategy,
    /// Cut at the left end instead of the right one.
    pub left: bool,
}

/// Which sequence of a pair loses tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TruncationStrategy {
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

/// The section `padding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Padding {
    /// `None`: to the longest of the batch.
    pub length: Option<usize>,
    pub left: bool,
    pub pad_to_multiple_of: Option<usize>,
    pub pad_id: u32,
    pub pad_type_id: u32,
    pub pad_token: String,
}
