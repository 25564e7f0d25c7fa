//! The agenda of the n-best search: a binary heap that pops equal priorities in the order in which
//! `std::priority_queue` of GNU's C++ library does, on which SentencePiece's lists depend.

use std::collections::HashMap;

/// A path from a node to the end of the text.
#[derive(Clone, Copy)]
pub(super) struct Hypothesis {
    pub node: u32,
    /// The rest of the path.
    pub next: Option<u32>,
    /// What the whole text can reach with it.
    pub priority: f32,
    /// Its scores without those of `node`'s left side.
    pub sum: f32,
}

/// Numbers of hypotheses, the one with the highest priority on top.
#[derive(Default)]
pub(super) struct Agenda {
    heap: Vec<u32>,
}

impl Agenda {
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(super) fn push(&mut self, item: u32, made: &[Hypothesis]) {
        self.heap.push(item);
        self.rise(self.heap.len() - 1, item, made);
    }

    /// Moves `item` up from the hole while its parent is lower.
    fn rise(&mut self, mut hole: usize, item: u32, made: &[Hypothesis]) {
        let priority = |item: u32| made[item as usize].priority;
        while hole > 0 {
            let parent = (hole - 1) / 2;
            if priority(self.heap[parent]) < priority(item) {
                self.heap[hole] = self.heap[parent];
                hole = parent;
            } else {
                break;
            }
        }
        self.heap[hole] = item;
    }

    /// Takes the top. The hole sinks to the bottom along the higher children (the right one if
    /// they are equal), then the last item rises from there.
    pub(super) fn pop(&mut self, made: &[Hypothesis]) -> Option<u32> {
        let last = self.heap.pop()?;
        let Some(&top) = self.heap.first() else {
            return Some(last);
        };
        let priority = |item: u32| made[item as usize].priority;
        let length = self.heap.len();
        let mut hole = 0;
        loop {
            let right = 2 * hole + 2;
            let child = if right < length {
                let lower = priority(self.heap[right]) < priority(self.heap[right - 1]);
                right - usize::from(lower)
            } else if right == length {
                right - 1
            } else {
                break;
            };
            self.heap[hole] = self.heap[child];
            hole = child;
        }
        self.rise(hole, last, made);
        Some(top)
    }

    /// Keeps the best `keep` items, and of `made` only what they need.
    pub(super) fn shrink(&mut self, keep: usize, made: &mut Vec<Hypothesis>) {
        let mut kept: Vec<Hypothesis> = Vec::new();
        let mut moved: HashMap<u32, u32> = HashMap::new();
        let mut smaller = Self::default();
        for _ in 0..keep {
            let Some(top) = self.pop(made) else {
                break;
            };
            let mut chain = Vec::new();
            let mut at = Some(top);
            while let Some(index) = at
                && !moved.contains_key(&index)
            {
                chain.push(index);
                at = made[index as usize].next;
            }
            for &index in chain.iter().rev() {
                let mut hypothesis = made[index as usize];
                hypothesis.next = hypothesis.next.and_then(|next| moved.get(&next).copied());
                moved.insert(index, kept.len() as u32);
                kept.push(hypothesis);
            }
            if let Some(&top) = moved.get(&top) {
                smaller.push(top, &kept);
            }
        }
        *self = smaller;
        *made = kept;
    }
}
