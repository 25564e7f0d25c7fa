//! Where a run begins: anew, or from a checkpoint; and where it goes back to.

use albert::Variable;
use albert::names::Site;

use crate::exchange::Ranks;
use crate::learner::Learner;
use crate::optim::Optimizer;
use crate::state::folder::Folder;
use crate::state::{Saved, State, compare, fnv, hash, read, read_state};
use crate::tie::Ties;
use crate::watch::{Alarm, Watch};

use super::Trainer;
use super::error::{Result, TrainError};
use super::observer::{Observer, Warning};
use super::options::{Cadence, Resume, TrainOptions};

impl<L: Learner> Trainer<L> {
    /// Checks everything that can be checked before the first step: options, the output folder and room for a checkpoint in
    /// it; and goes to where the last run ended.
    ///
    /// # Errors
    /// Options that cannot be, a folder that is not for us, a checkpoint of other options, a full disk.
    pub fn new(learner: L, options: TrainOptions) -> Result<Self> {
        Self::with_ranks(learner, options, Ranks::alone())
    }

    /// The same for a run that the ranks of an exchange share: each computes its share of [`TrainOptions::parts`], all make
    /// the same updates. All ranks have equal learners and options (but for threads) and call the same methods; their
    /// output folder is one, which rank 0 writes and the others read.
    ///
    /// # Errors
    /// As [`Trainer::new`]; more ranks than parts, ranks that differ.
    pub fn with_ranks(mut learner: L, options: TrainOptions, mut ranks: Ranks) -> Result<Self> {
        let samples = learner.samples();
        options.check(samples)?;
        options.check_ranks(ranks.size())?;
        let mut parameters = learner.values().to_vec();
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
        let ties = Ties::new(learner.variables(), &options.tied)?;
        if ties.copies() > 0 {
            ties.spread(&mut parameters);
            learner.assign(&parameters);
        }
        let fingerprint = options.fingerprint(samples, layout(&learner));
        let mut warnings = Vec::new();
        let (folder, step) = if ranks.is_first() {
            let folder = Folder::open(&options.output)?;
            let step = find(&folder, &options, &mut warnings)?;
            // Parameters, m, v and the model's file.
            let checkpoint = 16 * parameters.len() as u64 + (1 << 20);
            let saves = options.save != Cadence::Never;
            folder.probe(if saves { checkpoint } else { 1 })?;
            (folder, step)
        } else {
            (Folder::follow(&options.output), None)
        };
        let step = tell(&mut ranks, step)?;
        let path = match &options.resume {
            Resume::From(path) => Some(path.clone()),
            _ => step.map(|step| folder.checkpoint(step)),
        };
        let found = match path {
            Some(path) => Some((path.clone(), read(&path, parameters.len())?)),
            None => None,
        };
        // Vectors of a tree over the parts of a rank.
        let depth = (options.parts / ranks.size()).ilog2() as usize;
        let mut trainer = Self {
            schedule: options.schedule(samples),
            optimizer: Optimizer::new(options.optimizer.clone(), learner.variables()),
            computing: computing(learner.variables()) - ties.copies(),
            ties,
            gradients: vec![vec![0.0; parameters.len()]; depth + 1],
            state: State {
                rate_scale: 1.0,
                options_hash: hash(&fingerprint),
                options: fingerprint,
                ..State::default()
            },
            order: (0, Vec::new()),
            saved: None,
            resumed_from: None,
            warnings,
            learner,
            ranks,
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
        trainer.compare_beginnings()?;
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
        let mut steps = Vec::new();
        if self.ranks.is_first() {
            steps = self.folder.steps()?;
            steps.retain(|found| {
                *found <= step && read_state(&self.folder.checkpoint(*found)).is_ok()
            });
        }
        let since = step.saturating_sub(alarm.steps());
        let good = steps.iter().rfind(|found| **found <= since);
        let good = good.or(steps.first()).copied();
        let good = good.filter(|_| rollbacks <= self.options.watch.rollbacks);
        let Some(to) = tell(&mut self.ranks, good)? else {
            return Err(TrainError::Diverged { step, alarm });
        };
        let saved = read(&self.folder.checkpoint(to), self.parameters.len())?;
        // Every rank has read it.
        self.ranks.barrier()?;
        for later in steps.into_iter().filter(|later| *later > to) {
            self.folder.discard(later)?;
        }
        self.restore(saved);
        self.saved = Some(to);
        (self.state.rate_scale, self.state.rollbacks) = (scale, rollbacks);
        self.state.watch = Watch::default();
        self.state.remember([
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

/// What rank 0 knows, on every rank.
fn tell(ranks: &mut Ranks, known: Option<u64>) -> Result<Option<u64>> {
    let all = ranks.gather([u64::from(known.is_some()), known.unwrap_or_default()])?;
    let [is_some, value] = all[0];
    Ok((is_some > 0).then_some(value))
}

/// The step of the checkpoint in the output folder to go on from.
fn find(
    folder: &Folder,
    options: &TrainOptions,
    warnings: &mut Vec<Warning>,
) -> Result<Option<u64>> {
    if let Resume::From(_) = &options.resume {
        return Ok(None);
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
            Ok(_) => return Ok(Some(step)),
            Err(error) => {
                warnings.push(Warning::Torn {
                    problem: error.chain(),
                });
                problem = problem.or(Some(error));
            }
        }
    }
    // Checkpoints, but not one that is complete: to begin anew would overwrite them.
    problem.map_or(Ok(None), Err)
}

/// Parameters that are no tables of embeddings, as transformers counts them.
fn computing(variables: &[Variable]) -> usize {
    use Site::{PositionEmbeddings, TokenTypeEmbeddings, WordEmbeddings};
    let is_table = |site| {
        matches!(
            site,
            WordEmbeddings | PositionEmbeddings | TokenTypeEmbeddings
        )
    };
    let computing = variables.iter().filter(|variable| !is_table(variable.site));
    computing.map(|variable| variable.range.len()).sum()
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
