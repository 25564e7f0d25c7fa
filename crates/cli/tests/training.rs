//! `albert finetune` and `albert evaluate` as a user runs them: every task from its file to a folder that the other verbs
//! read, runs that are stopped and go on, and what is refused.

#[allow(dead_code, reason = "each file of tests uses a part")]
mod common;

use std::process::{Command, Stdio};

use common::{Home, fixtures};
use serde_json::{Value, json};

const SENTENCES: &str = "text\tlabel\nthe city is old\told\nthe book is new\tnew\na long river\told\nthis is short\tnew\n";

/// A folder with data of every task.
fn home() -> Home {
    let home = Home::empty();
    let paragraphs = |no_answer: bool| {
        let texts = [
            ("the capital of france is paris", "paris"),
            ("rome is in italy", "italy"),
            ("a river is long", "long"),
        ];
        let list: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(i, (context, answer))| {
                    let none = no_answer && i == 2;
                    let start = context.find(answer).expect("the answer");
                    let answers = if none {
                        json!([])
                    } else {
                        json!([{ "text": answer, "answer_start": start }])
                    };
                    json!({ "context": context, "qas": [{
                        "id": format!("q{i}"), "question": "what is it", "answers": answers, "is_impossible": none,
                    }] })
                })
                .collect();
        json!({ "version": "", "data": [{ "title": "", "paragraphs": list }] }).to_string()
    };
    let race = "{\"article\": \"the old city is rome\", \"questions\": [\"it is _ .\", \"where\"], \"options\": [[\"old\", \"new\", \"bad\", \"good\"], [\"rome\", \"paris\", \"italy\"]], \"answers\": [\"A\", \"A\"], \"id\": \"m1.txt\"}\n";
    let cola = "gj04\t1\t\tthe city is old\ngj04\t0\t*\tcity the old is\n";
    for (name, text) in [
        ("sentences.tsv", SENTENCES),
        (
            "pairs.csv",
            "text,text_pair,label\nthe city,the capital,yes\na book,a river,no\n",
        ),
        (
            "labels.csv",
            "text,label\nthe city is old,\"old,city\"\nthe book is new,new\n",
        ),
        (
            "values.tsv",
            "text\ttext_pair\tlabel\nthe city\tthe capital\t0.5\na book\ta river\t-1\nan old one\ta new one\t2\n",
        ),
        ("squad.json", &paragraphs(false)),
        ("squad2.json", &paragraphs(true)),
        (
            "choices.jsonl",
            "{\"text\": \"the city\", \"question\": \"where\", \"choices\": [\"rome\", \"paris\", \"italy\"], \"label\": 1}\n{\"text\": \"the book\", \"choices\": [\"old\", \"new\", \"good\", \"bad\"], \"label\": \"C\"}\n",
        ),
        (
            "tags.conll",
            "rome B-place\nis O\nold O\n\nparis B-place\nin O\nfrance B-place\n",
        ),
        ("race/train/middle/1.txt", race),
        ("race/dev/middle/1.txt", race),
        ("glue/CoLA/train.tsv", cola),
        ("glue/CoLA/dev.tsv", cola),
        (
            "glue/CoLA/test.tsv",
            "index\tsentence\n0\tthe city is old\n1\tis is\n",
        ),
    ] {
        home.file(name, text);
    }
    home
}

const SHORT: &str = "--model fixtures/demo --max-steps 2 --batch-size 2 --quiet";

#[test]
fn every_task_is_learned_measured_and_answered() {
    let home = home();
    // Task, its data, what answers with the result, files of predictions.
    let tasks = [
        (
            "classification",
            "--train-file sentences.tsv --validation-file sentences.tsv",
            "classify rome",
            "predictions.txt",
        ),
        (
            "classification",
            "--train-file pairs.csv --validation-file pairs.csv",
            "classify rome --pair paris",
            "predictions.txt",
        ),
        (
            "multi-label",
            "--train-file labels.csv --validation-file labels.csv",
            "classify rome",
            "predictions.txt",
        ),
        (
            "regression",
            "--train-file values.tsv --validation-file values.tsv",
            "classify rome",
            "predictions.txt",
        ),
        (
            "squad",
            "--train-file squad.json --validation-file squad.json",
            "answer where --context rome",
            "nbest_predictions.json predictions.json",
        ),
        (
            "squad2",
            "--train-file squad2.json --validation-file squad2.json",
            "answer where --context rome",
            "nbest_predictions.json null_odds.json predictions.json",
        ),
        (
            "choices",
            "--train-file choices.jsonl --validation-file choices.jsonl",
            "choose rome --choice old --choice new",
            "predictions.txt",
        ),
        (
            "race",
            "--data race",
            "choose rome --choice old --choice new",
            "predictions.txt",
        ),
        (
            "tagging",
            "--train-file tags.conll --validation-file tags.conll",
            "tag rome",
            "predictions.conll",
        ),
        (
            "cola",
            "--data glue",
            "classify rome",
            "CoLA.tsv predict_results_cola.txt",
        ),
        (
            "squad2 --joint",
            "--train-file squad2.json --validation-file squad2.json",
            "answer where --context rome --no-answer",
            "nbest_predictions.json null_odds.json predictions.json",
        ),
    ];
    for (i, (task, data, answer, predictions)) in tasks.into_iter().enumerate() {
        let output = format!("model-{i}");
        let out = home.done(&format!("finetune {task} {SHORT} {data} --output {output}"));
        assert!(out.starts_with(&format!("{output}: ")), "{out}");
        let results = home.json(&format!("{output}/eval_results.json"));
        // The best checkpoint is chosen by a metric that the evaluation gives.
        let state = home.json(&format!("{output}/checkpoint-2/trainer_state.json"));
        let log = state["log_history"].as_array().expect("a history");
        assert!(
            log.iter().any(|entry| entry.get("eval_loss").is_some()),
            "{log:?}"
        );
        assert_eq!(state["global_step"], 2);
        for name in [
            "all_results.json",
            "train_results.json",
            "README.md",
            "curves.svg",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
        ] {
            assert!(
                home.path(&format!("{output}/{name}")).is_file(),
                "{task}: {name}"
            );
        }
        let task = task.split(' ').next().expect("a name");
        // Measured anew, the result gives the same metrics.
        let out = home.done(&format!(
            "evaluate {task} --model {output} {data} --output answers-{i} --json"
        ));
        let metrics: Value = serde_json::from_str(&out).expect("JSON");
        for (name, value) in metrics.as_object().expect("metrics") {
            let same = results[format!("eval_{name}")] == *value;
            // No two values of a constant have a correlation.
            assert!(
                same || value.is_null(),
                "{task}: {name} {value} of {results}"
            );
        }
        assert_eq!(
            home.names(&format!("answers-{i}")).join(" "),
            predictions,
            "{task}"
        );
        for dtype in ["auto", "f32", "bf16", "int8"] {
            home.done(&format!("{answer} --model {output} --dtype {dtype}"));
        }
        home.done(&format!("embed rome --model {output} --output vectors.npy"));
    }
    assert_eq!(home.read("answers-0/predictions.txt").lines().count(), 4);
    assert_eq!(
        home.json("answers-5/predictions.json")
            .as_object()
            .map(serde_json::Map::len),
        Some(3)
    );
    // A test set has no labels, and so no metrics.
    let out = home.done("evaluate cola --model model-9 --data glue --split test --output test");
    assert_eq!(
        (out.as_str(), home.read("test/CoLA.tsv").lines().count()),
        ("", 3)
    );
}

#[test]
fn labels_keep_their_names_and_the_parameters_move() {
    let home = home();
    let data = "--train-file sentences.tsv --validation-file sentences.tsv";
    home.done(&format!("finetune classification --model fixtures/demo {data} --epochs 60 --batch-size 4 --learning-rate 3e-3 --schedule constant --save no --eval no --quiet --output model"));
    let config = home.json("model/config.json");
    assert_eq!(config["id2label"], json!({ "0": "new", "1": "old" }));
    assert_eq!(
        config["architectures"],
        json!(["AlbertForSequenceClassification"])
    );
    let out = home.done("evaluate classification --model model --validation-file sentences.tsv");
    assert!(out.starts_with("accuracy 1.0000"), "{out}");
    assert!(home.done("classify river --model model").contains("old"));
}

#[test]
fn the_same_command_goes_on_and_another_one_is_refused() {
    let home = home();
    let run = |steps: u64, more: &str| {
        home.run(&format!("finetune classification --model fixtures/demo --train-file sentences.tsv --batch-size 2 --save steps --save-steps 2 --max-steps {steps} --output model{more}"))
    };
    assert_eq!(run(5, "").0, Some(0));
    assert_eq!(
        home.names("model")
            .iter()
            .filter(|name| name.starts_with("checkpoint-"))
            .count(),
        2
    );
    let weights = std::fs::read(home.path("model/model.safetensors")).expect("weights");
    // From the last checkpoint: step 4, or the end.
    std::fs::remove_dir_all(home.path("model/checkpoint-4")).expect("removed");
    let (code, _, err) = run(5, "");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("going on from model/checkpoint-"), "{err}");
    assert!(weights == std::fs::read(home.path("model/model.safetensors")).expect("weights"));
    for (steps, more, words) in [
        (6, "", ["checkpoint-", "length", "another folder"]),
        (
            5,
            " --dropout 0.3",
            ["checkpoint-", "dropout", "another folder"],
        ),
        (5, " --seed 7", ["checkpoint-", "seed", "another folder"]),
    ] {
        let (code, out, err) = run(steps, more);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{err}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_same_command_goes_on() {
    let home = home();
    let command = |steps: u64, output: &str| {
        format!(
            "finetune classification --model fixtures/demo --train-file sentences.tsv --batch-size 2 --dropout 0.1 --save steps --save-steps 20 --keep 1 --max-steps {steps} --output {output}"
        )
    };
    // As long as the run after the signal must not take.
    let steps = 600;
    let mut child = home
        .command(&command(steps, "model"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    while !home.path("model").is_dir()
        || !home
            .names("model")
            .iter()
            .any(|name| name.starts_with("checkpoint-"))
    {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended early"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    let output = child.wait_with_output().expect("the end");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{err}");
    let at = err
        .split("stopped at step ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .expect(&err);
    assert!(
        home.path(&format!("model/checkpoint-{at}")).is_dir(),
        "{err}"
    );
    assert!(!home.path("model/model.safetensors").exists());
    let (code, _, err) = home.run(&format!("{} --threads 1", command(steps, "model")));
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains(&format!("going on from model/checkpoint-{at}")),
        "{err}"
    );
    home.done(&command(steps, "whole"));
    let weights =
        |name: &str| std::fs::read(home.path(name).join("model.safetensors")).expect("weights");
    assert!(weights("model") == weights("whole"));
}

#[test]
fn parts_are_a_choice_that_is_kept() {
    let home = home();
    let command = |output: &str, parts: &str| {
        format!(
            "finetune classification --model fixtures/demo --train-file sentences.tsv --batch-size 4 --max-steps 3 --learning-rate 1e-3 --quiet --output {output}{parts}"
        )
    };
    let weights =
        |name: &str| std::fs::read(home.path(name).join("model.safetensors")).expect("weights");
    home.done(&command("default", ""));
    home.done(&command("one", " --parts 1"));
    home.done(&command("four", " --parts 4"));
    assert!(weights("default") == weights("one"));
    // A tree adds in another order.
    assert!(weights("default") != weights("four"));
    home.refused(&command("none", " --parts 3"), 1, &["parts", "found 3"]);
    let (code, _, err) = home.run(&command("four", " --parts 2"));
    assert!(
        code == Some(1) && err.contains("made with parts 4"),
        "{err}"
    );
}

#[test]
fn processes_that_cannot_talk_do_not_train_side_by_side() {
    let home = home();
    let run = |variable: &str, value: &str| {
        let command = format!(
            "finetune classification {SHORT} --train-file sentences.tsv --parts 2 --output none"
        );
        let mut command = home.command(&command);
        let output = command.env(variable, value).output().expect("it starts");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("UTF-8"),
        )
    };
    // What mpirun says, without mpirun: with the feature there is one process only, without it no word of the others.
    for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let (code, err) = run(variable, "2");
        assert!(code == Some(1) && err.contains("mpirun started"), "{err}");
        let words = if cfg!(feature = "mpi") {
            "found 1"
        } else {
            "--features mpi"
        };
        assert!(err.contains(words), "{err}");
    }
    let (code, err) = run("OMPI_COMM_WORLD_SIZE", "two");
    assert!(code == Some(1) && err.contains("found \"two\""), "{err}");
    assert!(!home.path("none").exists());
    // One process needs nobody.
    let (code, err) = run("PMI_SIZE", "1");
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let home = home();
    let out = home.done("finetune classification --model fixtures/demo --train-file sentences.tsv --batch-size 3 --output none --dry-run");
    assert!(
        out.starts_with("4 samples, 6 steps of 3, micro-batches of ")
            && out.contains("MB of memory"),
        "{out}"
    );
    assert!(!home.path("none").exists());
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_written() {
    let home = home();
    home.file("full/letter.txt", "dear");
    home.file("short.tsv", "text\tlabel\nthe city\told\nthe book\n");
    home.file("other.tsv", "text\tlabel\nthe city\tgreen\n");
    home.file("one.tsv", "text\tlabel\nthe city\told\n");
    let train = format!("finetune classification {SHORT} --output none");
    let ok = "--train-file sentences.tsv";
    std::fs::create_dir(home.path("relative")).expect("a folder");
    for name in ["model.safetensors", "tokenizer.json"] {
        let from = fixtures().join("demo").join(name);
        std::fs::copy(from, home.path("relative").join(name)).expect("copied");
    }
    let config = std::fs::read_to_string(fixtures().join("demo/config.json")).expect("read");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["position_embedding_type"] = "relative_key".into();
    home.file("relative/config.json", &config.to_string());
    for (arguments, words) in [
        (format!("{train} --train-file nowhere.tsv"), vec!["nowhere.tsv"]),
        (train.clone(), vec!["--train-file"]),
        (format!("finetune classification --model nowhere {ok} --output none"), vec!["nowhere: no such file or folder", "check the path"]),
        (format!("finetune cola {SHORT} --output none"), vec!["--data"]),
        (format!("finetune cola {SHORT} --output none --data race"), vec!["CoLA"]),
        (format!("{train} {ok} --text-column title"), vec!["sentences.tsv, line 1", "\"title\"", "text"]),
        (format!("{train} --train-file short.tsv"), vec!["short.tsv, line 3", "2"]),
        (format!("{train} --train-file one.tsv"), vec!["training data"]),
        (format!("{train} {ok} --validation-file other.tsv"), vec!["other.tsv, line 2", "new, old", "green"]),
        (format!("finetune regression {SHORT} {ok} --output none"), vec!["sentences.tsv, line 2", "a number", "old"]),
        (format!("finetune squad {SHORT} {ok} --output none"), vec!["sentences.tsv, line 1", "SQuAD"]),
        (format!("finetune choices {SHORT} --output none --train-file choices.jsonl --max-query-length 128"), vec!["max_seq_length", "max_query_length 128", "128"]),
        (format!("{train} {ok} --max-seq-length 1000"), vec!["--max-seq-length", "at most 128", "1000"]),
        (format!("{train} {ok} --max-seq-length 3"), vec!["max_seq_length", "at least"]),
        (format!("{train} {ok} --best"), vec!["best model at the end", "metric"]),
        (format!("finetune tagging {SHORT} --output none --train-file tags.conll --recipe paper"), vec!["--recipe paper", "tagging", "--recipe default"]),
        (format!("{train} {ok} --validation-file sentences.tsv --metric speed"), vec!["--metric", "accuracy, f1_macro", "speed"]),
        (format!("{train} {ok} --joint"), vec!["--joint", "squad or squad2", "classification"]),
        (format!("finetune classification --model relative {ok} --output none"), vec!["relative", "absolute", "relative_key"]),
        (format!("{train} {ok} --dtype int8"), vec!["int8", "f32 or bf16", "quantise the result"]),
        (format!("finetune classification --model fixtures/pipelines/models/three {ok} --output none"), vec!["2 labels", "new, old", "found one of 3"]),
        ("evaluate classification --model fixtures/pipelines/models/three --validation-file other.tsv --output none".to_owned(), vec!["other.tsv, line 2", "green"]),
        ("evaluate squad --model fixtures/pipelines/models/three --validation-file squad.json --output none".to_owned(), vec!["AlbertForQuestionAnswering needs"]),
        ("evaluate tagging --model fixtures/pipelines/models/tags --output none".to_owned(), vec!["--validation-file"]),
    ] {
        home.refused(&arguments, 1, &words);
    }
    for arguments in [
        "--dropout 1",
        "--dropout -0.1",
        "--classifier-dropout x",
        "--epochs 1",
    ] {
        home.refused(&format!("{train} {ok} {arguments}"), 2, &[]);
    }
    // A quantised folder has no weights to learn with.
    home.done(&format!(
        "quantize {} int8",
        fixtures().join("demo").display()
    ));
    home.refused(
        &format!("finetune classification --model int8 {ok} --output none"),
        1,
        &["int8", "quantise the result"],
    );
    let full = format!("finetune classification {SHORT} {ok} --output full");
    home.refused(
        &full,
        1,
        &["full", "empty folder", "letter.txt", "another folder"],
    );
    assert_eq!(home.names("full"), ["letter.txt"]);
}

#[test]
fn a_classifier_that_is_there_is_kept_and_its_labels_are_told() {
    let home = home();
    home.file(
        "three.tsv",
        "text\tlabel\nthe city\ta\nthe book\tb\nrome\tc\n",
    );
    let (code, _, err) = home.run("finetune classification --model fixtures/pipelines/models/three --train-file three.tsv --max-steps 1 --output model");
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("classifier") && err.contains("a, b, c") && err.contains("0 drawn at random"),
        "{err}"
    );
}
