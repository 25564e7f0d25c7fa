//! The steps of a normaliser, each as the `tokenizers` library does it.
//!
//! Unicode tables are the library's own crates, some of them old: NFKD and combining marks of
//! Unicode 9 (unicode-normalization-alignments), categories of Unicode 8 (unicode_categories),
//! graphemes of the newest. Newer tables would give other ids for newer characters.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

use super::aligned::{Aligned, Edit};
use crate::{
    charsmap::Charsmap,
    json::{BertNormalizer, Normalizer, Pattern},
};

/// Applies all steps.
pub(crate) fn normalize(steps: &[Normalizer], text: &mut Aligned) {
    for step in steps {
        apply(step, text);
    }
}

fn apply(step: &Normalizer, text: &mut Aligned) {
    // Decomposition, accents and composition leave ASCII alone.
    let ascii = text.text().is_ascii();
    match step {
        Normalizer::Replace { pattern, content } => match pattern {
            Pattern::Text(pattern) => text.replace(content, |t, ranges| {
                let found = t.match_indices(pattern.as_str());
                ranges.extend(found.map(|(at, m)| (at, at + m.len())));
            }),
            Pattern::Spaces => text.replace(content, runs_of_spaces),
        },
        Normalizer::Prepend(content) => text.prepend(content),
        Normalizer::Strip { left, right } => strip(text, *left, *right),
        Normalizer::StripAccents if ascii => (),
        Normalizer::StripAccents => text.filter(|c| !is_combining_mark(c)),
        Normalizer::Lowercase if ascii => text.lowercase_ascii(),
        Normalizer::Lowercase => lowercase(text),
        Normalizer::Nfc | Normalizer::Nfd | Normalizer::Nfkc | Normalizer::Nfkd if ascii => (),
        Normalizer::Nfc => text.transform(0, |t, out| push_all(t.nfc(), out)),
        Normalizer::Nfd => text.transform(0, |t, out| push_all(t.nfd(), out)),
        Normalizer::Nfkc => text.transform(0, |t, out| push_all(t.nfkc(), out)),
        Normalizer::Nfkd => text.transform(0, |t, out| push_all(t.nfkd(), out)),
        Normalizer::Nmt => nmt(text),
        Normalizer::Precompiled(map) => precompiled(map, text),
        Normalizer::Bert(bert) => bert_normalize(*bert, text),
    }
}

fn push_all(edits: impl Iterator<Item = (char, isize)>, out: &mut Edit) {
    for (c, change) in edits {
        out.push(c, change);
    }
}

/// Runs of at least two spaces.
pub(super) fn runs_of_spaces(text: &str, ranges: &mut Vec<(usize, usize)>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|&b| b == b' ') {
        let start = at + found;
        let length = bytes[start..].iter().take_while(|&&b| b == b' ').count();
        at = start + length;
        if length >= 2 {
            ranges.push((start, at));
        }
    }
}

fn strip(text: &mut Aligned, left: bool, right: bool) {
    let old = text.text();
    let start = match left {
        true => old.len() - old.trim_start().len(),
        false => 0,
    };
    let end = match right {
        true => start.max(old.trim_end().len()),
        false => old.len(),
    };
    if (start, end) != (0, old.len()) {
        text.rebuild(|r| r.copy(start, end));
    }
}

fn lowercase(text: &mut Aligned) {
    text.transform(0, |t, out| {
        for c in t.chars() {
            for (i, lower) in c.to_lowercase().enumerate() {
                out.push(lower, isize::from(i > 0));
            }
        }
    });
}

fn map_chars(text: &mut Aligned, map: impl Fn(char) -> char) {
    text.transform(0, |t, out| t.chars().for_each(|c| out.push(map(c), 0)));
}

/// SentencePiece's nmt rules as the library has them.
fn nmt(text: &mut Aligned) {
    text.filter(|c| {
        !matches!(c,
            '\u{1}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{8f}' | '\u{9f}')
    });
    let map = |c| match c {
        '\t'
        | '\n'
        | '\u{c}'
        | '\r'
        | '\u{1680}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2581}'
        | '\u{feff}'
        | '\u{fffd}' => ' ',
        c => c,
    };
    map_chars(text, map);
}

/// Charsmap rules, looked up for each grapheme of fewer than six bytes, else for each character.
///
/// A lookup finds the shortest rule that the grapheme starts with and replaces all of it; a
/// replacement that is empty vanishes into the character before it, and at the beginning without
/// being counted, so that ranges after it lag. All this is what the library does.
fn precompiled(map: &Charsmap, text: &mut Aligned) {
    if text.text().bytes().all(|b| map.is_plain(b)) {
        return;
    }
    let mut changed = false;
    let mut lags = false;
    let mut edits: Vec<(char, isize)> = Vec::with_capacity(text.text().len());
    for grapheme in text.text().graphemes(true) {
        if grapheme.len() < 6
            && let Some(new) = map.transform(grapheme)
        {
            changed = true;
            lags |= edits.is_empty() && new.is_empty();
            replace_part(&mut edits, grapheme, new);
            continue;
        }
        for c in grapheme.chars() {
            let mut buffer = [0; 4];
            let part = &*c.encode_utf8(&mut buffer);
            match map.transform(part) {
                Some(new) => {
                    changed = true;
                    lags |= edits.is_empty() && new.is_empty();
                    replace_part(&mut edits, part, new);
                }
                None => edits.push((c, 0)),
            }
        }
    }
    if changed {
        text.transform(0, |_, out| push_all(edits.into_iter(), out));
        text.lags |= lags;
    }
}

fn replace_part(edits: &mut Vec<(char, isize)>, old: &str, new: &str) {
    let old_count = old.chars().count();
    let start = edits.len();
    edits.extend(new.chars().map(|c| (c, 0)));
    let new_count = edits.len() - start;
    if new_count > old_count {
        for (_, change) in &mut edits[start + old_count..] {
            *change = 1;
        }
    } else if new_count < old_count
        && let Some((_, change)) = edits.last_mut()
    {
        *change -= (old_count - new_count) as isize;
    }
}

fn bert_normalize(bert: BertNormalizer, text: &mut Aligned) {
    if bert.clean_text {
        text.filter(|c| !(c == '\0' || c == '\u{fffd}' || is_control(c)));
        let map = |c: char| if c.is_whitespace() { ' ' } else { c };
        map_chars(text, map);
    }
    if bert.handle_chinese_chars && !text.text().is_ascii() {
        text.transform(0, |t, out| {
            for c in t.chars() {
                if is_chinese(c) {
                    out.push(' ', 0);
                    out.push(c, 1);
                    out.push(' ', 1);
                } else {
                    out.push(c, 0);
                }
            }
        });
    }
    if bert.strip_accents.unwrap_or(bert.lowercase) && !text.text().is_ascii() {
        text.transform(0, |t, out| push_all(t.nfd(), out));
        text.filter(|c| !c.is_mark_nonspacing());
    }
    if bert.lowercase {
        apply(&Normalizer::Lowercase, text);
    }
}

fn is_control(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        c => c.is_other(),
    }
}

/// The CJK blocks that BERT puts spaces around, as the library lists them (it begins one block at
/// U+2B920 where Google's list has U+2B820).
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF
        | 0x3400..=0x4DBF
        | 0x20000..=0x2A6DF
        | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF
        | 0xF900..=0xFAFF
        | 0x2F800..=0x2FA1F)
}
