//! What a run writes down: logs, evaluations, and which of them was the best.

use std::time::Instant;

use super::Trainer;
use super::error::{Result, TrainError};
use super::observer::{Log, Observer};
use crate::learner::{Learner, Metrics};
use crate::watch::Alarm;

impl<L: Learner> Trainer<L> {
    pub(super) fn log(
        &mut self,
        grad_norm: f64,
        learning_rate: f64,
        observer: &mut dyn Observer,
        clock: &mut (Instant, u64),
    ) {
        let (sum, count) = std::mem::take(&mut self.state.since_log);
        let second = std::mem::take(&mut self.state.second_since_log);
        let parts = [sum - second, second].map(|part| part / count as f64);
        let now = (Instant::now(), self.state.tokens);
        let seconds = (now.0 - clock.0).as_secs_f64();
        let tokens = now.1.saturating_sub(clock.1) as f64;
        *clock = now;
        let log = Log {
            step: self.state.step,
            total: self.schedule.total,
            epoch: self.state.epoch,
            loss: sum / count as f64,
            losses: self
                .options
                .losses
                .map(|names| [0, 1].map(|i| (names[i], parts[i]))),
            grad_norm,
            learning_rate,
            tokens_per_second: tokens / seconds.max(1e-9),
        };
        let mut values = vec![
            ("grad_norm", log.grad_norm.into()),
            ("learning_rate", log.learning_rate.into()),
            ("loss", log.loss.into()),
        ];
        values.extend(
            log.losses
                .iter()
                .flatten()
                .map(|(name, loss)| (*name, (*loss).into())),
        );
        self.state.remember(values);
        observer.logged(&log);
    }

    /// Whether the model is the best one so far, and whether it is none.
    pub(super) fn evaluate(
        &mut self,
        observer: &mut dyn Observer,
    ) -> Result<(bool, Option<Alarm>)> {
        let metrics = self.learner.evaluate();
        let metrics = metrics.map_err(TrainError::learner(self.state.step))?;
        self.state.remember_evaluation(&metrics);
        observer.evaluated(self.state.step, self.state.epoch, &metrics);
        let (step, options) = (self.state.step, &self.options.watch);
        let alarm = self.state.watch.evaluation(options, step, &metrics);
        Ok((self.judge(&metrics)?, alarm))
    }

    fn judge(&mut self, metrics: &Metrics) -> Result<bool> {
        let Some(best) = &self.options.best else {
            return Ok(false);
        };
        let name = best.metric.strip_prefix("eval_").unwrap_or(&best.metric);
        let Some(&value) = metrics.get(name) else {
            let known: Vec<&str> = metrics.keys().map(String::as_str).collect();
            return Err(TrainError::Metric {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        let better = value.is_finite()
            && self.state.best.is_none_or(|(_, old)| {
                if best.greater_is_better {
                    value > old
                } else {
                    value < old
                }
            });
        if better {
            self.state.best = Some((self.state.step, value));
            self.state.worse = 0;
        } else {
            self.state.worse += 1;
        }
        Ok(better)
    }
}
