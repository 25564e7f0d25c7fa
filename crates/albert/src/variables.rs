//! All parameters of a model as one flat vector of f32: what optimisers and checkpoints of training work on.

use std::ops::Range;

use crate::names::{Field, Site};

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
