//! What a trainer does besides training: evaluations, the best checkpoint, early stops, interruptions, refusals.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::toy::{Toy, options};
use albert_train::learner::Metrics;
use albert_train::state;
use albert_train::trainer::error::TrainError;
use albert_train::trainer::observer::{Log, Observer, Warning};
use albert_train::trainer::options::{Best, Cadence, Length, Micro, Resume, TrainOptions};
use albert_train::trainer::{End, Outcome, Trainer};
use albert_train::watch::{Alarm, Chance, Constant, NonFinite};

#[derive(Default)]
struct Diary {
    logs: Vec<Log>,
    evaluated: Vec<u64>,
    saved: Vec<u64>,
    warnings: Vec<(u64, Warning)>,
}

impl Observer for Diary {
    fn logged(&mut self, log: &Log) {
        self.logs.push(*log);
    }
    fn evaluated(&mut self, step: u64, _: f64, _: &Metrics) {
        self.evaluated.push(step);
    }
    fn saved(&mut self, step: u64, _: &Path) {
        self.saved.push(step);
    }
    fn warned(&mut self, step: u64, warning: &Warning) {
        self.warnings.push((step, warning.clone()));
    }
}

fn run(learner: Toy, options: TrainOptions) -> (Result<Outcome, TrainError>, Diary, Toy) {
    let mut trainer = Trainer::new(learner, options).expect("a trainer");
    let mut diary = Diary::default();
    let outcome = trainer.run(&mut diary, &AtomicBool::new(false));
    (outcome, diary, trainer.into_learner())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn checkpoints(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.contains("checkpoint"))
        .collect();
    names.sort();
    names
}

fn scores(values: &'static [f64]) -> Box<dyn Fn(usize) -> Metrics> {
    Box::new(move |n| {
        let score = values[n.min(values.len() - 1)];
        [
            ("accuracy".to_owned(), score),
            ("loss".to_owned(), 1.0 - score),
        ]
        .into()
    })
}

#[test]
fn learns_logs_and_keeps_as_many_checkpoints_as_asked() {
    let home = folder();
    let named = TrainOptions {
        losses: Some(["one_loss", "other_loss"]),
        ..options(home.path())
    };
    let (outcome, diary, _) = run(Toy::new(), named);
    let outcome = outcome.expect("an end");
    assert_eq!(
        (outcome.end, outcome.step, outcome.steps_now),
        (End::Finished, 40, 40)
    );
    let steps: Vec<u64> = diary.logs.iter().map(|log| log.step).collect();
    assert_eq!(steps, (1..14).map(|i| 3 * i).collect::<Vec<u64>>());
    assert!(
        diary.logs[12].loss < 0.5 * diary.logs[0].loss,
        "{:?}",
        diary.logs
    );
    // Linear with 4 steps of warm-up: the rate of update 6 (t = 5) is 35/36 of the base.
    assert!((diary.logs[1].learning_rate - 0.01 * 35.0 / 36.0).abs() < 1e-15);
    assert_eq!(diary.saved, (1..=10).map(|i| 4 * i).collect::<Vec<u64>>());
    assert_eq!(checkpoints(home.path()), ["checkpoint-36", "checkpoint-40"]);
    assert!(home.path().join("model.bin").exists());
    let text =
        fs::read_to_string(home.path().join("checkpoint-40/trainer_state.json")).expect("a state");
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["global_step"], 40);
    assert_eq!(found["epoch"], 40.0 / 7.0);
    assert_eq!(found["log_history"][1]["step"], 6);
    assert_eq!(found["log_history"][1]["loss"], diary.logs[1].loss);
    // The toy's two losses are equal.
    for log in &diary.logs {
        let [(first, a), (second, b)] = log.losses.expect("both losses");
        assert_eq!([first, second], ["one_loss", "other_loss"]);
        assert!((a + b - log.loss).abs() < 1e-12 && (a - b).abs() < 1e-12);
    }
    assert_eq!(
        found["log_history"][1]["other_loss"],
        diary.logs[1].losses.expect("both losses")[1].1
    );
    // A second run finds that nothing is left to do.
    let (outcome, diary, _) = run(Toy::new(), options(home.path()));
    assert_eq!(outcome.expect("an end").steps_now, 0);
    assert!(diary.logs.is_empty());
}

#[test]
fn micro_batches_hold_every_sample_of_an_epoch_once() {
    let home = folder();
    let mut options = options(home.path());
    options.length = Length::Epochs(1.0);
    options.micro = Micro::Samples(3);
    let (outcome, _, learner) = run(Toy::new(), options);
    // 50 samples in batches of 8: six of parts of 3, 3, 2 and one of 2.
    assert_eq!((outcome.expect("an end").step, learner.parts), (7, 19));
}

#[test]
fn the_best_checkpoint_stays_and_is_loaded_and_patience_ends() {
    let home = folder();
    let mut options = options(home.path());
    options.evaluate = Cadence::Steps(3);
    options.keep = Some(1);
    options.best = Some(Best {
        metric: "eval_accuracy".to_owned(),
        greater_is_better: true,
    });
    options.patience = Some(3);
    options.load_best_at_end = true;
    let mut learner = Toy::new();
    learner.metrics = scores(&[0.5, 0.8, f64::NAN, 0.8, 0.7, 0.99]);
    let (outcome, diary, learner) = run(learner, options.clone());
    let outcome = outcome.expect("an end");
    assert_eq!(
        (outcome.end, outcome.best),
        (End::EarlyStopped, Some((6, 0.8)))
    );
    assert_eq!(diary.evaluated, [3, 6, 9, 12, 15]);
    assert_eq!(checkpoints(home.path()), ["checkpoint-15", "checkpoint-6"]);
    let best =
        state::read(&home.path().join("checkpoint-6"), crate::toy::WIDTH + 3).expect("the best");
    let bits: Vec<u32> = best.parameters.iter().map(|x| x.to_bits()).collect();
    assert_eq!(learner.bits(), bits);
    // Run again, it stays ended.
    let (again, _, learner) = run(Toy::new(), options.clone());
    let again = again.expect("an end");
    assert_eq!(
        (again.end, again.step, again.steps_now),
        (End::EarlyStopped, 15, 0)
    );
    assert_eq!(learner.bits(), bits);
    // Less is better; a metric that is not there is named.
    let home = folder();
    options.output = home.path().to_owned();
    options.best = Some(Best {
        metric: "loss".to_owned(),
        greater_is_better: false,
    });
    let mut learner = Toy::new();
    learner.metrics = scores(&[0.5, 0.8, 0.9, 0.8, 0.7, 0.7]);
    let (outcome, ..) = run(learner, options.clone());
    assert_eq!(outcome.expect("an end").best.map(|best| best.0), Some(9));
    let home = folder();
    options.output = home.path().to_owned();
    options.best = Some(Best {
        metric: "f1".to_owned(),
        greater_is_better: true,
    });
    let mut learner = Toy::new();
    learner.metrics = scores(&[0.5]);
    let message = run(learner, options).0.expect_err("no f1").to_string();
    assert!(
        message.contains("f1") && message.contains("accuracy, loss"),
        "{message}"
    );
}

#[test]
fn evaluations_by_epochs() {
    let home = folder();
    let mut options = options(home.path());
    options.length = Length::Epochs(2.5);
    options.evaluate = Cadence::Epochs;
    options.save = Cadence::Epochs;
    let (_, diary, _) = run(Toy::new(), options);
    assert_eq!(diary.evaluated, [7, 14, 18]);
    assert_eq!(diary.saved, [7, 14, 18]);
}

#[test]
fn an_interruption_is_saved_and_costs_nothing() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let (whole, parts) = (folder(), folder());
    let (_, _, expected) = run(Toy::new(), options(whole.path()));
    let mut learner = Toy::new();
    // In the middle of the batch of step 5: a batch has three or four parts.
    learner.interrupt = Some((22, &STOP));
    let mut trainer = Trainer::new(learner, options(parts.path())).expect("a trainer");
    let outcome = trainer.run(&mut (), &STOP).expect("an end");
    assert_eq!(outcome.end, End::Interrupted);
    assert!(outcome.step > 4 && outcome.step < 8, "{outcome:?}");
    drop(trainer);
    let last = checkpoints(parts.path()).pop().expect("a checkpoint");
    assert_eq!(last, format!("checkpoint-{}", outcome.step));
    let trainer = Trainer::new(Toy::new(), options(parts.path())).expect("a trainer");
    assert_eq!(
        trainer.resumed_from(),
        Some(parts.path().join(last).as_path())
    );
    drop(trainer);
    let (_, _, found) = run(Toy::new(), options(parts.path()));
    assert_eq!(found.bits(), expected.bits());
}

#[test]
fn torn_checkpoints_are_passed_over() {
    let home = folder();
    let (_, _, expected) = run(Toy::new(), options(home.path()));
    // A copy that was cut short, and folders that were on their way.
    let last = home.path().join("checkpoint-40");
    let tensors = last.join("training_state.safetensors");
    fs::write(&tensors, &fs::read(&tensors).expect("a file")[..1000]).expect("a file");
    fs::create_dir(home.path().join("checkpoint-44")).expect("a folder");
    fs::create_dir(home.path().join(".checkpoint-48.tmp")).expect("a folder");
    fs::write(home.path().join(".checkpoint-48.tmp/model.bin"), "x").expect("a file");
    let (outcome, diary, learner) = run(Toy::new(), options(home.path()));
    assert_eq!(outcome.expect("an end").steps_now, 4);
    assert_eq!(diary.warnings.len(), 2);
    let Warning::Torn { problem } = &diary.warnings[1].1 else {
        panic!("{:?}", diary.warnings);
    };
    assert!(problem.contains("found 1000 bytes"), "{problem}");
    assert_eq!(learner.bits(), expected.bits());
    assert!(
        !checkpoints(home.path())
            .iter()
            .any(|name| name.starts_with('.'))
    );
    // One that was being replaced comes back.
    let hidden = home.path().join(".checkpoint-36.old");
    fs::rename(home.path().join("checkpoint-36"), &hidden).expect("renamed");
    let trainer = Trainer::new(Toy::new(), options(home.path())).expect("a trainer");
    assert!(home.path().join("checkpoint-36").exists() && !hidden.exists());
    // The folder belongs to one trainer.
    let second = Trainer::new(Toy::new(), options(home.path()));
    assert!(matches!(second, Err(TrainError::Locked { .. })));
    drop(trainer);
    fs::remove_dir_all(home.path().join("checkpoint-44")).expect("removed");
    // Torn ones alone are no reason to begin anew over them.
    for name in checkpoints(home.path()) {
        fs::remove_file(home.path().join(name).join("model.bin")).ok();
    }
    let refused = Trainer::new(Toy::new(), options(home.path()))
        .err()
        .expect("refused");
    assert!(
        refused.to_string().contains("model.bin, found none"),
        "{refused}"
    );
}

#[test]
fn goes_on_from_the_checkpoint_that_is_named() {
    let (home, other) = (folder(), folder());
    let mut options = options(home.path());
    options.keep = None;
    let (_, _, expected) = run(Toy::new(), options.clone());
    // In the same folder, where later ones are, and in another one.
    let from = home.path().join("checkpoint-12");
    options.resume = Resume::From(from.clone());
    for output in [home.path(), other.path()] {
        options.output = output.to_owned();
        let (outcome, diary, found) = run(Toy::new(), options.clone());
        assert_eq!(outcome.expect("an end").steps_now, 28);
        assert_eq!(diary.saved, (4..=10).map(|i| 4 * i).collect::<Vec<u64>>());
        assert_eq!(found.bits(), expected.bits());
    }
    options.resume = Resume::From(home.path().join("checkpoint-13"));
    let refused = Trainer::new(Toy::new(), options).err().expect("refused");
    assert!(refused.to_string().contains("checkpoint-13"), "{refused}");
}

#[test]
fn other_options_are_refused_by_name() {
    let home = folder();
    let mut short = options(home.path());
    short.facts = [("dropout".to_owned(), "0.1".to_owned())].into();
    run(Toy::new(), short.clone()).0.expect("an end");
    type Change = fn(&mut TrainOptions);
    let changes: [(&str, Change); 7] = [
        ("seed 42, found 43", |o| o.seed = 43),
        ("length", |o| o.length = Length::Steps(50)),
        ("learning rate 0.01, found 0.02", |o| o.learning_rate = 0.02),
        ("micro-batch", |o| o.micro = Micro::Samples(2)),
        ("optimizer method \"lamb\", found \"adamw\"", |o| {
            o.optimizer.method = albert_train::optim::Method::AdamW;
        }),
        ("dropout \"0.1\", found \"0\"", |o| {
            o.facts.insert("dropout".to_owned(), "0".to_owned());
        }),
        ("dropout \"0.1\", found nothing", |o| o.facts.clear()),
    ];
    for (words, change) in changes {
        let mut other = short.clone();
        change(&mut other);
        let refused = Trainer::new(Toy::new(), other).err().expect("refused");
        assert!(matches!(refused, TrainError::Changed { .. }));
        assert!(refused.to_string().contains(words), "{refused}");
    }
    // What changes no number is free.
    short.log_every = 7;
    short.threads = 3;
    short.keep = None;
    assert!(Trainer::new(Toy::new(), short.clone()).is_ok());
    short.resume = Resume::Never;
    let refused = Trainer::new(Toy::new(), short).err().expect("refused");
    assert!(refused.to_string().contains("2 checkpoints"), "{refused}");
}

#[test]
fn folders_that_are_not_for_us_and_options_that_cannot_be() {
    let home = folder();
    fs::write(home.path().join("notes.txt"), "mine").expect("a file");
    let refused = |options| {
        Trainer::new(Toy::new(), options)
            .err()
            .expect("refused")
            .to_string()
    };
    assert!(refused(options(home.path())).contains("found notes.txt"));
    assert!(refused(options(&home.path().join("notes.txt/out"))).contains("could not create"));
    let home = folder();
    let with = |change: &dyn Fn(&mut TrainOptions)| {
        let mut options = options(home.path());
        change(&mut options);
        refused(options)
    };
    assert!(with(&|o| o.batch = 0).contains("batch size"));
    assert!(with(&|o| o.learning_rate = f64::NAN).contains("learning rate"));
    assert!(with(&|o| o.keep = Some(0)).contains("to keep"));
    assert!(with(&|o| o.patience = Some(1)).contains("patience"));
    assert!(
        with(&|o| (o.batch, o.drop_last) = (51, true)).contains("51 training samples, found 50")
    );
    assert!(with(&|o| o.save = Cadence::Steps(0)).contains("at least 1"));
    assert!(with(&|o| o.optimizer.beta2 = 1.0).contains("beta2"));
    assert!(checkpoints(home.path()).is_empty());
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let home = folder();
    let learner = Toy::new();
    learner.saves_left.set(2);
    let (outcome, ..) = run(learner, options(home.path()));
    let message = outcome.expect_err("full").chain();
    assert!(
        message.contains("step 12") && message.contains("No space left"),
        "{message}"
    );
    assert!(message.contains("checkpoint-8 is complete"), "{message}");
    assert_eq!(checkpoints(home.path()), ["checkpoint-4", "checkpoint-8"]);
    let (_, _, found) = run(Toy::new(), options(home.path()));
    let whole = folder();
    let (_, _, expected) = run(Toy::new(), options(whole.path()));
    assert_eq!(found.bits(), expected.bits());
}

#[test]
fn an_update_that_is_not_finite_is_left_out_or_ends() {
    let home = folder();
    let mut learner = Toy::new();
    learner.nan_at = Some(9);
    let (outcome, diary, learner) = run(learner, options(home.path()));
    assert_eq!(outcome.expect("an end").step, 40);
    assert!(
        learner
            .bits()
            .iter()
            .all(|bits| f32::from_bits(*bits).is_finite())
    );
    let alarm = Alarm::Gradient { in_a_row: 1 };
    assert_eq!(diary.warnings, [(9, Warning::Skipped { alarm })]);
    let home = folder();
    let mut options = options(home.path());
    options.watch.non_finite = NonFinite::Stop;
    let mut learner = Toy::new();
    learner.nan_at = Some(9);
    let message = run(learner, options).0.expect_err("divergence").to_string();
    assert!(
        message.contains("step 9") && message.contains("learning rate"),
        "{message}"
    );
    assert_eq!(checkpoints(home.path()), ["checkpoint-4", "checkpoint-8"]);
}

#[test]
fn training_goes_back_with_half_the_rate_then_gives_up() {
    let home = folder();
    let mut options = options(home.path());
    options.watch.non_finite = NonFinite::Stop;
    options.watch.rollbacks = 2;
    let mut learner = Toy::new();
    learner.nan_at = Some(9);
    let (outcome, diary, _) = run(learner, options.clone());
    assert!(matches!(outcome, Err(TrainError::Diverged { step: 9, .. })));
    assert_eq!(diary.saved, [0, 4, 8]);
    let scales: Vec<f64> = diary
        .warnings
        .iter()
        .map(|(_, warning)| match warning {
            Warning::RolledBack {
                to: 8, rate_scale, ..
            } => *rate_scale,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(scales, [0.5, 0.25]);
    // Constant predictions: back to before the first evaluation that had them; the later checkpoint is gone.
    let home = folder();
    options.output = home.path().to_owned();
    options.keep = None;
    options.evaluate = Cadence::Steps(5);
    options.watch.constant = Some(Constant {
        metric: "most_frequent".to_owned(),
        evaluations: 2,
    });
    let mut learner = Toy::new();
    learner.metrics = Box::new(|n| {
        let share = if n < 2 { 1.0 } else { 0.6 };
        [("most_frequent".to_owned(), share)].into()
    });
    let (outcome, diary, _) = run(learner, options);
    assert_eq!(outcome.expect("an end").step, 40);
    assert!(matches!(
        diary.warnings[0],
        (10, Warning::RolledBack { to: 4, .. })
    ));
    assert_eq!(diary.saved[..4], [0, 4, 8, 8]);
    let last = state::read_state(&home.path().join("checkpoint-40")).expect("the end");
    assert_eq!((last.rate_scale, last.rollbacks), (0.5, 1));
    assert!(
        last.history
            .iter()
            .any(|entry| entry.contains_key("rolled_back_from"))
    );
}

#[test]
fn a_loss_that_stays_at_chance_ends_with_advice() {
    let home = folder();
    let mut options = options(home.path());
    options.learning_rate = 0.0;
    options.watch.chance = Some(Chance {
        loss: 0.001,
        margin: 0.05,
        after: 10,
    });
    let message = run(Toy::new(), options)
        .0
        .expect_err("nothing learned")
        .to_string();
    assert!(
        message.contains("step 9") && message.contains("dropout to 0"),
        "{message}"
    );
}
