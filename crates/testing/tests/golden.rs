//! The ruler on real goldens: it passes transformers' own numbers and fails what is wrong with them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use albert_testing::{Array64, Golden, Mismatch, Precision, case_names, fixtures};

/// A golden's own output with what does not count set to 0, as our model returns it.
fn own(golden: &Golden, output: &str) -> Array64 {
    let mut array = golden.expected[output].clone();
    let length = golden.inputs["input_ids"].shape[1];
    let (queries, row) = if output.starts_with("attentions") {
        (array.shape[1] * length, length)
    } else {
        (length, array.shape[2..].iter().product())
    };
    for (i, x) in array.data.iter_mut().enumerate() {
        let query = i / row;
        if !golden.keeps(query / queries * length + query % length) {
            *x = 0.0;
        }
    }
    array
}

#[test]
fn every_case_can_be_read() {
    for name in case_names() {
        let golden = Golden::open(&name);
        assert!(!golden.inputs.is_empty(), "{name}");
        for variant in golden.variants() {
            assert!(!golden.outputs(&variant).is_empty(), "{name} {variant}");
        }
    }
}

#[test]
fn transformers_own_numbers_pass() {
    for name in ["model", "masks", "token_classification"] {
        let golden = Golden::open(name);
        for output in golden.outputs("") {
            let actual = match output.as_str() {
                "loss" | "pooler_output" => golden.expected[&output].clone(),
                _ => own(&golden, &output),
            };
            for precision in [Precision::F32, Precision::F64] {
                let verdict = golden.check("", &output, &actual, precision);
                let deviation = verdict.unwrap_or_else(|error| panic!("{name} {output}: {error}"));
                assert_eq!(deviation.max_abs, 0.0);
            }
        }
    }
}

#[test]
fn wrong_numbers_fail() {
    let golden = Golden::open("masks");
    for output in ["last_hidden_state", "hidden_states.1", "attentions.0"] {
        let right = own(&golden, output);
        let wrong = |what: &str, edit: &dyn Fn(&mut Vec<f64>)| {
            let mut actual = right.clone();
            edit(&mut actual.data);
            let verdict = golden.check("", output, &actual, Precision::F32);
            assert!(verdict.is_err(), "{output}: {what} passed");
        };
        wrong("zeros", &|data| data.fill(0.0));
        wrong("NaN", &|data| data[0] = f64::NAN);
        wrong("the other sign", &|data| data[1] = -data[1]);
        wrong("other signs", &|data| {
            data.iter_mut().for_each(|x| *x = -*x)
        });
        wrong("off by one row", &|data| {
            data.rotate_right(right.shape[right.shape.len() - 1])
        });
        wrong("off by one sequence", &|data| {
            data.rotate_right(right.data.len() / right.shape[0])
        });
        wrong("off by 1e-5", &|data| data[0] += 1e-5);
        let mut turned = right.clone();
        turned.shape.swap(0, 1);
        let verdict = golden.check("", output, &turned, Precision::F32);
        assert!(matches!(verdict, Err(Mismatch::Shape { .. })));
    }
}

#[test]
fn masked_positions_must_be_zero_and_nothing_else_is_compared() {
    let golden = Golden::open("masks");
    for output in ["last_hidden_state", "attentions.1"] {
        // Row 1 is padded on the right: its last query is masked. transformers' own numbers stand there.
        let theirs = golden.expected[output].clone();
        let verdict = golden.check("", output, &theirs, Precision::F32);
        assert!(matches!(verdict, Err(Mismatch::NotZero { .. })), "{output}");
        let deviation = golden
            .measure("", output, &own(&golden, output))
            .expect("comparable");
        let kept = golden.inputs["attention_mask"].real();
        let kept = kept.iter().filter(|x| **x != 0.0).count();
        let per_query =
            golden.expected[output].data.len() / golden.inputs["input_ids"].real().len();
        assert_eq!(deviation.compared, kept * per_query);
    }
}

#[test]
fn missing_files_and_outputs_panic() {
    let missing = catch_unwind(|| Golden::open("no such case"));
    assert!(missing.is_err());
    let golden = Golden::open("model");
    let array = golden.expected["last_hidden_state"].clone();
    let unknown = catch_unwind(AssertUnwindSafe(|| {
        golden.measure("", "no_such_output", &array)
    }));
    assert!(unknown.is_err());

    // A case that has lost one of its files.
    for lost in [
        "expected.json",
        "expected.safetensors",
        "inputs.safetensors",
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in [
            "expected.json",
            "expected.safetensors",
            "inputs.safetensors",
        ] {
            if file != lost {
                let from = fixtures().join("model/length_1").join(file);
                std::fs::copy(from, folder.path().join(file)).expect("a copy");
            }
        }
        let read = catch_unwind(|| Golden::read(folder.path()));
        assert!(read.is_err(), "without {lost}");
    }
}
