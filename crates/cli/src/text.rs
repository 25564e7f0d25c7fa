//! Texts and tokens of the verbs that run a model.

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, EncodeOptions, LoadOptions, Truncation};
use anyhow::{Context, Result, bail};

use crate::stream::Long;

/// A tokenizer and the numbers of the tokens that the verbs need.
pub(crate) struct Text {
    tokenizer: AlbertTokenizer,
}

/// One encoded text.
pub(crate) struct Tokens {
    pub(crate) ids: Vec<i64>,
    pub(crate) types: Vec<i64>,
    /// Whether a part of the text was left out.
    pub(crate) truncated: bool,
}

impl Text {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("{}: no such folder", folder.display());
        }
        let tokenizer = AlbertTokenizer::from_pretrained(folder, LoadOptions::default())?;
        Ok(Self { tokenizer })
    }

    /// Encodes a text or a pair in at most `limit` tokens.
    pub(crate) fn encode(
        &self,
        text: &str,
        pair: Option<&str>,
        limit: usize,
        long: Long,
    ) -> Result<Tokens> {
        let mut options = EncodeOptions {
            return_token_type_ids: Some(true),
            ..EncodeOptions::default()
        };
        let encode = |options: &EncodeOptions| match pair {
            Some(pair) => self.tokenizer.encode((text, pair), options),
            None => self.tokenizer.encode(text, options),
        };
        let mut encoding = encode(&options)?;
        let found = encoding.ids.len();
        let truncated = found > limit;
        if truncated && long == Long::Error {
            bail!(
                "too long: expected at most {limit} tokens in a sequence, found {found}: truncate or split the text (--long truncate leaves out its end)"
            );
        }
        if truncated {
            options.truncation = Truncation::to(limit);
            encoding = encode(&options)?;
        }
        let wide = |list: &[u32]| list.iter().copied().map(i64::from).collect();
        Ok(Tokens {
            ids: wide(&encoding.ids),
            types: wide(&encoding.type_ids),
            truncated,
        })
    }

    pub(crate) fn mask(&self) -> Result<i64> {
        let id = self.tokenizer.mask_token_id().map(i64::from);
        id.context("the tokenizer has no [MASK] token")
    }

    pub(crate) fn pad(&self) -> i64 {
        self.tokenizer.pad_token_id().map_or(0, i64::from)
    }

    /// One token as text, without the marker of a word's beginning.
    pub(crate) fn token(&self, id: u32) -> String {
        let piece = self.tokenizer.id_to_token(id).unwrap_or_default();
        piece.replace('\u{2581}', " ").trim_start().to_owned()
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true)
    }
}

/// A text as messages show it: quoted, the first 60 characters.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
