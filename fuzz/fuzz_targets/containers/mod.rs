//! What must hold for a file of tensors that was accepted.

use albert_formats::Checkpoint;

/// Opens `data`, with `start` before them where they lack it: no panic; what is accepted is read in any order.
pub fn read(start: &[u8], data: &[u8]) {
    let bytes = if data.starts_with(&start[..1]) {
        data.to_vec()
    } else {
        [start, data].concat()
    };
    match Checkpoint::from_bytes("memory", bytes) {
        Ok(checkpoint) => {
            for tensor in checkpoint.tensors().take(16) {
                let count = tensor.elements();
                if count > 1 << 16 {
                    continue;
                }
                let mut out = vec![0.0; count];
                let read = checkpoint.read_f32(tensor, 0, &mut out);
                let turned = checkpoint.read_f32_transposed(tensor, tensor.shape.len() / 2, 0, &mut out);
                assert_eq!(read.is_ok(), turned.is_ok(), "{tensor:?}");
            }
        }
        Err(error) => assert!(error.to_string().len() < 4096),
    }
}
