//! The divergence watchdog: it looks at losses, gradients and metrics, and says when nothing is learned any more.

use serde::{Deserialize, Serialize};

use crate::learner::Metrics;

/// What is done about a loss or a gradient that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// An alarm at once.
    Stop,
    /// The update is left out; an alarm after this many in a row.
    Skip(u32),
}

/// A loss that no better than guessing has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chance {
    /// Loss of guessing: ln C for C equally frequent labels.
    pub loss: f64,
    /// How far below it the mean loss must be, as a share of it.
    pub margin: f64,
    /// Updates of a window: the mean over its second half is judged at its end.
    pub after: u64,
}

/// A gradient much longer than usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Explosion {
    /// How many times the usual norm (geometric mean, each update counting 1/50).
    pub factor: f64,
    /// In how many updates in a row.
    pub updates: u32,
}

/// Predictions that are all the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Constant {
    /// The metric that says so: the share of the most frequent prediction.
    pub metric: String,
    /// In how many evaluations in a row it must be 1.
    pub evaluations: u32,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WatchOptions {
    /// Losses and gradients that are not finite.
    pub non_finite: NonFinite,
    /// The loss of guessing.
    pub chance: Option<Chance>,
    /// Long gradients.
    pub explosion: Option<Explosion>,
    /// Equal predictions.
    pub constant: Option<Constant>,
    /// How many alarms are answered by going back to the last checkpoint with half the learning rate. 0: the first alarm ends
    /// training.
    pub rollbacks: u32,
}

impl Default for WatchOptions {
    /// Up to ten updates in a row are left out, gradients of a thousand times the usual norm in three updates in a row are an
    /// alarm, and an alarm ends training.
    fn default() -> Self {
        Self {
            non_finite: NonFinite::Skip(10),
            chance: None,
            explosion: Some(Explosion {
                factor: 1000.0,
                updates: 3,
            }),
            constant: None,
            rollbacks: 0,
        }
    }
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Alarm {
    /// The loss is NaN or infinite.
    #[error("the loss is not finite ({in_a_row} updates in a row)")]
    Loss {
        /// Updates.
        in_a_row: u32,
    },
    /// The gradient is NaN or infinite.
    #[error("the gradient is not finite ({in_a_row} updates in a row)")]
    Gradient {
        /// Updates.
        in_a_row: u32,
    },
    /// Parameters are NaN or infinite after an update.
    #[error("the parameters are not finite")]
    Parameters,
    /// No better than guessing.
    #[error(
        "the mean loss of the last {steps} updates is {loss:.4}, that of guessing is {chance:.4}"
    )]
    Chance {
        /// Mean loss.
        loss: f64,
        /// Loss of guessing.
        chance: f64,
        /// Over how many updates.
        steps: u64,
    },
    /// Gradients exploded.
    #[error(
        "the norm of the gradient is {norm:.3e}, usual is {usual:.3e} ({updates} updates in a row)"
    )]
    Explosion {
        /// Norm now.
        norm: f64,
        /// Usual norm.
        usual: f64,
        /// Updates in a row.
        updates: u32,
    },
    /// All predictions are the same.
    #[error("all predictions were the same in {evaluations} evaluations in a row")]
    Constant {
        /// Evaluations.
        evaluations: u32,
        /// Updates since the first of them.
        steps: u64,
    },
}

impl Alarm {
    /// Before how many updates the trouble began, at most.
    pub fn steps(&self) -> u64 {
        match self {
            Self::Loss { in_a_row } | Self::Gradient { in_a_row } => u64::from(*in_a_row),
            Self::Parameters => 1,
            // The second half of a window, and the first.
            Self::Chance { steps, .. } => 2 * steps,
            Self::Explosion { updates, .. } => u64::from(*updates),
            Self::Constant { steps, .. } => *steps,
        }
    }

    /// What to change.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Loss { .. }
            | Self::Gradient { .. }
            | Self::Parameters
            | Self::Explosion { .. } => {
                "lower the learning rate (a third of it; for another batch size scale it by the root of the ratio), lengthen the warm-up (a tenth of all steps), keep the gradient clip at 1"
            }
            Self::Chance { .. } | Self::Constant { .. } => {
                "lower the learning rate (1e-5 to 3e-5 for AdamW; xlarge and xxlarge need 5e-6 to 1e-5), lengthen the warm-up (a tenth of all steps), set hidden and attention dropout to 0 for v2 models, try another seed, and check that the checkpoint was loaded and the labels are right"
            }
        }
    }
}

/// What to do after an update was computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Go on.
    Fine,
    /// Leave out this update.
    Skip(Alarm),
    /// Stop, or go back.
    Alarm(Alarm),
}

/// What was seen so far: all of it is in checkpoints, so that a run that goes on judges as one that never stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// Non-finite updates in a row.
    bad: u32,
    /// Sum and number of the losses in the second half of the window.
    window: (f64, u64),
    /// Mean of ln(norm), and the number of norms in it.
    usual: (f64, u64),
    /// Long gradients in a row.
    long: u32,
    /// Evaluations with equal predictions in a row, and the updates before the first of them.
    constant: (u32, u64),
}

/// Norms before which nothing is usual.
const FEW: u64 = 20;
/// Weight of a new norm.
const SHARE: f64 = 1.0 / 50.0;

impl Watch {
    /// Judges update `step` (from 0) before it is applied.
    pub fn update(&mut self, options: &WatchOptions, step: u64, loss: f64, norm: f64) -> Verdict {
        if !(loss.is_finite() && norm.is_finite()) {
            self.bad += 1;
            let in_a_row = self.bad;
            let alarm = if loss.is_finite() {
                Alarm::Gradient { in_a_row }
            } else {
                Alarm::Loss { in_a_row }
            };
            return match options.non_finite {
                NonFinite::Skip(most) if in_a_row <= most => Verdict::Skip(alarm),
                _ => Verdict::Alarm(alarm),
            };
        }
        self.bad = 0;
        let alarm = self
            .chance(options, step, loss)
            .or_else(|| self.explosion(options, norm));
        alarm.map_or(Verdict::Fine, Verdict::Alarm)
    }

    /// Judges an evaluation after `step` updates.
    pub fn evaluation(
        &mut self,
        options: &WatchOptions,
        step: u64,
        metrics: &Metrics,
    ) -> Option<Alarm> {
        let Constant {
            metric,
            evaluations,
        } = options.constant.as_ref()?;
        let equal = metrics.get(metric).is_some_and(|share| *share >= 1.0);
        if !equal {
            self.constant = (0, step);
            return None;
        }
        if self.constant.0 == 0 {
            self.constant.1 = step;
        }
        self.constant.0 += 1;
        let (count, since) = self.constant;
        (count >= *evaluations).then(|| Alarm::Constant {
            evaluations: count,
            steps: step.saturating_sub(since) + 1,
        })
    }

    fn chance(&mut self, options: &WatchOptions, step: u64, loss: f64) -> Option<Alarm> {
        let Chance {
            loss: chance,
            margin,
            after,
        } = options.chance?;
        let after = after.max(1);
        let place = step % after;
        if place >= after / 2 {
            self.window.0 += loss;
            self.window.1 += 1;
        }
        if place + 1 < after {
            return None;
        }
        let (sum, steps) = std::mem::take(&mut self.window);
        let loss = sum / steps as f64;
        (loss > chance * (1.0 - margin)).then_some(Alarm::Chance {
            loss,
            chance,
            steps,
        })
    }

    fn explosion(&mut self, options: &WatchOptions, norm: f64) -> Option<Alarm> {
        let Explosion { factor, updates } = options.explosion?;
        let (mean, count) = self.usual;
        let usual = mean.exp();
        if count >= FEW && norm > factor * usual {
            self.long += 1;
            return (self.long >= updates).then_some(Alarm::Explosion {
                norm,
                usual,
                updates,
            });
        }
        self.long = 0;
        let share = SHARE.max(1.0 / (count + 1) as f64);
        let log = norm.max(f64::MIN_POSITIVE).ln();
        self.usual = (mean + share * (log - mean), count + 1);
        None
    }
}

#[cfg(test)]
mod tests;
