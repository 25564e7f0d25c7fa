//! Learning rates: the rate at a step is a function of the step alone.
//!
//! Steps count from 0: `rate(base, 0)` is the rate of the first update, as `transformers.get_scheduler` and Google's
//! `optimization.py` count. Kinds other than [`Kind::Google`] are those of transformers.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the rate over the steps; w is the warm-up, n all steps, p = (t − w)/max(1, n − w).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 1; the warm-up is ignored.
    Constant,
    /// Warm-up, then 1.
    ConstantWithWarmup,
    /// Warm-up, then (n − t)/max(1, n − w).
    Linear,
    /// Warm-up, then (1 + cos(2π·cycles·p))/2; transformers' default is half a cycle.
    Cosine {
        /// Full waves until n.
        cycles: f64,
    },
    /// Warm-up, then (1 + cos(π·((cycles·p) mod 1)))/2, and 0 from n on.
    CosineWithRestarts {
        /// Falls until n.
        cycles: f64,
    },
    /// Warm-up, then from the base rate to `end` as (1 − p)^power.
    Polynomial {
        /// Rate from n on (transformers: 1e-7).
        end: f64,
        /// Exponent (transformers: 1).
        power: f64,
    },
    /// Warm-up, then √(s/(t + s − w)); s is `timescale`, or w, or 10,000 where w is 0.
    InverseSqrt {
        /// Steps after which, counted from s − w before the start, the rate is the base rate.
        timescale: Option<u64>,
    },
    /// google-research/albert: warm-up, then (1 − min(t, n)/n)^power, which counts from step 0: at w the rate falls from
    /// the base to what a schedule without warm-up has there.
    Google {
        /// `poly_power` (1).
        power: f64,
        /// `start_warmup_step`: subtracted from t in the warm-up alone. Before it the rate is 0 (Google's is negative).
        start: u64,
    },
}

/// A kind with its steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Shape.
    pub kind: Kind,
    /// Steps of warm-up, w.
    pub warmup: u64,
    /// All steps, n.
    pub total: u64,
}

impl Schedule {
    /// The learning rate of step t.
    pub fn rate(&self, base: f64, t: u64) -> f64 {
        let (now, w, n) = (t as f64, self.warmup as f64, self.total as f64);
        let (warms, warm) = (self.warmup > 0, t < self.warmup);
        let p = (now - w) / (n - w).max(1.0);
        let factor = match self.kind {
            Kind::Constant => 1.0,
            Kind::Google { power, start } => {
                let s = now - start as f64;
                if s < w && warms {
                    s.max(0.0) / w
                } else {
                    (1.0 - now.min(n) / n.max(1.0)).powf(power)
                }
            }
            _ if warm => now / w.max(1.0),
            Kind::ConstantWithWarmup => 1.0,
            Kind::Linear => ((n - now) / (n - w).max(1.0)).max(0.0),
            Kind::Cosine { cycles } => (0.5 * (1.0 + (PI * cycles * 2.0 * p).cos())).max(0.0),
            Kind::CosineWithRestarts { .. } if p >= 1.0 => 0.0,
            Kind::CosineWithRestarts { cycles } => {
                (0.5 * (1.0 + (PI * ((cycles * p) % 1.0)).cos())).max(0.0)
            }
            Kind::Polynomial { end, .. } if t > self.total => return end,
            Kind::Polynomial { end, power } => {
                let left = if n > w {
                    1.0 - (now - w) / (n - w)
                } else {
                    0.0
                };
                return (base - end) * left.powf(power) + end;
            }
            Kind::InverseSqrt { timescale } => {
                let scale = timescale.unwrap_or(if self.warmup == 0 {
                    10_000
                } else {
                    self.warmup
                });
                let scale = scale as f64;
                1.0 / ((now + scale - w) / scale).sqrt()
            }
        };
        base * factor
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Kind, Schedule};

    #[derive(Deserialize)]
    struct Case {
        kind: Kind,
        warmup: u64,
        total: u64,
        base: f64,
        rates: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }

    #[test]
    fn rates_are_those_of_transformers() {
        let text = include_str!("../../../fixtures/optim/schedules.json");
        let Cases { cases } = serde_json::from_str(text).expect("the golden");
        assert_eq!(cases.len(), 30);
        for case in cases {
            let Case {
                kind,
                warmup,
                total,
                base,
                rates,
            } = case;
            let schedule = Schedule {
                kind,
                warmup,
                total,
            };
            for (t, expected) in rates.into_iter().enumerate() {
                let found = schedule.rate(base, t as u64);
                // Both compute in f64; the order of a few operations differs.
                assert!(
                    (found - expected).abs() <= 4e-16 * base.max(1e-3),
                    "{schedule:?} at {t}: expected {expected}, found {found}"
                );
            }
        }
    }

    #[test]
    fn google_s_decay_counts_from_step_0() {
        let kind = Kind::Google {
            power: 1.0,
            start: 0,
        };
        let schedule = Schedule {
            kind,
            warmup: 1000,
            total: 10_000,
        };
        let rates = [0, 1, 999, 1000, 5000, 10_000, 10_001].map(|t| schedule.rate(1.0, t));
        assert_eq!(rates, [0.0, 0.001, 0.999, 0.9, 0.5, 0.0, 0.0]);
        let kind = Kind::Google {
            power: 2.0,
            start: 100,
        };
        let schedule = Schedule {
            kind,
            warmup: 50,
            total: 1000,
        };
        let rates = [99, 125, 150, 500].map(|t| schedule.rate(1.0, t));
        assert_eq!(rates, [0.0, 0.5, 0.85 * 0.85, 0.25]);
        let schedule = Schedule {
            warmup: 0,
            ..schedule
        };
        assert_eq!(schedule.rate(1.0, 0), 1.0);
    }
}
