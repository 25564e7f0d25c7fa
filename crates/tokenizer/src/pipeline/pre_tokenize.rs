//! Cutting a normalised text into words.

use unicode_categories::UnicodeCategories;

use super::aligned::Aligned;
use crate::json::{Behavior, PreTokenizer, PrependScheme};

/// A part of the normalised text: a word for the model, or an added token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub start: usize,
    pub end: usize,
    /// The number of an added token; such a part is not cut further.
    pub token: Option<u32>,
}

impl Split {
    fn word(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            token: None,
        }
    }
}

/// Runs all steps over `splits`. `base` is the place of the text in the whole input.
pub(crate) fn pre_tokenize(
    steps: &[PreTokenizer],
    base: usize,
    text: &mut Aligned,
    splits: &mut Vec<Split>,
) {
    for step in steps {
        match step {
            PreTokenizer::Metaspace {
                replacement,
                prepend,
                split,
            } => metaspace(*replacement, *prepend, *split, base, text, splits),
            PreTokenizer::WhitespaceSplit => cut(text, splits, |t, out| {
                by_char(t, Behavior::Removed, char::is_whitespace, out);
            }),
            PreTokenizer::Whitespace => cut(text, splits, words_and_signs),
            PreTokenizer::Bert => {
                cut(text, splits, |t, out| {
                    by_char(t, Behavior::Removed, char::is_whitespace, out);
                });
                cut(text, splits, |t, out| {
                    by_char(t, Behavior::Isolated, is_punctuation, out);
                });
            }
            PreTokenizer::Punctuation(behavior) => cut(text, splits, |t, out| {
                by_char(t, *behavior, is_punctuation, out);
            }),
        }
    }
}

/// Replaces each part that is no added token by what `find` cuts it into, empty parts left out.
fn cut(
    text: &Aligned,
    splits: &mut Vec<Split>,
    mut find: impl FnMut(&str, &mut Vec<(usize, usize)>),
) {
    let mut ranges = Vec::new();
    let old = std::mem::take(splits);
    for split in old {
        if split.token.is_some() {
            splits.push(split);
            continue;
        }
        ranges.clear();
        find(&text.text()[split.start..split.end], &mut ranges);
        let words = ranges.iter().filter(|(start, end)| start < end);
        splits.extend(words.map(|(a, b)| Split::word(split.start + a, split.start + b)));
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || UnicodeCategories::is_punctuation(c)
}

/// Cuts at each character that `is_delimiter` accepts.
fn by_char(
    text: &str,
    behavior: Behavior,
    is_delimiter: impl Fn(char) -> bool,
    out: &mut Vec<(usize, usize)>,
) {
    // Parts in order: runs of others, and delimiters one by one.
    let mut parts: Vec<(usize, usize, bool)> = Vec::new();
    let mut open = 0;
    for (at, c) in text.char_indices() {
        if is_delimiter(c) {
            if open < at {
                parts.push((open, at, false));
            }
            open = at + c.len_utf8();
            parts.push((at, open, true));
        }
    }
    if open < text.len() {
        parts.push((open, text.len(), false));
    }
    match behavior {
        Behavior::Removed => {
            out.extend(parts.iter().filter(|p| !p.2).map(|p| (p.0, p.1)));
        }
        Behavior::Isolated => out.extend(parts.iter().map(|p| (p.0, p.1))),
        Behavior::Contiguous | Behavior::MergedWithPrevious => {
            let mut previous = false;
            for (start, end, is_match) in parts {
                let joins = match behavior {
                    Behavior::Contiguous => is_match == previous,
                    _ => is_match && !previous,
                };
                match out.last_mut() {
                    Some(last) if joins => last.1 = end,
                    _ => out.push((start, end)),
                }
                previous = is_match;
            }
        }
        Behavior::MergedWithNext => {
            let mut previous = false;
            let first = out.len();
            for (start, end, is_match) in parts.into_iter().rev() {
                match out[first..].last_mut() {
                    Some(last) if is_match && !previous => last.0 = start,
                    _ => out.push((start, end)),
                }
                previous = is_match;
            }
            out[first..].reverse();
        }
    }
}

/// Runs of word characters and runs of what is neither word nor white space: the regular
/// expression `\w+|[^\w\s]+`.
fn words_and_signs(text: &str, out: &mut Vec<(usize, usize)>) {
    let class = |c: char| match (is_word(c), c.is_whitespace()) {
        (true, _) => Some(true),
        (false, false) => Some(false),
        (false, true) => None,
    };
    let mut current: Option<(usize, bool)> = None;
    for (at, c) in text.char_indices() {
        let class = class(c);
        if let Some((start, kind)) = current
            && class != Some(kind)
        {
            out.push((start, at));
            current = None;
        }
        if current.is_none() {
            current = class.map(|kind| (at, kind));
        }
    }
    if let Some((start, _)) = current {
        out.push((start, text.len()));
    }
}

/// Is this a word character, `\w`, to the crate `regex`?
pub(crate) fn is_word(c: char) -> bool {
    // Fails only where the Unicode table is left out of the build; then ASCII is meant.
    regex_syntax::try_is_word_character(c).unwrap_or(c.is_ascii_alphanumeric() || c == '_')
}

fn metaspace(
    replacement: char,
    scheme: PrependScheme,
    split_words: bool,
    base: usize,
    text: &mut Aligned,
    splits: &mut Vec<Split>,
) {
    let mut buffer = [0; 4];
    let mark = &*replacement.encode_utf8(&mut buffer);
    let old = std::mem::take(splits);
    let shifts: Vec<usize> = match scheme {
        PrependScheme::First => old
            .iter()
            .map(|s| base + text.original(s.start, s.end).0)
            .collect(),
        _ => Vec::new(),
    };
    text.rebuild(|r| {
        for (i, part) in old.into_iter().enumerate() {
            let start = r.len();
            if part.token.is_some() {
                r.copy(part.start, part.end);
                splits.push(Split {
                    start,
                    end: r.len(),
                    ..part
                });
                continue;
            }
            let first = r.old()[part.start..part.end].chars().next();
            let marked = matches!(first, Some(c) if c == ' ' || c == replacement);
            let prepend = match scheme {
                PrependScheme::Always => true,
                PrependScheme::First => shifts.get(i) == Some(&0),
                PrependScheme::Never => false,
            };
            if prepend && !marked {
                r.put(mark, part.start);
            }
            let mut at = part.start;
            while let Some(space) = r.old()[at..part.end].find(' ') {
                r.copy(at, at + space);
                r.put(mark, at + space);
                at += space + 1;
            }
            r.copy(at, part.end);
            splits.push(Split::word(start, r.len()));
        }
    });
    if split_words {
        cut(text, splits, |t, out| {
            by_char(t, Behavior::MergedWithNext, |c| c == replacement, out);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_with(behavior: Behavior, text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        by_char(text, behavior, |c| c == '-', &mut out);
        out.iter().map(|&(a, b)| &text[a..b]).collect()
    }

    #[test]
    fn every_behavior_as_the_library_documents_it() {
        let text = "the-final--countdown";
        assert_eq!(
            cut_with(Behavior::Removed, text),
            ["the", "final", "countdown"]
        );
        assert_eq!(
            cut_with(Behavior::Isolated, text),
            ["the", "-", "final", "-", "-", "countdown"]
        );
        assert_eq!(
            cut_with(Behavior::MergedWithPrevious, text),
            ["the-", "final-", "-", "countdown"]
        );
        assert_eq!(
            cut_with(Behavior::MergedWithNext, text),
            ["the", "-final", "-", "-countdown"]
        );
        assert_eq!(
            cut_with(Behavior::Contiguous, text),
            ["the", "-", "final", "--", "countdown"]
        );
    }
}
