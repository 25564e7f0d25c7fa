//! Paragraphs to sentences, by a rule that is simple and written down.
//!
//! A sentence ends behind `.`, `!`, `?` or `…`, with the closing quotes and brackets after it, where white space and then
//! the beginning of a sentence follow: a capital letter, a digit, or an opening quote or bracket. It does not end behind a
//! single capital letter with a point (J. Smith), nor behind an abbreviation of [`ABBREVIATIONS`].

/// What a point behind does not end a sentence, in lower case.
const ABBREVIATIONS: [&str; 30] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "rev", "hon", "gen", "col", "capt", "lt",
    "sgt", "gov", "sen", "rep", "mt", "messrs", "mme", "mlle", "vs", "etc", "no", "vol", "fig",
    "e.g", "i.e", "cf",
];

const CLOSING: [char; 8] = ['"', '\'', '”', '’', '»', ')', ']', '}'];
const OPENING: [char; 8] = ['"', '\'', '“', '‘', '«', '(', '[', '{'];

/// The sentences of a paragraph, without white space at their ends. Every other character is in exactly one of them.
pub fn split_sentences(paragraph: &str) -> impl Iterator<Item = &str> {
    let mut rest = paragraph.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = end_of_first(rest);
        let (sentence, more) = rest.split_at(end);
        rest = more.trim_start();
        Some(sentence)
    })
}

/// Where the first sentence of a text that is not empty ends.
fn end_of_first(text: &str) -> usize {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let tail = &text[at + c.len_utf8()..];
        let behind =
            tail.trim_start_matches(|c| CLOSING.contains(&c) || matches!(c, '.' | '!' | '?' | '…'));
        let next = behind.trim_start();
        if next.is_empty() {
            return text.len();
        }
        let begins = |c: char| c.is_uppercase() || c.is_numeric() || OPENING.contains(&c);
        if behind.len() > next.len()
            && next.starts_with(begins)
            && !(c == '.' && tail.len() == behind.len() && is_abbreviation(&text[..at]))
        {
            return text.len() - behind.len();
        }
        // Whatever was looked at holds no other end.
        while chars.as_str().len() > behind.len() {
            chars.next();
        }
    }
    text.len()
}

/// Whether a text ends with an abbreviation or an initial.
fn is_abbreviation(text: &str) -> bool {
    let word = text
        .rsplit(|c: char| c.is_whitespace() || OPENING.contains(&c))
        .next()
        .unwrap_or_default();
    let mut chars = word.chars();
    let initial = chars.next().is_some_and(char::is_uppercase) && chars.next().is_none();
    initial
        || ABBREVIATIONS
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::split_sentences;

    #[test]
    fn sentences_end_where_the_rule_says() {
        let of = |text: &'static str| split_sentences(text).collect::<Vec<_>>();
        assert_eq!(of("One. Two!  Three?"), ["One.", "Two!", "Three?"]);
        assert_eq!(
            of("\"No.\" He left. 'Yes...' (Really?!) 5 men came."),
            [
                "\"No.\"",
                "He left.",
                "'Yes...'",
                "(Really?!)",
                "5 men came."
            ]
        );
        assert_eq!(
            of("Mr. Smith met J. S. Bach, e.g. Johann. St. Paul, too."),
            ["Mr. Smith met J. S. Bach, e.g. Johann.", "St. Paul, too."]
        );
        assert_eq!(
            of("at 3.5 km. and so on… then"),
            ["at 3.5 km. and so on… then"]
        );
        assert_eq!(of("No end"), ["No end"]);
        assert_eq!(of("  Ä. Ö.É "), ["Ä. Ö.É"]);
        assert_eq!(of("Über. Ärger."), ["Über.", "Ärger."]);
        assert!(of(" \t ").is_empty() && of("").is_empty());
    }

    #[test]
    fn nothing_but_white_space_is_lost() {
        let mut random = 1u64;
        let alphabet: Vec<char> = ".!?…\"')] aAbÄ1\u{a0}".chars().collect();
        for _ in 0..2000 {
            let text: String = (0..40)
                .map(|_| {
                    random = crate::random::mix(random);
                    alphabet[random as usize % alphabet.len()]
                })
                .collect();
            let joined: String = split_sentences(&text).collect();
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(bare(&joined), bare(&text), "{text:?}");
            assert!(split_sentences(&text).all(|s| !s.is_empty() && s == s.trim()));
        }
    }
}
