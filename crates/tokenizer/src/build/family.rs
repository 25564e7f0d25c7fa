//! The engines of the SentencePiece family.

use std::sync::Arc;

use super::{Built, around};
use crate::config::{Config, SpecialTokens};
use crate::engine::Engine;
use crate::error::{Error, shown};
use crate::google::Google;
use crate::mode::Mode;
use crate::sentencepiece::SentencePiece;
use crate::slow::{self, Slow, SlowOptions, SlowToken};
use crate::spiece::SpieceModel;
use crate::token::AddedToken;

/// Builds what the mode needs.
pub(super) fn sentencepiece_family(
    model: Arc<SpieceModel>,
    special: SpecialTokens,
    mode: Mode,
    config: &Config,
) -> Result<Built, Error> {
    let base_size = model.pieces.len();
    let inner = Arc::new(SentencePiece::new(model.clone())?);
    let mut added = Vec::new();
    let engine: Arc<dyn Engine> = match mode {
        Mode::HfSlow => {
            let tokens = config.added.iter().map(|(id, token)| (*id, token.clone()));
            added = tokens.filter(|(id, _)| *id as usize >= base_size).collect();
            let options = slow_options(&special, config, &added);
            let slow = Slow::new(inner.clone(), options);
            check_numbers(&slow, base_size, &added)?;
            Arc::new(slow)
        }
        Mode::Google => Arc::new(Google::new(
            inner.clone(),
            config.do_lower_case.unwrap_or(true),
        )),
        _ => inner.clone(),
    };
    Ok(Built {
        template: around(engine.as_ref(), &special),
        engine,
        special,
        added,
        base_size,
        spec: None,
        spiece: Some(model),
        sentencepiece: Some(inner),
        wordpiece: false,
    })
}

fn slow_options(
    special: &SpecialTokens,
    config: &Config,
    added: &[(u32, AddedToken)],
) -> SlowOptions {
    let lowers = config.do_lower_case.unwrap_or(true);
    let named = special.all().into_iter().map(|token| {
        let both = config.strips_both(&token.content);
        SlowToken {
            text: token.content.clone(),
            special: true,
            lstrip: token.lstrip || both,
            rstrip: token.rstrip || both,
        }
    });
    // Others are texts without flags to that release, and take the white space around them.
    let is_special = |content: &str| special.all().iter().any(|token| token.content == content);
    let others = added
        .iter()
        .filter(|(_, token)| !is_special(&token.content));
    let others = others.map(|(_, token)| SlowToken {
        text: token.content.clone(),
        special: false,
        lstrip: true,
        rstrip: true,
    });
    let stored = |content: &str| match lowers && !is_special(content) {
        true => slow::lower_text(content),
        false => content.to_owned(),
    };
    SlowOptions {
        do_lower_case: lowers,
        remove_space: config.remove_space.unwrap_or(true),
        keep_accents: config.keep_accents.unwrap_or(false),
        tokens: named.chain(others).collect(),
        added: added
            .iter()
            .map(|(id, token)| (stored(&token.content), *id))
            .collect(),
    }
}

/// Refuses added tokens whose numbers leave gaps, as transformers does.
fn check_numbers(slow: &Slow, base: usize, added: &[(u32, AddedToken)]) -> Result<(), Error> {
    for (place, (id, token)) in added.iter().enumerate() {
        if *id as usize != base + place {
            return Err(Error::Vocabulary {
                problem: format!(
                    "the added token {} has the number {id}: expected {}, the next one after the \
                     vocabulary; correct added_tokens.json",
                    shown(&token.content),
                    base + place
                ),
            });
        }
    }
    debug_assert!(slow.vocab_size() >= base + added.len());
    Ok(())
}
