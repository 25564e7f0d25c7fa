//! Ranks as processes that `mpirun` started: messages through Open MPI. The feature `mpi` of this crate.
//!
//! Only the thread that called [`Session::start`] calls MPI (`MPI_THREAD_FUNNELED`). An error inside MPI ends all processes:
//! that is MPI's default.

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Equivalence};

use super::{Exchange, ExchangeError};

/// MPI, from its beginning to its end in this process. Dropped, it waits for the other ranks to end too.
pub struct Session(Universe);

impl Session {
    /// Starts MPI. `launched` is the number of processes that were started, as their environment says.
    ///
    /// # Errors
    /// MPI that was started before, that does not know threads, or that sees another number of processes: then it is not the
    /// MPI whose `mpirun` was called.
    pub fn start(launched: usize) -> Result<Self, ExchangeError> {
        let refuse = |expected: &str, found: String| {
            let expected = expected.to_owned();
            Err(ExchangeError::Ranks { expected, found })
        };
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled)
        else {
            return refuse("MPI that starts once", "one that runs".to_owned());
        };
        if threading < Threading::Funneled {
            return refuse(
                "MPI with threads (MPI_THREAD_FUNNELED)",
                format!("{threading:?}"),
            );
        }
        let session = Self(universe);
        let size = session.exchange().size();
        if size != launched {
            let expected = format!(
                "{launched} processes (mpirun started that many), by the mpirun of the MPI that this program was built with"
            );
            return refuse(&expected, format!("{size}"));
        }
        Ok(session)
    }

    /// The transport between all processes.
    pub fn exchange(&self) -> Mpi {
        let world = self.0.world();
        let number = |value: i32| usize::try_from(value).unwrap_or(0);
        Mpi {
            rank: number(world.rank()),
            size: number(world.size()),
            world,
        }
    }

    /// Ends all processes at once; `mpirun` ends with this exit code.
    pub fn abort(&self, code: i32) -> ! {
        self.0.world().abort(code)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.exchange()).finish()
    }
}

/// One of the processes of `MPI_COMM_WORLD`. It is of use as long as its [`Session`] is.
pub struct Mpi {
    rank: usize,
    size: usize,
    world: SimpleCommunicator,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mpi(rank {} of {})", self.rank, self.size)
    }
}

impl Exchange for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn swap(
        &mut self,
        partner: usize,
        send: &[u8],
        receive: &mut [u8],
    ) -> Result<(), ExchangeError> {
        let rank = self.rank;
        let number = i32::try_from(partner).ok().filter(|_| partner < self.size);
        let Some(number) = number else {
            return Err(ExchangeError::Gone { rank, partner });
        };
        let process = self.world.process_at_rank(number);
        let status = send_receive_into(send, &process, receive, &process);
        let found = usize::try_from(status.count(u8::equivalent_datatype())).unwrap_or(0);
        if found != receive.len() {
            return Err(ExchangeError::Length {
                rank,
                partner,
                expected: receive.len(),
                found,
            });
        }
        Ok(())
    }
}
