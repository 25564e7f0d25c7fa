//! `albert vocab add`: a model's folder with more tokens.

use std::collections::HashSet;
use std::path::PathBuf;

use albert::quantize::{Draft, below, encoder_folder};
use albert::vocabulary::{Grown, NewWord, grow_into};
use albert_tokenizer::{AddedToken, AlbertTokenizer, LoadOptions};
use albert_train::lines::open_lines;
use anyhow::{Result, bail};

use crate::hub;
use crate::stream::{Voice, interrupt};
use crate::text::shown;

/// Write a model's folder with more tokens: in the tokenizer, the word table and the masked-LM head
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert vocab add DIR --tokens transformer,tokenizer --output grown
  albert vocab add DIR --file tokens.txt --output grown2 --json
  albert vocab add DIR --tokens [USER],[ITEM] --special --output marked",
    after_help = "\
The row of a new token is the mean of the rows of the pieces that stood for it. Train the model before you use it."
)]
pub(super) struct VocabAdd {
    /// Model in floating point: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Tokens, with commas between them
    #[arg(
        long,
        value_name = "TOKEN,…",
        value_delimiter = ',',
        required_unless_present = "file"
    )]
    tokens: Vec<String>,
    /// Read tokens from FILE, one on each line; they may hold commas and spaces
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Folder to write: new or empty; it appears when it is complete
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// As special tokens, which are found in the text as it is and may be left out when ids become text
    #[arg(long)]
    special: bool,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voice: Voice,
}

impl VocabAdd {
    pub(super) fn run(mut self) -> Result<()> {
        self.checkpoint = hub::folder(&self.checkpoint, self.voice)?;
        if !self.checkpoint.is_dir() {
            bail!(
                "{}: expected the folder of a model",
                self.checkpoint.display()
            );
        }
        let contents = self.contents()?;
        let encoder = encoder_folder(&self.checkpoint)?;
        let old = AlbertTokenizer::from_pretrained(
            below(&self.checkpoint, &encoder),
            LoadOptions::default(),
        )?;
        let mut tokenizer = old.clone();
        let tokens: Vec<AddedToken> = contents
            .iter()
            .map(|content| AddedToken::new(content.as_str(), self.special))
            .collect();
        if self.special {
            tokenizer.add_special_tokens(&tokens)?;
        } else {
            tokenizer.add_tokens(&tokens)?;
        }
        let words = new_words(&old, &tokenizer, &contents);
        if words.is_empty() {
            bail!(
                "tokens: expected at least one that the vocabulary does not have, found {} that it has; there is nothing to add",
                contents.len()
            );
        }
        let draft = interrupt::create_folder(|| Ok(Draft::apart(&self.checkpoint, &self.output)?))?;
        let written = grow_into(&self.checkpoint, draft.path(), &words)
            .map_err(anyhow::Error::from)
            .and_then(|grown| {
                tokenizer.save_pretrained(below(draft.path(), &encoder))?;
                Ok(grown)
            });
        let grown = match written {
            Ok(grown) => grown,
            Err(error) => {
                interrupt::finish_folder(draft, drop);
                return Err(error);
            }
        };
        interrupt::finish_folder(draft, Draft::publish)?;
        self.report(&grown, words.len(), contents.len());
        Ok(())
    }

    /// The tokens, each once.
    fn contents(&self) -> Result<Vec<String>> {
        let mut contents = self.tokens.clone();
        if let Some(token) = contents.iter().find(|token| token.trim().is_empty()) {
            bail!(
                "--tokens: expected texts with commas between them, found {}",
                shown(token)
            );
        }
        if let Some(file) = &self.file {
            let mut lines = open_lines(file)?;
            while let Some(line) = lines.next_line()? {
                if !line.trim().is_empty() {
                    contents.push(line.trim().to_owned());
                }
            }
            if contents.is_empty() {
                bail!(
                    "{}: expected a token on each line, found none",
                    file.display()
                );
            }
        }
        let mut seen = HashSet::new();
        contents.retain(|content| seen.insert(content.clone()));
        Ok(contents)
    }

    fn report(&self, grown: &Grown, new: usize, given: usize) {
        for left in &grown.left_out {
            self.voice.note(format_args!("left out: {left}"));
        }
        if given > new {
            self.voice.note(format_args!(
                "tokens that have a number already, and are found whole now: {}",
                given - new
            ));
        }
        if self.json {
            let line = serde_json::json!({
                "output": self.output,
                "added": new,
                "vocab_size": grown.rows,
                "vocab_size_before": grown.rows_before,
                "tensors": grown.tensors,
            });
            println!("{line}");
        } else {
            let output = self.output.display();
            println!(
                "{output}: {new} tokens more, {} rows instead of {}",
                grown.rows, grown.rows_before
            );
        }
    }
}

/// The tokens that got a new number, with the pieces that stood for them.
fn new_words(old: &AlbertTokenizer, new: &AlbertTokenizer, contents: &[String]) -> Vec<NewWord> {
    let unknown = old.unk_token_id();
    let words = contents.iter().filter_map(|content| {
        let id = new.token_to_id(content)?;
        if old.token_to_id(content).is_some() {
            return None;
        }
        let mut ids = Vec::new();
        old.encode_ids(content, false, &mut ids);
        ids.retain(|id| Some(*id) != unknown);
        Some(NewWord {
            id: id as usize,
            pieces: ids.into_iter().map(|id| id as usize).collect(),
        })
    });
    words.collect()
}
