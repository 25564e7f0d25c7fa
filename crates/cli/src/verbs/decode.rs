//! `albert decode`: ids to texts, a line for each line.

use albert_tokenizer::{AlbertTokenizer, Invalid, for_each_line};
use anyhow::{Result, bail};

use crate::lines::LineFlags;
use crate::text::shown;

/// Turn each line of token numbers into text
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert decode \"2 23 28 19 3\" --model DIR
  albert decode \"2 23 28 19 3\" \"2 23 3\" --model DIR --skip-special-tokens
  albert decode --model DIR --input numbers.txt --output texts.txt")]
pub(crate) struct Decode {
    /// Lists of numbers, separated by spaces; each is a line
    #[arg(conflicts_with = "input")]
    ids: Vec<String>,
    #[command(flatten)]
    lines: LineFlags,
    /// Leave out [CLS], [SEP] and the other special tokens
    #[arg(long)]
    skip_special_tokens: bool,
}

impl Decode {
    pub(crate) fn run(self) -> Result<()> {
        let tokenizer = self.lines.tokenizer()?;
        let mut input = self.lines.open_input(&self.ids)?;
        let mut output = self.lines.open_output()?;
        let print = |(): &mut (), number: u64, line: &str, out: &mut Vec<u8>| -> Result<()> {
            let ids = parse(&tokenizer, number, line)?;
            out.extend(tokenizer.decode(&ids, self.skip_special_tokens).bytes());
            out.push(b'\n');
            Ok(())
        };
        let threads = self.lines.threads();
        for_each_line(
            &mut *input,
            &mut output,
            threads,
            Invalid::Refuse,
            || (),
            print,
        )?;
        output.finish()
    }
}

fn parse(tokenizer: &AlbertTokenizer, number: u64, line: &str) -> Result<Vec<u32>> {
    let size = tokenizer.vocab_size();
    let mut ids = Vec::new();
    for word in line.split_whitespace() {
        match word.parse::<u32>() {
            Ok(id) if (id as usize) < size => ids.push(id),
            Ok(id) => bail!(
                "line {number}: {id} is not a token: the vocabulary has 0 to {}",
                size - 1
            ),
            Err(_) => bail!(
                "line {number}: {} is not the number of a token: expected numbers separated by spaces",
                shown(word)
            ),
        }
    }
    Ok(ids)
}
