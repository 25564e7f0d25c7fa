//! spiece.model from anyone, in every mode.
#![no_main]

mod common;

use albert_tokenizer::Mode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    common::check("spiece.model", bytes, &[Mode::SentencePiece, Mode::HfSlow, Mode::Google, Mode::HfFast, Mode::Hf5]);
});
