//! Words of characters become words of symbols: the numbers of the characters that pieces are made of.

use std::collections::HashMap;

use unicode_script::{Script, UnicodeScript};

use super::corpus::{BREAK, Counted, Counts};

/// The words of a text, in the order of their symbols, and the characters behind the symbols.
pub(super) struct Corpus {
    /// By symbol: the most frequent first, equal ones in the order of their code points.
    pub(super) characters: Vec<Character>,
    /// All words, one after the other.
    symbols: Vec<u32>,
    /// Where each begins, and the end of the last.
    starts: Vec<usize>,
    /// What follows them, and how often.
    counts: Vec<Counts>,
}

/// A character that pieces are made of.
pub(super) struct Character {
    pub(super) character: char,
    /// How often the text holds it.
    pub(super) count: u64,
    pub(super) class: Class,
}

/// What a piece may hold beside a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `▁`, at the beginning alone.
    Space,
    /// Of the script of what is before it.
    Inherited,
    /// Of a script; whether it is a decimal digit that `split_digits` is about.
    Of(Script, bool),
}

impl Corpus {
    /// Words.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Symbols of all words.
    pub(super) fn symbols(&self) -> usize {
        self.symbols.len()
    }

    /// The symbols of a word.
    pub(super) fn word(&self, index: usize) -> &[u32] {
        &self.symbols[self.starts[index]..self.starts[index + 1]]
    }

    /// How often a word occurs before each follower.
    pub(super) fn followers(&self, index: usize) -> Counts {
        self.counts[index]
    }

    /// How often a word occurs.
    pub(super) fn count(&self, index: usize) -> u64 {
        self.counts[index].iter().sum()
    }

    /// Symbols as text.
    pub(super) fn text(&self, symbols: &[u32]) -> String {
        let characters = symbols.iter();
        characters
            .map(|symbol| self.characters[*symbol as usize].character)
            .collect()
    }
}

/// Longer words are cut, so that the memory for all ways to cut one is bounded.
const LONGEST_WORD: usize = 4096;

/// The most frequent characters, until they are `coverage` of the text; words are cut at the others.
pub(super) fn build(counted: Counted, coverage: f64) -> Corpus {
    let characters = characters(&counted, coverage);
    let numbers: HashMap<char, u32> = (0..)
        .zip(&characters)
        .map(|(i, c)| (c.character, i))
        .collect();
    let mut words: Vec<(Box<[u32]>, Counts)> = Vec::with_capacity(counted.words.len());
    let mut part = Vec::new();
    for (word, counts) in counted.words {
        let mut broken = [0; 3];
        broken[BREAK] = counts.iter().sum();
        for character in word.chars() {
            let symbol = numbers.get(&character);
            if symbol.is_none() || part.len() == LONGEST_WORD {
                words.push((part.as_slice().into(), broken));
                part.clear();
            }
            part.extend(symbol);
        }
        words.push((part.as_slice().into(), counts));
        part.clear();
    }
    words.retain(|(word, _)| !word.is_empty());
    words.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut corpus = Corpus {
        characters,
        symbols: Vec::with_capacity(words.iter().map(|(word, _)| word.len()).sum()),
        starts: vec![0],
        counts: Vec::with_capacity(words.len()),
    };
    for (word, counts) in words {
        match corpus.counts.last_mut() {
            Some(sums) if corpus.symbols[corpus.starts[corpus.starts.len() - 2]..] == *word => {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            _ => {
                corpus.symbols.extend_from_slice(&word);
                corpus.starts.push(corpus.symbols.len());
                corpus.counts.push(counts);
            }
        }
    }
    corpus
}

fn characters(counted: &Counted, coverage: f64) -> Vec<Character> {
    let mut counts: HashMap<char, u64> = HashMap::new();
    // Reserved symbols count as one more character of the text, as SentencePiece's stand-in for them does.
    const STAND_IN: char = '\t';
    if counted.breaks > 0 {
        counts.insert(STAND_IN, counted.breaks);
    }
    for (word, followers) in &counted.words {
        let count: u64 = followers.iter().sum();
        for character in word.chars() {
            *counts.entry(character).or_default() += count;
        }
    }
    let all: u64 = counts.values().sum();
    let mut sorted: Vec<(char, u64)> = counts.into_iter().collect();
    sorted.sort_unstable_by_key(|(character, count)| (std::cmp::Reverse(*count), *character));
    let mut covered = 0;
    let mut kept = Vec::new();
    for (character, count) in sorted {
        // In f32, as SentencePiece compares them.
        if (covered as f64 / all as f64) as f32 >= coverage as f32 {
            break;
        }
        covered += count;
        if character != STAND_IN {
            let class = class(character);
            kept.push(Character {
                character,
                count,
                class,
            });
        }
    }
    kept
}

/// SentencePiece takes Japanese for one script, and what has none for `Common`.
fn class(character: char) -> Class {
    let script = match (character, character.script()) {
        ('\u{2581}', _) => return Class::Space,
        (_, Script::Inherited) => return Class::Inherited,
        ('\u{30FC}', _) | (_, Script::Hiragana | Script::Katakana) => Script::Han,
        (_, Script::Unknown) => Script::Common,
        (_, script) => script,
    };
    Class::Of(
        script,
        matches!(character, '0'..='9' | '\u{FF10}'..='\u{FF19}'),
    )
}

/// Whether these classes may stand in one piece: `▁` first, one script, a digit alone if so asked.
pub(super) fn fits_together(
    classes: impl ExactSizeIterator<Item = Class>,
    split_digits: bool,
) -> bool {
    let mut script = None;
    let single = classes.len() == 1;
    for (place, class) in classes.enumerate() {
        match class {
            Class::Space if place > 0 => return false,
            Class::Space | Class::Inherited => {}
            Class::Of(_, true) if split_digits && !single => return false,
            Class::Of(own, _) => {
                if script.is_some_and(|script| script != own) {
                    return false;
                }
                script = Some(own);
            }
        }
    }
    true
}
