//! Streams of lines, ids to text, tokens and their numbers, settings.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;

use super::AlbertTokenizer;
use crate::batch;
use crate::cleanup::clean_up;
use crate::config::SpecialTokens;
use crate::error::Error;
use crate::lines::{Invalid, for_each_line, write_ids};
use crate::mode::Mode;
use crate::options::Side;
use crate::token::AddedToken;

/// Streams of lines.
impl AlbertTokenizer {
    /// Reads lines and writes the ids of each as one line, separated by spaces, on `threads`
    /// threads and in bounded memory.
    ///
    /// # Errors
    /// Reading or writing fails, or a line is not UTF-8 and `invalid` refuses that.
    pub fn encode_lines(
        &self,
        input: &mut dyn Read,
        output: &mut dyn Write,
        add_special_tokens: bool,
        threads: NonZeroUsize,
        invalid: Invalid,
    ) -> Result<(), Error> {
        let state = || (self.cache(), Vec::new());
        for_each_line(
            input,
            output,
            threads,
            invalid,
            state,
            |(cache, ids), _, line, out| {
                ids.clear();
                self.encode_ids_with(line, add_special_tokens, cache, ids);
                write_ids(ids, out);
                Ok(())
            },
        )
    }
}

/// Ids to text.
impl AlbertTokenizer {
    /// The text of ids, cleaned up where the tokenizer's files ask for it.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> String {
        self.decode_with(ids, skip_special_tokens, self.cleans_up())
    }

    /// The text of ids. `clean_up` removes the space before punctuation and contractions.
    #[must_use]
    pub fn decode_with(&self, ids: &[u32], skip_special_tokens: bool, clean_up_: bool) -> String {
        let text = self.inner.engine.decode(ids, skip_special_tokens);
        if clean_up_ { clean_up(&text) } else { text }
    }

    /// The texts of many lists of ids, on `threads` threads.
    #[must_use]
    pub fn decode_batch<S: AsRef<[u32]> + Sync>(
        &self,
        lists: &[S],
        skip_special_tokens: bool,
        threads: NonZeroUsize,
    ) -> Vec<String> {
        let decode = |(): &mut (), ids: &S| self.decode(ids.as_ref(), skip_special_tokens);
        batch::map(lists, threads, || (), |()| (), decode)
    }

    /// The text of tokens (`convert_tokens_to_string`), of which some may be no entries of the
    /// vocabulary, such as the surface of an unknown run.
    #[must_use]
    pub fn tokens_to_string<S: AsRef<str>>(&self, tokens: &[S]) -> String {
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        self.inner.engine.join(&tokens)
    }

    /// Whether the vocabulary is WordPiece, where a token tells whether it goes on in a word.
    #[must_use]
    pub fn is_wordpiece(&self) -> bool {
        self.inner.source.wordpiece
    }

    /// Whether [`decode`](Self::decode) cleans up (`clean_up_tokenization_spaces`).
    #[must_use]
    pub fn cleans_up(&self) -> bool {
        let configured = self.inner.config.clean_up_tokenization_spaces;
        match self.inner.mode {
            Mode::HfFast | Mode::Hf5 => configured.unwrap_or(false),
            Mode::HfSlow => configured.unwrap_or(true),
            Mode::Google | Mode::SentencePiece => false,
        }
    }
}

/// Tokens and their numbers.
impl AlbertTokenizer {
    /// The token with this number.
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<&str> {
        self.inner.engine.token(id)
    }

    /// The number of this token.
    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.engine.id(token)
    }

    /// The numbers of tokens; that of the unknown token where the vocabulary has none.
    #[must_use]
    pub fn convert_tokens_to_ids<S: AsRef<str>>(&self, tokens: &[S]) -> Vec<Option<u32>> {
        let unknown = self.unk_token_id();
        let id = |token: &S| self.token_to_id(token.as_ref()).or(unknown);
        tokens.iter().map(id).collect()
    }

    /// The tokens with these numbers; `None` outside the vocabulary.
    #[must_use]
    pub fn convert_ids_to_tokens(&self, ids: &[u32], skip_special: bool) -> Vec<Option<&str>> {
        let special = if skip_special {
            self.all_special_ids()
        } else {
            Vec::new()
        };
        let kept = ids.iter().filter(|id| !special.contains(id));
        kept.map(|id| self.id_to_token(*id)).collect()
    }

    /// All tokens with their numbers, added tokens included.
    #[must_use]
    pub fn get_vocab(&self) -> HashMap<String, u32> {
        let ids = 0..u32::try_from(self.vocab_size()).unwrap_or(u32::MAX);
        let entry = |id| Some((self.id_to_token(id)?.to_owned(), id));
        ids.filter_map(entry).collect()
    }

    /// The largest number + 1, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.engine.vocab_size()
    }

    /// The special tokens and how they are recognised.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special
    }

    /// Numbers of all special tokens that the vocabulary has.
    #[must_use]
    pub fn all_special_ids(&self) -> Vec<u32> {
        let all = self.inner.special.all();
        all.iter()
            .filter_map(|token| self.token_to_id(&token.content))
            .collect()
    }

    fn number(&self, token: Option<&AddedToken>) -> Option<u32> {
        self.token_to_id(&token?.content)
    }

    /// Number of the token before the first sequence.
    #[must_use]
    pub fn cls_token_id(&self) -> Option<u32> {
        self.number(self.inner.special.cls.as_ref())
    }

    /// Number of the token after each sequence.
    #[must_use]
    pub fn sep_token_id(&self) -> Option<u32> {
        self.number(self.inner.special.sep.as_ref())
    }

    /// Number of the token that stands for a gap.
    #[must_use]
    pub fn mask_token_id(&self) -> Option<u32> {
        self.number(self.inner.special.mask.as_ref())
    }

    /// Number of the padding token.
    #[must_use]
    pub fn pad_token_id(&self) -> Option<u32> {
        self.number(self.inner.special.pad.as_ref())
    }

    /// Number of the token for unknown text.
    #[must_use]
    pub fn unk_token_id(&self) -> Option<u32> {
        self.number(self.inner.special.unk.as_ref())
    }
}

/// Settings.
impl AlbertTokenizer {
    /// Whose behaviour this is.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// The most tokens that the model takes; `None`: the files name no limit.
    #[must_use]
    pub fn model_max_length(&self) -> Option<usize> {
        self.inner.config.model_max_length
    }

    /// Where padding goes.
    #[must_use]
    pub fn padding_side(&self) -> Side {
        self.inner.config.padding_side.unwrap_or_default()
    }

    /// Where truncation cuts.
    #[must_use]
    pub fn truncation_side(&self) -> Side {
        self.inner.config.truncation_side.unwrap_or_default()
    }
}
