//! Character classes of BERT's basic tokenizer, in Google's and in transformers' reading.

use super::ranges::{CONTROL, NONSPACING, OTHER, PUNCTUATION, SPACE};

/// Which characters are control characters depends on the program.
pub(super) struct Tables {
    control: &'static [(u32, u32)],
}

impl Tables {
    /// Google's program calls Cc and Cf control characters, transformers all of C.
    pub(super) fn new(google: bool) -> Self {
        Self {
            control: if google { CONTROL } else { OTHER },
        }
    }

    /// Control characters, but for tab and line ends.
    pub(super) fn is_control(&self, c: char) -> bool {
        !matches!(c, '\t' | '\n' | '\r') && has(self.control, c)
    }
}

pub(super) fn is_zs(c: char) -> bool {
    has(SPACE, c)
}

pub(super) fn is_nonspacing(c: char) -> bool {
    !c.is_ascii() && has(NONSPACING, c)
}

/// All signs of ASCII, and Unicode's punctuation.
pub(super) fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || (!c.is_ascii() && has(PUNCTUATION, c))
}

fn has(ranges: &[(u32, u32)], c: char) -> bool {
    let code = u32::from(c);
    let at = ranges.partition_point(|&(_, last)| last < code);
    ranges.get(at).is_some_and(|&(first, _)| first <= code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let (google, slow) = (Tables::new(true), Tables::new(false));
        for c in ['\u{7f}', '\u{200d}', '\u{1c}'] {
            assert!(google.is_control(c) && slow.is_control(c));
        }
        // Private use, not assigned, assigned after Unicode 14.
        for c in ['\u{e000}', '\u{378}', '\u{10d41}', '\u{10ffff}'] {
            assert!(!google.is_control(c) && slow.is_control(c));
        }
        assert!(!google.is_control('\t') && !slow.is_control('a'));
        assert!(is_zs('\u{3000}') && !is_zs('\u{2028}'));
        assert!(is_nonspacing('\u{301}') && !is_nonspacing('\u{93e}'));
        assert!(is_punctuation('$') && is_punctuation('。') && !is_punctuation('€'));
    }

    #[test]
    fn ranges_ascend() {
        for table in [CONTROL, OTHER, SPACE, NONSPACING, PUNCTUATION] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }
}
