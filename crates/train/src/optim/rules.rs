//! Which variables decay and adapt, and how fast they learn: rules on their names.

use serde::{Deserialize, Serialize};

use super::OptimizerOptions;

/// Another treatment for the variables whose name contains a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Part of a name, such as `classifier` or `embeddings.`.
    pub contains: String,
    /// Factor on the learning rate; 0 freezes.
    pub rate: f64,
    /// λ, where it is not the one of the others.
    pub weight_decay: Option<f64>,
}

/// How one variable is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Factor on the learning rate.
    pub rate: f64,
    /// λ of this variable.
    pub weight_decay: f64,
    /// Whether LAMB scales its changes by r.
    pub adapted: bool,
}

/// Whether a variable neither decays nor adapts: `LayerNorm`, `layer_norm` or `bias` stands in its name. This is Google's
/// list; on the names of ALBERT it leaves out what transformers' trainer leaves out, biases and the parameters of LayerNorm.
pub fn is_excluded(name: &str) -> bool {
    ["LayerNorm", "layer_norm", "bias"]
        .iter()
        .any(|part| name.contains(part))
}

pub(super) fn group(options: &OptimizerOptions, name: &str) -> Group {
    let excluded = is_excluded(name);
    let rule = options
        .rules
        .iter()
        .rev()
        .find(|rule| name.contains(&rule.contains));
    let decay = rule
        .and_then(|rule| rule.weight_decay)
        .unwrap_or(options.weight_decay);
    Group {
        rate: rule.map_or(1.0, |rule| rule.rate),
        weight_decay: if excluded { 0.0 } else { decay },
        adapted: !excluded,
    }
}
