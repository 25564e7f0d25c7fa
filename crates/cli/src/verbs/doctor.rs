//! `albert doctor`: what this machine offers and what is used of it.

use std::io::Write;

use albert_kernels::Isa;
use anyhow::Result;

use crate::device::DeviceFlags;

/// Show the processor's abilities and what is used of them
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert doctor
  albert doctor --json
  ALBERT_ISA=portable albert doctor --threads 1")]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

/// What `--dtype` takes, on every instruction set.
const DTYPES: [&str; 3] = ["f32", "bf16", "int8"];

/// Processor abilities that matter here, and whether this machine has them.
fn abilities() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($name:tt)+) => { vec![$(($name, std::is_x86_feature_detected!($name))),+] };
        }
        detect!("fma" "avx2" "f16c" "avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512bf16" "avx512vnni" "avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

impl Doctor {
    pub(crate) fn run(self) -> Result<()> {
        let options = self.device.options();
        let mut out = std::io::stdout().lock();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sets: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
        if self.json {
            let abilities: serde_json::Map<String, serde_json::Value> = abilities()
                .into_iter()
                .map(|(name, has)| (name.to_owned(), has.into()))
                .collect();
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "version": env!("CARGO_PKG_VERSION"), "architecture": std::env::consts::ARCH, "abilities": abilities,
                    "instruction_sets": sets, "isa": options.isa.name(), "cores": cores, "threads": options.threads,
                    "dtypes": DTYPES,
                })
            )?;
            return Ok(());
        }
        writeln!(
            out,
            "albert {} on {} {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            std::env::consts::OS
        )?;
        for (name, has) in abilities() {
            writeln!(out, "  {name:<12} {}", if has { "yes" } else { "no" })?;
        }
        writeln!(out, "instruction sets  {}", sets.join(", "))?;
        writeln!(out, "used              {}", options.isa.name())?;
        writeln!(
            out,
            "threads           {} of {cores} cores",
            options.threads
        )?;
        writeln!(out, "dtypes            {}", DTYPES.join(", "))?;
        if options.isa == Isa::PORTABLE {
            eprintln!(
                "hint: portable code is many times slower than avx2 or avx512; results are the same"
            );
        }
        Ok(())
    }
}
