//! Who receives the pieces of a text: ids alone, or everything.

use crate::engine::Pieces;

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
