//! The model card: `README.md` with the front matter that Hugging Face's hub reads.

use std::fmt::Write;

use serde_json::Value;

use crate::learner::Metrics;
use crate::state::State;
use crate::trainer::options::{Length, Micro, TrainOptions, Warmup};

/// What the trainer does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Name of the model.
    pub name: String,
    /// The model that training began from.
    pub base_model: Option<String>,
    /// Licence, as the hub abbreviates it.
    pub license: Option<String>,
    /// Language, such as `en`.
    pub language: Option<String>,
    /// The hub's name of the task, such as `text-classification`.
    pub task: Option<String>,
    /// The data.
    pub dataset: Option<String>,
    /// The data of the metrics, where they are not a part of those.
    pub evaluated_on: Option<String>,
    /// Programs and versions.
    pub versions: Vec<(String, String)>,
}

/// The card's text; the same numbers give the same bytes.
pub fn markdown(card: &Card, options: &TrainOptions, state: &State, results: &Metrics) -> String {
    let mut out = front_matter(card, results);
    let _ = writeln!(out, "\n# {}\n", card.name);
    let base = card
        .base_model
        .as_deref()
        .unwrap_or("an ALBERT model of new parameters");
    let data = card.dataset.as_deref().unwrap_or("data that are not named");
    let _ = writeln!(out, "It was made from {base}, trained on {data}.\n");
    if !results.is_empty() {
        let data = match &card.evaluated_on {
            Some(name) => format!(" ({name})"),
            None => String::new(),
        };
        let _ = writeln!(
            out,
            "On the evaluation data{data}:\n\n| metric | value |\n|---|---|"
        );
        for (name, value) in results {
            let _ = writeln!(out, "| {} | {value:.4} |", cell(name));
        }
        out.push('\n');
    }
    out.push_str("## Training\n\n### Hyper-parameters\n\n");
    for (name, value) in hyper_parameters(options, state) {
        let _ = writeln!(out, "- {name}: {value}");
    }
    out.push_str("\n### Results\n\n");
    out.push_str(&table(state));
    out.push_str(
        "\n![Losses, norms of gradients, learning rates and metrics over the steps](curves.svg)\n",
    );
    if !card.versions.is_empty() {
        out.push_str("\n### Versions\n\n");
        for (name, version) in &card.versions {
            let _ = writeln!(out, "- {name} {version}");
        }
    }
    out
}

fn front_matter(card: &Card, results: &Metrics) -> String {
    let mut out = "---\nlibrary_name: transformers\n".to_owned();
    let fields = [
        ("license", &card.license),
        ("language", &card.language),
        ("base_model", &card.base_model),
        ("pipeline_tag", &card.task),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {}", quoted(value));
        }
    }
    out.push_str("tags:\n- albert\n");
    let metrics: Vec<_> = results.iter().filter(|(name, _)| *name != "loss").collect();
    if !metrics.is_empty() {
        out.push_str("metrics:\n");
        for (name, _) in &metrics {
            let _ = writeln!(out, "- {}", quoted(name));
        }
    }
    let dataset = card.evaluated_on.as_ref().or(card.dataset.as_ref());
    if let (Some(task), Some(dataset), false) = (&card.task, dataset, metrics.is_empty()) {
        let (name, task, data) = (quoted(&card.name), quoted(task), quoted(dataset));
        let _ = write!(
            out,
            "model-index:\n- name: {name}\n  results:\n  - task:\n      type: {task}\n    dataset:\n      name: {data}\n      type: {data}\n    metrics:\n"
        );
        for (name, value) in metrics {
            let name = quoted(name);
            let value = if value.is_finite() {
                value.to_string()
            } else {
                "null".to_owned()
            };
            let _ = writeln!(
                out,
                "    - name: {name}\n      type: {name}\n      value: {value}"
            );
        }
    }
    out.push_str("---\n");
    out
}

/// A string of YAML: those of JSON are some.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn hyper_parameters(options: &TrainOptions, state: &State) -> Vec<(&'static str, String)> {
    let json = |value: Result<Value, _>| {
        value.map_or_else(
            |error: serde_json::Error| error.to_string(),
            |v| v.to_string(),
        )
    };
    let optimizer = &options.optimizer;
    let mut list = vec![
        ("learning_rate", options.learning_rate.to_string()),
        ("train_batch_size", options.batch.to_string()),
        (
            "micro_batch",
            match options.micro {
                Micro::Samples(count) => format!("{count} samples"),
                Micro::Tokens(count) => format!("{count} tokens"),
            },
        ),
        ("seed", options.seed.to_string()),
        (
            "optimizer",
            format!(
                "{:?} ({:?}) with betas=({},{}), epsilon={}, weight_decay={}",
                optimizer.method,
                optimizer.form,
                optimizer.beta1,
                optimizer.beta2,
                optimizer.epsilon,
                optimizer.weight_decay
            ),
        ),
        (
            "max_grad_norm",
            optimizer
                .max_grad_norm
                .map_or("none".to_owned(), |max| max.to_string()),
        ),
        (
            "lr_scheduler_type",
            json(serde_json::to_value(options.schedule)),
        ),
        match options.warmup {
            Warmup::Steps(steps) => ("lr_scheduler_warmup_steps", steps.to_string()),
            Warmup::Ratio(ratio) => ("lr_scheduler_warmup_ratio", ratio.to_string()),
        },
        match options.length {
            Length::Epochs(epochs) => ("num_epochs", epochs.to_string()),
            Length::Steps(steps) => ("training_steps", steps.to_string()),
        },
        ("options_hash", state.options_hash.clone()),
    ];
    if state.rollbacks > 0 {
        let text = format!(
            "{} (factor on the learning rate: {})",
            state.rollbacks, state.rate_scale
        );
        list.push(("rollbacks", text));
    }
    list
}

/// A row for each evaluation, with the loss of training that was logged last before it.
fn table(state: &State) -> String {
    let number = |value: Option<&Value>| {
        let value = value.and_then(Value::as_f64);
        value.map_or("–".to_owned(), |value| format!("{value:.4}"))
    };
    let evaluations = || {
        state
            .history
            .iter()
            .filter(|entry| entry.keys().any(|key| key.starts_with("eval_")))
    };
    let mut names: Vec<&String> = evaluations().flat_map(|entry| entry.keys()).collect();
    names.retain(|name| name.starts_with("eval_"));
    names.sort();
    names.dedup();
    if names.is_empty() {
        return "There was no evaluation during training.\n".to_owned();
    }
    let heads: Vec<String> = names
        .iter()
        .map(|name| cell(&name["eval_".len()..]))
        .collect();
    let mut out = format!("| training loss | epoch | step | {} |\n", heads.join(" | "));
    out += &format!("|---|---|---|{}\n", "---|".repeat(names.len()));
    let mut loss = None;
    for entry in &state.history {
        loss = entry.get("loss").or(loss);
        if !entry.keys().any(|key| key.starts_with("eval_")) {
            continue;
        }
        let values: Vec<String> = names.iter().map(|name| number(entry.get(*name))).collect();
        let step = entry.get("step").map_or_else(String::new, Value::to_string);
        let epoch = number(entry.get("epoch"));
        let _ = writeln!(
            out,
            "| {} | {epoch} | {step} | {} |",
            number(loss),
            values.join(" | ")
        );
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
