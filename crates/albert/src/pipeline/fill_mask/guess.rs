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

/// Which tokens are hidden: 15 of 100 of those that are not special, at least one, in the order of their places.
fn hidden(ids: &[i64], special: &[u32]) -> Vec<usize> {
    let is_special = |s: &usize| special.iter().any(|&id| i64::from(id) == ids[*s]);
    let mut places: Vec<usize> = (0..ids.len()).filter(|s| !is_special(s)).collect();
    let count = ((places.len() as f64 * HIDDEN).round() as usize).max(1);
    places.sort_by(|&a, &b| chance(ids, a).total_cmp(&chance(ids, b)));
    places.truncate(count);
    places.sort_unstable();
    places
}

impl<B: Backend> FillMask<B> {
    /// Hides 15 of 100 tokens of each text, at least one, never special ones, and lets the model guess them. Which ones
    /// depends on the tokens of the text alone.
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
            for s in hidden(&row.ids, special) {
                masked[b].ids[s] = i64::from(self.mask);
                places.push((b, s));
            }
        }
        let mut guesses = vec![Guesses::default(); rows.len()];
        if places.is_empty() {
            return Ok(guesses);
        }
        let inputs = batch::padded(&masked.iter().collect::<Vec<_>>());
        let (packed, encoded) = self.model.encode_at(&inputs, &places)?;
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

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn a_share_of_the_tokens_is_hidden_and_always_the_same() {
        let ids: Vec<i64> = (0..102).collect();
        let places = hidden(&ids, &[0, 101]);
        assert_eq!(places.len(), 15);
        assert!(places.is_sorted() && !places.contains(&0) && !places.contains(&101));
        assert_eq!(hidden(&ids, &[0, 101]), places);
        assert_ne!(hidden(&(1..103).collect::<Vec<i64>>(), &[1, 102]), places);
        // At least one, of those that there are.
        assert_eq!(hidden(&[2, 9, 3], &[2, 3]), [1]);
        assert!(hidden(&[2, 3], &[2, 3]).is_empty());
    }
}
