//! `albert vocab`: vocabularies, learned from text or given more tokens.

mod add;
mod train;

use anyhow::Result;

/// Learn a vocabulary from text, or add tokens to a model's
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert vocab train corpus.txt --output words --vocab-size 1000
  albert vocab train a.txt.gz b.txt.zst --output both --vocab-size 1000
  albert vocab add DIR --tokens transformer,tokenizer --output more")]
pub(crate) struct Vocab {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Train(Box<train::VocabTrain>),
    Add(add::VocabAdd),
}

impl Vocab {
    pub(crate) fn run(self) -> Result<()> {
        match self.what {
            What::Train(verb) => verb.run(),
            What::Add(verb) => verb.run(),
        }
    }
}
