//! Where starts are likely in each sequence, and what the layers behind them read.

use super::JointLabels;
use crate::error::{Error, Result};
use crate::heads::check_count;
use crate::inputs::{Inputs, Packed};
use crate::ops::Backend;

/// One sequence of a batch.
pub(super) struct Sequence {
    /// Packed rows where an answer may be, that of `[CLS]` first.
    pub(super) places: Vec<usize>,
    /// ln p of `places`.
    pub(super) starts: Vec<f64>,
}

/// The encoder's output on the host, and what the starts make of it.
pub(super) struct Starts {
    /// [T, H]
    pub(super) hidden: Vec<f64>,
    pub(super) size: usize,
    pub(super) sequences: Vec<Sequence>,
}

impl Starts {
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.hidden[row * self.size..][..self.size]
    }

    /// \[h_t; h_s\] for every (t, s): [n, 2H].
    pub(super) fn pairs<B: Backend>(&self, device: &B, rows: &[(usize, usize)]) -> B::Buffer {
        let both = |&(t, s): &(usize, usize)| self.row(t).iter().chain(self.row(s));
        let values: Vec<B::Scalar> = rows.iter().flat_map(both).map(|x| B::scalar(*x)).collect();
        device.upload(rows.len(), 2 * self.size, &values)
    }

    /// \[Σ p_t·h_t; h_CLS\] for every sequence: [B, 2H].
    pub(super) fn features<B: Backend>(&self, device: &B) -> B::Buffer {
        let mut values = Vec::with_capacity(self.sequences.len() * 2 * self.size);
        for sequence in &self.sequences {
            let mut mean = vec![0.0; self.size];
            for (&place, log) in sequence.places.iter().zip(&sequence.starts) {
                for (sum, x) in mean.iter_mut().zip(self.row(place)) {
                    *sum += log.exp() * x;
                }
            }
            mean.extend_from_slice(self.row(sequence.places[0]));
            values.extend(mean.into_iter().map(B::scalar));
        }
        device.upload(self.sequences.len(), 2 * self.size, &values)
    }

    /// For every sequence the places of the answer among its `places`.
    ///
    /// # Errors
    /// An answer where there may be none.
    pub(super) fn golds(
        &self,
        inputs: &Inputs,
        packed: &Packed,
        labels: &JointLabels,
    ) -> Result<Vec<[usize; 2]>> {
        check_count(
            "is_impossible",
            labels.is_impossible.len(),
            "[B]",
            inputs.batch,
        )?;
        let find = |name: &str, positions: &[i64]| -> Result<Vec<usize>> {
            check_count(name, positions.len(), "[B]", inputs.batch)?;
            let of = |(b, sequence): (usize, &Sequence)| {
                let here = |&row: &usize| packed.rows[row].1 as i64 == positions[b];
                sequence.places.iter().position(here).ok_or_else(|| {
                    Error::input(
                        format!("{name}, element {b}"),
                        "0 for [CLS], or a token of the second text (token type 1) before its [SEP]",
                        positions[b],
                    )
                })
            };
            self.sequences.iter().enumerate().map(of).collect()
        };
        let starts = find("start_positions", &labels.start_positions)?;
        let ends = find("end_positions", &labels.end_positions)?;
        Ok(starts.into_iter().zip(ends).map(|(s, e)| [s, e]).collect())
    }
}

/// The packed rows of each sequence where an answer may be: `[CLS]`, and the second text without the closing `[SEP]`; all
/// tokens where there is no second text.
pub(super) fn places(inputs: &Inputs, packed: &Packed) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); inputs.batch];
    for (row, &(b, s)) in packed.rows.iter().enumerate() {
        if inputs.keeps(b, s) {
            all[b].push(row);
        }
    }
    let second = |row: usize| {
        let (b, s) = packed.rows[row];
        inputs
            .token_type_ids
            .as_ref()
            .is_some_and(|types| types[b * inputs.length + s] == 1)
    };
    for rows in &mut all {
        if rows.iter().any(|&row| second(row)) {
            let last = rows.pop();
            let first = rows.first().copied().or(last);
            rows.retain(|&row| Some(row) == first || second(row));
            if rows.is_empty() {
                rows.extend(first);
            }
        }
    }
    all
}

/// x − ln Σ eˣ
pub(super) fn log_softmax(values: &[f64]) -> Vec<f64> {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|x| (x - top).exp()).sum();
    values.iter().map(|x| x - top - sum.ln()).collect()
}
