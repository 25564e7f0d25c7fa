//! Which tokens stay when an input is too long, in the arithmetic of tokenizers and in that of
//! transformers' Python tokenizers.
//!
//! The two differ in the odd token of a pair (tokenizers leaves it to the longer sequence, Python
//! to the first), in what they do when the sequence to cut is too short (an error; nothing), and
//! in what they give of the rest (windows; one run of tokens).

use std::iter;
use std::ops::Range;

use crate::error::Error;
use crate::options::{Side, Strategy};

/// Lengths of both sequences.
pub(crate) type Lengths = (usize, Option<usize>);

/// How many tokens of each sequence stay within `budget`, as tokenizers counts.
pub(crate) fn fast(
    (first, second): Lengths,
    budget: usize,
    strategy: Strategy,
) -> Result<(usize, usize), Error> {
    let other = second.unwrap_or(0);
    let total = first + other;
    if budget == 0 {
        return Ok((0, 0));
    }
    if total <= budget {
        return Ok((first, other));
    }
    let remove = total - budget;
    let shortened = |which: &str, length: usize| {
        if length > remove {
            Ok(length - remove)
        } else {
            Err(Error::options(format!(
                "the {which} sequence has {length} tokens and {remove} must go: truncate the \
                 longest sequence first, or allow more tokens"
            )))
        }
    };
    match (strategy, second) {
        (Strategy::DoNotTruncate, _) => Ok((first, other)),
        (Strategy::LongestFirst, None) => Ok((budget, 0)),
        (Strategy::LongestFirst, Some(_)) => Ok(longest_first(first, other, budget)),
        (Strategy::OnlyFirst, _) => Ok((shortened("first", first)?, other)),
        (Strategy::OnlySecond, Some(_)) => Ok((first, shortened("second", other)?)),
        (Strategy::OnlySecond, None) => Err(Error::options(
            "the second sequence is to be truncated and there is none: truncate the first".into(),
        )),
    }
}

fn longest_first(first: usize, second: usize, budget: usize) -> (usize, usize) {
    let (short, long) = (first.min(second), first.max(second));
    let mut keep = if short > budget {
        (short, short)
    } else {
        (short, short.max(budget - short))
    };
    if keep.0 + keep.1 > budget {
        keep = (budget / 2, budget / 2 + budget % 2);
    }
    debug_assert!(long >= keep.1);
    if first > second {
        (keep.1, keep.0)
    } else {
        keep
    }
}

/// The windows of a sequence, the one that stays first; those after it only where `all` is set.
pub(crate) fn windows(
    length: usize,
    keep: usize,
    stride: usize,
    side: Side,
    all: bool,
) -> Result<Vec<Range<usize>>, Error> {
    if keep >= length {
        return Ok(iter::once(0..length).collect());
    }
    if keep == 0 {
        // What overflows is the whole sequence: there is no window to cut it into.
        let rest = all.then_some(0..length);
        return Ok(iter::once(0..0).chain(rest).collect());
    }
    if stride >= keep {
        return Err(Error::options(format!(
            "the stride of {stride} tokens is not smaller than the window of {keep} (max_length \
             without special tokens and the other sequence): choose a smaller stride"
        )));
    }
    let step = keep - stride;
    let mut windows = Vec::new();
    let mut done = 0;
    loop {
        let window = match side {
            Side::Right => done..length.min(done + keep),
            Side::Left => (length - done).saturating_sub(keep)..length - done,
        };
        let last = match side {
            Side::Right => window.end == length,
            Side::Left => window.start == 0,
        };
        windows.push(window);
        if last || !all {
            return Ok(windows);
        }
        done += step;
    }
}

/// What stays and what is cut, as transformers' Python tokenizers count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Tokens of the first sequence that stay.
    pub(crate) first: Range<usize>,
    /// Tokens of the second sequence that stay.
    pub(crate) second: Range<usize>,
    /// The sequence (0 or 1) that lost tokens, and those with the stride before them.
    pub(crate) overflow: Option<(usize, Range<usize>)>,
}

/// Removes `remove` tokens; where the chosen sequence is too short, nothing is removed.
pub(crate) fn slow(
    (first, second): Lengths,
    remove: usize,
    strategy: Strategy,
    stride: usize,
    side: Side,
) -> Cut {
    let other = second.unwrap_or(0);
    let ends = |length: usize, lost: usize| match side {
        Side::Right => 0..length.saturating_sub(lost),
        Side::Left => lost.min(length)..length,
    };
    let overflow = |length: usize| {
        let window = length.min(stride.saturating_add(remove));
        match side {
            Side::Right => length - window..length,
            Side::Left => 0..window,
        }
    };
    let mut cut = Cut {
        first: 0..first,
        second: 0..other,
        overflow: None,
    };
    match (strategy, second) {
        (Strategy::LongestFirst, Some(_)) => {
            let (lost_first, lost_second) = one_by_one(first, other, remove);
            cut.first = ends(first, lost_first);
            cut.second = ends(other, lost_second);
        }
        (Strategy::OnlyFirst, _) | (Strategy::LongestFirst, None) if first > remove => {
            cut.first = ends(first, remove);
            cut.overflow = Some((0, overflow(first)));
        }
        (Strategy::OnlySecond, Some(_)) if other > remove => {
            cut.second = ends(other, remove);
            cut.overflow = Some((1, overflow(other)));
        }
        _ => {}
    }
    cut
}

/// How many tokens each sequence loses when always the longer one loses one, the second when they
/// are equal.
fn one_by_one(first: usize, second: usize, remove: usize) -> (usize, usize) {
    let difference = first.abs_diff(second).min(remove);
    let rest = remove - difference;
    // The second gives the first token of each round, so also the odd one.
    let (even, odd) = (rest / 2, rest - rest / 2);
    if first > second {
        (difference + even, odd)
    } else {
        (even, difference + odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_token_of_a_pair() {
        let longest = Strategy::LongestFirst;
        assert_eq!(fast((8, Some(8)), 7, longest).unwrap(), (3, 4));
        assert_eq!(fast((9, Some(8)), 7, longest).unwrap(), (4, 3));
        assert_eq!(fast((8, Some(2)), 7, longest).unwrap(), (5, 2));
        assert_eq!(fast((0, Some(8)), 7, longest).unwrap(), (0, 7));
        let cut = slow((8, Some(8)), 9, longest, 0, Side::Right);
        assert_eq!((cut.first, cut.second, cut.overflow), (0..4, 0..3, None));
        let cut = slow((9, Some(8)), 10, longest, 0, Side::Left);
        assert_eq!((cut.first, cut.second), (5..9, 5..8));
    }

    #[test]
    fn one_by_one_is_the_loop() {
        for first in 0..12 {
            for second in 0..12 {
                for remove in 0..=first + second {
                    let (mut a, mut b) = (first, second);
                    for _ in 0..remove {
                        if a > b {
                            a -= 1;
                        } else {
                            b = usize::saturating_sub(b, 1);
                        }
                    }
                    let lost = one_by_one(first, second, remove);
                    assert_eq!((first - lost.0, second - lost.1), (a, b));
                }
            }
        }
    }

    #[test]
    fn windows_overlap_by_the_stride_and_end_at_the_end() {
        let right = windows(10, 4, 1, Side::Right, true).unwrap();
        assert_eq!(right, [0..4, 3..7, 6..10]);
        let left = windows(10, 4, 1, Side::Left, true).unwrap();
        assert_eq!(left, [6..10, 3..7, 0..4]);
        assert_eq!(
            windows(9, 4, 0, Side::Left, true).unwrap().last(),
            Some(&(0..1))
        );
        assert_eq!(windows(10, 4, 1, Side::Right, false).unwrap().len(), 1);
        assert_eq!(windows(10, 0, 3, Side::Right, true).unwrap(), [0..0, 0..10]);
        assert_eq!(
            windows(4, 4, 9, Side::Right, true).unwrap().first(),
            Some(&(0..4))
        );
        assert!(windows(10, 4, 4, Side::Right, true).is_err());
    }

    #[test]
    fn a_sequence_that_is_too_short_is_an_error_or_stays() {
        assert!(fast((3, Some(9)), 8, Strategy::OnlyFirst).is_err());
        assert!(fast((9, None), 8, Strategy::OnlySecond).is_err());
        assert_eq!(fast((3, None), 8, Strategy::OnlySecond).unwrap(), (3, 0));
        let cut = slow((3, Some(9)), 4, Strategy::OnlyFirst, 0, Side::Right);
        assert_eq!((cut.first, cut.second, cut.overflow), (0..3, 0..9, None));
        let cut = slow((9, None), 4, Strategy::LongestFirst, 2, Side::Right);
        assert_eq!((cut.first, cut.overflow), (0..5, Some((0, 3..9))));
        let cut = slow((9, None), 4, Strategy::OnlyFirst, 9, Side::Left);
        assert_eq!((cut.first, cut.overflow), (4..9, Some((0, 0..9))));
    }
}
