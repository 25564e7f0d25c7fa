//! Viterbi, once for both arithmetics.

use super::{UNKNOWN, Unigram, char_width};
use std::ops::Add;

impl Unigram {
    /// Viterbi from left to right. Each place remembers the best way to it; a later way must be
    /// better, not equal. `text` is UTF-8.
    #[inline]
    pub(super) fn search<S: Sum>(
        &self,
        text: &[u8],
        sum: S,
        scores: &[S],
        unk_score: S,
        unk: u32,
        nodes: &mut Vec<Node<S>>,
    ) {
        nodes.clear();
        nodes.resize(text.len() + 1, Node::unreached());
        nodes[0].score = sum;
        let mut start = 0;
        let mut frontier = 0;
        while start < text.len() {
            let mut here = nodes[start].score;
            if here.is_far() {
                for (index, node) in nodes[start..=frontier.max(start)].iter_mut().enumerate() {
                    if index == 0 || node.length != 0 {
                        node.score = node.score.less(here);
                    }
                }
                here = S::ZERO;
            }
            let width = char_width(text[start]).min(text.len() - start);
            let mut single = false;
            self.trie.prefixes(&text[start..], |length, id| {
                frontier = frontier.max(start + length);
                let candidate = scores[id as usize] + here;
                nodes[start + length].offer(candidate, length, id);
                single |= length == width;
            });
            if !single {
                frontier = frontier.max(start + width);
                nodes[start + width].offer(unk_score + here, width, unk);
            }
            start += width;
        }
    }
}

/// The two kinds of sums.
pub(super) trait Sum: Copy + PartialOrd + Add<Output = Self> {
    const ZERO: Self;
    /// Must sums be moved back towards zero here?
    fn is_far(self) -> bool;
    fn less(self, other: Self) -> Self;
}

impl Sum for f32 {
    const ZERO: Self = 0.0;
    /// SentencePiece 0.2.3 (not 0.2.1) takes the sum so far off all open sums when it passes 100000, so
    /// that long texts keep some precision.
    #[inline]
    fn is_far(self) -> bool {
        !(-RESET..=RESET).contains(&self) && !self.is_nan()
    }
    #[inline]
    fn less(self, other: Self) -> Self {
        self - other
    }
}

/// Where SentencePiece starts its sums anew.
pub(crate) const RESET: f32 = 100_000.0;

impl Sum for f64 {
    const ZERO: Self = 0.0;
    #[inline]
    fn is_far(self) -> bool {
        false
    }
    #[inline]
    fn less(self, other: Self) -> Self {
        self - other
    }
}

/// The best way to one place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<S> {
    pub(super) score: S,
    /// Bytes of the last piece; 0 if nothing leads here.
    length: u32,
    pub(super) id: u32,
}

impl<S: Sum> Node<S> {
    fn unreached() -> Self {
        Self {
            score: S::ZERO,
            length: 0,
            id: UNKNOWN,
        }
    }

    #[inline]
    fn offer(&mut self, score: S, length: usize, id: u32) {
        if self.length == 0 || score > self.score {
            *self = Self {
                score,
                length: length as u32,
                id,
            };
        }
    }
}

/// One piece of a path, by its bytes in the text that was searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub start: usize,
    pub end: usize,
    pub id: u32,
}

/// Memory that one thread reuses from text to text.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(super) rounded: Vec<Node<f32>>,
    pub(super) exact: Vec<Node<f64>>,
    /// The path found last, its last step first.
    pub path: Vec<Step>,
}

pub(super) fn backtrack<S>(nodes: &[Node<S>], mut end: usize, path: &mut Vec<Step>) {
    path.clear();
    while end > 0 {
        let node = &nodes[end];
        let start = end - node.length as usize;
        path.push(Step {
            start,
            end,
            id: node.id,
        });
        end = start;
    }
}
