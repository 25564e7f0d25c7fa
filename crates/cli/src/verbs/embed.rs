//! `albert embed`: one vector for each text.

use std::io::Write;
use std::path::PathBuf;

use albert::{AlbertModel, Inputs, Keep, LoadOptions};
use anyhow::{Context, Result};

use crate::device::DeviceFlags;
use crate::text::Text;

/// Turn each text into a vector
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert embed \"A sentence.\" \"Another one.\" --model DIR
  albert embed \"A sentence.\" --model DIR --pooling cls --normalize
  albert embed \"A sentence.\" --model DIR --json")]
pub(crate) struct Embed {
    /// Texts
    #[arg(required = true)]
    texts: Vec<String>,
    /// Model folder (config.json, model.safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// From token vectors to one vector
    #[arg(long, value_enum, default_value = "mean")]
    pooling: Pooling,
    /// Scale each vector to length 1
    #[arg(long)]
    normalize: bool,
    /// Print one JSON line for each text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pooling {
    /// The hidden state of [CLS]
    Cls,
    /// The mean over all tokens
    Mean,
    /// The maximum over all tokens
    Max,
    /// The trained pooler: tanh of a layer over [CLS]
    Pooler,
}

/// Pools hidden states [S, H] of one text.
fn pool(pooling: Pooling, hidden: &[f32], width: usize) -> Vec<f32> {
    let rows = hidden.chunks_exact(width);
    match pooling {
        Pooling::Cls | Pooling::Pooler => hidden[..width].to_vec(),
        Pooling::Max => rows.fold(vec![f32::NEG_INFINITY; width], |top, row| {
            top.iter().zip(row).map(|(a, b)| a.max(*b)).collect()
        }),
        Pooling::Mean => {
            let count = rows.len() as f64;
            let sums = rows.fold(vec![0.0; width], |sum: Vec<f64>, row| {
                sum.iter()
                    .zip(row)
                    .map(|(a, b)| a + f64::from(*b))
                    .collect()
            });
            sums.into_iter().map(|sum| (sum / count) as f32).collect()
        }
    }
}

fn normalize(vector: &mut [f32]) {
    let norm = vector
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
        .max(1e-12);
    for x in vector {
        *x = (f64::from(*x) / norm) as f32;
    }
}

impl Embed {
    pub(crate) fn run(self) -> Result<()> {
        let text = Text::open(&self.model)?;
        let (model, loaded) =
            AlbertModel::from_pretrained(&self.model, self.device.open()?, LoadOptions::default())?;
        if self.pooling == Pooling::Pooler {
            super::tell(&loaded);
        }
        let width = model.config().hidden_size;
        let tokens = self
            .texts
            .iter()
            .map(|input| text.encode(input))
            .collect::<Result<Vec<_>>>()?;
        let mut out = std::io::stdout().lock();
        // Batches of equal order; padding costs nothing.
        for batch in tokens.chunks(32) {
            let ids: Vec<Vec<i64>> = batch.iter().map(|t| t.ids.clone()).collect();
            let inputs = Inputs::from_sequences(&ids, text.pad());
            let output = model.forward(&inputs, None, Keep::default())?;
            for (b, tokens) in batch.iter().enumerate() {
                let mut vector = if self.pooling == Pooling::Pooler {
                    let pooled = output.pooler_output.as_ref().context(
                        "the checkpoint has no pooler: choose --pooling mean, cls or max",
                    )?;
                    pooled.data[b * width..][..width].to_vec()
                } else {
                    pool(
                        self.pooling,
                        &output.last_hidden_state.data[b * inputs.length * width..]
                            [..tokens.ids.len() * width],
                        width,
                    )
                };
                if self.normalize {
                    normalize(&mut vector);
                }
                if self.json {
                    writeln!(
                        out,
                        "{}",
                        serde_json::json!({ "output": vector, "truncated": false, "tokens": tokens.ids.len() })
                    )?;
                } else {
                    let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
                    writeln!(out, "{}", numbers.join(" "))?;
                }
            }
        }
        Ok(())
    }
}
