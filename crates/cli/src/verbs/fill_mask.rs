//! `albert fill-mask`: the most likely tokens for each [MASK].

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use albert::{AlbertForMaskedLM, Inputs, LoadOptions};
use anyhow::{Context, Result, bail};

use crate::device::DeviceFlags;
use crate::text::{Text, shown};

/// Fill each [MASK] of a text with its most likely tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert fill-mask \"The capital of France is [MASK].\" --model DIR
  albert fill-mask \"One [MASK].\" \"Two [MASK].\" --model DIR --top-k 1
  albert fill-mask \"The capital of France is [MASK].\" --model DIR --json")]
pub(crate) struct FillMask {
    /// Texts, each with one or several [MASK]
    #[arg(required = true)]
    texts: Vec<String>,
    /// Model folder (config.json, model.safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Candidates for each [MASK]
    #[arg(long, value_name = "K", default_value = "5")]
    top_k: NonZeroUsize,
    /// Print one JSON line for each text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

struct Candidate {
    id: u32,
    score: f64,
}

/// The k largest of a softmax, best first; of equal scores the smaller number first.
fn top(logits: &[f32], k: usize) -> Vec<Candidate> {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - highest).exp()).sum();
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let better = |a: &u32, b: &u32| {
        logits[*b as usize]
            .total_cmp(&logits[*a as usize])
            .then(a.cmp(b))
    };
    let k = k.min(order.len());
    order.select_nth_unstable_by(k - 1, better);
    order.truncate(k);
    order.sort_by(better);
    order
        .into_iter()
        .map(|id| Candidate {
            id,
            score: (f64::from(logits[id as usize]) - highest).exp() / sum,
        })
        .collect()
}

impl FillMask {
    pub(crate) fn run(self) -> Result<()> {
        let text = Text::open(&self.model)?;
        let mask = text.mask()?;
        let (model, loaded) = AlbertForMaskedLM::from_pretrained(
            &self.model,
            self.device.open()?,
            LoadOptions::default(),
        )?;
        super::tell(&loaded);
        let mut out = std::io::stdout().lock();
        for input in &self.texts {
            let tokens = text.encode(input)?;
            let masks: Vec<usize> = (0..tokens.ids.len())
                .filter(|&i| tokens.ids[i] == mask)
                .collect();
            if masks.is_empty() {
                bail!(
                    "no [MASK] in {}: write [MASK] where a word is missing",
                    shown(input)
                );
            }
            let inputs = Inputs {
                token_type_ids: Some(tokens.types.clone()),
                ..Inputs::new(1, tokens.ids.len(), tokens.ids.clone())
            };
            let positions: Vec<(usize, usize)> = masks.iter().map(|&s| (0, s)).collect();
            let logits = model
                .logits_at(&inputs, &positions)
                .with_context(|| format!("in {}", shown(input)))?;
            let mut json = Vec::new();
            for (&position, row) in masks.iter().zip(logits.data.chunks_exact(logits.shape[1])) {
                let mut candidates = Vec::new();
                for Candidate { id, score } in top(row, self.top_k.get()) {
                    let mut filled: Vec<u32> = tokens.ids.iter().map(|&id| id as u32).collect();
                    filled[position] = id;
                    let token = text.token(id);
                    let sequence = text.decode(&filled);
                    if self.json {
                        candidates.push(serde_json::json!({ "score": score, "token": id, "token_str": token, "sequence": sequence }));
                    } else {
                        writeln!(out, "{score:.4}  {token:<16} {sequence}")?;
                    }
                }
                json.push(serde_json::Value::Array(candidates));
                if !self.json && masks.len() > 1 && Some(&position) != masks.last() {
                    writeln!(out)?;
                }
            }
            if self.json {
                // One mask: a list; several: a list of lists, as transformers.
                let output = if json.len() == 1 {
                    json.remove(0)
                } else {
                    json.into()
                };
                writeln!(
                    out,
                    "{}",
                    serde_json::json!({ "output": output, "truncated": false, "tokens": tokens.ids.len() })
                )?;
            }
        }
        Ok(())
    }
}
