//! Flags that choose instructions, threads and the form of the weights.

use std::num::NonZeroUsize;
use std::path::Path;

use albert::{Cpu, CpuOptions, Precision, stored_precision};
use albert_kernels::{ISA_NAMES, Isa};
use anyhow::{Context, Result};

use crate::ranks;

/// Where to compute.
#[derive(clap::Args)]
pub(crate) struct DeviceFlags {
    /// Threads; results do not depend on it [default: all cores, of which the processes of mpirun share a machine's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Instruction set (portable, avx2, avx2-vnni, avx512, avx512-vnni, avx512-bf16, amx); results do not depend on it, but for bf16 with amx [default: the best here]
    #[arg(long, env = "ALBERT_ISA", value_name = "NAME", hide_env_values = true, value_parser = isa)]
    isa: Option<Isa>,
}

fn isa(name: &str) -> Result<Isa, String> {
    Isa::from_name(name).ok_or_else(|| {
        let here: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
        let reason = if ISA_NAMES.contains(&name) {
            "this machine does not have it"
        } else {
            "no such instruction set"
        };
        format!("{reason}; here: {}", here.join(", "))
    })
}

impl DeviceFlags {
    pub(crate) fn options(&self) -> CpuOptions {
        let here = CpuOptions::default();
        CpuOptions {
            threads: self
                .threads
                .map_or_else(|| ranks::threads(here.threads), usize::from),
            isa: self.isa.unwrap_or(here.isa),
            ..here
        }
    }

    /// A device whose weights have this form.
    pub(crate) fn open(&self, precision: Precision) -> Result<Cpu> {
        let options = CpuOptions {
            precision,
            ..self.options()
        };
        Cpu::new(options).context("cannot start the threads")
    }
}

/// Where and in which precision to compute: the flags of every verb that runs a model.
#[derive(clap::Args)]
pub(crate) struct ComputeFlags {
    /// Form of the weights and of their products; results do depend on it
    #[arg(long, value_enum, value_name = "TYPE", default_value = "auto")]
    dtype: Dtype,
    #[command(flatten)]
    device: DeviceFlags,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Dtype {
    /// int8 for a folder that `albert quantize` wrote, else f32
    Auto,
    /// 32-bit floating point
    F32,
    /// bfloat16, sums in f32
    Bf16,
    /// 8-bit integers with a scale for each row
    Int8,
}

impl ComputeFlags {
    /// Threads for work that one process does while the others of mpirun wait.
    pub(crate) fn threads_alone(&self) -> NonZeroUsize {
        let given = self
            .device
            .threads
            .and_then(|n| NonZeroUsize::new(n.into()));
        given.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The device for the model of a folder (its config.json may name a precision), or for one inside the program.
    pub(crate) fn open(&self, model: Option<&Path>) -> Result<(Cpu, Precision)> {
        let precision = match (self.dtype, model) {
            (Dtype::Auto, Some(folder)) => stored_precision(folder)?,
            (Dtype::Auto, None) | (Dtype::F32, _) => Precision::F32,
            (Dtype::Bf16, _) => Precision::Bf16,
            (Dtype::Int8, _) => Precision::Int8,
        };
        Ok((self.device.open(precision)?, precision))
    }
}

/// The name of a precision, as in `--dtype`.
pub(crate) fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
        Precision::Int8 => "int8",
    }
}
