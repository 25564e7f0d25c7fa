//! Folders as other programs write them (`tools/make_dialect_fixtures.py`) give what these programs compute.

use std::path::{Path, PathBuf};

use albert::names::Dialect;
use albert::{Cpu, CpuOptions, Inputs, LoadOptions, LoadReport, ModelFolder, Named};
use albert_testing::{Array64, fixtures, measure_where, read_f64};

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;

/// How far f32 outputs of two programs may be apart. Their values are at most about 5, and the two sum some thirty products
/// of such in different orders, in each of three or four layers: measured are 3e-6 at most.
const TOLERANCE: f64 = 1e-5;

fn device() -> Cpu {
    Cpu::new(CpuOptions::default()).expect("threads")
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures().join("dialects")).expect("fixtures/dialects");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.sort();
    assert!(found.len() >= 25, "{found:?}");
    found
}

fn name(folder: &Path) -> String {
    folder
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

fn class(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("expected.json");
    let description: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    description["class"].as_str().expect("a class").to_owned()
}

/// The inputs of a case, and which tokens count.
fn inputs(folder: &Path) -> (Inputs, Vec<bool>) {
    let mut tensors = read_whole(&folder.join("inputs.safetensors"));
    let (shape, ids) = tensors.remove("input_ids").expect("input_ids");
    let (&length, batch) = shape.split_last().expect("an axis of tokens");
    let (_, mask) = tensors.remove("attention_mask").expect("a mask");
    let inputs = Inputs {
        batch: batch.iter().product(),
        length,
        input_ids: Some(ids),
        attention_mask: Some(mask.iter().map(|&x| x as f32).collect()),
        token_type_ids: tensors.remove("token_type_ids").map(|(_, types)| types),
        choices: (batch.len() == 2).then(|| batch[1]),
        ..Inputs::default()
    };
    (inputs, mask.iter().map(|&x| x != 0).collect())
}

fn read_whole(path: &Path) -> std::collections::BTreeMap<String, (Vec<usize>, Vec<i64>)> {
    let file = albert_formats::Checkpoint::open(path).expect("inputs");
    let read = |info: &albert_formats::TensorInfo| {
        let mut numbers = vec![0; info.elements()];
        file.read_i64(info, 0, &mut numbers).expect("whole numbers");
        (info.name.clone(), (info.shape.clone(), numbers))
    };
    file.tensors().map(read).collect()
}

/// The outputs of a case here, and what loading found.
fn ours(folder: &Path) -> (Vec<(String, Array64)>, LoadReport) {
    let opened = ModelFolder::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let options = LoadOptions::default();
    let loaded = run::load(&class(folder), folder, opened.config, device(), options);
    let (model, report) = loaded.unwrap_or_else(|error| panic!("{error}"));
    let outputs = model.run(
        &inputs(folder).0,
        &run::Labels::default(),
        albert::Keep::default(),
    );
    let outputs = outputs.expect("outputs").into_iter();
    let wide = outputs.map(|(name, array)| (name, Array64::new(&array.shape, &array.data)));
    (wide.collect(), report)
}

#[test]
fn every_case_gives_what_its_program_computed() {
    for folder in cases() {
        let (case, expected) = (
            name(&folder),
            read_f64(&folder.join("expected.safetensors")),
        );
        let (found, report) = ours(&folder);
        let kept = inputs(&folder).1;
        for (output, expected) in &expected {
            let actual = found.iter().find(|(name, _)| name == output);
            let (_, actual) = actual.unwrap_or_else(|| panic!("{case}: no output {output}"));
            // What the mask hides is not computed here.
            let per_token =
                expected.shape.len() >= 2 && expected.shape[1] == kept.len() / expected.shape[0];
            let each = expected.shape[2.min(expected.shape.len())..]
                .iter()
                .product::<usize>();
            let counts = |i: usize| !per_token || kept[i / each.max(1)];
            let deviation = measure_where(actual, expected, counts)
                .and_then(|deviation| deviation.within(TOLERANCE));
            let deviation = deviation.unwrap_or_else(|error| panic!("{case}: {output}: {error}"));
            assert!(deviation.scale > 0.1, "{case}: {output} says nothing");
        }
        assert_eq!(report.unexpected, Vec::<String>::new(), "{case}");
        // Google's programs have a pooler everywhere.
        let pooler = match case.starts_with("google_squad") {
            true => vec!["bert/pooler/dense/bias", "bert/pooler/dense/kernel"],
            false => vec![],
        };
        assert_eq!(report.unused, pooler, "{case}");
        assert_eq!(report.fresh, Vec::<String>::new(), "{case}");
    }
}

/// Whose names the tensors of a case have, the class that its configuration says or its heads tell, and how many tensors mean
/// nothing.
#[test]
fn every_case_is_recognised() {
    for folder in cases() {
        let case = name(&folder);
        let opened = ModelFolder::open(&folder).expect("a folder");
        let dialect = match case.split('_').next() {
            Some("google") => Dialect::Google,
            Some("zh") => Dialect::Zh,
            Some("keras") => Dialect::Keras,
            Some("flax") => Dialect::Flax,
            Some("torch") => Dialect::Torch,
            _ => panic!("{case}: whose names?"),
        };
        assert_eq!(Named::of(&opened.checkpoint).dialect, dialect, "{case}");
        // One score for each text may be a choice's or a regression's.
        let expected = if case == "google_race" {
            vec![]
        } else {
            vec![class(&folder)]
        };
        assert_eq!(opened.config.architectures, expected, "{case}");
        let (_, report) = ours(&folder);
        let states = match case.as_str() {
            "google_pretraining" | "google_classifier" => 2 * report.loaded.len() + 1,
            _ => 0,
        };
        assert_eq!(report.ignored.len(), states, "{case}: {:?}", report.ignored);
        assert_eq!(
            report.loaded.len() + report.ignored.len() + report.unused.len(),
            opened.checkpoint.tensors().len(),
            "{case}: every tensor is accounted for"
        );
        let problems = albert::tensor_problems(&opened.config, &opened.checkpoint);
        assert_eq!(problems.expect("problems"), Vec::<String>::new(), "{case}");
        let lints = opened.config.lint(Named::of(&opened.checkpoint).shapes());
        assert_eq!(lints, vec![], "{case}");
    }
}

/// A fine-tuned classifier's configuration by Google does not say how many classes there are: the tensors do.
#[test]
fn classes_are_counted() {
    let folder = fixtures().join("dialects/google_classifier");
    let opened = ModelFolder::open(&folder).expect("a folder");
    assert_eq!(opened.config.num_labels(), 3);
    assert_eq!(opened.config.hidden_act, albert::Activation::GeluNew);
    assert_eq!(albert::classifier_labels(&opened.checkpoint), Some(3));
}

/// The first layout of albert_zh becomes an ALBERT whose embeddings are as wide as its encoder.
#[test]
fn the_word_table_of_albert_zh_is_a_product() {
    let folder = fixtures().join("dialects/zh_pretraining");
    let opened = ModelFolder::open(&folder).expect("a folder");
    assert_eq!(opened.config.embedding_size, opened.config.hidden_size);
    let notes = opened.report.notes.join("\n");
    assert!(
        notes.contains("albert_zh") && notes.contains("product"),
        "{notes}"
    );
}
