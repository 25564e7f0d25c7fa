//! `albert embed`: one vector for each text.

use std::path::PathBuf;

use albert::{AlbertModel, Cpu, Inputs, Keep, LoadOptions};
use anyhow::{Context, Result, anyhow};

use crate::stream::{Field, Given, Job, Long, Output, Record, Reply, Task, TextFlags};
use crate::text::{Text, Tokens};

/// Turn each text into a vector
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert embed \"A sentence.\" \"Another one.\" --model DIR
  albert embed \"A sentence.\" --model DIR --pooling cls --normalize --json
  albert embed --input texts.txt --model DIR --output vectors.npy")]
pub(crate) struct Embed {
    /// Texts; without any, they come from --input or stdin
    texts: Vec<String>,
    /// The second text of a pair; the k-th belongs to the k-th text
    #[arg(long = "pair", value_name = "TEXT")]
    pairs: Vec<String>,
    /// Model folder (config.json, model.safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// From token vectors to one vector
    #[arg(long, value_enum, default_value = "mean")]
    pooling: Pooling,
    /// Scale each vector to length 1
    #[arg(long)]
    normalize: bool,
    #[command(flatten)]
    flags: TextFlags,
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

struct Embedder {
    text: Text,
    model: AlbertModel<Cpu>,
    pooling: Pooling,
    normalize: bool,
    long: Long,
    batch_tokens: usize,
}

impl Embedder {
    /// The vectors of one batch.
    fn batch(&self, batch: &[&Tokens]) -> Result<Vec<Vec<f32>>> {
        let width = self.width();
        let ids: Vec<Vec<i64>> = batch.iter().map(|tokens| tokens.ids.clone()).collect();
        let mut inputs = Inputs::from_sequences(&ids, self.text.pad());
        let mut types = vec![0; inputs.batch * inputs.length];
        for (row, tokens) in types.chunks_exact_mut(inputs.length).zip(batch) {
            row[..tokens.types.len()].copy_from_slice(&tokens.types);
        }
        inputs.token_type_ids = Some(types);
        let output = self.model.forward(&inputs, None, Keep::default())?;
        let hidden = &output.last_hidden_state.data;
        let vector = |(b, tokens): (usize, &&Tokens)| -> Result<Vec<f32>> {
            let mut vector = if self.pooling == Pooling::Pooler {
                let pooled = output.pooler_output.as_ref();
                let none = "the checkpoint has no pooler: choose --pooling mean, cls or max";
                pooled.context(none)?.data[b * width..][..width].to_vec()
            } else {
                let rows = &hidden[b * inputs.length * width..][..tokens.ids.len() * width];
                pool(self.pooling, rows, width)
            };
            if self.normalize {
                normalize(&mut vector);
            }
            Ok(vector)
        };
        batch.iter().enumerate().map(vector).collect()
    }
}

impl Task for Embedder {
    fn run(&mut self, inputs: &[Record]) -> Vec<Result<Reply>> {
        let limit = self.model.config().max_position_embeddings;
        let encode = |input: &Record| {
            let (text, pair) = (input.text(0).unwrap_or_default(), input.text(1));
            self.text.encode(text, pair, limit, self.long)
        };
        let tokens: Vec<Result<Tokens>> = inputs.iter().map(encode).collect();
        let good: Vec<&Tokens> = tokens.iter().flatten().collect();
        let mut vectors = Vec::new();
        let mut rest = &good[..];
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = |tokens: &&&Tokens| {
                sum += tokens.ids.len();
                sum <= self.batch_tokens
            };
            let (batch, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = after;
            match self.batch(batch) {
                Ok(found) => vectors.extend(found.into_iter().map(Ok)),
                Err(error) => vectors.extend(batch.iter().map(|_| Err(anyhow!("{error:#}")))),
            }
        }
        let mut vectors = vectors.into_iter();
        let reply = |tokens: Result<Tokens>| {
            let tokens = tokens?;
            Ok(Reply {
                output: Output::Vector(vectors.next().expect("one for each")?),
                truncated: tokens.truncated,
                tokens: tokens.ids.len(),
            })
        };
        tokens.into_iter().map(reply).collect()
    }

    fn width(&self) -> usize {
        self.model.config().hidden_size
    }
}

impl Embed {
    pub(crate) fn run(self) -> Result<()> {
        let given = Given::default()
            .texts("<TEXTS>", self.texts)
            .texts("--pair", self.pairs);
        let job = Job::open(&[Field::TEXT, Field::PAIR], given, true, &self.flags)?;
        let text = Text::open(&self.model)?;
        let device = self.flags.device.open()?;
        let (model, loaded) =
            AlbertModel::from_pretrained(&self.model, device, LoadOptions::default())?;
        if self.pooling == Pooling::Pooler {
            super::tell(&loaded, self.flags.voice);
        }
        super::describe(&self.model, &self.flags);
        job.run(&mut Embedder {
            text,
            model,
            pooling: self.pooling,
            normalize: self.normalize,
            long: super::long(&self.flags, Long::Error)?,
            batch_tokens: self.flags.batch_tokens(),
        })
    }
}
