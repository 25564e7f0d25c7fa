//! From sentences to words: cut before each `▁` and around reserved symbols.

use albert_tokenizer::{TrainingBuffers, TrainingText};

use super::corpus::{BREAK, END, WORD};

/// Cuts sentences into words.
pub(super) struct Cutter<'a> {
    text: &'a TrainingText,
    /// Reserved symbols by their first byte, longest first.
    symbols: Vec<Vec<&'a str>>,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(text: &'a TrainingText, symbols: &[&'a str]) -> Self {
        let mut table = vec![Vec::new(); 256];
        for symbol in symbols {
            table[usize::from(symbol.as_bytes()[0])].push(*symbol);
        }
        for list in &mut table {
            list.sort_by_key(|symbol: &&str| std::cmp::Reverse(symbol.len()));
        }
        // A piece cannot hold NUL, which no rule of the normaliser removes.
        table[0].push("\0");
        Self {
            text,
            symbols: table,
        }
    }

    /// Calls `word(text, follower)` for each word of some lines, and counts what stands between words without being a space.
    pub(super) fn words(
        &self,
        sentences: &str,
        breaks: &mut u64,
        mut word: impl FnMut(&str, usize),
    ) {
        let mut buffers = TrainingBuffers::default();
        for sentence in sentences.lines() {
            let text = self.text.normalize(sentence, &mut buffers);
            let (mut start, mut at) = (0, 0);
            let mut put = |part: &str, follower| {
                if !part.is_empty() {
                    word(part, follower);
                }
            };
            while at < text.len() {
                let rest = &text[at..];
                let first = rest.as_bytes()[0];
                let symbols = &self.symbols[usize::from(first)];
                if let Some(symbol) = symbols.iter().find(|symbol| rest.starts_with(**symbol)) {
                    put(&text[start..at], BREAK);
                    at += symbol.len();
                    start = at;
                    *breaks += 1;
                    continue;
                }
                if at > start && rest.starts_with('\u{2581}') {
                    put(&text[start..at], WORD);
                    start = at;
                }
                at += match first {
                    0..0x80 => 1,
                    0x80..0xE0 => 2,
                    0xE0..0xF0 => 3,
                    0xF0.. => 4,
                };
            }
            put(&text[start..], END);
        }
    }
}
