//! Bytes as the index of a TensorFlow checkpoint; without a footer, one is put behind them. Checksums are let pass.
//!
//! No input may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if !data.ends_with(&MAGIC) {
        bytes.extend(MAGIC);
    }
    if let Err(error) = albert_formats::fuzzing::bundle_index(&bytes) {
        assert!(error.to_string().len() < 4096);
    }
});
