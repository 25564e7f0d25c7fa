//! A text under change that remembers where each of its bytes came from.

/// A normalised text and, for each byte of it, the byte range of the original that it stands for.
///
/// Ranges are relative to the place where the text was taken from, and start ascending, since
/// every edit walks from left to right. They are `u32`: half the memory of `usize`, and
/// [`Aligned::load`] is never given more than 4 GiB (see [`super::LONGEST`]).
#[derive(Default)]
pub(crate) struct Aligned {
    text: String,
    spans: Vec<(u32, u32)>,
    /// Characters vanished at the beginning without being counted, so that all ranges behind them
    /// are too early (see `normalize::precompiled`).
    pub(super) lags: bool,
    /// The edit under way; keeps its memory between texts.
    next_text: String,
    next_spans: Vec<(u32, u32)>,
}

impl Aligned {
    /// Starts over with `text`, each character standing for itself.
    pub(crate) fn load(&mut self, text: &str) {
        self.lags = false;
        self.text.clear();
        self.text.push_str(text);
        self.spans.clear();
        self.spans.reserve(text.len());
        if text.is_ascii() {
            self.spans
                .extend((0..text.len() as u32).map(|i| (i, i + 1)));
            return;
        }
        for (at, c) in text.char_indices() {
            let (start, end) = (at as u32, (at + c.len_utf8()) as u32);
            for _ in 0..c.len_utf8() {
                self.spans.push((start, end));
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The original range of a range of the text that is not empty.
    pub(crate) fn original(&self, start: usize, end: usize) -> (usize, usize) {
        match (self.spans.get(start), self.spans.get(end.wrapping_sub(1))) {
            (Some(first), Some(last)) => (first.0 as usize, last.1 as usize),
            _ => (0, 0),
        }
    }

    /// Memory in use, in bytes; [`Aligned::shrink`] gives it back after a giant text.
    pub(crate) fn shrink(&mut self, limit: usize) {
        if self.text.capacity().max(self.next_text.capacity()) > limit {
            *self = Self::default();
        }
    }

    /// Replaces the whole text by the characters that `edit` pushes; it gets the old text.
    ///
    /// `skip` old characters vanish at the beginning.
    pub(crate) fn transform(&mut self, skip: usize, edit: impl FnOnce(&str, &mut Edit)) {
        self.next_text.clear();
        self.next_spans.clear();
        let mut out = Edit {
            old: &self.text,
            spans: &self.spans,
            at: 0,
            next_text: &mut self.next_text,
            next_spans: &mut self.next_spans,
        };
        for _ in 0..skip {
            out.step();
        }
        edit(&self.text, &mut out);
        self.swap();
    }

    fn swap(&mut self) {
        std::mem::swap(&mut self.text, &mut self.next_text);
        std::mem::swap(&mut self.spans, &mut self.next_spans);
    }

    /// Keeps the characters that `keep` accepts.
    pub(crate) fn filter(&mut self, keep: impl Fn(char) -> bool) {
        if self.text.chars().all(&keep) {
            return;
        }
        self.next_text.clear();
        self.next_spans.clear();
        for (at, c) in self.text.char_indices().filter(|(_, c)| keep(*c)) {
            self.next_text.push(c);
            self.next_spans
                .extend_from_slice(&self.spans[at..at + c.len_utf8()]);
        }
        self.swap();
    }

    /// Puts `content` in the place of the ranges that `find` pushes, ascending, apart and not
    /// empty. The new characters share the range of the last byte that they replace.
    pub(crate) fn replace(
        &mut self,
        content: &str,
        find: impl FnOnce(&str, &mut Vec<(usize, usize)>),
    ) {
        let mut ranges = Vec::new();
        find(&self.text, &mut ranges);
        if ranges.is_empty() {
            return;
        }
        self.rebuild(|r| {
            let mut done = 0;
            for (start, end) in ranges {
                r.copy(done, start);
                r.put(content, end - 1);
                done = end;
            }
            r.copy(done, r.old().len());
        });
    }

    /// Puts `content` before a text that is not empty; it shares the first character's range.
    pub(crate) fn prepend(&mut self, content: &str) {
        if let Some(&span) = self.spans.first() {
            self.text.insert_str(0, content);
            self.spans
                .splice(0..0, std::iter::repeat_n(span, content.len()));
        }
    }

    /// Rebuilds the text part by part: `build` copies ranges of the old one and puts in new text.
    pub(crate) fn rebuild(&mut self, build: impl FnOnce(&mut Rebuild)) {
        self.next_text.clear();
        self.next_spans.clear();
        build(&mut Rebuild { of: self });
        self.swap();
    }

    /// Lower case of ASCII letters in a text that is all ASCII; ranges stay.
    pub(crate) fn lowercase_ascii(&mut self) {
        self.text.make_ascii_lowercase();
    }
}

/// Access to the old and the new text inside [`Aligned::rebuild`].
pub(crate) struct Rebuild<'a> {
    of: &'a mut Aligned,
}

impl Rebuild<'_> {
    pub(crate) fn old(&self) -> &str {
        &self.of.text
    }

    /// Length of the new text so far.
    pub(crate) fn len(&self) -> usize {
        self.of.next_text.len()
    }

    pub(crate) fn copy(&mut self, start: usize, end: usize) {
        self.of.next_text.push_str(&self.of.text[start..end]);
        self.of
            .next_spans
            .extend_from_slice(&self.of.spans[start..end]);
    }

    /// New text that stands for what the old byte at `like` stands for.
    pub(crate) fn put(&mut self, content: &str, like: usize) {
        let span = self.of.spans.get(like).copied().unwrap_or((0, 0));
        self.of.next_text.push_str(content);
        self.of
            .next_spans
            .extend(std::iter::repeat_n(span, content.len()));
    }
}

/// The new text of [`Aligned::transform`], character by character.
pub(crate) struct Edit<'a> {
    old: &'a str,
    spans: &'a [(u32, u32)],
    /// Place in the old text.
    at: usize,
    next_text: &'a mut String,
    next_spans: &'a mut Vec<(u32, u32)>,
}

impl Edit<'_> {
    /// Appends a character.
    ///
    /// A change of 0 means that it stands for the next old character, −n that n more old ones
    /// vanish behind that, and a positive one that it is new and shares the range of the old
    /// character before it. These are the rules of tokenizers' `NormalizedString::transform`, its
    /// exact book-keeping included: ranges depend on it where characters vanish uncounted.
    pub(crate) fn push(&mut self, c: char, change: isize) {
        let span = if change > 0 {
            match self.at {
                0 => (0, 0),
                at => self.spans.get(at - 1).copied().unwrap_or((0, 0)),
            }
        } else {
            let span = self.spans.get(self.at).or(self.spans.last()).copied();
            for _ in change..=0 {
                self.step();
            }
            span.unwrap_or((0, 0))
        };
        self.next_text.push(c);
        for _ in 0..c.len_utf8() {
            self.next_spans.push(span);
        }
    }

    /// Steps over one old character.
    fn step(&mut self) {
        self.at += match self.old.as_bytes().get(self.at) {
            None => 0,
            Some(0..0x80) => 1,
            Some(0x80..0xe0) => 2,
            Some(0xe0..0xf0) => 3,
            Some(_) => 4,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Aligned {
        let mut aligned = Aligned::default();
        aligned.load(text);
        aligned
    }

    #[test]
    fn edits_keep_ranges() {
        let mut a = loaded("aé c");
        a.transform(0, |_, out| {
            for (c, change) in [('a', 0), ('e', 0), ('\u{301}', 1), (' ', 0), ('c', 0)] {
                out.push(c, change);
            }
        });
        assert_eq!(a.text(), "ae\u{301} c");
        assert_eq!(a.original(1, 4), (1, 3));
        assert_eq!(a.original(5, 6), (4, 5));
        a.filter(|c| c != '\u{301}');
        assert_eq!((a.text(), a.original(1, 2)), ("ae c", (1, 3)));
        a.replace("xy", |_, ranges| ranges.push((0, 2)));
        assert_eq!((a.text(), a.original(0, 2)), ("xy c", (1, 3)));
        a.prepend("▁");
        assert_eq!((a.text(), a.original(0, 3)), ("▁xy c", (1, 3)));
    }
}
