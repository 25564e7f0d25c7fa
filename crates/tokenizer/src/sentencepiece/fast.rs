//! The fast way through a text: words are cut, normalised and looked up one by one.
//!
//! Right only where [`Bytes::new`] finds that no piece can cross the cuts that are made here. What
//! is not plain ASCII goes through the normaliser piecewise, with the same result as in one go:
//! a stretch begins and ends where the normaliser copies single characters.

use super::SentencePiece;
use crate::{
    engine::{Cache, Pieces},
    normalizer::{Normalizer, SPACE},
    unigram::{PieceKind, Scratch, Unigram},
    words::{self, MAX_WORD, Words},
};

/// Receives the pieces of a text.
pub(super) trait Sink {
    /// Are offsets wanted?
    const SPANS: bool;
    fn len(&self) -> usize;
    fn truncate(&mut self, length: usize);
    fn piece(&mut self, id: u32, start: usize, end: usize);
    /// An unknown character; `joins` the unknown piece before it.
    fn unknown(&mut self, id: u32, text: &str, start: usize, end: usize, joins: bool);
    /// The text is at its end.
    fn finish(&mut self);
}

/// Ids alone.
pub(super) struct Ids<'a>(pub &'a mut Vec<u32>);

impl Sink for Ids<'_> {
    const SPANS: bool = false;
    fn len(&self) -> usize {
        self.0.len()
    }
    fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }
    #[inline]
    fn piece(&mut self, id: u32, _start: usize, _end: usize) {
        self.0.push(id);
    }
    #[inline]
    fn unknown(&mut self, id: u32, _text: &str, _start: usize, _end: usize, joins: bool) {
        if !joins {
            self.0.push(id);
        }
    }
    fn finish(&mut self) {}
}

/// Ids, offsets and texts of unknown runs.
pub(super) struct Spans<'a> {
    pub out: &'a mut Pieces,
    /// The unknown run that is still growing.
    pub run: String,
}

impl Sink for Spans<'_> {
    const SPANS: bool = true;
    fn len(&self) -> usize {
        self.out.ids.len()
    }
    fn truncate(&mut self, length: usize) {
        self.finish();
        self.out.ids.truncate(length);
        self.out.offsets.truncate(length);
        self.out.words.truncate(length);
        self.out.surfaces.retain(|(index, _)| *index < length);
    }
    #[inline]
    fn piece(&mut self, id: u32, start: usize, end: usize) {
        self.out.push(id, (start, end), None);
    }
    fn unknown(&mut self, id: u32, text: &str, start: usize, end: usize, joins: bool) {
        if joins && let Some(last) = self.out.offsets.last_mut() {
            last.1 = end;
        } else {
            self.finish();
            self.out.surfaces.push((self.out.ids.len(), "".into()));
            self.out.push(id, (start, end), None);
        }
        self.run.push_str(text);
    }
    fn finish(&mut self) {
        if !self.run.is_empty()
            && let Some((_, surface)) = self.out.surfaces.last_mut()
        {
            *surface = self.run.as_str().into();
            self.run.clear();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    /// Part of longer pieces; the normaliser copies it before ASCII.
    Inner,
    /// The normaliser copies it before ASCII, and no piece crosses it.
    Cut,
    /// A space that the normaliser copies before ASCII.
    Space,
    /// The normaliser has to look.
    Other,
}

/// What each byte may do.
pub(super) struct Bytes {
    class: [Class; 256],
    /// For ASCII bytes that no longer piece holds: their piece and its score.
    single: [(u32, f32); 128],
    /// One bit for each character of the basic plane that longer pieces hold.
    inner: Vec<u64>,
    /// Do longer pieces hold characters beyond the basic plane?
    inner_beyond: bool,
}

impl Bytes {
    /// The table, or `None` if words of this model cannot be looked at one by one.
    pub(super) fn new(
        model: &Unigram,
        normalizer: &Normalizer,
        byte_fallback: bool,
    ) -> Option<Self> {
        let usual = normalizer.add_dummy_prefix
            && normalizer.remove_extra_whitespaces
            && normalizer.escape_whitespaces
            && !normalizer.treat_whitespace_as_suffix;
        if !usual || byte_fallback || normalizer.charsmap.has_inside(b' ') {
            return None;
        }
        model.id(SPACE)?;
        let mut table = Self {
            class: [Class::Other; 256],
            single: [(0, 0.0); 128],
            inner: vec![0; 1024],
            inner_beyond: false,
        };
        for piece in &model.pieces {
            let text = &*piece.text;
            if !matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) {
                continue;
            }
            if text.chars().nth(1).is_none() {
                continue;
            }
            // Longer symbols may hold what the normaliser would change; pieces that hold `▁`
            // inside or spaces cross words.
            if piece.kind == PieceKind::UserDefined
                || text.contains(' ')
                || text
                    .char_indices()
                    .any(|(at, c)| at > 0 && SPACE.starts_with(c))
            {
                return None;
            }
            for character in text.chars() {
                table.set_inner(character);
            }
        }
        let unk = (model.unk_id?, model.unk_score as f32);
        for byte in 0..128_u8 {
            let character = char::from(byte);
            let text = character.to_string();
            table.single[usize::from(byte)] = model
                .trie()
                .get(text.as_bytes())
                .map_or(unk, |id| (id, model.score_f32(id)));
            table.class[usize::from(byte)] = if !normalizer.charsmap.is_plain(byte) {
                Class::Other
            } else if byte == b' ' {
                Class::Space
            } else if table.is_inner(character) {
                Class::Inner
            } else {
                Class::Cut
            };
        }
        (table.class[usize::from(b' ')] == Class::Space).then_some(table)
    }

    /// Does the text end here, or go on with a byte that the normaliser copies before ASCII?
    #[inline]
    fn copied(&self, text: &[u8], at: usize) -> bool {
        match text.get(at) {
            None => true,
            Some(&byte) => self.class[usize::from(byte)] != Class::Other,
        }
    }

    fn set_inner(&mut self, character: char) {
        let code = character as usize;
        match self.inner.get_mut(code / 64) {
            Some(word) => *word |= 1 << (code % 64),
            None => self.inner_beyond = true,
        }
    }

    fn is_inner(&self, character: char) -> bool {
        let code = character as usize;
        match self.inner.get(code / 64) {
            Some(word) => word >> (code % 64) & 1 != 0,
            None => self.inner_beyond,
        }
    }
}

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
