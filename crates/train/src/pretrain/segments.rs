//! The sentences of a sample, its segments and their truncation: §"Segments" of `docs/pretraining-data.md`, after
//! `create_instances_from_document` and `truncate_seq_pair` of `create_pretraining_data.py`.

use std::ops::Range;

use super::options::Objective;
use crate::random::Stream;

/// What the draws of a stream are for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The length of a document's samples, by document.
    Target = 1,
    /// The segments of a sample, by its first sentence.
    Segments = 2,
    /// Its masks, by its first sentence.
    Masks = 3,
    /// The order of a pass.
    Order = 4,
}

impl Purpose {
    pub(super) fn stream(self, seed: u64, pass: u64, number: u64) -> Stream {
        Stream::new(seed, &[self as u64, pass, number])
    }
}

/// Tokens that a document's samples of a pass should have, without special tokens: all that fit, or with probability
/// `short` uniform in 2 … `max_tokens`.
pub(super) fn target(draw: &mut Stream, max_tokens: usize, short: f64) -> usize {
    if draw.chance(short) {
        return 2 + draw.below(max_tokens as u64 - 1) as usize;
    }
    max_tokens
}

/// How many sentences a chunk takes of those with these lengths: until there are `wanted` tokens; with `whole` only those that
/// fit, but at least one.
pub(super) fn chunk(lengths: impl Iterator<Item = usize>, wanted: usize, whole: bool) -> usize {
    let (mut tokens, mut sentences) = (0, 0);
    for length in lengths {
        if tokens >= wanted || (whole && sentences > 0 && tokens + length > wanted) {
            break;
        }
        tokens += length;
        sentences += 1;
    }
    sentences
}

/// The second segment, and what is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// There is one segment.
    None,
    /// The rest of the sentences.
    Follows,
    /// The rest of the sentences, put first.
    Swapped,
    /// Of another document; the rest of the sentences begins the next sample.
    Foreign,
}

/// How the sentences of a chunk become a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Sentences of the first segment.
    pub(super) a_end: usize,
    pub(super) second: Second,
}

impl Plan {
    /// Sentences that the sample uses up.
    pub(super) fn used(&self, sentences: usize) -> usize {
        if self.second == Second::Foreign {
            self.a_end
        } else {
            sentences
        }
    }
}

/// Decides for a chunk of so many sentences.
pub(super) fn plan(draw: &mut Stream, sentences: usize, objective: Objective) -> Plan {
    if objective == Objective::None {
        return Plan {
            a_end: sentences,
            second: Second::None,
        };
    }
    if sentences == 1 {
        return Plan {
            a_end: 1,
            second: Second::Foreign,
        };
    }
    let a_end = 1 + draw.below(sentences as u64 - 1) as usize;
    let other = draw.chance(0.5);
    let second = match (other, objective) {
        (false, _) => Second::Follows,
        (true, Objective::NextSentence) => Second::Foreign,
        (true, _) => Second::Swapped,
    };
    Plan { a_end, second }
}

/// What is left of segments of `a` and `b` tokens: while they have more than `max_tokens` together, the longer one (the second
/// of equal ones) loses a token: its first where `front` says so (with probability ½), else its last.
pub(super) fn truncate(
    mut front: impl FnMut() -> bool,
    a: usize,
    b: usize,
    max_tokens: usize,
) -> [Range<usize>; 2] {
    let mut left = [0..a, 0..b];
    while left[0].len() + left[1].len() > max_tokens {
        let longer = &mut left[usize::from(left[0].len() <= left[1].len())];
        if front() {
            longer.start += 1;
        } else {
            longer.end -= 1;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_takes_from_the_longer_segment() {
        for key in 0..200 {
            let cut = |a, b, most| {
                let mut draw = Stream::new(5, &[key]);
                truncate(|| draw.chance(0.5), a, b, most)
            };
            let [a, b] = cut(30, 10, 20);
            assert_eq!((a.len(), b.len()), (10, 10));
            assert_eq!(b, 0..10);
            assert!(a.end <= 30);
            let [a, b] = cut(7, 8, 15);
            assert_eq!((a, b), (0..7, 0..8));
            // Equal ones: the second gives way.
            let [a, b] = cut(8, 8, 15);
            assert_eq!((a.len(), b.len()), (8, 7));
            // One segment alone is cut too.
            let [a, b] = cut(25, 0, 20);
            assert_eq!((a.len(), b.len()), (20, 0));
        }
    }

    #[test]
    fn chunks_end_behind_or_before_what_is_wanted() {
        let of = |lengths: &[usize], whole| chunk(lengths.iter().copied(), 10, whole);
        for (lengths, cut, whole) in [
            (&[4, 4, 4, 4][..], 3, 2),
            (&[5, 5, 5], 2, 2),
            (&[12, 3], 1, 1),
            (&[3, 12], 2, 1),
            (&[3], 1, 1),
            (&[], 0, 0),
        ] {
            assert_eq!((of(lengths, false), of(lengths, true)), (cut, whole));
        }
    }

    #[test]
    fn plans_of_each_objective() {
        let of =
            |objective, sentences, key| plan(&mut Stream::new(1, &[key]), sentences, objective);
        for key in 0..100 {
            assert_eq!(
                of(Objective::None, 3, key),
                Plan {
                    a_end: 3,
                    second: Second::None
                }
            );
            for objective in [Objective::SentenceOrder, Objective::NextSentence] {
                assert_eq!(
                    of(objective, 1, key),
                    Plan {
                        a_end: 1,
                        second: Second::Foreign
                    }
                );
                let plan = of(objective, 4, key);
                assert!((1..=3).contains(&plan.a_end));
                assert!(plan.second != Second::None);
                assert_eq!(plan.second == Second::Foreign, plan.used(4) != 4);
            }
            assert!(of(Objective::SentenceOrder, 4, key).second != Second::Foreign);
            assert!(of(Objective::NextSentence, 4, key).second != Second::Swapped);
        }
    }
}
