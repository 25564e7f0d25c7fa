//! What is wanted of a text: ids, or pieces, or pieces drawn at random.

use crate::{engine::Pieces, sampling::Sampler};

/// What is wanted of a text.
pub(super) enum Output<'a> {
    Ids(&'a mut Vec<u32>),
    Pieces(&'a mut Pieces),
    Sampled(&'a mut Pieces, &'a mut Sampler),
}

impl Output<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Output::Ids(ids) => ids.len(),
            Output::Pieces(pieces) | Output::Sampled(pieces, _) => pieces.ids.len(),
        }
    }

    pub(super) fn token(&mut self, id: u32, span: (usize, usize)) {
        match self {
            Output::Ids(ids) => ids.push(id),
            Output::Pieces(pieces) | Output::Sampled(pieces, _) => pieces.push(id, span, None),
        }
    }

    /// From positions in the lower-cased text to positions in the original.
    pub(super) fn translate(&mut self, first: usize, origins: &[usize]) {
        if let Output::Pieces(pieces) | Output::Sampled(pieces, _) = self {
            for span in &mut pieces.offsets[first..] {
                *span = (origins[span.0], origins[span.1]);
            }
        }
    }
}
