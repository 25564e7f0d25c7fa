//! Texts as a vocabulary is learned from them: prepared and normalised as the tokenizer will do it.

use crate::error::Error;
use crate::normalizer::Normalizer;
use crate::preprocess::{Prepared, Preprocess};

/// Prepares texts as mode `hf-slow` does, then normalises them as SentencePiece does.
///
/// ```
/// use albert_tokenizer::{TrainingBuffers, TrainingText};
///
/// // No rules of a normaliser, one symbol.
/// let text = TrainingText::new(&[], &["."], true, false)?;
/// let mut buffers = TrainingBuffers::default();
/// assert_eq!(text.normalize("  The Café.\t``Yes'' ", &mut buffers), "▁the▁cafe.▁\"yes\"");
/// # Ok::<(), albert_tokenizer::Error>(())
/// ```
pub struct TrainingText {
    preprocess: Preprocess,
    normalizer: Normalizer,
}

/// Memory for one text after the other.
#[derive(Default)]
pub struct TrainingBuffers {
    prepared: Prepared,
    text: String,
    origins: Vec<usize>,
}

impl TrainingText {
    /// With the rules of a `precompiled_charsmap` (empty for none), and symbols that they leave alone.
    ///
    /// # Errors
    /// The rules are damaged.
    pub fn new(
        charsmap: &[u8],
        symbols: &[&str],
        do_lower_case: bool,
        keep_accents: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            preprocess: Preprocess {
                lower_first: do_lower_case,
                remove_space: true,
                quotes: true,
                strip_accents: !keep_accents,
                lower: do_lower_case,
            },
            normalizer: Normalizer::albert(charsmap, symbols)?,
        })
    }

    /// A text with `▁` for spaces and before the first word; empty where nothing is left of it.
    pub fn normalize<'a>(&self, text: &str, buffers: &'a mut TrainingBuffers) -> &'a str {
        let TrainingBuffers {
            prepared,
            text: out,
            origins,
        } = buffers;
        self.preprocess.run(text, None, prepared);
        self.normalizer.normalize(&prepared.text, out, origins);
        out
    }
}
