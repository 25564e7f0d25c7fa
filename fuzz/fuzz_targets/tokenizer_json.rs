//! tokenizer.json from anyone.
#![no_main]

mod common;

use albert_tokenizer::Mode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| common::check("tokenizer.json", bytes, &[Mode::HfFast, Mode::Hf5]));
