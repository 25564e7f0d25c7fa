//! General categories as Python 3.11 has them, for BERT's basic tokenizer.

use regex_syntax::hir::{Class, HirKind};

use crate::python::is_newer;

/// Ranges of characters, ascending.
pub(super) struct Tables {
    control: Vec<(char, char)>,
    space: Vec<(char, char)>,
    nonspacing: Vec<(char, char)>,
    punctuation: Vec<(char, char)>,
}

impl Tables {
    /// From the tables of regex-syntax. They are of a later Unicode than Python's: characters that
    /// came since have no category there, and [`Tables::has`] gives them none.
    pub(super) fn new() -> Self {
        Self {
            control: ranges(r"[\p{Cc}\p{Cf}]"),
            space: ranges(r"\p{Zs}"),
            nonspacing: ranges(r"\p{Mn}"),
            punctuation: ranges(r"\p{P}"),
        }
    }

    fn has(ranges: &[(char, char)], c: char) -> bool {
        let at = ranges.partition_point(|&(_, last)| last < c);
        ranges.get(at).is_some_and(|&(first, _)| first <= c) && !is_newer(c)
    }

    /// Cc and Cf, but for tab and line ends.
    pub(super) fn is_control(&self, c: char) -> bool {
        !matches!(c, '\t' | '\n' | '\r') && Self::has(&self.control, c)
    }

    pub(super) fn is_space(&self, c: char) -> bool {
        Self::has(&self.space, c)
    }

    pub(super) fn is_nonspacing(&self, c: char) -> bool {
        !c.is_ascii() && Self::has(&self.nonspacing, c)
    }

    /// All signs of ASCII, and Unicode's punctuation.
    pub(super) fn is_punctuation(&self, c: char) -> bool {
        c.is_ascii_punctuation() || (!c.is_ascii() && Self::has(&self.punctuation, c))
    }
}

/// The characters of a class.
fn ranges(pattern: &str) -> Vec<(char, char)> {
    let hir = regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind);
    match hir {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            class.iter().map(|r| (r.start(), r.end())).collect()
        }
        // The patterns above are classes of more than one character.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_there() {
        let t = Tables::new();
        assert!(t.is_control('\u{7f}') && t.is_control('\u{200d}') && !t.is_control('\t'));
        assert!(t.is_space('\u{3000}') && !t.is_space('\u{2028}'));
        assert!(t.is_nonspacing('\u{301}') && !t.is_nonspacing('\u{93e}'));
        assert!(t.is_punctuation('$') && t.is_punctuation('。') && !t.is_punctuation('€'));
    }
}
