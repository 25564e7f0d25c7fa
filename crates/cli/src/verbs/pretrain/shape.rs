//! The flags of `pretrain` that say what is trained: a configuration for a new model, or a model to go on with.

use std::path::{Path, PathBuf};

use albert::{AlbertConfig, ModelFolder};
use albert_hub::Want;
use albert_tokenizer::AlbertTokenizer;
use albert_train::tie::Tied;
use anyhow::{Result, bail};

use crate::hub::RevisionFlag;
use crate::stream::{Voice, usage};
use crate::verbs::model::configuration;

/// What the layers of a new model share.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum ShareName {
    /// Everything: ALBERT
    All,
    /// Attention, and the LayerNorm behind it
    Attention,
    /// The feed-forward part, and the LayerNorm behind it
    Ffn,
    /// Nothing: a group for each layer, as in BERT
    None,
}

/// What is trained.
#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ShapeFlags {
    /// Folder of the tokenizer, as `albert vocab train` writes it, or ORG/NAME of the Hugging Face Hub [default: that of
    /// --model]
    #[arg(long, value_name = "DIR|ID")]
    tokenizer: Option<PathBuf>,
    /// Shape of a new model: a file like config.json, or the name of a published model (albert-base-v2). Its vocabulary
    /// becomes the tokenizer's
    #[arg(
        long,
        value_name = "FILE|NAME",
        alias = "albert_config_file",
        required_unless_present_any = ["model", "prepare_only"]
    )]
    config: Option<String>,
    /// Model to go on with: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(
        long,
        short,
        value_name = "DIR|ID",
        alias = "model_name_or_path",
        conflicts_with = "config"
    )]
    model: Option<PathBuf>,
    /// What the layers of a new model share [default: what the configuration says]
    #[arg(long, value_enum, value_name = "PART", conflicts_with = "model")]
    share: Option<ShareName>,
    #[command(flatten)]
    revision: RevisionFlag,
    /// The name of the model to go on with.
    #[arg(skip)]
    base: Option<String>,
}

impl ShapeFlags {
    /// Finds the folders, and brings those of the hub.
    pub(super) fn locate(&mut self, voice: Voice) -> Result<()> {
        if let Some(given) = &self.tokenizer {
            let located = RevisionFlag::default().locate(given, Want::Tokenizer, voice)?;
            self.tokenizer = Some(located.folder);
        }
        if let Some(given) = &self.model {
            let located = self.revision.locate(given, Want::Model, voice)?;
            self.base = Some(located.name);
            self.model = Some(located.folder);
        }
        Ok(())
    }

    /// The name of the model to go on with.
    pub(super) fn base(&self) -> Option<String> {
        self.base.clone()
    }

    /// The folder to go on with.
    pub(super) fn model(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    pub(super) fn tokenizer_folder(&self) -> Result<&Path> {
        let folder = self.tokenizer.as_deref().or(self.model.as_deref());
        folder.ok_or_else(|| {
            usage(
                "--tokenizer is missing: the folder of a tokenizer (albert vocab train makes one)",
            )
        })
    }

    /// What the groups of the model share.
    pub(super) fn tied(&self) -> Vec<Tied> {
        match self.share {
            Some(ShareName::Attention) => vec![Tied::Attention],
            Some(ShareName::Ffn) => vec![Tied::Ffn],
            None | Some(ShareName::All | ShareName::None) => Vec::new(),
        }
    }

    /// The configuration of the model. Without `dropout` a new model has none, as models of version 2.
    pub(super) fn config(
        &self,
        tokenizer: &AlbertTokenizer,
        dropout: Option<f64>,
    ) -> Result<AlbertConfig> {
        let words = tokenizer.vocab_size();
        let mut config = match (&self.model, &self.config) {
            (Some(folder), _) => {
                let config = ModelFolder::open(folder)?.config;
                if words > config.vocab_size {
                    bail!(
                        "{}: expected a word for each of the tokenizer's {words} tokens, found vocab_size {}; make the model's \
                         table larger with `albert vocab add`, or take its own tokenizer",
                        folder.display(),
                        config.vocab_size,
                    );
                }
                config
            }
            (None, Some(name)) => AlbertConfig {
                vocab_size: words,
                ..configuration(name)?
            },
            (None, None) => {
                bail!("--config (a new model) or --model (one to go on with) is missing")
            }
        };
        config.num_hidden_groups = match self.share {
            None => config.num_hidden_groups,
            Some(ShareName::All) => 1,
            Some(_) => config.num_hidden_layers,
        };
        // Those of a classifier that the model was, or the shape is of: the head here tells two things apart.
        config.set_labels(["LABEL_0", "LABEL_1"]);
        config.problem_type = None;
        if self.model.is_none() || dropout.is_some() {
            let dropout = dropout.unwrap_or(0.0);
            (
                config.hidden_dropout_prob,
                config.attention_probs_dropout_prob,
            ) = (dropout, dropout);
        }
        Ok(config)
    }
}
