//! Precompiled normaliser rules: a double array over UTF-8 bytes and a block of replacements.

mod check;

use crate::Error;

/// Longest rule in bytes: far above what normalisers need, and it keeps every query short.
const MAX_RULE: u32 = 1024;
/// Longest replacement in bytes. Without a bound a small file could turn each character of a text
/// into megabytes.
const MAX_REPLACEMENT: usize = 4096;
/// SentencePiece looks at no more than so many rules that start at one place.
const MAX_MATCHES: usize = 32;

/// The rules of one normaliser, checked when they are read.
///
/// Layout of the file's bytes: length of the array in bytes (u32, little endian), the array of
/// u32 units, the replacements, each ended by NUL. A unit with bit 31 is a leaf: its other bits
/// are a place in the replacements.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Charsmap {
    bytes: Vec<u8>,
    units: Vec<u32>,
    replacements: String,
    /// For each byte: ASCII that stays as it is before ASCII and at the end of the text.
    plain: Bytes,
    /// Bytes that stand in a rule after its first one.
    inside: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
struct Bytes([bool; 256]);

impl Default for Bytes {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl Charsmap {
    /// From the bytes of `precompiled_charsmap`; empty bytes are no rules at all.
    ///
    /// Every unit that a text can reach lies inside the array, no walk goes in a circle, and every
    /// replacement is UTF-8 and ends inside its block.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let plain = Bytes(std::array::from_fn(|byte| byte < 128));
        if bytes.is_empty() {
            return Ok(Self {
                plain,
                ..Self::default()
            });
        }
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(damaged(format!(
                "{} bytes, expected at least 5",
                bytes.len()
            )));
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() || !length.is_multiple_of(4) || length == 0 {
            return Err(damaged(format!(
                "its array has {length} bytes, expected a multiple of 4 and at most {}",
                rest.len()
            )));
        }
        let (array, replacements) = rest.split_at(length);
        let units: Vec<u32> = array
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        let replacements = std::str::from_utf8(replacements).map_err(|error| {
            damaged(format!(
                "replacements are not UTF-8 at byte {}",
                error.valid_up_to()
            ))
        })?;
        let mut map = Self {
            bytes: bytes.to_vec(),
            units,
            replacements: replacements.to_owned(),
            plain,
            inside: Bytes::default(),
        };
        map.check()?;
        Ok(map)
    }

    /// The bytes that [`Charsmap::parse`] read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SentencePiece's query: the longest rule that `text` starts with: bytes eaten, replacement.
    /// A rule that ends inside a character never matches (SentencePiece would go on with the torn
    /// character); no builder of such files writes one.
    #[inline]
    pub(crate) fn longest<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let mut best = None;
        let mut matches = 0;
        self.walk(text.as_bytes(), |length, place| {
            if text.is_char_boundary(length) {
                best = Some((length, place));
            }
            matches += 1;
            matches < MAX_MATCHES
        });
        best.map(|(length, place)| (length, self.replacement(place)))
    }

    /// The query of tokenizers' `Precompiled` (crate spm_precompiled, `transform`): the
    /// replacement of the *shortest* rule that `chunk` starts with, whatever follows it there.
    pub(crate) fn transform<'a>(&'a self, chunk: &str) -> Option<&'a str> {
        let mut first = None;
        self.walk(chunk.as_bytes(), |_, place| {
            first = Some(place);
            false
        });
        first.map(|place| self.replacement(place))
    }

    /// Is this byte ASCII that stays as it is where ASCII or the end of the text follows?
    #[inline]
    pub(crate) fn is_plain(&self, byte: u8) -> bool {
        self.plain.0[usize::from(byte)]
    }

    /// Does a rule hold this byte after its first one?
    pub(crate) fn has_inside(&self, byte: u8) -> bool {
        self.inside.0[usize::from(byte)]
    }

    /// Calls `found(length, place of the replacement)` for each rule that `text` starts with,
    /// shortest first, until it returns false.
    #[inline]
    fn walk(&self, text: &[u8], mut found: impl FnMut(usize, usize) -> bool) {
        let Some(&root) = self.units.first() else {
            return;
        };
        let mut base = offset(root);
        for (index, &byte) in text.iter().enumerate() {
            // NUL starts and continues no rule: a key ends there, and a leaf lies under it.
            let place = base ^ u32::from(byte);
            let Some(&unit) = self.units.get(place as usize) else {
                return;
            };
            if label(unit) != u32::from(byte) || byte == 0 {
                return;
            }
            base = place ^ offset(unit);
            if has_leaf(unit) {
                let Some(&leaf) = self.units.get(base as usize) else {
                    return;
                };
                if !found(index + 1, (leaf & !LEAF) as usize) {
                    return;
                }
            }
        }
    }

    fn replacement(&self, place: usize) -> &str {
        let rest = self.replacements.get(place..).unwrap_or_default();
        match rest.bytes().position(|byte| byte == 0) {
            Some(end) => &rest[..end],
            None => rest,
        }
    }
}

const LEAF: u32 = 1 << 31;

fn has_leaf(unit: u32) -> bool {
    unit & 0x100 != 0
}

/// The byte that leads to this unit; above 255 for leaves.
fn label(unit: u32) -> u32 {
    unit & (LEAF | 0xFF)
}

fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & 0x200) >> 6)
}

fn damaged(problem: String) -> Error {
    Error::Charsmap { problem }
}
