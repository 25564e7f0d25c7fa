//! A block of a table: keys and values in ascending order, each key without what it shares with the one
//! before it; where keys are whole stands at the end.

use crate::fault::Fault;

/// Keys between two that are whole, in what we write.
const RESTART: usize = 16;

/// What is called with a key and its value.
pub(super) type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), Fault>;

/// Calls `each` with every key and value of a block.
pub(super) fn read(block: &[u8], max_key: usize, each: Each<'_>) -> Result<(), Fault> {
    let broken = |what: &str| Fault::damaged(format!("a block of its table {what}"));
    let Some((before, count)) = block.split_last_chunk::<4>() else {
        return Err(broken("was cut short"));
    };
    let count = u32::from_le_bytes(*count) as usize;
    let bytes = count.checked_mul(4).filter(|bytes| *bytes <= before.len());
    let (Some(bytes), true) = (bytes, count > 0) else {
        return Err(broken("has a wrong number of whole keys"));
    };
    let (mut rest, restarts) = before.split_at(before.len() - bytes);
    let length = rest.len();
    let mut restarts = restarts
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes) as usize)
        .peekable();
    let mut key = Vec::new();
    while !rest.is_empty() {
        let at = length - rest.len();
        let whole = restarts.next_if_eq(&at).is_some();
        let mut number = || {
            varint(&mut rest)
                .and_then(|value| usize::try_from(value).ok())
                .ok_or_else(|| broken("has a number that is cut short or too large"))
        };
        let (shared, own, value) = (number()?, number()?, number()?);
        if shared > key.len() || whole && shared != 0 {
            return Err(broken("has a key that shares more than there is"));
        }
        if own > max_key - shared.min(max_key) {
            return Err(Fault::deceives(format!(
                "a name in its table has more than {max_key} bytes"
            )));
        }
        key.truncate(shared);
        let (suffix, after) = rest
            .split_at_checked(own)
            .ok_or_else(|| broken("has a key beyond its end"))?;
        let (value, after) = after
            .split_at_checked(value)
            .ok_or_else(|| broken("has a value beyond its end"))?;
        key.extend_from_slice(suffix);
        rest = after;
        each(&key, value)?;
    }
    // A block without keys has one place of a whole key, its start.
    if restarts.any(|at| at != 0 || length != 0) {
        return Err(broken("has a whole key where none begins"));
    }
    Ok(())
}

/// The next number of 7 bits in each byte, the lowest first.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        // Of the tenth byte, one bit is left.
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends a number of 7 bits in each byte.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A block that is being written; keys come in ascending order.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    count: usize,
    key: Vec<u8>,
}

impl Builder {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        let mut shared = 0;
        if self.count.is_multiple_of(RESTART) {
            self.restarts.push(self.bytes.len() as u32);
        } else {
            let same = self.key.iter().zip(key).take_while(|(a, b)| a == b);
            shared = same.count();
        }
        for number in [shared, key.len() - shared, value.len()] {
            put_varint(&mut self.bytes, number as u64);
        }
        self.bytes.extend_from_slice(&key[shared..]);
        self.bytes.extend_from_slice(value);
        self.key = key.to_vec();
        self.count += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The largest key, and the block.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<u8>) {
        let Self {
            mut bytes,
            mut restarts,
            key,
            ..
        } = self;
        if restarts.is_empty() {
            restarts.push(0);
        }
        for at in &restarts {
            bytes.extend(at.to_le_bytes());
        }
        bytes.extend((restarts.len() as u32).to_le_bytes());
        (key, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_end() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(varint(&mut bytes.as_slice()), Some(value));
            assert_eq!(varint(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(varint(&mut [0xff; 11].as_slice()), None);
        let mut ten = [0xff; 10];
        ten[9] = 2;
        assert_eq!(varint(&mut ten.as_slice()), None);
    }

    #[test]
    fn blocks_round_trip() {
        let keys: Vec<String> = (0..100).map(|n| format!("bert/encoder/{n:03}")).collect();
        let mut builder = Builder::default();
        for key in &keys {
            builder.put(key.as_bytes(), key.to_uppercase().as_bytes());
        }
        let (last, block) = builder.finish();
        assert_eq!(last, keys[99].as_bytes());
        let mut found = Vec::new();
        read(&block, 100, &mut |key, value| {
            assert_eq!(key.to_ascii_uppercase(), value);
            found.push(String::from_utf8_lossy(key).into_owned());
            Ok(())
        })
        .expect("valid");
        assert_eq!(found, keys);
        let none = Builder::default().finish().1;
        read(&none, 0, &mut |_, _| panic!("empty")).expect("valid");
    }
}
