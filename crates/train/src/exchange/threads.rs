//! Ranks as threads of one process, for tests and examples: messages through channels.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::{Exchange, ExchangeError};

/// One of N ranks that live in threads of one process. A rank that is dropped, also by a panic, is gone for those that wait
/// for it: no thread waits for ever.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    /// To each rank.
    senders: Vec<Sender<Vec<u8>>>,
    /// From each rank.
    receivers: Vec<Receiver<Vec<u8>>>,
}

impl Threads {
    /// All ranks, in order.
    pub fn new(size: usize) -> Vec<Self> {
        let empty = |rank| Self {
            rank,
            senders: Vec::new(),
            receivers: Vec::new(),
        };
        let mut ranks: Vec<Self> = (0..size).map(empty).collect();
        for from in 0..size {
            for to in 0..size {
                let (sender, receiver) = channel();
                ranks[from].senders.push(sender);
                ranks[to].receivers.push(receiver);
            }
        }
        ranks
    }
}

impl Exchange for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.senders.len()
    }

    fn swap(
        &mut self,
        partner: usize,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), ExchangeError> {
        let rank = self.rank;
        let gone = ExchangeError::Gone { rank, partner };
        let (Some(to), Some(from)) = (self.senders.get(partner), self.receivers.get(partner))
        else {
            return Err(gone);
        };
        to.send(send.to_vec()).map_err(|_| gone.clone())?;
        let found = from.recv().map_err(|_| gone)?;
        if found.len() != receive.len() {
            return Err(ExchangeError::Length {
                rank,
                partner,
                expected: receive.len(),
                found: found.len(),
            });
        }
        receive.copy_from_slice(&found);
        Ok(())
    }
}
