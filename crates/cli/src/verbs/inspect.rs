//! `albert inspect`: what a checkpoint holds and whether it fits together.

use std::io::Write;
use std::path::PathBuf;

use albert::config::ModelClass;
use albert::quantize::memory_bytes;
use albert::{AlbertConfig, ModelFolder, Named, Precision, heads_present, tensor_problems};
use anyhow::Result;

use crate::hub;
use crate::stream::Voice;
use crate::verbs::model::configuration;

/// Show a model's family, size and heads, and check its configuration against its tensors
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert inspect DIR
  albert inspect DIR --json
  albert inspect --config albert-xxlarge-v2",
    group(clap::ArgGroup::new("what").required(true).args(["model", "config"]))
)]
pub(crate) struct Inspect {
    /// Model: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(value_name = "DIR|ID")]
    model: Option<PathBuf>,
    /// A configuration alone instead: a file like config.json, or the name of a published model
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "tensors")]
    config: Option<String>,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The lines that a configuration decides.
fn tell_shape(out: &mut impl Write, config: &AlbertConfig) -> Result<()> {
    let parameters = config.parameter_count(ModelClass::ModelWithoutPooler);
    let memory = |precision| megabytes(memory_bytes(config, precision));
    writeln!(
        out,
        "family       {}",
        config.family().unwrap_or("an ALBERT of its own shape")
    )?;
    writeln!(
        out,
        "shape        H {} L {} A {} (D {}) I {} E {}, groups {} x {}, V {} P {}",
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.head_size(),
        config.intermediate_size,
        config.embedding_size,
        config.num_hidden_groups,
        config.inner_group_num,
        config.vocab_size,
        config.max_position_embeddings
    )?;
    writeln!(out, "activation   {}", config.hidden_act)?;
    writeln!(
        out,
        "encoder      {parameters} parameters, in memory {} as f32, {} as bf16, {} as int8",
        memory(Precision::F32),
        memory(Precision::Bf16),
        memory(Precision::Int8)
    )?;
    Ok(())
}

impl Inspect {
    /// What `--config` names: its shape, and the sizes that follow from it.
    fn tell_config(&self) -> Result<()> {
        let config = configuration(self.config.as_deref().unwrap_or_default())?;
        let mut out = std::io::stdout().lock();
        if !self.json {
            return tell_shape(&mut out, &config);
        }
        let parameters = config.parameter_count(ModelClass::ModelWithoutPooler);
        writeln!(
            out,
            "{}",
            serde_json::json!({
                "family": config.family(), "parameters": parameters,
                "parameters_with_pooler": config.parameter_count(ModelClass::Model),
            })
        )?;
        Ok(())
    }

    pub(crate) fn run(self) -> Result<()> {
        let Some(model) = &self.model else {
            return self.tell_config();
        };
        let ModelFolder {
            config,
            report,
            checkpoint,
        } = ModelFolder::open(&hub::folder(model, Voice::default())?)?;
        let named = Named::of(&checkpoint);
        let mut lints: Vec<String> = config
            .lint(named.shapes())
            .iter()
            .map(ToString::to_string)
            .collect();
        lints.extend(tensor_problems(&config, &checkpoint)?);
        let heads = heads_present(&checkpoint);
        let parameters = config.parameter_count(ModelClass::ModelWithoutPooler);
        let memory = |precision| memory_bytes(&config, precision);
        let mut dtypes: Vec<String> = checkpoint.tensors().map(|t| t.dtype.to_string()).collect();
        dtypes.sort();
        dtypes.dedup();
        let mut out = std::io::stdout().lock();
        if self.json {
            let tensors: Vec<_> = checkpoint.tensors().map(|t| serde_json::json!({ "name": t.name, "dtype": t.dtype.to_string(), "shape": t.shape })).collect();
            writeln!(
                out,
                "{}",
                serde_json::json!({
                    "family": config.family(), "architectures": config.architectures, "heads": heads, "parameters": parameters,
                    "file_bytes": checkpoint.total_bytes(), "memory_bytes": parameters * 4,
                    "memory_bytes_bf16": memory(Precision::Bf16), "memory_bytes_int8": memory(Precision::Int8),
                    "quantization": config.quantization().map(|quantization| quantization.version), "dtypes": dtypes, "labels": config.id2label,
                    "names": named.dialect.name(), "unknown_keys": report.unknown, "legacy_keys": report.legacy, "notes": report.notes, "lint": lints, "tensors": tensors,
                })
            )?;
            return Ok(());
        }
        tell_shape(&mut out, &config)?;
        writeln!(
            out,
            "checkpoint   {} tensors, {}, {}",
            checkpoint.tensors().len(),
            megabytes(checkpoint.total_bytes()),
            dtypes.join(" ")
        )?;
        writeln!(out, "names        {}", named.dialect.name())?;
        match config.quantization() {
            Some(quantization) => writeln!(
                out,
                "quantised    int8, version {} (docs/quantization.md)",
                quantization.version
            )?,
            None => writeln!(out, "quantised    no")?,
        }
        writeln!(
            out,
            "class        {}",
            if config.architectures.is_empty() {
                "not named".to_owned()
            } else {
                config.architectures.join(", ")
            }
        )?;
        writeln!(
            out,
            "heads        {}",
            if heads.is_empty() {
                "none".to_owned()
            } else {
                heads.join("; ")
            }
        )?;
        if !config.id2label.is_empty() {
            writeln!(out, "labels       {}", config.id2label.join(", "))?;
        }
        for note in &report.notes {
            writeln!(out, "note         {note}")?;
        }
        for (what, keys) in [
            ("unknown keys", &report.unknown),
            ("legacy keys", &report.legacy),
        ] {
            if !keys.is_empty() {
                writeln!(out, "{what} {}", keys.join(", "))?;
            }
        }
        for lint in &lints {
            writeln!(out, "lint         {lint}")?;
        }
        if lints.is_empty() {
            writeln!(out, "lint         config and tensors agree")?;
        }
        if self.tensors {
            for tensor in checkpoint.tensors() {
                writeln!(
                    out,
                    "{:<5} {:?} {}",
                    tensor.dtype.to_string(),
                    tensor.shape,
                    tensor.name
                )?;
            }
        }
        Ok(())
    }
}
