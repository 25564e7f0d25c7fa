//! `albert pull`: a model of the Hugging Face Hub into the cache, or into a folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use albert_hub::{DEFAULT_REVISION, Environment, Hub, ModelId, Source, Want};
use anyhow::{Result, bail};

use crate::hub::Progress;
use crate::stream::Voice;

/// Download a model of the Hugging Face Hub, or bring it up to date, and print its folder
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert pull albert/albert-base-v2
  albert pull albert/albert-base-v2 --to model
  albert pull albert/albert-base-v2 --revision main --tokenizer --json",
    after_help = "\
Every verb with --model downloads what the cache lacks. This one also asks the server whether there is something newer.
Variables: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY and others: see docs/hub.md."
)]
pub(crate) struct Pull {
    /// ORG/NAME, or ORG/NAME@REV
    #[arg(value_name = "ID")]
    id: String,
    /// Branch, tag or commit [default: main]
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    /// Write plain files into this folder instead of the cache; files that differ are not replaced
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Only what the tokenizer needs
    #[arg(long)]
    tokenizer: bool,
    /// Print one JSON line: {"id": …, "revision": …, "commit": …, "folder": …, "files": […]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voice: Voice,
}

impl Pull {
    pub(crate) fn run(self) -> Result<()> {
        let (id, revision) = self.named()?;
        let revision = revision.as_deref().unwrap_or(DEFAULT_REVISION);
        let want = if self.tokenizer {
            Want::Tokenizer
        } else {
            Want::Model
        };
        let environment = Environment::of_process()?;
        let mut progress =
            Progress::new(format!("{id} from {}", environment.endpoint()), self.voice);
        let hub = Hub::new(environment);
        let pulled = match &self.to {
            None => hub.pull(&id, Some(revision), want, &mut progress)?,
            Some(folder) => hub.pull_into(folder, &id, Some(revision), want, &mut progress)?,
        };
        self.voice
            .detail(format_args!("{id} at commit {}", pulled.commit));
        let mut out = std::io::stdout().lock();
        if self.json {
            let line = serde_json::json!({
                "id": id.as_str(), "revision": revision, "commit": pulled.commit, "folder": pulled.folder, "files": pulled.files,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", pulled.folder.display())?;
        }
        Ok(())
    }

    /// The id, and the revision of the flag or behind `@`.
    fn named(&self) -> Result<(ModelId, Option<String>)> {
        // Here an id is meant, also where a folder has its name.
        let text = self.id.strip_prefix("hf:").unwrap_or(&self.id);
        let Source::Hub { id, revision } = Source::parse(Path::new(&format!("hf:{text}")))? else {
            bail!(
                "{}: expected the id of a model, found a file of this name",
                self.id
            );
        };
        if revision.is_some() && self.revision.is_some() {
            bail!(
                "{}: two revisions, behind `@` and in --revision: give one",
                self.id
            );
        }
        Ok((id, revision.or_else(|| self.revision.clone())))
    }
}
