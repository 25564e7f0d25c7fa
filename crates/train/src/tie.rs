//! Tensors that all layers share although each has a copy of them: which ones, and how the copies stay equal.
//!
//! ALBERT's layers share all that they are. The paper also measures models whose layers share attention alone, or the
//! feed-forward part alone (section 4.5). Such a model has a group of weights for each layer; of the shared tensors the
//! first group's learn, from the sum of the gradients of all groups, and the others are copies.

use std::collections::BTreeMap;
use std::ops::Range;

use albert::names::{BlockSite, Field, Site, base_sites};
use albert::{AlbertConfig, Variable};
use serde::Serialize;

use crate::trainer::error::{Result, TrainError};

/// A part of a block that all groups share. The two parts together are the whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tied {
    /// Queries, keys, values, relative positions, the output of attention and the LayerNorm behind it.
    Attention,
    /// Both layers of the feed-forward part, and the LayerNorm behind it.
    Ffn,
}

impl Tied {
    fn of(part: BlockSite) -> Self {
        match part {
            BlockSite::Query
            | BlockSite::Key
            | BlockSite::Value
            | BlockSite::AttentionOutput
            | BlockSite::AttentionNorm
            | BlockSite::Distance => Self::Attention,
            BlockSite::Ffn | BlockSite::FfnOutput | BlockSite::LayerNorm => Self::Ffn,
        }
    }
}

/// Elements of a model's tensors that are copies where `tied` is shared: the model has so many parameters less.
pub fn copied(config: &AlbertConfig, tied: &[Tied]) -> u64 {
    let is_copy = |site: &Site| matches!(site, Site::Block(part, place) if place.group > 0 && tied.contains(&Tied::of(*part)));
    let sites = base_sites(config).into_iter().filter(is_copy);
    sites
        .flat_map(|site| site.tensors(config, 1))
        .map(|tensor| tensor.shape.iter().product::<usize>() as u64)
        .sum()
}

/// Where the copies of each shared tensor stand in the flat vector; the first one learns.
#[derive(Debug)]
pub(crate) struct Ties(Vec<Vec<Range<usize>>>);

impl Ties {
    /// # Errors
    /// Copies of different shapes: heads are pruned in some groups alone.
    pub(crate) fn new(variables: &[Variable], tied: &[Tied]) -> Result<Self> {
        let mut copies: BTreeMap<_, Vec<&Variable>> = BTreeMap::new();
        for variable in variables {
            if let Site::Block(part, place) = variable.site
                && tied.contains(&Tied::of(part))
            {
                let which = (part, place.inner, variable.field == Field::Bias);
                copies.entry(which).or_default().push(variable);
            }
        }
        let ranges = |mut copies: Vec<&Variable>| {
            // In the order of the groups.
            copies.sort_by_key(|copy| copy.range.start);
            if let Some(other) = copies.iter().find(|copy| copy.shape != copies[0].shape) {
                return Err(TrainError::Option {
                    name: "tied tensors",
                    expected: format!("{} of shape {:?}", other.name, copies[0].shape),
                    found: format!("{:?}", other.shape),
                });
            }
            Ok(copies.iter().map(|copy| copy.range.clone()).collect())
        };
        copies
            .into_values()
            .map(ranges)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The place of each copy behind the first, after that of the first.
    fn pairs(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.0.iter().flat_map(|copies| {
            let others = copies[1..].iter();
            others.map(|other| (copies[0].clone(), other.clone()))
        })
    }

    /// Elements that are copies.
    pub(crate) fn copies(&self) -> usize {
        self.pairs().map(|(_, copy)| copy.len()).sum()
    }

    /// Adds the gradients of the copies to that of the first, in their order, and leaves zeros: each shared tensor counts
    /// once in the gradient's norm.
    pub(crate) fn gather(&self, gradient: &mut [f32]) {
        for (first, copy) in self.pairs() {
            let (head, tail) = gradient.split_at_mut(copy.start);
            for (sum, x) in head[first].iter_mut().zip(&mut tail[..copy.len()]) {
                *sum += std::mem::take(x);
            }
        }
    }

    /// Makes all copies equal to the first.
    pub(crate) fn spread(&self, parameters: &mut [f32]) {
        for (first, copy) in self.pairs() {
            parameters.copy_within(first, copy.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ALBERT base with a group for each layer.
    fn base() -> AlbertConfig {
        AlbertConfig {
            num_hidden_groups: 12,
            ..AlbertConfig::base_v2()
        }
    }

    /// Table 4 of the paper, E = 128: all 12, attention 64, feed-forward 38, none 89 million, where the middle two are rounded up.
    #[test]
    fn parameters_of_the_paper() {
        use albert::config::ModelClass::Model;
        let distinct = |tied: &[Tied]| base().parameter_count(Model) - copied(&base(), tied);
        let all = AlbertConfig::base_v2().parameter_count(Model);
        assert_eq!(distinct(&[Tied::Attention, Tied::Ffn]), all);
        let (h, f) = (768, 3072);
        let attention = 4 * (h * h + h) + 2 * h;
        let ffn = 2 * h * f + f + h + 2 * h;
        assert_eq!(distinct(&[Tied::Attention]), all + 11 * ffn);
        assert_eq!(distinct(&[Tied::Ffn]), all + 11 * attention);
        assert_eq!(distinct(&[]), all + 11 * (attention + ffn));
        let millions = [&[Tied::Attention][..], &[Tied::Ffn], &[]].map(|t| distinct(t) / 1_000_000);
        assert_eq!((all / 1_000_000, millions), (11, [63, 37, 89]));
    }

    fn variable(group: usize, part: BlockSite, range: Range<usize>) -> Variable {
        Variable {
            site: Site::Block(part, albert::names::Place { group, inner: 0 }),
            field: Field::Weight,
            name: format!("{part:?} of {group}"),
            shape: vec![range.len()],
            range,
        }
    }

    #[test]
    fn copies_are_summed_in_order_and_made_equal() {
        use BlockSite::{Ffn, Key};
        let variables = [
            variable(0, Key, 0..2),
            variable(1, Key, 2..4),
            variable(2, Key, 4..6),
            variable(0, Ffn, 6..7),
            variable(1, Ffn, 7..8),
        ];
        let ties = Ties::new(&variables, &[Tied::Attention]).expect("shapes");
        assert_eq!(ties.copies(), 4);
        // 1e8 + 1 - 1e8 is 0 in f32 in this order, and would be 1 in another.
        let mut gradient = [1e8, 1.0, 1.0, 2.0, -1e8, 3.0, 4.0, 5.0];
        ties.gather(&mut gradient);
        assert_eq!(gradient, [0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 4.0, 5.0]);
        let mut parameters = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        ties.spread(&mut parameters);
        assert_eq!(parameters, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 7.0, 8.0]);
        let uneven = [variable(0, Key, 0..2), variable(1, Key, 2..5)];
        let refused = Ties::new(&uneven, &[Tied::Attention]).expect_err("two shapes");
        assert!(refused.to_string().contains("Key of 1"), "{refused}");
    }
}
