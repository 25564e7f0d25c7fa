//! A token beside the vocabulary: how it is recognised inside a text.

/// A token that is recognised as a whole, before the text is cut into pieces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct AddedToken {
    /// Its text.
    pub content: String,
    /// Only where no letter or digit stands beside it.
    #[serde(default)]
    pub single_word: bool,
    /// Whitespace to its left belongs to it.
    #[serde(default)]
    pub lstrip: bool,
    /// Whitespace to its right belongs to it.
    #[serde(default)]
    pub rstrip: bool,
    /// It is searched in the normalised text.
    #[serde(default)]
    pub normalized: bool,
    /// Decoding may leave it out.
    #[serde(default)]
    pub special: bool,
}

impl AddedToken {
    /// A token with the defaults of tokenizers: special tokens are searched in the text as it is,
    /// others in the normalised text.
    #[must_use]
    pub fn new(content: impl Into<String>, special: bool) -> Self {
        Self {
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: !special,
            special,
        }
    }
}
