//! The format before torch 1.6: five pickles in a row, then the storages.
//!
//! The pickles are a magic number, the version of the protocol, facts about the machine that wrote the
//! file, the object, and the list of the storages' keys. Each storage is a count of elements (8 bytes,
//! little-endian) and the elements.

use super::{
    Fault, MAX_PICKLE, machine,
    object::{Object, Value},
    tensors,
};
use crate::{contents::Contents, error::shown, positional::Source};
use std::collections::HashMap;

/// 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

pub(super) fn read(source: &Source, length: u64) -> Result<Contents, Fault> {
    // Nothing says where the pickles end. They seldom have more than a few thousand bytes, so they are
    // read again with more of the file rather than in pieces.
    let mut window = 1 << 16;
    loop {
        let present = length.min(window).min(MAX_PICKLE);
        let mut buffer = Vec::new();
        let bytes = source.view(&mut buffer, 0, present as usize)?;
        match pickles(bytes) {
            Ok((object, keys)) => {
                let starts = storages(source, length, &object, &keys)?;
                return tensors::collect(&object, &starts);
            }
            Err(Fault::End) if present < length && present < MAX_PICKLE => window *= 8,
            Err(Fault::End) if present < length => {
                return Err(Fault::deceives(format!(
                    "its pickle has more than the {MAX_PICKLE} bytes that are allowed"
                )));
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// The object and the list of keys.
fn pickles(bytes: &[u8]) -> Result<(Object<'_>, Object<'_>), Fault> {
    let magic = machine::run(bytes, 0)?;
    if magic.value != Value::Long(&MAGIC) {
        return Err(super::unsupported(
            "it is a Python pickle, but not one that torch.save wrote",
        ));
    }
    let protocol = machine::run(bytes, magic.end)?;
    if protocol.value != Value::Int(PROTOCOL) {
        return Err(super::unsupported(format!(
            "the protocol of its format is not {PROTOCOL}"
        )));
    }
    let system = machine::run(bytes, protocol.end)?;
    if !is_little_endian(&system) {
        return Err(super::unsupported(
            "it does not say that its numbers are little-endian; on a machine with the other order, \
             it has big-endian ones",
        ));
    }
    let object = machine::run(bytes, system.end)?;
    let keys = machine::run(bytes, object.end)?;
    Ok((object, keys))
}

fn is_little_endian(system: &Object<'_>) -> bool {
    system.entries.iter().any(|entry| {
        matches!(system.value, Value::Dict { number, .. } if number == entry.dict)
            && entry.key == Value::Text("little_endian")
            && entry.value == Value::Bool(true)
    })
}

/// Where each storage of `object` begins: they follow the pickles in the order of `keys`.
fn storages(
    source: &Source,
    length: u64,
    object: &Object<'_>,
    keys: &Object<'_>,
) -> Result<Vec<u64>, Fault> {
    let Value::List(list) = keys.value else {
        return Err(Fault::damaged("it has no list of its storages"));
    };
    let known: HashMap<&str, usize> = (object.storages.iter().enumerate())
        .map(|(number, storage)| (storage.key, number))
        .collect();
    let mut starts = vec![None; object.storages.len()];
    let mut at = keys.end as u64;
    for &(_, key) in keys.items.iter().filter(|(of, _)| *of == list) {
        let Value::Text(key) = key else {
            return Err(Fault::damaged("a key of its storages is not a text"));
        };
        let Some(&number) = known.get(key) else {
            return Err(Fault::damaged(format!(
                "it lists storage {}, of which its pickle knows nothing",
                shown(key)
            )));
        };
        let storage = object.storages[number];
        let bytes = storage.bytes()?;
        if length - at < 8 {
            return Err(cut_short(key));
        }
        let mut count = [0; 8];
        source.read_exact_at(&mut count, at)?;
        at += 8;
        let count = u64::from_le_bytes(count);
        if count != storage.count {
            return Err(Fault::damaged(format!(
                "storage {} at byte {at} has {count} elements, but its pickle describes {}",
                shown(key),
                storage.count
            )));
        }
        if starts[number].replace(at).is_some() {
            return Err(Fault::deceives(format!(
                "it lists storage {} twice",
                shown(key)
            )));
        }
        if length - at < bytes {
            return Err(cut_short(key));
        }
        at += bytes;
    }
    if at != length {
        return Err(Fault::damaged(format!(
            "its last storage ends at byte {at}, but it has {length} bytes"
        )));
    }
    let missing = |number: usize| {
        let key = shown(object.storages[number].key);
        Fault::damaged(format!("its list of storages lacks {key}"))
    };
    let place = |(number, start): (usize, Option<u64>)| start.ok_or_else(|| missing(number));
    starts.into_iter().enumerate().map(place).collect()
}

fn cut_short(key: &str) -> Fault {
    Fault::damaged(format!("it was cut short in storage {}", shown(key)))
}
