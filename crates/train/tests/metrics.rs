//! The measures are those of scikit-learn, SciPy, seqeval, torchmetrics (SQuAD 1.1) and transformers (SQuAD 2.0) on thousands
//! of random answers. `fixtures/tasks/metrics.json` holds seeds and measures; the answers are made here as in
//! tools/make_task_fixtures.py.

mod common;

use std::collections::BTreeSet;

use albert::metrics;
use common::Random;
use serde_json::Value;

fn number(case: &Value, name: &str) -> usize {
    case[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {case}")) as usize
}

fn cases(kind: &str) -> Vec<(Value, Random)> {
    let Value::Array(all) = common::json("metrics.json") else {
        panic!("a list");
    };
    let of_kind: Vec<Value> = all
        .into_iter()
        .filter(|case| case["kind"] == kind)
        .collect();
    assert!(!of_kind.is_empty(), "no case of {kind}");
    let seeded = |case: Value| {
        let seed = number(&case, "seed") as u64;
        (case, Random(seed))
    };
    of_kind.into_iter().map(seeded).collect()
}

/// All measures of a case, and no others.
#[track_caller]
fn check(case: &Value, found: &[(&str, f64)], tolerance: f64) {
    let expected = case["expected"].as_object().expect("measures");
    let names: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
    let known: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    assert_eq!(names, known);
    for (name, found) in found {
        let expected = expected[*name].as_f64().expect("a number");
        assert!(
            (found - expected).abs() <= tolerance,
            "{name}: {found}, expected {expected}, seed {}",
            case["seed"]
        );
    }
}

/// Sums of a few thousand f64 in another order.
const ROUNDING: f64 = 1e-11;

#[test]
fn classes_are_measured_as_scikit_learn_does() {
    for (case, mut r) in cases("classes") {
        let (count, right) = (number(&case, "count") as u64, number(&case, "right") as u64);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..number(&case, "n") {
            let class = r.below(count) as usize;
            expected.push(class);
            found.push(if r.below(8) < right {
                class
            } else {
                r.below(count) as usize
            });
        }
        let measures = [
            ("accuracy", metrics::accuracy(&found, &expected)),
            ("matthews", metrics::matthews(&found, &expected)),
            ("f1", metrics::f1(&found, &expected, 1)),
            ("macro_f1", metrics::macro_f1(&found, &expected)),
        ];
        check(&case, &measures, ROUNDING);
    }
}

#[test]
fn values_are_measured_as_scipy_does() {
    for (case, mut r) in cases("values") {
        let noise = number(&case, "noise") as u64;
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for _ in 0..number(&case, "n") {
            let value = r.below(26) as f64 / 5.0;
            y.push(value);
            x.push(value + (r.below(2 * noise + 1) as f64 - noise as f64) / 8.0);
        }
        let measures = [
            ("pearson", metrics::pearson(&x, &y)),
            ("spearman", metrics::spearman(&x, &y)),
            ("mse", metrics::mean_squared_error(&x, &y)),
        ];
        check(&case, &measures, 1e-9);
    }
}

#[test]
fn several_labels_are_measured_as_scikit_learn_does() {
    for (case, mut r) in cases("several") {
        let (n, count) = (number(&case, "n"), number(&case, "count"));
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..n * count {
            let label = r.below(4) == 0;
            expected.push(label);
            found.push(if r.below(3) > 0 {
                label
            } else {
                r.below(2) == 1
            });
        }
        let [micro, of_labels] = metrics::multilabel_f1(&found, &expected, count);
        let rows = |list: &[bool]| list.chunks(count).map(<[bool]>::to_vec).collect::<Vec<_>>();
        let accuracy = metrics::accuracy(&rows(&found), &rows(&expected));
        check(
            &case,
            &[
                ("micro", micro),
                ("macro", of_labels),
                ("accuracy", accuracy),
            ],
            ROUNDING,
        );
    }
}

#[test]
fn entities_are_measured_as_seqeval_does() {
    for (case, mut r) in cases("tags") {
        let labels: Vec<&str> = case["labels"]
            .as_array()
            .expect("labels")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..number(&case, "n") {
            let words = 1 + r.below(12);
            let draw = |r: &mut Random| labels[r.below(labels.len() as u64) as usize];
            let right: Vec<&str> = (0..words).map(|_| draw(&mut r)).collect();
            found.push(
                right
                    .iter()
                    .map(|label| if r.below(4) > 0 { *label } else { draw(&mut r) })
                    .collect::<Vec<_>>(),
            );
            expected.push(right);
        }
        let measured = albert_train::tasks::tagging::tag_metrics(&found, &expected);
        let named: Vec<(&str, f64)> = measured
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        check(&case, &named, ROUNDING);
    }
}

const WORDS: [&str; 16] = [
    "the", "a", "An", "Rome", "rome", "river", "old", "U.S.", "12", "–", "Zoë", "(long)",
    "the-city", "of", "'s", "!",
];

fn text(r: &mut Random, least: u64) -> String {
    let count = least + r.below(4);
    let words: Vec<&str> = (0..count)
        .map(|_| WORDS[r.below(WORDS.len() as u64) as usize])
        .collect();
    words.join(" ")
}

/// Right answers, those of a model, and the odds that there is none.
fn questions(
    r: &mut Random,
    n: usize,
    unanswerable: bool,
) -> (Vec<Vec<String>>, Vec<String>, Vec<f64>) {
    let (mut gold, mut found, mut odds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let mut answers = Vec::new();
        if !(unanswerable && r.below(3) == 0) {
            for _ in 0..1 + r.below(3) {
                answers.push(text(r, 1) + if unanswerable { "" } else { " of" });
            }
        }
        found.push(match (r.below(4), answers.last()) {
            (0, Some(last)) => last.to_lowercase(),
            (1, _) => String::new(),
            _ => text(r, 1),
        });
        gold.push(answers);
        odds.push((r.below(800) as f64 - 400.0) / 32.0);
    }
    (gold, found, odds)
}

#[test]
fn squad_1_is_measured_as_torchmetrics_does() {
    for (case, mut r) in cases("squad_v1") {
        let (gold, found, _) = questions(&mut r, number(&case, "n"), false);
        let [exact, f1] = metrics::squad_v1(&found, &gold);
        // torchmetrics adds in f32: 3,000 terms of at most 1, in percent.
        check(&case, &[("exact_match", exact), ("f1", f1)], 1e-3);
    }
}

#[test]
fn answers_without_words_are_equal_but_share_no_word() {
    // evaluate-v1.1.py: `if num_same == 0: return 0`; evaluate-v2.0.py: `return int(gold_toks == pred_toks)`.
    let gold = [vec!["the".to_owned()]];
    assert_eq!(metrics::squad_v1(&["a!"], &gold), [100.0, 0.0]);
    let two = metrics::squad_v2(&["a!"], &gold, &[0.0], 1.0);
    assert_eq!(two[..2], [("exact", 100.0), ("f1", 100.0)]);
}

#[test]
fn squad_2_is_measured_as_the_script_does() {
    for (case, mut r) in cases("squad_v2") {
        let unanswerable = case["unanswerable"] == true;
        let (gold, found, odds) = questions(&mut r, number(&case, "n"), unanswerable);
        let threshold = case["threshold"].as_f64().unwrap_or(f64::INFINITY);
        let measures = metrics::squad_v2(&found, &gold, &odds, threshold);
        assert_eq!(
            measures.iter().any(|(name, _)| *name == "NoAns_f1"),
            unanswerable
        );
        check(&case, &measures, 1e-9);
    }
}
