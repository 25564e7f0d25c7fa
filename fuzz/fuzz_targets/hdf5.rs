//! Bytes as an HDF5 file: with the signature put before it where it lacks one.
//!
//! No input may panic, and what is accepted is read, also transposed, without one.
#![no_main]

mod containers;

use libfuzzer_sys::fuzz_target;

const START: &[u8] = b"\x89HDF\r\n\x1a\n";

fuzz_target!(|data: &[u8]| containers::read(START, data));
