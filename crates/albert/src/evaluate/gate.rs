//! Two runs over the same examples, and how much worse the second may be.

use super::{Metric, Unit};

/// How much worse the answers may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// Points that each measure may fall.
    pub max_drop: f64,
    /// Nats that a loss may rise.
    pub max_loss_rise: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            max_drop: 0.5,
            max_loss_rise: 0.02,
        }
    }
}

/// One measure, before and after.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// Of the original.
    pub before: f64,
    /// Of the other.
    pub after: f64,
    /// By how much the other is worse; negative where it is better.
    pub worse: f64,
    /// By how much it may be.
    pub allowed: f64,
    /// Whether it is not more. A measure that is not defined for the examples does not pass.
    pub passed: bool,
}

/// More than what rounding of 100 · n / N to f64 leaves.
const ROUNDING: f64 = 1e-9;

impl Gate {
    /// Each measure of two runs over the same examples.
    ///
    /// # Panics
    /// When the runs have different measures.
    pub fn compare(&self, before: &[Metric], after: &[Metric]) -> Vec<Change> {
        assert_eq!(before.len(), after.len(), "the same measures");
        let change = |(before, after): (&Metric, &Metric)| {
            assert_eq!(before.name, after.name, "the same measures");
            let (worse, allowed) = match before.unit {
                Unit::Points => (before.value - after.value, self.max_drop),
                Unit::Loss => (after.value - before.value, self.max_loss_rise),
            };
            Change {
                name: before.name,
                unit: before.unit,
                before: before.value,
                after: after.value,
                worse,
                allowed,
                passed: worse <= allowed + ROUNDING,
            }
        };
        before.iter().zip(after).map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(unit: Unit, before: f64, after: f64) -> bool {
        let metric = |value| {
            [Metric {
                name: "m",
                value,
                unit,
            }]
        };
        Gate::default().compare(&metric(before), &metric(after))[0].passed
    }

    #[test]
    fn points_may_fall_and_losses_rise_by_so_much() {
        assert!(passed(Unit::Points, 91.5, 91.0) && passed(Unit::Points, 90.0, 95.0));
        assert!(!passed(Unit::Points, 91.5, 90.99));
        assert!(passed(Unit::Loss, 2.0, 2.02) && passed(Unit::Loss, 2.0, 1.0));
        assert!(!passed(Unit::Loss, 2.0, 2.021));
        assert!(!passed(Unit::Points, f64::NAN, f64::NAN));
    }
}
