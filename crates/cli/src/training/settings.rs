//! The flags of training that `finetune` and `pretrain` share, and what they make of a recipe.

use albert::AlbertConfig;
use albert_train::memory::{DEFAULT_ACTIVATIONS, Memory};
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::schedule::Kind;
use albert_train::trainer::options::{Length, Micro, TrainOptions, Warmup};

use super::rate;

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum ScheduleName {
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
pub(crate) enum OptimizerName {
    /// AdamW of PyTorch
    Adamw,
    /// AdamW of google-research/albert: no bias correction
    AdamwGoogle,
    /// LAMB as published
    Lamb,
    /// LAMB of google-research/albert
    LambGoogle,
}

/// How to train; each flag overrides the recipe.
#[derive(clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct UpdateFlags {
    /// Learning rate after the warm-up [default: the recipe's]
    #[arg(long, value_name = "RATE", alias = "learning_rate")]
    pub(crate) learning_rate: Option<f64>,
    /// Samples of an update [default: the recipe's]
    #[arg(
        long,
        value_name = "N",
        alias = "per_device_train_batch_size",
        alias = "train_batch_size"
    )]
    pub(crate) batch_size: Option<usize>,
    /// Parts of a batch that are added as a tree: a power of two, at least the number of processes of mpirun; results
    /// depend on it, not on that number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) parts: usize,
    /// Updates [default: the recipe's]
    #[arg(long, value_name = "N", alias = "max_steps", alias = "num_train_steps")]
    pub(crate) max_steps: Option<u64>,
    /// Updates until the learning rate is reached
    #[arg(
        long,
        value_name = "N",
        alias = "warmup_steps",
        alias = "num_warmup_steps",
        conflicts_with = "warmup_ratio"
    )]
    pub(crate) warmup_steps: Option<u64>,
    /// The same as a share of all updates
    #[arg(long, value_name = "SHARE", alias = "warmup_ratio")]
    pub(crate) warmup_ratio: Option<f64>,
    /// Shape of the learning rate
    #[arg(long, value_enum, value_name = "SHAPE", alias = "lr_scheduler_type")]
    pub(crate) schedule: Option<ScheduleName>,
    /// Rule of the updates [default: the recipe's]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Weight decay [default: the recipe's, else 0.01 for the rules of google-research/albert]
    #[arg(long, value_name = "FACTOR", alias = "weight_decay")]
    pub(crate) weight_decay: Option<f64>,
    /// Decay of the mean of gradients
    #[arg(long, value_name = "FACTOR", alias = "adam_beta1")]
    pub(crate) adam_beta1: Option<f64>,
    /// Decay of the mean of squared gradients
    #[arg(long, value_name = "FACTOR", alias = "adam_beta2")]
    pub(crate) adam_beta2: Option<f64>,
    /// Added to the root of that mean
    #[arg(long, value_name = "NUMBER", alias = "adam_epsilon")]
    pub(crate) adam_epsilon: Option<f64>,
    /// Longest gradient
    #[arg(long, value_name = "NORM", alias = "max_grad_norm")]
    pub(crate) max_grad_norm: Option<f64>,
    /// Dropout of the body [default: finetune: the recipe's, else the model's; pretrain: the model's, none for a new one]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) dropout: Option<f64>,
    /// Seed of new weights, of the order of samples and of dropout
    #[arg(long, default_value_t = 42, alias = "random_seed")]
    pub(crate) seed: u64,
    /// Samples that are in memory at a time [default: as many as have 2 GiB of activations]
    #[arg(long, value_name = "N")]
    pub(crate) micro_batch: Option<usize>,
    /// MiB of activations at a time, instead
    #[arg(long, value_name = "MIB", conflicts_with = "micro_batch")]
    pub(crate) activation_memory: Option<u64>,
    /// Keep only the inputs of layers and compute the rest twice: less memory, a third more work
    #[arg(long, alias = "gradient_checkpointing")]
    pub(crate) gradient_checkpointing: bool,
    /// Updates between measurements
    #[arg(long, value_name = "N", default_value_t = 500, alias = "eval_steps")]
    pub(crate) eval_steps: u64,
    /// Updates between checkpoints
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        alias = "save_steps",
        alias = "save_checkpoints_steps"
    )]
    pub(crate) save_steps: u64,
    /// Checkpoints to keep, besides the best
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        alias = "save_total_limit"
    )]
    pub(crate) keep: usize,
    /// How often a run that diverges goes back to its last checkpoint, with half of the learning rate, before it ends
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rollbacks: u32,
    /// Updates between logs
    #[arg(long, value_name = "N", default_value_t = 50, alias = "logging_steps")]
    pub(crate) log_steps: u64,
}

impl UpdateFlags {
    /// Replaces what the flags name.
    pub(crate) fn apply(&self, options: &mut TrainOptions) {
        options.seed = self.seed;
        options.learning_rate = self.learning_rate.unwrap_or(options.learning_rate);
        options.batch = self.batch_size.unwrap_or(options.batch);
        options.parts = self.parts;
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
            let new = OptimizerOptions::new(method, form);
            options.optimizer = OptimizerOptions {
                weight_decay: options.optimizer.weight_decay.max(new.weight_decay),
                ..new
            };
        }
        let optimizer = &mut options.optimizer;
        optimizer.weight_decay = self.weight_decay.unwrap_or(optimizer.weight_decay);
        optimizer.beta1 = self.adam_beta1.unwrap_or(optimizer.beta1);
        optimizer.beta2 = self.adam_beta2.unwrap_or(optimizer.beta2);
        optimizer.epsilon = self.adam_epsilon.unwrap_or(optimizer.epsilon);
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
        options.keep = Some(self.keep);
        options.watch.rollbacks = self.rollbacks;
        options.log_every = self.log_steps;
    }

    /// What is in memory at a time; `memory` is that of a token.
    pub(crate) fn micro(&self, memory: Memory, longest: usize) -> Micro {
        match self.micro_batch {
            Some(samples) => Micro::Samples(samples),
            None => {
                let bytes = self
                    .activation_memory
                    .map_or(DEFAULT_ACTIVATIONS, |mib| mib << 20);
                Micro::Tokens(memory.tokens(bytes, longest))
            }
        }
    }

    /// The memory of a model with `parameters` parameters whose output has `logits` numbers for each token.
    pub(crate) fn memory(&self, config: &AlbertConfig, parameters: u64, logits: f64) -> Memory {
        Memory::of(config, parameters, logits, self.gradient_checkpointing)
    }
}
