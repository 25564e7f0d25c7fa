//! Where a run begins: anew, or from a checkpoint; and where it goes back to.

use crate::learner::Learner;
use crate::optim::Optimizer;
use crate::state::folder::Folder;
use crate::state::{Saved, State, compare, fnv, hash, read, read_state};
use crate::watch::{Alarm, Watch};

use super::error::{Result, TrainError};
use super::observer::{Observer, Warning};
use super::options::{Cadence, Resume, TrainOptions};
use super::{Trainer, order};

impl<L: Learner> Trainer<L> {
    /// Checks everything that can be checked before the first step: options, the output folder and room for a checkpoint in
    /// it; and goes to where the last run ended.
    ///
    /// # Errors
    /// Options that cannot be, a folder that is not for us, a checkpoint of other options, a full disk.
    pub fn new(learner: L, options: TrainOptions) -> Result<Self> {
        let samples = learner.samples();
        options.check(samples)?;
        let parameters = learner.values().to_vec();
        let mut end = 0;
        for variable in learner.variables() {
            if variable.range.start != end || variable.range.end < end {
                return Err(TrainError::Option {
                    name: "parameters",
                    expected: format!("{} at {end}", variable.name),
                    found: format!("at {:?}", variable.range),
                });
            }
            end = variable.range.end;
        }
        if end != parameters.len() {
            return Err(TrainError::Option {
                name: "parameters",
                expected: format!("{end} values"),
                found: parameters.len().to_string(),
            });
        }
        let fingerprint = options.fingerprint(samples, layout(&learner));
        let folder = Folder::open(&options.output)?;
        let mut warnings = Vec::new();
        let found = find(&folder, &options, parameters.len(), &mut warnings)?;
        if options.save != Cadence::Never {
            // Parameters, m, v and the model's file.
            folder.probe(16 * parameters.len() as u64 + (1 << 20))?;
        } else {
            folder.probe(1)?;
        }
        let mut trainer = Self {
            schedule: options.schedule(samples),
            optimizer: Optimizer::new(options.optimizer.clone(), learner.variables()),
            gradient: vec![0.0; parameters.len()],
            state: State {
                rate_scale: 1.0,
                options_hash: hash(&fingerprint),
                options: fingerprint,
                ..State::default()
            },
            order: (0, order::permutation(options.seed, 0, samples)),
            saved: None,
            resumed_from: None,
            warnings,
            learner,
            options,
            parameters,
            folder,
        };
        if let Some((path, saved)) = found {
            compare(&path, &saved.state, &trainer.state.options)?;
            let inside = trainer.folder.checkpoint(saved.state.step) == path;
            trainer.restore(saved);
            trainer.saved = inside.then_some(trainer.state.step);
            trainer.resumed_from = Some(path);
        }
        Ok(trainer)
    }

    fn restore(&mut self, saved: Saved) {
        self.parameters = saved.parameters;
        self.learner.assign(&self.parameters);
        self.optimizer
            .restore(&saved.m, &saved.v, saved.state.updates);
        self.state = saved.state;
    }

    /// Goes back to the last checkpoint before the trouble began, with half the learning rate, or gives up.
    pub(super) fn alarmed(&mut self, alarm: Alarm, observer: &mut dyn Observer) -> Result<()> {
        let step = self.state.step;
        let (scale, rollbacks) = (self.state.rate_scale / 2.0, self.state.rollbacks + 1);
        let steps: Vec<u64> = self
            .folder
            .steps()?
            .into_iter()
            .filter(|found| *found <= step)
            .filter(|found| read_state(&self.folder.checkpoint(*found)).is_ok())
            .collect();
        let since = step.saturating_sub(alarm.steps());
        let good = steps.iter().rfind(|found| **found <= since);
        let Some(&to) = good
            .or(steps.first())
            .filter(|_| rollbacks <= self.options.watch.rollbacks)
        else {
            return Err(TrainError::Diverged { step, alarm });
        };
        let saved = read(&self.folder.checkpoint(to), self.parameters.len())?;
        for later in steps.into_iter().filter(|later| *later > to) {
            self.folder.discard(later)?;
        }
        self.restore(saved);
        self.saved = Some(to);
        (self.state.rate_scale, self.state.rollbacks) = (scale, rollbacks);
        self.state.watch = Watch::default();
        self.remember([
            ("alarm", alarm.to_string().into()),
            ("rolled_back_from", step.into()),
            ("rate_scale", scale.into()),
        ]);
        let warning = Warning::RolledBack {
            alarm,
            to,
            rate_scale: scale,
        };
        observer.warned(step, &warning);
        Ok(())
    }
}

/// The checkpoint to go on from.
fn find(
    folder: &Folder,
    options: &TrainOptions,
    len: usize,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(std::path::PathBuf, Saved)>> {
    if let Resume::From(path) = &options.resume {
        return Ok(Some((path.clone(), read(path, len)?)));
    }
    let steps = folder.steps()?;
    if options.resume == Resume::Never && !steps.is_empty() {
        return Err(TrainError::Occupied {
            path: folder.path().to_owned(),
            found: format!(
                "{} checkpoints, and was told not to go on from one",
                steps.len()
            ),
        });
    }
    let mut problem = None;
    for step in steps.into_iter().rev() {
        let path = folder.checkpoint(step);
        match read_state(&path) {
            Ok(_) => return Ok(Some((path.clone(), read(&path, len)?))),
            Err(error) => {
                warnings.push(Warning::Torn {
                    problem: error.to_string(),
                });
                problem = problem.or(Some(error));
            }
        }
    }
    // Checkpoints, but not one that is complete: to begin anew would overwrite them.
    problem.map_or(Ok(None), Err)
}

/// Names, shapes and order of the parameters, as a hash and their number.
fn layout<L: Learner>(learner: &L) -> String {
    let mut text = String::new();
    for variable in learner.variables() {
        text += &format!("{} {:?}\n", variable.name, variable.shape);
    }
    let count = learner.values().len();
    format!("{count} in layout {:016x}", fnv(text.as_bytes()))
}
