//! What is masked: whole words in runs of up to n words, 80 % masks, 10 % kept, 10 % other tokens, after
//! `create_masked_lm_predictions` of `create_pretraining_data.py`.

use super::options::Masking;
use super::pieces::Pieces;
use crate::random::Stream;

/// The words of a sequence: runs of places between the special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Places of all tokens but `[CLS]` and `[SEP]`, in order.
    places: Vec<u32>,
    /// Where each word begins in `places`, and the end.
    starts: Vec<u32>,
    /// For each token whether it is special or a start piece that opens a word `[S]`.
    pub(super) boundary: Vec<bool>,
}

impl Words {
    /// A piece that begins no word joins the word before it, over special tokens too; the first piece opens one in any case.
    /// Without `whole_word` each token is a word.
    pub(super) fn of(ids: &[u32], pieces: &Pieces, whole_word: bool) -> Self {
        let mut words = Self {
            boundary: vec![false; ids.len()],
            ..Self::default()
        };
        for (place, &id) in ids.iter().enumerate() {
            if id == pieces.cls || id == pieces.sep {
                words.boundary[place] = true;
                continue;
            }
            let start = pieces.is_start(id);
            if start || !whole_word || words.starts.is_empty() {
                words.starts.push(words.places.len() as u32);
                words.boundary[place] = start;
            }
            words.places.push(place as u32);
        }
        words.starts.push(words.places.len() as u32);
        words
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The places of `count` words from `first` on, fewer at the end.
    pub(super) fn run(&self, first: usize, count: usize) -> &[u32] {
        let end = (first + count).min(self.len());
        &self.places[self.starts[first] as usize..self.starts[end] as usize]
    }
}

/// Predictions of a sequence of `tokens` tokens, special ones included: min(`most`, max(1, tokens · probability)), rounded to
/// the nearest, of two equally near to the even one.
pub(super) fn budget(tokens: usize, probability: f64, most: usize) -> usize {
    if probability == 0.0 {
        return 0;
    }
    let share = (tokens as f64 * probability).round_ties_even() as usize;
    most.min(share.max(1))
}

/// Probabilities of 1, 2, … words that are masked together, added up.
fn cumulative(masking: &Masking) -> Vec<f64> {
    let mut weights: Vec<f64> = (1..=masking.max_ngram).map(|n| 1.0 / n as f64).collect();
    if !masking.favor_shorter_ngram {
        weights.reverse();
    }
    let sum: f64 = weights.iter().sum();
    let mut before = 0.0;
    weights
        .iter()
        .map(|weight| {
            before += weight / sum;
            before
        })
        .collect()
}

/// Chooses at most `budget` places, in the order in which they are chosen. Candidates are all words in random order; each
/// draws how many words from it on are masked, takes fewer where the budget asks for it, and is left out where that does not
/// help or one of the places is taken.
pub(super) fn choose(
    draw: &mut Stream,
    words: &Words,
    masking: &Masking,
    budget: usize,
) -> Vec<u32> {
    let chances = cumulative(masking);
    let mut candidates: Vec<u32> = (0..words.len() as u32).collect();
    let mut taken = vec![false; words.boundary.len()];
    let mut chosen = Vec::with_capacity(budget);
    for i in 0..candidates.len() {
        if chosen.len() >= budget {
            break;
        }
        let other = i + draw.below((candidates.len() - i) as u64) as usize;
        candidates.swap(i, other);
        let first = candidates[i] as usize;
        let chance = draw.uniform();
        let mut count = 1 + chances[..chances.len() - 1]
            .iter()
            .filter(|sum| **sum <= chance)
            .count();
        while count > 1 && chosen.len() + words.run(first, count).len() > budget {
            count -= 1;
        }
        let run = words.run(first, count);
        if chosen.len() + run.len() > budget || run.iter().any(|place| taken[*place as usize]) {
            continue;
        }
        for &place in run {
            taken[place as usize] = true;
            chosen.push(place);
        }
    }
    chosen
}

/// Masks chosen places of a sequence and returns (place, token before), sorted. Each token by itself becomes the mask (80 %),
/// stays (10 %) or becomes any entry of the vocabulary (10 %).
pub(super) fn mask(
    draw: &mut Stream,
    chosen: Vec<u32>,
    pieces: &Pieces,
    ids: &mut [u32],
) -> Vec<(u32, u32)> {
    let mut masked: Vec<(u32, u32)> = chosen
        .into_iter()
        .map(|place| {
            let id = &mut ids[place as usize];
            let before = *id;
            if draw.chance(0.8) {
                *id = pieces.mask;
            } else if !draw.chance(0.5) {
                *id = draw.below(pieces.vocab_size() as u64) as u32;
            }
            (place, before)
        })
        .collect();
    masked.sort_unstable();
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKING: Masking = Masking {
        probability: 0.15,
        max_ngram: 3,
        favor_shorter_ngram: true,
        whole_word: true,
    };

    /// One-token words, but for a few.
    fn words(lengths: &[u32]) -> Words {
        let total = lengths.iter().sum::<u32>();
        let mut starts = vec![0];
        starts.extend(lengths.iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        }));
        Words {
            places: (1..=total).collect(),
            starts,
            boundary: vec![false; total as usize + 2],
        }
    }

    #[test]
    fn budgets_round_half_to_even() {
        let cases = [
            (10, 0.15, 2),
            (30, 0.15, 4),
            (50, 0.15, 8),
            (512, 0.15, 20),
            (3, 0.15, 1),
            (100, 0.0, 0),
            (10, 0.25, 2),
        ];
        for (tokens, probability, expected) in cases {
            assert_eq!(
                budget(tokens, probability, 20),
                expected,
                "{tokens} · {probability}"
            );
        }
        assert_eq!(budget(512, 0.15, 77), 77);
        assert_eq!(budget(512, 0.15, 76), 76);
        assert_eq!(budget(50, 0.15, 0), 0);
    }

    #[test]
    fn words_are_whole_and_the_budget_holds() {
        let words = words(&[1, 2, 5, 1, 1, 3, 1]);
        for key in 0..2000 {
            let budget = 1 + key as usize % 9;
            let chosen = choose(&mut Stream::new(2, &[key]), &words, &MASKING, budget);
            assert!(chosen.len() <= budget);
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), chosen.len());
            for word in 0..words.len() {
                let places = words.run(word, 1);
                let inside = places.iter().filter(|place| chosen.contains(place)).count();
                assert!(inside == 0 || inside == places.len(), "{chosen:?}");
            }
        }
        assert!(choose(&mut Stream::new(1, &[]), &words, &MASKING, 0).is_empty());
        // Everything, where the budget allows it.
        let all = choose(
            &mut Stream::new(1, &[]),
            &words,
            &Masking {
                max_ngram: 1,
                ..MASKING
            },
            100,
        );
        assert_eq!(all.len(), 14);
    }

    #[test]
    fn runs_have_the_probabilities_of_the_formula() {
        let words = words(&[1; 100]);
        for (favor_shorter_ngram, expected) in [(true, [6.0, 3.0, 2.0]), (false, [2.0, 3.0, 6.0])] {
            let masking = Masking {
                favor_shorter_ngram,
                ..MASKING
            };
            let mut counts = [0.0; 3];
            // The first candidate draws without a constraint; at the end of the sequence runs are shorter.
            for key in 0..20_000 {
                let mut draw = Stream::new(3, &[key]);
                let chosen = choose(&mut draw, &words, &masking, 100);
                let run = chosen
                    .windows(2)
                    .take_while(|pair| pair[1] == pair[0] + 1)
                    .count();
                if chosen[0] < 90 {
                    counts[run.min(2)] += 1.0;
                }
            }
            let total: f64 = counts.iter().sum();
            for (count, weight) in counts.iter().zip(expected) {
                let p: f64 = weight / 11.0;
                // The second candidate follows the first by chance in 1 of 100 cases, hence 0.012.
                assert!(
                    (count / total - p).abs() < 5.0 * (p * (1.0 - p) / total).sqrt() + 0.012,
                    "{counts:?}"
                );
            }
        }
    }
}
