//! The string methods of Python 3.11 that transformers and Google's scripts use.
//!
//! Python 3.11 has the tables of Unicode 14, this program later ones. Characters that came after
//! 14 are left alone, as Python leaves them; `tables` lists them. tools/tokenizer_unicode.py
//! compares all code points.

mod tables;

use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

fn within(ranges: &[(u32, u32)], character: char) -> bool {
    let code = u32::from(character);
    let after = ranges.partition_point(|&(_, last)| last < code);
    ranges.get(after).is_some_and(|&(first, _)| first <= code)
}

pub(crate) fn is_newer(character: char) -> bool {
    character >= '\u{558}' && within(&tables::NEWER, character)
}

/// `str.isspace`, which `str.split` and `str.strip` ask: Unicode's white space and four
/// separators of ASCII.
#[inline]
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&character)
}

/// `str.isdigit`.
pub(crate) fn is_digit(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_digit();
    }
    within(&tables::DIGITS, character)
}

/// `str.lower` of one character. A capital sigma becomes a small one that is not final.
#[inline]
pub(crate) fn lower(character: char, mut push: impl FnMut(char)) {
    if character.is_ascii() {
        push(character.to_ascii_lowercase());
    } else if is_newer(character) {
        push(character);
    } else {
        character.to_lowercase().for_each(push);
    }
}

/// `unicodedata.normalize("NFKD", …)` and then only what has `unicodedata.combining` 0. Canonical
/// ordering moves nothing but what is dropped, so characters can be looked at one by one.
#[inline]
pub(crate) fn strip_accents(character: char, mut push: impl FnMut(char)) {
    if character.is_ascii() || is_newer(character) {
        return push(character);
    }
    decompose_compatible(character, |part| {
        if canonical_combining_class(part) == 0 {
            push(part);
        }
    });
}

/// Gives each capital sigma in an otherwise lower-cased text the form that `str.lower` gives it:
/// final after a cased letter that no cased letter follows, both looked for across case-ignorable
/// characters. All three sigmas have two bytes.
pub(crate) fn lower_sigmas(text: &mut String) {
    const SIGMA: char = 'Σ';
    if !text.contains(SIGMA) {
        return;
    }
    let mut out = String::with_capacity(text.len());
    // What precedes: is the last character that is not ignorable cased?
    let mut cased_before = false;
    for (at, character) in text.char_indices() {
        if character == SIGMA {
            let rest = &text[at + SIGMA.len_utf8()..];
            let is_final = cased_before && !first_is_cased(rest);
            out.push(if is_final { 'ς' } else { 'σ' });
            cased_before = true;
            continue;
        }
        match case(character) {
            Case::Ignorable => {}
            Case::Cased => cased_before = true,
            Case::Neither => cased_before = false,
        }
        out.push(character);
    }
    *text = out;
}

fn first_is_cased(text: &str) -> bool {
    text.chars()
        .map(case)
        .find(|case| !matches!(case, Case::Ignorable))
        .is_some_and(|case| matches!(case, Case::Cased))
}

enum Case {
    Ignorable,
    Cased,
    Neither,
}

/// Unicode's Case_Ignorable, then Cased. The standard library does not show these properties, but
/// its own final sigma tells them.
fn case(character: char) -> Case {
    if character.is_ascii_alphabetic() {
        return Case::Cased;
    }
    match character {
        // Lower-case until Unicode 16.
        '\u{295}' => return Case::Cased,
        // A mark without width until Unicode 14.
        '\u{1171E}' => return Case::Ignorable,
        _ if is_newer(character) => return Case::Neither,
        _ => {}
    }
    let sigma_is_final = |before: &str| {
        let text: String = before.chars().chain([character, 'Σ']).collect();
        text.to_lowercase().ends_with('ς')
    };
    match (sigma_is_final("a"), sigma_is_final(" ")) {
        (_, true) => Case::Cased,
        (true, false) => Case::Ignorable,
        (false, false) => Case::Neither,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(text: &str) -> String {
        let mut out = String::new();
        for character in text.chars() {
            if character == 'Σ' {
                out.push(character);
            } else {
                lower(character, |part| out.push(part));
            }
        }
        lower_sigmas(&mut out);
        out
    }

    #[test]
    fn sigma_at_the_end_of_words() {
        for (text, expected) in [
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ ΣΑ", "οδος σα"),
            ("Σ", "σ"),
            ("ΑΣ.Α", "ασ.α"),
            ("Α.Σ", "α.ς"),
            ("ΑΣΣ", "ασς"),
            ("ΑΣ'Α", "ασ'α"),
            ("İ", "i\u{307}"),
            ("ʕΣ", "ʕς"),
        ] {
            assert_eq!(lowered(text), expected, "{text}");
        }
    }

    #[test]
    fn characters_after_unicode_14_are_left_alone() {
        assert_eq!(lowered("\u{A7DC}"), "\u{A7DC}");
        let mut out = String::new();
        strip_accents('\u{1E030}', |part| out.push(part));
        strip_accents('\u{11F41}', |part| out.push(part));
        strip_accents('é', |part| out.push(part));
        strip_accents('½', |part| out.push(part));
        assert_eq!(out, "\u{1E030}\u{11F41}e1\u{2044}2");
    }

    #[test]
    fn spaces_and_digits() {
        assert!(is_space('\u{1C}') && is_space('\u{85}') && is_space('\u{3000}'));
        assert!(!is_space('\u{200B}') && !is_space('\u{FEFF}') && !is_space('\0'));
        assert!(is_digit('7') && is_digit('²') && is_digit('①') && is_digit('٣'));
        assert!(!is_digit('½') && !is_digit('Ⅷ') && !is_digit('x'));
    }
}
