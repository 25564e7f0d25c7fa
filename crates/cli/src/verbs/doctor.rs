//! `albert doctor`: what this machine offers and what is used of it; where models of the hub come from.

use std::io::Write;

use albert_hub::Environment;
use albert_kernels::Isa;
use anyhow::Result;

use crate::device::DeviceFlags;
use crate::stream::say;

/// Show the processor's abilities, what is used of them, and where models of the hub are
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

/// What the environment says about models of the hub; nobody is asked.
fn hub() -> serde_json::Map<String, serde_json::Value> {
    let mut facts = serde_json::Map::new();
    let mut fact = |name: &str, value: serde_json::Value| facts.insert(name.to_owned(), value);
    match Environment::of_process() {
        Ok(environment) => {
            fact("cache", environment.cache().display().to_string().into());
            fact("server", environment.endpoint().into());
            fact("offline", environment.offline().is_some().into());
            match environment.has_token() {
                Ok(has) => fact("token", has.into()),
                Err(error) => fact("token", error.to_string().into()),
            };
        }
        Err(error) => {
            fact("error", error.to_string().into());
        }
    }
    facts
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
                    "dtypes": DTYPES, "hub": hub(),
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
        for (name, value) in hub() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "hub {name:<13} {value}")?;
        }
        if options.isa == Isa::PORTABLE {
            say(
                "hint: portable code is many times slower than avx2 or avx512; results are the same",
            );
        }
        Ok(())
    }
}
