//! The zip archives that torch writes, and no others: entries as they are, not compressed, one after
//! the other, with nothing between, before or after them.
//!
//! A zip file describes each entry twice, before its bytes and in the directory at the end, and readers
//! differ in which they believe. Here both must agree, and the entries with the directory must cover
//! the file exactly.
//! Format: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use super::{
    Fault,
    directory::{Central, SIZES_FOLLOW, central, place, u16_at, u32_at, u64_at, widen, wrong},
};
use crate::{error::shown, positional::Source};
use std::collections::BTreeMap;

const LOCAL: usize = 30;

/// Where an entry's bytes begin, and how many they are.
pub(super) type Place = (u64, u64);

/// A checked archive.
#[derive(Debug)]
pub(super) struct Archive {
    /// The folder that all entries of torch's are in, with its `/`.
    top: String,
    entries: BTreeMap<String, Place>,
}

impl Archive {
    pub(super) fn read(source: &Source, length: u64) -> Result<Self, Fault> {
        let (start, size, count) = place(source, length)?;
        let mut bytes = Vec::new();
        let bytes = source.view(&mut bytes, start, size as usize)?;
        let mut entries = central(bytes, count)?;
        if entries.iter().any(|entry| is_program(entry.name)) {
            return Err(super::unsupported(
                "it is a TorchScript archive, which holds a program besides the tensors",
            ));
        }
        entries.sort_by_key(|entry| entry.header);
        if let Some(last) = entries.last().filter(|last| last.header > start) {
            return Err(wrong(last.name, "begins after the directory"));
        }
        let mut at = 0;
        let mut places = BTreeMap::new();
        let ends: Vec<u64> = (entries.iter().skip(1).map(|entry| entry.header))
            .chain([start])
            .collect();
        for (entry, end) in entries.iter().zip(ends) {
            if entry.header != at {
                let problem = format!(
                    "begins at byte {}, but what is before it ends at byte {at}",
                    entry.header
                );
                return Err(wrong(entry.name, &problem));
            }
            let place = local(source, entry, end)?;
            if places.insert(entry.name.to_owned(), place).is_some() {
                return Err(wrong(entry.name, "occurs twice"));
            }
            at = end;
        }
        if at != start {
            return Err(Fault::damaged("its zip archive has no entries"));
        }
        let first = entries.first().map_or("", |entry| entry.name);
        let top = first.split_inclusive('/').next().unwrap_or_default();
        Ok(Self {
            top: top.to_owned(),
            entries: places,
        })
    }

    /// The entry of this name in the top folder.
    pub(super) fn get(&self, name: &str) -> Option<Place> {
        self.entries.get(&format!("{}{name}", self.top)).copied()
    }

    /// The bytes of an entry, at most `most`.
    pub(super) fn bytes(
        &self,
        source: &Source,
        (start, length): Place,
        most: u64,
    ) -> Result<Vec<u8>, Fault> {
        if length > most {
            return Err(Fault::deceives(format!(
                "the entry at byte {start} of its zip archive has {length} bytes, at most {most} are \
                 allowed"
            )));
        }
        let mut bytes = vec![0; length as usize];
        source.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

/// Whether this is an entry of a TorchScript archive.
fn is_program(name: &str) -> bool {
    let (_, inner) = name.split_once('/').unwrap_or_default();
    inner == "constants.pkl" || inner.starts_with("code/")
}

/// Checks what stands before and after an entry's bytes; `end` is where the next entry begins.
fn local(source: &Source, entry: &Central<'_>, end: u64) -> Result<Place, Fault> {
    let name = entry.name;
    if entry.method != 0 {
        return Err(super::unsupported(format!(
            "entry {} of its zip archive is compressed (method {}), expected stored bytes",
            shown(name),
            entry.method
        )));
    }
    let differs = || wrong(name, "is described in two ways, or overlaps another");
    let head_length = LOCAL + name.len();
    let room = end - entry.header;
    if room < head_length as u64 {
        return Err(differs());
    }
    let mut head = Vec::new();
    let head = source.view(&mut head, entry.header, head_length)?;
    let extra_length = u64::from(u16_at(head, 28));
    let data = head_length as u64 + extra_length;
    if !head.starts_with(b"PK\x03\x04")
        || u16_at(head, 6) != entry.flags
        || u16_at(head, 8) != 0
        || usize::from(u16_at(head, 26)) != name.len()
        || &head[LOCAL..] != name.as_bytes()
        || room < data
        || room - data < entry.size
    {
        return Err(differs());
    }
    let mut said = [22, 18].map(|at| u64::from(u32_at(head, at)));
    let crc = u32_at(head, 14);
    let follows = entry.flags & SIZES_FOLLOW != 0;
    if said.contains(&u64::from(u32::MAX)) {
        let mut extra = Vec::new();
        let at = entry.header + head_length as u64;
        let extra = source.view(&mut extra, at, extra_length as usize)?;
        widen(&mut said, extra).ok_or_else(differs)?;
    }
    let agrees = said == [entry.size; 2] && crc == entry.crc;
    let is_silent = said == [0; 2] && crc == 0;
    if !(agrees || follows && is_silent) {
        return Err(differs());
    }
    let after = entry.header + data + entry.size;
    let descriptor = end - after;
    let agrees = match descriptor {
        0 => !follows || entry.size == 0,
        16 | 24 if follows => {
            let mut bytes = Vec::new();
            let bytes = source.view(&mut bytes, after, descriptor as usize)?;
            let sizes = match descriptor {
                16 => [8, 12].map(|at| u64::from(u32_at(bytes, at))),
                _ => [8, 16].map(|at| u64_at(bytes, at)),
            };
            bytes.starts_with(b"PK\x07\x08")
                && u32_at(bytes, 4) == entry.crc
                && sizes == [entry.size; 2]
        }
        _ => false,
    };
    if !agrees {
        let problem = format!("is followed by {descriptor} bytes that do not describe it");
        return Err(wrong(name, &problem));
    }
    Ok((entry.header + data, entry.size))
}
