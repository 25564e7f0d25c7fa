//! Flags that choose instructions and threads.

use albert::{Cpu, CpuOptions};
use albert_kernels::{ISA_NAMES, Isa};
use anyhow::{Context, Result};

/// Where to compute.
#[derive(clap::Args)]
pub(crate) struct DeviceFlags {
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Instruction set (portable, avx2, avx512); results do not depend on it [default: the best here]
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
            threads: self.threads.map_or(here.threads, usize::from),
            isa: self.isa.unwrap_or(here.isa),
            ..here
        }
    }

    pub(crate) fn open(&self) -> Result<Cpu> {
        Cpu::new(self.options()).context("cannot start the threads")
    }
}

/// Precision of weights and products; only f32 so far.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floating point
    F32,
}
