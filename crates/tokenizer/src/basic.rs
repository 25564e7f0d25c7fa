//! Modes `google` and `hf-slow` over a `vocab.txt`: BERT's basic tokenizer and WordPiece as the
//! Python programs have them (google-research/albert's `FullTokenizer`, transformers 4.30.2's
//! `BertTokenizer`), with Python 3.11's Unicode 14.

mod ranges;
mod tables;

use std::collections::{HashMap, HashSet};

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

use crate::{
    Error,
    engine::{Cache, Engine, Pieces},
    json::WordPieceSpec,
    python::{is_newer, is_space, lower, lower_sigmas},
    slow::split::Splitter,
    wordpiece::WordPiece,
};
use tables::{Tables, is_nonspacing, is_punctuation, is_zs};

/// What the class and its configuration decide.
#[derive(Clone, Debug)]
pub(crate) struct BasicOptions {
    pub do_lower_case: bool,
    /// `None`: as `do_lower_case`.
    pub strip_accents: Option<bool>,
    pub tokenize_chinese_chars: bool,
    /// Tokens that are cut out of the text first: transformers' special and added tokens with
    /// their numbers; Google's program has none.
    pub tokens: Vec<(String, u32)>,
    /// Tokens that decoding may leave out.
    pub special: Vec<u32>,
    /// Decode as Google's program does: tokens joined with spaces, and nothing else.
    pub google: bool,
}

/// The engine.
pub(crate) struct Basic {
    model: WordPiece,
    tables: Tables,
    splitter: Splitter,
    tokens: HashMap<String, u32>,
    names: HashMap<u32, String>,
    special: HashSet<u32>,
    options: BasicOptions,
}

/// A character and the range of the original text that it stands for.
#[derive(Clone, Copy)]
struct Placed {
    c: char,
    start: usize,
    end: usize,
}

impl Basic {
    /// `spec` says which entries there are; its limit on the length of words is 200 characters in
    /// Google's program and 100 in transformers.
    pub(crate) fn new(spec: &WordPieceSpec, options: BasicOptions) -> Result<Self, Error> {
        Ok(Self {
            model: WordPiece::new(spec)?,
            tables: Tables::new(options.google),
            splitter: Splitter::new(options.tokens.iter().map(|(text, _)| text.as_str())),
            tokens: options.tokens.iter().cloned().collect(),
            names: options
                .tokens
                .iter()
                .map(|(text, id)| (*id, text.clone()))
                .collect(),
            special: options.special.iter().copied().collect(),
            options,
        })
    }

    fn run(&self, text: &str, mut emit: impl FnMut(u32, (usize, usize))) {
        if self.tokens.is_empty() {
            return self.chunk(place(text), &mut emit);
        }
        // transformers lower-cases all but its tokens, character by character, before it cuts.
        let mut lowered: Vec<Placed> = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let kept = self.splitter.first_at(&text[at..]);
            if kept > 0 || !self.options.do_lower_case {
                let end = at + kept.max(c.len_utf8());
                lowered.extend(place(&text[at..end]).map(|p| p.moved(at)));
                at = end;
                continue;
            }
            let (start, end) = (at, at + c.len_utf8());
            lower(c, |c| {
                let c = if c == 'Σ' { 'σ' } else { c };
                lowered.push(Placed { c, start, end });
            });
            at = end;
        }
        let flat: String = lowered.iter().map(|p| p.c).collect();
        let mut rest = lowered.into_iter();
        for (start, end) in self.splitter.split(&flat) {
            let part = &flat[start..end];
            let chars = rest.by_ref().take(part.chars().count());
            match self.tokens.get(part) {
                None => self.chunk(chars, &mut emit),
                Some(&id) => {
                    let chars: Vec<Placed> = chars.collect();
                    if let (Some(first), Some(last)) = (chars.first(), chars.last()) {
                        emit(id, (first.start, last.end));
                    }
                }
            }
        }
    }

    /// Text between tokens: clean, put spaces around Chinese characters, cut at white space.
    fn chunk(
        &self,
        chars: impl Iterator<Item = Placed>,
        emit: &mut impl FnMut(u32, (usize, usize)),
    ) {
        let mut word: Vec<Placed> = Vec::new();
        for p in chars {
            if p.c == '\0' || p.c == '\u{fffd}' || self.tables.is_control(p.c) {
                continue;
            }
            // Zs becomes a space; what else Python calls white space separates all the same.
            if is_space(p.c) || is_zs(p.c) {
                self.word(&mut word, emit);
            } else if self.options.tokenize_chinese_chars && is_chinese(p.c) {
                self.word(&mut word, emit);
                word.push(p);
                self.word(&mut word, emit);
            } else {
                word.push(p);
            }
        }
        self.word(&mut word, emit);
    }

    /// One word between spaces: lower case, accents, punctuation, WordPiece. Empties `word`.
    fn word(&self, word: &mut Vec<Placed>, emit: &mut impl FnMut(u32, (usize, usize))) {
        if word.is_empty() {
            return;
        }
        let mut chars = std::mem::take(word);
        let flat: String = chars.iter().map(|p| p.c).collect();
        // A token that cleaning put together stays whole.
        let is_token = self.tokens.contains_key(&flat);
        let Self { options, .. } = self;
        if !is_token {
            if options.do_lower_case {
                chars = lower_word(&chars);
            }
            if options.strip_accents.unwrap_or(options.do_lower_case) {
                chars = self.strip_accents(&chars);
            }
        }
        let mut start = 0;
        for (i, p) in chars.iter().enumerate() {
            if is_token {
                break;
            }
            let punctuation = is_punctuation(p.c);
            if punctuation || is_space(p.c) {
                self.pieces(&chars[start..i], emit);
                if punctuation {
                    self.pieces(&chars[i..=i], emit);
                }
                start = i + 1;
            }
        }
        self.pieces(&chars[start..], emit);
        chars.clear();
        *word = chars;
    }

    fn pieces(&self, chars: &[Placed], emit: &mut impl FnMut(u32, (usize, usize))) {
        let mut text = String::with_capacity(chars.len());
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(chars.len());
        for p in chars {
            text.push(p.c);
            places.resize(text.len(), (p.start, p.end));
        }
        self.model.encode(&text, |start, end, id, _| {
            emit(id, (places[start].0, places[end - 1].1));
        });
    }

    /// NFD, then all but nonspacing marks.
    fn strip_accents(&self, chars: &[Placed]) -> Vec<Placed> {
        let mut out: Vec<Placed> = Vec::with_capacity(chars.len());
        // Start of the run of characters whose combining class is not 0: it is sorted by class.
        let mut run = 0;
        for p in chars {
            let mut push = |c: char| {
                if class(c) == 0 {
                    out[run..].sort_by_key(|p| class(p.c));
                    run = out.len() + 1;
                }
                out.push(Placed { c, ..*p });
            };
            match p.c.is_ascii() || is_newer(p.c) {
                true => push(p.c),
                false => decompose_canonical(p.c, push),
            }
        }
        out[run..].sort_by_key(|p| class(p.c));
        out.retain(|p| !is_nonspacing(p.c));
        out
    }

    fn name(&self, id: u32) -> Option<&str> {
        let added = self.names.get(&id).map(String::as_str);
        added.or_else(|| self.model.token(id))
    }
}

impl Placed {
    fn moved(self, by: usize) -> Self {
        Self {
            start: self.start + by,
            end: self.end + by,
            ..self
        }
    }
}

fn place(text: &str) -> impl Iterator<Item = Placed> {
    text.char_indices().map(|(start, c)| Placed {
        c,
        start,
        end: start + c.len_utf8(),
    })
}

fn class(c: char) -> u8 {
    match c.is_ascii() || is_newer(c) {
        true => 0,
        false => canonical_combining_class(c),
    }
}

/// `str.lower` of a word, with the final sigma.
fn lower_word(chars: &[Placed]) -> Vec<Placed> {
    let mut out = Vec::with_capacity(chars.len());
    let mut sigma = false;
    for p in chars {
        if p.c == 'Σ' {
            sigma = true;
            out.push(*p);
        } else {
            lower(p.c, |c| out.push(Placed { c, ..*p }));
        }
    }
    if sigma {
        let mut text: String = out.iter().map(|p| p.c).collect();
        lower_sigmas(&mut text);
        for (p, c) in out.iter_mut().zip(text.chars()) {
            p.c = c;
        }
    }
    out
}

/// The CJK blocks of Google's program.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF
        | 0x3400..=0x4DBF
        | 0x20000..=0x2A6DF
        | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F
        | 0x2B820..=0x2CEAF
        | 0xF900..=0xFAFF
        | 0x2F800..=0x2FA1F)
}

impl Engine for Basic {
    fn encode(&self, text: &str, _cache: &mut Cache, out: &mut Pieces) {
        self.run(text, |id, span| out.push(id, span, None));
    }

    fn encode_ids(&self, text: &str, _cache: &mut Cache, out: &mut Vec<u32>) {
        self.run(text, |id, _| out.push(id));
    }

    /// transformers' `convert_tokens_to_string`: a `##` after a space joins. Google's program only
    /// has tokens, which are joined with spaces here.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let kept = ids
            .iter()
            .filter(|id| !(skip_special && self.special.contains(id)));
        let tokens: Vec<&str> = kept.filter_map(|&id| self.name(id)).collect();
        self.join(&tokens)
    }

    fn join(&self, tokens: &[&str]) -> String {
        let text = tokens.join(" ");
        match self.options.google {
            true => text,
            false => text.replace(" ##", "").trim_matches(is_space).to_owned(),
        }
    }

    fn token(&self, id: u32) -> Option<&str> {
        self.name(id)
    }

    fn id(&self, token: &str) -> Option<u32> {
        let added = self.tokens.get(token).copied();
        added.or_else(|| self.model.id(token))
    }

    fn vocab_size(&self) -> usize {
        let added = self.names.keys().map(|&id| id as usize + 1).max();
        self.model.size().max(added.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(tokens: &[&str], options: BasicOptions) -> Basic {
        let vocab = tokens.iter().zip(0..);
        let spec = WordPieceSpec {
            unk_token: "[UNK]".to_owned(),
            continuing_subword_prefix: "##".to_owned(),
            max_input_chars_per_word: 100,
            vocab: vocab.map(|(t, i)| ((*t).to_owned(), i)).collect(),
        };
        Basic::new(&spec, options).unwrap()
    }

    fn options(tokens: &[(&str, u32)]) -> BasicOptions {
        BasicOptions {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            tokens: tokens.iter().map(|(t, i)| ((*t).to_owned(), *i)).collect(),
            special: Vec::new(),
            google: tokens.is_empty(),
        }
    }

    fn run(basic: &Basic, text: &str) -> Vec<(u32, usize, usize)> {
        let mut out = Vec::new();
        basic.run(text, |id, (a, b)| out.push((id, a, b)));
        out
    }

    const VOCAB: [&str; 9] = [
        "[UNK]", "un", "##able", "ecole", "!", "中", "[CLS]", "σας", "[",
    ];

    #[test]
    fn words_accents_signs_and_chinese() {
        let basic = basic(&VOCAB, options(&[]));
        assert_eq!(
            run(&basic, "UNable\u{a0}École!中x"),
            [
                (1, 0, 2),
                (2, 2, 6),
                (3, 8, 14),
                (4, 14, 15),
                (5, 15, 18),
                (0, 18, 19)
            ]
        );
        assert_eq!(run(&basic, "ΣΑΣ"), [(7, 0, 6)]);
        assert_eq!(run(&basic, "un\u{ad}\u{0}able"), [(1, 0, 2), (2, 5, 9)]);
    }

    #[test]
    fn tokens_are_cut_out_in_transformers_alone() {
        let slow = basic(&VOCAB, options(&[("[CLS]", 6)]));
        assert_eq!(run(&slow, "a[CLS]un"), [(0, 0, 1), (6, 1, 6), (1, 6, 8)]);
        let google = basic(&VOCAB, options(&[]));
        assert_eq!(run(&google, "[CLS]"), [(8, 0, 1), (0, 1, 4), (0, 4, 5)]);
    }
}
