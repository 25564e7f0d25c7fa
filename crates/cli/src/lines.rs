//! Lines in and out of the verbs that work on texts: arguments, a file or stdin; stdout or a file.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use albert_tokenizer::{AlbertTokenizer, LoadOptions, Mode};
use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// Which tokenizer, and where its lines come from and go to.
#[derive(clap::Args)]
pub(crate) struct LineFlags {
    /// Model folder, or one of spiece.model, tokenizer.json and vocab.txt
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Whose behaviour: hf-fast (tokenizers), hf5 (transformers 5), hf-slow (transformers 4,
    /// use_fast=False), google (google-research/albert), sentencepiece
    #[arg(long, value_name = "MODE", default_value_t, value_parser = str::parse::<Mode>)]
    mode: Mode,
    /// Read lines from FILE; without it and without arguments, from stdin
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
        Ok(AlbertTokenizer::from_pretrained(&self.model, options)?)
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
            Some(path) => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                Ok(Box::new(file))
            }
            None => Ok(Box::new(std::io::stdin())),
        }
    }

    pub(crate) fn open_output(&self) -> Result<Output> {
        match &self.output {
            None => Ok(Output::Screen(BufWriter::new(std::io::stdout()))),
            Some(path) => {
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let mut builder = tempfile::Builder::new();
                builder.prefix(".albert-").suffix(".tmp");
                // The default is 0600, and rename would keep it: nobody else could read the file.
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                let file = builder
                    .tempfile_in(folder.unwrap_or(Path::new(".")))
                    .with_context(|| format!("cannot create {}", path.display()))?;
                Ok(Output::File(file, path.clone()))
            }
        }
    }
}

/// Where the lines go.
pub(crate) enum Output {
    Screen(BufWriter<std::io::Stdout>),
    /// A file that gets its name when it is complete.
    File(NamedTempFile, PathBuf),
}

impl Output {
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Screen(out) => out,
            Self::File(file, _) => file.as_file_mut(),
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Self::Screen(mut out) => Ok(out.flush()?),
            Self::File(file, path) => {
                file.persist(&path)
                    .map_err(|error| error.error)
                    .with_context(|| format!("cannot replace {}", path.display()))?;
                Ok(())
            }
        }
    }
}
