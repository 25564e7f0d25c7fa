//! The most likely spans of one window, from what the model says about it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::output::JointSpan;

/// What a model says about a window.
pub(super) enum Scores {
    /// Logits of start and end, of every token.
    Ends([Vec<f64>; 2]),
    /// Of the joint head.
    Joint {
        /// What it tried.
        spans: Vec<JointSpan>,
        /// Logit of "no answer".
        none: f64,
    },
}

impl Scores {
    /// The `count` most likely spans of at most `longest` tokens inside the context.
    pub(super) fn candidates(&self, inside: &[bool], count: usize, longest: usize) -> Candidates {
        match self {
            Self::Ends([starts, ends]) => candidates(starts, ends, inside, count, longest),
            Self::Joint { spans, none } => {
                let fits = |one: &&JointSpan| {
                    let (first, last) = (one.start, one.end);
                    inside[first] && inside[last] && first <= last && last - first < longest
                };
                let mut spans: Vec<_> = spans
                    .iter()
                    .filter(fits)
                    .map(|one| (one.start, one.end, one.log_prob().exp()))
                    .collect();
                spans.sort_by(|a, b| b.2.total_cmp(&a.2));
                spans.truncate(count);
                Candidates {
                    spans,
                    null: 1.0 / (1.0 + (-none).exp()),
                }
            }
        }
    }
}

/// What a window offers.
pub(super) struct Candidates {
    /// First token, last token, probability; the most likely first.
    pub(super) spans: Vec<(usize, usize, f64)>,
    /// Probability that there is no answer here; with two scores for each token: that `[CLS]`, token 0, is start and end.
    pub(super) null: f64,
}

/// A span in a heap whose top is the worst: lower score, or later.
#[derive(PartialEq)]
struct Worst(f64, usize, usize);

impl Eq for Worst {}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = (self.1, self.2).cmp(&(other.1, other.2));
        other.0.total_cmp(&self.0).then(place)
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `count` most likely spans of at most `longest` tokens inside the context.
///
/// Starts and ends are normalised each by its own softmax over the tokens of the context and `[CLS]` (transformers
/// 4.57, `select_starts_ends`); a span's probability is the product of its ends'.
fn candidates(
    starts: &[f64],
    ends: &[f64],
    inside: &[bool],
    count: usize,
    longest: usize,
) -> Candidates {
    let allowed = |i: usize| inside[i] || i == 0;
    let normalised = |logits: &[f64]| -> Vec<f64> {
        let kept = (0..logits.len()).filter(|&i| allowed(i));
        let highest = kept.map(|i| logits[i]).fold(f64::NEG_INFINITY, f64::max);
        let weight = |(i, &x): (usize, &f64)| if allowed(i) { (x - highest).exp() } else { 0.0 };
        let mut scores: Vec<f64> = logits.iter().enumerate().map(weight).collect();
        let sum: f64 = scores.iter().sum();
        scores.iter_mut().for_each(|score| *score /= sum);
        scores
    };
    let (starts, ends) = (normalised(starts), normalised(ends));
    let longest = longest.min(starts.len());
    let mut heap = BinaryHeap::new();
    for first in (0..starts.len()).filter(|&i| inside[i]) {
        let reach = ends.len().min(first + longest);
        for last in (first..reach).filter(|&i| inside[i]) {
            let span = Worst(starts[first] * ends[last], first, last);
            if heap.len() < count {
                heap.push(span);
            } else if heap.peek().is_some_and(|worst| span < *worst) {
                heap.pop();
                heap.push(span);
            }
        }
    }
    let spans = heap.into_sorted_vec();
    Candidates {
        spans: spans.into_iter().map(|Worst(s, a, b)| (a, b, s)).collect(),
        null: starts[0] * ends[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every span, sorted: the slow twin.
    fn naive(
        starts: &[f64],
        ends: &[f64],
        inside: &[bool],
        longest: usize,
    ) -> Vec<(usize, usize, f64)> {
        let exp = |logits: &[f64]| -> Vec<f64> {
            let masked: Vec<f64> = (0..logits.len())
                .map(|i| {
                    if inside[i] || i == 0 {
                        logits[i].exp()
                    } else {
                        0.0
                    }
                })
                .collect();
            let sum: f64 = masked.iter().sum();
            masked.iter().map(|x| x / sum).collect()
        };
        let (starts, ends) = (exp(starts), exp(ends));
        let mut all = Vec::new();
        for a in 0..starts.len() {
            for b in a..ends.len() {
                if inside[a] && inside[b] && b - a < longest {
                    all.push((a, b, starts[a] * ends[b]));
                }
            }
        }
        all.sort_by(|x, y| y.2.total_cmp(&x.2));
        all
    }

    #[test]
    fn the_best_spans_are_found() {
        // Roots, so that no two sums of logits are equal.
        let noise = |seed: usize, i: usize| {
            let number = (i * 7919 + seed * 104_729) % 1009;
            (number as f64).sqrt() / 6.0
        };
        let n = 40;
        let starts: Vec<f64> = (0..n).map(|i| noise(1, i)).collect();
        let ends: Vec<f64> = (0..n).map(|i| noise(2, i)).collect();
        let inside: Vec<bool> = (0..n).map(|i| (10..39).contains(&i)).collect();
        for longest in [1, 4, 100] {
            let expected = naive(&starts, &ends, &inside, longest);
            let found = candidates(&starts, &ends, &inside, 12, longest);
            assert_eq!(found.spans.len(), 12);
            for (found, expected) in found.spans.iter().zip(&expected) {
                assert_eq!((found.0, found.1), (expected.0, expected.1));
                assert!((found.2 - expected.2).abs() < 1e-15);
            }
        }
        let all = candidates(&starts, &ends, &inside, 10_000, 100);
        assert_eq!(all.spans.len(), 29 * 30 / 2);
        assert!(all.null > 0.0 && all.null < 1.0);
    }
}
