//! More tokens for a tokenizer that is loaded: numbers and order as transformers gives them.

use std::sync::Mutex;

use crate::build::{self, Built};
use crate::error::Error;
use crate::files::Source;
use crate::mode::Mode;
use crate::slow::lower_text;
use crate::token::AddedToken;
use crate::tokenizer::{AlbertTokenizer, Inner};

impl AlbertTokenizer {
    /// Adds tokens that are recognised as a whole, and returns how many are new. A text that the
    /// vocabulary has keeps its number; others get the next ones. Clones made before stay as they
    /// are.
    ///
    /// # Errors
    /// The mode knows no added tokens (`google`, `sentencepiece`).
    pub fn add_tokens(&mut self, tokens: &[AddedToken]) -> Result<usize, Error> {
        self.grow(tokens, false)
    }

    /// As [`add_tokens`](Self::add_tokens), for tokens that decoding may leave out; they join
    /// [`SpecialTokens::additional`](crate::SpecialTokens::additional).
    ///
    /// # Errors
    /// As [`add_tokens`](Self::add_tokens).
    pub fn add_special_tokens(&mut self, tokens: &[AddedToken]) -> Result<usize, Error> {
        self.grow(tokens, true)
    }

    fn grow(&mut self, tokens: &[AddedToken], special: bool) -> Result<usize, Error> {
        let inner = self.inner();
        let slow = inner.mode == Mode::HfSlow;
        let lowers = slow && !special && inner.config.do_lower_case.unwrap_or(true);
        let mut added = inner.added.clone();
        let mut specials = inner.special.clone();
        let mut next = u32::try_from(self.vocab_size()).unwrap_or(u32::MAX);
        let mut new = 0;
        for token in tokens.iter().filter(|token| !token.content.is_empty()) {
            let mut token = token.clone();
            token.special |= special;
            if lowers {
                token.content = lower_text(&token.content);
            }
            if special
                && specials
                    .all()
                    .iter()
                    .all(|known| known.content != token.content)
            {
                specials.additional.push(token.clone());
            }
            let known = added
                .iter()
                .position(|(_, known)| known.content == token.content);
            let same = known.is_some_and(|place| added[place].1 == token);
            // Once special, a token stays so for decoding.
            token.special |= known.is_some_and(|place| added[place].1.special);
            match (known, self.token_to_id(&token.content)) {
                (Some(_), _) if same => {}
                (Some(_), _) if slow => {}
                (Some(place), _) => {
                    added[place].1 = token;
                    new += 1;
                }
                // Python's class adds what its vocabulary lacks, nothing else.
                (None, Some(_)) if slow => {}
                (None, Some(id)) => {
                    added.push((id, token));
                    new += 1;
                }
                (None, None) => {
                    added.push((next, token));
                    next = next.saturating_add(1);
                    new += 1;
                }
            }
        }
        let Built {
            engine,
            template: _,
            special,
            spec,
            spiece,
            sentencepiece,
            wordpiece,
            added,
            base_size,
        } = build::with_added(inner, specials, added)?;
        let mut config = inner.config.clone();
        if slow {
            config.added = added.iter().cloned().collect();
        }
        *self = Self::new(Inner {
            mode: inner.mode,
            engine,
            template: inner.template.clone(),
            special,
            config,
            source: Source {
                spec,
                spiece,
                wordpiece,
                changed: true,
                ..inner.source.clone()
            },
            sentencepiece,
            added,
            base_size,
            caches: Mutex::new(Vec::new()),
        });
        Ok(new)
    }
}
