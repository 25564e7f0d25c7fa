//! SentencePiece's normaliser: rules, spaces, and where each normalised byte comes from.

use crate::{
    Error,
    charsmap::Charsmap,
    spiece::SpieceModel,
    trie::Trie,
    unigram::{PieceKind, char_width},
};

/// What stands for a space in pieces.
pub(crate) const SPACE: &str = "\u{2581}";

/// SentencePiece looks at no more than so many user-defined symbols that start at one place.
const MAX_MATCHES: usize = 64;

/// The normaliser of one model.
pub(crate) struct Normalizer {
    pub charsmap: Charsmap,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub escape_whitespaces: bool,
    pub treat_whitespace_as_suffix: bool,
    /// User-defined symbols pass unchanged.
    symbols: Trie,
}

impl Normalizer {
    /// The normaliser that a model file describes.
    pub(crate) fn new(model: &SpieceModel) -> Result<Self, Error> {
        Ok(Self {
            charsmap: Charsmap::parse(&model.charsmap)?,
            add_dummy_prefix: model.add_dummy_prefix,
            remove_extra_whitespaces: model.remove_extra_whitespaces,
            escape_whitespaces: model.escape_whitespaces,
            treat_whitespace_as_suffix: model.treat_whitespace_as_suffix,
            symbols: Trie::new(
                model
                    .pieces
                    .iter()
                    .enumerate()
                    .filter(|(_, piece)| piece.kind == PieceKind::UserDefined)
                    .map(|(id, piece)| (piece.text.as_bytes(), id as u32)),
            ),
        })
    }

    /// The normaliser of ALBERT's models with these rules and symbols.
    pub(crate) fn albert(charsmap: &[u8], symbols: &[&str]) -> Result<Self, Error> {
        Ok(Self {
            charsmap: Charsmap::parse(charsmap)?,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            treat_whitespace_as_suffix: false,
            symbols: Trie::new(
                (0..)
                    .zip(symbols)
                    .map(|(id, symbol)| (symbol.as_bytes(), id)),
            ),
        })
    }

    /// The rules for decoded text, if the model has any.
    pub(crate) fn denormalizer(model: &SpieceModel) -> Result<Option<Self>, Error> {
        let Some(spec) = &model.denormalizer else {
            return Ok(None);
        };
        Ok(Some(Self {
            charsmap: Charsmap::parse(&spec.charsmap)?,
            add_dummy_prefix: spec.add_dummy_prefix,
            remove_extra_whitespaces: spec.remove_extra_whitespaces,
            escape_whitespaces: spec.escape_whitespaces,
            treat_whitespace_as_suffix: false,
            symbols: Trie::default(),
        }))
    }

    /// The first character or rule of a text that is not empty: bytes eaten, what they become.
    #[inline]
    pub(crate) fn prefix<'a>(&'a self, text: &'a str) -> (usize, &'a str) {
        let mut symbol = 0;
        let mut matches = 0;
        self.symbols.prefixes(text.as_bytes(), |length, _| {
            if matches < MAX_MATCHES {
                symbol = length;
            }
            matches += 1;
        });
        if symbol > 0 {
            return (symbol, &text[..symbol]);
        }
        if let Some(found) = self.charsmap.longest(text) {
            return found;
        }
        let width = text.bytes().next().map_or(0, char_width);
        (width, &text[..width])
    }

    /// Normalises `text` into `out`; `origins` receives for each byte of `out`, and for its end,
    /// the place in `text` that it comes from. Both are empty if nothing of the text is left.
    pub(crate) fn normalize(&self, text: &str, out: &mut String, origins: &mut Vec<usize>) {
        out.clear();
        origins.clear();
        let mut at = 0;
        if self.remove_extra_whitespaces {
            while at < text.len() {
                let (eaten, becomes) = self.prefix(&text[at..]);
                if becomes != " " {
                    break;
                }
                at += eaten;
            }
        }
        if at == text.len() {
            return;
        }
        let space = if self.escape_whitespaces { SPACE } else { " " };
        let add_space = |out: &mut String, origins: &mut Vec<usize>, at: usize| {
            out.push_str(space);
            origins.resize(out.len(), at);
        };
        if !self.treat_whitespace_as_suffix && self.add_dummy_prefix {
            add_space(out, origins, at);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while at < text.len() {
            let (eaten, mut becomes) = self.prefix(&text[at..]);
            if after_space {
                becomes = becomes.trim_start_matches(' ');
            }
            if !becomes.is_empty() {
                for part in becomes.split_inclusive(' ') {
                    match part.strip_suffix(' ') {
                        Some(word) => {
                            out.push_str(word);
                            origins.resize(out.len(), at);
                            add_space(out, origins, at);
                        }
                        None => {
                            out.push_str(part);
                            origins.resize(out.len(), at);
                        }
                    }
                }
                after_space = becomes.ends_with(' ');
            }
            at += eaten;
            if !self.remove_extra_whitespaces {
                after_space = false;
            }
        }
        if self.remove_extra_whitespaces {
            while out.ends_with(space) {
                let length = out.len() - space.len();
                at = origins[length];
                out.truncate(length);
                origins.truncate(length);
            }
        }
        if self.treat_whitespace_as_suffix && self.add_dummy_prefix {
            add_space(out, origins, at);
        }
        origins.push(at);
    }
}
