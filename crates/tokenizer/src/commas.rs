//! The rule for pieces that end with a digit and a comma: the number is encoded again without it.

use crate::{
    engine::{Cache, Engine, Pieces},
    normalizer::SPACE,
    preprocess::Prepared,
    python::is_digit,
    sampling::Sampler,
    sentencepiece::SentencePiece,
};
use std::collections::HashMap;

/// Whose rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// A `▁` that the second encoding adds to a piece without one is taken off again.
    Transformers,
    /// Google compares text with bytes there, so the `▁` stays.
    Google,
}

/// What each such piece of a vocabulary becomes.
pub(crate) struct Commas {
    rule: Rule,
    unk_id: u32,
    /// Replacements of ids, with the text of each piece.
    known: HashMap<u32, Vec<(u32, Box<str>)>>,
    /// `known` as a table over ids.
    affected: Vec<bool>,
    /// Pieces whose name belongs to a control piece too, and its id: both references go from names
    /// to ids.
    renamed: HashMap<u32, u32>,
    /// Can an unknown run be a piece by name, or end with a comma? Not in any usual vocabulary.
    unknown_matters: bool,
}

/// Is this a piece with a digit before a comma at its end?
fn applies(text: &str) -> bool {
    let mut last = text.chars().rev();
    last.next() == Some(',') && last.next().is_some_and(is_digit)
}

impl Commas {
    pub(crate) fn new(inner: &SentencePiece, rule: Rule) -> Self {
        let mut commas = Self {
            rule,
            unk_id: inner.unk_id(),
            known: HashMap::new(),
            affected: vec![false; inner.vocab_size()],
            renamed: HashMap::new(),
            unknown_matters: inner.model.trie().get(b",").is_none(),
        };
        let mut cache = Cache::default();
        for (id, piece) in inner.model.pieces.iter().enumerate() {
            commas.unknown_matters |= piece.text.chars().all(|character| {
                let mut bytes = [0; 4];
                let character = character.encode_utf8(&mut bytes);
                inner.model.trie().get(character.as_bytes()).is_none()
            });
            let named = inner.piece_to_id(&piece.text);
            if named != id as u32 {
                commas.renamed.insert(id as u32, named);
                commas.affected[id] = true;
            }
            if applies(&piece.text) {
                commas.affected[id] = true;
                let parts = commas.replace(inner, &piece.text, None, &mut cache);
                commas.known.insert(id as u32, parts);
            }
        }
        commas
    }

    /// The pieces of one that ends with a digit and a comma.
    fn replace(
        &self,
        inner: &SentencePiece,
        text: &str,
        sampler: Option<&mut Sampler>,
        cache: &mut Cache,
    ) -> Vec<(u32, Box<str>)> {
        let number = text[..text.len() - 1].replace(SPACE, "");
        let mut pieces = Pieces::default();
        match sampler {
            Some(sampler) => inner.sample(&number, sampler, cache, &mut pieces),
            None => inner.pieces(&number, cache, &mut pieces),
        }
        let mut parts: Vec<(u32, Box<str>)> = Vec::new();
        let mut surfaces = pieces.surfaces.iter().peekable();
        for (index, &id) in pieces.ids.iter().enumerate() {
            let text: Box<str> = match surfaces.next_if(|(at, _)| *at == index) {
                Some((_, surface)) => surface.clone(),
                None => inner.token(id).unwrap_or_default().into(),
            };
            parts.push((inner.piece_to_id(&text), text));
        }
        if self.rule == Rule::Transformers
            && !text.starts_with(SPACE)
            && let Some((_, first)) = parts.first()
            && let Some(rest) = first.strip_prefix(SPACE)
        {
            if rest.is_empty() {
                parts.remove(0);
            } else {
                let rest: Box<str> = rest.into();
                parts[0] = (inner.piece_to_id(&rest), rest);
            }
        }
        parts.push((inner.piece_to_id(","), ",".into()));
        parts
    }

    /// Appends the ids of a prepared text.
    pub(crate) fn ids(
        &self,
        inner: &SentencePiece,
        text: &str,
        cache: &mut Cache,
        out: &mut Vec<u32>,
    ) {
        let first = out.len();
        inner.ids(text, cache, out);
        let affected = |&id: &u32| self.affected[id as usize] || id == self.unk_id;
        let Some(index) = out[first..].iter().position(affected) else {
            return;
        };
        let mut needs_text = false;
        let tail = out.split_off(first + index);
        for id in &tail {
            needs_text |= *id == self.unk_id && self.unknown_matters;
            match self.known.get(id) {
                Some(parts) => out.extend(parts.iter().map(|(id, _)| id)),
                None => out.push(self.renamed.get(id).copied().unwrap_or(*id)),
            }
        }
        if needs_text {
            out.truncate(first);
            let mut pieces = Pieces::default();
            let mut prepared = Prepared::default();
            prepared.text.push_str(text);
            self.pieces(inner, &prepared, None, cache, &mut pieces);
            out.append(&mut pieces.ids);
        }
    }

    /// Appends the pieces of a prepared text, with offsets into the original. With a `sampler`
    /// they are drawn at random; transformers draws the numbers of the comma rule too, Google's
    /// script does not.
    pub(crate) fn pieces(
        &self,
        inner: &SentencePiece,
        prepared: &Prepared,
        mut sampler: Option<&mut Sampler>,
        cache: &mut Cache,
        out: &mut Pieces,
    ) {
        let mut raw = Pieces::default();
        match sampler.as_deref_mut() {
            Some(sampler) => inner.sample(&prepared.text, sampler, cache, &mut raw),
            None => inner.pieces(&prepared.text, cache, &mut raw),
        }
        if self.rule == Rule::Google {
            sampler = None;
        }
        let mut surfaces = raw.surfaces.into_iter().peekable();
        for (index, (&id, &(start, end))) in raw.ids.iter().zip(&raw.offsets).enumerate() {
            let (first, last) = prepared.span(start, end);
            if let Some((_, surface)) = surfaces.next_if(|(at, _)| *at == index) {
                if applies(&surface) {
                    let parts = self.replace(inner, &surface, sampler.as_deref_mut(), cache);
                    spread(&parts, prepared, (start, end), out);
                    continue;
                }
                let id = inner.piece_to_id(&surface);
                if id == self.unk_id {
                    out.surfaces.push((out.ids.len(), surface));
                }
                out.push(id, (first, last), None);
                continue;
            }
            match (self.known.get(&id), sampler.as_deref_mut()) {
                (Some(_), Some(sampler)) => {
                    let text = inner.token(id).unwrap_or_default();
                    let parts = self.replace(inner, text, Some(sampler), cache);
                    spread(&parts, prepared, (start, end), out);
                }
                (Some(parts), None) => spread(parts, prepared, (start, end), out),
                (None, _) => out.push(
                    self.renamed.get(&id).copied().unwrap_or(id),
                    (first, last),
                    None,
                ),
            }
        }
    }
}

/// Gives each part of a number its place: the last byte is the comma's, what stands before it is
/// shared out by length; where lengths do not agree (a space, a digit of several bytes), the last
/// part before the comma takes the rest.
fn spread(parts: &[(u32, Box<str>)], prepared: &Prepared, span: (usize, usize), out: &mut Pieces) {
    let text = &prepared.text;
    let (start, end) = span;
    let number_end = match text[start..end].ends_with(',') {
        true => end - 1,
        false => end,
    };
    // The space before the number belongs to its first part, as everywhere.
    let digits = text[start..number_end].trim_start_matches(' ');
    let mut at = start;
    let mut length = number_end - digits.len();
    for (index, (id, part)) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            out.push(*id, prepared.span(number_end, end), None);
            break;
        }
        length = (length + part.trim_start_matches(SPACE).len()).min(number_end);
        let mut to = length;
        if index + 2 == parts.len() || !text.is_char_boundary(to) {
            to = number_end;
        }
        let to = to.max(at);
        out.push(*id, prepared.span(at, to), None);
        at = to;
    }
}
