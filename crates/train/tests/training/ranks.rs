//! Runs of several ranks give the bits of one that is alone, go on with another number of ranks, and end together.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use albert_train::exchange::{ExchangeError, Ranks, Threads};
use albert_train::learner::Learner;
use albert_train::state::{self, Saved};
use albert_train::trainer::error::TrainError;
use albert_train::trainer::options::TrainOptions;
use albert_train::trainer::{End, Outcome, Trainer};
use albert_train::watch::NonFinite;

use crate::toy::{Toy, WIDTH};

type Bits = (Vec<u32>, Vec<u32>, Vec<u32>, state::State);

/// What became of a rank.
struct Rank {
    outcome: Result<Outcome, TrainError>,
    /// Parameters at the end.
    bits: Vec<u32>,
    /// Micro-batches that it computed.
    calls: usize,
    at_9: u32,
}

/// Batches of 24, 24 and 2 of 50 samples in 8 parts: parts of several micro-batches, and parts without a sample.
fn options(folder: &Path, parts: usize) -> TrainOptions {
    let mut options = crate::toy::options(folder);
    (options.batch, options.parts) = (24, parts);
    options
}

/// Ranks in threads, each with the learner and the options that `make` gives for it, and a flag that it may set.
fn together(
    size: usize,
    make: impl Fn(usize, &'static AtomicBool) -> (Toy, TrainOptions) + Sync,
) -> Vec<Result<Rank, String>> {
    let make = &make;
    std::thread::scope(|scope| {
        let work = |exchange: Threads, rank: usize| {
            let stop: &'static AtomicBool = Box::leak(Box::default());
            let (learner, options) = make(rank, stop);
            let ranks = Ranks::new(Box::new(exchange)).map_err(|error| error.to_string())?;
            let trainer = Trainer::with_ranks(learner, options, ranks);
            let mut trainer = trainer.map_err(|error| error.to_string())?;
            let outcome = trainer.run(&mut (), stop);
            let learner = trainer.into_learner();
            Ok(Rank {
                outcome,
                bits: learner.bits(),
                calls: learner.parts,
                at_9: learner.at_9,
            })
        };
        let ranks: Vec<_> = Threads::new(size)
            .into_iter()
            .enumerate()
            .map(|(rank, exchange)| scope.spawn(move || work(exchange, rank)))
            .collect();
        let panicked = |_| Err("panicked".to_owned());
        let ranks = ranks.into_iter();
        ranks
            .map(|rank| rank.join().unwrap_or_else(panicked))
            .collect()
    })
}

/// All ranks of a run that is not stopped.
fn whole(folder: &Path, size: usize, parts: usize) -> Vec<Rank> {
    let ranks = together(size, |_, _| (Toy::new(), options(folder, parts)));
    let ranks: Vec<Rank> = ranks.into_iter().map(|rank| rank.expect("begun")).collect();
    for rank in &ranks {
        let outcome = rank.outcome.as_ref().expect("an end");
        assert_eq!((outcome.end, outcome.step), (End::Finished, 40));
    }
    ranks
}

fn result(folder: &Path) -> Bits {
    let saved = state::read(&folder.join("checkpoint-40"), WIDTH + 3).expect("the end");
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    let Saved {
        state,
        parameters,
        m,
        v,
    } = saved;
    (bits(parameters), bits(m), bits(v), state)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn any_number_of_ranks_gives_the_same_bits() {
    let home = folder();
    let alone = whole(home.path(), 1, 8);
    let expected = result(home.path());
    for size in [2, 4, 8] {
        let home = folder();
        let ranks = whole(home.path(), size, 8);
        assert!(result(home.path()) == expected, "{size} ranks");
        for rank in &ranks {
            assert!(rank.bits == expected.0, "{size} ranks");
        }
        // Each computes its own parts alone.
        let calls: Vec<usize> = ranks.iter().map(|rank| rank.calls).collect();
        assert_eq!(calls.iter().sum::<usize>(), alone[0].calls, "{calls:?}");
        assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    }
    // Another tree gives other bits, so equality says something.
    for parts in [1, 4] {
        let home = folder();
        whole(home.path(), 1, parts);
        assert!(result(home.path()).0 != expected.0, "{parts} parts");
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let whole_home = folder();
    whole(whole_home.path(), 1, 8);
    let home = folder();
    let mut last = 0;
    // One of the ranks is told to stop, before its batch or in the middle of it.
    for (size, stopped, call) in [(2, 1, 40), (8, 5, 9), (1, 0, 33), (4, 0, 30)] {
        let ranks = together(size, |rank, stop| {
            let mut learner = Toy::new();
            if rank == stopped {
                learner.interrupt = Some((call, stop));
            }
            (learner, options(home.path(), 8))
        });
        for rank in ranks {
            let outcome = rank.expect("begun").outcome.expect("an end");
            assert_eq!(outcome.end, End::Interrupted);
            assert!(outcome.step > last, "{size} ranks");
            let path = home.path().join(format!("checkpoint-{}", outcome.step));
            state::read(&path, WIDTH + 3).expect("complete");
        }
        last = state::folder::Folder::follow(home.path())
            .steps()
            .expect("checkpoints")[0];
    }
    whole(home.path(), 8, 8);
    assert!(result(home.path()) == result(whole_home.path()));
}

#[test]
fn all_go_back_together() {
    let change = |options: &mut TrainOptions| {
        options.watch.non_finite = NonFinite::Stop;
        options.watch.rollbacks = 1;
    };
    let home = folder();
    let bits = whole(home.path(), 1, 8)[0].at_9;
    let run = |size| {
        let home = folder();
        let ranks = together(size, |_, _| {
            let mut learner = Toy::new();
            learner.nan_if = Some((9, bits));
            let mut options = options(home.path(), 8);
            change(&mut options);
            (learner, options)
        });
        for rank in ranks {
            let outcome = rank.expect("begun").outcome.expect("an end");
            assert_eq!(outcome.end, End::Finished);
        }
        result(home.path())
    };
    let alone = run(1);
    assert_eq!((alone.3.rate_scale, alone.3.rollbacks), (0.5, 1));
    assert!(run(4) == alone);
}

#[test]
fn a_rank_that_fails_ends_all_and_the_last_checkpoint_stays() {
    let whole_home = folder();
    whole(whole_home.path(), 1, 8);
    let home = folder();
    let ranks = together(4, |rank, _| {
        let mut learner = Toy::new();
        learner.fail_at = (rank == 2).then_some(9);
        (learner, options(home.path(), 8))
    });
    let errors = ranks.into_iter().map(|rank| {
        let outcome = rank.expect("begun").outcome;
        outcome.expect_err("ended").chain()
    });
    let elsewhere = "step 9: rank 2 failed; its own message says why";
    assert_eq!(
        errors.collect::<Vec<_>>(),
        [elsewhere, elsewhere, "step 9: no such word", elsewhere]
    );
    whole(home.path(), 2, 8);
    assert!(result(home.path()) == result(whole_home.path()));
    // A disk that is full at rank 0, which alone writes.
    let home = folder();
    let ranks = together(2, |_, _| {
        let learner = Toy::new();
        learner.saves_left.set(1);
        (learner, options(home.path(), 8))
    });
    let errors: Vec<TrainError> = ranks
        .into_iter()
        .map(|rank| rank.expect("begun").outcome.expect_err("ended"))
        .collect();
    assert!(
        matches!(errors[0], TrainError::Save { step: 8, .. }),
        "{errors:?}"
    );
    let gone = ExchangeError::Gone {
        rank: 1,
        partner: 0,
    };
    assert!(
        matches!(&errors[1], TrainError::Exchange(error) if *error == gone),
        "{errors:?}"
    );
    state::read(&home.path().join("checkpoint-4"), WIDTH + 3).expect("complete");
}

#[test]
fn ranks_that_differ_are_told_apart() {
    let refusal = |change: &(dyn Fn(&mut Toy, &mut TrainOptions) + Sync)| {
        let home = folder();
        let ranks = together(4, |rank, _| {
            let (mut learner, mut options) = (Toy::new(), options(home.path(), 8));
            if rank == 3 {
                change(&mut learner, &mut options);
            }
            (learner, options)
        });
        let errors: Vec<String> = ranks.into_iter().filter_map(Result::err).collect();
        assert_eq!(errors.len(), 4, "{errors:?}");
        errors[0].clone()
    };
    let seed = refusal(&|_, options| options.seed = 7);
    assert!(
        seed.contains("rank 3 has other options than rank 0"),
        "{seed}"
    );
    let values = refusal(&|learner, _| {
        let mut values = learner.values().to_vec();
        values[WIDTH] += 1e-6;
        learner.assign(&values);
    });
    assert!(values.contains("rank 3 has other parameters"), "{values}");
    // Threads change no number.
    let home = folder();
    let ranks = together(2, |rank, _| {
        let mut options = options(home.path(), 8);
        options.threads = 1 + 2 * rank;
        (Toy::new(), options)
    });
    assert!(ranks.into_iter().all(|rank| rank.is_ok()));
}

#[test]
fn parts_are_a_power_of_two_and_no_fewer_than_ranks() {
    for (size, parts, words) in [
        (1, 3, ["parts", "1, 2, 4", "found 3"]),
        (1, 0, ["parts", "1, 2, 4", "found 0"]),
        (4, 2, ["parts", "at least 4", "found 2"]),
        (3, 8, ["processes", "1, 2, 4", "found 3"]),
    ] {
        let home = folder();
        let ranks = together(size, |_, _| {
            (Toy::new(), options(&home.path().join("none"), parts))
        });
        for rank in ranks {
            let error = rank.err().expect("refused");
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        assert!(!home.path().join("none").exists());
    }
}
