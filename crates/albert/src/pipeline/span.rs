//! Places in a text, in bytes and in code points.

use std::ops::Range;

use albert_tokenizer::CharIndex;

/// A part of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// In bytes: `&text[span.bytes.clone()]` is the part.
    pub bytes: Range<usize>,
    /// In code points, as Python counts and as JSON shows it.
    pub chars: Range<usize>,
}

impl Span {
    /// From offsets of a tokenizer: bytes, clamped to the text and to whole characters.
    pub(crate) fn new(text: &str, index: &CharIndex<'_>, bytes: Range<usize>) -> Self {
        let whole = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let bytes = whole(bytes.start)..whole(bytes.end);
        let chars = index.chars_before(bytes.start)..index.chars_before(bytes.end);
        Self { bytes, chars }
    }

    /// The part of the text; empty where the end lies before the start.
    pub(crate) fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.bytes.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_counting_name_the_same_part() {
        let text = "aé😀b";
        let index = CharIndex::new(text);
        let span = Span::new(text, &index, 1..7);
        assert_eq!((span.of(text), span.chars.clone()), ("é😀", 1..3));
        // Inside a character: its beginning. Behind the text: its end.
        let span = Span::new(text, &index, 4..99);
        assert_eq!((span.of(text), span.chars.clone()), ("😀b", 2..4));
    }
}
