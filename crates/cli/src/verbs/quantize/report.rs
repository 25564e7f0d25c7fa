//! What `albert quantize` prints.

use std::io::Write;

use albert::evaluate::{Change, Unit};
use albert::quantize::{LayerError, Written};
use anyhow::{Result, anyhow};

pub(super) struct Report {
    pub(super) source: String,
    pub(super) destination: String,
    /// Texts on which hidden states were compared.
    pub(super) texts: usize,
    pub(super) written: Written,
    /// None where the folder has no tokenizer.
    pub(super) layers: Vec<LayerError>,
    pub(super) evaluation: Option<Evaluation>,
}

#[derive(serde::Serialize)]
pub(super) struct Evaluation {
    pub(super) file: String,
    pub(super) examples: usize,
    pub(super) changes: Vec<Change>,
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// Points with two digits, nats with four.
fn amount(unit: Unit, value: f64) -> String {
    let text = match unit {
        Unit::Points => format!("{value:.2}"),
        Unit::Loss => format!("{value:.4}"),
    };
    // -0.004 is 0.00.
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero.to_owned(),
        _ => text,
    }
}

/// With its sign, + for what is not negative.
fn signed(amount: String) -> String {
    if amount.starts_with('-') {
        amount
    } else {
        format!("+{amount}")
    }
}

impl Report {
    /// Whether the answers are good enough, if they were measured.
    pub(super) fn passed(&self) -> bool {
        let changes = self
            .evaluation
            .iter()
            .flat_map(|evaluation| &evaluation.changes);
        changes.clone().all(|change| change.passed)
    }

    /// Why nothing was written.
    pub(super) fn refusal(&self) -> anyhow::Error {
        let changes = self
            .evaluation
            .iter()
            .flat_map(|evaluation| &evaluation.changes);
        let failed = changes.filter(|change| !change.passed).map(|change| {
            let Change { name, unit, .. } = change;
            let of = |value| amount(*unit, value);
            if change.before.is_nan() || change.after.is_nan() {
                return format!("{name} is not defined for these examples");
            }
            let (before, after) = (of(change.before), of(change.after));
            let (flag, of_what, sign) = match unit {
                Unit::Points => ("--max-drop", " points", -1.0),
                Unit::Loss => ("--max-loss-rise", "", 1.0),
            };
            let changed = signed(of(sign * change.worse));
            let limit = of(change.allowed.abs());
            // Points may fall and losses rise; with a negative bound the other way round is asked for.
            let bound = match (unit, change.allowed < 0.0) {
                (Unit::Points, false) => format!("may fall by at most {limit}"),
                (Unit::Points, true) => format!("must rise by at least {limit}"),
                (Unit::Loss, false) => format!("may rise by at most {limit}"),
                (Unit::Loss, true) => format!("must fall by at least {limit}"),
            };
            format!("{name} went from {before} to {after}{of_what}, changed by {changed}, {bound} ({flag})")
        });
        anyhow!(
            "{} was not written: {}",
            self.destination,
            failed.collect::<Vec<_>>().join("; ")
        )
    }

    pub(super) fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            let Written {
                matrices,
                source_bytes,
                file_bytes,
                left_out,
            } = &self.written;
            let value = serde_json::json!({
                "source": self.source, "destination": self.destination, "passed": self.passed(),
                "source_bytes": source_bytes, "file_bytes": file_bytes, "left_out": left_out,
                "matrices": matrices, "texts": self.texts, "layers": self.layers, "evaluation": self.evaluation,
            });
            writeln!(out, "{value}")?;
            return Ok(());
        }
        self.matrices(&mut out)?;
        if !self.layers.is_empty() {
            writeln!(
                out,
                "\n{:<10}  {:>14}  {:>10}",
                "layer", "relative error", "largest"
            )?;
            for LayerError {
                layer,
                relative_rms,
                largest,
            } in &self.layers
            {
                let name = match layer {
                    0 => "embeddings".to_owned(),
                    layer => layer.to_string(),
                };
                writeln!(out, "{name:<10}  {relative_rms:>14.5}  {largest:>10.5}")?;
            }
        }
        if let Some(evaluation) = &self.evaluation {
            let examples = match evaluation.examples {
                1 => "1 example".to_owned(),
                count => format!("{count} examples"),
            };
            writeln!(
                out,
                "\n{examples:<14}  {:>8}  {:>8}  {:>8}  {:>8}",
                "f32", "int8", "worse by", "allowed"
            )?;
            for change in &evaluation.changes {
                let of = |value| amount(change.unit, value);
                writeln!(
                    out,
                    "{:<14}  {:>8}  {:>8}  {:>8}  {:>8}  {}",
                    change.name,
                    of(change.before),
                    of(change.after),
                    of(change.worse),
                    of(change.allowed),
                    if change.passed { "passed" } else { "refused" }
                )?;
            }
        }
        let to = if self.passed() {
            &self.destination
        } else {
            "not written"
        };
        writeln!(
            out,
            "\n{}: {}, {}: {}",
            self.source,
            megabytes(self.written.source_bytes),
            to,
            megabytes(self.written.file_bytes)
        )?;
        for file in &self.written.left_out {
            writeln!(out, "left out: {file}")?;
        }
        Ok(())
    }

    fn matrices(&self, out: &mut impl Write) -> Result<()> {
        let matrices = &self.written.matrices;
        let bare = |name: &str| name.strip_suffix(".weight").unwrap_or(name).to_owned();
        let width = matrices
            .iter()
            .map(|matrix| bare(&matrix.name).len())
            .max()
            .unwrap_or(0);
        writeln!(
            out,
            "{:<width$}  {:<13}  {:>14}",
            "matrix", "shape", "relative error"
        )?;
        for matrix in matrices {
            let [rows, cols] = matrix.shape;
            let shape = format!("[{rows}, {cols}]");
            writeln!(
                out,
                "{:<width$}  {shape:<13}  {:>14.5}",
                bare(&matrix.name),
                matrix.error
            )?;
        }
        Ok(())
    }
}
