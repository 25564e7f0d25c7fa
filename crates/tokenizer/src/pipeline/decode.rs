//! Tokens to text.

use crate::json::{Decoder, Pattern, PrependScheme};

/// Runs all steps; without a decoder the tokens are joined with spaces.
pub(crate) fn decode(steps: Option<&[Decoder]>, mut tokens: Vec<String>) -> String {
    let Some(steps) = steps else {
        return tokens.join(" ");
    };
    for step in steps {
        tokens = apply(step, tokens);
    }
    tokens.concat()
}

fn apply(step: &Decoder, tokens: Vec<String>) -> Vec<String> {
    let each = |change: &dyn Fn(usize, String) -> String| -> Vec<String> {
        let numbered = tokens.clone().into_iter().enumerate();
        numbered.map(|(i, t)| change(i, t)).collect()
    };
    match step {
        Decoder::Metaspace {
            replacement,
            prepend,
            ..
        } => each(&|i, token| {
            let first = i == 0 && *prepend != PrependScheme::Never;
            let space = if first { "" } else { " " };
            token.replace(*replacement, space)
        }),
        Decoder::WordPiece { prefix, cleanup } => each(&|i, token| {
            let token = match token.strip_prefix(prefix.as_str()) {
                _ if i == 0 => token,
                Some(rest) => rest.to_owned(),
                None => format!(" {token}"),
            };
            if *cleanup { clean_up(&token) } else { token }
        }),
        Decoder::Replace { pattern, content } => each(&|_, token| match pattern {
            Pattern::Text(text) => token.replace(text.as_str(), content),
            Pattern::Spaces => {
                let mut ranges = Vec::new();
                super::normalize::runs_of_spaces(&token, &mut ranges);
                let mut out = token.clone();
                for (start, end) in ranges.into_iter().rev() {
                    out.replace_range(start..end, content);
                }
                out
            }
        }),
        Decoder::Strip {
            content,
            start,
            stop,
        } => each(&|_, token| strip(&token, *content, *start, *stop).to_owned()),
        Decoder::Fuse => vec![tokens.concat()],
        Decoder::ByteFallback => bytes_to_text(tokens),
    }
}

/// At most `start` of `content` taken from the left end and `stop` from the right one.
fn strip(token: &str, content: char, start: usize, stop: usize) -> &str {
    let mut token = token;
    for _ in 0..start {
        match token.strip_prefix(content) {
            Some(rest) => token = rest,
            None => break,
        }
    }
    for _ in 0..stop {
        match token.strip_suffix(content) {
            Some(rest) => token = rest,
            None => break,
        }
    }
    token
}

/// Runs of tokens like `<0x61>` become the text of their bytes, or as many U+FFFD if they are not
/// UTF-8.
fn bytes_to_text(tokens: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut bytes: Vec<u8> = Vec::new();
    let flush = |bytes: &mut Vec<u8>, out: &mut Vec<String>| {
        let count = bytes.len();
        match String::from_utf8(std::mem::take(bytes)) {
            Ok(text) if count > 0 => out.push(text),
            Ok(_) => (),
            Err(_) => out.extend(std::iter::repeat_n("\u{fffd}".to_owned(), count)),
        }
    };
    for token in tokens {
        let digits = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
        // from_str_radix takes a sign, and so does the library.
        let byte = digits.filter(|d| d.len() == 2);
        match byte.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => {
                flush(&mut bytes, &mut out);
                out.push(token);
            }
        }
    }
    flush(&mut bytes, &mut out);
    out
}

/// BERT's clean-up: no space before punctuation and English contractions. It works on one token
/// at a time, and turns " do not" into " don't", as the library does.
fn clean_up(token: &str) -> String {
    const PAIRS: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    let mut token = token.to_owned();
    for (from, to) in PAIRS {
        if token.contains(from) {
            token = token.replace(from, to);
        }
    }
    token
}
