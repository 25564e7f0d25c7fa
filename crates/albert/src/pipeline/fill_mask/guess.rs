//! How well a masked language model guesses tokens that were hidden from it: its loss and its accuracy on any text.

use albert_tokenizer::Strategy;

use super::FillMask;
use crate::error::Result;
use crate::loss::negative_log_likelihood;
use crate::ops::Backend;
use crate::pipeline::batch::{self, Row};
use crate::pipeline::scores::best;
use crate::pipeline::{Answer, Limits, Results};
use crate::random::chance;

/// The share of tokens that are hidden, as in training (Devlin et al. 2018); each of them is replaced by `[MASK]`.
const HIDDEN: f64 = 0.15;

/// The guesses of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guesses {
    /// Tokens that were hidden.
    pub hidden: usize,
    /// Those of them that the model thought likeliest.
    pub right: usize,
    /// Σ −ln(probability of the hidden token).
    pub loss: f64,
}

impl<B: Backend> FillMask<B> {
    /// Hides about 15 of 100 tokens of each text, never special ones, and lets the model guess them. Which ones depends
    /// on the tokens of the text alone.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn guess<S: AsRef<str>>(&self, texts: &[S], limits: &Limits) -> Result<Results<Guesses>> {
        super::super::text::no_windows(limits, "guessing")?;
        let inputs: Vec<_> = texts.iter().map(|text| text.as_ref().into()).collect();
        let windows = self.texts.encode(&inputs, limits, Strategy::OnlyFirst)?;
        let special = self.texts.tokenizer.all_special_ids();
        let prepared = windows.into_iter().map(|windows| {
            let windows = windows?;
            Ok((windows.rows(), windows))
        });
        Ok(batch::answer(
            prepared.collect(),
            limits.batch_tokens,
            |rows| self.guess_rows(rows, &special),
            |windows, guesses: Vec<Guesses>| {
                Ok(Answer {
                    output: guesses[0],
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }

    fn guess_rows(&self, rows: &[&Row], special: &[u32]) -> Result<Vec<Guesses>> {
        /// Places at once: their logits are V numbers each.
        const PLACES: usize = 256;
        let mut places = Vec::new();
        let mut masked: Vec<Row> = rows.iter().map(|row| (*row).clone()).collect();
        for (b, row) in rows.iter().enumerate() {
            for s in 0..row.ids.len() {
                let is_special = special.iter().any(|&id| i64::from(id) == row.ids[s]);
                if !is_special && chance(&row.ids, s) < HIDDEN {
                    masked[b].ids[s] = i64::from(self.mask);
                    places.push((b, s));
                }
            }
        }
        let mut guesses = vec![Guesses::default(); rows.len()];
        if places.is_empty() {
            return Ok(guesses);
        }
        let inputs = batch::padded(&masked.iter().collect::<Vec<_>>());
        let (packed, encoded) = self.model.encode(&inputs)?;
        for places in places.chunks(PLACES) {
            let logits = self.model.logits_of(&inputs, &packed, &encoded, places)?;
            for (&(b, s), row) in places.iter().zip(logits.data.chunks_exact(logits.shape[1])) {
                let target = rows[b].ids[s] as usize;
                let row = batch::numbers(row)?;
                guesses[b].hidden += 1;
                guesses[b].right += usize::from(best(&row) == target);
                guesses[b].loss += negative_log_likelihood(&row, target);
            }
        }
        Ok(guesses)
    }
}
