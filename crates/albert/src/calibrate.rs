//! What the matrices of the shared blocks are applied to: means and variances over a sample of token numbers.
//!
//! A device that rounds weights makes the same error in every application of a block; knowing the inputs, it can let
//! errors cancel. The sample needs neither text nor tokenizer, so that the same model is rounded to the same numbers
//! everywhere. Where text differs from it, errors only cancel less: docs/quantization.md shows trained models on text.

use std::collections::BTreeMap;
use std::path::Path;

use albert_formats::Checkpoint;

use crate::checkpoint::{LoadOptions, Loader};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::inputs::Inputs;
use crate::model::{Keep, encode_watched};
use crate::names::{BlockSite, Place, Site};
use crate::ops::{Backend, Moments};
use crate::params::Encoder;

/// Sequences and tokens of the built-in sample.
const SEQUENCES: usize = 2;
const TOKENS: usize = 64;

/// The moments that loading a checkpoint on a device of this precision takes, with the built-in sample.
///
/// # Errors
/// As loading.
pub(crate) fn of_checkpoint<B: Backend>(
    config: &AlbertConfig,
    checkpoint: &Checkpoint,
    path: &Path,
    device: &B,
) -> Result<BTreeMap<Site, Moments>> {
    let options = LoadOptions::default();
    let encoder = Loader::new(device, config, checkpoint, path, options).encoder(false)?;
    Ok(moments(device, config, &encoder, &sample(config)))
}

/// Token numbers spread over the vocabulary, between the configuration's first and last token.
pub(crate) fn sample(config: &AlbertConfig) -> Inputs {
    let length = TOKENS.min(config.max_position_embeddings);
    let vocabulary = config.vocab_size as u64;
    let special = |id: Option<i64>| id.filter(|id| (0..config.vocab_size as i64).contains(id));
    let sequence = |b: usize| {
        let number = |i: usize| {
            let draw = crate::random::mix((b * TOKENS + i) as u64);
            (draw % vocabulary) as i64
        };
        let mut ids: Vec<i64> = (0..length).map(number).collect();
        if let (Some(first), Some(last)) =
            (special(config.bos_token_id), special(config.eos_token_id))
        {
            ids[0] = first;
            ids[length - 1] = last;
        }
        ids
    };
    let sequences: Vec<Vec<i64>> = (0..SEQUENCES).map(sequence).collect();
    Inputs::from_sequences(&sequences, 0)
}

/// Runs the encoder over the inputs and takes the moments of what each matrix of a block sees.
pub(crate) fn moments<B: Backend>(
    device: &B,
    config: &AlbertConfig,
    encoder: &Encoder<B>,
    inputs: &Inputs,
) -> BTreeMap<Site, Moments> {
    let packed = inputs.pack(config, false);
    let rows = packed.rows.len();
    let mut all = BTreeMap::<Site, Moments>::new();
    let mut watch = |site: BlockSite, place: Place, buffer: &B::Buffer| {
        let values = device.values(buffer);
        let k = values.len() / rows;
        let moments = all.entry(Site::Block(site, place)).or_default();
        moments.variance.resize(k, 0.0);
        let mut mean = vec![0.0; k];
        let mut square = vec![0.0; k];
        for row in values.chunks_exact(k) {
            for ((x, mean), square) in row.iter().zip(&mut mean).zip(&mut square) {
                let x: f64 = (*x).into();
                *mean += x / rows as f64;
                *square += x * x / rows as f64;
            }
        }
        for ((sum, mean), square) in moments.variance.iter_mut().zip(&mean).zip(&square) {
            *sum += (square - mean * mean).max(0.0);
        }
        moments.means.push(mean);
    };
    let keep = Keep::default();
    encode_watched(
        device, config, encoder, inputs, &packed, None, keep, &mut watch, None,
    );
    for moments in all.values_mut() {
        let applications = moments.means.len() as f64;
        for variance in &mut moments.variance {
            *variance /= applications;
        }
    }
    all
}
