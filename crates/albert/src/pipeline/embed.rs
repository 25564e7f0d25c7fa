//! Embeddings: one vector for each text, pooled as a sentence-transformers folder says, or as asked.

mod modules;

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};

use super::batch::{self, Row};
use super::scores::weighted_mean;
use super::text::{Texts, Windows, load, single_or_pair};
use super::{Answer, Limits, Results, only};
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu, Sequence};
use crate::{AlbertModel, Loaded};

pub use modules::{Pooling, PoolingMode, SentenceModules};

/// How to make vectors. What is `None` is as the model's folder says; a folder that says nothing means the mean over
/// all tokens, not normalised.
#[derive(Clone, Debug, Default)]
pub struct EmbedOptions {
    /// From token vectors to one vector. Layers that the folder has behind its own pooling are left out then, but for
    /// the normalisation.
    pub pooling: Option<PoolingMode>,
    /// Scale each vector to length 1.
    pub normalize: Option<bool>,
    /// Put before each text; `None`: the folder's default prompt.
    pub prompt: Option<String>,
    /// Keep the first numbers of each vector alone (before they are normalised).
    pub dimensions: Option<usize>,
    /// Where windows slide, their pooled vectors are averaged, each weighted with its tokens that no earlier window
    /// has; of the maximum, the maximum is taken.
    pub limits: Limits,
}

/// An encoder with its tokenizer, and how its vectors are pooled.
pub struct Embed<B: Backend = Cpu> {
    model: AlbertModel<B>,
    texts: Texts,
    modules: SentenceModules,
}

impl<B: Backend> Embed<B> {
    /// Loads a model folder, of transformers or of sentence-transformers (with a `modules.json`).
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read; `modules.json` asks for what is not known here.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let modules = SentenceModules::read(folder)?;
        let folder = modules.model_folder(folder);
        let (model, tokenizer, loaded) = load(&folder, device)?;
        Ok((Self::new(model, tokenizer, modules)?, loaded))
    }

    /// Joins a model, its tokenizer and its modules.
    ///
    /// # Errors
    /// Modules for vectors of another width.
    pub fn new(
        model: AlbertModel<B>,
        tokenizer: AlbertTokenizer,
        modules: SentenceModules,
    ) -> Result<Self> {
        modules.check(model.config().hidden_size)?;
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Ok(Self {
            model,
            texts,
            modules,
        })
    }

    /// The model.
    pub fn model(&self) -> &AlbertModel<B> {
        &self.model
    }

    /// What the folder says.
    pub fn modules(&self) -> &SentenceModules {
        &self.modules
    }

    /// Numbers of a vector that is made with these options.
    pub fn width(&self, options: &EmbedOptions) -> usize {
        let h = self.model.config().hidden_size;
        let whole = match options.pooling {
            Some(_) => h,
            None => self.modules.width(h),
        };
        options.dimensions.map_or(whole, |n| n.min(whole))
    }

    /// The vector of a text, or of a pair of texts.
    ///
    /// # Errors
    /// Too many tokens; a pooler that the checkpoint does not have.
    pub fn run(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &EmbedOptions,
    ) -> Result<Answer<Vec<f32>>> {
        only(self.run_batch(&[(text, pair)], options)?)
    }

    /// The vectors of many texts; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, Option<&str>)],
        options: &EmbedOptions,
    ) -> Result<Results<Vec<f32>>> {
        let modes = match options.pooling {
            Some(mode) => vec![mode],
            None => self.modules.pooling.modes.clone(),
        };
        if modes.contains(&PoolingMode::Pooler) && self.model.encoder().pooler.is_none() {
            return Err(Error::input(
                "pooling",
                "mean, cls, max or another that needs no pooler",
                "pooler, which the checkpoint does not have",
            ));
        }
        let whole = self.width(&EmbedOptions {
            dimensions: None,
            ..options.clone()
        });
        if let Some(n) = options.dimensions.filter(|n| !(1..=whole).contains(n)) {
            return Err(Error::input("dimensions", format!("1 to {whole}"), n));
        }
        let limits = Limits {
            // A folder may promise more than the model has positions for.
            max_tokens: options.limits.max_tokens.or(self
                .modules
                .max_tokens
                .map(|most| most.min(self.model.config().max_position_embeddings))),
            ..options.limits
        };
        let prompt = options.prompt.as_deref().or(self.modules.default_prompt());
        let prompt = prompt.unwrap_or_default();
        if !self.modules.pooling.include_prompt && !prompt.is_empty() {
            return Err(Error::input(
                "prompt",
                "none: this model leaves its prompt out of the pooling (include_prompt false), which is not known here",
                format!("{prompt:?}"),
            ));
        }
        let texts: Vec<String> = inputs
            .iter()
            .map(|(text, _)| self.modules.prepare(prompt, text))
            .collect();
        let pairs: Vec<_> = inputs
            .iter()
            .zip(&texts)
            .map(|((_, pair), text)| single_or_pair(text, *pair))
            .collect();
        let stride = self.texts.stride(&limits)?;
        let strategy = match limits.long {
            super::Long::Slide => Strategy::OnlyFirst,
            _ => Strategy::LongestFirst,
        };
        let windows = self.texts.encode(&pairs, &limits, strategy)?;
        let prepared = windows
            .into_iter()
            .map(|windows| windows.map(|windows| (windows.rows(), windows)));
        Ok(batch::answer(
            prepared.collect(),
            limits.batch_tokens,
            |rows| self.pooled(rows, &modes),
            |windows, pooled| Ok(self.finish(&windows, &pooled, &modes, stride, options)),
        ))
    }

    /// For each row, for each mode, a vector `[H]`.
    fn pooled(&self, rows: &[&Row], modes: &[PoolingMode]) -> Result<Vec<Vec<Vec<f64>>>> {
        let inputs = batch::padded(rows);
        let h = self.model.config().hidden_size;
        let first_alone = modes
            .iter()
            .all(|mode| matches!(mode, PoolingMode::Cls | PoolingMode::Pooler));
        let (packed, encoded) = if first_alone {
            let first: Vec<_> = (0..inputs.batch).map(|b| (b, 0)).collect();
            self.model.encode_at(&inputs, &first)?
        } else {
            self.model.encode(&inputs)?
        };
        let device = self.model.device();
        let hidden = device.values(&encoded.hidden);
        let pooled = encoded.pooled.as_ref().map(|pooled| device.values(pooled));
        let of = |(b, sequence): (usize, &Sequence)| {
            let rows = if first_alone {
                b..b + 1
            } else {
                sequence.rows.clone()
            };
            let tokens = &hidden[rows.start * h..rows.end * h];
            let pooler = pooled.as_ref().map(|pooled| &pooled[b * h..][..h]);
            modes
                .iter()
                .map(|mode| batch::numbers(&pool(*mode, tokens, h, pooler)))
                .collect()
        };
        packed.layout.sequences.iter().enumerate().map(of).collect()
    }

    /// Joins the windows, then runs the folder's other modules.
    fn finish(
        &self,
        windows: &Windows,
        pooled: &[Vec<Vec<f64>>],
        modes: &[PoolingMode],
        stride: usize,
        options: &EmbedOptions,
    ) -> Answer<Vec<f32>> {
        let weights = windows.weights(stride);
        let mut vector = Vec::new();
        for (m, mode) in modes.iter().enumerate() {
            let parts = pooled.iter().map(|window| window[m].clone());
            if *mode == PoolingMode::Max {
                let highest =
                    parts.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect());
                vector.extend(highest.unwrap_or_default());
            } else {
                let parts: Vec<_> = weights.iter().copied().zip(parts).collect();
                vector.extend(weighted_mean(&parts));
            }
        }
        if options.pooling.is_none() {
            vector = self.modules.apply(vector);
        }
        if let Some(dimensions) = options.dimensions {
            vector.truncate(dimensions);
        }
        if options.normalize.unwrap_or(self.modules.normalizes()) {
            normalize(&mut vector);
        }
        Answer {
            output: vector.into_iter().map(|x| x as f32).collect(),
            tokens: windows.tokens,
            truncated: windows.truncated,
        }
    }
}

/// Pools the hidden states [S, H] of one sequence (sentence-transformers, `Pooling`).
fn pool<T: Copy + Into<f64>>(
    mode: PoolingMode,
    tokens: &[T],
    h: usize,
    pooler: Option<&[T]>,
) -> Vec<f64> {
    let wide = |row: &[T]| -> Vec<f64> { row.iter().map(|&x| x.into()).collect() };
    let rows = tokens.chunks_exact(h);
    let count = rows.len() as f64;
    let sum = |weight: &dyn Fn(usize) -> f64| {
        let mut sum = vec![0.0; h];
        for (i, row) in tokens.chunks_exact(h).enumerate() {
            for (sum, &x) in sum.iter_mut().zip(row) {
                *sum += weight(i) * x.into();
            }
        }
        sum
    };
    let divided = |mut sum: Vec<f64>, by: f64| {
        sum.iter_mut().for_each(|x| *x /= by);
        sum
    };
    match mode {
        PoolingMode::Cls => wide(&tokens[..h]),
        PoolingMode::Pooler => wide(pooler.expect("checked before the model ran")),
        PoolingMode::LastToken => wide(&tokens[tokens.len() - h..]),
        PoolingMode::Max => rows.fold(vec![f64::NEG_INFINITY; h], |top, row| {
            top.iter().zip(row).map(|(a, &b)| a.max(b.into())).collect()
        }),
        PoolingMode::Mean => divided(sum(&|_| 1.0), count),
        PoolingMode::MeanSqrtLen => divided(sum(&|_| 1.0), count.sqrt()),
        PoolingMode::WeightedMean => divided(sum(&|i| (i + 1) as f64), count * (count + 1.0) / 2.0),
    }
}

/// Scales to length 1; a vector of zeros stays.
pub(crate) fn normalize(vector: &mut [f64]) {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x /= norm);
}

/// Cosine of the angle between two vectors; 0 where one of them is all zeros.
///
/// # Panics
/// Vectors of different lengths.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of two lengths");
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_value() {
        // Three tokens of width 2.
        let tokens = [1.0f32, 6.0, 2.0, 5.0, 6.0, -2.0];
        let of = |mode| pool(mode, &tokens, 2, Some(&[0.5, 0.25]));
        assert_eq!(of(PoolingMode::Cls), [1.0, 6.0]);
        assert_eq!(of(PoolingMode::Max), [6.0, 6.0]);
        assert_eq!(of(PoolingMode::Mean), [3.0, 3.0]);
        let root = 3.0f64.sqrt();
        assert_eq!(of(PoolingMode::MeanSqrtLen), [9.0 / root, 9.0 / root]);
        assert_eq!(of(PoolingMode::WeightedMean), [23.0 / 6.0, 10.0 / 6.0]);
        assert_eq!(of(PoolingMode::LastToken), [6.0, -2.0]);
        assert_eq!(of(PoolingMode::Pooler), [0.5, 0.25]);
    }

    #[test]
    fn cosines_are_cosines() {
        assert_eq!(cosine_similarity(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert_eq!(cosine_similarity(&[1.0, 1.0], &[-1.0, -1.0]), -1.0);
        assert_eq!(cosine_similarity(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
