//! From a checkpoint to a model's parameters and back, by walking the table of [`crate::names`].
//!
//! This file: how to load, and the report. `view` shows the tensors of any program's checkpoint under our names,
//! `reader`
//! gives their elements, `repeats` says what is there twice, `folder` opens a model's folder, `load` reads, `integers` says what is right of matrices of whole numbers, `save` writes.

use std::path::Path;

use albert_formats::Checkpoint;

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::names::{self, HEAD_MODULES};

mod folder;
mod integers;
mod load;
mod reader;
pub(crate) mod repeats;
mod save;
mod view;

pub(crate) use folder::head_class;
pub use folder::{ModelFolder, Named, classifier_labels};
pub use integers::tensor_problems;
pub use load::Loader;
pub use save::{Parameter, Saver};
pub(crate) use view::{Stored, View};

/// What happened to every tensor of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors read into the model.
    pub loaded: Vec<String>,
    /// Tensors of the model that were drawn at random, because the caller asked for a fresh head.
    pub fresh: Vec<String>,
    /// Known tensors of heads that this class does not have.
    pub unused: Vec<String>,
    /// Tensors that no ALBERT model has.
    pub unexpected: Vec<String>,
    /// Tensors that mean nothing to a model: buffers of numbers, the state of an optimiser, counters.
    pub ignored: Vec<String>,
    /// Doubtful things: two different MLM biases, a missing pooler, …
    pub notes: Vec<String>,
}

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Draw a missing head from N(0, initializer_range) with this seed, instead of refusing. For training.
    pub fresh_head: Option<u64>,
    /// With it, draw whatever else is missing, too.
    pub fresh_body: bool,
    /// Which of two different MLM biases to add (`predictions.decoder.bias` as transformers does by default).
    pub mlm_bias: MlmBias,
}

/// Which output bias the masked language model adds when a checkpoint holds two different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MlmBias {
    /// `predictions.decoder.bias`, as transformers and its TensorFlow classes.
    #[default]
    Decoder,
    /// `predictions.bias`, Google's `cls/predictions/output_bias`.
    Google,
}

/// The heads that a checkpoint holds, in words.
pub fn heads_present(checkpoint: &Checkpoint) -> Vec<String> {
    heads_of(&View::new(checkpoint))
}

fn heads_of(view: &View<'_>) -> Vec<String> {
    let holds = |module| view.holds(module);
    HEAD_MODULES
        .iter()
        .filter(|(module, _)| holds(module))
        .map(|(module, class)| {
            // Of the three classes with a classifier, one alone has no pooler.
            let tokens = *module == "classifier" && !holds("pooler");
            let class = if tokens {
                "AlbertForTokenClassification"
            } else {
                class
            };
            class.to_owned()
        })
        .collect()
}

/// Classes whose heads have the same tensors, so that only the configuration tells which one was trained.
const LIKE_ONE_ANOTHER: [&str; 3] = [
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForMultipleChoice",
];

/// Refuses a classifier that was trained for another task, where its tensors fit but `architectures` names the other
/// class. Loading alone does not: a checkpoint may be loaded as any class that its tensors fit.
///
/// # Errors
/// The class that the configuration names.
pub(crate) fn check_trained_for(class: &str, config: &AlbertConfig) -> Result<()> {
    let alike = |name: &str| LIKE_ONE_ANOTHER.contains(&name);
    let named = config.architectures.iter().find(|name| alike(name));
    match named {
        Some(named) if alike(class) && !config.architectures.iter().any(|name| name == class) => {
            Err(Error::input(
                "model",
                format!("one that was trained as {class}"),
                format!("{named} (config.json, architectures)"),
            ))
        }
        _ => Ok(()),
    }
}

/// Why tensors that the class needs and the file lacks are an error, and what to do.
fn refusal(class: &'static str, path: &Path, missing: &[String], view: &View<'_>) -> Error {
    let mut names: Vec<&str> = missing.iter().take(4).map(String::as_str).collect();
    if missing.len() > names.len() {
        names.push("…");
    }
    let base_missing = missing
        .iter()
        .any(|name| name.starts_with(names::BASE_PREFIX) && !name.starts_with("albert.pooler"));
    let advice = if base_missing {
        "This is not a complete ALBERT checkpoint with the shape of its config.json; `albert inspect` lists what it holds".to_owned()
    } else {
        let heads = heads_of(view);
        let held = if heads.is_empty() {
            "no head at all".to_owned()
        } else {
            heads.join("; ")
        };
        format!(
            "The checkpoint holds {held}. Take a checkpoint that was trained for this task, or ask for a fresh head by name in order to train one"
        )
    };
    Error::Missing {
        path: path.to_owned(),
        class,
        count: missing.len(),
        names: names.join(", "),
        advice,
    }
}

/// Whether a tensor belongs to this module, with `albert.` in front or without.
fn is_in(name: &str, module: &str) -> bool {
    let bare = name.strip_prefix(names::BASE_PREFIX).unwrap_or(name);
    bare.strip_prefix(module)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Whether two readers of `elements` elements give the same.
pub(crate) fn equal<T: Copy + Default>(
    elements: usize,
    a: impl Fn(usize, &mut [T]) -> Result<()>,
    b: impl Fn(usize, &mut [T]) -> Result<()>,
    same: impl Fn(&T, &T) -> bool,
) -> Result<bool> {
    let (mut x, mut y) = (vec![T::default(); 1 << 14], vec![T::default(); 1 << 14]);
    for first in (0..elements).step_by(x.len()) {
        let count = x.len().min(elements - first);
        a(first, &mut x[..count])?;
        b(first, &mut y[..count])?;
        if !x[..count].iter().zip(&y[..count]).all(|(x, y)| same(x, y)) {
            return Ok(false);
        }
    }
    Ok(true)
}
