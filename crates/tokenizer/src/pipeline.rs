//! The engine of the tokenizers family: added tokens, normaliser, pre-tokeniser, model, decoder.
//!
//! `general` runs the steps as the library does, over a whole text or a part of it; `chunks` cuts
//! a text where the parts cannot influence each other, so that `memory` can remember parts seen
//! before. Results are those of the general way, byte for byte.

mod aligned;
mod chunks;
mod decode;
mod memory;
mod model;
mod normalize;
mod pre_tokenize;

use std::ops::Range;

pub(crate) use memory::Memory;
pub(crate) use pre_tokenize::{Split, is_word};

use crate::{
    Error,
    added::AddedVocabulary,
    engine::{Cache, Engine, Pieces},
    error::shown,
    json::{Normalizer, PreTokenizer, Spec, TemplatePiece},
};
use aligned::Aligned;
use chunks::Chunks;
use memory::{Found, Table};
use model::Model;

/// Longest part of a text that is worked on at once: places inside it are `u32`. A longer one (a
/// text of 2 GiB without a place to cut it) is cut there, where the library would not.
pub(crate) const LONGEST: usize = 1 << 31;

/// Text to pieces as the `tokenizers` library does it.
pub(crate) struct Pipeline {
    normalizer: Vec<Normalizer>,
    pre_tokenizer: Vec<PreTokenizer>,
    model: Model,
    added: AddedVocabulary,
    decoder: Option<Vec<crate::json::Decoder>>,
    chunks: Chunks,
}

/// Choices that no file makes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PipelineOptions {
    /// Special tokens written in a text are ordinary text.
    pub split_special: bool,
    /// Scores as they stand in the file, where the reference reads it by other means than the
    /// library, whose JSON reader rounds them (see [`model`]).
    pub exact_scores: bool,
    /// Never use the fast way; for tests.
    pub general_only: bool,
}

/// Where a piece of a chunk stands: range relative to the chunk, word relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
    pub word: u32,
}

/// The pieces of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Items {
    pub ids: Vec<u32>,
    pub spans: Vec<Span>,
    /// Number of words, added tokens included.
    pub words: u32,
    /// Text of pieces that the vocabulary does not name: index in `ids`, range in `text`.
    pub surfaces: Vec<(u32, u32, u32)>,
    pub text: String,
}

impl Items {
    fn clear(&mut self) {
        self.ids.clear();
        self.spans.clear();
        self.words = 0;
        self.surfaces.clear();
        self.text.clear();
    }

    fn found(&self) -> Found<'_> {
        Found {
            ids: &self.ids,
            spans: &self.spans,
            surfaces: &self.surfaces,
            text: &self.text,
            words: self.words,
        }
    }
}

/// Memory of the general way.
#[derive(Default)]
pub(crate) struct Work {
    aligned: Aligned,
    splits: Vec<Split>,
    items: Items,
}

/// Takes the pieces of a text as they are found.
trait Sink {
    /// A chunk that begins at `base` and has `words` words before it.
    fn take(&mut self, base: usize, words: u32, found: Found);
    /// A chunk that the table knows, by its key; the number of its words, `None` if the table
    /// does not know it. Where nobody asks for words the number may be 0.
    fn take_known(&mut self, table: &Table, key: u128, base: usize, words: u32) -> Option<u32>;
    /// An added token.
    fn added(&mut self, id: u32, range: Range<usize>, word: u32, surface: Option<&str>);
}

impl Pipeline {
    /// A pipeline that does what `spec` says.
    pub(crate) fn new(spec: &Spec, options: PipelineOptions) -> Result<Self, Error> {
        let model = Model::new(&spec.model, options.exact_scores)?;
        let mut aligned = Aligned::default();
        let added = AddedVocabulary::new(
            &spec.added_tokens,
            model.len(),
            |token| model.id(token),
            |id| model.token(id).is_some(),
            |text| {
                aligned.load(text);
                normalize::normalize(&spec.normalizer, &mut aligned);
                aligned.text().to_owned()
            },
            options.split_special,
        )?;
        let mut chunks = match options.general_only || added.normalized_crosses_spaces() {
            true => Chunks::whole(),
            false => Chunks::new(&spec.normalizer, &spec.pre_tokenizer),
        };
        check_template(spec, |id| added.token(id).or(model.token(id)).is_some())?;
        chunks.learn(|c| is_border(&spec.normalizer, c, &mut aligned));
        Ok(Self {
            normalizer: spec.normalizer.clone(),
            pre_tokenizer: spec.pre_tokenizer.clone(),
            model,
            added,
            decoder: spec.decoder.clone(),
            chunks,
        })
    }

    fn run(&self, text: &str, cache: &mut Cache, sink: &mut impl Sink) {
        let Cache {
            scratch, pipeline, ..
        } = cache;
        let Memory {
            table,
            borders,
            work,
            segments,
        } = pipeline;
        let mut words = 0;
        segments.clear();
        self.added.split_raw(text, segments);
        for segment in segments.iter() {
            let range = segment.start..segment.end;
            if let Some(id) = segment.token {
                let surface = &text[range.clone()];
                let named = self.added.content(id) == Some(surface);
                sink.added(id, range, words, (!named).then_some(surface));
                words += 1;
                continue;
            }
            let part = &text[range];
            let mut at = 0;
            while at < part.len() {
                if let Some((length, key)) = self.chunks.quick(part.as_bytes(), at)
                    && let Some(count) = sink.take_known(table, key, segment.start + at, words)
                {
                    words += count;
                    at += length;
                    continue;
                }
                let mut end = self.chunks.end(part, at, |c| {
                    borders.get(c, |c| is_border(&self.normalizer, c, &mut work.aligned))
                });
                let (chunk, base) = (&part[at..end], segment.start + at);
                let remember = chunk.len() <= memory::LONGEST_KEY && self.chunks.remembers(at);
                let key = memory::key(chunk);
                let known = if remember {
                    table.find(chunk, key)
                } else {
                    None
                };
                let known = known.or_else(|| {
                    self.general(chunk, base, scratch, work);
                    if work.aligned.lags {
                        // Such a chunk tells nothing about a longer segment that begins like it.
                        end = chunks::limit(part, at);
                        self.general(&part[at..end], base, scratch, work);
                        return None;
                    }
                    if remember {
                        table.insert(chunk, key, &work.items)
                    } else {
                        None
                    }
                });
                let found = match known {
                    Some(entry) => table.found(entry),
                    None => work.items.found(),
                };
                sink.take(base, words, found);
                words += found.words;
                at = end;
            }
        }
        pipeline.shrink();
    }

    /// All steps after the first pass over added tokens, as the library does them. `base` is the
    /// place of `text` in the whole input.
    fn general(
        &self,
        text: &str,
        base: usize,
        scratch: &mut crate::unigram::Scratch,
        work: &mut Work,
    ) {
        let Work {
            aligned,
            splits,
            items,
        } = work;
        items.clear();
        aligned.load(text);
        normalize::normalize(&self.normalizer, aligned);
        splits.clear();
        self.added.split_normalized(aligned.text(), splits);
        pre_tokenize::pre_tokenize(&self.pre_tokenizer, base, aligned, splits);
        for split in splits.iter() {
            let word = items.words;
            items.words += 1;
            let part = &aligned.text()[split.start..split.end];
            let mut push = |start: usize, end: usize, id: u32, named: bool| {
                let (from, to) = aligned.original(split.start + start, split.start + end);
                if !named {
                    let begin = items.text.len() as u32;
                    items.text.push_str(&part[start..end]);
                    let index = items.ids.len() as u32;
                    items.surfaces.push((index, begin, items.text.len() as u32));
                }
                items.ids.push(id);
                items.spans.push(Span {
                    start: from as u32,
                    end: to as u32,
                    word,
                });
            };
            match split.token {
                Some(id) => push(0, part.len(), id, self.added.content(id) == Some(part)),
                None => self.model.encode(part, scratch, push),
            }
        }
    }
}

/// Special tokens of the template must exist: their numbers would be out of range in the model.
fn check_template(spec: &Spec, exists: impl Fn(u32) -> bool) -> Result<(), Error> {
    let templates = spec.template.iter();
    let pieces = templates.flat_map(|t| t.single.iter().chain(&t.pair));
    for piece in pieces {
        let TemplatePiece::Special { name, ids, .. } = piece else {
            continue;
        };
        if let Some(id) = ids.iter().find(|&&id| !exists(id)) {
            return Err(Error::TokenizerJson {
                place: format!("post_processor, special token {}", shown(name)),
                problem: format!("id {id} is neither in the vocabulary nor that of an added token"),
            });
        }
    }
    Ok(())
}

/// Does this character, alone between two spaces, keep apart what stands on its two sides?
///
/// True if it comes out of every step as a text that is not empty and does not touch the spaces
/// around it, in no step joined with them to one grapheme.
fn is_border(steps: &[Normalizer], c: char, aligned: &mut Aligned) -> bool {
    aligned.load(&format!(" {c} "));
    if !chunks::stands_alone(aligned.text()) {
        return false;
    }
    steps.iter().all(|step| {
        normalize::normalize(std::slice::from_ref(step), aligned);
        chunks::stands_alone(aligned.text())
    })
}

impl Engine for Pipeline {
    fn encode(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        self.run(text, cache, out);
    }

    fn encode_ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        self.run(text, cache, out);
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let tokens = ids.iter().filter_map(|&id| self.token(id));
        let tokens = tokens.filter(|t| !(skip_special && self.added.is_special(t)));
        decode::decode(self.decoder.as_deref(), tokens.map(str::to_owned).collect())
    }

    fn join(&self, tokens: &[&str]) -> String {
        let tokens = tokens.iter().map(|&token| token.to_owned()).collect();
        decode::decode(self.decoder.as_deref(), tokens)
    }

    fn token(&self, id: u32) -> Option<&str> {
        self.added.token(id).or_else(|| self.model.token(id))
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.model.id(token))
    }

    fn vocab_size(&self) -> usize {
        self.model.size().max(self.added.size())
    }
}

impl Sink for Pieces {
    fn take(&mut self, base: usize, words: u32, found: Found) {
        let first = self.ids.len();
        self.ids.extend_from_slice(found.ids);
        for span in found.spans {
            self.offsets
                .push((base + span.start as usize, base + span.end as usize));
            self.words.push(Some(words + span.word));
        }
        for &(index, start, end) in found.surfaces {
            let text = &found.text[start as usize..end as usize];
            self.surfaces.push((first + index as usize, text.into()));
        }
    }

    fn take_known(&mut self, table: &Table, key: u128, base: usize, words: u32) -> Option<u32> {
        let found = table.found(table.find("", Some(key))?);
        self.take(base, words, found);
        Some(found.words)
    }

    fn added(&mut self, id: u32, range: Range<usize>, word: u32, surface: Option<&str>) {
        if let Some(surface) = surface {
            self.surfaces.push((self.ids.len(), surface.into()));
        }
        self.push(id, (range.start, range.end), Some(word));
    }
}

impl Sink for Vec<u32> {
    fn take(&mut self, _base: usize, _words: u32, found: Found) {
        self.extend_from_slice(found.ids);
    }

    fn take_known(&mut self, table: &Table, key: u128, _base: usize, _words: u32) -> Option<u32> {
        match table.few(key) {
            Some(ids) => self.extend_from_slice(ids),
            None => self.extend_from_slice(table.found(table.find("", Some(key))?).ids),
        }
        Some(0)
    }

    fn added(&mut self, id: u32, _range: Range<usize>, _word: u32, _surface: Option<&str>) {
        self.push(id);
    }
}
