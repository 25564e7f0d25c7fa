//! The fast way through a text: words are cut, normalised and looked up one by one.
//!
//! Right only where [`Bytes::new`] finds that no piece can cross the cuts that are made here. What
//! is not plain ASCII goes through the normaliser piecewise, with the same result as in one go:
//! a stretch begins and ends where the normaliser copies single characters.

use super::{
    SentencePiece,
    bytes::{Bytes, Class},
    sink::Sink,
};
use crate::{
    engine::Cache,
    normalizer::SPACE,
    unigram::Scratch,
    words::{self, MAX_WORD, Words},
};

/// Where the bytes of a segment come from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// Its `▁` from `mark`, its bytes from `start` on, one by one.
    Text { mark: usize, start: usize },
    /// From `origins[at..]`, with an entry for the end.
    Stretch { origins: &'a [usize] },
}

impl Origin<'_> {
    /// The place in the text of byte `index` of a segment that begins with `mark` bytes of `▁`.
    #[inline]
    fn of(self, index: usize, mark_length: usize) -> usize {
        match self {
            Origin::Text { mark, .. } if index < mark_length => mark,
            Origin::Text { start, .. } => start + index - mark_length,
            Origin::Stretch { origins } => origins[index],
        }
    }
}

/// The state on the way through one text.
struct Run<'a, S> {
    engine: &'a SentencePiece,
    bytes: &'a Bytes,
    words: &'a mut Words,
    scratch: &'a mut Scratch,
    /// A word with its `▁`.
    word: &'a mut Vec<u8>,
    sink: &'a mut S,
    /// SentencePiece's running sum.
    sum: f32,
    after_unknown: bool,
}

/// Encodes `text`, or returns false if it holds what only the plain way can do.
pub(super) fn encode<S: Sink>(
    engine: &SentencePiece,
    bytes: &Bytes,
    text: &str,
    cache: &mut Cache,
    sink: &mut S,
) -> bool {
    let Cache {
        words,
        scratch,
        word,
        normalized,
        origins,
        ..
    } = cache;
    let mut run = Run {
        engine,
        bytes,
        words,
        scratch,
        word,
        sink,
        sum: 0.0,
        after_unknown: false,
    };
    let input = text.as_bytes();
    let mut at = 0;
    while at < input.len() {
        let (eaten, becomes) = engine.normalizer.prefix(&text[at..]);
        if becomes != " " {
            break;
        }
        at += eaten;
    }
    // Where the `▁` comes from that the next word begins with.
    let mut mark = Some(at);
    // Rules may eat what follows, or remove it, and then the piece before ends behind it.
    let is_copied = |at: usize| bytes.copied(input, at);
    while let Some(&byte) = input.get(at) {
        let (start, stop) = match bytes.class[usize::from(byte)] {
            Class::Inner => {
                let start = at;
                at += 1;
                while at < input.len() && bytes.class[usize::from(input[at])] == Class::Inner {
                    at += 1;
                }
                if is_copied(at) {
                    let origin = Origin::Text {
                        mark: mark.unwrap_or_default(),
                        start,
                    };
                    run.segment(input, start, at, mark.take().is_some(), origin);
                    continue;
                }
                (start, at - 1)
            }
            Class::Space if is_copied(at + 1) => {
                mark.get_or_insert(at);
                at += 1;
                continue;
            }
            Class::Cut if is_copied(at + 1) => {
                if let Some(mark) = mark.take() {
                    let origin = Origin::Text { mark, start: at };
                    run.segment(input, at, at, true, origin);
                }
                let (id, score) = bytes.single[usize::from(byte)];
                run.single(id, score, &text[at..=at], (at, at + 1));
                at += 1;
                continue;
            }
            _ => (at, at),
        };
        at = match run.stretch(text, start, stop, &mut mark, normalized, origins) {
            Some(at) => at,
            None => return false,
        };
    }
    true
}

impl<S: Sink> Run<'_, S> {
    /// One character that no longer piece holds.
    #[inline]
    fn single(&mut self, id: u32, score: f32, text: &str, span: (usize, usize)) {
        let before = self.sum;
        self.sum += score;
        if before.abs() > RESET_SOON {
            self.sum = self
                .engine
                .model
                .encode_f32(text.as_bytes(), before, self.scratch);
        }
        self.engine
            .emit(id, text, span, &mut self.after_unknown, self.sink);
    }

    /// The pieces of `text[start..end]`, after a `▁` if there is a `mark`.
    #[inline]
    fn segment(&mut self, text: &[u8], start: usize, end: usize, mark: bool, origin: Origin) {
        let mark_length = if mark { SPACE.len() } else { 0 };
        if end - start <= MAX_WORD {
            let key = words::key(text, start, end, mark);
            let word = match self.words.find(key) {
                Some(word) => *word,
                None => {
                    self.set_word(&text[start..end], mark);
                    self.words.learn(key, self.word, &self.engine.model)
                }
            };
            if self.sum.abs() < word.limit {
                if word.pieces == 1 && !word.unknown {
                    self.sum += word.score;
                    self.after_unknown = false;
                    let (first, last) = if S::SPANS {
                        let length = mark_length + end - start;
                        (origin.of(0, mark_length), origin.of(length, mark_length))
                    } else {
                        (0, 0)
                    };
                    self.sink.piece(word.first, first, last);
                    return;
                }
                if word.unknown && S::SPANS {
                    self.set_word(&text[start..end], mark);
                }
                let mut from = 0;
                for part in self.words.parts(&word) {
                    self.sum += part.score;
                    let to = part.end as usize;
                    let (first, last) = if S::SPANS {
                        (origin.of(from, mark_length), origin.of(to, mark_length))
                    } else {
                        (0, 0)
                    };
                    if word.unknown {
                        let text = if S::SPANS {
                            utf8(&self.word[from..to])
                        } else {
                            ""
                        };
                        let span = (first, last);
                        self.engine
                            .emit(part.id, text, span, &mut self.after_unknown, self.sink);
                    } else {
                        self.sink.piece(part.id, first, last);
                    }
                    from = to;
                }
                self.after_unknown &= word.unknown;
                return;
            }
        }
        self.uncertain(text, start, end, mark, origin);
    }

    /// A word whose path depends on the running sum, or a long one.
    #[cold]
    fn uncertain(&mut self, text: &[u8], start: usize, end: usize, mark: bool, origin: Origin) {
        let mark_length = if mark { SPACE.len() } else { 0 };
        self.set_word(&text[start..end], mark);
        self.sum = self
            .engine
            .model
            .encode_f32(self.word, self.sum, self.scratch);
        for step in self.scratch.path.iter().rev() {
            let span = (
                origin.of(step.start, mark_length),
                origin.of(step.end, mark_length),
            );
            let text = utf8(&self.word[step.start..step.end]);
            self.engine
                .emit(step.id, text, span, &mut self.after_unknown, self.sink);
        }
    }

    fn set_word(&mut self, text: &[u8], mark: bool) {
        self.word.clear();
        if mark {
            self.word.extend_from_slice(SPACE.as_bytes());
        }
        self.word.extend_from_slice(text);
    }

    /// Normalises from `stop` on, behind `text[start..stop]`, which stays as it is, until the
    /// normaliser is sure to copy again, and emits what became of it. Returns the place reached;
    /// `None` if the text holds a `▁` of its own, which would look like a space.
    #[cold]
    fn stretch(
        &mut self,
        text: &str,
        start: usize,
        stop: usize,
        mark: &mut Option<usize>,
        out: &mut String,
        origins: &mut Vec<usize>,
    ) -> Option<usize> {
        let input = text.as_bytes();
        out.clear();
        origins.clear();
        if let Some(mark) = mark.take() {
            out.push_str(SPACE);
            origins.resize(out.len(), mark);
        }
        let mut after_space = start == stop && !out.is_empty();
        out.push_str(&text[start..stop]);
        origins.extend(start..stop);
        let mut at = stop;
        while at < input.len() {
            let sure = self.bytes.copied(input, at + 1)
                && matches!(
                    self.bytes.class[usize::from(input[at])],
                    Class::Space | Class::Cut
                );
            if sure && at > stop {
                break;
            }
            let (eaten, mut becomes) = self.engine.normalizer.prefix(&text[at..]);
            if after_space {
                becomes = becomes.trim_start_matches(' ');
            }
            if becomes.contains(SPACE) {
                return None;
            }
            if !becomes.is_empty() {
                for part in becomes.split_inclusive(' ') {
                    match part.strip_suffix(' ') {
                        Some(word) => {
                            out.push_str(word);
                            out.push_str(SPACE);
                        }
                        None => out.push_str(part),
                    }
                }
                origins.resize(out.len(), at);
                after_space = becomes.ends_with(' ');
            }
            at += eaten;
        }
        origins.push(at);
        if after_space {
            let length = out.len() - SPACE.len();
            *mark = Some(origins[length]);
            out.truncate(length);
            origins.truncate(length + 1);
        }
        self.segments(out, origins);
        Some(at)
    }

    /// Emits normalised text.
    fn segments(&mut self, text: &str, origins: &[usize]) {
        let mut start = 0;
        let mut marked = false;
        let flush = |run: &mut Self, start: usize, end: usize, marked: bool| {
            if start < end || marked {
                let from = if marked { start - SPACE.len() } else { start };
                let origin = Origin::Stretch {
                    origins: &origins[from..],
                };
                run.segment(text.as_bytes(), start, end, marked, origin);
            }
        };
        for (at, character) in text.char_indices() {
            let end = at + character.len_utf8();
            if SPACE.starts_with(character) {
                flush(self, start, at, marked);
                (start, marked) = (end, true);
            } else if !self.bytes.is_inner(character) {
                flush(self, start, at, marked);
                (start, marked) = (end, false);
                let model = &self.engine.model;
                let (id, score) = match self.bytes.single.get(character as usize) {
                    Some(&single) => single,
                    None => match model.trie().get(&text.as_bytes()[at..end]) {
                        Some(id) => (id, model.score_f32(id)),
                        None => (self.engine.unk_id, model.unk_score as f32),
                    },
                };
                self.single(id, score, &text[at..end], (origins[at], origins[end]));
            }
        }
        flush(self, start, text.len(), marked);
    }
}

/// Beyond this the running sum may be started anew, which only the search itself does.
const RESET_SOON: f32 = 99_000.0;

/// Cuts lie between characters, so this never loses anything.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
