//! Text to token numbers, from the tokenizer.json of a model folder.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokenizers::Tokenizer;

/// A tokenizer and the numbers of the tokens that the verbs need.
pub(crate) struct Text {
    tokenizer: Tokenizer,
    mask: Option<i64>,
    pad: i64,
}

/// One encoded text.
pub(crate) struct Tokens {
    pub(crate) ids: Vec<i64>,
    pub(crate) types: Vec<i64>,
}

impl Text {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("{}: no such folder", folder.display());
        }
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            bail!(
                "{} is missing: expected beside config.json, as transformers saves it",
                path.display()
            );
        }
        let mut tokenizer =
            Tokenizer::from_file(&path).map_err(|e| anyhow!("{}: {e}", path.display()))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| anyhow!("{}: {e}", path.display()))?;
        let id = |token| tokenizer.token_to_id(token).map(i64::from);
        let (mask, pad) = (id("[MASK]"), id("<pad>").or(id("[PAD]")).unwrap_or(0));
        Ok(Self {
            mask,
            pad,
            tokenizer,
        })
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Tokens> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|e| anyhow!("cannot tokenize: {e}"))?;
        Ok(Tokens {
            ids: encoding.get_ids().iter().copied().map(i64::from).collect(),
            types: encoding
                .get_type_ids()
                .iter()
                .copied()
                .map(i64::from)
                .collect(),
        })
    }

    pub(crate) fn mask(&self) -> Result<i64> {
        self.mask.context("the tokenizer has no [MASK] token")
    }

    pub(crate) fn pad(&self) -> i64 {
        self.pad
    }

    /// One token as text, without the marker of a word's beginning.
    pub(crate) fn token(&self, id: u32) -> String {
        let piece = self.tokenizer.id_to_token(id).unwrap_or_default();
        piece.replace('\u{2581}', " ").trim_start().to_owned()
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|e| anyhow!("cannot decode: {e}"))
    }
}

/// A text as messages show it: quoted, the first 60 characters.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
