//! Runs that are killed and go on give the bits of one that was not.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use albert_testing::Random;
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::state;
use albert_train::trainer::observer::Observer;
use albert_train::trainer::{End, Trainer, options::TrainOptions};
use albert_train::watch::NonFinite;

use crate::toy::{Toy, options};

/// Parameters, optimiser and history at the end.
fn result(folder: &Path) -> (Vec<u32>, Vec<u32>, Vec<u32>, state::State) {
    let saved = state::read(&folder.join("checkpoint-40"), crate::toy::WIDTH + 3).expect("the end");
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    (
        bits(saved.parameters),
        bits(saved.m),
        bits(saved.v),
        saved.state,
    )
}

fn uninterrupted(
    learner: &dyn Fn() -> Toy,
    change: &dyn Fn(&mut TrainOptions),
) -> (Vec<u32>, Vec<u32>, Vec<u32>, state::State) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = options(folder.path());
    change(&mut options);
    let mut trainer = Trainer::new(learner(), options).expect("a trainer");
    let outcome = trainer
        .run(&mut (), &AtomicBool::new(false))
        .expect("an end");
    assert_eq!((outcome.end, outcome.step), (End::Finished, 40));
    let result = result(folder.path());
    assert_eq!(trainer.learner().bits(), result.0);
    assert_ne!(Toy::new().bits(), result.0);
    result
}

/// Trains to the end in runs of which each is dropped at a random step, with a random number of threads: as after a panic or
/// a kill, nothing of such a run is saved after its last checkpoint. The number of drops.
fn in_pieces(
    folder: &Path,
    random: &mut Random,
    learner: &dyn Fn() -> Toy,
    change: &dyn Fn(&mut TrainOptions),
) -> usize {
    let mut drops = 0;
    loop {
        let mut options = options(folder);
        change(&mut options);
        options.threads = 1 + random.below(4);
        let mut trainer = Trainer::new(learner(), options).expect("a trainer");
        let mut bomb = Bomb(1 + random.below(12));
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            trainer.run(&mut bomb, &AtomicBool::new(false))
        }));
        match run {
            Ok(outcome) => {
                assert_eq!(outcome.expect("an end").end, End::Finished);
                return drops;
            }
            Err(_) => drops += 1,
        }
    }
}

/// Steps that are left, the last four of a run excepted: some run must come to an end.
struct Bomb(usize);

impl Observer for Bomb {
    fn stepped(&mut self, step: u64, total: u64) {
        self.0 -= 1;
        if self.0 == 0 && step + 4 < total {
            std::panic::resume_unwind(Box::new("dropped"));
        }
        self.0 = self.0.max(1);
    }
}

#[test]
fn dropped_at_random_steps_and_resumed_with_other_threads() {
    let mut random = Random::new(3);
    for (method, form) in [
        (Method::AdamW, Form::Standard),
        (Method::Lamb, Form::Google),
    ] {
        let change =
            |options: &mut TrainOptions| options.optimizer = OptimizerOptions::new(method, form);
        let expected = uninterrupted(&Toy::new, &change);
        let folder = tempfile::tempdir().expect("a folder");
        let drops = in_pieces(folder.path(), &mut random, &Toy::new, &change);
        assert!(drops > 2, "{drops} drops");
        assert!(
            result(folder.path()) == expected,
            "{method:?} after {drops} drops"
        );
    }
}

#[test]
fn dropped_before_and_after_it_went_back() {
    let change = |options: &mut TrainOptions| {
        options.watch.non_finite = NonFinite::Stop;
        options.watch.rollbacks = 1;
    };
    let mut plain = Toy::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = Trainer::new(plain, options(folder.path())).expect("a trainer");
    trainer
        .run(&mut (), &AtomicBool::new(false))
        .expect("an end");
    plain = trainer.into_learner();
    let bits = plain.at_9;
    let learner = || {
        let mut learner = Toy::new();
        learner.nan_if = Some((9, bits));
        learner
    };
    let expected = uninterrupted(&learner, &change);
    assert_eq!((expected.3.rate_scale, expected.3.rollbacks), (0.5, 1));
    let mut random = Random::new(5);
    for _ in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let drops = in_pieces(folder.path(), &mut random, &learner, &change);
        assert!(drops > 2, "{drops} drops");
        assert!(result(folder.path()) == expected, "after {drops} drops");
    }
}

#[test]
#[ignore = "the process that `killed_by_the_system` kills"]
fn child() {
    let folder = std::env::var_os("TOY_OUTPUT").expect("started by the other test");
    let mut learner = Toy::new();
    learner.pause = Duration::from_millis(6);
    let mut options = options(folder.as_ref());
    options.threads = std::env::var("TOY_THREADS")
        .expect("a number")
        .parse()
        .expect("a number");
    options.keep = Some(1);
    let mut trainer = Trainer::new(learner, options).expect("a trainer");
    trainer
        .run(&mut (), &AtomicBool::new(false))
        .expect("an end");
}

/// SIGKILL at random moments; most of the time of the child is in writing checkpoints.
#[test]
fn killed_by_the_system() {
    let expected = uninterrupted(&Toy::new, &|_| ());
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(11);
    let (mut kills, mut half_done, mut resumed) = (0, 0, std::collections::BTreeSet::new());
    loop {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "killed::child"])
            .env("TOY_OUTPUT", folder.path())
            .env("TOY_THREADS", (1 + random.below(3)).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a process");
        let wait = if kills < 60 {
            10 + random.below(120) as u64
        } else {
            60_000
        };
        let mut waited = 0;
        while waited < wait && child.try_wait().expect("a process").is_none() {
            std::thread::sleep(Duration::from_millis(1));
            waited += 1;
        }
        if let Some(status) = child.try_wait().expect("a process") {
            assert!(status.success());
            break;
        }
        child.kill().expect("a kill");
        child.wait().expect("an end");
        kills += 1;
        let names = std::fs::read_dir(folder.path()).expect("the folder");
        let names: Vec<String> = names
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        half_done += usize::from(names.iter().any(|name| name.starts_with(".checkpoint-")));
        // Whatever bears the name of a checkpoint is one.
        for name in names.iter().filter(|name| name.starts_with("checkpoint-")) {
            state::read(&folder.path().join(name), crate::toy::WIDTH + 3).expect("complete");
            resumed.insert(name.clone());
        }
    }
    println!(
        "{kills} kills, {half_done} in the middle of a checkpoint, {} resumes",
        resumed.len()
    );
    assert!(
        kills > 3 && half_done > 0,
        "{kills} kills, {half_done} of them while saving"
    );
    assert!(result(folder.path()) == expected, "after {kills} kills");
}
