//! Mode `google`: `preprocess_text` and `encode_ids` of google-research/albert's tokenization.py,
//! under Python 3.

use crate::{
    commas::{Commas, Rule},
    engine::{Cache, Engine, Pieces},
    preprocess::Preprocess,
    sampling::Sampler,
    sentencepiece::SentencePiece,
};
use std::sync::Arc;

/// The mode.
pub(crate) struct Google {
    inner: Arc<SentencePiece>,
    preprocess: Preprocess,
    commas: Commas,
}

impl Google {
    /// Google's scripts pass `do_lower_case` on; their default is true.
    pub(crate) fn new(inner: Arc<SentencePiece>, do_lower_case: bool) -> Self {
        Self {
            commas: Commas::new(&inner, Rule::Google),
            preprocess: Preprocess {
                lower_first: false,
                remove_space: true,
                quotes: false,
                strip_accents: true,
                lower: do_lower_case,
            },
            inner,
        }
    }
}

impl Engine for Google {
    fn encode(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        let mut prepared = std::mem::take(&mut cache.prepared);
        self.preprocess.run(text, Some(0), &mut prepared);
        self.commas.pieces(&self.inner, &prepared, None, cache, out);
        cache.prepared = prepared;
    }

    fn encode_ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        let mut prepared = std::mem::take(&mut cache.prepared);
        self.preprocess.run(text, None, &mut prepared);
        self.commas.ids(&self.inner, &prepared.text, cache, out);
        cache.prepared = prepared;
    }

    fn sample(
        &self,
        text: &str,
        sampler: &mut Sampler,
        cache: &mut Cache,
        out: &mut Pieces,
    ) -> bool {
        let mut prepared = std::mem::take(&mut cache.prepared);
        self.preprocess.run(text, Some(0), &mut prepared);
        self.commas
            .pieces(&self.inner, &prepared, Some(sampler), cache, out);
        cache.prepared = prepared;
        true
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.inner.decode(ids, skip_special)
    }

    fn join(&self, tokens: &[&str]) -> String {
        self.inner.decode_pieces(tokens.iter().copied())
    }

    fn token(&self, id: u32) -> Option<&str> {
        self.inner.token(id)
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.inner.id(token)
    }

    fn vocab_size(&self) -> usize {
        self.inner.vocab_size()
    }
}
