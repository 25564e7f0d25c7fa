//! Loading and saving, surgery on a model, and every refusal. One file, because all of it goes over every class
//! with the same comparison.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;
#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/toy.rs"]
mod toy;

use std::collections::BTreeMap;
use std::path::Path;

use albert::heads::{self, ClassLabels, PreTrainingLabels, QuestionLabels, Trainable};
use albert::names::{Field, Site, Tensor};
use albert::ops::{Backend, Reference};
use albert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSequenceClassification, AlbertForTokenClassification,
    AlbertModel, Cpu, CpuOptions, Error, Inputs, Keep, LoadOptions, heads_present,
};
use albert_formats::{Checkpoint, Dtype, FormatError};
use albert_testing::{Array64, Golden, Random, measure, same_bits};
use run::{ALL, AnyModel, Arrays, Labels};
use toy::{CLASSES, NARROW, RELATIVE, WIDE};

const NO_LIMIT: u64 = u64::MAX;

fn cpu() -> Cpu {
    Cpu::new(CpuOptions {
        threads: 1,
        ..CpuOptions::default()
    })
    .expect("threads")
}

fn load(class: &str, folder: &Path) -> Box<dyn AnyModel<f32>> {
    let loaded = run::load(
        class,
        folder,
        run::config(folder),
        cpu(),
        LoadOptions::default(),
    );
    loaded.unwrap_or_else(|error| panic!("{class}: {error}")).0
}

/// Three texts, the second padded.
fn some_inputs() -> Inputs {
    let mut random = Random::new(1);
    let mut mask = vec![1.0; 3 * 11];
    mask[18..22].fill(0.0);
    Inputs {
        attention_mask: Some(mask),
        token_type_ids: Some(random.ids(33, 3)),
        choices: Some(3),
        ..Inputs::new(3, 11, random.ids(33, 50))
    }
}

fn run_all(model: &dyn AnyModel<f32>) -> Arrays<f32> {
    model
        .run(&some_inputs(), &Labels::default(), ALL)
        .expect("runs")
}

/// All arrays of both, bit by bit.
fn assert_same(what: &str, found: &Arrays<f32>, expected: &Arrays<f32>) {
    let names = |arrays: &Arrays<f32>| -> Vec<String> {
        arrays.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(found), names(expected), "{what}");
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(found.shape, expected.shape, "{what} {name}");
        same_bits(&found.data, &expected.data)
            .unwrap_or_else(|error| panic!("{what} {name}: {error}"));
    }
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    let path = folder.join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("a refusal").to_string()
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

// ---------------------------------------------------------------- saving

#[test]
fn saved_and_loaded_is_the_same_model() {
    for sizes in [NARROW, WIDE, RELATIVE] {
        for class in CLASSES {
            let folder = sizes.folder(class);
            let model = load(class, folder.path());
            let saved = temporary();
            model
                .save(saved.path(), Dtype::F32, NO_LIMIT)
                .expect("saved");
            let again = load(class, saved.path());
            assert_same(class, &run_all(&*again), &run_all(&*model));
            // The file is that of which the model was made, and saving again changes nothing.
            assert!(
                read(saved.path(), "model.safetensors") == read(folder.path(), "model.safetensors"),
                "{class}"
            );
            let twice = temporary();
            again
                .save(twice.path(), Dtype::F32, NO_LIMIT)
                .expect("saved");
            for file in ["model.safetensors", "config.json"] {
                assert!(
                    read(twice.path(), file) == read(saved.path(), file),
                    "{class} {file}"
                );
            }
            let config = run::config(saved.path());
            assert_eq!(config.architectures, [class]);
        }
    }
}

/// Every golden that transformers saved as the class it is: our file has the same bytes.
#[test]
fn files_are_those_of_transformers() {
    for (case, class) in [
        ("model", "AlbertModel"),
        ("pretraining", "AlbertForPreTraining"),
        ("masked_lm", "AlbertForMaskedLM"),
        ("sequence_classification", "AlbertForSequenceClassification"),
        ("token_classification", "AlbertForTokenClassification"),
        ("question_answering", "AlbertForQuestionAnswering"),
        ("multiple_choice", "AlbertForMultipleChoice"),
        ("groups_l2_g2_n2", "AlbertModel"),
        ("embedding_equals_hidden", "AlbertModel"),
        ("untied_decoder", "AlbertForMaskedLM"),
        ("float16", "AlbertForMaskedLM"),
        ("bfloat16", "AlbertForMaskedLM"),
        ("relative_key_query", "AlbertModel"),
        ("pruned_heads", "AlbertModel"),
    ] {
        let golden = Golden::open(case);
        assert_eq!(golden.class, class);
        let dtype = match case {
            "float16" => Dtype::F16,
            "bfloat16" => Dtype::BF16,
            _ => Dtype::F32,
        };
        let saved = temporary();
        load(class, &golden.folder)
            .save(saved.path(), dtype, NO_LIMIT)
            .expect("saved");
        let (ours, theirs) = [saved.path(), &golden.folder]
            .map(|folder| Checkpoint::open(folder).expect("a checkpoint"))
            .into();
        let list = |file: &Checkpoint| -> Vec<(String, Dtype, Vec<usize>)> {
            file.tensors()
                .map(|tensor| (tensor.name.clone(), tensor.dtype, tensor.shape.clone()))
                .collect()
        };
        assert_eq!(list(&ours), list(&theirs), "{case}");
        assert!(
            read(saved.path(), "model.safetensors") == read(&golden.folder, "model.safetensors"),
            "{case}: other bytes"
        );
        // config.json says the same, and the type of the elements.
        let json = |folder: &Path| {
            AlbertConfig::from_file(&folder.join("config.json"))
                .expect("a configuration")
                .0
        };
        let (mut ours, mut theirs) = (json(saved.path()), json(&golden.folder));
        for config in [&mut ours, &mut theirs] {
            config.extra.remove("torch_dtype");
        }
        assert_eq!(ours, theirs, "{case}");
    }
}

/// What transformers does with tied tensors and prefixes, by name.
#[test]
fn tied_tensors_once_and_prefixes_with_heads_only() {
    for class in CLASSES {
        let folder = NARROW.folder(class);
        let saved = temporary();
        load(class, folder.path())
            .save(saved.path(), Dtype::F32, NO_LIMIT)
            .expect("saved");
        let file = Checkpoint::open(saved.path()).expect("a checkpoint");
        assert_eq!(
            file.metadata().get("format").map(String::as_str),
            Some("pt")
        );
        let names: Vec<&str> = file.tensors().map(|tensor| tensor.name.as_str()).collect();
        assert!(
            names
                .iter()
                .all(|name| !name.starts_with("predictions.decoder")),
            "{class}: {names:?}"
        );
        let prefixed = names
            .iter()
            .filter(|name| name.starts_with("albert."))
            .count();
        assert_eq!(prefixed > 0, class != "AlbertModel", "{class}: {names:?}");
        let pooler = names
            .iter()
            .any(|name| name.trim_start_matches("albert.").starts_with("pooler."));
        let has_pooler = !matches!(
            class,
            "AlbertForMaskedLM"
                | "AlbertForTokenClassification"
                | "AlbertForQuestionAnswering"
                | "AlbertForJointQuestionAnswering"
        );
        assert_eq!(pooler, has_pooler, "{class}");
        // With a head, every tensor of the encoder has the prefix, and none of the head.
        let head = [
            "predictions",
            "sop_classifier",
            "classifier",
            "qa_outputs",
            "start_logits",
            "end_logits",
            "answer_class",
        ];
        for name in &names {
            let of_head = head
                .iter()
                .any(|head| name.starts_with(&format!("{head}.")));
            assert!(
                of_head != name.starts_with("albert.") || class == "AlbertModel",
                "{class}: {name}"
            );
        }
    }
}

/// Two biases, two decoders: what was told apart stays apart.
#[test]
fn what_differs_is_saved_twice() {
    for case in ["two_biases", "two_decoder_weights", "untied_decoder"] {
        let golden = Golden::open(case);
        let model = load(&golden.class, &golden.folder);
        let saved = temporary();
        model
            .save(saved.path(), Dtype::F32, NO_LIMIT)
            .expect("saved");
        let names = |folder: &Path| -> Vec<String> {
            Checkpoint::open(folder)
                .expect("a checkpoint")
                .tensors()
                .map(|tensor| tensor.name.clone())
                .collect()
        };
        let (found, mut expected) = (names(saved.path()), names(&golden.folder));
        if case == "two_decoder_weights" {
            // One bias is enough where both are equal.
            expected.retain(|name| name != "predictions.decoder.bias");
        }
        assert_eq!(found, expected, "{case}");
        assert_same(
            case,
            &run_all(&*load(&golden.class, saved.path())),
            &run_all(&*model),
        );
    }
}

#[test]
fn half_precision_rounds_once() {
    for class in CLASSES {
        let folder = NARROW.folder(class);
        let model = load(class, folder.path());
        for (dtype, name, relative) in [
            (Dtype::F16, "float16", 4.9e-4),
            (Dtype::BF16, "bfloat16", 3.9e-3),
        ] {
            let saved = temporary();
            model.save(saved.path(), dtype, NO_LIMIT).expect("saved");
            let text = String::from_utf8(read(saved.path(), "config.json")).expect("text");
            assert!(text.contains(&format!("\"dtype\": \"{name}\"")), "{text}");
            let (from, to) = (
                Checkpoint::open(folder.path()).expect("one"),
                Checkpoint::open(saved.path()).expect("other"),
            );
            assert_eq!(from.tensors().len(), to.tensors().len());
            for (before, after) in from.tensors().zip(to.tensors()) {
                assert_eq!(
                    (&before.name, &before.shape, dtype),
                    (&after.name, &after.shape, after.dtype)
                );
                let (mut x, mut y) = (vec![0.0; before.elements()], vec![0.0; before.elements()]);
                from.read_f32(before, 0, &mut x).expect("read");
                to.read_f32(after, 0, &mut y).expect("read");
                // Half a unit in the last of 11 or 8 bits; f16 has no more than 6e-8 of absolute room near 0.
                let near = |x: &f32, y: &f32| (x - y).abs() <= relative * x.abs() + 6e-8;
                assert!(
                    x.iter().zip(&y).all(|(x, y)| near(x, y)) && x != y,
                    "{class} {}",
                    before.name
                );
            }
            // Rounding is done: saved again in either form, the values stay.
            let again = load(class, saved.path());
            let (half, full) = (temporary(), temporary());
            again.save(half.path(), dtype, NO_LIMIT).expect("saved");
            again
                .save(full.path(), Dtype::F32, NO_LIMIT)
                .expect("saved");
            assert!(
                read(half.path(), "model.safetensors") == read(saved.path(), "model.safetensors"),
                "{class} {name}"
            );
            assert_same(
                class,
                &run_all(&*load(class, full.path())),
                &run_all(&*again),
            );
        }
    }
}

#[test]
fn shards_hold_the_same_model() {
    for class in CLASSES {
        let folder = NARROW.folder(class);
        let model = load(class, folder.path());
        let saved = temporary();
        model.save(saved.path(), Dtype::F32, 20_000).expect("saved");
        assert!(
            saved.path().join("model.safetensors.index.json").is_file(),
            "{class}"
        );
        assert!(!saved.path().join("model.safetensors").exists(), "{class}");
        assert!(
            Checkpoint::open(saved.path())
                .expect("shards")
                .files()
                .len()
                > 2,
            "{class}"
        );
        let expected = run_all(&*model);
        assert_same(class, &run_all(&*load(class, saved.path())), &expected);
        // One file over shards, and shards over one file: the newest counts.
        let other = load(class, WIDE.folder(class).path());
        other
            .save(saved.path(), Dtype::F32, NO_LIMIT)
            .expect("saved");
        assert_same(
            class,
            &run_all(&*load(class, saved.path())),
            &run_all(&*other),
        );
        model.save(saved.path(), Dtype::F32, 20_000).expect("saved");
        assert_same(class, &run_all(&*load(class, saved.path())), &expected);
    }
}

#[test]
fn the_reference_saves_the_same_file() {
    let class = "AlbertForPreTraining";
    let folder = WIDE.folder(class);
    let loaded = run::load(
        class,
        folder.path(),
        run::config(folder.path()),
        Reference,
        LoadOptions::default(),
    );
    let saved = temporary();
    loaded
        .expect("loads")
        .0
        .save(saved.path(), Dtype::F32, NO_LIMIT)
        .expect("saved");
    assert!(read(saved.path(), "model.safetensors") == read(folder.path(), "model.safetensors"));
}

/// Tables of more elements than are written at once.
#[test]
fn tables_larger_than_a_buffer() {
    let mut sizes = NARROW;
    (sizes.sizes[0], sizes.sizes[1]) = (5_003, 37);
    let folder = sizes.folder("AlbertForMaskedLM");
    let saved = temporary();
    load("AlbertForMaskedLM", folder.path())
        .save(saved.path(), Dtype::F32, NO_LIMIT)
        .expect("saved");
    assert!(read(saved.path(), "model.safetensors") == read(folder.path(), "model.safetensors"));
}

#[test]
fn saving_where_nothing_can_be_written() {
    let class = "AlbertModel";
    let folder = NARROW.folder(class);
    let file = temporary();
    let path = file.path().join("file");
    std::fs::write(&path, "x").expect("written");
    assert_says(
        &message(load(class, folder.path()).save(&path, Dtype::F32, NO_LIMIT)),
        &["cannot create the folder to save to"],
    );
    assert!(
        message(load(class, folder.path()).save(&path.join("below"), Dtype::F32, NO_LIMIT))
            .starts_with("cannot")
    );
    let refused = load(class, folder.path()).save(file.path(), Dtype::I64, NO_LIMIT);
    assert!(refused.is_err(), "weights are no whole numbers");
    assert!(
        !file.path().join("config.json").exists(),
        "no configuration without weights"
    );
}

// ---------------------------------------------------------------- surgery

/// A model file with the heads that `pruned_heads` has lost: noise in their rows and columns.
fn unpruned(golden: &Golden, removed: &BTreeMap<usize, Vec<usize>>) -> tempfile::TempDir {
    let mut config = run::config(&golden.folder);
    config.pruned_heads.clear();
    let folder = temporary();
    let json = config
        .to_json(albert::ConfigDialect::HuggingFace)
        .expect("valid");
    std::fs::write(folder.path().join("config.json"), json).expect("written");
    let file = Checkpoint::open(&golden.folder).expect("a checkpoint");
    let (d, total) = (config.head_size(), config.num_attention_heads);
    let mut random = Random::new(9);
    let values: BTreeMap<String, Vec<f32>> = file
        .tensors()
        .map(|tensor| {
            let mut stored = vec![0.0; tensor.elements()];
            file.read_f32(tensor, 0, &mut stored).expect("read");
            (tensor.name.clone(), stored)
        })
        .collect();
    let tensors: Vec<Tensor> = toy::tensors(&config, "AlbertModel");
    let values: BTreeMap<String, Vec<f32>> = tensors
        .iter()
        .map(|tensor| {
            let stored = &values[&tensor.name];
            let full: usize = tensor.shape.iter().product();
            let Site::Block(_, place) = tensor.site else {
                return (tensor.name.clone(), stored.clone());
            };
            if stored.len() == full {
                return (tensor.name.clone(), stored.clone());
            }
            // A run of `step` elements of each head, heads repeated `full / (total · step)` times.
            let columns = tensor.name.contains("attention.dense");
            let step = if columns { d } else { full / total };
            let gone = &removed[&(place.group * config.inner_group_num + place.inner)];
            let mut kept = stored.chunks_exact(step);
            let mut grown = Vec::new();
            for head in (0..full / step).map(|run| run % total) {
                if gone.contains(&head) {
                    grown.extend(random.values(step, 0.0, 1.0));
                } else {
                    grown.extend_from_slice(kept.next().expect("a head"));
                }
            }
            (tensor.name.clone(), grown)
        })
        .collect();
    toy::write_tensors(folder.path(), &tensors, &|name, data| {
        data.copy_from_slice(&values[name])
    });
    folder
}

fn golden_inputs(golden: &Golden) -> Inputs {
    let ids = &golden.inputs["input_ids"];
    Inputs::new(ids.shape[0], ids.shape[1], ids.whole())
}

#[test]
fn pruning_gives_the_golden_pruned_model() {
    let golden = Golden::open("pruned_heads");
    let removed = BTreeMap::from([(0, vec![1]), (1, vec![0, 2])]);
    let whole = unpruned(&golden, &removed);
    let load = |folder: &Path| {
        AlbertModel::from_pretrained(folder, cpu(), LoadOptions::default())
            .expect("loads")
            .0
    };
    let inputs = golden_inputs(&golden);
    let expected = load(&golden.folder)
        .forward(&inputs, None, ALL)
        .expect("runs");
    let unpruned = load(whole.path())
        .forward(&inputs, None, ALL)
        .expect("runs");
    assert_ne!(unpruned, expected, "the heads matter");

    // At once, and one after the other.
    let mut at_once = load(whole.path());
    at_once.prune_heads(&removed).expect("pruned");
    let mut stepwise = load(whole.path());
    for (block, head) in [(1, 2), (0, 1), (1, 0), (1, 2)] {
        stepwise
            .prune_heads(&BTreeMap::from([(block, vec![head])]))
            .expect("pruned");
    }
    for model in [&at_once, &stepwise] {
        assert_eq!(model.forward(&inputs, None, ALL).expect("runs"), expected);
        assert_eq!(model.config().pruned_heads, removed);
        let saved = temporary();
        model
            .save_pretrained(saved.path(), Dtype::F32)
            .expect("saved");
        assert!(
            read(saved.path(), "model.safetensors") == read(&golden.folder, "model.safetensors")
        );
        assert_eq!(
            load(saved.path())
                .forward(&inputs, None, ALL)
                .expect("runs"),
            expected
        );
    }
}

/// A head that is masked with 0 and a head that is gone give the same, but for the order of some sums.
#[test]
fn pruning_equals_a_head_mask_of_zeros() {
    for sizes in [NARROW, WIDE] {
        let folder = sizes.folder("AlbertModel");
        let loaded = |()| {
            AlbertModel::<Reference>::from_pretrained(
                folder.path(),
                Reference,
                LoadOptions::default(),
            )
            .expect("loads")
            .0
        };
        let (mut pruned, masked) = (loaded(()), loaded(()));
        let a = masked.config().num_attention_heads;
        let blocks = masked.encoder().blocks.len();
        pruned
            .prune_heads(&(0..blocks).map(|block| (block, vec![1])).collect())
            .expect("pruned");
        let mut mask = vec![1.0; a];
        mask[1] = 0.0;
        let plain = some_inputs();
        let with_mask = Inputs {
            head_mask: Some(mask),
            ..plain.clone()
        };
        let found = pruned.forward(&plain, None, ALL).expect("runs");
        let expected = masked.forward(&with_mask, None, ALL).expect("runs");
        let wide = |array: &albert::output::Array<f64>| Array64::new(&array.shape, &array.data);
        let deviation = measure(
            &wide(&found.last_hidden_state),
            &wide(&expected.last_hidden_state),
        )
        .expect("comparable");
        deviation
            .within(1e-12)
            .unwrap_or_else(|error| panic!("{error}"));
        // The attentions that are left are those of the other heads.
        for (found, expected) in found
            .trace
            .attentions
            .iter()
            .zip(&expected.trace.attentions)
        {
            assert_eq!(found.shape[1], a - 1);
            let size = found.shape[2] * found.shape[3];
            let others = expected
                .data
                .chunks_exact(size)
                .enumerate()
                .filter(|(i, _)| i % a != 1);
            let others: Vec<f64> = others.flat_map(|(_, head)| head.to_vec()).collect();
            let deviation =
                measure(&wide(found), &Array64::new(&found.shape, &others)).expect("comparable");
            deviation
                .within(1e-12)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        assert_ne!(
            masked
                .forward(&plain, None, Keep::default())
                .expect("runs")
                .last_hidden_state,
            expected.last_hidden_state
        );
    }
}

#[test]
fn pruning_refuses_what_is_not_there() {
    let folder = WIDE.folder("AlbertModel");
    let (mut model, _) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    let before = model.forward(&some_inputs(), None, ALL).expect("runs");
    let mut prune = |block: usize, heads: &[usize]| {
        message(model.prune_heads(&BTreeMap::from([(block, heads.to_vec())])))
    };
    assert_says(&prune(4, &[0]), &["prune_heads block", "0 to 3", "found 4"]);
    assert_says(
        &prune(1, &[3]),
        &["prune_heads block 1", "heads 0 to 2", "found 3"],
    );
    assert_says(&prune(1, &[0, 1, 2]), &["pruned_heads"]);
    assert!(
        model.config().pruned_heads.is_empty(),
        "a refusal changes nothing"
    );
    assert_eq!(
        model.forward(&some_inputs(), None, ALL).expect("runs"),
        before
    );
}

/// transformers 4.57 multiplies the probabilities of the heads that are left by the A elements of the mask, which
/// torch refuses.
#[test]
fn a_head_mask_for_pruned_heads_is_refused() {
    let folder = NARROW.folder("AlbertModel");
    let (mut model, _) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    let (a, l) = (
        model.config().num_attention_heads,
        model.config().num_hidden_layers,
    );
    let masked = |elements| Inputs {
        head_mask: Some(vec![1.0; elements]),
        ..some_inputs()
    };
    for elements in [a, l * a] {
        model.forward(&masked(elements), None, ALL).expect("runs");
    }
    model
        .prune_heads(&BTreeMap::from([(0, vec![1])]))
        .expect("pruned");
    for elements in [a, l * a] {
        assert_says(
            &message(model.forward(&masked(elements), None, ALL)),
            &["head_mask", "pruned_heads"],
        );
    }
    // As many as are left: 4.57 takes it for a model with one block, here it is no mask at all.
    assert_says(
        &message(model.forward(&masked(a - 1), None, ALL)),
        &["head_mask", "[A]"],
    );
    model.forward(&some_inputs(), None, ALL).expect("runs");
}

fn row<B: Backend, H: albert::Head<B>>(model: &albert::Albert<H, B>, id: usize) -> Vec<f32> {
    let mut row = vec![0.0; model.config().embedding_size];
    model
        .device()
        .weight_row(&model.encoder().embeddings.word, id, &mut row);
    row
}

#[test]
fn resizing_keeps_the_old_rows() {
    let folder = NARROW.folder("AlbertForMaskedLM");
    let load = || {
        AlbertForMaskedLM::from_pretrained(folder.path(), cpu(), LoadOptions::default())
            .expect("loads")
            .0
    };
    let (old, inputs) = (load(), some_inputs());
    let before = old.forward(&inputs, None, ALL).expect("runs");
    for size in [1, 50, 96, 97, 98, 113, 1000] {
        let mut model = load();
        model.resize_token_embeddings(size, 5).expect("resized");
        assert_eq!(model.config().vocab_size, size);
        let kept = size.min(97);
        for id in 0..kept {
            same_bits(&row(&model, id), &row(&old, id))
                .unwrap_or_else(|error| panic!("row {id} of {size}: {error}"));
        }
        if size < 50 {
            assert_says(
                &message(model.forward(&inputs, None, ALL)),
                &["input_ids[", "vocab_size 1"],
            );
            continue;
        }
        let after = model.forward(&inputs, None, ALL).expect("runs");
        assert_eq!(after.trace, before.trace);
        assert_eq!(after.logits.shape, [3, 11, size]);
        for (found, expected) in after
            .logits
            .data
            .chunks_exact(size)
            .zip(before.logits.data.chunks_exact(97))
        {
            same_bits(&found[..kept], &expected[..kept]).expect("the same scores of old words");
        }
        let saved = temporary();
        model
            .save_pretrained(saved.path(), Dtype::F32)
            .expect("saved");
        let again = AlbertForMaskedLM::from_pretrained(saved.path(), cpu(), LoadOptions::default())
            .expect("loads")
            .0;
        assert_eq!(again.forward(&inputs, None, ALL).expect("runs"), after);
    }
}

/// New rows lie around the mean of the old ones, differ, and depend on the seed alone; a new word's bias is 0.
#[test]
fn new_rows_are_drawn_around_the_mean() {
    let folder = NARROW.folder("AlbertForMaskedLM");
    let grown = |seed: u64, size: usize| {
        let (mut model, _) =
            AlbertForMaskedLM::from_pretrained(folder.path(), cpu(), LoadOptions::default())
                .expect("loads");
        model.resize_token_embeddings(size, seed).expect("resized");
        model
    };
    let (model, same, other) = (grown(1, 1097), grown(1, 200), grown(2, 200));
    let e = model.config().embedding_size;
    let mean_of = |ids: std::ops::Range<usize>, column: usize| {
        let count = ids.len() as f64;
        ids.map(|id| f64::from(row(&model, id)[column]))
            .sum::<f64>()
            / count
    };
    for column in 0..e {
        let (old, new) = (mean_of(0..97, column), mean_of(97..1097, column));
        // Standard error of a mean of 1000 draws of deviation 0.02: 6.3e-4; five of them.
        assert!(
            (old - new).abs() < 3.2e-3,
            "column {column}: {new} around {old}"
        );
        let variance = (97..1097)
            .map(|id| (f64::from(row(&model, id)[column]) - old).powi(2))
            .sum::<f64>()
            / 1000.0;
        // Of a deviation: 0.02/√2000 = 4.5e-4; five of them.
        assert!(
            (variance.sqrt() - 0.02).abs() < 2.3e-3,
            "column {column}: deviation {}",
            variance.sqrt()
        );
    }
    assert_eq!(row(&model, 150), row(&same, 150));
    assert_ne!(row(&model, 150), row(&other, 150));
    assert_ne!(row(&model, 150), row(&model, 151));
    let saved = temporary();
    model
        .save_pretrained(saved.path(), Dtype::F32)
        .expect("saved");
    let file = Checkpoint::open(saved.path()).expect("a checkpoint");
    let mut bias = vec![1.0; 1097];
    file.read_f32(
        file.get("predictions.bias").expect("the bias"),
        0,
        &mut bias,
    )
    .expect("read");
    assert!(bias[..97].iter().all(|x| *x != 0.0) && bias[97..].iter().all(|x| *x == 0.0));
}

/// A decoder of its own, and a second bias, follow; so do models without an MLM head.
#[test]
fn resizing_reaches_every_table() {
    for case in [
        "untied_decoder",
        "two_biases",
        "two_decoder_weights",
        "decoder_and_sources",
        "pretraining",
    ] {
        let golden = Golden::open(case);
        let mut model = load(&golden.class, &golden.folder);
        let old = run::config(&golden.folder).vocab_size;
        for size in [old + 20, old - 3] {
            model
                .resize(size, 3)
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            let saved = temporary();
            model
                .save(saved.path(), Dtype::F32, NO_LIMIT)
                .expect("saved");
            assert_same(
                case,
                &run_all(&*load(&golden.class, saved.path())),
                &run_all(&*model),
            );
            let names = [&golden.folder, saved.path()].map(|folder| {
                Checkpoint::open(folder)
                    .expect("a checkpoint")
                    .tensors()
                    .len()
            });
            assert!(names[0] >= names[1], "{case}");
        }
    }
    for class in CLASSES {
        let folder = NARROW.folder(class);
        let mut model = load(class, folder.path());
        let before = run_all(&*model);
        model.resize(120, 3).expect("resized");
        let after = run_all(&*model);
        let hidden = |arrays: &Arrays<f32>| {
            arrays
                .iter()
                .filter(|(name, _)| name.starts_with("hidden"))
                .cloned()
                .collect()
        };
        assert_same(class, &hidden(&after), &hidden(&before));
        for size in [0, usize::MAX] {
            assert_says(&message(model.resize(size, 3)), &["vocab_size"]);
        }
        assert_same(class, &run_all(&*model), &after);
    }
}

// ---------------------------------------------------------------- inputs

/// Each entry: what is wrong, and what the message must say.
#[test]
fn inputs_that_do_not_fit_are_refused() {
    let folder = NARROW.folder("AlbertModel");
    let (model, _) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    let right = || Inputs::new(2, 3, vec![1, 2, 3, 4, 5, 6]);
    model
        .forward(&right(), None, ALL)
        .expect("right inputs run");
    let e = model.config().embedding_size;
    let with = |edit: &dyn Fn(&mut Inputs)| {
        let mut inputs = right();
        edit(&mut inputs);
        inputs
    };
    type Edit<'a> = &'a dyn Fn(&mut Inputs);
    let cases: &[(Edit<'_>, &[&str])] = &[
        (
            &|x| *x = Inputs::new(0, 3, vec![]),
            &["input_ids", "at least one sequence", "shape [0, 3]"],
        ),
        (
            &|x| *x = Inputs::new(2, 0, vec![]),
            &["input_ids", "at least one token", "shape [2, 0]"],
        ),
        (
            &|x| *x = Inputs::from_sequences(&[], 0),
            &["at least one sequence", "shape [0, 0]"],
        ),
        (
            &|x| x.input_ids = None,
            &["exactly one of input_ids and inputs_embeds", "neither"],
        ),
        (
            &|x| x.inputs_embeds = Some(vec![0.0; 6 * e]),
            &["exactly one of input_ids and inputs_embeds", "both"],
        ),
        (
            &|x| x.input_ids = Some(vec![1; 5]),
            &[
                "input_ids",
                "[B, S] = 6 elements",
                "5 elements (batch 2, length 3)",
            ],
        ),
        (
            &|x| x.input_ids = Some(vec![1; 7]),
            &["input_ids", "[B, S] = 6 elements", "7 elements"],
        ),
        (
            &|x| (x.input_ids, x.inputs_embeds) = (None, Some(vec![0.0; 6])),
            &["inputs_embeds", "[B, S, E] = 120 elements", "6 elements"],
        ),
        (
            &|x| x.attention_mask = Some(vec![1.0; 3]),
            &["attention_mask", "[B, S] = 6 elements", "3 elements"],
        ),
        (
            &|x| x.token_type_ids = Some(vec![0; 2]),
            &["token_type_ids", "[B, S] = 6 elements", "2 elements"],
        ),
        (
            &|x| x.position_ids = Some(vec![0; 4]),
            &[
                "position_ids",
                "[B, S] = 6 elements or [S] = 3 elements",
                "4 elements",
            ],
        ),
        (
            &|x| x.head_mask = Some(vec![1.0; 3]),
            &[
                "head_mask",
                "[A] = 2 elements or [L, A] = 6 elements",
                "3 elements",
            ],
        ),
        (
            &|x| x.input_ids = Some(vec![1, 2, 3, 4, 97, 6]),
            &[
                "input_ids[1, 1]",
                "0 to 96 (config vocab_size 97)",
                "found 97",
            ],
        ),
        (
            &|x| x.input_ids = Some(vec![1, 2, -1, 4, 5, 6]),
            &["input_ids[0, 2]", "0 to 96", "found -1"],
        ),
        (
            &|x| x.input_ids = Some(vec![i64::MIN, 2, 1, 4, 5, 6]),
            &["input_ids[0, 0]", "found -9223372036854775808"],
        ),
        (
            &|x| x.input_ids = Some(vec![1, 2, 1, 4, 5, i64::MAX]),
            &["input_ids[1, 2]", "found 9223372036854775807"],
        ),
        (
            &|x| x.input_ids = Some(vec![1, 2, 1, 4, 5, (1 << 32) + 1]),
            &["input_ids[1, 2]", "found 4294967297"],
        ),
        (
            &|x| x.token_type_ids = Some(vec![0, 2, 2, 0, 1, 3]),
            &[
                "token_type_ids[1, 2]",
                "0 to 2 (config type_vocab_size 3)",
                "found 3",
            ],
        ),
        (
            &|x| x.position_ids = Some(vec![0, 320, 1]),
            &[
                "position_ids[0, 1]",
                "0 to 319 (config max_position_embeddings 320)",
                "found 320",
            ],
        ),
        (
            &|x| x.position_ids = Some(vec![0, 1, 2, 3, -4, 5]),
            &["position_ids[1, 1]", "found -4"],
        ),
        (
            &|x| *x = Inputs::new(1, 321, vec![1; 321]),
            &[
                "at most 320 tokens",
                "config max_position_embeddings",
                "truncate or split",
                "found 321",
            ],
        ),
        (
            &|x| (x.batch, x.length) = (usize::MAX, 3),
            &["batch", "less than 2^32 tokens"],
        ),
    ];
    for (edit, parts) in cases {
        let inputs = with(*edit);
        assert_says(&message(model.forward(&inputs, None, ALL)), parts);
        assert_says(&message(model.encode(&inputs).map(|_| ())), parts);
    }
    // The limits themselves are fine.
    let longest = Inputs {
        token_type_ids: Some(vec![2; 320]),
        ..Inputs::new(1, 320, vec![96; 320])
    };
    model
        .forward(&longest, None, Keep::default())
        .expect("P tokens");
    // More tokens than positions, each with a position of its own, as transformers allows.
    let longer = Inputs {
        position_ids: Some(vec![319; 321]),
        ..Inputs::new(1, 321, vec![0; 321])
    };
    model
        .forward(&longer, None, Keep::default())
        .expect("explicit positions");
}

/// Relative positions need S ≤ P whatever position_ids says; a head mask needs a row for each block of a group.
#[test]
fn inputs_that_a_kind_of_model_refuses() {
    let folder = RELATIVE.folder("AlbertModel");
    let (model, _) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    let longer = Inputs {
        position_ids: Some(vec![0; 65]),
        ..Inputs::new(1, 65, vec![1; 65])
    };
    assert_says(
        &message(model.forward(&longer, None, ALL)),
        &["at most 64 tokens", "found 65"],
    );
    model
        .forward(&Inputs::new(1, 64, vec![1; 64]), None, ALL)
        .expect("P tokens");

    let folder = WIDE.folder("AlbertModel");
    let (model, _) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    let by_layer = Inputs {
        head_mask: Some(vec![1.0; 9]),
        ..Inputs::new(1, 2, vec![1, 2])
    };
    assert_says(
        &message(model.forward(&by_layer, None, ALL)),
        &[
            "head_mask",
            "[A] = 3 elements",
            "inner_group_num",
            "9 elements",
        ],
    );
    let by_head = Inputs {
        head_mask: Some(vec![1.0; 3]),
        ..Inputs::new(1, 2, vec![1, 2])
    };
    let plain = Inputs::new(1, 2, vec![1, 2]);
    assert_eq!(
        model.forward(&by_head, None, ALL).expect("runs"),
        model.forward(&plain, None, ALL).expect("runs")
    );
}

#[test]
fn choices_must_divide_the_batch() {
    let folder = NARROW.folder("AlbertForMultipleChoice");
    let (model, _) =
        AlbertForMultipleChoice::from_pretrained(folder.path(), cpu(), LoadOptions::default())
            .expect("loads");
    let inputs = |choices| Inputs {
        choices,
        ..Inputs::new(6, 2, vec![1; 12])
    };
    for (choices, shape) in [
        (None, [1, 6]),
        (Some(1), [6, 1]),
        (Some(3), [2, 3]),
        (Some(6), [1, 6]),
    ] {
        assert_eq!(
            model
                .forward(&inputs(choices), None, ALL)
                .expect("runs")
                .logits
                .shape,
            shape
        );
    }
    for choices in [0, 4, 12] {
        assert_says(
            &message(model.forward(&inputs(Some(choices)), None, ALL)),
            &[
                "choices",
                "a divisor of the 6 sequences",
                &format!("found {choices}"),
            ],
        );
    }
}

// ---------------------------------------------------------------- labels

#[test]
fn labels_that_do_not_fit_are_refused() {
    let inputs = Inputs::new(2, 3, vec![1, 2, 3, 4, 5, 6]);
    macro_rules! refused {
        ($class:ident, $($labels:expr => $parts:expr,)+) => {{
            let folder = NARROW.folder(stringify!($class));
            let (model, _) = $class::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
            $(assert_says(&message(model.forward(&inputs, Some(&$labels), Keep::default())), &$parts);)+
        }};
    }
    refused!(AlbertForMaskedLM,
        vec![1; 5] => ["labels", "6 elements, [B, S]", "found 5 elements"],
        vec![1; 7] => ["labels", "6 elements, [B, S]", "found 7 elements"],
        vec![] => ["labels", "6 elements, [B, S]", "found 0 elements"],
        vec![1, 2, 97, 4, 5, 6] => ["labels, element 2", "0 to 96 or -100", "found 97"],
        vec![1, 2, 3, -1, 5, 6] => ["labels, element 3", "found -1"],
    );
    refused!(AlbertForTokenClassification,
        vec![0; 2] => ["labels", "6 elements, [B, S]", "found 2 elements"],
        vec![0, 1, 0, 1, 0, 2] => ["labels, element 5", "0 to 1 or -100", "found 2"],
    );
    refused!(AlbertForSequenceClassification,
        ClassLabels::Classes(vec![0]) => ["labels", "2 elements, [B]", "found 1 elements"],
        ClassLabels::Classes(vec![0, 2]) => ["labels, element 1", "0 to 1 or -100", "found 2"],
        ClassLabels::Values(vec![0.0; 3]) => ["labels", "4 elements, [B, C]", "found 3 elements"],
    );
    refused!(AlbertForMultipleChoice,
        vec![0, 1] => ["labels", "1 elements, one for each question", "found 2 elements"],
        vec![2] => ["labels, element 0", "0 to 1", "found 2"],
    );
    let answer = |start: &[i64], end: &[i64]| QuestionLabels {
        start_positions: start.to_vec(),
        end_positions: end.to_vec(),
    };
    refused!(AlbertForQuestionAnswering,
        answer(&[0], &[0, 1]) => ["start_positions", "2 elements, [B]", "found 1 elements"],
        answer(&[0, 1], &[0, 1, 2]) => ["end_positions", "2 elements, [B]", "found 3 elements"],
    );
    let both = |labels: &[i64], order: &[i64]| PreTrainingLabels {
        labels: Some(labels.to_vec()),
        sentence_order_label: Some(order.to_vec()),
    };
    refused!(AlbertForPreTraining,
        both(&[1; 4], &[0, 1]) => ["labels", "6 elements, [B, S]", "found 4 elements"],
        both(&[1; 6], &[0]) => ["sentence_order_label", "2 elements", "found 1 elements"],
        both(&[1; 6], &[0, 2]) => ["sentence_order_label, element 1", "0 to 1 or -100", "found 2"],
        both(&[200; 6], &[0, 1]) => ["labels, element 0", "0 to 96", "found 200"],
    );
    let mut config = NARROW.config("AlbertForSequenceClassification");
    config.problem_type = Some(albert::ProblemType::SingleLabelClassification);
    let folder = NARROW.folder("AlbertForSequenceClassification");
    toy::write(folder.path(), &config, "AlbertForSequenceClassification");
    let (model, _) = AlbertForSequenceClassification::from_pretrained(
        folder.path(),
        cpu(),
        LoadOptions::default(),
    )
    .expect("loads");
    let labels = ClassLabels::Values(vec![0.0; 2]);
    assert_says(
        &message(model.forward(&inputs, Some(&labels), Keep::default())),
        &["whole class numbers", "single_label_classification"],
    );
}

/// Wrong labels are found where the mask hides them too, although their rows are dropped.
#[test]
fn a_label_at_a_masked_place_is_checked() {
    let folder = NARROW.folder("AlbertForMaskedLM");
    let (model, _) =
        AlbertForMaskedLM::from_pretrained(folder.path(), cpu(), LoadOptions::default())
            .expect("loads");
    let inputs = Inputs {
        attention_mask: Some(vec![1.0, 1.0, 0.0]),
        ..Inputs::new(1, 3, vec![1, 2, 3])
    };
    assert_says(
        &message(model.forward(&inputs, Some(&vec![1, 2, 97]), Keep::default())),
        &["labels, element 2", "found 97"],
    );
    // And counted, as transformers does.
    let loss = |labels: Vec<i64>| {
        model
            .forward(&inputs, Some(&labels), Keep::default())
            .expect("runs")
            .loss
            .expect("a loss")
            .data[0]
    };
    assert_ne!(
        loss(vec![1, 2, 3]).to_bits(),
        loss(vec![1, 2, -100]).to_bits()
    );
}

// ---------------------------------------------------------------- files

fn refusal(class: &str, folder: &Path) -> Error {
    let config = AlbertConfig::from_file(&folder.join("config.json"))
        .expect("a configuration")
        .0;
    let loaded = run::load(class, folder, config, cpu(), LoadOptions::default());
    loaded.err().unwrap_or_else(|| panic!("{class} loads"))
}

/// Every class over a file of every other class: loads where the tensors are there, else names what is.
#[test]
fn a_file_of_another_class() {
    // What the class needs, what the file has.
    let needs = |class: &str| -> Vec<&'static str> {
        match class {
            "AlbertModel" => vec![],
            "AlbertForPreTraining" => vec!["predictions", "sop_classifier", "pooler"],
            "AlbertForMaskedLM" => vec!["predictions"],
            "AlbertForSequenceClassification" => vec!["classifier", "pooler"],
            "AlbertForTokenClassification" => vec!["classifier"],
            "AlbertForQuestionAnswering" => vec!["qa_outputs"],
            "AlbertForJointQuestionAnswering" => vec!["start_logits", "end_logits", "answer_class"],
            "AlbertForMultipleChoice" => vec!["classifier", "pooler"],
            other => panic!("{other}"),
        }
    };
    let has = |class: &str| {
        if class == "AlbertModel" {
            vec!["pooler"]
        } else {
            needs(class)
        }
    };
    for saved in CLASSES {
        let folder = NARROW.folder(saved);
        let file = Checkpoint::open(folder.path()).expect("a checkpoint");
        for wanted in CLASSES {
            let config = NARROW.config(wanted);
            let lacks: Vec<&str> = needs(wanted)
                .into_iter()
                .filter(|need| !has(saved).contains(need))
                .collect();
            let loaded = run::load(
                wanted,
                folder.path(),
                config.clone(),
                cpu(),
                LoadOptions::default(),
            );
            let one_score = [saved, wanted].map(|class| class == "AlbertForMultipleChoice");
            if one_score[0] != one_score[1]
                && has(saved).contains(&"classifier")
                && needs(wanted).contains(&"classifier")
            {
                let error = loaded.err().expect("another number of labels");
                assert!(
                    matches!(&error, Error::Shape { name, .. } if name == "classifier.weight"),
                    "{error}"
                );
                continue;
            }
            if lacks.is_empty() {
                let (model, report) =
                    loaded.unwrap_or_else(|error| panic!("{wanted} of {saved}: {error}"));
                run_all(&*model);
                assert!(report.fresh.is_empty() && report.unexpected.is_empty());
                assert_eq!(
                    report.loaded.len() + report.unused.len(),
                    file.tensors().len(),
                    "{wanted} of {saved}: {report:?}"
                );
                continue;
            }
            let error = loaded
                .err()
                .unwrap_or_else(|| panic!("{wanted} of {saved} loads"));
            assert!(matches!(error, Error::Missing { class, .. } if class == wanted));
            let text = error.to_string();
            assert_says(&text, &[&format!("{wanted} needs"), "fresh head"]);
            for lack in lacks {
                assert!(
                    text.contains(&format!("{lack}.")) || text.contains('…'),
                    "{lack} is not in {text:?}"
                );
            }
            let held = heads_present(&file);
            assert!(
                held.iter().all(|head| text.contains(head)),
                "{held:?} are not in {text:?}"
            );
            if held.is_empty() {
                assert_says(&text, &["no head at all"]);
            }
            // Asked for by name, a fresh head is drawn: the same with the same seed.
            let fresh = |seed| {
                let options = LoadOptions {
                    fresh_head: Some(seed),
                    ..LoadOptions::default()
                };
                let (model, report) =
                    run::load(wanted, folder.path(), config.clone(), cpu(), options)
                        .expect("a fresh head");
                assert!(!report.fresh.is_empty());
                run_all(&*model)
            };
            let first = fresh(1);
            assert_same(wanted, &fresh(1), &first);
            assert!(
                first
                    .iter()
                    .all(|(_, array)| array.data.iter().all(|x| x.is_finite()))
            );
            assert_ne!(fresh(2), first, "{wanted} of {saved}");
        }
    }
}

/// A new model: matrices and tables from N(0, initializer_range²), norms the identity, biases 0; the same for the same seed.
#[test]
fn a_new_model() {
    fn check<H: Trainable<Cpu>>(class: &str) {
        let make = |seed| {
            Albert::<H, Cpu>::from_config(NARROW.config(class), cpu(), seed)
                .expect("a model")
                .parameters()
        };
        let (variables, values) = make(1);
        let (mut sum, mut squares, mut drawn) = (0.0, 0.0, 0.0);
        for variable in &variables {
            let own = &values[variable.range.clone()];
            let is_norm =
                variable.name.contains("LayerNorm") || variable.name.contains("layer_norm");
            if variable.name.ends_with("bias") {
                assert!(own.iter().all(|x| *x == 0.0), "{class}: {}", variable.name);
            } else if is_norm {
                assert!(own.iter().all(|x| *x == 1.0), "{class}: {}", variable.name);
            } else {
                for x in own {
                    sum += f64::from(*x);
                    squares += f64::from(*x) * f64::from(*x);
                    drawn += 1.0;
                }
            }
        }
        let std = NARROW.config(class).initializer_range;
        let (mean, spread) = (sum / drawn, (squares / drawn).sqrt());
        // Five standard errors.
        assert!(
            mean.abs() < 5.0 * std / drawn.sqrt(),
            "{class}: mean {mean}"
        );
        let error = std / (2.0 * drawn).sqrt();
        assert!(
            (spread - std).abs() < 5.0 * error,
            "{class}: {spread} for {std}"
        );
        assert_eq!(make(1).1, values);
        assert_ne!(make(2).1, values);
    }
    check::<heads::PreTraining<Cpu>>("AlbertForPreTraining");
    check::<heads::JointQuestionAnswering<Cpu>>("AlbertForJointQuestionAnswering");
}

/// The tensors to damage in turn: all of pre-training, of the other classes those of the head, for the encoder is the same.
fn of_interest<'a>(class: &str, tensors: &'a [Tensor]) -> Vec<&'a Tensor> {
    let head = |tensor: &&Tensor| match tensor.site {
        Site::Pooler => class == "AlbertModel",
        _ => class != "AlbertModel" && !tensor.name.starts_with("albert."),
    };
    let all = class == "AlbertForPreTraining";
    let chosen: Vec<&Tensor> = tensors
        .iter()
        .filter(|tensor| all || head(tensor))
        .collect();
    assert!(!chosen.is_empty(), "{class}");
    chosen
}

/// Each tensor in turn is taken away, or has another shape.
#[test]
fn every_missing_or_misshapen_tensor_is_named() {
    for class in CLASSES {
        let config = NARROW.config(class);
        let tensors = toy::tensors(&config, class);
        let folder = NARROW.folder(class);
        for lost in of_interest(class, &tensors) {
            let i = tensors
                .iter()
                .position(|tensor| tensor == lost)
                .expect("a tensor of the class");
            let mut fewer = tensors.clone();
            fewer.remove(i);
            toy::write_tensors(folder.path(), &fewer, &|_, _| ());
            let bare = lost.name.trim_start_matches("albert.");
            match refusal(class, folder.path()) {
                Error::Missing {
                    count: 1, names, ..
                } => assert_eq!(names.trim_start_matches("albert."), bare),
                other => panic!("{class} without {bare}: {other}"),
            }
            let mut other = tensors.clone();
            *other[i].shape.last_mut().expect("an axis") += 1;
            toy::write_tensors(folder.path(), &other, &|_, _| ());
            match refusal(class, folder.path()) {
                Error::Shape {
                    name,
                    expected,
                    found,
                    ..
                } => {
                    assert_eq!(
                        (&name, &expected, &found),
                        (&lost.name, &lost.shape, &other[i].shape)
                    );
                }
                other => panic!("{class} with another {bare}: {other}"),
            }
            if lost.shape.len() == 2 && lost.shape[0] != lost.shape[1] {
                let mut turned = tensors.clone();
                turned[i].shape.reverse();
                toy::write_tensors(folder.path(), &turned, &|_, _| ());
                assert!(
                    matches!(refusal(class, folder.path()), Error::Shape { .. }),
                    "{class}: {bare} transposed"
                );
            }
        }
    }
}

#[test]
fn a_base_that_is_not_complete_is_no_missing_head() {
    let class = "AlbertForSequenceClassification";
    let config = NARROW.config(class);
    let folder = NARROW.folder(class);
    let tensors: Vec<Tensor> = toy::tensors(&config, class)
        .into_iter()
        .filter(|t| t.site != Site::Mapping && t.site != Site::Classifier)
        .collect();
    toy::write_tensors(folder.path(), &tensors, &|_, _| ());
    let text = refusal(class, folder.path()).to_string();
    assert_says(
        &text,
        &[
            "needs 4 tensors that are not there",
            "embedding_hidden_mapping_in.weight",
            "not a complete ALBERT checkpoint",
            "albert inspect",
        ],
    );
    // A fresh head does not make up for it.
    let options = LoadOptions {
        fresh_head: Some(1),
        ..LoadOptions::default()
    };
    let text = message(run::load(class, folder.path(), config, cpu(), options).map(|_| ()));
    assert_says(
        &text,
        &[
            "needs 2 tensors that are not there",
            "not a complete ALBERT checkpoint",
        ],
    );
}

#[test]
fn unknown_tensors_are_reported() {
    let class = "AlbertModel";
    let config = NARROW.config(class);
    let folder = NARROW.folder(class);
    let mut tensors = toy::tensors(&config, class);
    for name in [
        "encoder.albert_layer_groups.9.albert_layers.0.ffn.bias",
        "bert.pooler.dense.weight",
        "embeddings.position_ids",
    ] {
        tensors.push(Tensor {
            site: Site::MlmNorm,
            field: Field::Bias,
            name: name.to_owned(),
            shape: vec![3],
        });
    }
    toy::write_tensors(folder.path(), &tensors, &|_, _| ());
    let (_, loaded) =
        AlbertModel::from_pretrained(folder.path(), cpu(), LoadOptions::default()).expect("loads");
    assert_eq!(
        loaded.tensors.unexpected,
        [
            "bert.pooler.dense.weight",
            "encoder.albert_layer_groups.9.albert_layers.0.ffn.bias"
        ]
    );
    assert!(loaded.tensors.unused.is_empty() && loaded.tensors.fresh.is_empty());
}

/// NaN and infinite weights give NaN, never a panic; what they cannot reach stays a number.
#[test]
fn weights_that_are_not_numbers() {
    for class in CLASSES {
        let config = NARROW.config(class);
        let tensors = toy::tensors(&config, class);
        let folder = NARROW.folder(class);
        let poisons: &[f32] = match class {
            "AlbertForPreTraining" => &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX],
            _ => &[f32::NAN],
        };
        for &poison in poisons {
            for tensor in of_interest(class, &tensors) {
                toy::write_tensors(folder.path(), &tensors, &|name, data| {
                    if name == tensor.name {
                        data.fill(poison);
                    }
                });
                let arrays = run_all(&*load(class, folder.path()));
                let reached = arrays
                    .iter()
                    .any(|(_, array)| array.data.iter().any(|x| !x.is_finite()));
                assert!(
                    reached || !poison.is_nan(),
                    "{class}: {poison} in {} is lost",
                    tensor.name
                );
            }
        }
        // One word that is NaN: texts without it stay numbers, bit by bit.
        toy::write(folder.path(), &config, class);
        let mut inputs = some_inputs();
        let word = 77;
        let ids = inputs.input_ids.as_mut().expect("ids");
        assert!(!ids.contains(&word), "a word of the third text alone");
        ids[32] = word;
        let run = || {
            load(class, folder.path())
                .run(&inputs, &Labels::default(), ALL)
                .expect("runs")
        };
        let clean = run();
        toy::write_tensors(folder.path(), &tensors, &|name, data| {
            if name.ends_with("word_embeddings.weight") {
                data[word as usize * config.embedding_size] = f32::NAN;
            }
        });
        for ((name, found), (_, clean)) in run().iter().zip(&clean) {
            // Every row of a tied decoder's scores has the column of the word.
            let scores =
                name == "prediction_logits" || class == "AlbertForMaskedLM" && name == "logits";
            let text = found.data.len() / 3;
            if !scores {
                let others = same_bits(&found.data[..2 * text], &clean.data[..2 * text]);
                others.unwrap_or_else(|error| panic!("{class} {name}: {error}"));
            }
            let third = &found.data[2 * text..];
            // A position is a number whatever the scores are.
            let is_position = name.ends_with("_index");
            assert!(
                is_position || third.iter().any(|x| x.is_nan()),
                "{class} {name}"
            );
        }
    }
}

/// Cut at any length, the file is refused.
#[test]
fn truncated_files_are_refused() {
    let class = "AlbertForPreTraining";
    let folder = NARROW.folder(class);
    let whole = read(folder.path(), "model.safetensors");
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    let mut lengths: Vec<usize> = (0..64)
        .chain(header - 20..header + 20)
        .chain(whole.len() - 20..whole.len())
        .collect();
    lengths.extend((0..whole.len()).step_by(whole.len() / 200));
    for length in lengths {
        std::fs::write(folder.path().join("model.safetensors"), &whole[..length]).expect("written");
        let error = refusal(class, folder.path());
        assert!(matches!(error, Error::Format(_)), "{length} bytes: {error}");
        assert_says(&error.to_string(), &["model.safetensors"]);
    }
    let longer = [&whole[..], &[0]].concat();
    std::fs::write(folder.path().join("model.safetensors"), longer).expect("written");
    assert!(matches!(
        refusal(class, folder.path()),
        Error::Format(FormatError::Length { .. })
    ));
    std::fs::write(folder.path().join("model.safetensors"), whole).expect("written");
    run_all(&*load(class, folder.path()));
}

/// A file that is cut while it is open: reading fails, nothing dies.
#[test]
fn a_file_cut_while_it_is_read() {
    let class = "AlbertModel";
    let folder = NARROW.folder(class);
    let checkpoint = Checkpoint::open(folder.path()).expect("a checkpoint");
    let path = folder.path().join("model.safetensors");
    let half = std::fs::metadata(&path).expect("there").len() / 2;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(half))
        .expect("cut");
    let loaded = AlbertModel::from_checkpoint(
        NARROW.config(class),
        &checkpoint,
        folder.path(),
        cpu(),
        LoadOptions::default(),
    );
    assert!(matches!(loaded.map(|_| ()), Err(Error::Format(_))));
}

#[test]
fn folders_without_a_model_are_refused() {
    let load = |folder: &Path| {
        AlbertModel::from_pretrained(folder, cpu(), LoadOptions::default()).map(|_| ())
    };
    let empty = temporary();
    assert!(matches!(load(empty.path()), Err(Error::Config(_))));
    assert!(matches!(
        load(&empty.path().join("nowhere")),
        Err(Error::Config(_))
    ));
    let folder = NARROW.folder("AlbertModel");
    std::fs::remove_file(folder.path().join("model.safetensors")).expect("removed");
    assert!(matches!(
        load(folder.path()),
        Err(Error::Format(FormatError::NoCheckpoint { .. }))
    ));
}

/// The configuration of another model: refused by the first tensor that does not fit.
#[test]
fn a_configuration_of_another_model() {
    let folder = NARROW.folder("AlbertModel");
    let json = WIDE
        .config("AlbertModel")
        .to_json(albert::ConfigDialect::HuggingFace)
        .expect("valid");
    std::fs::write(folder.path().join("config.json"), json).expect("written");
    let error = refusal("AlbertModel", folder.path());
    assert!(
        matches!(&error, Error::Shape { name, .. } if name == "embeddings.word_embeddings.weight"),
        "{error}"
    );
    assert_says(
        &error.to_string(),
        &["[97, 20]", "[131, 33]", "config.json"],
    );
}
