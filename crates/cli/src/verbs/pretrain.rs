//! `albert pretrain`: from raw text to a model, by masked words and the order of sentences.

mod data;
mod shape;

use std::path::{Path, PathBuf};

use albert::config::{ModelClass, PositionEmbeddingType};
use albert::heads::PreTraining;
use albert::{Albert, AlbertForPreTraining, Cpu, DropoutPlan, LoadOptions, Precision};
use albert_formats::Checkpoint;
use albert_tokenizer::AlbertTokenizer;
use albert_train::dataset::Dataset;
use albert_train::exchange::Ranks;
use albert_train::pretrain::{Objective, evaluate};
use albert_train::recipe;
use albert_train::report::card::Card;
use albert_train::state::folder::Folder;
use albert_train::tie::copied;
use albert_train::trainer::options::{Best, Cadence, Micro, Order, Resume, TrainOptions};
use anyhow::{Context, Result, bail};

use crate::device::ComputeFlags;
use crate::ranks;
use crate::stream::{Voice, usage};
use crate::training::{EVALUATION_TOKENS, Run, UpdateFlags, file_name, tokenizer_files};
use data::TextFlags;
use shape::ShapeFlags;

/// Train a model from raw text: masked words and the order of sentences
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert pretrain a.txt.gz --tokenizer DIR --config small.json -o new --batch-size 8 --max-steps 9
  albert pretrain b.txt.zst --model DIR -o adapted --batch-size 8 --max-steps 9 --learning-rate 1e-4
  albert pretrain corpus.txt --tokenizer DIR --config albert-base-v2 -o base --dry-run",
    after_help = "\
The text is tokenised once, into --cache. A run that was stopped goes on when the same command is given again.

The recipe is the paper's: 125,000 updates of 4,096 samples, LAMB of google-research/albert with a weight decay of 0.01,
learning rate 0.00176 · √(batch/4096), warm-up over 2.5 % of the updates. --optimizer adamw keeps that rate: give your own."
)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    text: TextFlags,
    #[command(flatten)]
    shape: ShapeFlags,
    /// Folder of checkpoints and of the result: new, empty, or that of a run to go on with
    #[arg(long, short, value_name = "DIR", alias = "output_dir")]
    output: Option<PathBuf>,
    #[command(flatten)]
    updates: UpdateFlags,
    /// Make the cache of tokens (or, with --tfrecords, files of samples) and stop
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    prepare_only: bool,
    /// Say what would be done and how much memory it needs; the cache is made
    #[arg(long)]
    dry_run: bool,
    /// Print the results as one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: ComputeFlags,
    #[command(flatten)]
    voice: Voice,
}

impl Pretrain {
    pub(crate) fn run(self) -> Result<()> {
        ranks::together(|ranks| self.learn(ranks))
    }

    /// As one of the ranks of a run; without mpirun, the only one.
    fn learn(mut self, mut ranks: Ranks) -> Result<()> {
        if ranks.rank() > 0 {
            self.voice = Voice::silenced();
        }
        self.text.unite();
        self.text.threads = Some(self.device.threads_alone());
        self.shape.locate(self.voice)?;
        let folder = self.shape.tokenizer_folder()?;
        let tokenizer =
            AlbertTokenizer::from_pretrained(folder, albert_tokenizer::LoadOptions::default())?;
        if self.prepare_only && ranks.rank() > 0 {
            return Ok(());
        }
        if self.prepare_only {
            return self.text.prepare_only(
                &tokenizer,
                self.output.as_deref(),
                self.updates.seed,
                self.voice,
            );
        }
        let Some(output) = &self.output else {
            return Err(usage(
                "--output is missing: the folder of checkpoints and of the result",
            ));
        };
        Folder::check(output)?;
        let (device, precision) = self.device.open(self.shape.model())?;
        if precision == Precision::Int8 {
            bail!("--dtype int8: expected f32 or bf16; 8-bit weights have no gradient");
        }
        let config = self.shape.config(&tokenizer, self.updates.dropout)?;
        if config.position_embedding_type != PositionEmbeddingType::Absolute {
            bail!(
                "position_embedding_type: expected absolute, found {}, whose gradient is not built",
                config.position_embedding_type
            );
        }
        let mut options = self.options(output);
        let samples = options
            .total_steps(usize::MAX)
            .checked_mul(options.batch as u64)
            .context("--max-steps times --batch-size is too large")?;
        options.check(usize::try_from(samples).unwrap_or(usize::MAX))?;
        options.check_ranks(ranks.size())?;
        // Rank 0 makes the cache of tokens, the others find it.
        if ranks.rank() > 0 {
            ranks.barrier()?;
        }
        let data = self.text.open(
            &tokenizer,
            &config,
            samples,
            output,
            self.updates.seed,
            self.voice,
        )?;
        if ranks.rank() == 0 {
            ranks.barrier()?;
        }
        let longest = data.longest();
        let objective = data.objective();
        let parameters = config.parameter_count(ModelClass::PreTraining);
        let logits = data.masked_share() * config.vocab_size as f64;
        let memory = self.updates.memory(&config, parameters, logits);
        options.micro = self.updates.micro(memory, longest);
        options.threads = device.threads();
        options.tied = self.shape.tied();
        if data.held_out().is_none() {
            options.evaluate = Cadence::Never;
            options.best = None;
        }
        if objective != Objective::None && self.text.predicts_words() {
            options.losses = Some(objective.losses());
        }
        let seed = self.updates.seed;
        if data.are_ordered() {
            options.order = Order::AsGiven;
        }
        options.facts = data.facts();
        for (name, value) in [
            ("task", "pretraining".to_owned()),
            ("dtype", crate::device::name(precision).to_owned()),
            (
                "configuration",
                config.to_json(albert::config::ConfigDialect::HuggingFace)?,
            ),
        ] {
            options.facts.insert(name.to_owned(), value);
        }
        let largest = (options.batch * longest).min(match options.micro {
            Micro::Tokens(tokens) => tokens,
            Micro::Samples(samples) => samples * longest,
        });
        let plan = DropoutPlan {
            // Google's head of the second label drops nothing; the configuration's is for classifiers that come later.
            classifier: 0.0,
            ..DropoutPlan::of(&config, seed)
        };
        let told = std::cell::Cell::new(false);
        let model = |device| -> Result<AlbertForPreTraining<Cpu>> {
            let Some(folder) = self.shape.model() else {
                return Ok(Albert::from_config(config.clone(), device, seed)?);
            };
            let fresh = LoadOptions {
                fresh_head: Some(seed),
                ..LoadOptions::default()
            };
            let checkpoint = Checkpoint::open(folder)?;
            let (model, report) =
                Albert::from_checkpoint(config.clone(), &checkpoint, folder, device, fresh)?;
            if !told.replace(true) && !report.fresh.is_empty() {
                let names = report.fresh.join(", ");
                self.voice.note(format_args!("drawn at random: {names}"));
            }
            Ok(model)
        };
        let held_out = data.held_out();
        let run = Run::<PreTraining<Cpu>> {
            model: &model,
            device,
            precision,
            data: data.training(),
            evaluate: held_out.map(|held_out| {
                let measure = move |model: &AlbertForPreTraining<Cpu>| {
                    Ok(evaluate(model, held_out, objective, EVALUATION_TOKENS)?)
                };
                (Box::new(measure) as Box<_>, held_out.len())
            }),
            dropout: plan,
            checkpointing: self.updates.gradient_checkpointing,
            files: tokenizer_files(folder),
            memory,
            parameters: parameters - copied(&config, &options.tied),
            largest,
            options,
            card: Card {
                name: file_name(output),
                base_model: self.shape.base(),
                task: Some("fill-mask".to_owned()),
                dataset: Some(data.origin()),
                evaluated_on: data.measured_on(),
                versions: vec![("albert".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
                ..Card::default()
            },
            ranks,
            json: self.json,
            voice: self.voice,
        };
        if self.dry_run {
            return run.tell_plan();
        }
        if objective == Objective::None {
            self.voice.note(format_args!(
                "without a second label the sentence-order head stays as it was drawn"
            ));
        }
        run.train()
    }

    /// The paper's recipe for the batch, and what the flags make of it.
    fn options(&self, output: &Path) -> TrainOptions {
        let mut options = TrainOptions::new(output);
        options.batch = self.updates.batch_size.unwrap_or(recipe::PRETRAINING_BATCH);
        recipe::pretraining(&mut options);
        self.updates.apply(&mut options);
        options.resume = Resume::Last;
        options.evaluate = Cadence::Steps(self.updates.eval_steps);
        options.save = Cadence::Steps(self.updates.save_steps);
        // As google-research/albert chooses it.
        let words = self.text.predicts_words();
        let metric = if words { "masked_lm_accuracy" } else { "loss" };
        options.best = Some(Best {
            metric: metric.to_owned(),
            greater_is_better: words,
        });
        options
    }
}
