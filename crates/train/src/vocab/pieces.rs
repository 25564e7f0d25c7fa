//! Pieces with scores, and finding those that a word holds at one place.

/// Pieces as symbols, in the order of their symbols, and their scores: logarithms of probabilities, in nats.
pub(super) struct Pieces {
    symbols: Vec<u32>,
    starts: Vec<usize>,
    pub(super) scores: Vec<f64>,
}

impl Pieces {
    /// From a sorted list without repetitions.
    pub(super) fn new<'a>(sorted: impl Iterator<Item = (&'a [u32], f64)>) -> Self {
        let mut pieces = Self {
            symbols: Vec::new(),
            starts: vec![0],
            scores: Vec::new(),
        };
        for (symbols, score) in sorted {
            debug_assert!(pieces.is_empty() || pieces.piece(pieces.len() - 1) < symbols);
            pieces.symbols.extend_from_slice(symbols);
            pieces.starts.push(pieces.symbols.len());
            pieces.scores.push(score);
        }
        pieces
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The symbols of a piece.
    pub(super) fn piece(&self, index: usize) -> &[u32] {
        &self.symbols[self.starts[index]..self.starts[index + 1]]
    }

    /// The lowest score.
    pub(super) fn lowest(&self) -> f64 {
        self.scores.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The score of a symbol that is no piece, as SentencePiece has it.
    pub(super) fn unknown(&self) -> f64 {
        self.lowest() - 10.0
    }

    /// Those for which there is a new score.
    pub(super) fn filter(&self, score: impl Fn(usize) -> Option<f64>) -> Self {
        let kept = (0..self.len()).filter_map(|index| Some((self.piece(index), score(index)?)));
        Self::new(kept)
    }
}

/// No piece, no node.
const NONE: u32 = u32::MAX;

/// The pieces as a tree, its nodes level by level, so that the children of a node stand side by side.
pub(super) struct Trie {
    /// For each node, its first child; one more at the end.
    first: Vec<u32>,
    /// The symbol that leads to a node.
    symbol: Vec<u32>,
    /// The piece that ends there.
    piece: Vec<u32>,
    /// For each symbol, the node below the root.
    root: Vec<u32>,
}

impl Trie {
    pub(super) fn new(pieces: &Pieces) -> Self {
        let mut trie = Self {
            first: Vec::new(),
            symbol: vec![NONE],
            piece: Vec::new(),
            root: Vec::new(),
        };
        // Pieces that begin alike stand side by side: a node is a range of them.
        let mut level: Vec<_> = std::iter::once(0..pieces.len()).collect();
        let mut depth = 0;
        while !level.is_empty() {
            let mut below = Vec::new();
            for mut range in level {
                let ends = !range.is_empty() && pieces.piece(range.start).len() == depth;
                trie.piece
                    .push(if ends { range.start as u32 } else { NONE });
                range.start += usize::from(ends);
                trie.first.push(trie.symbol.len() as u32);
                while !range.is_empty() {
                    let symbol = pieces.piece(range.start)[depth];
                    let same =
                        (range.start..range.end).take_while(|i| pieces.piece(*i)[depth] == symbol);
                    let end = range.start + same.count();
                    trie.symbol.push(symbol);
                    below.push(range.start..end);
                    range.start = end;
                }
            }
            level = below;
            depth += 1;
        }
        trie.first.push(trie.symbol.len() as u32);
        for node in trie.children(0) {
            let symbol = trie.symbol[node] as usize;
            if trie.root.len() <= symbol {
                trie.root.resize(symbol + 1, NONE);
            }
            trie.root[symbol] = node as u32;
        }
        trie
    }

    fn children(&self, node: usize) -> std::ops::Range<usize> {
        self.first[node] as usize..self.first[node + 1] as usize
    }

    /// Calls `found(length, piece)` for each piece that `symbols` begins with, shortest first.
    pub(super) fn prefixes(&self, symbols: &[u32], mut found: impl FnMut(usize, usize)) {
        let Some((first, rest)) = symbols.split_first() else {
            return;
        };
        let mut node = match self.root.get(*first as usize) {
            Some(&node) if node != NONE => node as usize,
            _ => return,
        };
        let mut length = 1;
        let mut rest = rest.iter();
        loop {
            if self.piece[node] != NONE {
                found(length, self.piece[node] as usize);
            }
            let Some(symbol) = rest.next() else { return };
            let children = self.children(node);
            match self.symbol[children.clone()].binary_search(symbol) {
                Ok(place) => node = children.start + place,
                Err(_) => return,
            }
            length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_where_they_are() {
        let list: [&[u32]; 6] = [&[0], &[0, 1], &[0, 1, 2, 0], &[0, 3], &[2, 2], &[5]];
        let pieces = Pieces::new(list.iter().map(|piece| (*piece, -1.0)));
        let trie = Trie::new(&pieces);
        let of = |symbols: &[u32]| {
            let mut found = Vec::new();
            trie.prefixes(symbols, |length, piece| found.push((length, piece)));
            found
        };
        assert_eq!(of(&[0, 1, 2, 0, 7]), [(1, 0), (2, 1), (4, 2)]);
        assert_eq!(of(&[0, 3, 3]), [(1, 0), (2, 3)]);
        assert_eq!(of(&[2]), []);
        assert_eq!(of(&[2, 2]), [(2, 4)]);
        assert_eq!(of(&[5]), [(1, 5)]);
        assert_eq!(of(&[9, 9]), []);
        assert_eq!(of(&[]), []);
        let kept = pieces.filter(|index| (index % 2 == 1).then_some(-2.5));
        assert_eq!(
            (kept.len(), kept.piece(2), kept.lowest()),
            (3, &[5][..], -2.5)
        );
        assert_eq!(Trie::new(&Pieces::new(std::iter::empty())).first, [1, 1]);
    }
}
