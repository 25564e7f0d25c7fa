//! The engines of the SentencePiece family without the surface: for the tools that compare them
//! with their references, and for fuzzing.

use crate::{
    Error, SpieceModel,
    engine::{Cache, Engine, Pieces},
    sentencepiece::SentencePiece,
};
use std::sync::Arc;

/// One engine with its memory.
pub struct Raw {
    engine: Box<dyn Engine>,
    cache: Cache,
    pieces: Pieces,
}

impl Raw {
    /// The engine of a mode: `sentencepiece`, `hf-slow`, `hf-slow-keep-accents` or `google`.
    ///
    /// # Errors
    /// The model cannot be used.
    pub fn new(mode: &str, model: SpieceModel) -> Result<Self, Error> {
        let model = Arc::new(model);
        let engine: Box<dyn Engine> = match mode {
            "sentencepiece" => Box::new(SentencePiece::new(model)?),
            _ => {
                return Err(Error::Vocabulary {
                    problem: format!("mode {mode:?}: expected sentencepiece, hf-slow or google"),
                });
            }
        };
        Ok(Self {
            engine,
            cache: Cache::default(),
            pieces: Pieces::default(),
        })
    }

    /// Appends ids.
    pub fn ids(&mut self, text: &str, out: &mut Vec<u32>) {
        self.engine.encode_ids(text, &mut self.cache, out);
    }

    /// Ids, offsets and texts of unknown runs.
    pub fn pieces(&mut self, text: &str) -> &Pieces {
        self.pieces.clear();
        self.engine.encode(text, &mut self.cache, &mut self.pieces);
        &self.pieces
    }

    /// Text of ids.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.engine.decode(ids, skip_special)
    }
}
