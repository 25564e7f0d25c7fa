//! A word to pieces: Unigram or WordPiece.

use crate::{
    Error, json,
    unigram::{Piece, PieceKind, Scratch, Unigram},
    wordpiece::WordPiece,
};

/// The model of a pipeline.
pub(crate) enum Model {
    Unigram {
        unigram: Unigram,
        /// Number of unknown text.
        unk: u32,
        /// Numbers of `<0x00>` … `<0xFF>` where unknown text becomes bytes.
        bytes: Option<Box<[Option<u32>; 256]>>,
    },
    WordPiece(WordPiece),
}

impl Model {
    /// Scores are rounded as the library's JSON reader does it, unless `exact_scores`.
    pub(crate) fn new(spec: &json::Model, exact_scores: bool) -> Result<Self, Error> {
        match spec {
            json::Model::WordPiece(spec) => WordPiece::new(spec).map(Self::WordPiece),
            json::Model::Unigram(spec) => {
                let pieces = spec
                    .vocab
                    .iter()
                    .enumerate()
                    .map(|(i, (text, score))| Piece {
                        text: text.as_str().into(),
                        score: match exact_scores {
                            true => *score,
                            false => library_score(*score),
                        },
                        kind: match i == spec.unk_id as usize {
                            true => PieceKind::Unknown,
                            false => PieceKind::Normal,
                        },
                    });
                let unigram = Unigram::tokenizers(pieces.collect(), Some(spec.unk_id))?;
                let byte = |b: usize| unigram.id(&format!("<0x{b:02X}>"));
                let bytes = Box::new(std::array::from_fn(byte));
                Ok(Self::Unigram {
                    bytes: spec.byte_fallback.then_some(bytes),
                    unk: spec.unk_id,
                    unigram,
                })
            }
        }
    }

    /// Calls `emit(start, end, id, named)` for each piece of a word; `named`: the vocabulary has
    /// the piece's text.
    pub(crate) fn encode(
        &self,
        word: &str,
        scratch: &mut Scratch,
        mut emit: impl FnMut(usize, usize, u32, bool),
    ) {
        let (unigram, unk, bytes) = match self {
            Self::WordPiece(model) => return model.encode(word, emit),
            Self::Unigram {
                unigram,
                unk,
                bytes,
            } => (unigram, *unk, bytes),
        };
        // Fails only without an unknown piece, which there is.
        unigram.encode_f64(word, scratch, |start, end, id| {
            let id = id.unwrap_or(unk);
            let text = &word[start..end];
            if id != unk || self.token(id) == Some(text) {
                return emit(start, end, id, true);
            }
            if let Some(bytes) = bytes
                && text.bytes().all(|b| bytes[usize::from(b)].is_some())
            {
                for id in text.bytes().filter_map(|b| bytes[usize::from(b)]) {
                    emit(start, end, id, true);
                }
                return;
            }
            emit(start, end, id, false);
        });
    }

    pub(crate) fn token(&self, id: u32) -> Option<&str> {
        match self {
            Self::Unigram { unigram, .. } => unigram.pieces.get(id as usize).map(|p| &*p.text),
            Self::WordPiece(model) => model.token(id),
        }
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Unigram { unigram, .. } => unigram.id(token),
            Self::WordPiece(model) => model.id(token),
        }
    }

    /// Number of entries, from which the library counts on for added tokens.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Unigram { unigram, .. } => unigram.pieces.len(),
            Self::WordPiece(model) => model.len(),
        }
    }

    /// Largest id + 1.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Unigram { unigram, .. } => unigram.pieces.len(),
            Self::WordPiece(model) => model.size(),
        }
    }
}

/// The number that the library's JSON reader makes of the shortest text of `score`.
///
/// serde_json without its feature `float_roundtrip`, as in the published wheels of tokenizers,
/// takes the digits as a whole number and divides it by a power of ten: two roundings, so that a
/// quarter of ALBERT's scores come out one unit in the last place off. Where two cuts of a word
/// have equal scores this decides between them, so it is part of the behaviour.
fn library_score(score: f64) -> f64 {
    let text = format!("{score:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return score;
    };
    let fraction = digits.split_once('.').map_or(0, |(_, f)| f.len());
    let whole: String = digits.chars().filter(char::is_ascii_digit).collect();
    let (Ok(whole), Ok(exponent)) = (whole.parse::<u64>(), exponent.parse::<i32>()) else {
        return score;
    };
    let exponent = exponent - fraction as i32;
    // Powers up to 1e308 are exact to the last place in its table, as they are in literals.
    let Ok(power) = format!("1e{}", exponent.unsigned_abs()).parse::<f64>() else {
        return score;
    };
    let value = match exponent < 0 {
        true => whole as f64 / power,
        false => whole as f64 * power,
    };
    match value.is_finite() {
        true => value.copysign(score),
        false => score,
    }
}

#[cfg(test)]
mod tests {
    use super::library_score;

    #[test]
    fn rounds_as_the_wheels_do() {
        // Read and written by tokenizers 0.23.3 for Python.
        assert_eq!(library_score(-3.8403830528259277), -3.840383052825928);
        assert_eq!(library_score(-7.3909687995910645), -7.390968799591064);
        for same in [0.0, -1.5, -2.25, 1e300, 1e-300, -13.0] {
            assert_eq!(library_score(same), same);
        }
    }
}
