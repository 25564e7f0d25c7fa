//! The loops over elements: plain f32, one operation after another, so that any number of lanes gives the same bits.

use super::norm::squares;
use super::pieces::Slices;
use super::{Form, Group, Method, OptimizerOptions};

/// What all elements of an update share.
pub(super) struct Constants {
    method: Method,
    form: Form,
    clip: f32,
    beta1: f32,
    beta2: f32,
    /// 1 − β, subtracted in f64.
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    /// 1 − β1ᵗ, or 1 in Google's form.
    correction1: f64,
    /// 1 − β2ᵗ, or 1.
    correction2: f64,
}

/// What all elements of a variable share.
pub(super) struct Step {
    /// η with the group's factor.
    pub(super) rate: f64,
    decay: f64,
}

impl Constants {
    pub(super) fn new(options: &OptimizerOptions, updates: u64, clip: f64) -> Self {
        let correction = |beta| match options.form {
            Form::Google => 1.0,
            Form::Standard => 1.0 - power(beta, updates),
        };
        Self {
            method: options.method,
            form: options.form,
            clip: clip as f32,
            beta1: options.beta1 as f32,
            beta2: options.beta2 as f32,
            rest1: (1.0 - options.beta1) as f32,
            rest2: (1.0 - options.beta2) as f32,
            epsilon: options.epsilon as f32,
            correction1: correction(options.beta1),
            correction2: correction(options.beta2),
        }
    }

    pub(super) fn step(&self, rate: f64, group: &Group) -> Step {
        Step {
            rate: rate * group.rate,
            decay: group.weight_decay,
        }
    }

    /// New means; then the new w (AdamW), or u in place of g and the sums of squares of w and u (LAMB).
    pub(super) fn advance(&self, step: &Step, piece: Slices<'_>, sums: &mut [f64; 2]) {
        match (self.method, self.form) {
            (Method::AdamW, Form::Standard) => self.torch(step, piece),
            (Method::AdamW, Form::Google) => {
                let rate = step.rate as f32;
                let Slices { w, g, m, v, .. } = piece;
                self.directions(step, w, g, m, v);
                for (w, u) in w.iter_mut().zip(g) {
                    *w -= rate * *u;
                }
            }
            (Method::Lamb, _) => {
                let Slices { w, g, m, v, .. } = piece;
                self.directions(step, w, g, m, v);
                *sums = [squares(w), squares(g)];
            }
        }
    }

    /// u in place of g.
    fn directions(&self, step: &Step, w: &[f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let decay = step.decay as f32;
        let (c1, c2) = (self.correction1 as f32, self.correction2 as f32);
        for (((w, g), m), v) in w.iter().zip(g).zip(m).zip(v) {
            let clipped = self.clip * *g;
            *m = self.beta1 * *m + self.rest1 * clipped;
            *v = self.beta2 * *v + self.rest2 * (clipped * clipped);
            *g = (*m / c1) / ((*v / c2).sqrt() + self.epsilon) + decay * *w;
        }
    }

    /// The operations of `torch.optim.AdamW` (one tensor at a time, not fused), in their order.
    fn torch(&self, step: &Step, piece: Slices<'_>) {
        let shrink = (1.0 - step.rate * step.decay) as f32;
        let size = -(step.rate / self.correction1) as f32;
        let root = self.correction2.sqrt() as f32;
        let Slices { w, g, m, v, .. } = piece;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = self.clip * *g;
            *m += self.rest1 * (g - *m);
            *v = self.beta2 * *v + self.rest2 * g * g;
            *w = *w * shrink + size * *m / (v.sqrt() / root + self.epsilon);
        }
    }
}

/// baseⁿ by squaring, the same on every machine.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}
