//! Models in TensorFlow give what transformers' TensorFlow classes give (`tools/make_tensorflow_goldens.py`).
//!
//! Needs TensorFlow's C library (docs/tensorflow.md). Without it each test says on stderr that it was skipped, or fails where
//! `ALBERT_REQUIRE_TENSORFLOW` is 1, as in `make interop`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use albert::heads::{
    Base, ClassLabels, MaskedLm, MultipleChoice, PreTraining, PreTrainingLabels, QuestionAnswering,
    QuestionLabels, SequenceClassification, TokenClassification,
};
use albert::output::{Array, Output};
use albert::{Albert, Cpu, CpuOptions, Head, Inputs, Keep, LoadOptions, MlmBias};
use albert_formats::Checkpoint;
use albert_tensorflow::{
    Error, TFAlbertForMaskedLM, TFAlbertForSequenceClassification, TFAlbertModel, TensorFlow,
    TfAlbert, TfHead,
};
use albert_testing::{Array64, Golden, Numbers, fixtures, measure, measure_where, read_f64};

/// How far two f32 results may be apart, of the largest number of an output, or of 1 where that is less: the same kernels of
/// TensorFlow in another order.
const TOLERANCE: f64 = 1e-5;

/// Of a sequence that the mask hides whole: −10000 rounds its scores to multiples of 2⁻¹⁰, so that a last bit before it becomes a
/// step of 1e-3 in a score, for 1e-4 of the scores. (Measured: 9e-5 in attentions, 3e-5 in
/// hidden states. Attention to all alike is 0.1 away.)
const HIDDEN_WHOLE: f64 = 1e-3;

const ALL: Keep = Keep {
    hidden_states: true,
    attentions: true,
};

/// The library, or a note that the test is skipped.
fn library(test: &str) -> Option<&'static TensorFlow> {
    static LIBRARY: OnceLock<Result<TensorFlow, Error>> = OnceLock::new();
    match LIBRARY.get_or_init(TensorFlow::load) {
        Ok(library) => Some(library),
        Err(Error::NotFound { .. }) if std::env::var_os("ALBERT_REQUIRE_TENSORFLOW").is_none() => {
            let note = format!("skipped: {test} (there is no TensorFlow: docs/tensorflow.md)\n");
            std::io::stderr()
                .write_all(note.as_bytes())
                .expect("stderr");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn load<H: TfHead>(library: &TensorFlow, folder: &Path) -> TfAlbert<H> {
    let loaded = TfAlbert::<H>::from_pretrained(folder, library, LoadOptions::default());
    loaded
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .0
}

/// A case: its folder, its class, inputs and outputs.
struct Case {
    folder: PathBuf,
    class: String,
    inputs: BTreeMap<String, albert_testing::Tensor>,
    expected: BTreeMap<String, Array64>,
}

impl Case {
    fn open(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("expected.json")).expect("expected.json");
        let about: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        Self {
            folder: folder.to_owned(),
            class: about["class"].as_str().expect("a class").to_owned(),
            inputs: Golden::inputs_in(folder),
            expected: read_f64(&folder.join("expected.safetensors")),
        }
    }

    /// All below `fixtures/NAME` that these classes can be.
    fn all(name: &str) -> Vec<Self> {
        let entries = std::fs::read_dir(fixtures().join(name)).expect("fixtures");
        let mut folders: Vec<PathBuf> =
            entries.map(|entry| entry.expect("a case").path()).collect();
        folders.sort();
        let cases = folders.iter().map(|folder| Self::open(folder));
        cases
            .filter(|case| case.class != "AlbertForJointQuestionAnswering")
            .collect()
    }

    fn name(&self) -> String {
        self.folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    }

    fn whole(&self, name: &str) -> Option<Vec<i64>> {
        self.inputs.get(name).map(albert_testing::Tensor::whole)
    }

    fn batch(&self) -> Inputs {
        let embeds = self.inputs.get("inputs_embeds");
        let mut shape = match (self.inputs.get("input_ids"), embeds) {
            (Some(ids), _) => ids.shape.clone(),
            (None, Some(embeds)) => embeds.shape[..embeds.shape.len() - 1].to_vec(),
            (None, None) => panic!("{}: no inputs", self.name()),
        };
        let length = shape.pop().expect("an axis of tokens");
        Inputs {
            batch: shape.iter().product(),
            length,
            input_ids: self.whole("input_ids"),
            inputs_embeds: embeds.map(albert_testing::Tensor::real),
            attention_mask: self
                .inputs
                .get("attention_mask")
                .map(albert_testing::Tensor::real),
            token_type_ids: self.whole("token_type_ids"),
            position_ids: self.whole("position_ids"),
            head_mask: None,
            choices: (shape.len() == 2).then(|| shape[1]),
        }
    }

    /// Runs the case; gives each output, and the folder that `save_pretrained` wrote.
    fn run(&self, library: &TensorFlow, saved: &Path) -> Vec<(String, Array)> {
        let words = || self.whole("labels");
        match self.class.as_str() {
            "AlbertModel" => self.run_class::<Base>(library, None, saved),
            "AlbertForMaskedLM" => self.run_class::<MaskedLm<Cpu>>(library, words(), saved),
            "AlbertForTokenClassification" => {
                self.run_class::<TokenClassification<Cpu>>(library, words(), saved)
            }
            "AlbertForMultipleChoice" => {
                self.run_class::<MultipleChoice<Cpu>>(library, words(), saved)
            }
            "AlbertForPreTraining" => {
                let labels = PreTrainingLabels {
                    labels: words(),
                    sentence_order_label: self.whole("sentence_order_label"),
                };
                self.run_class::<PreTraining<Cpu>>(library, Some(labels), saved)
            }
            "AlbertForSequenceClassification" => {
                let labels = self
                    .inputs
                    .get("labels")
                    .map(|labels| match &labels.numbers {
                        Numbers::Whole(classes) => ClassLabels::Classes(classes.clone()),
                        Numbers::Real(values) => ClassLabels::Values(values.clone()),
                    });
                self.run_class::<SequenceClassification<Cpu>>(library, labels, saved)
            }
            "AlbertForQuestionAnswering" => {
                let both = self
                    .whole("start_positions")
                    .zip(self.whole("end_positions"));
                let labels = both.map(|(start_positions, end_positions)| QuestionLabels {
                    start_positions,
                    end_positions,
                });
                self.run_class::<QuestionAnswering<Cpu>>(library, labels, saved)
            }
            other => panic!("{}: unknown class {other}", self.name()),
        }
    }

    fn run_class<H: TfHead>(
        &self,
        library: &TensorFlow,
        labels: Option<H::Labels>,
        saved: &Path,
    ) -> Vec<(String, Array)>
    where
        H::Output: Output<f32>,
    {
        let model = load::<H>(library, &self.folder);
        let output = model.forward(&self.batch(), labels.as_ref(), ALL);
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let arrays = output.arrays().into_iter();
        let arrays: Vec<_> = arrays.map(|(name, array)| (name, array.clone())).collect();

        model.save_pretrained(saved).expect("saved");
        let again = load::<H>(library, saved);
        let output = again
            .forward(&self.batch(), labels.as_ref(), ALL)
            .expect("outputs");
        for ((name, array), (_, other)) in arrays.iter().zip(output.arrays()) {
            let [a, b] = [array, other].map(|one| Array64::new(&one.shape, &one.data));
            let deviation =
                measure(&a, &b).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name()));
            assert!(
                deviation.max_abs <= TOLERANCE * deviation.scale.max(1.0),
                "{name}: {deviation}"
            );
        }
        arrays
    }

    /// Which sequences the mask hides whole `[B]`.
    fn hidden(&self) -> Vec<bool> {
        let inputs = self.batch();
        let mask = inputs.attention_mask;
        let mask = mask.unwrap_or_else(|| vec![1.0; inputs.batch * inputs.length]);
        let rows = mask.chunks_exact(inputs.length);
        rows.map(|row| row.iter().all(|x| *x == 0.0)).collect()
    }

    /// Fails unless every expected output is there and near enough; gives the largest deviation, of the scale, of sequences
    /// that the mask does not hide whole.
    fn check(&self, outputs: &[(String, Array)]) -> f64 {
        let (hidden, mut worst) = (self.hidden(), 0.0_f64);
        for (name, expected) in &self.expected {
            let found = outputs.iter().find(|(other, _)| other == name);
            let (_, array) = found.unwrap_or_else(|| panic!("{}: no {name}", self.name()));
            let actual = Array64::new(&array.shape, &array.data);
            let near = |selected: &dyn Fn(usize) -> bool, tolerance: f64| {
                let deviation = measure_where(&actual, expected, selected);
                let deviation =
                    deviation.unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name()));
                let relative = deviation.max_abs / deviation.scale.max(1.0);
                assert!(
                    relative <= tolerance,
                    "{}: {name}: {deviation}",
                    self.name()
                );
                relative
            };
            let row = expected.data.len() / expected.shape[0];
            if hidden.contains(&true) {
                worst = worst.max(near(&|i| !hidden[i / row], TOLERANCE));
                near(&|i| hidden[i / row], HIDDEN_WHOLE);
            } else {
                worst = worst.max(near(&|_| true, TOLERANCE));
            }
        }
        worst
    }
}

/// All tensors of a checkpoint as bits.
fn bits(folder: &Path) -> BTreeMap<String, Vec<u32>> {
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let read = |tensor: &albert_formats::TensorInfo| {
        let mut values = vec![0.0_f32; tensor.elements()];
        checkpoint
            .read_f32(tensor, 0, &mut values)
            .expect("numbers");
        let bits = values.into_iter().map(f32::to_bits).collect();
        (tensor.name.clone(), bits)
    };
    checkpoint.tensors().map(read).collect()
}

#[test]
fn as_transformers_tensorflow_classes() {
    let Some(library) = library("as_transformers_tensorflow_classes") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let (mut seen, mut worst) = (0, 0.0_f64);
    for case in Case::all("tensorflow") {
        let saved = scratch.path().join(case.name());
        let outputs = case.run(library, &saved);
        let losses = case.expected.contains_key("loss");
        assert_eq!(
            outputs.iter().any(|(name, _)| name == "loss"),
            losses,
            "{}",
            case.name()
        );
        worst = worst.max(case.check(&outputs));
        // What transformers wrote, name by name.
        if case.folder.join("tf_model.h5").is_file() {
            assert_eq!(bits(&saved), bits(&case.folder), "{}", case.name());
        }
        seen += 1;
    }
    assert_eq!(seen, 17);
    println!("{seen} cases, at most {worst:.1e} of the scale");
}

#[test]
fn from_every_dialect() {
    let Some(library) = library("from_every_dialect") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let (mut seen, mut worst) = (0, 0.0_f64);
    for case in Case::all("dialects") {
        let outputs = case.run(library, &scratch.path().join(case.name()));
        worst = worst.max(case.check(&outputs));
        seen += 1;
    }
    assert!(seen >= 24, "{seen}");
    println!("{seen} cases, at most {worst:.1e} of the scale");
}

/// Attention to all alike, as other programs have it, is another result for a sequence that the mask hides whole.
#[test]
fn a_hidden_sequence_is_not_uniform() {
    let case = Case::open(&fixtures().join("tensorflow/hidden_whole"));
    let device = Cpu::new(CpuOptions::default()).expect("threads");
    let uniform = Albert::<Base>::from_pretrained(&case.folder, device, LoadOptions::default());
    let output = uniform
        .expect("loaded")
        .0
        .forward(&case.batch(), None, Keep::default());
    let pooled = output.expect("outputs").pooler_output.expect("a pooler");
    let actual = Array64::new(&pooled.shape, &pooled.data);
    let row = pooled.shape[1];
    let deviation = |hidden: bool| {
        let rows = case.hidden();
        let expected = &case.expected["pooler_output"];
        let measured = measure_where(&actual, expected, |i| rows[i / row] == hidden);
        measured.expect("numbers").max_abs
    };
    assert!(deviation(false) < TOLERANCE);
    assert!(deviation(true) > 20.0 * HIDDEN_WHOLE, "{}", deviation(true));
    println!("uniform attention is {:.1e} away", deviation(true));
}

/// Of two biases TensorFlow adds `predictions/decoder/bias`; the other is kept, or becomes it.
#[test]
fn two_biases() {
    let Some(library) = library("two_biases") else {
        return;
    };
    let folder = fixtures().join("model/two_biases");
    let scratch = tempfile::tempdir().expect("a folder");
    let inputs = Inputs::new(1, 3, vec![5, 6, 7]);
    let run = |folder: &Path, mlm_bias, saved: &str| {
        let options = LoadOptions {
            mlm_bias,
            ..LoadOptions::default()
        };
        let (model, _) =
            TFAlbertForMaskedLM::from_pretrained(folder, library, options).expect("loaded");
        let saved = scratch.path().join(saved);
        model.save_pretrained(&saved).expect("saved");
        let output = model
            .forward(&inputs, None, Keep::default())
            .expect("outputs");
        (output.logits, saved)
    };
    let (decoder, kept) = run(&folder, MlmBias::Decoder, "decoder");
    let (google, moved) = run(&folder, MlmBias::Google, "google");
    assert_ne!(decoder, google);
    assert_eq!(run(&kept, MlmBias::Decoder, "again").0, decoder);
    assert_eq!(run(&moved, MlmBias::Decoder, "again").0, google);
    let tensors = bits(&kept);
    let ends = |end: &str| {
        let mut found = tensors.iter().filter(|(name, _)| name.ends_with(end));
        found.next().expect("a bias").1.clone()
    };
    assert_ne!(
        ends("predictions/bias:0"),
        ends("predictions/decoder/bias:0")
    );
}

#[test]
fn what_tensorflow_has_no_place_for() {
    let Some(library) = library("what_tensorflow_has_no_place_for") else {
        return;
    };
    let refused = |case: &str| {
        let folder = fixtures().join("model").join(case);
        let options = LoadOptions::default();
        let error = match case {
            "untied_decoder" => {
                TFAlbertForMaskedLM::from_pretrained(&folder, library, options).err()
            }
            "model" => TFAlbertForMaskedLM::from_pretrained(&folder, library, options).err(),
            _ => TFAlbertModel::from_pretrained(&folder, library, options).err(),
        };
        error
            .unwrap_or_else(|| panic!("{case} was loaded"))
            .to_string()
    };
    for (case, part) in [
        ("untied_decoder", "a decoder that is not the word table"),
        ("relative_key", "relative positions"),
        ("pruned_heads", "pruned heads"),
        ("model", "predictions.dense.weight"),
    ] {
        let text = refused(case);
        assert!(text.contains(part), "{case}: {text}");
    }
}

#[test]
fn wrong_inputs_and_labels() {
    let Some(library) = library("wrong_inputs_and_labels") else {
        return;
    };
    let folder = fixtures().join("model/masked_lm");
    let model = load::<MaskedLm<Cpu>>(library, &folder);
    let vocabulary = model.config().vocab_size as i64;
    let refused = |inputs: &Inputs, labels: Option<Vec<i64>>| {
        let output = model.forward(inputs, labels.as_ref(), Keep::default());
        output.expect_err("refused").to_string()
    };
    let good = Inputs::new(1, 3, vec![5, 6, 7]);
    let text = refused(&Inputs::new(1, 3, vec![5, 6, vocabulary]), None);
    assert!(text.contains("input_ids[0, 2]"), "{text}");
    let text = refused(&Inputs::new(1, 3, vec![5, 6]), None);
    assert!(text.contains("[B, S] = 3 elements"), "{text}");
    let text = refused(&good, Some(vec![5, 6]));
    assert!(
        text.contains("labels: expected [B, S] = 3 elements"),
        "{text}"
    );
    let text = refused(&good, Some(vec![5, -1, 6]));
    assert!(text.contains("labels, element 1: expected 0 to"), "{text}");
    let long = model.config().max_position_embeddings + 1;
    let text = refused(&Inputs::new(1, long, vec![5; long]), None);
    assert!(text.contains("max_position_embeddings"), "{text}");
    let masked = Inputs {
        head_mask: Some(vec![1.0; model.config().num_attention_heads]),
        ..good
    };
    let text = refused(&masked, None);
    assert!(text.contains("TensorFlow's classes have none"), "{text}");
}

/// A new head is that of the library, and stays with the model when it is saved.
#[test]
fn a_fresh_head() {
    let Some(library) = library("a_fresh_head") else {
        return;
    };
    let folder = fixtures().join("model/model");
    let options = LoadOptions {
        fresh_head: Some(7),
        ..LoadOptions::default()
    };
    let (model, loaded) =
        TFAlbertForSequenceClassification::from_pretrained(&folder, library, options)
            .expect("loaded");
    assert_eq!(
        loaded.tensors.fresh,
        ["classifier.weight", "classifier.bias"]
    );
    let device = Cpu::new(CpuOptions::default()).expect("threads");
    let ours = Albert::<SequenceClassification<Cpu>>::from_pretrained(&folder, device, options);
    let inputs = Inputs::new(2, 3, vec![5, 6, 7, 8, 9, 10]);
    let logits = model
        .forward(&inputs, None, Keep::default())
        .expect("outputs")
        .logits;
    let wanted = ours
        .expect("loaded")
        .0
        .forward(&inputs, None, Keep::default());
    let wanted = wanted.expect("outputs").logits;
    let [a, b] = [&logits, &wanted].map(|one| Array64::new(&one.shape, &one.data));
    let deviation = measure(&a, &b).expect("numbers");
    assert!(
        deviation.max_abs <= TOLERANCE * deviation.scale.max(1.0),
        "{deviation}"
    );

    let scratch = tempfile::tempdir().expect("a folder");
    model.save_pretrained(scratch.path()).expect("saved");
    let again = load::<SequenceClassification<Cpu>>(library, scratch.path());
    assert_eq!(
        again
            .forward(&inputs, None, Keep::default())
            .expect("outputs")
            .logits,
        logits
    );
}

/// Models have variables of their own, and one may be run by several threads.
#[test]
fn several_models_and_threads() {
    let Some(library) = library("several_models_and_threads") else {
        return;
    };
    let root = fixtures();
    let one = library.clone().with_threads(1);
    let first = load::<Base>(&one, &root.join("model/model"));
    let inputs = Inputs::new(2, 3, vec![5, 6, 7, 8, 9, 10]);
    let run = |model: &TFAlbertModel| {
        let output = model.forward(&inputs, None, Keep::default());
        output.expect("outputs").last_hidden_state
    };
    let alone = run(&first);
    let second = load::<Base>(library, &root.join("model/groups_l4_g2_n1"));
    let other = run(&second);
    assert_ne!(alone.data, other.data);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(run(&first), alone)));
        }
    });
    drop(second);
    assert_eq!(run(&first), alone);
}

/// A class of transformers, its name here and there.
#[test]
fn names() {
    fn check<H: TfHead + Head<Cpu>>() {
        assert_eq!(H::TF_CLASS, format!("TF{}", <H as Head<Cpu>>::CLASS));
        assert_eq!(H::MODEL.name(), <H as Head<Cpu>>::CLASS);
    }
    check::<Base>();
    check::<PreTraining<Cpu>>();
    check::<MaskedLm<Cpu>>();
    check::<SequenceClassification<Cpu>>();
    check::<TokenClassification<Cpu>>();
    check::<QuestionAnswering<Cpu>>();
    check::<MultipleChoice<Cpu>>();
}

/// The example finds the word that crate `albert` finds.
#[test]
fn the_example() {
    if library("the_example").is_none() {
        return;
    }
    let test = std::env::current_exe().expect("this test");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/…/deps/test");
    let example = profile
        .join("examples/tf_albert")
        .with_extension(std::env::consts::EXE_EXTENSION);
    let folder = fixtures().join("demo");
    let output = std::process::Command::new(example)
        .arg(folder)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.lines().count() == 4 && text.contains("loss "),
        "{text}"
    );
}
