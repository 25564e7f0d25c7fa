//! Features: the vectors of every token, of the last layer or of all of them.

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, Strategy};

use super::batch::{self, Row};
use super::text::{Texts, load, no_windows, single_or_pair};
use super::{Answer, Limits, Results, only};
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu};
use crate::output::Array;
use crate::{AlbertModel, Keep, Loaded};

/// Which layers.
#[derive(Clone, Debug, Default)]
pub struct FeaturesOptions {
    /// Layers to give, from 0 (the mapped embeddings) to L·N (the last); empty: the last one.
    pub layers: Vec<usize>,
    /// Windows cannot slide.
    pub limits: Limits,
}

/// The vectors of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFeatures<T = f32> {
    /// S tokens, `[CLS]` and `[SEP]` included.
    pub tokens: Vec<String>,
    /// The numbers of the layers …
    pub numbers: Vec<usize>,
    /// … and for each of them an array [S, H].
    pub layers: Vec<Array<T>>,
}

/// An encoder with its tokenizer.
pub struct Features<B: Backend = Cpu> {
    model: AlbertModel<B>,
    texts: Texts,
}

impl<B: Backend> Features<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertModel<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Self { model, texts }
    }

    /// Layers that the model has, the mapped embeddings included: L·N + 1.
    pub fn layers(&self) -> usize {
        let config = self.model.config();
        config.num_hidden_layers * config.inner_group_num + 1
    }

    /// The vectors of a text, or of a pair of texts.
    ///
    /// # Errors
    /// A layer that the model has not, too many tokens.
    pub fn run(
        &self,
        text: &str,
        pair: Option<&str>,
        options: &FeaturesOptions,
    ) -> Result<Answer<TokenFeatures<B::Scalar>>> {
        only(self.run_batch(&[(text, pair)], options)?)
    }

    /// The vectors of many texts; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, Option<&str>)],
        options: &FeaturesOptions,
    ) -> Result<Results<TokenFeatures<B::Scalar>>> {
        no_windows(&options.limits, "features")?;
        let last = self.layers() - 1;
        if let Some(layer) = options.layers.iter().find(|layer| **layer > last) {
            return Err(Error::input("layers", format!("0 to {last}"), layer));
        }
        let layers = if options.layers.is_empty() {
            vec![last]
        } else {
            options.layers.clone()
        };
        let inputs: Vec<_> = inputs
            .iter()
            .map(|&(text, pair)| single_or_pair(text, pair))
            .collect();
        let windows = self
            .texts
            .encode(&inputs, &options.limits, Strategy::LongestFirst)?;
        let prepared = windows
            .into_iter()
            .map(|windows| windows.map(|windows| (windows.rows(), windows)));
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| self.states(rows, &layers),
            |windows, mut states| {
                let tokens = windows.encodings[0].tokens();
                Ok(Answer {
                    output: TokenFeatures {
                        tokens: tokens.into_iter().map(str::to_owned).collect(),
                        numbers: layers.clone(),
                        layers: states.remove(0),
                    },
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }

    fn states(&self, rows: &[&Row], layers: &[usize]) -> Result<Vec<Vec<Array<B::Scalar>>>> {
        let inputs = batch::padded(rows);
        let last = self.layers() - 1;
        let keep = Keep {
            hidden_states: layers.iter().any(|layer| *layer != last),
            attentions: false,
        };
        let output = self.model.forward(&inputs, None, keep)?;
        let h = self.model.config().hidden_size;
        let of = |b: usize, layer: usize| {
            let states = match output.trace.hidden_states.get(layer) {
                Some(states) => states,
                None => &output.last_hidden_state,
            };
            let s = rows[b].ids.len();
            let values = &states.data[b * inputs.length * h..][..s * h];
            batch::numbers(values)?;
            Ok(Array::new(vec![s, h], values.to_vec()))
        };
        (0..rows.len())
            .map(|b| layers.iter().map(|&layer| of(b, layer)).collect())
            .collect()
    }
}
