//! The section `model`, read without an intermediate tree since it is most of the file.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Vocabulary and search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    Unigram(UnigramSpec),
    WordPiece(WordPieceSpec),
}

/// A unigram vocabulary; the number of a piece is its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnigramSpec {
    pub unk_id: u32,
    pub vocab: Vec<(String, f64)>,
    pub byte_fallback: bool,
}

/// A WordPiece vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WordPieceSpec {
    pub unk_token: String,
    pub continuing_subword_prefix: String,
    pub max_input_chars_per_word: usize,
    /// Token and number, in file order.
    pub vocab: Vec<(String, u32)>,
}

/// The fields as they stand in the file, before it is clear which model they make.
#[derive(Default)]
pub(super) struct RawModel {
    kind: Option<String>,
    unk_id: Option<u64>,
    byte_fallback: Option<bool>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<u64>,
    vocab: Option<RawVocab>,
    unknown: Option<String>,
}

enum RawVocab {
    List(Vec<(String, f64)>),
    Map(Vec<(String, u32)>),
}

impl RawModel {
    /// The model, or what is wrong with it.
    pub(super) fn finish(self) -> Result<Model, String> {
        let kind = match (self.kind.as_deref(), &self.vocab) {
            (Some(kind), _) => kind,
            // Files before release 0.9 name no type; the library tells them apart by their fields.
            (None, Some(RawVocab::List(_))) => "Unigram",
            (None, Some(RawVocab::Map(_))) if self.continuing_subword_prefix.is_some() => {
                "WordPiece"
            }
            (None, _) => return Err("\"type\" is missing and the fields fit no known model".into()),
        };
        let unknown = |known: &str| match &self.unknown {
            None => Ok(()),
            Some(key) => Err(format!(
                "unknown key {} in a model of type {kind}: known are {known}",
                crate::error::shown(key)
            )),
        };
        match kind {
            "Unigram" => {
                unknown("type, unk_id, vocab, byte_fallback")?;
                self.unigram().map(Model::Unigram)
            }
            "WordPiece" => {
                unknown(
                    "type, unk_token, continuing_subword_prefix, max_input_chars_per_word, vocab",
                )?;
                self.word_piece().map(Model::WordPiece)
            }
            other => Err(format!(
                "the model {} is not supported; an ALBERT tokenizer is a Unigram or, for Chinese, \
                 a WordPiece",
                crate::error::shown(other)
            )),
        }
    }

    fn unigram(self) -> Result<UnigramSpec, String> {
        let Some(RawVocab::List(vocab)) = self.vocab else {
            return Err("a Unigram needs a vocab that is a list of [piece, score]".into());
        };
        if vocab.is_empty() {
            return Err("the vocabulary is empty".into());
        }
        if vocab.len() > u32::MAX as usize / 2 {
            return Err(format!("{} pieces are too many", vocab.len()));
        }
        let Some(unk_id) = self.unk_id else {
            return Err(
                "unk_id is missing or null: a text with an unknown character could not \
                        be encoded; set it to the place of the unknown piece"
                    .into(),
            );
        };
        match u32::try_from(unk_id) {
            Ok(id) if (id as usize) < vocab.len() => Ok(UnigramSpec {
                unk_id: id,
                vocab,
                byte_fallback: self.byte_fallback.unwrap_or(false),
            }),
            _ => Err(format!(
                "unk_id is {unk_id}, but the vocabulary has {} pieces",
                vocab.len()
            )),
        }
    }

    fn word_piece(self) -> Result<WordPieceSpec, String> {
        let Some(RawVocab::Map(vocab)) = self.vocab else {
            return Err("a WordPiece needs a vocab that is an object of token: number".into());
        };
        let missing = |key| format!("the key {key:?} is missing");
        Ok(WordPieceSpec {
            unk_token: self.unk_token.ok_or_else(|| missing("unk_token"))?,
            continuing_subword_prefix: self
                .continuing_subword_prefix
                .ok_or_else(|| missing("continuing_subword_prefix"))?,
            max_input_chars_per_word: self
                .max_input_chars_per_word
                .ok_or_else(|| missing("max_input_chars_per_word"))?
                .try_into()
                .unwrap_or(usize::MAX),
            vocab,
        })
    }
}

impl<'de> Deserialize<'de> for RawModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ModelVisitor)
    }
}

struct ModelVisitor;

impl<'de> Visitor<'de> for ModelVisitor {
    type Value = RawModel;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with the model")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawModel, M::Error> {
        let mut raw = RawModel::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(M::Error::custom(format!(
                    "the key {key:?} stands twice in model"
                )));
            }
            match key.as_str() {
                "type" => raw.kind = map.next_value()?,
                "unk_id" => raw.unk_id = map.next_value()?,
                "byte_fallback" => raw.byte_fallback = Some(map.next_value()?),
                "unk_token" => raw.unk_token = Some(map.next_value()?),
                "continuing_subword_prefix" => {
                    raw.continuing_subword_prefix = Some(map.next_value()?);
                }
                "max_input_chars_per_word" => {
                    raw.max_input_chars_per_word = Some(map.next_value()?);
                }
                "vocab" => raw.vocab = Some(map.next_value_seed(VocabSeed)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    raw.unknown = Some(key);
                    continue;
                }
            }
            seen.push(key);
        }
        Ok(raw)
    }
}

struct VocabSeed;

impl<'de> DeserializeSeed<'de> for VocabSeed {
    type Value = RawVocab;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawVocab, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for VocabSeed {
    type Value = RawVocab;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of [piece, score] or an object of token: number")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<RawVocab, S::Error> {
        let mut list = Vec::new();
        while let Some(entry) = seq.next_element::<(String, f64)>()? {
            list.push(entry);
        }
        Ok(RawVocab::List(list))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawVocab, M::Error> {
        let mut list = Vec::new();
        while let Some(entry) = map.next_entry::<String, u32>()? {
            list.push(entry);
        }
        Ok(RawVocab::Map(list))
    }
}
