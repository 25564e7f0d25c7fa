//! All paths through a text: the n best ones, and random ones.
//!
//! The scores are f32 and are added in SentencePiece's order, and equal scores leave its priority
//! queue in its order (that of the heap of GNU's standard library), so that lists are the same.

mod heap;

use crate::unigram::{Step, UNKNOWN, Unigram, char_width, user_defined_score};
use heap::{Agenda, Hypothesis};

/// One piece at one place.
struct Node {
    start: u32,
    end: u32,
    id: u32,
    /// Place in characters where it starts.
    place: u32,
    score: f32,
    /// Best sum up to the end of this piece.
    best: f32,
    before: u32,
}

/// The node before the text.
const BEGIN: u32 = 0;
/// The node after the text.
const END: u32 = 1;

/// The pieces that can stand at each place of a text.
pub(crate) struct Lattice {
    nodes: Vec<Node>,
    /// For each place, in characters, the nodes that end there, in order of insertion.
    ends: Vec<Vec<u32>>,
    /// The same for nodes that start there.
    starts: Vec<Vec<u32>>,
}

/// A path and its score.
pub(crate) type Path = (Vec<Step>, f32);

impl Lattice {
    /// All pieces of `text`, which is normalised and not empty.
    pub(crate) fn new(text: &str, model: &Unigram) -> Self {
        let mut places = vec![0_u32; text.len() + 1];
        let mut count = 0;
        for (at, _) in text.char_indices() {
            places[at] = count;
            count += 1;
        }
        places[text.len()] = count;
        let size = count as usize;
        let mut lattice = Self {
            nodes: Vec::new(),
            ends: vec![Vec::new(); size + 1],
            starts: vec![Vec::new(); size + 1],
        };
        let edge = |place: u32| Node {
            start: 0,
            end: 0,
            id: UNKNOWN,
            place,
            score: 0.0,
            best: 0.0,
            before: BEGIN,
        };
        lattice.nodes.push(edge(0));
        lattice.nodes.push(edge(count));
        lattice.ends[0].push(BEGIN);
        lattice.starts[size].push(END);
        for (start, _) in text.char_indices() {
            let width = char_width(text.as_bytes()[start]);
            let mut single = false;
            let mut insert = |length: usize, id: u32, score: f32| {
                let end = start + length;
                let node = lattice.nodes.len() as u32;
                lattice.nodes.push(Node {
                    start: start as u32,
                    end: end as u32,
                    id,
                    place: places[start],
                    score,
                    best: 0.0,
                    before: BEGIN,
                });
                lattice.starts[places[start] as usize].push(node);
                lattice.ends[places[end] as usize].push(node);
            };
            model
                .trie()
                .prefixes(&text.as_bytes()[start..], |length, id| {
                    // Here the length of a symbol counts characters, in the search bytes.
                    let characters = (places[start + length] - places[start]) as usize;
                    let score = match model.is_user_defined(id) {
                        true => user_defined_score(characters),
                        false => model.score_f32(id),
                    };
                    insert(length, id, score);
                    single |= length == width;
                });
            if !single {
                insert(
                    width,
                    model.unk_id.unwrap_or(UNKNOWN),
                    model.unk_score as f32,
                );
            }
        }
        lattice
    }

    /// The best path.
    fn viterbi(&mut self) -> Path {
        for place in 0..self.starts.len() {
            for index in 0..self.starts[place].len() {
                let right = self.starts[place][index];
                let score = self.nodes[right as usize].score;
                let mut best: Option<(f32, u32)> = None;
                for &left in &self.ends[place] {
                    let sum = self.nodes[left as usize].best + score;
                    if best.is_none_or(|(best, _)| sum > best) {
                        best = Some((sum, left));
                    }
                }
                if let Some((sum, left)) = best {
                    let node = &mut self.nodes[right as usize];
                    node.best = sum;
                    node.before = left;
                }
            }
        }
        let mut path = Vec::new();
        let mut node = self.nodes[END as usize].before;
        while node != BEGIN {
            path.push(self.step(node));
            node = self.nodes[node as usize].before;
        }
        path.reverse();
        (path, self.nodes[END as usize].best)
    }

    fn step(&self, node: u32) -> Step {
        let node = &self.nodes[node as usize];
        Step {
            start: node.start as usize,
            end: node.end as usize,
            id: node.id,
        }
    }

    /// The `count` best paths, best first: a search from the end (A*), in which the best sum up to
    /// a node says exactly what is still to come.
    pub(crate) fn n_best(&mut self, count: usize) -> Vec<Path> {
        const MAX_AGENDA: usize = 10_000;
        const MAX_HYPOTHESES: usize = 500_000;
        const MAX_SHRINKS: usize = 10;
        let best = self.viterbi();
        if count <= 1 {
            return vec![best];
        }
        let keep = (count * 10).min(512);
        // SentencePiece thins out the agenda when so many hypotheses were made since last time.
        let mut limit = 100_000;
        let mut shrinks = 0;
        let mut total = 1;
        let mut made = vec![Hypothesis {
            node: END,
            next: None,
            priority: best.1,
            sum: 0.0,
        }];
        let mut agenda = Agenda::default();
        agenda.push(0, &made);
        let mut results = Vec::new();
        while let Some(top) = agenda.pop(&made) {
            let Hypothesis { node, sum, .. } = made[top as usize];
            if node == BEGIN {
                results.push((self.follow(top, &made), made[top as usize].priority));
                if results.len() == count {
                    break;
                }
                continue;
            }
            let place = self.nodes[node as usize].place as usize;
            for &left in &self.ends[place] {
                let before = &self.nodes[left as usize];
                made.push(Hypothesis {
                    node: left,
                    next: Some(top),
                    priority: before.best + sum,
                    sum: before.score + sum,
                });
                agenda.push(made.len() as u32 - 1, &made);
            }
            total += self.ends[place].len();
            if total >= MAX_HYPOTHESES || made.len() >= MAX_HYPOTHESES {
                return vec![best];
            }
            if agenda.len() >= MAX_AGENDA || (agenda.len() > keep && made.len() >= limit) {
                if shrinks >= MAX_SHRINKS {
                    return vec![best];
                }
                shrinks += 1;
                agenda.shrink(keep, &mut made);
                limit = made.len() + 100_000;
            }
        }
        results
    }

    fn follow(&self, hypothesis: u32, made: &[Hypothesis]) -> Vec<Step> {
        let mut path = Vec::new();
        let mut at = made[hypothesis as usize].next;
        while let Some(index) = at {
            let hypothesis = &made[index as usize];
            if hypothesis.next.is_some() {
                path.push(self.step(hypothesis.node));
            }
            at = hypothesis.next;
        }
        path
    }

    /// A random path, each with a probability in proportion to exp(`alpha` · its score): sums of
    /// probabilities from left to right, then choices from right to left. `random` gives numbers
    /// from 0 to below 1.
    pub(crate) fn sample(&self, alpha: f32, mut random: impl FnMut() -> f64) -> Vec<Step> {
        let mut forward = vec![0.0_f32; self.nodes.len()];
        for (starts, ends) in self.starts.iter().zip(&self.ends) {
            for &right in starts {
                let mut sum = 0.0;
                for (index, &left) in ends.iter().enumerate() {
                    let term = alpha * self.nodes[left as usize].score + forward[left as usize];
                    sum = if index == 0 {
                        term
                    } else {
                        log_sum_exp(sum, term)
                    };
                }
                forward[right as usize] = sum;
            }
        }
        let mut path = Vec::new();
        let mut weights: Vec<f64> = Vec::new();
        let mut node = END;
        loop {
            let total = forward[node as usize];
            let ends = &self.ends[self.nodes[node as usize].place as usize];
            weights.clear();
            weights.extend(ends.iter().map(|&left| {
                let term = forward[left as usize] + alpha * self.nodes[left as usize].score;
                f64::from(f64::from(term - total).exp() as f32)
            }));
            node = ends[choose(&mut weights, random())];
            if node == BEGIN {
                break;
            }
            path.push(self.step(node));
        }
        path.reverse();
        path
    }
}

/// log(exp(x) + exp(y)), as SentencePiece rounds it.
fn log_sum_exp(x: f32, y: f32) -> f32 {
    let (low, high) = if x < y { (x, y) } else { (y, x) };
    if high > low + 50.0 {
        return high;
    }
    (f64::from(high) + f64::from(low - high).exp().ln_1p()) as f32
}

/// Chooses an index with a probability in proportion to its weight. Weights that are no positive
/// numbers count as 0; if there are no others, the first is chosen.
pub(crate) fn choose(weights: &mut [f64], random: f64) -> usize {
    for weight in &mut *weights {
        if !weight.is_finite() || *weight < 0.0 {
            *weight = 0.0;
        }
    }
    let mut rest = random * weights.iter().sum::<f64>();
    let mut chosen = 0;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            chosen = index;
            if rest < weight {
                break;
            }
        }
        rest -= weight;
    }
    chosen
}
