//! Flags that choose instructions and threads.

use albert::{Cpu, CpuOptions};
use albert_kernels::{ISA_NAMES, Isa};
use anyhow::{Context, Result, bail};

/// Where to compute.
#[derive(clap::Args)]
pub(crate) struct DeviceFlags {
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set (portable, avx2, avx512); results do not depend on it [default: the best here]
    #[arg(long, env = "ALBERT_ISA", value_name = "NAME", hide_env_values = true)]
    isa: Option<String>,
}

impl DeviceFlags {
    pub(crate) fn options(&self) -> Result<CpuOptions> {
        let mut options = CpuOptions::default();
        if let Some(threads) = self.threads {
            if threads == 0 || threads > 4096 {
                bail!("--threads {threads}: expected 1 to 4096");
            }
            options.threads = threads;
        }
        if let Some(name) = &self.isa {
            let known = ISA_NAMES.contains(&name.as_str());
            options.isa = Isa::from_name(name).with_context(|| {
                let here: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
                let reason = if known { "this machine does not have it" } else { "no such instruction set" };
                format!("--isa {name}: {reason}; here: {}", here.join(", "))
            })?;
        }
        Ok(options)
    }

    pub(crate) fn open(&self) -> Result<Cpu> {
        Cpu::new(self.options()?).context("cannot start the threads")
    }
}

/// Precision of weights and products; only f32 so far.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floating point
    F32,
}
