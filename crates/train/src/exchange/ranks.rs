//! What a trainer does over a transport: records of everyone for everyone, sums of vectors in the order of a tree.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::{Alone, Exchange, ExchangeError};

type Result<T> = std::result::Result<T, ExchangeError>;

/// Elements of a message: 4 MiB, so that the bytes on their way stay few, and a message much longer than its latency.
const PIECE: usize = 1 << 20;

/// What one rank sent, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that this rank sent.
    pub bytes: u64,
    /// Time in sums of vectors.
    pub sums: Duration,
    /// Time in records: latency, and waiting for ranks that had more to do.
    pub records: Duration,
}

/// The ranks of a run, seen from one of them. All of them call the same methods in the same order.
#[derive(Debug)]
pub struct Ranks {
    exchange: Box<dyn Exchange>,
    traffic: Traffic,
    /// Bytes on their way out and in.
    buffers: [Vec<u8>; 2],
}

/// The sum of values as a binary tree over their order: (a + b) + (c + d). Of 2ⁿ values; of other numbers the first half is
/// the shorter one.
pub fn tree(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [value] => *value,
        _ => {
            let (first, second) = values.split_at(values.len() / 2);
            tree(first) + tree(second)
        }
    }
}

impl Ranks {
    /// Over a transport.
    ///
    /// # Errors
    /// A number of ranks that is no power of two.
    pub fn new(exchange: Box<dyn Exchange>) -> Result<Self> {
        let (rank, size) = (exchange.rank(), exchange.size());
        if !size.is_power_of_two() || rank >= size {
            return Err(ExchangeError::Ranks {
                expected: "1, 2, 4, 8, … processes".to_owned(),
                found: size.to_string(),
            });
        }
        Ok(Self {
            exchange,
            traffic: Traffic::default(),
            buffers: Default::default(),
        })
    }

    /// One rank.
    pub fn alone() -> Self {
        Self {
            exchange: Box::new(Alone),
            traffic: Traffic::default(),
            buffers: Default::default(),
        }
    }

    /// Number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.exchange.rank()
    }

    /// Number of ranks: a power of two.
    pub fn size(&self) -> usize {
        self.exchange.size()
    }

    /// Whether this is rank 0, which writes.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// What was sent so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The records of all ranks, in their order, by recursive doubling: log2 N messages.
    ///
    /// # Errors
    /// A rank that ended.
    pub fn gather<const W: usize>(&mut self, own: [u64; W]) -> Result<Vec<[u64; W]>> {
        let start = Instant::now();
        let (rank, size) = (self.rank(), self.size());
        let mut all = vec![[0; W]; size];
        all[rank] = own;
        let mut width = 1;
        while width < size {
            let (partner, held) = (rank ^ width, rank & !(width - 1));
            let send: Vec<u8> = all[held..held + width]
                .as_flattened()
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let mut receive = vec![0; send.len()];
            self.exchange.swap(partner, &send, &mut receive)?;
            self.traffic.bytes += send.len() as u64;
            let theirs = &mut all[held ^ width..][..width];
            let received = receive.as_chunks().0;
            for (value, bytes) in theirs.as_flattened_mut().iter_mut().zip(received) {
                *value = u64::from_le_bytes(*bytes);
            }
            width *= 2;
        }
        self.traffic.records += start.elapsed();
        Ok(all)
    }

    /// Waits until all ranks have come here.
    ///
    /// # Errors
    /// A rank that ended.
    pub fn barrier(&mut self) -> Result<()> {
        self.gather([0]).map(drop)
    }

    /// Replaces `values` by the sums over all ranks, the same bits on each: recursive halving, then doubling, in which every
    /// rank sends 2·(N−1)/N of the vector. Each element is added as in [`tree`] over the ranks in their order. Ranks have
    /// vectors of equal length.
    ///
    /// # Errors
    /// A rank that ended.
    pub fn sum(&mut self, values: &mut [f32]) -> Result<()> {
        let start = Instant::now();
        let rank = self.rank();
        let mut held = 0..values.len();
        let mut given = Vec::new();
        let mut width = 1;
        while width < self.size() {
            // The partner of this level has what this rank has: the same elements, of as many ranks.
            let middle = held.start + held.len() / 2;
            let (low, high) = (held.start..middle, middle..held.end);
            let (mine, theirs) = if rank & width == 0 {
                (low, high)
            } else {
                (high, low)
            };
            self.swap(
                rank ^ width,
                values,
                theirs.clone(),
                mine.clone(),
                |own, x| *own += x,
            )?;
            given.push(theirs);
            held = mine;
            width *= 2;
        }
        while let Some(theirs) = given.pop() {
            width /= 2;
            self.swap(
                rank ^ width,
                values,
                held.clone(),
                theirs.clone(),
                |own, x| *own = x,
            )?;
            held = held.start.min(theirs.start)..held.end.max(theirs.end);
        }
        self.traffic.sums += start.elapsed();
        Ok(())
    }

    /// Sends one part of a vector and puts what comes back into another part, piece by piece.
    fn swap(
        &mut self,
        partner: usize,
        values: &mut [f32],
        send: Range<usize>,
        receive: Range<usize>,
        put: impl Fn(&mut f32, f32),
    ) -> Result<()> {
        let [out, back] = &mut self.buffers;
        let rounds = send.len().max(receive.len()).div_ceil(PIECE);
        for round in 0..rounds {
            let piece = |whole: &Range<usize>| {
                let start = (whole.start + round * PIECE).min(whole.end);
                start..(start + PIECE).min(whole.end)
            };
            let (send, receive) = (piece(&send), piece(&receive));
            out.resize(4 * send.len(), 0);
            back.resize(4 * receive.len(), 0);
            for (bytes, value) in out.as_chunks_mut().0.iter_mut().zip(&values[send]) {
                *bytes = value.to_le_bytes();
            }
            self.exchange.swap(partner, out, back)?;
            self.traffic.bytes += out.len() as u64;
            for (value, bytes) in values[receive].iter_mut().zip(back.as_chunks().0) {
                put(value, f32::from_le_bytes(*bytes));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
