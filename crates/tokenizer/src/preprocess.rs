//! What transformers' slow class and Google's script do to a text before SentencePiece sees it.

use crate::python::{is_space, lower, lower_sigmas, strip_accents};

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Preprocess {
    /// Lower-case each character by itself (the slow class does so before it splits at added
    /// tokens, and again at the end).
    pub lower_first: bool,
    /// White space becomes single spaces, none at the ends.
    pub remove_space: bool,
    /// Two back-ticks and two apostrophes become a quotation mark.
    pub quotes: bool,
    /// NFKD without combining characters.
    pub strip_accents: bool,
    /// Lower-case the whole.
    pub lower: bool,
}

/// A preprocessed text, and for each of its bytes the range of the original that it comes from.
#[derive(Default)]
pub(crate) struct Prepared {
    pub text: String,
    /// Filled on request.
    pub starts: Vec<usize>,
    pub ends: Vec<usize>,
}

impl Prepared {
    fn push(&mut self, character: char, span: Option<(usize, usize)>) {
        self.text.push(character);
        if let Some((start, end)) = span {
            self.starts.resize(self.text.len(), start);
            self.ends.resize(self.text.len(), end);
        }
    }

    /// The range of the original behind a range of the text.
    pub(crate) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = match self.starts.get(start) {
            Some(&first) => first,
            None => self.ends.last().copied().unwrap_or_default(),
        };
        if start == end {
            return (first, first);
        }
        let last = self.ends.get(end - 1).copied().unwrap_or_default();
        (first, last.max(first))
    }
}

impl Preprocess {
    /// Prepares `text`. With `base`, positions are kept too, counted from there.
    pub(crate) fn run(&self, text: &str, base: Option<usize>, out: &mut Prepared) {
        out.text.clear();
        out.starts.clear();
        out.ends.clear();
        if base.is_none() && text.is_ascii() {
            return self.ascii(text, &mut out.text);
        }
        // The last character is held back: quotes are pairs.
        let mut held: Option<(char, usize, usize)> = None;
        let mut gap: Option<(usize, usize)> = None;
        let mut put = |out: &mut Prepared, character: char, start: usize, end: usize| {
            if self.quotes && matches!(character, '`' | '\'') {
                match held.take() {
                    Some((first, start, _)) if first == character => {
                        self.finish('"', start, end, base, out);
                    }
                    before => {
                        if let Some((first, start, end)) = before {
                            self.finish(first, start, end, base, out);
                        }
                        held = Some((character, start, end));
                    }
                }
                return;
            }
            if let Some((first, start, end)) = held.take() {
                self.finish(first, start, end, base, out);
            }
            if character != '\0' || start != usize::MAX {
                self.finish(character, start, end, base, out);
            }
        };
        let mut any = false;
        for (at, character) in text.char_indices() {
            let end = at + character.len_utf8();
            let mut step = |character: char| {
                if self.remove_space && is_space(character) {
                    gap = Some((gap.map_or(at, |gap| gap.0), end));
                    return;
                }
                if let Some((start, end)) = gap.take()
                    && any
                {
                    put(out, ' ', start, end);
                }
                any = true;
                put(out, character, at, end);
            };
            if self.lower_first {
                lower(character, step);
            } else {
                step(character);
            }
        }
        // A last call without a character lets go of what is held.
        put(out, '\0', usize::MAX, usize::MAX);
        if self.lower {
            lower_sigmas(&mut out.text);
        }
    }

    /// Accents and case of one character.
    #[inline]
    fn finish(
        &self,
        character: char,
        start: usize,
        end: usize,
        base: Option<usize>,
        out: &mut Prepared,
    ) {
        let span = base.map(|base| (base + start, base + end));
        let mut put = |character: char| {
            // Sigmas wait until their neighbours are known.
            if self.lower && character != 'Σ' {
                lower(character, |character| out.push(character, span));
            } else {
                out.push(character, span);
            }
        };
        if self.strip_accents {
            strip_accents(character, put);
        } else {
            put(character);
        }
    }

    fn ascii(&self, text: &str, out: &mut String) {
        out.reserve(text.len());
        let push = |out: &mut String, part: &str| {
            if self.quotes && (part.contains("``") || part.contains("''")) {
                out.push_str(&part.replace("``", "\"").replace("''", "\""));
            } else {
                out.push_str(part);
            }
        };
        if self.remove_space {
            for word in text.split(is_space).filter(|word| !word.is_empty()) {
                if !out.is_empty() {
                    out.push(' ');
                }
                push(out, word);
            }
        } else {
            push(out, text);
        }
        if self.lower || self.lower_first {
            out.make_ascii_lowercase();
        }
    }
}
