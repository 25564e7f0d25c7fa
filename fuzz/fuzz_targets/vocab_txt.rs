//! vocab.txt from anyone.
#![no_main]

mod common;

use albert_tokenizer::Mode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| common::check("vocab.txt", bytes, &[Mode::HfFast, Mode::HfSlow, Mode::Google]));
