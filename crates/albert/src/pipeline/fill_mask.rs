//! Fill-mask: the most likely tokens for each `[MASK]` of a text.

mod guess;

use std::collections::HashMap;
use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, EncodeOptions, Encoding, Strategy, Truncation};
use serde::Serialize;

use super::batch::{self, Row};
use super::scores::{softmax, top};
use super::text::{Texts, Windows, load};
use super::{Answer, Limits, Results, only};
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu};
use crate::{AlbertForMaskedLM, Loaded};

pub use guess::Guesses;

/// What to fill masks with, and how many answers to give.
#[derive(Clone, Debug)]
pub struct FillMaskOptions {
    /// Answers for each mask.
    pub top_k: usize,
    /// Numbers of the only tokens to choose from; [`FillMask::targets`] finds them.
    pub targets: Option<Vec<u32>>,
    /// Where windows slide, each mask is filled by the window that shows most text on both of its sides.
    pub limits: Limits,
}

impl Default for FillMaskOptions {
    fn default() -> Self {
        Self {
            top_k: 5,
            targets: None,
            limits: Limits::default(),
        }
    }
}

/// A way to fill one mask.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filled {
    /// Probability among all tokens of the vocabulary.
    pub score: f64,
    /// Number of the token.
    pub token: u32,
    /// The token as text.
    pub token_str: String,
    /// The text with this token in place of the mask. Other masks stay.
    pub sequence: String,
}

/// A masked language model with its tokenizer.
pub struct FillMask<B: Backend = Cpu> {
    model: AlbertForMaskedLM<B>,
    texts: Texts,
    mask: u32,
}

/// A mask to fill: its place in the window that fills it, and in what is shown.
struct Place {
    window: usize,
    position: usize,
    shown: usize,
}

impl<B: Backend> FillMask<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no masked-language head.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer)?, loaded))
    }

    /// Joins a model and its tokenizer.
    ///
    /// # Errors
    /// The tokenizer has no mask token.
    pub fn new(model: AlbertForMaskedLM<B>, tokenizer: AlbertTokenizer) -> Result<Self> {
        let mask = tokenizer.mask_token_id().ok_or_else(|| {
            Error::input(
                "tokenizer",
                "a mask token such as [MASK]",
                "none in its files",
            )
        })?;
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Ok(Self { model, texts, mask })
    }

    /// The model.
    pub fn model(&self) -> &AlbertForMaskedLM<B> {
        &self.model
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &AlbertTokenizer {
        &self.texts.tokenizer
    }

    /// Numbers of words, for [`FillMaskOptions::targets`]: a token of the vocabulary, or else the first token of the
    /// word. Each number once.
    ///
    /// # Errors
    /// A word without any token; no words.
    pub fn targets<S: AsRef<str>>(&self, words: &[S]) -> Result<Vec<u32>> {
        let tokenizer = &self.texts.tokenizer;
        let mut found = Vec::new();
        for word in words.iter().map(AsRef::as_ref) {
            let id = match tokenizer.token_to_id(word) {
                Some(id) => id,
                None => {
                    let options = EncodeOptions {
                        add_special_tokens: false,
                        truncation: Truncation::to(1),
                        ..EncodeOptions::default()
                    };
                    let ids = tokenizer.encode(word, &options)?.ids;
                    *ids.first().ok_or_else(|| {
                        Error::input("targets", "words", format!("{word:?}, which has no token"))
                    })?
                }
            };
            if !found.contains(&id) {
                found.push(id);
            }
        }
        if found.is_empty() {
            return Err(Error::input("targets", "at least one word", "none"));
        }
        Ok(found)
    }

    /// Fills one text: a list of answers for each mask, in their order.
    ///
    /// # Errors
    /// No mask in the text, or too many tokens.
    pub fn run(&self, text: &str, options: &FillMaskOptions) -> Result<Answer<Vec<Vec<Filled>>>> {
        only(self.run_batch(&[text], options)?)
    }

    /// Fills many texts; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch<S: AsRef<str>>(
        &self,
        texts: &[S],
        options: &FillMaskOptions,
    ) -> Result<Results<Vec<Vec<Filled>>>> {
        let inputs: Vec<_> = texts.iter().map(|text| text.as_ref().into()).collect();
        let windows = self
            .texts
            .encode(&inputs, &options.limits, Strategy::OnlyFirst)?;
        let prepared = windows.into_iter().map(|windows| {
            let windows = windows?;
            let places = self.places(&windows)?;
            let vocabulary = self.model.config().vocab_size;
            check_size(
                places.len(),
                options.top_k.min(vocabulary),
                windows.shown().len(),
            )?;
            Ok((windows.rows(), (windows, places)))
        });
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| self.fill(rows, options),
            |(windows, places), best| Ok(self.answers(&windows, &places, &best)),
        ))
    }

    /// The masks of an input, each in the window where the nearer end is farthest away.
    fn places(&self, windows: &Windows) -> Result<Vec<Place>> {
        let shown = windows.shown();
        let masks = |encoding: &Encoding| -> Vec<usize> {
            (0..encoding.len())
                .filter(|&i| encoding.ids[i] == self.mask)
                .collect()
        };
        let list = masks(shown);
        if list.is_empty() {
            let mask = self
                .texts
                .tokenizer
                .id_to_token(self.mask)
                .unwrap_or_default();
            let found = if windows.truncated {
                "none in what truncation left"
            } else {
                "none"
            };
            return Err(Error::input(
                "text",
                format!("{mask} where a word is missing"),
                found,
            ));
        }
        // A mask has the same offsets in every window that shows it.
        let mut best: HashMap<(usize, usize), (usize, usize, usize)> = HashMap::new();
        for (window, encoding) in windows.encodings.iter().enumerate() {
            for position in masks(encoding) {
                let room = position.min(encoding.len() - 1 - position);
                let here = (room, window, position);
                let known = best.entry(encoding.offsets[position]).or_insert(here);
                if room > known.0 {
                    *known = here;
                }
            }
        }
        let place = |at: usize| {
            let (_, window, position) = best[&shown.offsets[at]];
            Place {
                window,
                position,
                shown: at,
            }
        };
        Ok(list.into_iter().map(place).collect())
    }

    /// The best tokens with their scores for every mask of every row.
    fn fill(&self, rows: &[&Row], options: &FillMaskOptions) -> Result<Vec<RowFills>> {
        /// Masks at once: their logits are V numbers each.
        const MASKS: usize = 256;
        let inputs = batch::padded(rows);
        let mut places = Vec::new();
        for (b, row) in rows.iter().enumerate() {
            let own = (0..row.ids.len()).filter(|&s| row.ids[s] == i64::from(self.mask));
            places.extend(own.map(|s| (b, s)));
        }
        let mut fills: Vec<RowFills> = rows.iter().map(|_| Vec::new()).collect();
        if places.is_empty() {
            return Ok(fills);
        }
        let (packed, encoded) = self.model.encode_at(&inputs, &places)?;
        for places in places.chunks(MASKS) {
            let logits = self.model.logits_of(&inputs, &packed, &encoded, places)?;
            for (&(b, s), row) in places.iter().zip(logits.data.chunks_exact(logits.shape[1])) {
                let scores = softmax(&batch::numbers(row)?);
                fills[b].push((s, best_tokens(&scores, options)));
            }
        }
        Ok(fills)
    }

    fn answers(
        &self,
        windows: &Windows,
        places: &[Place],
        fills: &[RowFills],
    ) -> Answer<Vec<Vec<Filled>>> {
        let tokenizer = &self.texts.tokenizer;
        let shown = windows.shown();
        let pad = tokenizer.pad_token_id();
        let output = places.iter().map(|place| {
            let (_, best) = fills[place.window]
                .iter()
                .find(|(position, _)| *position == place.position)
                .expect("every mask was filled");
            let filled = best.iter().map(|&(token, score)| {
                let mut ids = shown.ids.clone();
                ids[place.shown] = token;
                // As transformers: padding is left out, special tokens too unless another mask must be seen.
                ids.retain(|id| Some(*id) != pad);
                Filled {
                    score,
                    token,
                    token_str: tokenizer.decode(&[token], false),
                    sequence: tokenizer.decode(&ids, places.len() == 1),
                }
            });
            filled.collect()
        });
        Answer {
            output: output.collect(),
            tokens: windows.tokens,
            truncated: windows.truncated,
        }
    }
}

/// Every candidate shows the whole text, so that many masks in a long text would fill any memory.
fn check_size(masks: usize, top_k: usize, tokens: usize) -> Result<()> {
    /// Tokens in all sequences of one answer, a few bytes each.
    const MOST: usize = 50_000_000;
    match masks.checked_mul(top_k).and_then(|n| n.checked_mul(tokens)) {
        Some(all) if all <= MOST => Ok(()),
        _ => Err(Error::input(
            "text",
            format!(
                "at most {MOST} tokens in all candidates together, each of which shows the whole text; split the text, or ask for less candidates"
            ),
            format!("{masks} masks, {top_k} candidates for each, {tokens} tokens"),
        )),
    }
}

/// For each mask of a row its position and its best tokens with their scores.
type RowFills = Vec<(usize, Vec<(u32, f64)>)>;

fn best_tokens(scores: &[f64], options: &FillMaskOptions) -> Vec<(u32, f64)> {
    match &options.targets {
        None => {
            let best = top(scores, options.top_k);
            best.into_iter().map(|i| (i as u32, scores[i])).collect()
        }
        Some(targets) => {
            let score = |id: &u32| scores.get(*id as usize).copied().unwrap_or(0.0);
            let own: Vec<f64> = targets.iter().map(score).collect();
            let best = top(&own, options.top_k);
            best.into_iter().map(|i| (targets[i], own[i])).collect()
        }
    }
}
