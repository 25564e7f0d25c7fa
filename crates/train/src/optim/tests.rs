//! Optimisers against PyTorch and against the formulas in f64.

use albert::{Variable, names};
use serde::Deserialize;

use super::norm::norm;
use super::{Form, Method, Optimizer, OptimizerOptions, Rule};

#[derive(Deserialize)]
struct Named {
    name: String,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Golden {
    variables: Vec<Named>,
    learning_rate: f64,
    weight_decay: f64,
    steps: usize,
    weights: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    norms: Vec<f64>,
    expected: std::collections::BTreeMap<String, Vec<f64>>,
}

fn variables(named: impl IntoIterator<Item = (String, Vec<usize>)>) -> Vec<Variable> {
    let mut start = 0;
    let variable = |(name, shape): (String, Vec<usize>)| {
        let end = start + shape.iter().product::<usize>();
        let range = std::mem::replace(&mut start, end)..end;
        Variable {
            site: names::Site::Pooler,
            field: names::Field::Weight,
            name,
            shape,
            range,
        }
    };
    named.into_iter().map(variable).collect()
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../fixtures/optim/optimizers.json")).expect("JSON")
}

fn run(golden: &Golden, method: Method, form: Form) -> Vec<f32> {
    let options = OptimizerOptions {
        weight_decay: golden.weight_decay,
        ..OptimizerOptions::new(method, form)
    };
    let named = golden.variables.iter();
    let variables = variables(named.map(|v| (v.name.clone(), v.shape.clone())));
    let mut optimizer = Optimizer::new(options, &variables);
    let mut weights = golden.weights.clone();
    for (step, gradient) in golden.gradients.iter().enumerate() {
        let length = norm(gradient, 1);
        assert!((length / golden.norms[step] - 1.0).abs() < 1e-14);
        let rate = golden.learning_rate * (step + 1) as f64 / golden.steps as f64;
        optimizer.update(&mut weights, &mut gradient.clone(), length, rate, 2);
    }
    weights
}

fn largest(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn all_forms_follow_their_references() {
    let golden = golden();
    for (method, form, name) in [
        (Method::AdamW, Form::Standard, "adamw.standard"),
        (Method::AdamW, Form::Google, "adamw.google"),
        (Method::Lamb, Form::Google, "lamb.google"),
        (Method::Lamb, Form::Standard, "lamb.standard"),
    ] {
        let found = run(&golden, method, form);
        let error = largest(&found, &golden.expected[name]);
        println!("{name}: {error:e} from f64");
        // Twelve steps on numbers below 1, each rounded a few times to 6e-8 of itself.
        assert!(error < 5e-7, "{name}: {error:e}");
        for (other, expected) in &golden.expected {
            assert!(
                other.starts_with(name) || largest(&found, expected) > 1e-3,
                "{name} is told from {other}"
            );
        }
    }
}

#[test]
fn standard_adamw_is_torch_in_f32_but_for_the_last_bits() {
    let golden = golden();
    let found = run(&golden, Method::AdamW, Form::Standard);
    let error = largest(&found, &golden.expected["adamw.standard.f32"]);
    println!("adamw.standard: {error:e} from torch's f32");
    assert!(error <= 1.2e-7, "{error:e}");
}

/// `optimization_test.py` of google-research/albert.
#[test]
fn google_s_own_test_of_adamw() {
    let options = OptimizerOptions {
        weight_decay: 0.0,
        ..OptimizerOptions::new(Method::AdamW, Form::Google)
    };
    let mut optimizer = Optimizer::new(options, &variables([("w".to_owned(), vec![3])]));
    let (mut w, target) = ([0.1f32, -0.2, -0.1], [0.4f32, 0.2, -0.5]);
    for _ in 0..100 {
        let mut gradient: Vec<f32> = (0..3).map(|i| 2.0 * (w[i] - target[i]) / 3.0).collect();
        let length = norm(&gradient, 1);
        optimizer.update(&mut w, &mut gradient, length, 0.2, 1);
    }
    for (w, target) in w.iter().zip(target) {
        assert!((w - target).abs() < 1e-2, "{w} for {target}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut random = albert_testing::Random::new(7);
    let shapes = [("a", 40_000), ("b.bias", 17), ("c", 16_384), ("d", 70_001)];
    let variables = variables(shapes.map(|(name, len)| (name.to_owned(), vec![len])));
    let len = variables[3].range.end;
    let start = random.values(len, 0.0, 1.0);
    let gradient = random.values(len, 0.0, 0.01);
    for method in [Method::AdamW, Method::Lamb] {
        let result = |threads| {
            let options = OptimizerOptions::new(method, Form::Google);
            let mut optimizer = Optimizer::new(options, &variables);
            let mut w = start.clone();
            for _ in 0..3 {
                let length = norm(&gradient, threads);
                optimizer.update(&mut w, &mut gradient.clone(), length, 0.01, threads);
            }
            (w, optimizer.m, optimizer.v)
        };
        let one = result(1);
        for threads in [2, 3, 7, 64] {
            assert!(result(threads) == one, "{method:?} with {threads} threads");
        }
    }
    let lengths = [1, 2, 5].map(|threads| norm(&gradient, threads).to_bits());
    assert_eq!(lengths, [lengths[0]; 3]);
}

#[test]
fn rules_name_variables() {
    let mut options = OptimizerOptions::new(Method::Lamb, Form::Google);
    let rule = |contains: &str, rate, weight_decay| Rule {
        contains: contains.to_owned(),
        rate,
        weight_decay,
    };
    options.rules = vec![
        rule("classifier", 10.0, None),
        rule("embeddings", 0.0, Some(0.3)),
    ];
    let names = [
        "classifier.weight",
        "classifier.bias",
        "albert.embeddings.word_embeddings.weight",
        "albert.embeddings.LayerNorm.weight",
        "albert.pooler.weight",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight",
    ];
    let optimizer = Optimizer::new(options, &variables(names.map(|n| (n.to_owned(), vec![2]))));
    let groups: Vec<_> = optimizer
        .groups()
        .iter()
        .map(|g| (g.rate, g.weight_decay, g.adapted))
        .collect();
    assert_eq!(
        groups,
        [
            (10.0, 0.01, true),
            (10.0, 0.0, false),
            (0.0, 0.3, true),
            (0.0, 0.0, false),
            (1.0, 0.01, true),
            (1.0, 0.0, false)
        ]
    );
}

#[test]
fn what_is_not_finite_is_found_and_large_values_are_not_mistaken_for_it() {
    assert_eq!(norm(&[3.0, 4.0], 2), 5.0);
    assert!(norm(&vec![f32::MAX; 100_000], 2).is_finite());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![1.0; 50_000];
        values[49_999] = bad;
        assert!(!norm(&values, 2).is_finite());
    }
}

/// Not an assertion: `cargo test --release -p albert-train -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let variables = variables((0..4).map(|i| (format!("w{i}"), vec![3_000_000])));
    for method in [Method::AdamW, Method::Lamb] {
        let mut optimizer =
            Optimizer::new(OptimizerOptions::new(method, Form::Standard), &variables);
        let (mut w, gradient) = (vec![0.1; 12_000_000], vec![0.01; 12_000_000]);
        for threads in [1, 2] {
            let mut best = f64::MAX;
            for _ in 0..5 {
                let mut gradient: Vec<f32> = gradient.clone();
                let start = std::time::Instant::now();
                let length = norm(&gradient, threads);
                optimizer.update(&mut w, &mut gradient, length, 0.01, threads);
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!("{method:?}, {threads} threads: {:.1} ms", best * 1e3);
        }
    }
}
