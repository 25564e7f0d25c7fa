//! Optimisers over the flat vector of parameters: AdamW and LAMB, in Google's form and in the standard one.
//!
//! With the gradient g (after the clip), per variable w:
//!
//! ```text
//! Google     m ← β1·m + (1−β1)·g     v ← β2·v + (1−β2)·g²     u = m/(√v + ε) + λ·w
//!            AdamW: w ← w − η·u      LAMB: w ← w − r·η·u, r = ‖w‖/‖u‖, or 1 where either is 0
//! standard   AdamW: w ← w·(1 − η·λ);  w ← w − η/(1−β1ᵗ) · m/(√v/√(1−β2ᵗ) + ε)
//!            LAMB: as Google's with m/(1−β1ᵗ) and v/(1−β2ᵗ) in u
//! ```
//!
//! Google's are `lamb_optimizer.py` and `optimization.py` of google-research/albert; standard AdamW is `torch.optim.AdamW`,
//! operation by operation, standard LAMB is You et al. 2019 (arXiv:1904.00962, algorithm 2) with φ the identity. All state
//! is f32; sums are f64 in an order that depends on the layout alone ([`norm`]).

mod kernel;
pub mod norm;
mod pieces;
mod rules;

use albert::Variable;
use serde::{Deserialize, Serialize};

use kernel::{Constants, Step};
use pieces::{Part, Piece, cut, divide};
pub use rules::{Group, Rule, is_excluded};

/// The rule by which a gradient becomes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Adam with decoupled weight decay.
    AdamW,
    /// AdamW whose changes are scaled to each variable's norm.
    Lamb,
}

/// Whose formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// google-research/albert: no bias correction, decay added to the update.
    Google,
    /// PyTorch's AdamW; LAMB as published.
    Standard,
}

/// What an [`Optimizer`] is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerOptions {
    /// AdamW or LAMB.
    pub method: Method,
    /// Google's formulas or the standard ones.
    pub form: Form,
    /// Share of the old mean of gradients, in [0, 1).
    pub beta1: f64,
    /// Share of the old mean of squares, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the mean of squares, > 0.
    pub epsilon: f64,
    /// λ for the variables that decay.
    pub weight_decay: f64,
    /// Longest gradient; a longer one is shortened to it.
    pub max_grad_norm: Option<f64>,
    /// Exceptions by name; of those that fit, the last one holds.
    pub rules: Vec<Rule>,
}

impl OptimizerOptions {
    /// The defaults of a form: Google's ε 1e-6 and λ 0.01; of the standard forms ε 1e-8 (AdamW, as PyTorch) or 1e-6 (LAMB)
    /// and λ 0, as transformers' trainer. Gradients are clipped at 1.
    pub fn new(method: Method, form: Form) -> Self {
        let (epsilon, weight_decay) = match (form, method) {
            (Form::Google, _) => (1e-6, 0.01),
            (Form::Standard, Method::AdamW) => (1e-8, 0.0),
            (Form::Standard, Method::Lamb) => (1e-6, 0.0),
        };
        Self {
            method,
            form,
            beta1: 0.9,
            beta2: 0.999,
            epsilon,
            weight_decay,
            max_grad_norm: Some(1.0),
            rules: Vec::new(),
        }
    }
}

/// Means of gradients and of their squares, and how they change parameters.
#[derive(Clone, Debug)]
pub struct Optimizer {
    options: OptimizerOptions,
    groups: Vec<Group>,
    pieces: Vec<Piece>,
    m: Vec<f32>,
    v: Vec<f32>,
    updates: u64,
}

impl Optimizer {
    /// All means at zero. The variables lie one after another from 0, as [`crate::learner::Learner::variables`] lists them.
    ///
    /// # Panics
    /// When they do not.
    pub fn new(options: OptimizerOptions, variables: &[Variable]) -> Self {
        let groups = variables
            .iter()
            .map(|variable| rules::group(&options, &variable.name))
            .collect();
        let pieces = cut(variables);
        let len = pieces.last().map_or(0, |piece| piece.range.end);
        Self {
            options,
            groups,
            pieces,
            m: vec![0.0; len],
            v: vec![0.0; len],
            updates: 0,
        }
    }

    /// Learning-rate factor, decay and adaptation of each variable.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The means m and v, and the number of updates t: with the parameters, all that a later update depends on.
    pub fn state(&self) -> (&[f32], &[f32], u64) {
        (&self.m, &self.v, self.updates)
    }

    /// Puts back what [`Optimizer::state`] gave.
    ///
    /// # Panics
    /// When the lengths are not those of the parameters.
    pub fn restore(&mut self, m: &[f32], v: &[f32], updates: u64) {
        self.m.copy_from_slice(m);
        self.v.copy_from_slice(v);
        self.updates = updates;
    }

    /// The factor that brings a gradient of this norm to at most `max_grad_norm`: max/max(norm, max) in Google's form
    /// (`tf.clip_by_global_norm`), min(1, max/(norm + 1e-6)) in the standard one (`torch.nn.utils.clip_grad_norm_`).
    pub fn clip(&self, norm: f64) -> f64 {
        match (self.options.max_grad_norm, self.options.form) {
            (None, _) => 1.0,
            (Some(max), Form::Google) => max / norm.max(max),
            (Some(max), Form::Standard) => (max / (norm + 1e-6)).min(1.0),
        }
    }

    /// One update at the learning rate `rate`. `norm` is the gradient's ([`norm::norm`]). The gradient is used up: it holds
    /// other numbers afterwards. The result does not depend on `threads`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn update(
        &mut self,
        parameters: &mut [f32],
        gradient: &mut [f32],
        norm: f64,
        rate: f64,
        threads: usize,
    ) {
        assert_eq!(parameters.len(), self.m.len(), "parameters");
        assert_eq!(gradient.len(), self.m.len(), "gradient");
        self.updates += 1;
        let constants = Constants::new(&self.options, self.updates, self.clip(norm));
        let steps: Vec<Step> = self
            .groups
            .iter()
            .map(|group| constants.step(rate, group))
            .collect();
        let mut sums = vec![[0.0; 2]; self.pieces.len()];
        let parts = divide(
            &self.pieces,
            threads,
            parameters,
            gradient,
            &mut self.m,
            &mut self.v,
            &mut sums,
        );
        in_threads(parts, |part| {
            part.each(|piece, sums| constants.advance(&steps[piece.variable], piece, sums));
        });
        if self.options.method == Method::AdamW {
            return;
        }
        let ratios = self.ratios(&sums);
        let parts = divide(
            &self.pieces,
            threads,
            parameters,
            gradient,
            &mut self.m,
            &mut self.v,
            &mut sums,
        );
        in_threads(parts, |part| {
            part.each(|piece, _| {
                let rate = (ratios[piece.variable] * steps[piece.variable].rate) as f32;
                for (w, u) in piece.w.iter_mut().zip(piece.g) {
                    *w -= rate * *u;
                }
            });
        });
    }

    /// r of each variable, from the sums of squares of w and of u over its pieces, added in their order.
    fn ratios(&self, sums: &[[f64; 2]]) -> Vec<f64> {
        let mut totals = vec![[0.0; 2]; self.groups.len()];
        for (piece, [w, u]) in self.pieces.iter().zip(sums) {
            totals[piece.variable][0] += w;
            totals[piece.variable][1] += u;
        }
        let ratio = |(group, [w, u]): (&Group, [f64; 2])| {
            if group.adapted && w > 0.0 && u > 0.0 {
                w.sqrt() / u.sqrt()
            } else {
                1.0
            }
        };
        self.groups.iter().zip(totals).map(ratio).collect()
    }
}

/// Runs `work` on every part, each in a thread of its own but the first.
fn in_threads<'a>(parts: Vec<Part<'a>>, work: impl Fn(Part<'a>) + Sync) {
    std::thread::scope(|scope| {
        let mut parts = parts.into_iter();
        let first = parts.next();
        for part in parts {
            scope.spawn(|| work(part));
        }
        if let Some(part) = first {
            work(part);
        }
    });
}

#[cfg(test)]
mod tests;
