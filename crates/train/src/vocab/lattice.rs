//! All ways to cut a word into pieces: how likely each piece is in them, and the best one.

use super::pieces::{Pieces, Trie};

/// Stands for a symbol that is no piece.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Pieces ready for search.
pub(super) struct Lexicon<'a> {
    pub(super) pieces: &'a Pieces,
    trie: Trie,
    /// exp(score + [`LIFT`] · length) for each piece, and for a symbol that is none.
    weights: Vec<f64>,
    unknown: f64,
    unknown_weight: f64,
}

/// Products of probabilities are raised by so many nats for each symbol, about what a symbol costs, so that they stay in
/// the range of an f64.
const LIFT: f64 = 3.0;
/// Longer words, and sums below this, are computed with logarithms.
const SHORT: usize = 64;
const SMALL: f64 = 1e-200;

impl<'a> Lexicon<'a> {
    pub(super) fn new(pieces: &'a Pieces) -> Self {
        let weight = |score: f64, length: usize| libm::exp(score + LIFT * length as f64);
        let weights = (0..pieces.len()).map(|i| weight(pieces.scores[i], pieces.piece(i).len()));
        Self {
            trie: Trie::new(pieces),
            weights: weights.collect(),
            unknown: pieces.unknown(),
            unknown_weight: weight(pieces.unknown(), 1),
            pieces,
        }
    }

    fn weight(&self, piece: u32) -> f64 {
        self.weights
            .get(piece as usize)
            .copied()
            .unwrap_or(self.unknown_weight)
    }

    fn score(&self, piece: u32) -> f64 {
        self.pieces
            .scores
            .get(piece as usize)
            .copied()
            .unwrap_or(self.unknown)
    }
}

/// A piece at a place of the word.
#[derive(Clone, Copy)]
struct Arc {
    from: u32,
    to: u32,
    piece: u32,
}

/// Memory for words, one after the other.
#[derive(Default)]
pub(super) struct Lattice {
    arcs: Vec<Arc>,
    forward: Vec<f64>,
    backward: Vec<f64>,
    /// For each place, the arc that the best way there ends with.
    best: Vec<usize>,
}

impl Lattice {
    /// Lists the pieces of a word by where they begin, shortest first, and [`UNKNOWN`] where no single symbol is one.
    fn fill(&mut self, lexicon: &Lexicon<'_>, word: &[u32]) {
        self.arcs.clear();
        for from in 0..word.len() {
            let mut single = false;
            lexicon.trie.prefixes(&word[from..], |length, piece| {
                single |= length == 1;
                let (from, to) = (from as u32, (from + length) as u32);
                self.arcs.push(Arc {
                    from,
                    to,
                    piece: piece as u32,
                });
            });
            if !single {
                let (from, to) = (from as u32, from as u32 + 1);
                self.arcs.push(Arc {
                    from,
                    to,
                    piece: UNKNOWN,
                });
            }
        }
    }

    /// Calls `found(piece, probability)` for each piece at each place of a word, and returns the logarithm of the word's
    /// probability: the sum over all ways to cut it.
    pub(super) fn expect(
        &mut self,
        lexicon: &Lexicon<'_>,
        word: &[u32],
        mut found: impl FnMut(u32, f64),
    ) -> f64 {
        self.fill(lexicon, word);
        let end = word.len();
        self.forward.clear();
        self.forward.resize(end + 1, 0.0);
        self.forward[0] = 1.0;
        for arc in &self.arcs {
            self.forward[arc.to as usize] +=
                self.forward[arc.from as usize] * lexicon.weight(arc.piece);
        }
        let sum = self.forward[end];
        if end > SHORT || !(SMALL..=1.0 / SMALL).contains(&sum) {
            return self.expect_in_logarithms(lexicon, end, found);
        }
        self.backward.clear();
        self.backward.resize(end + 1, 0.0);
        self.backward[end] = 1.0;
        for arc in self.arcs.iter().rev() {
            let weight = lexicon.weight(arc.piece) * self.backward[arc.to as usize];
            self.backward[arc.from as usize] += weight;
            found(arc.piece, self.forward[arc.from as usize] * weight / sum);
        }
        libm::log(sum) - LIFT * end as f64
    }

    fn expect_in_logarithms(
        &mut self,
        lexicon: &Lexicon<'_>,
        end: usize,
        mut found: impl FnMut(u32, f64),
    ) -> f64 {
        self.forward.clear();
        self.forward.resize(end + 1, f64::NEG_INFINITY);
        self.forward[0] = 0.0;
        for arc in &self.arcs {
            let way = self.forward[arc.from as usize] + lexicon.score(arc.piece);
            self.forward[arc.to as usize] = log_sum(self.forward[arc.to as usize], way);
        }
        let sum = self.forward[end];
        self.backward.clear();
        self.backward.resize(end + 1, f64::NEG_INFINITY);
        self.backward[end] = 0.0;
        for arc in self.arcs.iter().rev() {
            let way = lexicon.score(arc.piece) + self.backward[arc.to as usize];
            self.backward[arc.from as usize] = log_sum(self.backward[arc.from as usize], way);
            found(
                arc.piece,
                libm::exp(self.forward[arc.from as usize] + way - sum),
            );
        }
        sum
    }

    /// The best way to cut a word, its pieces last to first in `path`, and its score; of equal ones the one whose last
    /// piece begins first. `without` is a piece that it may not use.
    pub(super) fn best(
        &mut self,
        lexicon: &Lexicon<'_>,
        word: &[u32],
        without: Option<usize>,
        path: &mut Vec<u32>,
    ) -> f64 {
        self.fill(lexicon, word);
        self.forward.clear();
        self.forward.resize(word.len() + 1, f64::NEG_INFINITY);
        self.forward[0] = 0.0;
        self.best.clear();
        self.best.resize(word.len() + 1, 0);
        for (index, arc) in self.arcs.iter().enumerate() {
            let way = self.forward[arc.from as usize] + lexicon.score(arc.piece);
            if way > self.forward[arc.to as usize] && without != Some(arc.piece as usize) {
                self.forward[arc.to as usize] = way;
                self.best[arc.to as usize] = index;
            }
        }
        path.clear();
        let score = self.forward[word.len()];
        let mut at = word.len();
        while at > 0 && score > f64::NEG_INFINITY {
            let arc = self.arcs[self.best[at]];
            path.push(arc.piece);
            at = arc.from as usize;
        }
        score
    }
}

/// log(exp(a) + exp(b))
fn log_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + libm::log1p(libm::exp(low - high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways to cut a word, by trying them.
    fn ways(pieces: &Pieces, word: &[u32]) -> Vec<(Vec<u32>, f64)> {
        if word.is_empty() {
            return vec![(Vec::new(), 0.0)];
        }
        let mut found = Vec::new();
        let mut add = |length: usize, piece: u32, score: f64| {
            for (mut rest, sum) in ways(pieces, &word[length..]) {
                rest.push(piece);
                found.push((rest, score + sum));
            }
        };
        let mut single = false;
        for index in 0..pieces.len() {
            if word.starts_with(pieces.piece(index)) {
                single |= pieces.piece(index).len() == 1;
                add(
                    pieces.piece(index).len(),
                    index as u32,
                    pieces.scores[index],
                );
            }
        }
        if !single {
            add(1, UNKNOWN, pieces.unknown());
        }
        found
    }

    fn pieces() -> Pieces {
        let list: [(&[u32], f64); 7] = [
            (&[0], -2.0),
            (&[0, 1], -2.5),
            (&[0, 1, 2], -3.5),
            (&[1], -1.5),
            (&[1, 2, 0], -4.0),
            (&[2, 0], -2.2),
            (&[3], -60.0),
        ];
        Pieces::new(list.into_iter())
    }

    #[test]
    fn probabilities_are_those_of_all_ways_together() {
        let pieces = pieces();
        let lexicon = Lexicon::new(&pieces);
        for word in [
            &[0, 1, 2, 0, 1][..],
            &[2],
            &[0, 1, 2, 0, 1, 2, 0, 0, 1],
            &[3, 2, 2, 3],
        ] {
            let ways = ways(&pieces, word);
            let total: f64 = ways.iter().map(|(_, score)| score.exp()).sum();
            let slow = |piece: u32| -> f64 {
                let uses = |path: &[u32]| path.iter().filter(|p| **p == piece).count() as f64;
                ways.iter()
                    .map(|(path, score)| uses(path) * score.exp() / total)
                    .sum()
            };
            let mut lattice = Lattice::default();
            for logarithms in [false, true] {
                let mut found = std::collections::BTreeMap::new();
                let put = |piece, p| *found.entry(piece).or_insert(0.0) += p;
                let log = if logarithms {
                    lattice.fill(&lexicon, word);
                    lattice.expect_in_logarithms(&lexicon, word.len(), put)
                } else {
                    lattice.expect(&lexicon, word, put)
                };
                assert!(
                    (log - total.ln()).abs() < 1e-12 * total.ln().abs().max(1.0),
                    "{log}"
                );
                for (piece, p) in found {
                    assert!(
                        (p - slow(piece)).abs() < 1e-12,
                        "{word:?} {piece}: {p}, {}",
                        slow(piece)
                    );
                }
            }
            let mut path = Vec::new();
            let score = lattice.best(&lexicon, word, None, &mut path);
            let best = ways
                .iter()
                .map(|way| way.1)
                .fold(f64::NEG_INFINITY, f64::max);
            assert!((score - best).abs() < 1e-12);
            assert!(
                ways.iter()
                    .any(|way| way.0 == path && (way.1 - best).abs() < 1e-12)
            );
        }
    }

    #[test]
    fn long_and_unlikely_words_have_a_probability() {
        let pieces = pieces();
        let lexicon = Lexicon::new(&pieces);
        let mut lattice = Lattice::default();
        for (word, expected) in [(vec![3; 500], -30_000.0), (vec![2; 60], 60.0 * -70.0)] {
            let mut sum = 0.0;
            let log = lattice.expect(&lexicon, &word, |_, p| sum += p);
            assert!(
                (log - expected).abs() < 1e-6 && (sum - word.len() as f64).abs() < 1e-9,
                "{log}, {sum}"
            );
        }
    }

    #[test]
    fn a_piece_can_be_left_out() {
        let pieces = pieces();
        let lexicon = Lexicon::new(&pieces);
        let (mut lattice, mut path) = (Lattice::default(), Vec::new());
        assert_eq!(lattice.best(&lexicon, &[0, 1, 2], None, &mut path), -3.5);
        assert_eq!(path, [2]);
        assert_eq!(lattice.best(&lexicon, &[0, 1], Some(1), &mut path), -3.5);
        assert_eq!(path, [3, 0]);
        assert!(
            lattice
                .best(&lexicon, &[0], Some(0), &mut path)
                .is_infinite()
        );
        assert!(path.is_empty());
    }
}
