//! `albert embed`: one vector for each text. `similarity` compares two.

use albert::pipeline::{self, EmbedOptions, PoolingMode};
use anyhow::Result;

use super::{ModelFlags, Opened, PairFlags, Work, flag, replies};
use crate::stream::{Job, Long, Output, Record, TextFlags, usage};

/// Turn each text into a vector
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert embed \"A sentence.\" \"Another one.\" --json
  albert embed \"A sentence.\" --model DIR --pooling cls --normalize
  albert embed --input texts.txt --model DIR --output vectors.npy")]
pub(crate) struct Embed {
    #[command(flatten)]
    texts: PairFlags,
    #[command(flatten)]
    vectors: VectorFlags,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    flags: TextFlags,
}

/// How vectors are made.
#[derive(clap::Args)]
pub(super) struct VectorFlags {
    /// From token vectors to one vector [default: as the folder's modules.json says, else mean]
    #[arg(long, value_enum, value_name = "HOW")]
    pooling: Option<PoolingName>,
    /// Scale each vector to length 1 [default: as modules.json says, else not]
    #[arg(long, conflicts_with = "no_normalize")]
    normalize: bool,
    /// Leave the vectors as long as they are
    #[arg(long)]
    no_normalize: bool,
    /// Put this before each text
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Put a prompt of the model before each text, by its name
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    prompt_name: Option<String>,
    /// Keep the first N numbers of each vector
    #[arg(long, value_name = "N")]
    dimensions: Option<std::num::NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PoolingName {
    /// The mean over all tokens
    Mean,
    /// The hidden state of [CLS]
    Cls,
    /// The maximum over all tokens
    Max,
    /// The trained pooler: tanh of a layer over [CLS]
    Pooler,
    /// The sum over all tokens, divided by the square root of their number
    MeanSqrtLen,
    /// The mean, later tokens weighing more
    WeightedMean,
    /// The hidden state of the last token
    LastToken,
}

impl From<PoolingName> for PoolingMode {
    fn from(name: PoolingName) -> Self {
        match name {
            PoolingName::Mean => Self::Mean,
            PoolingName::Cls => Self::Cls,
            PoolingName::Max => Self::Max,
            PoolingName::Pooler => Self::Pooler,
            PoolingName::MeanSqrtLen => Self::MeanSqrtLen,
            PoolingName::WeightedMean => Self::WeightedMean,
            PoolingName::LastToken => Self::LastToken,
        }
    }
}

impl VectorFlags {
    /// The model that makes vectors, and how it is asked.
    pub(super) fn open(
        &self,
        model: &ModelFlags,
        flags: &TextFlags,
    ) -> Result<(pipeline::Embed, EmbedOptions)> {
        let (
            Opened {
                model: encoder,
                tokenizer,
            },
            modules,
        ) = model.open_encoder(flags)?;
        let prompt = match &self.prompt_name {
            None => self.prompt.clone(),
            Some(name) => Some(modules.prompts.get(name).cloned().ok_or_else(|| {
                let names: Vec<&str> = modules.prompts.keys().map(String::as_str).collect();
                let known = if names.is_empty() {
                    "the model has no prompts".to_owned()
                } else {
                    format!("the model has {}", names.join(", "))
                };
                usage(format!("--prompt-name {name}: {known}"))
            })?),
        };
        let options = EmbedOptions {
            pooling: self.pooling.map(Into::into),
            normalize: match (self.normalize, self.no_normalize) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            prompt,
            dimensions: self.dimensions.map(Into::into),
            limits: model.limits(flags, Long::Error),
        };
        let embed = pipeline::Embed::new(encoder, tokenizer, modules)?;
        embed.run_batch(&[], &options).map_err(flag)?;
        Ok((embed, options))
    }
}

impl Embed {
    pub(crate) fn run(self) -> Result<()> {
        let given = self.texts.given();
        let job = Job::open(&PairFlags::FIELDS, given, true, &self.flags)?;
        let (embed, options) = self.vectors.open(&self.model, &self.flags)?;
        let width = embed.width(&options);
        let run = |inputs: &[Record]| {
            let texts: Vec<_> = inputs.iter().map(Record::text_and_pair).collect();
            replies(
                embed.run_batch(&texts, &options),
                inputs.len(),
                Output::Vector,
            )
        };
        job.run(&mut Work { run, width })
    }
}
