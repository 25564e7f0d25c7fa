//! The joint head's answers against those of transformers' layers in f64, and what it refuses.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;

use albert::ops::{Backend, Reference};
use albert::output::{Array, JointQuestionAnsweringOutput};
use albert::{AlbertForJointQuestionAnswering, Cpu, CpuOptions, Keep, LoadOptions};
use albert_testing::{Golden, fixtures};
use run::{inputs, labels};

fn golden() -> Golden {
    Golden::read(&fixtures().join("gradients/joint_question_answering"))
}

fn model<B: Backend>(golden: &Golden, device: B) -> AlbertForJointQuestionAnswering<B> {
    let loaded = AlbertForJointQuestionAnswering::from_pretrained(
        &golden.folder,
        device,
        LoadOptions::default(),
    );
    loaded.expect("loads").0
}

/// The largest difference; places that cannot be an answer only have to be as unlikely.
fn difference<T: Copy + Into<f64>>(
    golden: &Golden,
    found: &JointQuestionAnsweringOutput<T>,
) -> f64 {
    let list = |name: &str| -> Vec<f64> {
        let rows = golden.description["outputs"][name]
            .as_array()
            .expect("rows");
        let numbers = rows.iter().flat_map(|row| match row.as_array() {
            Some(row) => row.clone(),
            None => vec![row.clone()],
        });
        numbers.map(|x| x.as_f64().expect("a number")).collect()
    };
    let numbers = |array: &Array<T>| -> Vec<f64> { array.data.iter().map(|&x| x.into()).collect() };
    let starts = list("start_top_log_probs");
    let mut largest = 0.0_f64;
    let mut compared = 0;
    for (logs, index, names, per) in [
        (
            &found.start_top_log_probs,
            &found.start_top_index,
            ["start_top_log_probs", "start_top_index"],
            1,
        ),
        (
            &found.end_top_log_probs,
            &found.end_top_index,
            ["end_top_log_probs", "end_top_index"],
            5,
        ),
    ] {
        let (logs, index) = (numbers(logs), numbers(index));
        let (expected, places) = (list(names[0]), list(names[1]));
        assert_eq!((logs.len(), index.len()), (expected.len(), places.len()));
        for i in 0..logs.len() {
            if starts[i / per] < -1e29 || expected[i] < -1e29 {
                assert!(logs[i] < -1e29, "{} {i}: {}", names[0], logs[i]);
                continue;
            }
            compared += 1;
            assert_eq!(index[i], places[i], "{} {i}", names[1]);
            largest = largest.max((logs[i] - expected[i]).abs());
        }
    }
    assert!(compared > 50, "{compared} candidates");
    for (a, b) in numbers(&found.cls_logits).iter().zip(list("cls_logits")) {
        largest = largest.max((a - b).abs());
    }
    largest
}

#[test]
fn answers_are_those_of_the_layers_of_transformers() {
    let golden = golden();
    let (inputs, labels) = (inputs(&golden), labels(&golden).joint().expect("labels"));
    let exact = model(&golden, Reference);
    let found = exact
        .forward(&inputs, Some(&labels), Keep::default())
        .expect("answers");
    let error = difference(&golden, &found);
    assert!(error < 1e-12, "{error:e}");
    let loss = golden.description["loss"].as_f64().expect("a loss");
    let own = found.loss.expect("labels were given").data[0];
    assert!((own - loss).abs() < 1e-12, "{own} for {loss}");

    let fast = model(
        &golden,
        Cpu::new(CpuOptions::default()).expect("a processor"),
    );
    let found = fast
        .forward(&inputs, Some(&labels), Keep::default())
        .expect("answers");
    let error = difference(&golden, &found);
    assert!(error < 1e-5, "{error:e}");
    let own = found.loss.expect("labels were given").data[0];
    assert!((f64::from(own) - loss).abs() < 1e-5, "{own} for {loss}");
}

#[test]
fn an_answer_outside_the_second_text_is_refused() {
    let golden = golden();
    let inputs = inputs(&golden);
    let model = model(&golden, Reference);
    // In the question, on the closing [SEP], in the padding, before the beginning.
    for (b, position) in [(0, 2), (1, 4), (1, 9), (0, -1)] {
        let mut labels = labels(&golden).joint().expect("labels");
        labels.start_positions[b] = position;
        let error = model
            .forward(&inputs, Some(&labels), Keep::default())
            .expect_err("no answer may be there")
            .to_string();
        assert!(
            error.contains(&format!("start_positions, element {b}")),
            "{error}"
        );
    }
    let mut labels = labels(&golden).joint().expect("labels");
    labels.is_impossible.pop();
    let refused = model.forward(&inputs, Some(&labels), Keep::default());
    let error = refused.expect_err("three of four").to_string();
    assert!(error.contains("is_impossible"), "{error}");
}

#[test]
fn without_a_second_text_every_token_may_be_an_answer() {
    let golden = golden();
    let mut inputs = inputs(&golden);
    inputs.token_type_ids = None;
    let found = model(&golden, Reference)
        .forward(&inputs, None, Keep::default())
        .expect("answers");
    // The second sequence has five tokens: each is tried as a start.
    let mut starts: Vec<usize> = found.spans()[1].iter().map(|span| span.start).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts, [0, 1, 2, 3, 4]);
}

#[test]
fn a_sequence_without_a_token_is_refused() {
    let golden = golden();
    let mut inputs = inputs(&golden);
    let mut mask = vec![1.0; inputs.batch * inputs.length];
    mask[inputs.length..2 * inputs.length].fill(0.0);
    inputs.attention_mask = Some(mask);
    let error = model(&golden, Reference)
        .forward(&inputs, None, Keep::default())
        .expect_err("no answer may be anywhere")
        .to_string();
    assert!(error.contains("attention_mask, sequence 1"), "{error}");
}
