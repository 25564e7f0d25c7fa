//! Models over evaluation sets: losses are the models' own, answers are found by the labels' names, and nothing depends on
//! how samples share batches.

mod common;

use albert::heads::{ClassLabels, QuestionLabels};
use albert::ops::Reference;
use albert::{
    Albert, AlbertForMultipleChoice, AlbertForQuestionAnswering, AlbertForSequenceClassification,
    AlbertForTokenClassification, Cpu, CpuOptions, Head, Keep, LoadOptions,
};
use albert_train::dataset::Dataset;
use albert_train::learner::Metrics;
use albert_train::tasks::Encode;
use albert_train::tasks::glue::{GlueTask, Predictions, Split};
use albert_train::tasks::race::{ChoiceDataset, ChoiceExamples};
use albert_train::tasks::squad::{AnswerChoice, SquadDataset, SquadFile, Windows};
use albert_train::tasks::table::{Table, TableOptions, TableTask, Target};
use albert_train::tasks::tagging::{TaggedDataset, TaggedFile};

/// Tokens of a batch: one sample, a few, all.
const BATCHES: [usize; 3] = [1, 64, 100_000];

fn model<H: Head<Reference>>(name: &str) -> Albert<H, Reference> {
    let folder = common::fixtures().join("pipelines/models").join(name);
    let loaded = Albert::from_pretrained(&folder, Reference, LoadOptions::default());
    loaded.expect("a model").0
}

/// The mean over single samples of what the model says that its loss is.
fn own_loss<L>(data: &impl Dataset<L>, loss: impl Fn(&albert::Inputs, &L) -> f64) -> f64 {
    let sum: f64 = (0..data.len())
        .map(|i| {
            let (inputs, labels) = data.batch(&[i]).expect("a sample");
            loss(&inputs, &labels)
        })
        .sum();
    sum / data.len() as f64
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "{found}, expected {expected}"
    );
}

const NLI: &str = "index\tp\tq\tg\tb1\tb2\tp1\tp2\tsentence1\tsentence2\tlabel1\tgold_label\n0\t\t\t\t\t\t\t\tThe city is old.\tA new city.\tx\tcontradiction\n1\t\t\t\t\t\t\t\tRome is in Italy and it is a great old city.\tItaly.\tx\tentailment\n2\t\t\t\t\t\t\t\tHe was bad.\tThe book is long.\tx\tneutral\n3\t\t\t\t\t\t\t\tA.\tB.\tx\tneutral\n";

#[test]
fn classes_are_found_by_name_and_mismatched_files_have_their_own_names() {
    let folder = common::folder(&[
        ("MNLI/dev_matched.tsv", NLI),
        ("MNLI/dev_mismatched.tsv", NLI),
    ]);
    let examples = GlueTask::Mnli
        .read(folder.path(), Split::Dev)
        .expect("MNLI");
    let data = GlueTask::Mnli
        .dataset(&common::tokenizer(), &examples, &Encode::to(64))
        .expect("samples");
    // Its labels: contradiction, neutral, entailment; those of the task: contradiction, entailment, neutral.
    let model: AlbertForSequenceClassification<Reference> = model("three");
    let of_model = |class: i64| [0, 2, 1][class as usize];
    let own = own_loss(&data, |inputs, labels| {
        let ClassLabels::Classes(classes) = labels else {
            panic!("classes")
        };
        let labels = ClassLabels::Classes(classes.iter().map(|&class| of_model(class)).collect());
        model
            .forward(inputs, Some(&labels), Keep::default())
            .expect("a loss")
            .loss
            .expect("a loss")
            .data[0]
    });
    let mut first: Option<(Metrics, Predictions)> = None;
    for tokens in BATCHES {
        let done = GlueTask::Mnli
            .evaluate(&model, &data, Split::Dev, tokens)
            .expect("metrics");
        near(done.metrics["loss"], own);
        let (metrics, predictions) =
            first.get_or_insert((done.metrics.clone(), done.predictions.clone()));
        assert_eq!(
            (&done.metrics, &done.predictions),
            (&*metrics, &*predictions)
        );
    }
    let (metrics, predictions) = first.expect("metrics");
    let Predictions::Classes(predictions) = predictions else {
        panic!("classes")
    };
    for (i, &class) in predictions.iter().enumerate() {
        let logits = model
            .forward(
                &data.batch(&[i]).expect("a sample").0,
                None,
                Keep::default(),
            )
            .expect("logits")
            .logits
            .data;
        let best = (0..3)
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .expect("three");
        assert_eq!(of_model(class as i64), best as i64);
    }
    let other = GlueTask::Mnli
        .evaluate(&model, &data, Split::DevMismatched, 64)
        .expect("metrics");
    assert_eq!(other.metrics["accuracy_mm"], metrics["accuracy"]);
    assert_eq!(
        other.metrics.keys().collect::<Vec<_>>(),
        ["accuracy_mm", "loss_mm"]
    );
}

#[test]
fn several_labels_and_values_have_their_losses() {
    let folder = common::folder(&[
        (
            "many.jsonl",
            "{\"text\": \"A good book.\", \"labels\": [\"art\", \"law\"]}\n{\"text\": \"Bread in Paris and in Rome.\", \"labels\": [\"food\"]}\n{\"text\": \"He was first.\", \"labels\": [\"sport\"]}\n",
        ),
        ("values.csv", "text,score\nA good book.,1.5\nBad.,-2\n"),
        ("test.csv", "text\nA good book.\n"),
    ]);
    let tokenizer = common::tokenizer();
    let read = |name: &str, target| {
        Table::read(&folder.path().join(name), &TableOptions::of(target)).expect("a table")
    };
    for (name, target, model_name, measures) in [
        (
            "many.jsonl",
            Target::Labels(','),
            "multi_label",
            vec!["accuracy", "f1", "f1_macro", "loss"],
        ),
        (
            "values.csv",
            Target::Value,
            "regression",
            vec!["loss", "mse", "pearson", "spearmanr"],
        ),
    ] {
        let table = read(name, target);
        let task = TableTask::of(&table).expect("a task");
        let data = task
            .dataset(&tokenizer, &table, &Encode::to(64))
            .expect("samples");
        let model: AlbertForSequenceClassification<Reference> = model(model_name);
        // The labels of the data are sorted; those of the model are food, sport, art, law.
        let place = |i: usize| {
            if target == Target::Value {
                0
            } else {
                [1, 3, 0, 2][i]
            }
        };
        let own = own_loss(&data, |inputs, labels| {
            let ClassLabels::Values(values) = labels else {
                panic!("values")
            };
            let labels = ClassLabels::Values((0..values.len()).map(|i| values[place(i)]).collect());
            model
                .forward(inputs, Some(&labels), Keep::default())
                .expect("a loss")
                .loss
                .expect("a loss")
                .data[0]
        });
        for tokens in BATCHES {
            let done = task.evaluate(&model, &data, tokens).expect("metrics");
            near(done.metrics["loss"], own);
            assert_eq!(done.metrics.keys().collect::<Vec<_>>(), measures);
            if target == Target::Value {
                near(done.metrics["mse"], own);
            }
        }
    }
    // Without labels there are answers and no metrics.
    let task = TableTask::of(&read("values.csv", Target::Value)).expect("a task");
    let data = task
        .dataset(
            &tokenizer,
            &read("test.csv", Target::Value),
            &Encode::to(64),
        )
        .expect("samples");
    let done = task
        .evaluate(&model("regression"), &data, 64)
        .expect("answers");
    assert_eq!((done.predictions.len(), done.metrics.len()), (1, 0));
}

#[test]
fn questions_are_answered_from_all_windows() {
    let file = SquadFile::read(&common::fixtures().join("tasks/squad.json"), false).expect("SQuAD");
    let windows = Windows {
        encode: Encode::to(40),
        doc_stride: 10,
        max_query_length: None,
    };
    let data = SquadDataset::new(&common::tokenizer(), &file, &windows).expect("windows");
    let model: AlbertForQuestionAnswering<Reference> = model("answer");
    let own = own_loss(&data, |inputs, labels: &QuestionLabels| {
        model
            .forward(inputs, Some(labels), Keep::default())
            .expect("a loss")
            .loss
            .expect("a loss")
            .data[0]
    });
    for no_answer in [false, true] {
        let choice = AnswerChoice {
            no_answer,
            ..AnswerChoice::default()
        };
        let mut first: Option<Vec<_>> = None;
        for tokens in BATCHES {
            let done = data
                .evaluate(&model, &file, &choice, tokens)
                .expect("metrics");
            near(done.metrics["loss"], own);
            assert_eq!(done.metrics.contains_key("NoAns_f1"), no_answer);
            assert_eq!(done.metrics.contains_key("exact_match"), !no_answer);
            for (answer, question) in done.predictions.iter().zip(&file.questions) {
                assert!(file.contexts[question.context].contains(&answer.text));
            }
            assert_eq!(
                *first.get_or_insert(done.predictions.clone()),
                done.predictions
            );
        }
    }
}

#[test]
fn questions_with_other_numbers_of_choices_are_measured_over_their_own() {
    let line = |options: &str| {
        format!(
            "{{\"article\": \"The old city.\", \"questions\": [\"It is _ .\", \"Where?\"], \"options\": {options}, \"answers\": [\"A\", \"C\"]}}"
        )
    };
    let four = "[\"old\", \"new\", \"bad\", \"a long one\"]";
    let three = "[\"Rome\", \"Paris\", \"Italy\"]";
    let lines = [
        line(&format!("[{four}, {three}]")),
        line(&format!("[{three}, {four}]")),
    ]
    .join("\n");
    let folder = common::folder(&[("middle/all.txt", &lines), ("high/all.txt", &lines)]);
    let examples = ChoiceExamples::race(folder.path()).expect("RACE");
    let data =
        ChoiceDataset::new(&common::tokenizer(), &examples, 32, &Encode::to(64)).expect("samples");
    let model: AlbertForMultipleChoice<Reference> = model("choose");
    let own = own_loss(&data, |inputs, labels| {
        model
            .forward(inputs, Some(labels), Keep::default())
            .expect("a loss")
            .loss
            .expect("a loss")
            .data[0]
    });
    for tokens in BATCHES {
        let done = data.evaluate(&model, tokens).expect("metrics");
        near(done.metrics["loss"], own);
        assert_eq!(
            done.metrics.keys().collect::<Vec<_>>(),
            ["accuracy", "accuracy_high", "accuracy_middle", "loss"]
        );
        assert_eq!(
            done.metrics["accuracy_high"],
            done.metrics["accuracy_middle"]
        );
        assert_eq!(done.predictions.len(), 8);
    }
}

#[test]
fn words_are_labelled_once_on_either_device() {
    let text = "Rome B-place\nis O\nold O\n\nA B-book\nlong I-book\nbook I-book\nabout O\nParis B-place\nand O\nItaly I-place\n";
    let folder = common::folder(&[("a.conll", text)]);
    let file = TaggedFile::read(&folder.path().join("a.conll"), None).expect("sentences");
    let names = ["B-book", "B-place", "I-book", "I-place", "O"].map(str::to_owned);
    let reference: AlbertForTokenClassification<Reference> = model("tags");
    let path = common::fixtures().join("pipelines/models/tags");
    let device = Cpu::new(CpuOptions::default()).expect("a device");
    let (cpu, _) =
        AlbertForTokenClassification::from_pretrained(&path, device, LoadOptions::default())
            .expect("a model");
    for most in [8, 64] {
        let data = TaggedDataset::new(&common::tokenizer(), &file, &names, 2, &Encode::to(most))
            .expect("samples");
        let expected = data.evaluate(&reference, 1).expect("metrics");
        for tokens in BATCHES {
            assert_eq!(
                data.evaluate(&reference, tokens).expect("metrics"),
                expected
            );
            let done = data.evaluate(&cpu, tokens).expect("metrics");
            assert!((done.metrics["loss"] - expected.metrics["loss"]).abs() < 1e-5);
            assert_eq!(done.predictions, expected.predictions);
        }
        let words: Vec<usize> = expected.predictions.iter().map(Vec::len).collect();
        assert_eq!(words, [3, 7]);
        assert_eq!(
            expected.metrics.keys().collect::<Vec<_>>(),
            ["accuracy", "f1", "loss", "precision", "recall"]
        );
    }
    let other = ["B-book", "B-place", "I-book", "I-place", "I-river"].map(str::to_owned);
    let known = TaggedFile {
        sentences: Vec::new(),
        ..file
    };
    let data = TaggedDataset::new(&common::tokenizer(), &known, &other, 2, &Encode::to(8))
        .expect("no samples");
    let error = data
        .evaluate(&reference, 1)
        .expect_err("other labels")
        .to_string();
    assert!(
        error.contains("config id2label") && error.contains("I-river"),
        "{error}"
    );
}
