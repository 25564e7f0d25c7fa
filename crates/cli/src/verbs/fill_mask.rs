//! `albert fill-mask`: the most likely tokens for each [MASK].

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use albert::{AlbertForMaskedLM, Cpu, Inputs, LoadOptions};
use anyhow::{Result, bail};

use crate::stream::{Field, Given, Job, Long, Output, Record, Reply, Task, TextFlags};
use crate::text::{Text, shown};

/// Fill each [MASK] of a text with its most likely tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert fill-mask \"The capital of France is [MASK].\" --model DIR
  albert fill-mask \"One [MASK].\" \"Two [MASK].\" --model DIR --top-k 1
  albert fill-mask --input masks.txt --model DIR --json")]
pub(crate) struct FillMask {
    /// Texts, each with one or several [MASK]; without any, they come from --input or stdin
    texts: Vec<String>,
    /// Model folder (config.json, model.safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Candidates for each [MASK]
    #[arg(long, value_name = "K", default_value = "5")]
    top_k: NonZeroUsize,
    #[command(flatten)]
    flags: TextFlags,
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

/// The candidates of one [MASK], as transformers gives them.
#[derive(serde::Serialize)]
struct Filled {
    score: f64,
    token: u32,
    token_str: String,
    sequence: String,
}

/// The answer to a text: a list for each [MASK].
struct Answer(Vec<Vec<Filled>>);

impl serde::Serialize for Answer {
    /// One mask: a list; several: a list of lists, as transformers.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = |candidates: &Vec<Filled>| {
            let line = |c: &Filled| format!("{:.4}  {:<16} {}", c.score, c.token_str, c.sequence);
            candidates.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let masks: Vec<String> = self.0.iter().map(mask).collect();
        f.write_str(&masks.join("\n\n"))
    }
}

struct Filler {
    text: Text,
    model: AlbertForMaskedLM<Cpu>,
    mask: i64,
    top_k: usize,
    long: Long,
}

impl Filler {
    fn fill(&self, input: &str) -> Result<Reply> {
        let limit = self.model.config().max_position_embeddings;
        let tokens = self.text.encode(input, None, limit, self.long)?;
        let masks: Vec<usize> = (0..tokens.ids.len())
            .filter(|&i| tokens.ids[i] == self.mask)
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
        let logits = self.model.logits_at(&inputs, &positions)?;
        let rows = logits.data.chunks_exact(logits.shape[1]);
        let filled = masks.iter().zip(rows).map(|(&position, row)| {
            let candidates = top(row, self.top_k).into_iter();
            let candidate = |Candidate { id, score }| {
                let mut filled: Vec<u32> = tokens.ids.iter().map(|&id| id as u32).collect();
                filled[position] = id;
                Filled {
                    score,
                    token: id,
                    token_str: self.text.token(id),
                    sequence: self.text.decode(&filled),
                }
            };
            candidates.map(candidate).collect()
        });
        Ok(Reply {
            output: Output::value(Answer(filled.collect())),
            truncated: tokens.truncated,
            tokens: tokens.ids.len(),
        })
    }
}

impl Task for Filler {
    fn run(&mut self, inputs: &[Record]) -> Vec<Result<Reply>> {
        let fill = |input: &Record| self.fill(input.text(0).unwrap_or_default());
        inputs.iter().map(fill).collect()
    }
}

impl FillMask {
    pub(crate) fn run(self) -> Result<()> {
        let given = Given::default().texts("<TEXTS>", self.texts);
        let job = Job::open(&[Field::TEXT], given, false, &self.flags)?;
        let text = Text::open(&self.model)?;
        let device = self.flags.device.open()?;
        let (model, loaded) =
            AlbertForMaskedLM::from_pretrained(&self.model, device, LoadOptions::default())?;
        super::tell(&loaded, self.flags.voice);
        super::describe(&self.model, &self.flags);
        job.run(&mut Filler {
            mask: text.mask()?,
            text,
            model,
            top_k: self.top_k.get(),
            long: super::long(&self.flags, Long::Error)?,
        })
    }
}
