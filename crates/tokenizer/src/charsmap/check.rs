//! What no charsmap may do: lead outside its array, in a circle, or to a text that is none.

use super::{Charsmap, LEAF, MAX_REPLACEMENT, MAX_RULE, damaged, has_leaf, label, offset};
use crate::Error;

impl Charsmap {
    pub(super) fn check(&mut self) -> Result<(), Error> {
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
