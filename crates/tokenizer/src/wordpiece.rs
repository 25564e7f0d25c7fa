//! WordPiece: a word to pieces by the longest entry first.

use std::collections::HashMap;

use crate::{Error, error::shown, json::WordPieceSpec, trie::Trie};

/// A WordPiece vocabulary ready for search.
pub(crate) struct WordPiece {
    /// Entries that can begin a word: all of them.
    first: Trie,
    /// Entries that can go on in a word, without their prefix.
    inner: Trie,
    ids: HashMap<Box<str>, u32>,
    /// Text of each number; numbers may have gaps.
    tokens: Vec<Option<Box<str>>>,
    unk: u32,
    longest_word: usize,
}

impl WordPiece {
    /// From the section `model` of a file, or a `vocab.txt`.
    pub(crate) fn new(spec: &WordPieceSpec) -> Result<Self, Error> {
        let fail = |problem: String| Error::TokenizerJson {
            place: "model.vocab".to_owned(),
            problem,
        };
        let mut ids = HashMap::with_capacity(spec.vocab.len());
        let mut tokens: Vec<Option<Box<str>>> = Vec::new();
        // Gaps are rare (doubled lines of a vocab.txt), and a table over them must stay small.
        let limit = spec.vocab.len() * 2 + 65_536;
        for (token, id) in &spec.vocab {
            let index = *id as usize;
            if index >= limit {
                return Err(fail(format!(
                    "{} has id {id}, far beyond the {} entries; correct the id",
                    shown(token),
                    spec.vocab.len()
                )));
            }
            if ids.insert(token.as_str().into(), *id).is_some() {
                return Err(fail(format!("{} stands twice; keep one", shown(token))));
            }
            if tokens.len() <= index {
                tokens.resize(index + 1, None);
            }
            if let Some(other) = &tokens[index] {
                return Err(fail(format!(
                    "{} and {} both have id {id}",
                    shown(other),
                    shown(token)
                )));
            }
            tokens[index] = Some(token.as_str().into());
        }
        let unk = ids.get(spec.unk_token.as_str()).copied().ok_or_else(|| {
            fail(format!(
                "the unknown token {} is not in the vocabulary",
                shown(&spec.unk_token)
            ))
        })?;
        let prefix = spec.continuing_subword_prefix.as_str();
        let entries = || spec.vocab.iter().filter(|(token, _)| !token.is_empty());
        let inner = entries().filter_map(|(token, id)| {
            let rest = token.strip_prefix(prefix)?;
            (!rest.is_empty()).then_some((rest.as_bytes(), *id))
        });
        Ok(Self {
            first: Trie::new(entries().map(|(token, id)| (token.as_bytes(), *id))),
            inner: Trie::new(inner),
            ids,
            tokens,
            unk,
            longest_word: spec.max_input_chars_per_word,
        })
    }

    /// Calls `emit(start, end, id, named)` for each piece; a word without a cut into entries, or
    /// longer than the limit, is one unknown piece. Linear in the word's length times that of the
    /// longest entry.
    pub(crate) fn encode(&self, word: &str, mut emit: impl FnMut(usize, usize, u32, bool)) {
        // A word of n bytes has at least n/4 characters, so most need no counting.
        let too_long = word.len() > self.longest_word && word.chars().count() > self.longest_word;
        let mut pieces: Vec<(usize, usize, u32)> = Vec::new();
        let mut at = 0;
        while !too_long && at < word.len() {
            let trie = if at == 0 { &self.first } else { &self.inner };
            let mut longest = None;
            trie.prefixes(&word.as_bytes()[at..], |length, id| {
                longest = Some((length, id))
            });
            let Some((length, id)) = longest else { break };
            pieces.push((at, at + length, id));
            at += length;
        }
        if at < word.len() {
            return emit(0, word.len(), self.unk, true);
        }
        for (start, end, id) in pieces {
            emit(start, end, id, true);
        }
    }

    pub(crate) fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize)?.as_deref()
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Largest id + 1.
    pub(crate) fn size(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(tokens: &[&str]) -> Result<WordPiece, Error> {
        let vocab = tokens.iter().zip(0..);
        WordPiece::new(&WordPieceSpec {
            unk_token: "[UNK]".to_owned(),
            continuing_subword_prefix: "##".to_owned(),
            max_input_chars_per_word: 10,
            vocab: vocab.map(|(t, i)| ((*t).to_owned(), i)).collect(),
        })
    }

    fn ids(model: &WordPiece, word: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        model.encode(word, |_, _, id, _| ids.push(id));
        ids
    }

    #[test]
    fn longest_entry_first() {
        let model = model(&["[UNK]", "un", "unaff", "##aff", "##able", "##é", "##"]).unwrap();
        assert_eq!(ids(&model, "unaffable"), [2, 4]);
        assert_eq!(ids(&model, "uné"), [1, 5]);
        assert_eq!(ids(&model, "unx"), [0]);
        assert_eq!(ids(&model, "ununununununun"), [0]);
        assert_eq!(ids(&model, ""), [0u32; 0]);
    }

    #[test]
    fn bad_vocabularies_are_refused() {
        assert!(model(&["un"]).is_err());
        assert!(model(&["[UNK]", "a", "a"]).is_err());
    }
}
