//! `albert tokenize`: texts to ids, a line for each line.

use albert_tokenizer::{EncodeOptions, Encoding, Invalid, for_each_line};
use anyhow::Result;

use crate::lines::LineFlags;

/// Turn each line of text into the numbers of its tokens
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert tokenize \"The capital of France is Paris.\" --model DIR
  albert tokenize \"The capital of France is Paris.\" --model DIR --mode hf5 --json
  albert tokenize --model DIR --input texts.txt --output ids.txt --no-special-tokens")]
pub(crate) struct Tokenize {
    /// Texts; each is a line
    #[arg(conflicts_with = "input")]
    texts: Vec<String>,
    #[command(flatten)]
    lines: LineFlags,
    /// Leave out [CLS] and [SEP]
    #[arg(long)]
    no_special_tokens: bool,
    /// Print a JSON object for each line: tokens, ids, offsets in code points, token types, masks
    #[arg(long)]
    json: bool,
    /// Replace bytes that are not UTF-8 by U+FFFD instead of refusing them
    #[arg(long)]
    lossy: bool,
}

impl Tokenize {
    pub(crate) fn run(self) -> Result<()> {
        let tokenizer = self.lines.tokenizer()?;
        let mut input = self.lines.open_input(&self.texts)?;
        let mut output = self.lines.open_output()?;
        let (special, threads) = (!self.no_special_tokens, self.lines.threads());
        let invalid = if self.lossy {
            Invalid::Replace
        } else {
            Invalid::Refuse
        };
        let out = &mut output;
        if self.json {
            let options = EncodeOptions {
                add_special_tokens: special,
                ..EncodeOptions::default()
            };
            let print = |(): &mut (), _, line: &str, out: &mut Vec<u8>| -> Result<()> {
                let encoding = tokenizer.encode(line, &options)?;
                serde_json::to_writer(&mut *out, &json(&encoding, line))?;
                out.push(b'\n');
                Ok(())
            };
            for_each_line(&mut *input, out, threads, invalid, || (), print)?;
        } else {
            tokenizer.encode_lines(&mut *input, out, special, threads, invalid)?;
        }
        output.finish()
    }
}

/// Token types are left out where the tokenizer leaves them out (mode hf5).
fn json(encoding: &Encoding, line: &str) -> serde_json::Value {
    let mut value = serde_json::json!({
        "tokens": encoding.tokens(),
        "ids": encoding.ids,
        "offsets": encoding.char_offsets(line),
    });
    if encoding.type_ids.len() == encoding.len() {
        value["type_ids"] = serde_json::json!(encoding.type_ids);
    }
    value["attention_mask"] = serde_json::json!(encoding.attention_mask);
    value["special_tokens_mask"] = serde_json::json!(encoding.special_tokens_mask);
    value
}
