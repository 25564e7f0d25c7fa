//! Which model a verb runs: a folder, or the demo inside the program.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use albert::pipeline::{Limits, SentenceModules, check_trained_for};
use albert::{Albert, AlbertConfig, Cpu, Head, LoadOptions, ModelFolder};
use albert_hub::Want;
use albert_tokenizer::{AlbertTokenizer, Mode};
use anyhow::{Result, bail};

use crate::demo::{self, Demo};
use crate::device;
use crate::hub::RevisionFlag;
use crate::stream::{Long, TextFlags};

/// The model, and how much text it reads at once.
#[derive(clap::Args)]
pub(crate) struct ModelFlags {
    /// Model: a folder with config.json, weights and the tokenizer's files, or ORG/NAME of the Hugging Face Hub;
    /// without it, the demo model inside the program, where there is one for the task
    #[arg(long, short, value_name = "DIR|ID")]
    model: Option<PathBuf>,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Where the model is.
    #[arg(skip)]
    folder: OnceCell<PathBuf>,
    /// Whose tokenizer: hf-fast, hf5, hf-slow, google, sentencepiece
    #[arg(long, value_name = "MODE", default_value_t, value_parser = str::parse::<Mode>)]
    tokenizer_mode: Mode,
    /// Most tokens that the model reads at once [default: what it was made for]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Tokens that neighbouring windows share, with --long slide
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

/// The configuration that `--config` names: a file, or a published model.
pub(crate) fn configuration(name: &str) -> Result<AlbertConfig> {
    if let Some(config) = AlbertConfig::preset(name) {
        return Ok(config);
    }
    let path = Path::new(name);
    if !path.exists() {
        let presets = albert::config::PRESETS.iter();
        let known: Vec<&str> = presets.map(|preset| preset.name).collect();
        bail!(
            "--config: expected a file or one of {}, found {name}",
            known.join(", ")
        );
    }
    let (config, _) = AlbertConfig::from_file(path).map_err(albert::Error::from)?;
    Ok(config)
}

/// A model with its tokenizer.
pub(crate) struct Opened<H: Head<Cpu>> {
    pub(crate) model: Albert<H, Cpu>,
    pub(crate) tokenizer: AlbertTokenizer,
}

impl ModelFlags {
    /// The folder of the model, where one is named; it is brought from the hub when it is asked for first.
    fn folder(&self, flags: &TextFlags) -> Result<Option<&Path>> {
        if let (None, Some(given)) = (self.folder.get(), &self.model) {
            let located = self.revision.locate(given, Want::Model, flags.voice)?;
            let _ = self.folder.set(located.folder);
        }
        Ok(self.folder.get().map(PathBuf::as_path))
    }

    /// The configuration of the folder, where one is named that has any.
    pub(crate) fn config(&self, flags: &TextFlags) -> Result<Option<AlbertConfig>> {
        let Some(folder) = self.folder(flags)? else {
            return Ok(None);
        };
        Ok(ModelFolder::open(folder).ok().map(|folder| folder.config))
    }

    /// Loads the folder, or `demo` where none is named.
    pub(crate) fn open<H: Head<Cpu>>(&self, demo: Demo, flags: &TextFlags) -> Result<Opened<H>> {
        self.load(self.folder(flags)?, demo, flags)
    }

    fn load<H: Head<Cpu>>(
        &self,
        folder: Option<&Path>,
        demo: Demo,
        flags: &TextFlags,
    ) -> Result<Opened<H>> {
        let options = albert_tokenizer::LoadOptions::mode(self.tokenizer_mode);
        let place = |device: &Cpu, precision| {
            let (isa, threads) = (device.isa().name(), device.threads());
            format!(
                "{} on {isa} with {threads} threads",
                device::name(precision)
            )
        };
        let Some(folder) = folder else {
            let (device, precision) = flags.device.open(None)?;
            let place = place(&device, precision);
            flags.voice.detail(format_args!("demo model, {place}"));
            return demo::open(demo, device, options);
        };
        if !folder.is_dir() {
            bail!(
                "{}: it is a file: give the folder of a model",
                folder.display()
            );
        }
        let (device, precision) = flags.device.open(Some(folder))?;
        let place = place(&device, precision);
        flags
            .voice
            .detail(format_args!("model {}, {place}", folder.display()));
        check_trained_for::<H, Cpu>(folder)?;
        let tokenizer = AlbertTokenizer::from_pretrained(folder, options)?;
        let (model, loaded) = Albert::from_pretrained(folder, device, LoadOptions::default())?;
        super::tell(&loaded, flags.voice);
        Ok(Opened { model, tokenizer })
    }

    /// Loads an encoder and what its folder says about pooling.
    pub(crate) fn open_encoder<H: Head<Cpu>>(
        &self,
        flags: &TextFlags,
    ) -> Result<(Opened<H>, SentenceModules)> {
        let folder = self.folder(flags)?;
        let modules = match folder {
            Some(folder) => SentenceModules::read(folder)?,
            None => SentenceModules::default(),
        };
        let folder = folder.map(|folder| modules.model_folder(folder));
        Ok((
            self.load(folder.as_deref(), Demo::Language, flags)?,
            modules,
        ))
    }

    /// What the flags say about long inputs.
    pub(crate) fn limits(&self, flags: &TextFlags, default: Long) -> Limits {
        Limits {
            long: match flags.long(default) {
                Long::Error => albert::pipeline::Long::Error,
                Long::Truncate => albert::pipeline::Long::Truncate,
                Long::Slide => albert::pipeline::Long::Slide,
            },
            max_tokens: self.max_tokens,
            stride: self.stride,
            batch_tokens: flags.batch_tokens(),
        }
    }
}
