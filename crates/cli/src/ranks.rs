//! Training by many processes: whether mpirun started this one, how its ranks begin, and how they end together.

use albert_train::exchange::{Ranks, Traffic};
use albert_train::trainer::Outcome;
use anyhow::{Context, Result};

/// Ends the program with this exit code; the reason was told already, or another rank tells it.
#[derive(Debug, thiserror::Error)]
#[error("told by rank 0")]
pub(crate) struct Told(pub(crate) u8);

/// Variables that say how many processes were started: of Open MPI, and of MPICH and its relatives.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// Those on this machine.
const LOCAL_SIZES: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"];
/// Set where Open MPI gave each process cores of its own.
const BOUND: &str = "OMPI_MCA_orte_bound_at_launch";

fn number(names: &[&str]) -> Result<Option<usize>> {
    for name in names {
        if let Ok(text) = std::env::var(name) {
            let parsed = text.parse().ok().filter(|number| *number > 0);
            let number = parsed.with_context(|| {
                format!("variable {name}: expected a number of processes, found {text:?}; unset it to run alone")
            })?;
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Threads of a process where nothing is said: its share of `cores`, those that it may use.
pub(crate) fn threads(cores: usize) -> usize {
    share(
        cores,
        number(&LOCAL_SIZES).ok().flatten(),
        std::env::var_os(BOUND).is_some(),
    )
}

fn share(cores: usize, processes: Option<usize>, bound: bool) -> usize {
    match processes {
        Some(processes) if !bound => (cores / processes).max(1),
        _ => cores,
    }
}

/// What was exchanged, of one rank and one step.
pub(crate) fn traffic_line(size: usize, traffic: Traffic, outcome: &Outcome) -> String {
    let steps = outcome.steps_now.max(1) as f64;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3 / steps;
    format!(
        "{size} processes; per step {:.1} ms, in which each sent {:.3} MB, took {:.2} ms for sums and {:.2} ms to wait for others",
        milliseconds(outcome.elapsed),
        traffic.bytes as f64 / 1e6 / steps,
        milliseconds(traffic.sums),
        milliseconds(traffic.records),
    )
}

/// Runs `work` as one of the processes that mpirun started, or as the only one.
///
/// # Errors
/// Those of `work` where it is alone. Of several ranks, one that fails tells why and ends all.
pub(crate) fn together(work: impl FnOnce(Ranks) -> Result<()>) -> Result<()> {
    match number(&SIZES)? {
        Some(size) => distributed(size, work),
        None => work(Ranks::alone()),
    }
}

#[cfg(not(feature = "mpi"))]
fn distributed(size: usize, work: impl FnOnce(Ranks) -> Result<()>) -> Result<()> {
    if size > 1 {
        anyhow::bail!(
            "mpirun started {size} processes, but this albert was built without MPI, and each would train for itself into the \
             same folder; build it with: cargo build --release --features mpi (docs/distributed.md says what that needs), or \
             start it without mpirun"
        );
    }
    work(Ranks::alone())
}

#[cfg(feature = "mpi")]
fn distributed(size: usize, work: impl FnOnce(Ranks) -> Result<()>) -> Result<()> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use albert_train::exchange::{Exchange, mpi::Session};

    use crate::stream::say;

    /// What all ranks refuse is told by rank 0, which ends the others before they say the same.
    const LATER: Duration = Duration::from_millis(500);

    let session = Session::start(size)?;
    let exchange = session.exchange();
    let rank = exchange.rank();
    let worked = catch_unwind(AssertUnwindSafe(|| work(Ranks::new(Box::new(exchange))?)));
    let error = match worked {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => {
            say(format_args!(
                "error: rank {rank} of {size} panicked, which ends all"
            ));
            session.abort(101);
        }
    };
    if rank == 0 && crate::is_closed_pipe(&error) {
        return Ok(());
    }
    if error
        .chain()
        .any(|cause| cause.is::<crate::verbs::Interrupted>())
    {
        if rank == 0 {
            say(&error);
        }
        // The session ends here, in all ranks together: mpirun ends those that are left when one has ended with a code.
        return Err(Told(130).into());
    }
    if rank > 0 {
        std::thread::sleep(LATER);
    }
    if let Some(mistake) = error.downcast_ref::<clap::Error>() {
        let _ = mistake.print();
        session.abort(2);
    }
    say(format_args!("error: rank {rank} of {size}: {error:#}"));
    session.abort(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn processes_share_the_cores_of_a_machine_unless_they_have_their_own() {
        assert_eq!(share(16, None, false), 16);
        assert_eq!(share(16, Some(4), false), 4);
        assert_eq!(share(16, Some(4), true), 16);
        assert_eq!(share(2, Some(3), false), 1);
    }
}
