//! What a caller may choose for one encoding: special tokens, truncation, padding.

/// An end of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The beginning.
    Left,
    /// The end.
    #[default]
    Right,
}

/// Which sequence gives way when the input is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The longer one, until both are equal; then both.
    LongestFirst,
    /// The first sequence alone.
    OnlyFirst,
    /// The second sequence alone.
    OnlySecond,
    /// None: the input stays as long as it is.
    #[default]
    DoNotTruncate,
}

/// How to shorten inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// Which sequence is cut.
    pub strategy: Strategy,
    /// Most tokens of the result, special tokens included; `None`: the tokenizer's
    /// `model_max_length`, and no truncation where that is not set.
    pub max_length: Option<usize>,
    /// Tokens that each overflow window shares with the one before it.
    pub stride: usize,
    /// Where tokens are cut off; `None`: the tokenizer's `truncation_side`.
    pub side: Option<Side>,
}

impl Truncation {
    /// The longest sequence first, down to `max_length` tokens.
    #[must_use]
    pub fn to(max_length: usize) -> Self {
        Self {
            strategy: Strategy::LongestFirst,
            max_length: Some(max_length),
            ..Self::default()
        }
    }
}

/// Up to which length inputs are padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PadTo {
    /// No padding.
    #[default]
    None,
    /// The longest input of the batch.
    Longest,
    /// This many tokens.
    MaxLength(usize),
}

/// How to lengthen inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Up to which length.
    pub to: PadTo,
    /// Where padding goes; `None`: the tokenizer's `padding_side`.
    pub side: Option<Side>,
    /// The padded length is rounded up to a multiple of this.
    pub multiple_of: Option<usize>,
}

/// What a caller may choose for one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Put `[CLS]` and `[SEP]` around the text, as the tokenizer's template says.
    pub add_special_tokens: bool,
    /// How to shorten.
    pub truncation: Truncation,
    /// How to lengthen.
    pub padding: Padding,
    /// Keep what truncation cut off: as windows in [`Encoding::overflowing`], or in the modes
    /// `hf-slow` and `google` as [`Encoding::overflowing_tokens`].
    ///
    /// [`Encoding::overflowing`]: crate::Encoding::overflowing
    /// [`Encoding::overflowing_tokens`]: crate::Encoding::overflowing_tokens
    pub return_overflowing_tokens: bool,
    /// Fill [`Encoding::type_ids`](crate::Encoding::type_ids); `None`: as `model_input_names` of
    /// the tokenizer says, which leaves them out in mode `hf5`.
    pub return_token_type_ids: Option<bool>,
}

impl Default for EncodeOptions {
    /// Special tokens, nothing cut, nothing padded.
    fn default() -> Self {
        Self {
            add_special_tokens: true,
            truncation: Truncation::default(),
            padding: Padding::default(),
            return_overflowing_tokens: false,
            return_token_type_ids: None,
        }
    }
}

/// One sequence of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequence<'a> {
    /// A text.
    Text(&'a str),
    /// Words that were split before, as in tagging: each is encoded by itself, offsets count from
    /// its beginning, and `word_ids` are the places in this list.
    Words(Vec<&'a str>),
}

/// A text, or a pair of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The first sequence.
    pub first: Sequence<'a>,
    /// The second sequence of a pair.
    pub second: Option<Sequence<'a>>,
}

impl<'a> Input<'a> {
    /// Words that were split before (`is_split_into_words` of transformers).
    pub fn words<S: AsRef<str>>(words: &'a [S]) -> Self {
        let words = words.iter().map(AsRef::as_ref).collect();
        Self {
            first: Sequence::Words(words),
            second: None,
        }
    }

    /// A pair of texts.
    #[must_use]
    pub fn pair(first: &'a str, second: &'a str) -> Self {
        (first, second).into()
    }
}

impl<'a> From<&'a str> for Input<'a> {
    fn from(text: &'a str) -> Self {
        Self {
            first: Sequence::Text(text),
            second: None,
        }
    }
}

impl<'a> From<&'a String> for Input<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<(&'a str, &'a str)> for Input<'a> {
    fn from((first, second): (&'a str, &'a str)) -> Self {
        Self {
            first: Sequence::Text(first),
            second: Some(Sequence::Text(second)),
        }
    }
}

impl<'a> From<&&'a str> for Input<'a> {
    fn from(text: &&'a str) -> Self {
        (*text).into()
    }
}

impl<'a> From<&(&'a str, &'a str)> for Input<'a> {
    fn from(pair: &(&'a str, &'a str)) -> Self {
        (*pair).into()
    }
}

impl<'a> From<&Input<'a>> for Input<'a> {
    fn from(input: &Input<'a>) -> Self {
        input.clone()
    }
}
