//! Cutting a text at tokens, as the class `Trie` of transformers 4 does it.
//!
//! It scans once, keeps a state for every place where a token may have begun, and cuts when one of
//! them is complete, at the longest token of the earliest state that still completes. A state
//! that fails at the very character at which another one completes is still looked at, one
//! character too far on; that fault is kept, since it decides where texts are cut.

use std::collections::BTreeMap;

/// A trie over characters.
#[derive(Default)]
struct Node {
    children: BTreeMap<char, usize>,
    is_end: bool,
}

/// The tokens at which texts are cut.
pub(crate) struct Splitter {
    nodes: Vec<Node>,
    /// In the order of their names.
    tokens: Vec<String>,
    /// First bytes of tokens, for a quick no.
    first: [bool; 256],
    has_beyond_ascii: bool,
}

impl Splitter {
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let mut tokens: Vec<String> = tokens
            .filter(|token| !token.is_empty())
            .map(str::to_owned)
            .collect();
        tokens.sort();
        let mut nodes = vec![Node::default()];
        let mut first = [false; 256];
        for token in &tokens {
            first[usize::from(token.as_bytes()[0])] = true;
            let mut at = 0;
            for character in token.chars() {
                at = match nodes[at].children.get(&character) {
                    Some(&next) => next,
                    None => {
                        nodes.push(Node::default());
                        let next = nodes.len() - 1;
                        nodes[at].children.insert(character, next);
                        next
                    }
                };
            }
            nodes[at].is_end = true;
        }
        Self {
            nodes,
            has_beyond_ascii: first[128..].contains(&true),
            first,
            tokens,
        }
    }

    /// Could a token stand in this text, perhaps after lower-casing?
    pub(super) fn may_match(&self, text: &str, lowered: bool) -> bool {
        if lowered && self.has_beyond_ascii {
            return true;
        }
        text.bytes().any(|byte| {
            self.first[usize::from(byte)]
                || lowered
                    && (self.first[usize::from(byte.to_ascii_lowercase())]
                        // Characters beyond ASCII may become ASCII: the Kelvin sign, İ.
                        || byte >= 0xC4 && (self.first[usize::from(b'k')] || self.first[usize::from(b'i')]))
        })
    }

    /// Bytes of the first token, by name, that the text starts with; 0 for none.
    pub(crate) fn first_at(&self, text: &str) -> usize {
        match text.bytes().next() {
            Some(byte) if self.first[usize::from(byte)] => self
                .tokens
                .iter()
                .find(|token| text.starts_with(token.as_str()))
                .map_or(0, String::len),
            _ => 0,
        }
    }

    /// Byte ranges of the tokens in `text` and of what lies between them; none is empty.
    pub(crate) fn split(&self, text: &str) -> Vec<(usize, usize)> {
        let characters: Vec<(usize, char)> = text.char_indices().collect();
        let mut cuts = vec![0];
        // (start, node) in the order in which they began.
        let mut states: Vec<(usize, usize)> = Vec::new();
        let mut skip = 0;
        for (current, &(_, character)) in characters.iter().enumerate() {
            if current < skip {
                continue;
            }
            let mut failed = Vec::new();
            let mut cut = None;
            for index in 0..states.len() {
                let (start, node) = states[index];
                if self.nodes[node].is_end {
                    cut = Some(self.look_ahead(&characters, &states, start, current));
                    break;
                }
                match self.nodes[node].children.get(&character) {
                    Some(&next) => states[index].1 = next,
                    None => failed.push(start),
                }
            }
            match cut {
                Some((start, end, skipped)) => {
                    cuts.extend([start, end]);
                    skip = skip.max(skipped);
                    states.clear();
                }
                None => states.retain(|(start, _)| !failed.contains(start)),
            }
            if current >= skip
                && let Some(&next) = self.nodes[0].children.get(&character)
            {
                states.push((current, next));
            }
        }
        if let Some(&(start, _)) = states.iter().find(|&&(_, node)| self.nodes[node].is_end) {
            cuts.extend([start, characters.len()]);
        }
        cuts.push(characters.len());
        let byte = |index: usize| characters.get(index).map_or(text.len(), |&(at, _)| at);
        let mut out = Vec::new();
        let mut start = 0;
        for end in cuts {
            if start < end {
                out.push((byte(start), byte(end)));
                start = end;
            }
        }
        out
    }

    /// A token that began at `start` ends before `current`: the cut that is made then, as
    /// (start, end, where the scan goes on).
    fn look_ahead(
        &self,
        characters: &[(usize, char)],
        states: &[(usize, usize)],
        mut start: usize,
        current: usize,
    ) -> (usize, usize, usize) {
        let mut end = current;
        let mut skip = 0;
        for &(look_start, mut node) in states {
            if look_start > start {
                break;
            }
            // Earlier states have already taken the current character.
            let mut ahead = if look_start < start {
                current + 1
            } else {
                current
            };
            end = ahead;
            loop {
                if self.nodes[node].is_end {
                    start = look_start;
                    end = ahead;
                    skip = ahead;
                }
                let next = characters
                    .get(ahead)
                    .and_then(|(_, character)| self.nodes[node].children.get(character));
                match next {
                    Some(&next) => node = next,
                    None => break,
                }
                ahead += 1;
            }
        }
        (start, end, skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split<'a>(tokens: &[&str], text: &'a str) -> Vec<&'a str> {
        Splitter::new(tokens.iter().copied())
            .split(text)
            .into_iter()
            .map(|(start, end)| &text[start..end])
            .collect()
    }

    #[test]
    fn the_longest_token_of_the_earliest_start() {
        let tokens = ["[CLS]", "extra_id_1", "extra_id_100"];
        assert_eq!(
            split(&tokens, "[CLS] This is a extra_id_100"),
            ["[CLS]", " This is a ", "extra_id_100"]
        );
        assert_eq!(
            split(&["A", "P", "[SPECIAL]"], "x[SPECIAL]y"),
            ["x", "[SPECIAL]", "y"]
        );
        assert_eq!(split(&["AB", "B", "C"], "ABC"), ["AB", "C"]);
        assert_eq!(split(&["ABC", "B"], "ABD"), ["A", "B", "D"]);
        assert_eq!(split(&tokens, ""), [""; 0]);
        assert_eq!(split(&[], "ab"), ["ab"]);
    }
}
