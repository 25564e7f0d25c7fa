//! Precompiled normaliser rules: a double array over UTF-8 bytes and a block of replacements.

use crate::Error;

/// Longest rule in bytes. The longest of nmt_nfkc has 12; a bound keeps every query short.
const MAX_RULE: u32 = 1024;
/// Longest replacement in bytes. The longest of nmt_nfkc has 33; without a bound a small file
/// could turn each character of a text into megabytes.
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

    fn check(&mut self) -> Result<(), Error> {
        if !self.replacements.ends_with('\0') {
            return Err(damaged("its last replacement is not ended by NUL".into()));
        }
        let families = Families::new(&self.units);
        let reached = self.check_walks(&families)?;
        self.check_replacements(&reached)?;
        for node in (1..self.units.len()).filter(|&node| reached[node]) {
            for child in families.of(node as u32 ^ offset(self.units[node])) {
                self.inside.0[label(self.units[child as usize]) as usize & 0xFF] = true;
            }
        }
        let root = offset(self.units[0]);
        for child in families.of(root) {
            let unit = self.units[child as usize];
            let next = child ^ offset(unit);
            let ascii_follows = families
                .of(next)
                .any(|after| label(self.units[after as usize]) < 128);
            self.plain.0[label(unit) as usize & 0xFF] &= !has_leaf(unit) && !ascii_follows;
        }
        // NUL is plain: no rule begins with it.
        Ok(())
    }

    /// Every walk stays inside the array and ends. Returns which units a walk can reach.
    fn check_walks(&self, families: &Families) -> Result<Vec<bool>, Error> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done(u32),
        }
        // The array may share tails between rules, so heights are remembered.
        let mut states = vec![State::New; self.units.len()];
        let mut stack = vec![0_u32];
        while let Some(&node) = stack.last() {
            let unit = self.units[node as usize];
            let base = node ^ offset(unit);
            if states[node as usize] == State::New {
                states[node as usize] = State::Open;
                if has_leaf(unit)
                    && self
                        .units
                        .get(base as usize)
                        .is_none_or(|leaf| leaf & LEAF == 0)
                {
                    return Err(damaged(format!("unit {node} points to no replacement")));
                }
                for child in families.of(base) {
                    match states[child as usize] {
                        State::New => stack.push(child),
                        State::Open => {
                            return Err(damaged(format!(
                                "its rules go in a circle at unit {node}"
                            )));
                        }
                        State::Done(_) => {}
                    }
                }
                continue;
            }
            stack.pop();
            if let State::Done(_) = states[node as usize] {
                continue;
            }
            let mut height = 0;
            for child in families.of(base) {
                match states[child as usize] {
                    State::Done(below) => height = height.max(below + 1),
                    // A child that is still open lies on the way here.
                    State::New | State::Open => {
                        return Err(damaged(format!("its rules go in a circle at unit {node}")));
                    }
                }
            }
            if height > MAX_RULE {
                return Err(damaged(format!(
                    "a rule is longer than {MAX_RULE} bytes, which no normaliser needs"
                )));
            }
            states[node as usize] = State::Done(height);
        }
        Ok(states
            .iter()
            .map(|state| matches!(state, State::Done(_)))
            .collect())
    }

    /// Every leaf that a walk can reach names a replacement.
    fn check_replacements(&self, reached: &[bool]) -> Result<(), Error> {
        let ends: Vec<usize> = self
            .replacements
            .bytes()
            .enumerate()
            .filter_map(|(index, byte)| (byte == 0).then_some(index))
            .collect();
        for (index, &unit) in self.units.iter().enumerate() {
            if !reached[index] || !has_leaf(unit) {
                continue;
            }
            let Some(&leaf) = self.units.get((index as u32 ^ offset(unit)) as usize) else {
                continue; // check_walks refuses this
            };
            let place = (leaf & !LEAF) as usize;
            let end = ends.partition_point(|&end| end < place);
            let length = ends.get(end).map(|&end| end - place);
            if !self.replacements.is_char_boundary(place)
                || length.is_none_or(|length| length > MAX_REPLACEMENT)
            {
                return Err(damaged(format!(
                    "unit {index} has its replacement at byte {place}, expected the start of a \
                     text of at most {MAX_REPLACEMENT} bytes within {} bytes",
                    self.replacements.len()
                )));
            }
        }
        Ok(())
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

/// Units by the base that leads to them: the children of a node are the units `base ^ label`.
struct Families {
    starts: Vec<u32>,
    members: Vec<u32>,
}

impl Families {
    fn new(units: &[u32]) -> Self {
        // Bases of units with labels up to 255 lie in the same block of 256 as the unit.
        let size = units.len().next_multiple_of(256);
        let base_of = |index: usize, unit: u32| {
            let label = label(unit);
            // Unit 0 is the root, and nothing leads back to it; NUL leads nowhere.
            (index != 0 && (1..256).contains(&label)).then_some(index ^ label as usize)
        };
        let mut starts = vec![0_u32; size + 1];
        for (index, &unit) in units.iter().enumerate() {
            if let Some(base) = base_of(index, unit) {
                starts[base + 1] += 1;
            }
        }
        for index in 0..size {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut members = vec![0_u32; starts[size] as usize];
        for (index, &unit) in units.iter().enumerate() {
            if let Some(base) = base_of(index, unit) {
                members[next[base] as usize] = index as u32;
                next[base] += 1;
            }
        }
        Self { starts, members }
    }

    fn of(&self, base: u32) -> impl Iterator<Item = u32> + '_ {
        let base = base as usize;
        let range = match (self.starts.get(base), self.starts.get(base + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..0,
        };
        self.members[range].iter().copied()
    }
}

fn damaged(problem: String) -> Error {
    Error::Charsmap { problem }
}
