//! `albert bench`: how fast this machine runs a model.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use albert::{
    AlbertConfig, AlbertForMaskedLM, AlbertModel, Inputs, LoadOptions, Precision, Training,
};
use albert_hub::Want;
use albert_kernels::peak::{PEAK_OPERATIONS, run_peak};
use albert_train::optim::norm::norm;
use albert_train::optim::{Form, Method, Optimizer, OptimizerOptions};
use anyhow::{Result, bail};

use crate::device::{ComputeFlags, DeviceFlags};
use crate::hub::RevisionFlag;
use crate::stream::Voice;
use crate::verbs::model::configuration;

/// Measure how fast a model runs here
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert bench peak
  albert bench forward --model DIR --batch 8 --seq 128
  albert bench forward --model DIR --lengths 12,7,40,128 --json")]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Forward(ForwardBench),
    Train(TrainBench),
    Peak(PeakBench),
}

/// Milliseconds of the encoder for one batch of random tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert bench forward --model DIR --batch 8 --seq 128
  albert bench forward --model DIR --batch 8 --seq 128 --first --threads 1
  albert bench forward --model DIR --lengths 12,7,40,128 --json")]
struct ForwardBench {
    /// Model: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(long, value_name = "DIR|ID")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// Sequences
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 128)]
    seq: usize,
    /// A ragged batch instead: tokens of each sequence
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["batch", "seq"])]
    lengths: Option<Vec<usize>>,
    /// Of the last layer only what classifiers read, the first token of each sequence
    #[arg(long)]
    first: bool,
    /// Measured runs, after two that are not
    #[arg(long, default_value = "10")]
    iterations: NonZeroUsize,
    /// Print one JSON line: {"ms": […]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: ComputeFlags,
}

/// Milliseconds of one step of masked-language-model training: forward, loss, gradient, AdamW; no dropout
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert bench train --model DIR --batch 8 --seq 128
  albert bench train --config small.json --batch 8 --seq 64 --gradient-checkpointing
  albert bench train --model DIR --batch 8 --seq 128 --dtype bf16 --json",
    group(clap::ArgGroup::new("what").required(true).args(["model", "config"]))
)]
struct TrainBench {
    /// Model: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(long, value_name = "DIR|ID")]
    model: Option<PathBuf>,
    #[command(flatten)]
    revision: RevisionFlag,
    /// A model of random weights instead: a file like config.json, or the name of a published model
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<String>,
    /// Sequences
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Tokens of each; 15 % of all have a label
    #[arg(long, default_value_t = 128)]
    seq: usize,
    /// Measured steps, after two that are not
    #[arg(long, default_value = "5")]
    iterations: NonZeroUsize,
    /// Compute what happens inside of blocks twice instead of keeping it
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Print one JSON line: {"ms": […], "loss": […], "parameters": …}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: ComputeFlags,
}

/// The machine's limit: fused multiply-adds on registers alone
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert bench peak
  albert bench peak --threads 1
  albert bench peak --isa portable")]
struct PeakBench {
    #[command(flatten)]
    device: DeviceFlags,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        match self.what {
            What::Forward(bench) => bench.run(),
            What::Train(bench) => bench.run(),
            What::Peak(bench) => bench.run(),
        }
    }
}

fn located(revision: &RevisionFlag, model: &Path) -> Result<PathBuf> {
    Ok(revision
        .locate(model, Want::Model, Voice::default())?
        .folder)
}

/// f32 operations of the encoder: matrix products of every block, for sequences of these lengths; behind the last attention
/// of as many tokens as are `read`.
fn operations(config: &AlbertConfig, lengths: &[usize], read: usize) -> f64 {
    let (h, i) = (config.hidden_size as f64, config.intermediate_size as f64);
    let blocks = (config.num_hidden_layers * config.inner_group_num) as f64;
    let behind = 2.0 * (h * h + 2.0 * h * i);
    let sequence = |n: f64| n * (6.0 * h * h + behind) + 4.0 * n * n * h;
    let all: f64 = lengths.iter().map(|&n| sequence(n as f64)).sum();
    let left_out = lengths.iter().sum::<usize>() - read;
    blocks * all - left_out as f64 * behind
}

/// A fixed sequence of token numbers; speed does not depend on them.
fn random_tokens(count: usize, vocabulary: usize) -> Vec<i64> {
    let mut state = 1_u64;
    let token = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary as u64) as i64
    };
    (0..count).map(token).collect()
}

impl ForwardBench {
    fn run(self) -> Result<()> {
        let folder = located(&self.revision, &self.model)?;
        let lengths = self
            .lengths
            .clone()
            .unwrap_or_else(|| vec![self.seq; self.batch]);
        let (device, _) = self.device.open(Some(&folder))?;
        let (model, _) = AlbertModel::from_pretrained(&folder, device, LoadOptions::default())?;
        let vocabulary = model.config().vocab_size;
        if lengths.is_empty() || lengths.contains(&0) {
            bail!("at least one sequence of at least one token");
        }
        let mut ids = random_tokens(lengths.iter().sum(), vocabulary).into_iter();
        let sequences: Vec<Vec<i64>> = lengths
            .iter()
            .map(|&n| ids.by_ref().take(n).collect())
            .collect();
        let inputs = Inputs::from_sequences(&sequences, 0);
        let first = (0..lengths.len()).map(|b| (b, 0)).collect::<Vec<_>>();
        let first = self.first.then_some(first);
        let mut times = Vec::new();
        for round in 0..self.iterations.get() + 2 {
            let start = Instant::now();
            let encoded = match &first {
                Some(first) => model.encode_at(&inputs, first)?,
                None => model.encode(&inputs)?,
            };
            let ms = start.elapsed().as_secs_f64() * 1e3;
            drop(encoded);
            if round >= 2 {
                times.push(ms);
            }
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::json!({ "ms": times }))?;
            return Ok(());
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let tokens: usize = lengths.iter().sum();
        let read = first.map_or(tokens, |first| first.len());
        let gflop = operations(model.config(), &lengths, read) / 1e9;
        writeln!(
            out,
            "{median:.2} ms, {:.0} GFLOP/s, {:.0} tokens/s (median of {})",
            gflop / median * 1e3,
            tokens as f64 / median * 1e3,
            times.len()
        )?;
        Ok(())
    }
}

impl TrainBench {
    fn run(self) -> Result<()> {
        let folder = match &self.model {
            Some(model) => Some(located(&self.revision, model)?),
            None => None,
        };
        let (device, _) = self.device.open(folder.as_deref())?;
        let threads = device.threads();
        let options = LoadOptions::default();
        let mut model = match (folder, &self.config) {
            (Some(folder), _) => AlbertForMaskedLM::from_pretrained(&folder, device, options)?.0,
            (None, Some(name)) => AlbertForMaskedLM::from_config(configuration(name)?, device, 1)?,
            (None, None) => bail!("--model or --config is missing"),
        };
        model.device().keep_memory(8 << 30);
        let (tokens, vocabulary) = (self.batch * self.seq, model.config().vocab_size);
        if tokens == 0 {
            bail!("at least one sequence of at least one token");
        }
        let ids = random_tokens(tokens, vocabulary);
        // Spread evenly over all sequences.
        let labelled = (tokens * 15 / 100).max(1);
        let mut labels = vec![-100; tokens];
        for i in 0..labelled {
            let at = i * tokens / labelled;
            labels[at] = ids[at];
        }
        let inputs = Inputs::new(self.batch, self.seq, ids);
        let (variables, mut values) = model.parameters();
        let mut gradient = vec![0.0; values.len()];
        let options = OptimizerOptions::new(Method::AdamW, Form::Standard);
        let mut optimizer = Optimizer::new(options, &variables);
        let how = Training {
            terms: [labelled, 0],
            dropout: None,
            checkpointing: self.gradient_checkpointing,
        };
        let (mut times, mut losses) = (Vec::new(), Vec::new());
        for round in 0..self.iterations.get() + 2 {
            let start = Instant::now();
            gradient.fill(0.0);
            let [loss, _] = model.gradients(&inputs, &labels, &how, &variables, &mut gradient)?;
            let norm = norm(&gradient, threads);
            optimizer.update(&mut values, &mut gradient, norm, 1e-4, threads);
            model.assign(&variables, &values);
            let ms = start.elapsed().as_secs_f64() * 1e3;
            losses.push(loss);
            if round >= 2 {
                times.push(ms);
            }
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(
                out,
                "{}",
                serde_json::json!({ "ms": times, "loss": losses, "parameters": values.len() })
            )?;
            return Ok(());
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        // The gradient of a product is two of its size.
        let encoder = 3.0 * operations(model.config(), &vec![self.seq; self.batch], labelled);
        writeln!(
            out,
            "{median:.0} ms, {:.0} GFLOP/s of the encoder, {:.0} tokens/s (median of {}), loss {:.3} to {:.3}",
            encoder / 1e6 / median,
            tokens as f64 / median * 1e3,
            times.len(),
            losses[0],
            losses[losses.len() - 1],
        )?;
        Ok(())
    }
}

impl PeakBench {
    fn run(self) -> Result<()> {
        let device = self.device.open(Precision::F32)?;
        let operations = (PEAK_OPERATIONS * device.threads()) as f64;
        let seconds = (0..20)
            .map(|_| {
                let start = Instant::now();
                run_peak(device.isa(), device.pool());
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{:.0} GFLOP/s ({}, {} threads)",
            operations / seconds / 1e9,
            device.isa().name(),
            device.threads()
        )?;
        Ok(())
    }
}
