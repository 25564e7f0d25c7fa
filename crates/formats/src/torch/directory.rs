//! The directory of a zip archive: where it is, and what it says of each entry.

use super::Fault;
use crate::{error::shown, positional::Source};

const MAX_ENTRIES: u64 = 1 << 16;
/// Bytes of one entry's name.
const MAX_NAME: usize = 512;
/// Bytes of the directory: about 90 for each entry of torch's.
const MAX_DIRECTORY: u64 = 16 << 20;

const CENTRAL: usize = 46;
const END: usize = 22;
/// The larger end record and what says where it is.
const END64: usize = 56 + 20;
/// The general purpose flags that torch sets: sizes after the data, and names in UTF-8.
pub(super) const SIZES_FOLLOW: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// Start, length and number of entries of the directory, from the record at the file's end.
pub(super) fn place(source: &Source, length: u64) -> Result<(u64, u64, u64), Fault> {
    let mut tail = Vec::new();
    let tail_length = length.min((END64 + END) as u64);
    let tail = source.view(&mut tail, length - tail_length, tail_length as usize)?;
    let Some((before, end)) = tail.split_last_chunk::<END>() else {
        return Err(Fault::damaged("its zip archive was cut short"));
    };
    if !end.starts_with(b"PK\x05\x06") || u16_at(end, 20) != 0 {
        return Err(Fault::damaged(
            "its zip archive does not end with the end of its directory: it was cut short, or other \
             bytes follow",
        ));
    }
    let small = [
        u64::from(u16_at(end, 8)),
        u64::from(u16_at(end, 10)),
        u64::from(u32_at(end, 12)),
        u64::from(u32_at(end, 16)),
    ];
    let mut disks = u64::from(u32_at(end, 4));
    let mut stop = length - END as u64;
    let mut values = small;
    if let Some(large) = before.first_chunk::<END64>()
        && large[56..].starts_with(b"PK\x06\x07")
    {
        stop -= END64 as u64;
        if !large.starts_with(b"PK\x06\x06")
            || u64_at(large, 4) != 44
            || u64_at(large, 64) != stop
            || u32_at(large, 72) != 1
        {
            return Err(Fault::damaged(format!(
                "its zip archive has no zip64 end record at byte {stop}"
            )));
        }
        disks |= u64_at(large, 16) | u64::from(u32_at(large, 60));
        values = [24, 32, 40, 48].map(|at| u64_at(large, at));
        let limits = [0xffff, 0xffff, u64::from(u32::MAX), u64::from(u32::MAX)];
        for ((value, small), limit) in values.iter().zip(small).zip(limits) {
            if small != limit && small != *value {
                return Err(Fault::deceives(format!(
                    "the two end records of its zip archive differ: {value} and {small}"
                )));
            }
        }
    }
    let [here, count, size, start] = values;
    if disks != 0 || here != count {
        return Err(super::unsupported("its zip archive has several parts"));
    }
    if count > MAX_ENTRIES || size > MAX_DIRECTORY {
        return Err(Fault::deceives(format!(
            "its zip archive has {count} entries in a directory of {size} bytes, at most {MAX_ENTRIES} \
             and {MAX_DIRECTORY} are allowed"
        )));
    }
    if start.checked_add(size) != Some(stop) {
        return Err(Fault::damaged(format!(
            "the directory of its zip archive, {size} bytes at {start}, does not end at byte {stop}: \
             bytes are missing, or others stand before or after it"
        )));
    }
    Ok((start, size, count))
}

/// An entry, as the directory describes it.
#[derive(Debug)]
pub(super) struct Central<'a> {
    pub(super) name: &'a str,
    pub(super) flags: u16,
    /// How its bytes are packed; 0 if they are not.
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) size: u64,
    /// Where the description before the bytes begins.
    pub(super) header: u64,
}

/// Reads the whole directory.
pub(super) fn central(mut bytes: &[u8], count: u64) -> Result<Vec<Central<'_>>, Fault> {
    let broken = || Fault::damaged("the directory of its zip archive is broken");
    let mut entries = Vec::new();
    for _ in 0..count {
        let (fixed, rest) = bytes.split_first_chunk::<CENTRAL>().ok_or_else(broken)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(broken());
        }
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
        let (name, rest) = rest.split_at_checked(lengths[0]).ok_or_else(broken)?;
        let (extra, rest) = rest.split_at_checked(lengths[1]).ok_or_else(broken)?;
        let (_comment, rest) = rest.split_at_checked(lengths[2]).ok_or_else(broken)?;
        bytes = rest;
        let name = std::str::from_utf8(name).map_err(|_| broken())?;
        let (flags, method) = (u16_at(fixed, 8), u16_at(fixed, 10));
        if flags & !(SIZES_FOLLOW | UTF8) != 0 {
            let problem = format!("is encrypted or unusual (flags {flags:#06x})");
            return Err(wrong(name, &problem));
        }
        let mut values = [24, 20, 42].map(|at| u64::from(u32_at(fixed, at)));
        widen(&mut values, extra).ok_or_else(broken)?;
        let [size, stored, header] = values;
        if method == 0 && size != stored || u16_at(fixed, 34) != 0 {
            return Err(wrong(name, "has two sizes or is in another part"));
        }
        check_name(name, size).map_err(|problem| wrong(name, problem))?;
        entries.push(Central {
            name,
            flags,
            method,
            crc: u32_at(fixed, 16),
            size,
            header,
        });
    }
    if !bytes.is_empty() {
        return Err(Fault::damaged(format!(
            "the directory of its zip archive has more than its {count} entries"
        )));
    }
    Ok(entries)
}

/// Replaces values that do not fit 32 bits by those of the zip64 field, which come in the same order.
pub(super) fn widen<const N: usize>(values: &mut [u64; N], mut extra: &[u8]) -> Option<()> {
    let mut wide: &[u8] = &[];
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let (field, rest) = rest.split_at_checked(u16_at(head, 2).into())?;
        if u16_at(head, 0) == 1 {
            wide = field;
        }
        extra = rest;
    }
    for value in values {
        if *value == u64::from(u32::MAX) {
            let (field, rest) = wide.split_first_chunk()?;
            *value = u64::from_le_bytes(*field);
            wide = rest;
        }
    }
    Some(())
}

/// Nothing is unpacked, so this keeps files from being trouble elsewhere.
fn check_name(name: &str, size: u64) -> Result<(), &'static str> {
    if name.len() > MAX_NAME {
        return Err("has a name that is too long");
    }
    // A folder may have an entry, without bytes.
    let path = if size == 0 {
        name.strip_suffix('/').unwrap_or(name)
    } else {
        name
    };
    let strange = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.split('/').any(strange) || name.contains('\\') || name.contains(char::is_control) {
        return Err("has a name that is not a path within the archive");
    }
    Ok(())
}

pub(super) fn wrong(name: &str, problem: &str) -> Fault {
    Fault::deceives(format!(
        "entry {} of its zip archive {problem}",
        shown(name)
    ))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
