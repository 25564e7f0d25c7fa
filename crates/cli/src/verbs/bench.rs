//! `albert bench`: how fast this machine runs a model.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use albert::{AlbertConfig, AlbertModel, Inputs, LoadOptions, Precision};
use albert_kernels::peak::{PEAK_OPERATIONS, run_peak};
use anyhow::{Result, bail};

use crate::device::{ComputeFlags, DeviceFlags};

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
    Peak(PeakBench),
}

/// Milliseconds of the encoder for one batch of random tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert bench forward --model DIR --batch 8 --seq 128
  albert bench forward --model DIR --batch 8 --seq 128 --threads 1 --isa portable
  albert bench forward --model DIR --lengths 12,7,40,128 --json")]
struct ForwardBench {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Sequences
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 128)]
    seq: usize,
    /// A ragged batch instead: tokens of each sequence
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["batch", "seq"])]
    lengths: Option<Vec<usize>>,
    /// Measured runs, after two that are not
    #[arg(long, default_value = "10")]
    iterations: NonZeroUsize,
    /// Print one JSON line: {"ms": […]}
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
            What::Peak(bench) => bench.run(),
        }
    }
}

/// f32 operations of the encoder: matrix products of every block, for sequences of these lengths.
fn operations(config: &AlbertConfig, lengths: &[usize]) -> f64 {
    let (h, i) = (config.hidden_size as f64, config.intermediate_size as f64);
    let blocks = (config.num_hidden_layers * config.inner_group_num) as f64;
    lengths
        .iter()
        .map(|&n| n as f64)
        .map(|n| blocks * (n * 2.0 * (4.0 * h * h + 2.0 * h * i) + 4.0 * n * n * h))
        .sum()
}

impl ForwardBench {
    fn run(self) -> Result<()> {
        let lengths = self
            .lengths
            .clone()
            .unwrap_or_else(|| vec![self.seq; self.batch]);
        let (device, _) = self.device.open(Some(&self.model))?;
        let (model, _) = AlbertModel::from_pretrained(&self.model, device, LoadOptions::default())?;
        let vocabulary = model.config().vocab_size as u64;
        if lengths.is_empty() || lengths.contains(&0) {
            bail!("at least one sequence of at least one token");
        }
        // A fixed sequence of token numbers; speed does not depend on them.
        let mut state = 1_u64;
        let mut token = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % vocabulary) as i64
        };
        let sequences: Vec<Vec<i64>> = lengths
            .iter()
            .map(|&n| (0..n).map(|_| token()).collect())
            .collect();
        let inputs = Inputs::from_sequences(&sequences, 0);
        let mut times = Vec::new();
        for round in 0..self.iterations.get() + 2 {
            let start = Instant::now();
            let encoded = model.encode(&inputs)?;
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
        let gflop = operations(model.config(), &lengths) / 1e9;
        let tokens: usize = lengths.iter().sum();
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
