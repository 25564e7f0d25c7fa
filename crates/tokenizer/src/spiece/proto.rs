//! The messages of sentencepiece_model.proto, declared by hand, with the fields that matter here.
//!
//! Text is declared as bytes: protobuf 2 does not promise UTF-8, and our own message about bad
//! text can name the piece.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    pub(super) trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    pub(super) normalizer_spec: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    pub(super) denormalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SentencePiece {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) piece: Option<Vec<u8>>,
    #[prost(float, optional, tag = "2")]
    pub(super) score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    pub(super) model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub(super) treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    pub(super) byte_fallback: Option<bool>,
    #[prost(bytes = "vec", optional, tag = "44")]
    pub(super) unk_surface: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) name: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    pub(super) add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub(super) remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub(super) escape_whitespaces: Option<bool>,
}

/// What is written of a model; lists that nobody reads are not read, since a file could make them large.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WrittenModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    pub(super) trainer_spec: Option<WrittenTrainerSpec>,
    #[prost(message, optional, tag = "3")]
    pub(super) normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WrittenTrainerSpec {
    #[prost(int32, optional, tag = "3")]
    pub(super) model_type: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(super) vocab_size: Option<i32>,
    #[prost(float, optional, tag = "10")]
    pub(super) character_coverage: Option<f32>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) input_sentence_size: Option<u64>,
    #[prost(int32, optional, tag = "14")]
    pub(super) seed_sentencepiece_size: Option<i32>,
    #[prost(float, optional, tag = "15")]
    pub(super) shrinking_factor: Option<f32>,
    #[prost(int32, optional, tag = "17")]
    pub(super) num_sub_iterations: Option<i32>,
    #[prost(int32, optional, tag = "20")]
    pub(super) max_sentencepiece_length: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub(super) treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "25")]
    pub(super) split_digits: Option<bool>,
    #[prost(bytes = "vec", repeated, tag = "30")]
    pub(super) control_symbols: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "31")]
    pub(super) user_defined_symbols: Vec<Vec<u8>>,
    #[prost(bool, optional, tag = "35")]
    pub(super) byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    pub(super) unk_id: Option<i32>,
    #[prost(int32, optional, tag = "41")]
    pub(super) bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42")]
    pub(super) eos_id: Option<i32>,
    #[prost(int32, optional, tag = "43")]
    pub(super) pad_id: Option<i32>,
}
