//! Expectation, maximisation and pruning, until few pieces are left.

use super::Stage;
use super::alphabet::Corpus;
use super::lattice::{Lattice, Lexicon, UNKNOWN};
use super::options::VocabOptions;
use super::parallel;
use super::pieces::Pieces;

/// From the pieces to begin with, each with its weight, to at most a tenth more than wanted, with their scores.
pub(super) fn learn(
    corpus: &Corpus,
    seeds: Vec<(Vec<u32>, u64)>,
    options: &VocabOptions,
    threads: usize,
    watch: &mut impl FnMut(Stage),
) -> Pieces {
    let total: f64 = seeds.iter().map(|(_, weight)| *weight as f64).sum();
    let score = |weight: u64| libm::log(weight as f64) - libm::log(total);
    let mut pieces = Pieces::new(
        seeds
            .iter()
            .map(|(symbols, weight)| (symbols.as_slice(), score(*weight))),
    );
    drop(seeds);
    // One in ten more than wanted: the last step takes those with the highest scores.
    let wanted = options.vocab_size * 11 / 10;
    loop {
        for _ in 0..options.num_sub_iterations {
            let (expected, loss) = expect(corpus, &pieces, threads);
            pieces = maximise(&pieces, &expected);
            watch(Stage::Learned {
                pieces: pieces.len(),
                loss,
            });
        }
        // Also when there are few enough: what no best way uses need not be kept.
        let keep = wanted.max((options.shrinking_factor * pieces.len() as f64) as usize);
        let before = pieces.len();
        pieces = prune(corpus, &pieces, keep, threads);
        watch(Stage::Pruned {
            pieces: pieces.len(),
        });
        // Characters stay: there may be nothing more to take.
        if pieces.len() <= wanted || pieces.len() == before {
            return pieces;
        }
    }
}

/// Parts of one occurrence in which expected counts are added: in whole numbers every order gives the same sum.
const PARTS: f64 = (1 << 24) as f64;

/// How often each piece is expected in all ways to cut all words, and the negative log-likelihood of a word.
fn expect(corpus: &Corpus, pieces: &Pieces, threads: usize) -> (Vec<f64>, f64) {
    let lexicon = Lexicon::new(pieces);
    let state = || (Lattice::default(), vec![0_u64; pieces.len()], 0_i128);
    let states = parallel::ranges(
        corpus.len(),
        threads,
        state,
        |(lattice, sums, loss), range| {
            for index in range {
                let count = corpus.count(index) as f64;
                let log = lattice.expect(&lexicon, corpus.word(index), |piece, probability| {
                    if let Some(sum) = sums.get_mut(piece as usize) {
                        *sum += (count * probability * PARTS).round() as u64;
                    }
                });
                *loss -= (count * log * PARTS) as i128;
            }
        },
    );
    let loss: i128 = states.iter().map(|state| state.2).sum();
    let words: u64 = (0..corpus.len()).map(|index| corpus.count(index)).sum();
    let sums = parallel::sums(states.into_iter().map(|state| state.1));
    let expected = sums.into_iter().map(|sum| sum as f64 / PARTS).collect();
    (expected, loss as f64 / PARTS / words as f64)
}

/// Rarer pieces go.
const RARE: f64 = 0.5;

/// Scores from counts, with a sparse Dirichlet prior: ψ(count) − ψ(sum) instead of logarithms (Liang and Klein 2007,
/// "Structured Bayesian Nonparametric Models with Variational Inference").
fn maximise(pieces: &Pieces, expected: &[f64]) -> Pieces {
    let sum: f64 = expected.iter().filter(|count| **count >= RARE).sum();
    let all = digamma(sum);
    pieces.filter(|index| (expected[index] >= RARE).then(|| digamma(expected[index]) - all))
}

/// ψ(x) for x > 0: the recurrence ψ(x) = ψ(x + 1) − 1/x up to 7, then the asymptotic series in 1/(x − ½)².
fn digamma(mut x: f64) -> f64 {
    let mut result = 0.0;
    while x < 7.0 {
        result -= 1.0 / x;
        x += 1.0;
    }
    x -= 0.5;
    let y = 1.0 / (x * x);
    let series = y * (1.0 / 24.0 - y * (7.0 / 960.0 - y * (31.0 / 8064.0 - y * (127.0 / 30720.0))));
    result + libm::log(x) + series
}

/// Keeps the pieces without which a word could not be cut, and of the others those whose loss would cost most likelihood,
/// `keep` in all. A piece that is not the best way to cut itself, or that no best way uses, goes first.
fn prune(corpus: &Corpus, pieces: &Pieces, keep: usize, threads: usize) -> Pieces {
    let lexicon = Lexicon::new(pieces);
    let counts = viterbi(corpus, &lexicon, threads);
    let total: u64 = counts.iter().sum();
    let log_total = libm::log(total as f64);
    let state = || (Lattice::default(), Vec::new(), Vec::new());
    let states = parallel::ranges(
        pieces.len(),
        threads,
        state,
        |(lattice, path, found), range| {
            for index in range {
                let count = counts[index];
                if count == 0 {
                    continue;
                }
                let other = lattice.best(&lexicon, pieces.piece(index), Some(index), path);
                if path.is_empty() {
                    found.push((f64::INFINITY, index));
                    continue;
                }
                if other > pieces.scores[index] {
                    continue;
                }
                // If the piece goes, the pieces of the other way occur so much more often.
                let log_other = libm::log((total + count * (path.len() as u64 - 1)) as f64);
                let after: f64 = path
                    .iter()
                    .map(|piece| {
                        let before = match *piece {
                            UNKNOWN => 0,
                            piece => counts[piece as usize],
                        };
                        libm::log((before + count) as f64) - log_other
                    })
                    .sum();
                let before = libm::log(count as f64) - log_total;
                found.push((count as f64 * (before - after), index));
            }
        },
    );
    let mut found: Vec<(f64, usize)> = states.into_iter().flat_map(|state| state.2).collect();
    found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let needed = found
        .iter()
        .take_while(|(loss, _)| *loss == f64::INFINITY)
        .count();
    found.truncate(keep.max(needed));
    let mut stays = vec![false; pieces.len()];
    for (_, index) in found {
        stays[index] = true;
    }
    pieces.filter(|index| stays[index].then_some(pieces.scores[index]))
}

/// How often the best ways to cut all words use each piece.
fn viterbi(corpus: &Corpus, lexicon: &Lexicon<'_>, threads: usize) -> Vec<u64> {
    let state = || {
        (
            Lattice::default(),
            vec![0_u64; lexicon.pieces.len()],
            Vec::new(),
        )
    };
    let states = parallel::ranges(
        corpus.len(),
        threads,
        state,
        |(lattice, counts, path), range| {
            for index in range {
                lattice.best(lexicon, corpus.word(index), None, path);
                for piece in path.iter().filter(|piece| **piece != UNKNOWN) {
                    counts[*piece as usize] += corpus.count(index);
                }
            }
        },
    );
    parallel::sums(states.into_iter().map(|state| state.1))
}

#[cfg(test)]
mod tests {
    use super::digamma;

    #[test]
    fn digamma_is_right() {
        // Abramowitz and Stegun, table 6.1, and ψ(½) = −γ − 2 ln 2.
        let values = [
            (0.5, -1.963_510_026_021_423_5),
            (1.0, -0.577_215_664_901_532_9),
            (2.0, 0.422_784_335_098_467_1),
            (10.0, 2.251_752_589_066_721),
            (1e6, 13.815_510_057_964_191),
        ];
        for (x, expected) in values {
            let found = digamma(x);
            assert!((found - expected).abs() < 1e-9, "ψ({x}) = {found}");
        }
    }
}
