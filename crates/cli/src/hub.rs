//! The door to the Hugging Face Hub: what `--model` names becomes a folder, and a download is shown.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use albert_hub::{Environment, Hub, Observer, Source, Want};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stream::Voice;

/// Which state of a model of the hub.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RevisionFlag {
    /// Branch, tag or commit of a model of the hub; ORG/NAME@REV is the same [default: main]
    #[arg(long, value_name = "REV", alias = "model_revision")]
    revision: Option<String>,
}

/// A model on this machine.
pub(crate) struct Located {
    pub(crate) folder: PathBuf,
    /// Its id, or the name of its folder.
    pub(crate) name: String,
    /// Its id and commit, or its path as it was given.
    pub(crate) origin: String,
}

impl RevisionFlag {
    /// The folder or file that `given` names; a model of the hub is downloaded if the cache does not have it.
    pub(crate) fn locate(&self, given: &Path, want: Want, voice: Voice) -> Result<Located> {
        let (id, revision) = match Source::parse(given)? {
            Source::Hub { id, revision } => (id, revision),
            Source::Path(path) => return self.path(path),
        };
        if self.revision.is_some() && revision.is_some() {
            bail!(
                "{}: two revisions, behind `@` and in --revision: give one",
                given.display()
            );
        }
        let revision = self.revision.as_deref().or(revision.as_deref());
        let environment = Environment::of_process()?;
        let mut progress = Progress::new(format!("{id} from {}", environment.endpoint()), voice);
        let folder = Hub::new(environment)
            .folder(&id, revision, want, &mut progress)
            .with_context(|| {
                format!(
                    "{} is no path here, so it was taken for a model of the hub",
                    given.display()
                )
            })?;
        let commit = folder.file_name().unwrap_or_default().to_string_lossy();
        Ok(Located {
            name: id.to_string(),
            origin: format!("{id}@{commit}"),
            folder,
        })
    }

    fn path(&self, path: PathBuf) -> Result<Located> {
        let shown = path.display().to_string();
        if self.revision.is_some() {
            bail!("--revision: expected a model of the hub, found the path {shown}");
        }
        if !albert_hub::exists(&path) {
            let is_name = path.components().count() == 1 && !shown.contains(['/', '\\', '.']);
            let hint = if is_name {
                format!(
                    "; a model of the Hugging Face Hub is written ORG/NAME, for instance albert/{shown}"
                )
            } else {
                String::new()
            };
            bail!("{shown}: no such file or folder: check the path{hint}");
        }
        Ok(Located {
            name: crate::training::file_name(&path),
            origin: shown,
            folder: path,
        })
    }
}

/// The folder that `given` names, its revision behind `@`.
pub(crate) fn folder(given: &Path, voice: Voice) -> Result<PathBuf> {
    Ok(RevisionFlag::default()
        .locate(given, Want::Model, voice)?
        .folder)
}

/// Shows a download: a bar on a terminal, else a line when it begins.
pub(crate) struct Progress {
    what: String,
    voice: Voice,
    bar: Option<ProgressBar>,
    told: bool,
}

impl Progress {
    /// `what`: the model and its server.
    pub(crate) fn new(what: String, voice: Voice) -> Self {
        Self {
            what,
            voice,
            bar: None,
            told: false,
        }
    }
}

impl Observer for Progress {
    fn begin(&mut self, name: &str, length: Option<u64>) {
        if !std::mem::replace(&mut self.told, true) {
            self.voice.note(format_args!("downloading {}", self.what));
        }
        if self.voice.is_quiet() || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let template = match length {
            Some(_) => {
                "{bar:20.cyan} {percent:>3}%, {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}"
            }
            None => "{spinner:.cyan} {bytes}, {bytes_per_sec}  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        self.bar = Some(bar);
    }

    fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn note(&mut self, text: &str) {
        self.voice.note(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
