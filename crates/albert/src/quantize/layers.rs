//! What another precision changes in the hidden states, layer by layer.

use crate::error::Result;
use crate::ops::Backend;
use crate::pipeline::{Features, FeaturesOptions, Limits, Long};

/// How far the hidden states of one layer are from those of the original.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LayerError {
    /// 0 for the mapped embeddings, then the blocks in the order in which they run.
    pub layer: usize,
    /// √(Σ(y − x)² / Σx²) over all tokens of all texts.
    pub relative_rms: f64,
    /// max |y − x|
    pub largest: f64,
}

/// Texts for whoever has none at hand.
pub const SAMPLE: [&str; 8] = [
    "The committee will meet again on Tuesday to discuss the budget for next year.",
    "She opened the window, looked down at the river, and laughed.",
    "In 1846 the telescope showed a new planet close to the predicted place.",
    "How long does it take to walk from the station to the old town?",
    "The film is warm, funny and far too long; its music, however, is superb.",
    "Water boils at a lower temperature on a high mountain, since the air is thin.",
    "\"No,\" he said, \"I have never been to Paris, but my brother lives there.\"",
    "The company reported a loss of 12.5 million dollars in the third quarter.",
];

/// Texts that run at once: their hidden states of all layers are in memory.
const AT_ONCE: usize = 8;

/// Compares the hidden states of two devices' models, of one shape, on texts; what does not fit the model is cut.
///
/// # Errors
/// A text that cannot be encoded; numbers that are not finite.
pub fn compare_layers<A: Backend, B: Backend>(
    original: &Features<A>,
    other: &Features<B>,
    texts: &[&str],
) -> Result<Vec<LayerError>> {
    let options = FeaturesOptions {
        layers: (0..original.layers()).collect(),
        limits: Limits::long(Long::Truncate),
    };
    // Σ(y − x)², Σx², max |y − x|
    let mut sums = vec![(0.0, 0.0, 0.0_f64); original.layers()];
    for texts in texts.chunks(AT_ONCE) {
        let inputs: Vec<(&str, Option<&str>)> = texts.iter().map(|text| (*text, None)).collect();
        let pairs = original
            .run_batch(&inputs, &options)?
            .into_iter()
            .zip(other.run_batch(&inputs, &options)?);
        for (x, y) in pairs {
            let (x, y) = (x?.output.layers, y?.output.layers);
            for ((x, y), (lost, total, largest)) in x.iter().zip(&y).zip(&mut sums) {
                for (&x, &y) in x.data.iter().zip(&y.data) {
                    let (x, y): (f64, f64) = (x.into(), y.into());
                    *lost += (y - x).powi(2);
                    *total += x.powi(2);
                    *largest = largest.max((y - x).abs());
                }
            }
        }
    }
    let error = |(layer, (lost, total, largest)): (usize, (f64, f64, f64))| LayerError {
        layer,
        relative_rms: if lost == 0.0 {
            0.0
        } else {
            (lost / total).sqrt()
        },
        largest,
    };
    Ok(sums.into_iter().enumerate().map(error).collect())
}
