//! Bytes as a Flax file: with a map of one entry put before it where it is none.
//!
//! No input may panic, and what is accepted is read, also transposed, without one.
#![no_main]

mod containers;

use libfuzzer_sys::fuzz_target;

const START: &[u8] = b"\x81\xa1a";

fuzz_target!(|data: &[u8]| containers::read(START, data));
