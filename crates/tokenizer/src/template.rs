//! Where special tokens stand around one sequence and around a pair.

use std::ops::Range;

use crate::encoding::Encoding;
use crate::engine::Pieces;

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Special tokens.
    Special {
        /// Their numbers.
        ids: Vec<u32>,
        /// Their token type.
        type_id: u32,
    },
    /// A sequence of the input.
    Sequence {
        /// The second one of a pair.
        second: bool,
        /// The token type of its tokens.
        type_id: u32,
    },
}

/// Special tokens around one sequence and around a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Around one sequence.
    pub single: Vec<Part>,
    /// Around a pair.
    pub pair: Vec<Part>,
}

impl Template {
    /// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, with token type 1 from B on.
    #[must_use]
    pub fn albert(cls: u32, sep: u32) -> Self {
        let special = |id, type_id| Part::Special {
            ids: vec![id],
            type_id,
        };
        let sequence = |second, type_id| Part::Sequence { second, type_id };
        let single = vec![special(cls, 0), sequence(false, 0), special(sep, 0)];
        let second = [sequence(true, 1), special(sep, 1)];
        let pair = single.iter().cloned().chain(second).collect();
        Self { single, pair }
    }

    /// The sequences alone.
    #[must_use]
    pub fn bare() -> Self {
        let sequence = |second| Part::Sequence {
            second,
            type_id: u32::from(second),
        };
        Self {
            single: vec![sequence(false)],
            pair: vec![sequence(false), sequence(true)],
        }
    }

    /// The parts for one sequence or a pair.
    #[must_use]
    pub fn parts(&self, pair: bool) -> &[Part] {
        if pair { &self.pair } else { &self.single }
    }

    /// Special tokens that it adds.
    #[must_use]
    pub fn added(&self, pair: bool) -> usize {
        let count = |part: &Part| match part {
            Part::Special { ids, .. } => ids.len(),
            Part::Sequence { .. } => 0,
        };
        self.parts(pair).iter().map(count).sum()
    }
}

/// A sequence with the windows that truncation made of it.
pub(crate) struct Windows<'a> {
    pub(crate) pieces: &'a Pieces,
    /// The window that stays comes first.
    pub(crate) ranges: Vec<Range<usize>>,
}

/// Fills an empty encoding, and as many copies of it as windows combine to.
pub(crate) fn apply(
    parts: &[Part],
    sequences: &[Windows<'_>],
    special: bool,
    empty: &Encoding,
) -> Encoding {
    let of = |part: &Part| match part {
        Part::Sequence { second, .. } => sequences.get(usize::from(*second)),
        Part::Special { .. } => None,
    };
    let build = |chosen: &[usize]| {
        let mut encoding = empty.clone();
        for (part, &window) in parts.iter().zip(chosen) {
            match part {
                Part::Special { ids, type_id } if special => {
                    ids.iter()
                        .for_each(|&id| encoding.push_special(id, *type_id));
                }
                Part::Special { .. } => {}
                Part::Sequence { second, type_id } => {
                    // tokenizers gives the template's token type to the first window alone.
                    let type_id = match window {
                        0 => *type_id,
                        _ => u32::from(*second),
                    };
                    if let Some(Windows { pieces, ranges }) = of(part) {
                        let range = ranges[window].clone();
                        encoding.push_pieces(pieces, range, usize::from(*second), type_id);
                    }
                }
            }
        }
        encoding
    };
    let (mut first, mut others) = (Vec::new(), Vec::<Vec<usize>>::new());
    for part in parts {
        let count = of(part).map_or(1, |windows| windows.ranges.len());
        let with = |chosen: &[usize], window| [chosen, &[window]].concat();
        // The order of tokenizers: each window so far with all of this part, then the first one
        // with the further windows of this part.
        others = others
            .iter()
            .chain([&first].into_iter().filter(|_| count > 1))
            .enumerate()
            .flat_map(|(i, chosen)| {
                let from = usize::from(i == others.len());
                (from..count).map(move |window| with(chosen, window))
            })
            .collect();
        first.push(0);
    }
    let mut encoding = build(&first);
    encoding.overflowing = others.iter().map(|chosen| build(chosen)).collect();
    encoding
}
