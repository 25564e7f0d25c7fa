//! Evaluation counts what the pipelines answer.

use std::path::PathBuf;

use albert::evaluate::{Example, Examples, Metric, evaluate};
use albert::pipeline::{
    Aggregation, Classify, ClassifyOptions, FillMask, FillMaskOptions, Limits, Long, Tag, TagInput,
    TagOptions,
};
use albert::{Cpu, CpuOptions, Error};

fn model(name: &str) -> PathBuf {
    albert_testing::fixtures().join(name)
}

fn device() -> Cpu {
    Cpu::new(CpuOptions::default()).expect("threads")
}

fn value(metrics: &[Metric], name: &str) -> f64 {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric
        .unwrap_or_else(|| panic!("{name}: {metrics:?}"))
        .value
}

#[test]
fn a_hidden_token_costs_what_fill_mask_says() {
    let (fill, _) = FillMask::from_pretrained(&model("demo"), device()).expect("it");
    let limits = Limits::long(Long::Truncate);
    // A text of one token: that one is hidden.
    let guesses = fill
        .guess(&["river"], &limits)
        .expect("a guess")
        .remove(0)
        .expect("a guess");
    assert_eq!((guesses.output.hidden, guesses.tokens), (1, 3));
    let token = fill
        .tokenizer()
        .token_to_id("\u{2581}river")
        .expect("a token");
    let options = FillMaskOptions {
        targets: Some(vec![token]),
        ..FillMaskOptions::default()
    };
    let filled = fill.run("[MASK]", &options).expect("an answer");
    let expected = -filled.output[0][0].score.ln();
    assert!(
        (guesses.output.loss - expected).abs() < 1e-9,
        "{guesses:?}, expected {expected}"
    );

    // The same alone and in company, and the mean over all hidden tokens.
    let texts = ["river", "She was in Paris and reads a good book", ""].map(str::to_owned);
    let alone: Vec<_> = texts
        .iter()
        .map(|text| {
            fill.guess(&[text], &limits)
                .expect("it")
                .remove(0)
                .expect("it")
                .output
        })
        .collect();
    let all: Vec<_> = fill.guess(&texts, &limits).expect("it");
    let all: Vec<_> = all.into_iter().map(|one| one.expect("it").output).collect();
    assert_eq!(alone, all);
    let metrics = evaluate(&model("demo"), device(), &Examples::Texts(texts.to_vec())).expect("it");
    let hidden: usize = all.iter().map(|one| one.hidden).sum();
    let loss: f64 = all.iter().map(|one| one.loss).sum();
    assert!(hidden >= 2 && (value(&metrics, "loss") - loss / hidden as f64).abs() < 1e-12);
}

#[test]
fn classes_count_as_classify_answers() {
    let folder = model("pipelines/models/three");
    let (classify, _) = Classify::from_pretrained(&folder, device()).expect("it");
    let texts = ["the river", "She was in Paris", "a good book", "of France"];
    let config = classify.model().config();
    let answers: Vec<usize> = texts
        .iter()
        .map(|text| {
            let labels = classify
                .run(text, None, &ClassifyOptions::default())
                .expect("it")
                .output;
            config.label_id(&labels[0].label).expect("a label")
        })
        .collect();
    // All right but the last.
    let examples = texts
        .iter()
        .zip(&answers)
        .enumerate()
        .map(|(i, (text, &answer))| Example {
            input: ((*text).to_owned(), None),
            label: if i == 3 { (answer + 1) % 3 } else { answer },
        });
    let examples = Examples::Classes(examples.collect());
    let metrics = evaluate(&folder, device(), &examples).expect("measures");
    assert_eq!(value(&metrics, "accuracy"), 75.0);
    assert_eq!(metrics.len(), 1, "F1 and Matthews are for two classes");
}

#[test]
fn words_have_the_label_of_their_first_token() {
    let folder = model("pipelines/models/tags");
    let (tag, _) = Tag::from_pretrained(&folder, device()).expect("it");
    let words = vec!["She", "reads", "unbelievable", "books", "in", "Paris"];
    let options = TagOptions {
        aggregation: Aggregation::None,
        ignore_labels: Vec::new(),
        ..TagOptions::default()
    };
    let tokens = tag
        .run(TagInput::Words(&words), &options)
        .expect("tokens")
        .output;
    let mut start = 0;
    let names = &tag.model().config().id2label;
    let labels = tag
        .label_words(std::slice::from_ref(&words), &Limits::long(Long::Slide))
        .expect("it");
    let labels = labels
        .into_iter()
        .next()
        .expect("one")
        .expect("labels")
        .output;
    for (word, label) in words.iter().zip(&labels) {
        let first = tokens
            .iter()
            .find(|token| token.span.bytes.end > start)
            .expect("a token");
        assert_eq!(names[label.expect("a label")], first.label, "{word}");
        start += word.len() + 1;
    }
    // Windows give each word a label too.
    let long: Vec<&str> = words.iter().copied().cycle().take(900).collect();
    let labels = tag
        .label_words(&[long], &Limits::long(Long::Slide))
        .expect("it");
    let labels = labels
        .into_iter()
        .next()
        .expect("one")
        .expect("labels")
        .output;
    assert!(labels.len() == 900 && labels.iter().all(Option::is_some));
}

#[test]
fn an_example_that_cannot_be_answered_is_named() {
    let example = |context: &str| Example {
        input: ("Who?".to_owned(), context.to_owned()),
        label: vec!["She".to_owned()],
    };
    let examples = Examples::Answers(vec![example("She was in Paris."), example("")]);
    let folder = model("pipelines/models/answer");
    match evaluate(&folder, device(), &examples) {
        Err(Error::Example { index: 1, source }) => {
            assert!(source.to_string().contains("context"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    let none = evaluate(&folder, device(), &Examples::Texts(Vec::new()));
    assert!(none.expect_err("none").to_string().contains("at least one"));
}
