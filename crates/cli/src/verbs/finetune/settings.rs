//! The flags of training, and what they make of a recipe.

use albert::{AlbertConfig, DropoutPlan};
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::recipe::{Recipe, Source};
use albert_train::schedule::Kind;
use albert_train::trainer::options::{Cadence, Length, TrainOptions, Warmup};
use anyhow::{Result, bail};

use crate::training::{TaskName, max_seq_length, name, rate};

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
pub(super) enum ScheduleName {
    Linear,
    Constant,
    ConstantWithWarmup,
    Cosine,
    Polynomial,
    InverseSqrt,
    /// Linear from step 0 on, also behind the warm-up
    Google,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum OptimizerName {
    /// AdamW of PyTorch
    Adamw,
    /// AdamW of google-research/albert: no bias correction
    AdamwGoogle,
    /// LAMB as published
    Lamb,
    /// LAMB of google-research/albert
    LambGoogle,
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
    /// Published settings to begin with
    #[arg(long, value_enum, default_value = "default")]
    pub(super) recipe: RecipeName,
    /// Learning rate after the warm-up
    #[arg(long, value_name = "RATE", alias = "learning_rate")]
    pub(super) learning_rate: Option<f64>,
    /// Samples of an update
    #[arg(
        long,
        value_name = "N",
        alias = "per_device_train_batch_size",
        alias = "train_batch_size"
    )]
    pub(super) batch_size: Option<usize>,
    /// Parts of a batch that are added as a tree: a power of two, at least the number of processes of mpirun; results
    /// depend on it, not on that number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) parts: usize,
    /// Passes over the data
    #[arg(
        long,
        value_name = "N",
        alias = "num_train_epochs",
        conflicts_with = "max_steps"
    )]
    pub(super) epochs: Option<f64>,
    /// Updates
    #[arg(long, value_name = "N", alias = "max_steps")]
    pub(super) max_steps: Option<u64>,
    /// Updates until the learning rate is reached
    #[arg(
        long,
        value_name = "N",
        alias = "warmup_steps",
        conflicts_with = "warmup_ratio"
    )]
    pub(super) warmup_steps: Option<u64>,
    /// The same as a share of all updates
    #[arg(long, value_name = "SHARE", alias = "warmup_ratio")]
    pub(super) warmup_ratio: Option<f64>,
    /// Shape of the learning rate
    #[arg(long, value_enum, value_name = "SHAPE", alias = "lr_scheduler_type")]
    pub(super) schedule: Option<ScheduleName>,
    /// Rule of the updates
    #[arg(long, value_enum, value_name = "NAME")]
    pub(super) optimizer: Option<OptimizerName>,
    /// Weight decay
    #[arg(long, value_name = "FACTOR", alias = "weight_decay")]
    pub(super) weight_decay: Option<f64>,
    /// Longest gradient
    #[arg(long, value_name = "NORM", alias = "max_grad_norm")]
    pub(super) max_grad_norm: Option<f64>,
    /// Most tokens of a sequence
    #[arg(long, value_name = "N", alias = "max_seq_length")]
    pub(super) max_seq_length: Option<usize>,
    /// Dropout of the body [default: the recipe's, else config.json's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) dropout: Option<f64>,
    /// Dropout before the classifier [default: the recipe's, else config.json's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) classifier_dropout: Option<f64>,
    /// Seed of the new head, of the order of samples and of dropout
    #[arg(long, default_value_t = 42)]
    pub(super) seed: u64,
    /// Samples that are in memory at a time [default: as many as have 2 GiB of activations]
    #[arg(long, value_name = "N")]
    pub(super) micro_batch: Option<usize>,
    /// MiB of activations at a time, instead
    #[arg(long, value_name = "MIB", conflicts_with = "micro_batch")]
    pub(super) activation_memory: Option<u64>,
    /// Keep only the inputs of layers and compute the rest twice: less memory, a third more work
    #[arg(long, alias = "gradient_checkpointing")]
    pub(super) gradient_checkpointing: bool,
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
    /// Updates between measurements, with --eval steps
    #[arg(long, value_name = "N", default_value_t = 500, alias = "eval_steps")]
    pub(super) eval_steps: u64,
    /// When to save a checkpoint
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "epoch",
        alias = "save_strategy"
    )]
    pub(super) save: CadenceName,
    /// Updates between checkpoints, with --save steps
    #[arg(long, value_name = "N", default_value_t = 500, alias = "save_steps")]
    pub(super) save_steps: u64,
    /// Checkpoints to keep, besides the best
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        alias = "save_total_limit"
    )]
    pub(super) keep: usize,
    /// Updates between logs
    #[arg(long, value_name = "N", default_value_t = 50, alias = "logging_steps")]
    pub(super) log_steps: u64,
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
        let mut plan = DropoutPlan::of(config, self.seed);
        if let Some(rate) = self.dropout.or(recipe.dropout) {
            (plan.hidden, plan.attention) = (rate, rate);
        }
        if let Some(rate) = self.classifier_dropout.or(recipe.classifier_dropout) {
            plan.classifier = rate;
        }
        plan.ffn = recipe.google;
        plan
    }

    pub(super) fn apply(&self, options: &mut TrainOptions) {
        options.seed = self.seed;
        options.learning_rate = self.learning_rate.unwrap_or(options.learning_rate);
        options.batch = self.batch_size.unwrap_or(options.batch);
        options.parts = self.parts;
        if let Some(epochs) = self.epochs {
            options.length = Length::Epochs(epochs);
        }
        if let Some(steps) = self.max_steps {
            options.length = Length::Steps(steps);
        }
        if let Some(steps) = self.warmup_steps {
            options.warmup = Warmup::Steps(steps);
        }
        if let Some(ratio) = self.warmup_ratio {
            options.warmup = Warmup::Ratio(ratio);
        }
        if let Some(optimizer) = self.optimizer {
            let (method, form) = match optimizer {
                OptimizerName::Adamw => (Method::AdamW, Form::Standard),
                OptimizerName::AdamwGoogle => (Method::AdamW, Form::Google),
                OptimizerName::Lamb => (Method::Lamb, Form::Standard),
                OptimizerName::LambGoogle => (Method::Lamb, Form::Google),
            };
            options.optimizer = OptimizerOptions::new(method, form);
        }
        let optimizer = &mut options.optimizer;
        optimizer.weight_decay = self.weight_decay.unwrap_or(optimizer.weight_decay);
        optimizer.max_grad_norm = self.max_grad_norm.or(optimizer.max_grad_norm);
        if let Some(schedule) = self.schedule {
            options.schedule = match schedule {
                ScheduleName::Linear => Kind::Linear,
                ScheduleName::Constant => Kind::Constant,
                ScheduleName::ConstantWithWarmup => Kind::ConstantWithWarmup,
                ScheduleName::Cosine => Kind::Cosine { cycles: 0.5 },
                ScheduleName::Polynomial => Kind::Polynomial {
                    end: 1e-7,
                    power: 1.0,
                },
                ScheduleName::InverseSqrt => Kind::InverseSqrt { timescale: None },
                ScheduleName::Google => Kind::Google {
                    power: 1.0,
                    start: 0,
                },
            };
        }
        let cadence = |name, steps| match name {
            CadenceName::No => Cadence::Never,
            CadenceName::Steps => Cadence::Steps(steps),
            CadenceName::Epoch => Cadence::Epochs,
        };
        options.evaluate = cadence(self.eval, self.eval_steps);
        options.save = cadence(self.save, self.save_steps);
        options.keep = Some(self.keep);
        options.log_every = self.log_steps;
        options.patience = self.patience;
        options.load_best_at_end = self.best;
    }
}
