//! Files that tell how training went: results, the model card, curves, TensorBoard's events.
//!
//! The same numbers give the same bytes, but for the times that are asked for: `*_runtime`, `*_per_second`, and the wall
//! time of events.

pub mod card;
pub mod curves;
pub mod events;
pub mod tensorboard;

use std::path::Path;

use albert_formats::write_atomically;
use serde::Serialize;
use serde_json::{Map, Value, json};

use card::Card;

use crate::learner::Metrics;
use crate::state::State;
use crate::trainer::Outcome;
use crate::trainer::error::{Result, TrainError};
use crate::trainer::options::TrainOptions;

/// Values of a results file, under transformers' names.
pub type Results = Map<String, Value>;

/// `train_results.json`: loss, epochs, time; rates are those of this run, without what was done before it was resumed.
pub fn train_results(
    outcome: &Outcome,
    options: &TrainOptions,
    state: &State,
    samples: usize,
) -> Results {
    let seconds = outcome.elapsed.as_secs_f64();
    let per_second = |count: f64| rounded(count / seconds.max(1e-9));
    let done = outcome.steps_now as f64 * options.batch.min(samples) as f64;
    with_origin(
        [
            ("epoch", json!(outcome.epoch)),
            ("total_flos", json!(state.total_flos)),
            ("train_loss", json!(outcome.train_loss)),
            ("train_runtime", json!(rounded(seconds))),
            ("train_samples", json!(samples)),
            ("train_samples_per_second", json!(per_second(done))),
            (
                "train_steps_per_second",
                json!(per_second(outcome.steps_now as f64)),
            ),
        ],
        options,
        state,
    )
}

/// `eval_results.json`: the metrics as `eval_NAME`, the number of samples, and the time in seconds.
pub fn eval_results(
    metrics: &Metrics,
    samples: usize,
    seconds: f64,
    options: &TrainOptions,
    state: &State,
) -> Results {
    let mut results = with_origin(
        [
            ("epoch", json!(state.epoch)),
            ("eval_runtime", json!(rounded(seconds))),
            ("eval_samples", json!(samples)),
            (
                "eval_samples_per_second",
                json!(rounded(samples as f64 / seconds.max(1e-9))),
            ),
        ],
        options,
        state,
    );
    let metrics = metrics.iter();
    results.extend(metrics.map(|(name, value)| (format!("eval_{name}"), json!(value))));
    results
}

/// Writes `SPLIT_results.json`, and its values into `all_results.json` beside those that are there already; keys are sorted
/// and indented by four, as transformers writes them.
///
/// # Errors
/// Files that cannot be written; an `all_results.json` that is no JSON object.
pub fn write_results(folder: &Path, split: &str, results: &Results) -> Result<()> {
    write_json(&folder.join(format!("{split}_results.json")), results)?;
    let path = folder.join("all_results.json");
    let mut all: Results = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Results::new(),
        text => {
            let text = text.map_err(TrainError::io("read", &path))?;
            serde_json::from_slice(&text).map_err(|error| TrainError::Io {
                action: "understand",
                path: path.clone(),
                source: error.into(),
            })?
        }
    };
    all.extend(results.clone());
    write_json(&path, &all)
}

/// Writes the model card and the curves: `README.md` and `curves.svg`.
///
/// # Errors
/// Files that cannot be written.
pub fn write_card(
    folder: &Path,
    card: &Card,
    options: &TrainOptions,
    state: &State,
    results: &Metrics,
) -> Result<()> {
    let text = card::markdown(card, options, state, results);
    write_atomically(&folder.join("README.md"), text.as_bytes())?;
    let curves = curves::svg(&state.history);
    Ok(write_atomically(
        &folder.join("curves.svg"),
        curves.as_bytes(),
    )?)
}

/// Adds what the numbers come from.
fn with_origin<const N: usize>(
    values: [(&str, Value); N],
    options: &TrainOptions,
    state: &State,
) -> Results {
    let mut results: Results = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    results.insert("options_hash".to_owned(), json!(state.options_hash));
    results.insert("seed".to_owned(), json!(options.seed));
    results
}

fn write_json(path: &Path, results: &Results) -> Result<()> {
    let mut sorted = results.clone();
    sorted.sort_keys();
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, indent);
    let written = sorted.serialize(&mut writer);
    written.map_err(|error| TrainError::Io {
        action: "write",
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push(b'\n');
    Ok(write_atomically(path, &text)?)
}

/// To four digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
