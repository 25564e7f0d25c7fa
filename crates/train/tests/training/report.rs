//! The files that tell how training went.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::toy::{Toy, options};
use albert_train::learner::Metrics;
use albert_train::report::card::{Card, markdown};
use albert_train::report::tensorboard::TensorBoard;
use albert_train::report::{eval_results, train_results, write_card, write_results};
use albert_train::trainer::options::{Cadence, TrainOptions};
use albert_train::trainer::{Outcome, Trainer};
use serde_json::{Value, json};

fn trained(folder: &Path) -> (Trainer<Toy>, Outcome) {
    trained_with(options(folder))
}

fn trained_with(mut options: TrainOptions) -> (Trainer<Toy>, Outcome) {
    let folder = &options.output.clone();
    options.evaluate = Cadence::Steps(20);
    let mut learner = Toy::new();
    learner.metrics = Box::new(|n| {
        let score = 0.5 + 0.25 * n as f64;
        [("accuracy".to_owned(), score), ("loss".to_owned(), 0.125)].into()
    });
    let mut trainer = Trainer::new(learner, options).expect("a trainer");
    let mut board = TensorBoard::create(folder, 0, ()).expect("a file");
    let outcome = trainer
        .run(&mut board, &AtomicBool::new(false))
        .expect("an end");
    board.finish().expect("written");
    (trainer, outcome)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[test]
fn results_under_the_names_of_transformers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trainer, mut outcome) = trained(folder.path());
    outcome.elapsed = Duration::from_millis(2500);
    let (options, state) = (trainer.options(), trainer.state());
    let train = train_results(&outcome, options, state, crate::toy::SAMPLES);
    write_results(folder.path(), "train", &train).expect("written");
    let metrics: Metrics = [("accuracy".to_owned(), 0.75), ("loss".to_owned(), 0.125)].into();
    let eval = eval_results(&metrics, 20, 0.5, options, state);
    write_results(folder.path(), "eval", &eval).expect("written");
    let found = read(&folder.path().join("train_results.json"));
    let expected = json!({
        "epoch": 40.0 / 7.0, "options_hash": state.options_hash, "seed": 42,
        "total_flos": 6.0 * state.tokens as f64 * (crate::toy::WIDTH + 3) as f64,
        "train_loss": outcome.train_loss, "train_runtime": 2.5, "train_samples": 50,
        "train_samples_per_second": 128.0, "train_steps_per_second": 16.0,
    });
    assert_eq!(found, expected);
    let all = read(&folder.path().join("all_results.json"));
    assert_eq!(all["eval_accuracy"], 0.75);
    assert_eq!(all["eval_samples_per_second"], 40.0);
    assert_eq!(all["train_runtime"], 2.5);
    let text = fs::read_to_string(folder.path().join("all_results.json")).expect("a file");
    assert!(text.starts_with("{\n    \"epoch\": "), "{text}");
    fs::write(folder.path().join("all_results.json"), "[").expect("written");
    let refused = write_results(folder.path(), "eval", &eval).expect_err("no JSON");
    assert!(
        refused.to_string().contains("all_results.json"),
        "{refused}"
    );
}

#[test]
fn the_card_and_the_curves() {
    let (one, two) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let card = Card {
        name: "toy \"1\"".to_owned(),
        base_model: Some("albert/albert-base-v2".to_owned()),
        license: Some("apache-2.0".to_owned()),
        language: Some("en".to_owned()),
        task: Some("text-classification".to_owned()),
        dataset: Some("glue: sst2".to_owned()),
        evaluated_on: Some("other.tsv".to_owned()),
        versions: vec![("albert".to_owned(), "0.1.0".to_owned())],
    };
    let results: Metrics = [("accuracy".to_owned(), 0.75), ("loss".to_owned(), 0.125)].into();
    for folder in [one.path(), two.path()] {
        let (trainer, _) = trained(folder);
        write_card(folder, &card, trainer.options(), trainer.state(), &results).expect("written");
    }
    let text = |name: &str| {
        let texts = [&one, &two]
            .map(|folder| fs::read_to_string(folder.path().join(name)).expect("a file"));
        assert_eq!(texts[0], texts[1], "{name}");
        texts[0].clone()
    };
    let readme = text("README.md");
    let front: Vec<&str> = readme.split("---\n").collect();
    assert!(front[1].contains("base_model: \"albert/albert-base-v2\"\n"));
    assert!(front[1].contains("- name: \"toy \\\"1\\\"\"\n"));
    assert!(
        front[1]
            .contains("    - name: \"accuracy\"\n      type: \"accuracy\"\n      value: 0.75\n")
    );
    assert!(front[1].contains("      name: \"other.tsv\"\n"));
    assert!(readme.contains("On the evaluation data (other.tsv):\n\n"));
    assert!(readme.contains("| accuracy | 0.7500 |\n"));
    assert!(readme.contains("- lr_scheduler_warmup_ratio: 0.1\n"));
    assert!(readme.contains("| training loss | epoch | step | accuracy | loss |\n"));
    assert!(readme.contains(" | 20 | 0.5000 | 0.1250 |\n"), "{readme}");
    assert!(
        readme.contains("](curves.svg)\n")
            && readme.contains("made from albert/albert-base-v2, trained on glue: sst2.")
    );
    let curves = text("curves.svg");
    assert_eq!(curves.matches("<polyline").count(), 5, "{curves}");
    // Without anything known.
    let folder = tempfile::tempdir().expect("a folder");
    let trainer = Trainer::new(Toy::new(), options(folder.path())).expect("a trainer");
    let plain = markdown(
        &Card::default(),
        trainer.options(),
        trainer.state(),
        &Metrics::new(),
    );
    assert!(plain.contains("There was no evaluation"), "{plain}");
}

/// The records by their lengths; their checksums are tested beside the writer.
#[test]
fn events_of_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(trained(folder.path()));
    let mut files = fs::read_dir(folder.path().join("runs")).expect("a folder");
    let bytes = fs::read(files.next().expect("a file").expect("an entry").path()).expect("a file");
    let (mut at, mut tags) = (0, Vec::new());
    while at < bytes.len() {
        let length =
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
        let record = String::from_utf8_lossy(&bytes[at + 12..at + 12 + length]).into_owned();
        tags.push(["brain.Event:2", "train/loss", "eval/accuracy"].map(|tag| record.contains(tag)));
        at += length + 16;
    }
    assert_eq!(at, bytes.len());
    let count = |i: usize| tags.iter().filter(|found| found[i]).count();
    assert_eq!([count(0), count(1), count(2), tags.len()], [1, 13, 2, 16]);
    let other = tempfile::tempdir().expect("a folder");
    drop(trained_with(TrainOptions {
        losses: Some(["one_loss", "other_loss"]),
        ..options(other.path())
    }));
    let mut files = fs::read_dir(other.path().join("runs")).expect("a folder");
    let bytes = fs::read(files.next().expect("a file").expect("an entry").path()).expect("a file");
    let text = String::from_utf8_lossy(&bytes);
    for tag in ["train/loss", "train/one_loss", "train/other_loss"] {
        assert_eq!(text.matches(tag).count(), 13, "{tag}");
    }
    // The folder of events is no stranger in an output folder.
    for name in fs::read_dir(folder.path()).expect("a folder") {
        let path = name.expect("an entry").path();
        if path.is_dir() && !path.ends_with("runs") {
            fs::remove_dir_all(path).expect("removed");
        } else if path.is_file() {
            fs::remove_file(path).expect("removed");
        }
    }
    assert!(Trainer::new(Toy::new(), options(folder.path())).is_ok());
}
