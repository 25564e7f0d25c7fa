//! The pieces to begin with: single characters, and the substrings of words that are frequent and long.

use std::cmp::Reverse;

use super::alphabet::{Corpus, fits_together};
use super::options::VocabOptions;

/// Stands behind a word in place of a symbol, one for each follower.
const TERMINATOR: u32 = u32::MAX - 2;

/// All characters, and the substrings of at least two that can be followed by more than one thing (the nodes of the text's
/// suffix tree), with the largest products of length and frequency; in the order of their symbols, each with its weight:
/// that product, for a character its frequency.
pub(super) fn pieces(corpus: &Corpus, options: &VocabOptions) -> Vec<(Vec<u32>, u64)> {
    let words = Terminated::new(corpus, options.max_sentencepiece_length);
    let mut suffixes = words.suffixes();
    suffixes.sort_unstable_by(|a, b| words.suffix(*a).cmp(words.suffix(*b)));
    let longest = options.max_sentencepiece_length;
    let most = options.seed_sentencepiece_size;
    // (score, place of the piece in `suffixes`' order, suffix, length): ties go to the first.
    let mut found: Vec<(Reverse<u64>, usize, u32, u32)> = Vec::new();
    words.nodes(&suffixes, |suffix, place, length, count| {
        if length < 2 || length > longest {
            return;
        }
        let symbols = &words.suffix(suffix)[..length];
        let classes = symbols
            .iter()
            .map(|symbol| corpus.characters.get(*symbol as usize).map(|c| c.class));
        let classes: Option<Vec<_>> = classes.collect();
        if classes.is_some_and(|classes| fits_together(classes.into_iter(), options.split_digits)) {
            found.push((Reverse(count * length as u64), place, suffix, length as u32));
            if found.len() > 4 * most {
                found.select_nth_unstable(most);
                found.truncate(most);
            }
        }
    });
    if found.len() > most {
        found.select_nth_unstable(most);
        found.truncate(most);
    }
    let several = found
        .into_iter()
        .map(|(Reverse(score), _, suffix, length)| {
            (words.suffix(suffix)[..length as usize].to_vec(), score)
        });
    let single = (0..)
        .zip(&corpus.characters)
        .map(|(symbol, character)| (vec![symbol], character.count));
    let mut pieces: Vec<_> = single.chain(several).collect();
    pieces.sort_unstable();
    pieces
}

/// Words with what follows them.
struct Terminated {
    /// Words, each with a terminator.
    symbols: Vec<u32>,
    /// For each symbol, the word that it belongs to.
    owner: Vec<u32>,
    /// For each word, where it ends and how often it occurs.
    words: Vec<(usize, u64)>,
    /// Symbols of a piece, at most.
    longest: usize,
}

impl Terminated {
    fn new(corpus: &Corpus, longest: usize) -> Self {
        let mut all = Self {
            symbols: Vec::new(),
            owner: Vec::new(),
            words: Vec::new(),
            longest,
        };
        for index in 0..corpus.len() {
            for (follower, count) in corpus.followers(index).into_iter().enumerate() {
                if count == 0 {
                    continue;
                }
                all.symbols.extend_from_slice(corpus.word(index));
                all.symbols.push(TERMINATOR + follower as u32);
                all.owner.resize(all.symbols.len(), all.words.len() as u32);
                all.words.push((all.symbols.len(), count));
            }
        }
        all
    }

    /// Where a symbol that is no terminator stands.
    fn suffixes(&self) -> Vec<u32> {
        let places = (0..).zip(&self.symbols);
        places
            .filter(|(_, symbol)| **symbol < TERMINATOR)
            .map(|(place, _)| place)
            .collect()
    }

    /// From a place to the end of its word, with the terminator, and no further than a symbol beyond the longest piece.
    fn suffix(&self, place: u32) -> &[u32] {
        let place = place as usize;
        let end = self.words[self.owner[place] as usize].0;
        &self.symbols[place..end.min(place + self.longest + 1)]
    }

    fn count(&self, place: u32) -> u64 {
        self.words[self.owner[place as usize] as usize].1
    }

    /// The inner nodes of the tree of sorted suffixes, each once: (a suffix that it begins, its place in the list, the
    /// length of what all below it have in common, how often that occurs).
    fn nodes(&self, suffixes: &[u32], mut found: impl FnMut(u32, usize, usize, u64)) {
        // (length, occurrences so far) of the nodes on the way to the suffix before.
        let mut open: Vec<(usize, u64)> = vec![(0, 0)];
        for (place, &suffix) in suffixes.iter().enumerate() {
            let next = suffixes.get(place + 1);
            let common = next.map_or(0, |next| {
                let both = self.suffix(suffix).iter().zip(self.suffix(*next));
                both.take_while(|(a, b)| a == b).count()
            });
            let mut count = self.count(suffix);
            while let Some((length, sum)) = open.pop_if(|(length, _)| *length > common) {
                count += sum;
                found(suffix, place, length, count);
            }
            match open.last_mut() {
                Some((length, sum)) if *length == common => *sum += count,
                _ => open.push((common, count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::alphabet;
    use super::super::corpus::Counted;
    use super::*;

    fn seeds(words: &[(&str, [u64; 3])], options: &VocabOptions) -> Vec<(String, u64)> {
        let words = words.iter().map(|(word, counts)| ((*word).into(), *counts));
        let counted = Counted {
            words: words.collect(),
            breaks: 0,
            sentences: 1,
            drawn: 1,
        };
        let corpus = alphabet::build(counted, 1.0);
        let mut found: Vec<(String, u64)> = pieces(&corpus, options)
            .iter()
            .map(|(symbols, weight)| (corpus.text(symbols), *weight))
            .filter(|(text, _)| text.chars().count() > 1)
            .collect();
        found.sort();
        found
    }

    #[test]
    fn substrings_with_several_continuations_are_found_with_their_counts() {
        let options = VocabOptions::default();
        let found = seeds(&[("abra", [2, 0, 1]), ("abrac", [5, 0, 0])], &options);
        // "abra" is followed by a word, an end and "c"; "ab" by "r" alone, "abrac" by words alone.
        let expected = [("abra", 32), ("bra", 24), ("ra", 16)];
        assert_eq!(
            found,
            expected.map(|(text, weight)| (text.to_owned(), weight))
        );
    }

    #[test]
    fn a_slow_count_of_all_substrings_agrees() {
        let words = [
            "▁banana",
            "▁bandana",
            "ananas",
            "▁an",
            "nab",
            "▁a1a1",
            "it's",
            "ababab",
            "▁bananas",
        ];
        let words: Vec<(&str, [u64; 3])> = (1..)
            .zip(words)
            .map(|(i, word)| (word, [i, i % 3, 5 - i % 4]))
            .collect();
        let options = VocabOptions {
            max_sentencepiece_length: 5,
            ..VocabOptions::default()
        };
        let mut slow: std::collections::BTreeMap<
            String,
            (u64, std::collections::BTreeSet<String>),
        > = Default::default();
        for (word, counts) in &words {
            let chars: Vec<char> = word.chars().collect();
            for start in 0..chars.len() {
                for end in start + 2..=chars.len().min(start + 5) {
                    let entry = slow.entry(chars[start..end].iter().collect()).or_default();
                    entry.0 += counts.iter().sum::<u64>();
                    match chars.get(end) {
                        Some(next) => {
                            entry.1.insert(next.to_string());
                        }
                        None => entry
                            .1
                            .extend((0..3).filter(|i| counts[*i] > 0).map(|i| format!("end{i}"))),
                    }
                }
            }
        }
        let letters = |text: &str| {
            text.trim_start_matches('▁')
                .chars()
                .all(|c| c.is_alphabetic())
        };
        let expected: Vec<(String, u64)> = slow
            .into_iter()
            .filter(|(text, (_, next))| next.len() > 1 && letters(text))
            .map(|(text, (count, _))| {
                let length = text.chars().count() as u64;
                (text, count * length)
            })
            .collect();
        assert!(expected.len() > 20);
        assert_eq!(seeds(&words, &options), expected);
        let few = VocabOptions {
            seed_sentencepiece_size: 7,
            ..options
        };
        let mut best: Vec<u64> = expected.iter().map(|(_, weight)| *weight).collect();
        best.sort_unstable_by_key(|weight| Reverse(*weight));
        let mut found: Vec<u64> = seeds(&words, &few)
            .iter()
            .map(|(_, weight)| *weight)
            .collect();
        found.sort_unstable_by_key(|weight| Reverse(*weight));
        assert_eq!(found, best[..7]);
    }
}
