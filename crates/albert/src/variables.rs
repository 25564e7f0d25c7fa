//! All parameters of a model as one flat vector of f32: what optimisers and checkpoints of training work on.

use std::ops::Range;

use crate::names::{BlockSite, Field, Place, Site};
use crate::ops::{Gradient, LinearGradient, Norm, NormGradient};
use crate::params::Linear;

/// One tensor of a model, and where its elements stand in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Where it stands in the model.
    pub site: Site,
    /// Weight or bias.
    pub field: Field,
    /// Hugging Face name, with the prefix `albert.` in classes with a head.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Its elements.
    pub range: Range<usize>,
}

/// Puts tensors in the order of the flat vector: the weights of query, key and value of a block stand side by side, and so do
/// their biases, since the model holds them as one.
pub(crate) fn arrange(mut tensors: Vec<(Site, Field, String, Vec<usize>)>) -> Vec<Variable> {
    let rank = |site: Site, field: Field| match site {
        Site::Block(BlockSite::Query | BlockSite::Key | BlockSite::Value, place) => {
            (Site::Block(BlockSite::Query, place), field == Field::Bias)
        }
        site => (site, false),
    };
    tensors.sort_by_key(|(site, field, ..)| (rank(*site, *field), *site, *field == Field::Bias));
    let mut end = 0;
    let place = |(site, field, name, shape): (Site, Field, String, Vec<usize>)| {
        let start = end;
        end += shape.iter().product::<usize>();
        Variable {
            site,
            field,
            name,
            shape,
            range: start..end,
        }
    };
    tensors.into_iter().map(place).collect()
}

/// Where a tensor stands; all three of queries, keys and values for the site of the first.
fn range(variables: &[Variable], site: Site, field: Field) -> Range<usize> {
    let find = |site: Site| {
        let found = variables
            .iter()
            .find(|v| v.site == site && v.field == field);
        let found = found.unwrap_or_else(|| panic!("no variable for {site:?}, {field:?}"));
        found.range.clone()
    };
    match site {
        Site::Block(BlockSite::Query, place) => {
            find(site).start..find(Site::Block(BlockSite::Value, place)).end
        }
        site => find(site),
    }
}

/// A flat vector of parameters, by site. A site that is not there is our bug and panics.
pub struct Values<'a> {
    /// The layout.
    pub variables: &'a [Variable],
    /// All elements.
    pub values: &'a [f32],
}

impl Values<'_> {
    pub(crate) fn get(&self, site: Site, field: Field) -> &[f32] {
        &self.values[range(self.variables, site, field)]
    }

    pub(crate) fn linear<B: Gradient>(&self, device: &B, site: Site, linear: &mut Linear<B>) {
        device.reload(&mut linear.weight, self.get(site, Field::Weight));
        linear.bias = self.vector(device, site, Field::Bias);
    }

    pub(crate) fn norm<B: Gradient>(&self, device: &B, site: Site, norm: &mut Norm<B::Vector>) {
        norm.gamma = self.vector(device, site, Field::Weight);
        norm.beta = self.vector(device, site, Field::Bias);
    }

    pub(crate) fn vector<B: Gradient>(&self, device: &B, site: Site, field: Field) -> B::Vector {
        device.vector(self.get(site, field).to_vec())
    }
}

/// A flat vector of gradients, by site. A site that is not there is our bug and panics.
pub struct Gradients<'a, T> {
    /// The layout.
    pub variables: &'a [Variable],
    /// All elements.
    pub values: &'a mut [T],
}

impl<T> Gradients<'_, T> {
    pub(crate) fn table(&mut self, site: Site, field: Field) -> &mut [T] {
        let range = range(self.variables, site, field);
        &mut self.values[range]
    }

    /// Weight (or γ) and bias (or β).
    fn pair(&mut self, site: Site) -> (&mut [T], &mut [T]) {
        let weight = range(self.variables, site, Field::Weight);
        let bias = range(self.variables, site, Field::Bias);
        assert!(weight.end <= bias.start, "biases stand after weights");
        let (before, after) = self.values.split_at_mut(bias.start);
        (&mut before[weight], &mut after[..bias.len()])
    }

    pub(crate) fn linear(&mut self, site: Site) -> LinearGradient<'_, T> {
        let (weight, bias) = self.pair(site);
        LinearGradient {
            weight,
            bias: Some(bias),
        }
    }

    pub(crate) fn block(&mut self, part: BlockSite, place: Place) -> LinearGradient<'_, T> {
        self.linear(Site::Block(part, place))
    }

    pub(crate) fn norm(&mut self, site: Site) -> NormGradient<'_, T> {
        let (gamma, beta) = self.pair(site);
        NormGradient { gamma, beta }
    }
}
