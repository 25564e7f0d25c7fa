//! Lines in and out of the verbs that work on texts: arguments, a file or stdin; stdout or a file.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use albert_hub::Want;
use albert_tokenizer::{AlbertTokenizer, LoadOptions, Mode};
use anyhow::{Context, Result, bail};

use crate::hub::RevisionFlag;
use crate::stream::{Target, Voice};

/// Which tokenizer, and where its lines come from and go to.
#[derive(clap::Args)]
pub(crate) struct LineFlags {
    /// Model folder, one of spiece.model, tokenizer.json and vocab.txt, or ORG/NAME of the Hugging Face Hub, of which
    /// the tokenizer alone is downloaded
    #[arg(long, value_name = "PATH|ID")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Whose behaviour: hf-fast (tokenizers), hf5 (transformers 5), hf-slow (transformers 4,
    /// use_fast=False), google (google-research/albert), sentencepiece
    #[arg(long, value_name = "MODE", default_value_t, value_parser = str::parse::<Mode>)]
    mode: Mode,
    /// Read lines from FILE (- is stdin); without it and without arguments, from stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write to FILE, complete or not at all, instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
}

impl LineFlags {
    pub(crate) fn tokenizer(&self) -> Result<AlbertTokenizer> {
        let options = LoadOptions::mode(self.mode);
        let located = self
            .revision
            .locate(&self.model, Want::Tokenizer, Voice::default())?;
        Ok(AlbertTokenizer::from_pretrained(&located.folder, options)?)
    }

    pub(crate) fn threads(&self) -> NonZeroUsize {
        let given = self.threads.and_then(|n| NonZeroUsize::new(n.into()));
        let here = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        given.unwrap_or_else(here)
    }

    /// The lines: `arguments`, one each, or the file, or stdin.
    pub(crate) fn open_input(&self, arguments: &[String]) -> Result<Box<dyn Read>> {
        if !arguments.is_empty() {
            if let Some(text) = arguments.iter().find(|text| text.contains('\n')) {
                bail!(
                    "{} has a line feed: give one argument for each line, or a file with --input",
                    crate::text::shown(text)
                );
            }
            let lines = arguments.join("\n") + "\n";
            return Ok(Box::new(std::io::Cursor::new(lines.into_bytes())));
        }
        match &self.input {
            Some(path) if path != Path::new("-") => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                Ok(Box::new(file))
            }
            _ => Ok(Box::new(std::io::stdin())),
        }
    }

    pub(crate) fn open_output(&self) -> Result<Target> {
        Target::open(self.output.as_deref())
    }
}
