//! A run of training from its first step to its results: what `finetune` and `pretrain` share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use albert::heads::Trainable;
use albert::{Albert, Cpu, CpuOptions, DropoutPlan, Precision};
use albert_train::dataset::Dataset;
use albert_train::exchange::Ranks;
use albert_train::learner::Learner;
use albert_train::memory::Memory;
use albert_train::model::{Evaluate, ModelLearner, ModelOptions};
use albert_train::report::card::Card;
use albert_train::report::tensorboard::TensorBoard;
use albert_train::report::{eval_results, train_results, write_card, write_results};
use albert_train::tie::Tied;
use albert_train::trainer::options::{Micro, TrainOptions};
use albert_train::trainer::{End, Trainer};
use anyhow::{Context, Result, anyhow, bail};

use super::{Show, metrics_line};
use crate::ranks;
use crate::stream::Voice;
use crate::verbs::Interrupted;

/// A run, ready to begin.
pub(crate) struct Run<'a, H: Trainable<Cpu>> {
    /// Makes the model on a device.
    pub(crate) model: &'a dyn Fn(Cpu) -> Result<Albert<H, Cpu>>,
    pub(crate) device: Cpu,
    pub(crate) precision: Precision,
    pub(crate) data: &'a dyn Dataset<H::Labels>,
    /// The measurement and its number of samples.
    pub(crate) evaluate: Option<(Box<Evaluate<'a, H>>, usize)>,
    pub(crate) dropout: DropoutPlan,
    pub(crate) checkpointing: bool,
    /// The tokenizer's files, which go with the model.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) memory: Memory,
    /// Parameters of the model, those that layers share counted once.
    pub(crate) parameters: u64,
    /// Tokens of the largest micro-batch that is usual.
    pub(crate) largest: usize,
    pub(crate) options: TrainOptions,
    pub(crate) card: Card,
    /// With the other ranks.
    pub(crate) ranks: Ranks,
    pub(crate) json: bool,
    pub(crate) voice: Voice,
}

impl<H: Trainable<Cpu>> Run<'_, H> {
    /// Bytes, about.
    fn needed(&self) -> u64 {
        // Sums of parts that are to be added.
        let sums = (self.options.parts / self.ranks.size()).max(1).ilog2();
        let gradient = self.memory.parameters() * size_of::<f32>() as u64;
        self.memory.total(self.largest) + u64::from(sums) * gradient
    }

    /// Says what would be done.
    pub(crate) fn tell_plan(&self) -> Result<()> {
        if self.ranks.rank() > 0 {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        let (options, samples) = (&self.options, self.data.len());
        let (steps, memory) = (options.total_steps(samples), self.needed());
        if self.json {
            let (unit, size) = match options.micro {
                Micro::Samples(n) => ("samples", n),
                Micro::Tokens(n) => ("tokens", n),
            };
            let plan = serde_json::json!({
                "samples": samples, "steps": steps, "batch_size": options.batch, "micro_batch": { unit: size },
                "learning_rate": options.learning_rate, "parameters": self.parameters, "memory_bytes": memory,
            });
            writeln!(out, "{plan}")?;
            return Ok(());
        }
        let micro = match options.micro {
            Micro::Samples(n) => format!("{n} samples"),
            Micro::Tokens(n) => format!("{n} tokens"),
        };
        let shared = match options.tied[..] {
            [] => "",
            [Tied::Attention] => " (attention is shared)",
            [Tied::Ffn] => " (the feed-forward part is shared)",
            _ => " (blocks are shared)",
        };
        writeln!(
            out,
            "{samples} samples, {} steps of {}, micro-batches of {micro}, learning rate {:e}; {} parameters{shared}; about {} MB \
             of memory",
            steps,
            options.batch,
            options.learning_rate,
            self.parameters,
            memory / 1_000_000,
        )?;
        Ok(())
    }

    /// Refuses what cannot be in the memory of this machine: half as much again as there is, since the estimate may be wrong.
    fn check_memory(&self) -> Result<()> {
        let needed = self.needed();
        match memory_of_machine() {
            Some(there) if needed > there.saturating_mul(3) / 2 => bail!(
                "about {} MB of memory are needed, this machine has {}: give a smaller --micro-batch, --gradient-checkpointing, \
                 or a smaller model",
                needed / 1_000_000,
                there / 1_000_000
            ),
            _ => Ok(()),
        }
    }

    /// Trains, measures, and writes model and results into the output folder.
    pub(crate) fn train(self) -> Result<()> {
        self.check_memory()?;
        let kept = self.memory.activations(self.largest);
        let threads = self.device.threads();
        // Weights in bfloat16 would have forgotten what they were read from.
        let exact = match self.precision {
            Precision::F32 => None,
            _ => {
                let options = CpuOptions {
                    isa: self.device.isa(),
                    threads,
                    precision: Precision::F32,
                };
                Some((self.model)(Cpu::new(options)?)?.parameters().1)
            }
        };
        let model = (self.model)(self.device)?;
        let (evaluate, eval_samples) = self.evaluate.unzip();
        let model_options = ModelOptions {
            dropout: self.dropout,
            checkpointing: self.checkpointing,
            files: self.files,
            kept_bytes: usize::try_from(kept).unwrap_or(usize::MAX),
        };
        let (data, voice, output) = (self.data, self.voice, self.options.output.clone());
        let learner = ModelLearner::new(model, exact, data, evaluate, model_options);
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let mut trainer = Trainer::with_ranks(learner, self.options, self.ranks)?;
        if let Some(from) = trainer.resumed_from() {
            voice.note(format_args!("going on from {}", from.display()));
        }
        let stop = Arc::new(AtomicBool::new(false));
        watch_signals(&stop, size > 1)?;
        let outcome = if rank == 0 {
            let show = Show::new(voice, trainer.state().step);
            let mut observer = TensorBoard::create(&output, trainer.state().step, show)?;
            let outcome = trainer.run(&mut observer, &stop)?;
            observer.finish()?;
            outcome
        } else {
            trainer.run(&mut (), &stop)?
        };
        if outcome.end == End::Interrupted {
            return Err(anyhow!(Interrupted)).with_context(|| {
                let step = outcome.step;
                format!("stopped at step {step}; the same command goes on from there")
            });
        }
        if rank > 0 {
            return Ok(());
        }
        let traffic = trainer.traffic();
        let (options, mut state) = (trainer.options().clone(), trainer.state().clone());
        let mut all = train_results(&outcome, &options, &state, data.len());
        // A run that was over before has its times already.
        if outcome.steps_now > 0 || !output.join("train_results.json").exists() {
            write_results(&output, "train", &all)?;
        }
        let mut learner = trainer.into_learner();
        let start = Instant::now();
        let metrics = learner.evaluate()?;
        if let Some(samples) = eval_samples {
            let seconds = start.elapsed().as_secs_f64();
            let results = eval_results(&metrics, samples, seconds, &options, &state);
            write_results(&output, "eval", &results)?;
            all.extend(results);
            // The card and the curves end with it. What was loaded as the best is of another step, perhaps.
            let last =
                !options.load_best_at_end || state.best.is_some_and(|best| best.0 == state.step);
            if last && !state.is_evaluated() {
                state.remember_evaluation(&metrics);
            }
        }
        write_card(&output, &self.card, &options, &state, &metrics)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::Value::Object(all))?;
        } else {
            let seconds = outcome.elapsed.as_secs_f64();
            let rate = outcome.tokens_now as f64 / seconds.max(1e-9);
            let line = metrics_line(&metrics);
            let separator = if line.is_empty() { "" } else { ": " };
            writeln!(out, "{}{separator}{line}", output.display())?;
            voice.note(format_args!(
                "{} steps in {seconds:.0} s, {rate:.0} tokens/s, mean training loss {:.4}",
                outcome.steps_now, outcome.train_loss
            ));
            if size > 1 {
                voice.note(ranks::traffic_line(size, traffic, &outcome));
            }
        }
        Ok(())
    }
}

/// Bytes, where the system says it as Linux does.
fn memory_of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The last part of a path, for people.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The files of a folder that make its tokenizer.
pub(crate) fn tokenizer_files(folder: &Path) -> Vec<PathBuf> {
    const NAMES: [&str; 6] = [
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
    ];
    let files = NAMES.iter().map(|name| folder.join(name));
    files.filter(|path| path.is_file()).collect()
}

/// SIGUSR1 too where mpirun passes it on: what it does at SIGINT leaves its processes a second.
#[cfg(unix)]
fn watch_signals(stop: &Arc<AtomicBool>, distributed: bool) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    let signals = [SIGINT, SIGTERM, SIGUSR1];
    for &signal in &signals[..if distributed { 3 } else { 2 }] {
        // Asked a second time, it ends where it is: the first may wait for a measurement.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop)))
            .context("cannot watch for signals")?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(_: &Arc<AtomicBool>, _: bool) -> Result<()> {
    Ok(())
}
