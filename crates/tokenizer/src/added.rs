//! Tokens that are cut out of a text before the model sees it, as `tokenizers` does it.

use std::collections::HashMap;

use crate::{
    Error,
    error::shown,
    json::AddedToken,
    pipeline::{Split, is_word},
    trie::Trie,
};

/// All added tokens of a tokenizer, ready for search.
///
/// Tokens that are not `normalized` are found in the text as it came; the others afterwards in the
/// normalised text, by their own normalised form. Of several that begin at one place the longest
/// wins, then the search goes on behind it.
pub(crate) struct AddedVocabulary {
    tokens: Vec<Entry>,
    by_content: HashMap<Box<str>, usize>,
    by_id: HashMap<u32, usize>,
    raw: Matcher,
    normalized: Matcher,
    /// Special tokens in a text are ordinary text (transformers: `split_special_tokens`).
    split_special: bool,
}

struct Entry {
    id: u32,
    token: AddedToken,
    /// What stands in a normalised text; differs from `content` for `normalized` tokens alone.
    form: Box<str>,
}

/// Search for some of the tokens.
struct Matcher {
    trie: Trie,
    /// Bytes that a token begins with: nearly every place of a text is ruled out by it.
    first: [bool; 256],
    empty: bool,
}

impl AddedVocabulary {
    /// Gives numbers as the library does: that of the model's own entry of this text, else the next
    /// free one; a file that says otherwise is refused, because the library would ignore it.
    ///
    /// `model_size`, `model_id` and `model_has` describe the model's entries, `normalize` is the
    /// whole normaliser.
    pub(crate) fn new(
        tokens: &[AddedToken],
        model_size: usize,
        model_id: impl Fn(&str) -> Option<u32>,
        model_has: impl Fn(u32) -> bool,
        mut normalize: impl FnMut(&str) -> String,
        split_special: bool,
    ) -> Result<Self, Error> {
        let mut added = Self {
            tokens: Vec::with_capacity(tokens.len()),
            by_content: HashMap::new(),
            by_id: HashMap::new(),
            raw: Matcher::new(&[])?,
            normalized: Matcher::new(&[])?,
            split_special,
        };
        let mut next = u32::try_from(model_size).unwrap_or(u32::MAX);
        for (place, token) in tokens.iter().enumerate() {
            let fail = |problem: String| Error::TokenizerJson {
                place: format!("added_tokens[{place}]"),
                problem,
            };
            if let Some(&known) = added.by_content.get(token.content.as_str()) {
                if added.tokens[known].token == *token {
                    continue;
                }
                let text = shown(&token.content);
                return Err(fail(format!("{text} stands twice; keep one")));
            }
            let id = match model_id(&token.content) {
                Some(id) => id,
                None if model_has(next) => {
                    return Err(fail(format!(
                        "the next free id {next} is taken in the vocabulary"
                    )));
                }
                None => {
                    next = next.saturating_add(1);
                    next - 1
                }
            };
            if id != token.id {
                return Err(fail(format!(
                    "{} has id {}, but the tokenizers library gives it {id}: its id in the \
                     vocabulary, else the next free one; correct the id",
                    shown(&token.content),
                    token.id
                )));
            }
            let form = match token.normalized {
                true => normalize(&token.content),
                false => token.content.clone(),
            };
            if form.is_empty() {
                let text = shown(&token.content);
                return Err(fail(format!(
                    "nothing of {text} is left after normalisation"
                )));
            }
            let index = added.tokens.len();
            added
                .by_content
                .insert(token.content.as_str().into(), index);
            if added.by_id.insert(id, index).is_some() {
                return Err(fail(format!("the id {id} is taken by another added token")));
            }
            added.tokens.push(Entry {
                id,
                token: token.clone(),
                form: form.into(),
            });
        }
        let list = |normalized: bool| {
            let of_kind = |(_, e): &(usize, &Entry)| e.token.normalized == normalized;
            let entries = added.tokens.iter().enumerate().filter(of_kind);
            entries
                .map(|(i, e)| (&*e.form, i as u32))
                .collect::<Vec<_>>()
        };
        let (raw, normalized) = (Matcher::new(&list(false))?, Matcher::new(&list(true))?);
        (added.raw, added.normalized) = (raw, normalized);
        Ok(added)
    }

    /// The number of an added token.
    pub(crate) fn id(&self, content: &str) -> Option<u32> {
        self.by_content.get(content).map(|&i| self.tokens[i].id)
    }

    /// The token as a decoder sees it: in its normalised form.
    pub(crate) fn token(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(|&i| &*self.tokens[i].form)
    }

    /// The token as the file states it.
    pub(crate) fn content(&self, id: u32) -> Option<&str> {
        let entry = self.by_id.get(&id)?;
        Some(&self.tokens[*entry].token.content)
    }

    /// Is this text a special token?
    pub(crate) fn is_special(&self, content: &str) -> bool {
        let entry = self.by_content.get(content);
        entry.is_some_and(|&i| self.tokens[i].token.special)
    }

    /// Largest number + 1; 0 without tokens.
    pub(crate) fn size(&self) -> usize {
        let ids = self.tokens.iter().map(|e| e.id as usize + 1);
        ids.max().unwrap_or(0)
    }

    /// Can a match of the second pass reach over a space that stands behind it or inside it?
    pub(crate) fn normalized_crosses_spaces(&self) -> bool {
        let normalized = self.tokens.iter().filter(|e| e.token.normalized);
        let mut crosses = normalized.map(|e| e.token.rstrip || e.form.contains(' '));
        crosses.any(|c| c)
    }

    /// First pass: `text` as it came, cut at the tokens that are not normalised.
    pub(crate) fn split_raw(&self, text: &str, out: &mut Vec<Split>) {
        self.split(&self.raw, text, out);
    }

    /// Second pass: a normalised text, cut at the other tokens.
    pub(crate) fn split_normalized(&self, text: &str, out: &mut Vec<Split>) {
        self.split(&self.normalized, text, out);
    }

    /// Covers `text` with parts; empty ones are left out.
    fn split(&self, matcher: &Matcher, text: &str, out: &mut Vec<Split>) {
        let mut push = |start: usize, end: usize, token| {
            if start < end {
                out.push(Split { start, end, token });
            }
        };
        let mut done = 0;
        let mut at = 0;
        while let Some((found, length, index)) = matcher.find(text, at) {
            at = found + length;
            let (mut start, mut end) = (found, at);
            let entry = &self.tokens[index as usize];
            let token = &entry.token;
            if self.split_special && self.is_special(&token.content) {
                continue;
            }
            if token.single_word {
                let before = text[..start].chars().next_back();
                let behind = text[end..].chars().next();
                if before.is_some_and(is_word) || behind.is_some_and(is_word) {
                    continue;
                }
            }
            if token.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if token.rstrip {
                end += text[end..].len() - text[end..].trim_start().len();
            }
            push(done, start, None);
            push(start, end, Some(entry.id));
            done = end;
        }
        push(done, text.len(), None);
    }
}

impl Matcher {
    fn new(entries: &[(&str, u32)]) -> Result<Self, Error> {
        let mut first = [false; 256];
        let mut sorted: Vec<_> = entries.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|p| p[0].0 == p[1].0) {
            return Err(Error::TokenizerJson {
                place: "added_tokens".to_owned(),
                problem: format!(
                    "two tokens are {} after normalisation; keep one",
                    shown(pair[0].0)
                ),
            });
        }
        for (text, _) in entries {
            first[usize::from(text.as_bytes()[0])] = true;
        }
        Ok(Self {
            trie: Trie::new(entries.iter().map(|(text, i)| (text.as_bytes(), *i))),
            first,
            empty: entries.is_empty(),
        })
    }

    /// The next token at or behind `from`: place, length, index.
    fn find(&self, text: &str, from: usize) -> Option<(usize, usize, u32)> {
        if self.empty {
            return None;
        }
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            at += bytes
                .get(at..)?
                .iter()
                .position(|&b| self.first[usize::from(b)])?;
            let mut longest = None;
            self.trie.prefixes(&bytes[at..], |length, index| {
                longest = Some((at, length, index))
            });
            if longest.is_some() {
                return longest;
            }
            at += 1;
        }
    }
}
