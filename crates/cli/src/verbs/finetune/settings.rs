//! The flags of `finetune`, and what they make of a recipe.

use albert::{AlbertConfig, DropoutPlan};
use albert_train::recipe::{Recipe, Source};
use albert_train::trainer::options::{Cadence, Length, TrainOptions};
use anyhow::{Result, bail};

use crate::training::{TaskName, UpdateFlags, max_seq_length, name, rate};

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum RecipeName {
    /// Lan et al. 2019, table 14, with Google's AdamW
    Paper,
    /// The commands of google-research/albert
    Readme,
    /// The examples of transformers
    Default,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum CadenceName {
    No,
    Steps,
    Epoch,
}

/// How to train; each flag overrides the recipe.
#[derive(clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct Settings {
    #[command(flatten)]
    pub(super) updates: UpdateFlags,
    /// Published settings to begin with
    #[arg(long, value_enum, default_value = "default")]
    pub(super) recipe: RecipeName,
    /// Passes over the data
    #[arg(
        long,
        value_name = "N",
        alias = "num_train_epochs",
        conflicts_with = "max_steps"
    )]
    pub(super) epochs: Option<f64>,
    /// Most tokens of a sequence
    #[arg(long, value_name = "N", alias = "max_seq_length")]
    pub(super) max_seq_length: Option<usize>,
    /// Dropout before the classifier [default: the recipe's, else config.json's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) classifier_dropout: Option<f64>,
    /// When to measure
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "epoch",
        alias = "eval_strategy",
        alias = "evaluation_strategy"
    )]
    pub(super) eval: CadenceName,
    /// When to save a checkpoint
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "epoch",
        alias = "save_strategy"
    )]
    pub(super) save: CadenceName,
    /// Metric that chooses the best checkpoint [default: the task's]
    #[arg(long, value_name = "NAME", alias = "metric_for_best_model")]
    pub(super) metric: Option<String>,
    /// Give the best checkpoint as the result, not the last parameters
    #[arg(long, alias = "load_best_model_at_end")]
    pub(super) best: bool,
    /// End after so many measurements without a better one
    #[arg(long, value_name = "N")]
    pub(super) patience: Option<u64>,
}

impl Settings {
    pub(super) fn recipe(&self, task: TaskName, config: &AlbertConfig) -> Result<Recipe> {
        let source = match self.recipe {
            RecipeName::Paper => Source::Paper,
            RecipeName::Readme => Source::Readme,
            RecipeName::Default => Source::Default,
        };
        let Some(mut recipe) = Recipe::of(source, task.kind(), config) else {
            bail!(
                "--recipe {}: expected a task with published settings, found {}, which has none there; use --recipe \
                 default and your own settings",
                name(self.recipe),
                name(task),
            );
        };
        recipe.max_seq_length = max_seq_length(self.max_seq_length, recipe.max_seq_length, config)?;
        Ok(recipe)
    }

    pub(super) fn dropout(&self, config: &AlbertConfig, recipe: &Recipe) -> DropoutPlan {
        let mut plan = DropoutPlan::of(config, self.updates.seed);
        if let Some(rate) = self.updates.dropout.or(recipe.dropout) {
            (plan.hidden, plan.attention) = (rate, rate);
        }
        if let Some(rate) = self.classifier_dropout.or(recipe.classifier_dropout) {
            plan.classifier = rate;
        }
        plan.ffn = recipe.google;
        plan
    }

    pub(super) fn apply(&self, options: &mut TrainOptions) {
        if let Some(epochs) = self.epochs {
            options.length = Length::Epochs(epochs);
        }
        self.updates.apply(options);
        let cadence = |name, steps| match name {
            CadenceName::No => Cadence::Never,
            CadenceName::Steps => Cadence::Steps(steps),
            CadenceName::Epoch => Cadence::Epochs,
        };
        options.evaluate = cadence(self.eval, self.updates.eval_steps);
        options.save = cadence(self.save, self.updates.save_steps);
        options.patience = self.patience;
        options.load_best_at_end = self.best;
    }
}
