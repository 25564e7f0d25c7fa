//! Texts as rows of tokens that fit, and rows as padded batches.

use albert::Inputs;
use albert_tokenizer::{
    AlbertTokenizer, EncodeOptions, Encoding, Input, Mode, Strategy, Truncation,
};

use super::Encode;
use crate::error::{Error, Result};

/// Inputs that are tokenized at once.
const AT_ONCE: usize = 4096;

/// One sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) ids: Vec<u32>,
    /// The first token of type 1.
    pub(super) second: usize,
}

impl Row {
    pub(super) fn of(encoding: &Encoding) -> Self {
        let second = encoding.type_ids.iter().position(|&kind| kind == 1);
        Self {
            second: second.unwrap_or(encoding.len()),
            ids: encoding.ids.clone(),
        }
    }
}

/// Sequences, and what pads them.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// Rows that lost tokens.
    pub(super) cut: usize,
    pad: i64,
}

impl Rows {
    pub(super) fn new(tokenizer: &AlbertTokenizer) -> Self {
        Self {
            rows: Vec::new(),
            cut: 0,
            pad: tokenizer.pad_token_id().map_or(0, i64::from),
        }
    }

    /// The rows named, padded on the right to the longest of them.
    pub(super) fn batch(&self, picked: impl Iterator<Item = usize>) -> Inputs {
        let picked: Vec<&Row> = picked.map(|i| &self.rows[i]).collect();
        let ids: Vec<Vec<i64>> = picked
            .iter()
            .map(|row| row.ids.iter().map(|&id| i64::from(id)).collect())
            .collect();
        let inputs = Inputs::from_sequences(&ids, self.pad);
        let mut types = vec![0; inputs.batch * inputs.length];
        for (row, types) in picked
            .iter()
            .zip(types.chunks_exact_mut(inputs.length.max(1)))
        {
            types[row.second..row.ids.len()].fill(1);
        }
        Inputs {
            token_type_ids: Some(types),
            ..inputs
        }
    }
}

/// How a task's inputs are encoded: special tokens and token types as the tokenizer's mode has them.
pub(super) fn options(tokenizer: &AlbertTokenizer) -> EncodeOptions {
    EncodeOptions {
        // transformers 5 leaves them out, so that they are all 0; whoever asks for its manner gets that too.
        return_token_type_ids: Some(tokenizer.mode() != Mode::Hf5),
        ..EncodeOptions::default()
    }
}

/// Encodes texts and pairs, each cut at its end to fit: of a pair, the longer text gives way.
pub(super) fn cut_to_fit(
    tokenizer: &AlbertTokenizer,
    inputs: &[Input<'_>],
    encode: &Encode,
) -> Result<Rows> {
    let least = tokenizer.num_special_tokens_to_add(true) + 2;
    check_length(encode.max_seq_length, least)?;
    let whole = options(tokenizer);
    let cut = EncodeOptions {
        truncation: Truncation {
            strategy: Strategy::LongestFirst,
            max_length: Some(encode.max_seq_length),
            ..Truncation::default()
        },
        ..whole
    };
    let mut rows = Rows::new(tokenizer);
    for inputs in inputs.chunks(AT_ONCE) {
        let encodings = tokenizer.encode_batch(inputs, &whole, encode.threads)?;
        for (encoding, input) in encodings.iter().zip(inputs) {
            if encoding.len() > encode.max_seq_length {
                rows.cut += 1;
                rows.rows.push(Row::of(&tokenizer.encode(input, &cut)?));
            } else {
                rows.rows.push(Row::of(encoding));
            }
        }
    }
    Ok(rows)
}

/// Refuses lengths without room for a text.
pub(super) fn check_length(found: usize, least: usize) -> Result<()> {
    if found < least {
        return Err(Error::input(
            "max_seq_length",
            format!("at least {least}: the special tokens and some text"),
            found,
        ));
    }
    Ok(())
}
