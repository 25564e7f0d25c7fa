//! What the ranks of a distributed run tell each other: one primitive of transport, and everything over it in [`Ranks`].
//!
//! A rank is one of N processes (or threads) that train together, N a power of two. A transport is an [`Exchange`]:
//! [`Alone`], [`Threads`] in one process, and with the feature `mpi` that of Open MPI (`mpi::Mpi`). [`Ranks`] adds what a
//! trainer needs of it: small records of everyone for everyone, and sums of vectors whose additions are those of a binary
//! tree over the ranks in their order.
//!
//! ```
//! use albert_train::exchange::{Ranks, Threads};
//!
//! let sums = std::thread::scope(|scope| {
//!     let ranks = Threads::new(4).into_iter().map(|exchange| {
//!         scope.spawn(|| {
//!             let mut ranks = Ranks::new(Box::new(exchange))?;
//!             let mut values = [ranks.rank() as f32, 0.5];
//!             ranks.sum(&mut values)?;
//!             Ok::<_, albert_train::exchange::ExchangeError>(values)
//!         })
//!     });
//!     let ranks: Vec<_> = ranks.collect();
//!     ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect::<Result<Vec<_>, _>>()
//! })?;
//! assert_eq!(sums, [[6.0, 2.0]; 4]);
//! # Ok::<(), albert_train::exchange::ExchangeError>(())
//! ```

#[cfg(feature = "mpi")]
pub mod mpi;
mod ranks;
mod threads;

pub use ranks::{Ranks, Traffic, tree};
pub use threads::Threads;

/// Why ranks cannot work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The transport does not have ranks as they must be.
    #[error("ranks of a distributed run: expected {expected}, found {found}")]
    Ranks {
        /// What they must be.
        expected: String,
        /// What they are.
        found: String,
    },
    /// A rank that was waited for ended.
    #[error("rank {rank}: rank {partner} ended; its own message says why")]
    Gone {
        /// Who waited.
        rank: usize,
        /// For whom.
        partner: usize,
    },
    /// A message is not the one that was due: ranks run different programs.
    #[error(
        "rank {rank}: expected {expected} bytes of rank {partner}, found {found}; start the same program everywhere"
    )]
    Length {
        /// Who waited.
        rank: usize,
        /// For whom.
        partner: usize,
        /// Bytes that were due.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
}

/// A transport between ranks.
pub trait Exchange: std::fmt::Debug {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;
    /// Number of ranks: a power of two.
    fn size(&self) -> usize;
    /// Sends `send` to `partner` while it receives `receive.len()` bytes from there. The partner calls this at the same
    /// place of its program, with these lengths the other way round.
    ///
    /// # Errors
    /// A partner that ended, or sent something else.
    fn swap(
        &mut self,
        partner: usize,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), ExchangeError>;
}

/// One rank, which has no partner.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Exchange for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn swap(&mut self, partner: usize, _: &[u8], _: &mut [u8]) -> Result<(), ExchangeError> {
        Err(ExchangeError::Gone { rank: 0, partner })
    }
}
