//! An observer that writes what it is told into an event file, under the tags of transformers.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::events::EventFile;
use crate::learner::Metrics;
use crate::trainer::error::{Result, TrainError};
use crate::trainer::observer::{Log, Observer, Warning};

/// Writes `train/…` and `eval/…` and passes everything on. A write that fails does not end training: [`TensorBoard::finish`]
/// tells.
#[derive(Debug)]
pub struct TensorBoard<O> {
    file: EventFile,
    path: std::path::PathBuf,
    failed: Option<io::Error>,
    next: O,
}

impl<O: Observer> TensorBoard<O> {
    /// Begins an event file of its own in `runs/` below the output folder, for a run that begins at `step`.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn create(output: &Path, step: u64, next: O) -> Result<Self> {
        let folder = output.join("runs");
        std::fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder))?;
        let now = wall_time();
        // Files of a run are read in the order of their names, which begin with the time.
        let process = std::process::id();
        let path = folder.join(format!("events.out.tfevents.{now:017.6}.{process}.albert"));
        let failed = TrainError::io("write", &path);
        let mut file = EventFile::create(&path, now).map_err(&failed)?;
        if step > 0 {
            file.start(step, now).map_err(&failed)?;
        }
        Ok(Self {
            file,
            path,
            failed: None,
            next,
        })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(self) -> Result<O> {
        match self.failed {
            None => Ok(self.next),
            Some(error) => Err(TrainError::io("write", &self.path)(error)),
        }
    }

    fn write(&mut self, step: u64, values: &[(&str, f64)]) {
        let written = self.file.scalars(step, wall_time(), values.iter().copied());
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

impl<O: Observer> Observer for TensorBoard<O> {
    fn stepped(&mut self, step: u64, total: u64) {
        self.next.stepped(step, total);
    }

    fn logged(&mut self, log: &Log) {
        let losses = log.losses.iter().flatten();
        let tags: Vec<(String, f64)> = losses
            .map(|(name, loss)| (format!("train/{name}"), *loss))
            .collect();
        let mut values = vec![
            ("train/loss", log.loss),
            ("train/grad_norm", log.grad_norm),
            ("train/learning_rate", log.learning_rate),
            ("train/epoch", log.epoch),
            ("train/tokens_per_second", log.tokens_per_second),
        ];
        values.extend(tags.iter().map(|(tag, loss)| (tag.as_str(), *loss)));
        self.write(log.step, &values);
        self.next.logged(log);
    }

    fn evaluated(&mut self, step: u64, epoch: f64, metrics: &Metrics) {
        let tags: Vec<String> = metrics.keys().map(|name| format!("eval/{name}")).collect();
        let values: Vec<(&str, f64)> = tags
            .iter()
            .map(String::as_str)
            .zip(metrics.values().copied())
            .collect();
        self.write(step, &values);
        self.next.evaluated(step, epoch, metrics);
    }

    fn saved(&mut self, step: u64, folder: &Path) {
        self.next.saved(step, folder);
    }

    fn warned(&mut self, step: u64, warning: &Warning) {
        // What later steps of this file said is no longer so.
        if let Warning::RolledBack { to, .. } = warning
            && let Err(error) = self.file.start(*to, wall_time())
        {
            self.failed.get_or_insert(error);
        }
        self.next.warned(step, warning);
    }
}
