//! Bob Jenkins' hash lookup3, the checksum of HDF5's structures.
//!
//! Source: <https://burtleburtle.net/bob/c/lookup3.c>, function `hashlittle` from 0.

/// The hash of these bytes.
pub(super) fn lookup3(bytes: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let mut words = [start; 3];
    // The last 1 to 12 bytes are mixed in another way.
    let whole = bytes.len().saturating_sub(1) / 12 * 12;
    let (blocks, tail) = bytes.split_at(whole);
    for block in blocks.as_chunks::<12>().0 {
        add(&mut words, block);
        mix(&mut words);
    }
    if !tail.is_empty() {
        let mut block = [0; 12];
        block[..tail.len()].copy_from_slice(tail);
        add(&mut words, &block);
        end(&mut words);
    }
    words[2]
}

fn add(words: &mut [u32; 3], block: &[u8; 12]) {
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = word.wrapping_add(u32::from_le_bytes(*bytes));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    for turn in [4, 16] {
        *a = a.wrapping_sub(*c) ^ c.rotate_left(turn);
        *c = c.wrapping_add(*b);
        let turn = if turn == 4 { 6 } else { 19 };
        *b = b.wrapping_sub(*a) ^ a.rotate_left(turn);
        *a = a.wrapping_add(*c);
        let turn = if turn == 6 { 8 } else { 4 };
        *c = c.wrapping_sub(*b) ^ b.rotate_left(turn);
        *b = b.wrapping_add(*a);
    }
}

fn end([a, b, c]: &mut [u32; 3]) {
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(14));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(11));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(25));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(16));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(4));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(14));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(24));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of lookup3.c's `driver5`.
    #[test]
    fn published_values() {
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }
}
