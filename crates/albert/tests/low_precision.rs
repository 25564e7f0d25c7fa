//! bfloat16 and 8-bit whole numbers: how far from f64, and what a model in them is when it is saved or calibrated again.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;
#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/toy.rs"]
mod toy;

use std::path::Path;

use albert::ops::Reference;
use albert::{
    AlbertForMaskedLM, AlbertModel, Cpu, CpuOptions, Inputs, Keep, LoadOptions, Precision,
};
use albert_formats::{Checkpoint, Dtype};
use albert_testing::{Random, same_bits};
use toy::WIDE;

fn cpu(precision: Precision) -> Cpu {
    Cpu::new(CpuOptions {
        threads: 2,
        precision,
        ..CpuOptions::default()
    })
    .expect("threads")
}

fn load(folder: &Path, precision: Precision) -> AlbertForMaskedLM {
    let options = LoadOptions::default();
    let loaded = AlbertForMaskedLM::from_pretrained(folder, cpu(precision), options);
    loaded.expect("a model").0
}

fn inputs(seed: u64, vocabulary: usize) -> Inputs {
    let mut random = Random::new(seed);
    let texts: Vec<Vec<i64>> = [40, 7, 64, 1, 23]
        .map(|length| random.ids(length, vocabulary))
        .into();
    Inputs::from_sequences(&texts, 0)
}

/// Root mean square of a − b over that of b.
fn distance(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let (mut off, mut size) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        off += (f64::from(*a) - b).powi(2);
        size += b.powi(2);
    }
    (off / size).sqrt()
}

/// Every layer is within bounds of the f64 model, and further away than f32 would be: the precision is in use.
#[test]
fn errors_stay_within_bounds_layer_by_layer() {
    let class = "AlbertModel";
    let folder = WIDE.folder(class);
    let inputs = inputs(3, WIDE.config(class).vocab_size);
    let keep = Keep {
        hidden_states: true,
        attentions: false,
    };
    let options = LoadOptions::default();
    let exact = AlbertModel::from_pretrained(folder.path(), Reference, options)
        .expect("a model")
        .0
        .forward(&inputs, None, keep)
        .expect("runs")
        .trace
        .hidden_states;
    for (precision, least, most) in [
        (Precision::F32, 0.0, 2e-6),
        (Precision::Bf16, 1e-3, 8e-3),
        (Precision::Int8, 1e-3, 2e-2),
    ] {
        let states = AlbertModel::from_pretrained(folder.path(), cpu(precision), options)
            .expect("a model")
            .0
            .forward(&inputs, None, keep)
            .expect("runs")
            .trace
            .hidden_states;
        assert_eq!(states.len(), exact.len());
        for (layer, (state, exact)) in states.iter().zip(&exact).enumerate() {
            let distance = distance(&state.data, &exact.data);
            println!("{precision:?}, layer {layer}: {distance:.1e}");
            assert!(
                distance >= least && distance <= most,
                "{precision:?}, layer {layer}: {distance:e}, bounds {least:e} … {most:e}"
            );
        }
    }
}

/// What was rounded once is rounded to itself: a saved model, read again, gives the same bits.
#[test]
fn a_saved_model_is_the_same_model() {
    let source = WIDE.folder("AlbertForMaskedLM");
    for precision in [Precision::Bf16, Precision::Int8] {
        let model = load(source.path(), precision);
        let inputs = inputs(4, model.config().vocab_size);
        let folder = tempfile::tempdir().expect("a folder");
        model
            .save_pretrained(folder.path(), Dtype::F32)
            .expect("saved");
        let again = load(folder.path(), precision);
        let run = |model: &AlbertForMaskedLM| {
            let output = model.forward(&inputs, None, Keep::default());
            output.expect("runs").logits.data
        };
        same_bits(&run(&again), &run(&model)).unwrap_or_else(|error| {
            panic!("{precision:?}: {error}");
        });
    }
}

/// Other inputs give another rounding; it is no further off than the one that loading chose. In f32 nothing happens.
#[test]
fn a_model_can_be_calibrated_on_inputs() {
    let source = WIDE.folder("AlbertForMaskedLM");
    let checkpoint = Checkpoint::open(source.path()).expect("a checkpoint");
    let options = LoadOptions::default();
    let exact = AlbertForMaskedLM::from_pretrained(source.path(), Reference, options)
        .expect("a model")
        .0;
    let vocabulary = exact.config().vocab_size;
    let (sample, test) = (inputs(5, vocabulary), inputs(6, vocabulary));
    let expected = exact.forward(&test, None, Keep::default()).expect("runs");
    for precision in [Precision::F32, Precision::Int8] {
        let mut model = load(source.path(), precision);
        let run = |model: &AlbertForMaskedLM| {
            let output = model.forward(&test, None, Keep::default());
            output.expect("runs").logits.data
        };
        let before = run(&model);
        model
            .calibrate(&checkpoint, source.path(), &sample)
            .expect("calibrated");
        let after = run(&model);
        assert_eq!(after == before, precision == Precision::F32);
        let limit = 1.5 * distance(&before, &expected.logits.data);
        assert!(distance(&after, &expected.logits.data) <= limit);
    }
    let mut model = load(source.path(), Precision::Int8);
    let wrong = Inputs::from_sequences(&[vec![vocabulary as i64]], 0);
    let refused = model.calibrate(&checkpoint, source.path(), &wrong);
    assert!(refused.is_err(), "a token outside of the vocabulary");
}
