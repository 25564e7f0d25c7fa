//! Checkpoints during training, and what is left at its end.

use std::path::{Path, PathBuf};

use super::Trainer;
use super::error::{Result, TrainError};
use super::observer::Observer;
use super::options::Cadence;
use crate::learner::Learner;
use crate::state::{trainer_state, write_state, write_tensors};
use crate::watch::Alarm;

impl<L: Learner> Trainer<L> {
    /// The last checkpoint, the best parameters, the model in the output folder.
    pub(super) fn finish(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.refuse_non_finite()?;
        if self.options.save != Cadence::Never {
            self.save(observer)?;
        }
        if let Some((step, _)) = self.state.best.filter(|_| self.options.load_best_at_end) {
            let folder = self.folder.checkpoint(step);
            let best = crate::state::read(&folder, self.parameters.len())?;
            self.learner.assign(&best.parameters);
        }
        let step = self.state.step;
        if !self.ranks.is_first() {
            return Ok(());
        }
        let saved = self.learner.save(self.folder.path());
        saved.map_err(TrainError::learner(step))?;
        // Its history, where transformers' `save_state` puts it.
        self.write_history(self.folder.path())
    }

    /// Rank 0 writes a checkpoint, then removes those that are too many. All ranks return when it is there.
    pub(super) fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let step = self.state.step;
        if self.saved == Some(step) {
            return Ok(());
        }
        self.refuse_non_finite()?;
        self.state.updates = self.optimizer.state().2;
        self.compare_states()?;
        if self.ranks.is_first() {
            let folder = self.publish()?;
            observer.saved(step, &folder);
        }
        self.saved = Some(step);
        if self.ranks.is_first() {
            self.prune()?;
        }
        Ok(self.ranks.barrier()?)
    }

    /// Nothing is written of a model that is none.
    fn refuse_non_finite(&self) -> Result<()> {
        if self.parameters.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        let (step, alarm) = (self.state.step, Alarm::Parameters);
        Err(TrainError::Diverged { step, alarm })
    }

    fn publish(&self) -> Result<PathBuf> {
        let step = self.state.step;
        let (m, v, _) = self.optimizer.state();
        let written = self.folder.publish(step, |folder| {
            let saved = self.learner.save(folder);
            saved.map_err(TrainError::learner(step))?;
            write_tensors(folder, &self.parameters, m, v)?;
            self.write_history(folder)?;
            write_state(folder, &self.state)
        });
        written.map_err(|source| TrainError::Save {
            step,
            source: Box::new(source),
            kept: self.kept(),
        })
    }

    fn write_history(&self, folder: &Path) -> Result<()> {
        let state = trainer_state(&self.state, &self.options, self.learner.samples());
        let path = folder.join("trainer_state.json");
        Ok(albert_formats::write_atomically(
            &path,
            &crate::state::pretty(&state)?,
        )?)
    }

    fn kept(&self) -> String {
        match self.saved {
            Some(step) => format!(
                "{} is complete: remove the cause and run again to go on from it",
                self.folder.checkpoint(step).display()
            ),
            None => "there is no earlier one: remove the cause and run again".to_owned(),
        }
    }

    fn prune(&self) -> Result<()> {
        let Some(keep) = self.options.keep else {
            return Ok(());
        };
        let best = self.state.best.map(|(step, _)| step);
        let mut steps = self.folder.steps()?;
        // Newer ones than the last belong to a run that went on from an earlier one; they are not ours to remove.
        steps.retain(|step| Some(*step) <= self.saved);
        let excess = steps.len().saturating_sub(keep.max(1));
        let old = steps[..excess].iter().filter(|step| Some(**step) != best);
        old.copied().try_for_each(|step| self.folder.discard(step))
    }
}
