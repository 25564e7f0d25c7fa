//! `spiece.model`: SentencePiece's protobuf file, read with checks and written.

mod check;
mod proto;

use crate::{Error, unigram::Piece};
pub(crate) use check::byte;
use prost::Message;

/// What a SentencePiece model file says, as far as tokenisation depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct SpieceModel {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) unk_id: u32,
    pub(crate) unk_surface: String,
    pub(crate) charsmap: Vec<u8>,
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) treat_whitespace_as_suffix: bool,
    pub(crate) byte_fallback: bool,
    pub(crate) denormalizer: Option<Denormalizer>,
    /// The file itself: saving writes exactly these bytes, fields that are not declared here too.
    bytes: Vec<u8>,
}

/// The rules that turn decoded text into what is shown; no published ALBERT model has them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Denormalizer {
    pub charsmap: Vec<u8>,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub escape_whitespaces: bool,
}

/// What [`SpieceModel::build`] writes; everything else keeps SentencePiece's default.
#[derive(Clone, Debug, Default)]
pub struct SpieceOptions {
    /// `precompiled_charsmap` of the normaliser; empty for none.
    pub charsmap: Vec<u8>,
    /// `false` writes `add_dummy_prefix = false`, and so on.
    pub no_dummy_prefix: bool,
    /// Keeps runs of spaces, and spaces at both ends.
    pub keep_extra_whitespaces: bool,
    /// Keeps spaces where SentencePiece would write `▁`.
    pub no_escape_whitespaces: bool,
    /// `▁` after words instead of before them.
    pub whitespace_as_suffix: bool,
    /// Unknown characters become pieces `<0x..>`, which must all be there.
    pub byte_fallback: bool,
    /// How the pieces were learned, for those who read the file.
    pub training: Option<SpieceTraining>,
}

/// What `spm_train` notes in a model about its making, by its names; nothing of it changes how texts are cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpieceTraining {
    /// Name of the normaliser's rules.
    pub normalizer: String,
    /// Pieces.
    pub vocab_size: i32,
    /// Share of the text's characters that pieces are made of.
    pub character_coverage: f32,
    /// Sentences that were drawn at most.
    pub input_sentence_size: u64,
    /// Pieces to begin with.
    pub seed_sentencepiece_size: i32,
    /// Share of the pieces that one round of pruning kept.
    pub shrinking_factor: f32,
    /// Steps of expectation and maximisation before each round.
    pub num_sub_iterations: i32,
    /// Characters of a piece, at most.
    pub max_sentencepiece_length: i32,
    /// Whether every digit is a piece of its own.
    pub split_digits: bool,
    /// Pieces that no text holds.
    pub control_symbols: Vec<String>,
    /// Pieces that are found whole wherever they stand.
    pub user_defined_symbols: Vec<String>,
    /// Id of the unknown piece.
    pub unk_id: i32,
    /// Id of `<s>`, or −1.
    pub bos_id: i32,
    /// Id of `</s>`, or −1.
    pub eos_id: i32,
    /// Id of `<pad>`, or −1.
    pub pad_id: i32,
}

impl SpieceModel {
    /// From the bytes of a file.
    ///
    /// # Errors
    /// The bytes are damaged, or a model of another kind than ALBERT's (unigram).
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        check::before_decoding(bytes)?;
        let model = proto::ModelProto::decode(bytes)
            .map_err(|error| check::damaged(format!("protobuf: {error}")))?;
        check::model(model, bytes.to_vec())
    }

    /// A model from pieces, as `(text, score, kind)`: `kind` is `"normal"`, `"unknown"`,
    /// `"control"`, `"user_defined"`, `"unused"` or `"byte"`.
    ///
    /// # Errors
    /// As [`SpieceModel::parse`]: what is written must be readable.
    pub fn build(pieces: &[(&str, f32, &str)], options: &SpieceOptions) -> Result<Self, Error> {
        let mut out = Vec::with_capacity(pieces.len());
        for &(text, score, kind) in pieces {
            let number = check::KINDS
                .iter()
                .find(|(_, name, _)| *name == kind)
                .map(|&(number, ..)| number)
                .ok_or_else(|| {
                    check::damaged(format!(
                        "kind of piece {kind:?}: expected normal, unknown, control, \
                         user_defined, unused or byte"
                    ))
                })?;
            out.push(proto::SentencePiece {
                piece: Some(text.as_bytes().to_vec()),
                score: Some(score),
                kind: (number != 1).then_some(number),
            });
        }
        let model = proto::WrittenModelProto {
            pieces: out,
            trainer_spec: Some(trainer_spec(options)),
            normalizer_spec: Some(proto::NormalizerSpec {
                name: options
                    .training
                    .as_ref()
                    .map(|training| training.normalizer.clone().into_bytes()),
                precompiled_charsmap: (!options.charsmap.is_empty())
                    .then(|| options.charsmap.clone()),
                add_dummy_prefix: options.no_dummy_prefix.then_some(false),
                remove_extra_whitespaces: options.keep_extra_whitespaces.then_some(false),
                escape_whitespaces: options.no_escape_whitespaces.then_some(false),
            }),
        };
        Self::parse(&model.encode_to_vec())
    }

    /// The bytes of the file, unchanged.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn trainer_spec(options: &SpieceOptions) -> proto::WrittenTrainerSpec {
    let spec = proto::WrittenTrainerSpec {
        treat_whitespace_as_suffix: options.whitespace_as_suffix.then_some(true),
        byte_fallback: options.byte_fallback.then_some(true),
        ..proto::WrittenTrainerSpec::default()
    };
    let Some(training) = &options.training else {
        return spec;
    };
    let list = |symbols: &[String]| {
        symbols
            .iter()
            .map(|symbol| symbol.clone().into_bytes())
            .collect()
    };
    proto::WrittenTrainerSpec {
        model_type: Some(1), // unigram
        vocab_size: Some(training.vocab_size),
        character_coverage: Some(training.character_coverage),
        input_sentence_size: Some(training.input_sentence_size),
        seed_sentencepiece_size: Some(training.seed_sentencepiece_size),
        shrinking_factor: Some(training.shrinking_factor),
        num_sub_iterations: Some(training.num_sub_iterations),
        max_sentencepiece_length: Some(training.max_sentencepiece_length),
        split_digits: Some(training.split_digits),
        control_symbols: list(&training.control_symbols),
        user_defined_symbols: list(&training.user_defined_symbols),
        unk_id: Some(training.unk_id),
        bos_id: Some(training.bos_id),
        eos_id: Some(training.eos_id),
        pad_id: Some(training.pad_id),
        ..spec
    }
}
