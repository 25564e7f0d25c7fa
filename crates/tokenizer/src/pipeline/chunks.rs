//! Where a text can be cut so that its parts cannot influence each other.
//!
//! A cut stands before a run of spaces whose two neighbours are *borders*: characters that, alone
//! between two spaces, come out of every step of the normaliser as something that is not empty and
//! stays apart from the spaces (`Pipeline::is_border` tries it out). Then each step does the same
//! on the parts as on the whole:
//! - replacements have no space in their pattern, so no match crosses a cut; the run of spaces
//!   stays in one part, so collapsing it is local too;
//! - decomposition, composition and sorting of marks stop at a space that no mark follows;
//! - graphemes end at the spaces. Charsmap rules see graphemes of fewer than six bytes; that a
//!   border is swallowed as the tail of such a grapheme takes a character before it that joins to
//!   the right, which is why the neighbour of a border must be ASCII or a border as well;
//! - where a charsmap rule makes the beginning of a segment vanish, the library's ranges are out of
//!   step in all of the segment: `Pipeline::run` then takes it as a whole. Other parts begin with a
//!   space, which does not vanish;
//! - the first pre-tokeniser cuts at each space, later ones work inside its words.

use unicode_segmentation::UnicodeSegmentation;

use super::LONGEST;
use crate::json::{Normalizer, Pattern, PreTokenizer, PrependScheme};

/// Whether and how texts are cut.
pub(crate) struct Chunks {
    cut: bool,
    /// The first part of a segment depends on its place in the text.
    first_differs: bool,
    /// Bytes that are borders by themselves, and with the space.
    borders: [bool; 256],
    calm: [bool; 256],
}

impl Chunks {
    /// No cuts.
    pub(crate) fn whole() -> Self {
        Self {
            cut: false,
            first_differs: true,
            borders: [false; 256],
            calm: [false; 256],
        }
    }

    /// Cuts if all steps are of the kinds for which that is exact.
    pub(crate) fn new(normalizer: &[Normalizer], pre_tokenizer: &[PreTokenizer]) -> Self {
        let printable = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic());
        let local = |step: &Normalizer| match step {
            Normalizer::Replace { pattern, content } => match pattern {
                Pattern::Text(text) => !text.contains(' ') && printable(content),
                Pattern::Spaces => content == " ",
            },
            Normalizer::Precompiled(map) => map.transform(" ").is_none(),
            Normalizer::Prepend(_) | Normalizer::Strip { .. } => false,
            _ => true,
        };
        let splits_at_spaces = match pre_tokenizer.first() {
            Some(PreTokenizer::Metaspace { split, .. }) => *split,
            Some(PreTokenizer::WhitespaceSplit | PreTokenizer::Whitespace | PreTokenizer::Bert) => {
                true
            }
            Some(PreTokenizer::Punctuation(_)) | None => false,
        };
        let first = |step: &PreTokenizer| matches!(step, PreTokenizer::Metaspace { prepend, .. } if *prepend == PrependScheme::First);
        Self {
            cut: splits_at_spaces && normalizer.iter().all(local),
            first_differs: pre_tokenizer.iter().any(first),
            ..Self::whole()
        }
    }

    /// Takes down which ASCII characters are borders.
    pub(crate) fn learn(&mut self, mut is_border: impl FnMut(char) -> bool) {
        for byte in b'!'..=b'~' {
            let border = is_border(char::from(byte));
            self.borders[usize::from(byte)] = border;
            self.calm[usize::from(byte)] = border;
        }
        self.calm[usize::from(b' ')] = true;
    }

    /// The common case of [`Chunks::end`]: a chunk of at most 15 bytes that ends at a single space
    /// between ASCII characters. Its length and its key (see `memory::key`).
    #[inline]
    pub(crate) fn quick(&self, segment: &[u8], at: usize) -> Option<(usize, u128)> {
        const ONES: u128 = u128::MAX / 255;
        let (window, rest) = segment.get(at..)?.split_first_chunk::<16>()?;
        let bits = u128::from_le_bytes(*window);
        // The first space behind the first byte: the lowest zero byte after an exclusive or.
        let other = (bits >> 8 | 0xff << 120) ^ (ONES * 0x20);
        let zero = other.wrapping_sub(ONES) & !other & (ONES * 0x80);
        let space = (zero.trailing_zeros() / 8 + 1) as usize;
        let get = |i: usize| match window.get(i) {
            Some(&byte) => Some(byte),
            None => rest.get(i - 16).copied(),
        };
        let calm = |byte: Option<u8>| byte.is_none_or(|b| self.calm[usize::from(b)]);
        let ends = space < 16
            && self.borders[usize::from(window[space - 1])]
            && (space < 2 || self.calm[usize::from(window[space - 2])])
            && get(space + 1).is_some_and(|b| self.borders[usize::from(b)])
            && calm(get(space + 2));
        let mask = (1u128 << (space as u32 * 8 % 128)) - 1;
        ends.then_some((space, bits & mask | (space as u128) << 120))
    }

    /// Can the chunk that begins at `at` in its segment be remembered?
    pub(crate) fn remembers(&self, at: usize) -> bool {
        self.cut && !(at == 0 && self.first_differs)
    }

    /// The end of the chunk of `segment` that begins at `at`.
    pub(crate) fn end(
        &self,
        segment: &str,
        at: usize,
        mut is_border: impl FnMut(char) -> bool,
    ) -> usize {
        if !self.cut {
            return limit(segment, at);
        }
        let bytes = segment.as_bytes();
        let mut i = at;
        loop {
            // The run of spaces at the beginning belongs to the chunk.
            while bytes.get(i) == Some(&b' ') {
                i += 1;
            }
            while bytes.get(i).is_some_and(|&b| b != b' ') {
                i += 1;
            }
            let mut next = i;
            while bytes.get(next) == Some(&b' ') {
                next += 1;
            }
            if next >= bytes.len() {
                break;
            }
            if before(segment, i, &mut is_border) && behind(segment, next, &mut is_border) {
                return i;
            }
            i = next;
        }
        limit(segment, at)
    }
}

/// The end of a part that begins at `at` and is not cut: that of the segment, unless it is longer
/// than [`LONGEST`].
pub(super) fn limit(segment: &str, at: usize) -> usize {
    let mut end = segment.len().min(at.saturating_add(LONGEST));
    while !segment.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// Is the character before `at` a border, and its own neighbour no danger to it?
fn before(text: &str, at: usize, is_border: &mut impl FnMut(char) -> bool) -> bool {
    let mut chars = text[..at].chars().rev();
    chars.next().is_some_and(&mut *is_border) && chars.next().is_none_or(|c| calm(c, is_border))
}

/// Is the character at `at` a border, and its own neighbour no danger to it?
fn behind(text: &str, at: usize, is_border: &mut impl FnMut(char) -> bool) -> bool {
    let mut chars = text[at..].chars();
    chars.next().is_some_and(&mut *is_border) && chars.next().is_none_or(|c| calm(c, is_border))
}

fn calm(c: char, is_border: &mut impl FnMut(char) -> bool) -> bool {
    c == ' ' || is_border(c)
}

/// Is `text` one space, something that touches no space, and one space, with grapheme boundaries
/// between them?
pub(super) fn stands_alone(text: &str) -> bool {
    let inner = text.strip_prefix(' ').and_then(|t| t.strip_suffix(' '));
    let apart = inner.is_some_and(|t| !t.is_empty() && t.trim() == t && !t.chars().any(is_jamo));
    apart
        && text.graphemes(true).next() == Some(" ")
        && text.graphemes(true).next_back() == Some(" ")
}

/// Hangul letters that join to syllables: composition could make another character of a border.
fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{d7b0}'..='\u{d7ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_agrees() {
        let mut chunks = Chunks::new(&[], &[PreTokenizer::WhitespaceSplit]);
        chunks.learn(|c| c != '#');
        let text = "the cat ! #x y# zz  a é b c a\u{301} d e the_longest_word_of_all of fifteen123456 a1234567890123 x";
        let (mut quick, mut all) = (0, 0);
        for at in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
            let end = chunks.end(text, at, |c| c != '#' && c != '\u{301}' && c > ' ');
            all += 1;
            if let Some((length, key)) = chunks.quick(text.as_bytes(), at) {
                assert_eq!(
                    (at + length, Some(key)),
                    (end, super::super::memory::key(&text[at..end]))
                );
                quick += 1;
            }
        }
        assert!(quick > all / 3, "{quick} of {all}");
    }

    #[test]
    fn what_stands_alone() {
        for text in [" a ", " \u{e9} ", " \u{4e2d} ", " a\u{301} "] {
            assert!(stands_alone(text), "{text:?}");
        }
        for text in [
            "",
            " ",
            "  ",
            "   ",
            " \u{301} ",
            " \u{600} ",
            " \u{1100} ",
            " \u{200d} ",
            " \u{3000} ",
            "a ",
            " a",
        ] {
            assert!(!stands_alone(text), "{text:?}");
        }
    }
}
