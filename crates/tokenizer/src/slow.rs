//! Mode `hf-slow`: the Python class `AlbertTokenizer` of transformers 4, as `from_pretrained`
//! sets it up (release 4.30.2).

mod output;
pub(crate) mod split;

use crate::{
    commas::{Commas, Rule},
    engine::{Cache, Engine, Pieces},
    preprocess::Preprocess,
    python::{is_space, lower},
    sampling::Sampler,
    sentencepiece::SentencePiece,
};
use output::Output;
use split::Splitter;
use std::{collections::HashMap, sync::Arc};

/// A token that is recognised as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlowToken {
    pub text: String,
    /// One of the special tokens (cls, sep, mask, additional ones, …).
    pub special: bool,
    /// White space to its left belongs to it. The class assumes so for every token that was not
    /// given as an `AddedToken`.
    pub lstrip: bool,
    /// White space to its right belongs to it.
    pub rstrip: bool,
}

/// What `from_pretrained` reads from the files of a tokenizer.
#[derive(Clone, Debug)]
pub(crate) struct SlowOptions {
    pub do_lower_case: bool,
    pub remove_space: bool,
    pub keep_accents: bool,
    /// Special tokens in the order of transformers (bos, eos, unk, sep, pad, cls, mask,
    /// additional), then other added tokens in the order of their ids. Of equal texts the first
    /// counts.
    pub tokens: Vec<SlowToken>,
    /// Ids of tokens that the vocabulary lacks. Those that are named nowhere get the next free ids
    /// in order.
    pub added: Vec<(String, u32)>,
}

impl Default for SlowOptions {
    /// The class without files: the five tokens of ALBERT, `[MASK]` with the space to its left.
    fn default() -> Self {
        let token = |text: &str| SlowToken {
            text: text.to_owned(),
            special: true,
            lstrip: true,
            rstrip: text != "[MASK]",
        };
        Self {
            do_lower_case: true,
            remove_space: true,
            keep_accents: false,
            tokens: ["[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]"]
                .map(token)
                .to_vec(),
            added: Vec::new(),
        }
    }
}

/// The mode.
pub(crate) struct Slow {
    inner: Arc<SentencePiece>,
    preprocess: Preprocess,
    commas: Commas,
    splitter: Splitter,
    do_lower_case: bool,
    /// Tokens as they stand in a text, with their ids.
    tokens: HashMap<String, (SlowToken, u32)>,
    /// Added tokens beyond the vocabulary.
    added: HashMap<String, u32>,
    added_names: HashMap<u32, String>,
    /// Special tokens, as decoding asks for them.
    special: HashMap<String, u32>,
    vocab_size: usize,
}

impl Slow {
    pub(crate) fn new(inner: Arc<SentencePiece>, options: SlowOptions) -> Self {
        let do_lower_case = options.do_lower_case;
        let lowered = |token: &SlowToken| {
            if !do_lower_case || token.special {
                return token.text.clone();
            }
            lower_text(&token.text)
        };
        let unk_id = inner.piece_to_id("<unk>");
        let mut added: HashMap<String, u32> = HashMap::new();
        let mut next = inner.vocab_size() as u32;
        for (text, id) in &options.added {
            added.insert(text.clone(), *id);
            next = next.max(id.saturating_add(1));
        }
        let mut tokens = HashMap::new();
        let mut special = HashMap::new();
        for token in &options.tokens {
            let text = lowered(token);
            let id = match added.get(&text) {
                Some(&id) => id,
                None => {
                    let known = inner.piece_to_id(&text);
                    let is_unk = known == unk_id && inner.token(unk_id) != Some(&text);
                    if is_unk {
                        added.insert(text.clone(), next);
                        next = next.saturating_add(1);
                        next - 1
                    } else {
                        known
                    }
                }
            };
            if token.special {
                special.entry(text.clone()).or_insert(id);
            }
            tokens.entry(text).or_insert((token.clone(), id));
        }
        let splitter = Splitter::new(tokens.keys().map(String::as_str));
        Self {
            commas: Commas::new(&inner, Rule::Transformers),
            preprocess: Preprocess {
                lower_first: do_lower_case,
                remove_space: options.remove_space,
                quotes: true,
                strip_accents: !options.keep_accents,
                lower: do_lower_case,
            },
            splitter,
            do_lower_case,
            added_names: added.iter().map(|(text, &id)| (id, text.clone())).collect(),
            special,
            tokens,
            added,
            vocab_size: next as usize,
            inner,
        }
    }

    /// Lower-cases all but the special tokens, character by character, as the class does before it
    /// splits. Returns the text and where each of its bytes comes from.
    fn lower_around(&self, text: &str) -> (String, Vec<usize>) {
        let mut out = String::with_capacity(text.len());
        let mut origins = Vec::with_capacity(text.len() + 1);
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            // The class asks its tokens in the order of their names, then as transformers lists
            // them: the first that fits is kept, not the longest.
            let kept = self.splitter.first_at(&text[at..]);
            if kept > 0 {
                out.push_str(&text[at..at + kept]);
                origins.extend(at..at + kept);
                at += kept;
                continue;
            }
            lower(character, |character| {
                out.push(if character == 'Σ' { 'σ' } else { character });
                origins.resize(out.len(), at);
            });
            at += character.len_utf8();
        }
        origins.push(text.len());
        (out, origins)
    }

    fn run(&self, text: &str, cache: &mut Cache, mut out: Output<'_>) {
        if !self.splitter.may_match(text, self.do_lower_case) {
            return self.chunk(text, 0, true, cache, &mut out);
        }
        let (text, origins) = if self.do_lower_case {
            self.lower_around(text)
        } else {
            (text.to_owned(), (0..=text.len()).collect())
        };
        let mut chunks: Vec<(usize, usize)> = self.splitter.split(&text);
        for index in 0..chunks.len() {
            let (start, end) = chunks[index];
            let Some((token, _)) = self.tokens.get(&text[start..end]) else {
                continue;
            };
            if token.rstrip
                && let Some(right) = chunks.get_mut(index + 1)
            {
                right.0 = right.1 - text[right.0..right.1].trim_start_matches(is_space).len();
            }
            if token.lstrip && index > 0 {
                let left = &mut chunks[index - 1];
                left.1 = left.0 + text[left.0..left.1].trim_end_matches(is_space).len();
            }
        }
        for (start, end) in chunks {
            let part = &text[start..end];
            if part.is_empty() {
                continue;
            }
            if let Some(&(_, id)) = self.tokens.get(part) {
                out.token(id, (origins[start], origins[end]));
                continue;
            }
            let first = out.len();
            self.chunk(part, start, false, cache, &mut out);
            out.translate(first, &origins);
        }
    }

    /// Text between tokens.
    fn chunk(&self, text: &str, base: usize, raw: bool, cache: &mut Cache, out: &mut Output<'_>) {
        let preprocess = Preprocess {
            lower_first: self.preprocess.lower_first && raw,
            ..self.preprocess
        };
        let mut prepared = std::mem::take(&mut cache.prepared);
        match out {
            Output::Ids(ids) => {
                preprocess.run(text, None, &mut prepared);
                self.commas.ids(&self.inner, &prepared.text, cache, ids);
            }
            Output::Pieces(pieces) => {
                preprocess.run(text, Some(base), &mut prepared);
                self.commas
                    .pieces(&self.inner, &prepared, None, cache, pieces);
            }
            Output::Sampled(pieces, sampler) => {
                preprocess.run(text, Some(base), &mut prepared);
                self.commas
                    .pieces(&self.inner, &prepared, Some(sampler), cache, pieces);
            }
        }
        cache.prepared = prepared;
    }
}

/// Python's `str.lower`.
pub(crate) fn lower_text(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if character == 'Σ' {
            out.push(character);
        } else {
            lower(character, |character| out.push(character));
        }
    }
    crate::python::lower_sigmas(&mut out);
    out
}

impl Engine for Slow {
    fn encode(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        self.run(text, cache, Output::Pieces(out));
    }

    fn encode_ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        self.run(text, cache, Output::Ids(out));
    }

    fn sample(
        &self,
        text: &str,
        sampler: &mut Sampler,
        cache: &mut Cache,
        out: &mut Pieces,
    ) -> bool {
        self.run(text, cache, Output::Sampled(out, sampler));
        true
    }

    /// `_decode` without `clean_up_tokenization_spaces`.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut run: Vec<&str> = Vec::new();
        for &id in ids {
            if skip_special && self.special.values().any(|&special| special == id) {
                continue;
            }
            match self.added_names.get(&id) {
                Some(name) => {
                    if !run.is_empty() {
                        parts.push(self.join(&run));
                        run.clear();
                    }
                    parts.push(name.clone());
                }
                None => run.extend(self.inner.token(id)),
            }
        }
        if !run.is_empty() {
            parts.push(self.join(&run));
        }
        parts.join(" ")
    }

    /// `convert_tokens_to_string`.
    fn join(&self, tokens: &[&str]) -> String {
        let mut out = String::new();
        let mut ordinary: Vec<&str> = Vec::new();
        let mut after_special = false;
        for &token in tokens {
            if self.special.contains_key(token) {
                if !after_special {
                    out.push(' ');
                }
                out.push_str(&self.inner.decode_pieces(ordinary.drain(..)));
                out.push_str(token);
            } else {
                ordinary.push(token);
            }
            after_special = self.special.contains_key(token);
        }
        out.push_str(&self.inner.decode_pieces(ordinary));
        out.trim_matches(is_space).to_owned()
    }

    fn token(&self, id: u32) -> Option<&str> {
        match self.added_names.get(&id) {
            Some(name) => Some(name),
            None => self.inner.token(id),
        }
    }

    fn id(&self, token: &str) -> Option<u32> {
        match self.added.get(token) {
            Some(&id) => Some(id),
            None => self.inner.id(token),
        }
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}
