//! Quantised folders: the layout is the one that is documented, whatever the source looks like; what cannot be is refused
//! and leaves nothing behind. One file, because all of it is about one folder's layout, and shares how to write and read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert::pipeline::{Embed, EmbedOptions};
use albert::quantize::{Draft, memory_bytes, quantize_folder};
use albert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForPreTraining, AlbertModel, Cpu, CpuOptions,
    Head, Inputs, Keep, LoadOptions, Precision, stored_precision,
};
use albert_formats::{Checkpoint, Dtype, TensorSpec, write_safetensors};
use albert_kernels::Isa;
use albert_kernels::int8::{packed_len, quantize_rows};
use albert_kernels::pack::Words;

fn fixtures() -> PathBuf {
    albert_testing::fixtures()
}

fn device() -> Cpu {
    Cpu::new(CpuOptions::default()).expect("threads")
}

/// The folder `int8` in a new one, quantised from a source.
fn quantized(source: &Path) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("int8");
    quantize_folder(source, &folder, false)
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    (home, folder)
}

/// Type, shape and bytes of every tensor.
fn tensors(folder: &Path) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<i64>)> {
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let bits = |info: &albert_formats::TensorInfo| {
        if info.dtype == Dtype::I8 {
            let mut integers = vec![0; info.elements()];
            checkpoint
                .read_i64(info, 0, &mut integers)
                .expect("integers");
            return integers;
        }
        let mut values = vec![0.0f32; info.elements()];
        checkpoint.read_f32(info, 0, &mut values).expect("numbers");
        values.iter().map(|x| i64::from(x.to_bits())).collect()
    };
    checkpoint
        .tensors()
        .map(|info| {
            (
                info.name.clone(),
                (info.dtype, info.shape.clone(), bits(info)),
            )
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

// ---------------------------------------------------------------------------------------------
// the layout, frozen

#[test]
fn what_is_written_is_what_the_script_wrote_by_the_document() {
    let (_home, folder) = quantized(&fixtures().join("model/pretraining"));
    let frozen = fixtures().join("quantized");
    let (found, frozen_tensors) = (tensors(&folder), tensors(&frozen));
    assert!(found.keys().eq(frozen_tensors.keys()));
    for (name, found) in &found {
        let frozen = &frozen_tensors[name];
        assert_eq!((&found.0, &found.1), (&frozen.0, &frozen.1), "{name}");
        if found.0 == Dtype::I8 && name.contains("albert_layers") {
            // Rounded with feedback, which NumPy does not: near the nearest integers, and not all of them.
            let steps = found.2.iter().zip(&frozen.2).map(|(a, b)| (a - b).abs());
            let most = steps.clone().max().expect("integers");
            assert!(
                most <= 3 && steps.sum::<i64>() > 0,
                "{name}: up to {most} steps"
            );
        } else {
            assert_eq!(found.2, frozen.2, "{name}");
        }
    }
    let config = |folder: &Path| std::fs::read_to_string(folder.join("config.json")).expect("it");
    assert_eq!(config(&folder), config(&frozen));
    let metadata = |folder: &Path| Checkpoint::open(folder).expect("it").metadata().clone();
    assert_eq!(metadata(&folder), metadata(&frozen));
}

#[test]
fn the_frozen_folder_gives_its_numbers() {
    let folder = fixtures().join("quantized");
    assert_eq!(
        stored_precision(&folder).expect("a precision"),
        Precision::Int8
    );
    // In f32 the integers times their scales are the weights: what transformers computed in f64.
    let (model, loaded) =
        AlbertForPreTraining::from_pretrained(&folder, device(), LoadOptions::default())
            .expect("it");
    assert_eq!(loaded.tensors.unexpected, Vec::<String>::new());
    let given = Checkpoint::open(&folder.join("inputs.safetensors")).expect("inputs");
    let whole = |name: &str| {
        let info = given.get(name).expect(name);
        let mut values = vec![0; info.elements()];
        given.read_i64(info, 0, &mut values).expect("integers");
        values
    };
    let shape = &given.get("input_ids").expect("input_ids").shape;
    let mask: Vec<f32> = whole("attention_mask").iter().map(|&x| x as f32).collect();
    let inputs = Inputs {
        attention_mask: Some(mask.clone()),
        token_type_ids: Some(whole("token_type_ids")),
        ..Inputs::new(shape[0], shape[1], whole("input_ids"))
    };
    let output = model.forward(&inputs, None, Keep::default()).expect("run");
    let expected = Checkpoint::open(&folder.join("expected.safetensors")).expect("outputs");
    for (name, found, masked) in [
        ("prediction_logits", &output.prediction_logits, true),
        ("sop_logits", &output.sop_logits, false),
    ] {
        let info = expected.get(name).expect(name);
        assert_eq!(found.shape, info.shape);
        let mut values = vec![0.0; info.elements()];
        expected.read_f64(info, 0, &mut values).expect("numbers");
        let width = found.shape[found.shape.len() - 1];
        let (mut furthest, mut largest) = (0.0f64, 0.0f64);
        for (i, (x, y)) in found.data.iter().zip(&values).enumerate() {
            if !masked || mask[i / width] != 0.0 {
                furthest = furthest.max((f64::from(*x) - y).abs());
                largest = largest.max(y.abs());
            }
        }
        // Sums of at most 80 products of f32, two layers deep; the goldens of f32 models are as near.
        assert!(
            largest > 0.01 && furthest < 1e-5 * largest.max(1.0),
            "{name}: {furthest:e}"
        );
    }
}

#[test]
fn a_newer_layout_is_refused_with_what_to_do() {
    let (_home, folder) = quantized(&fixtures().join("model/masked_lm"));
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).expect("config.json");
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    assert_ne!(text, newer);
    std::fs::write(&path, newer).expect("written");
    let loaded = AlbertForMaskedLM::from_pretrained(&folder, device(), LoadOptions::default());
    let error = loaded.err().expect("refused").to_string();
    for word in [
        "config.json",
        "`quantization_config.version` is 2",
        "up to version 1",
        "newer",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

// ---------------------------------------------------------------------------------------------
// every kind of source

/// Runs a class on the source and on its quantised folder: nothing is lost, the numbers are near, and what is read is
/// integers that quantise to themselves.
fn check<H: Head<Cpu>>(source: &Path, logits: impl Fn(&Albert<H>) -> Vec<f32>) {
    let (_home, folder) = quantized(source);
    let load = |folder: &Path| {
        Albert::<H>::from_pretrained(folder, device(), LoadOptions::default())
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    };
    let ((original, before), (other, after)) = (load(source), load(&folder));
    let place = source.display();
    assert_eq!(
        before.tensors.unexpected, after.tensors.unexpected,
        "{place}"
    );
    assert_eq!(before.tensors.notes, after.tensors.notes, "{place}");
    let (x, y) = (logits(&original), logits(&other));
    let square =
        |list: &mut dyn Iterator<Item = f32>| list.map(|x| f64::from(x).powi(2)).sum::<f64>();
    let lost = square(&mut x.iter().zip(&y).map(|(x, y)| y - x));
    let error = (lost / square(&mut x.iter().copied())).sqrt();
    assert!(error > 1e-6 && error < 0.05, "{place}: {error}");

    // The same answers, bit for bit, as those of the source on a device of integers.
    let int8 = |folder: &Path| {
        let options = CpuOptions {
            precision: Precision::Int8,
            ..CpuOptions::default()
        };
        let device = Cpu::new(options).expect("threads");
        let loaded = Albert::<H>::from_pretrained(folder, device, LoadOptions::default());
        logits(&loaded.expect("it").0)
    };
    let (on_the_fly, from_folder) = (int8(source), int8(&folder));
    albert_testing::same_bits(&from_folder, &on_the_fly)
        .unwrap_or_else(|error| panic!("{place}: {error}"));

    let checkpoint = Checkpoint::open(&folder).expect("it");
    let mut matrices = 0;
    for info in checkpoint.tensors().filter(|info| info.dtype == Dtype::I8) {
        let scales = checkpoint
            .get(&format!("{}_scale", info.name))
            .expect("scales");
        let (mut integers, mut of_rows) = (vec![0; info.elements()], vec![0.0; scales.elements()]);
        checkpoint
            .read_i8(info, 0, &mut integers)
            .expect("integers");
        checkpoint
            .read_f32(scales, 0, &mut of_rows)
            .expect("scales");
        let cols = info.shape[1];
        let mut again = vec![0; cols];
        let mut panel = vec![Words::default(); packed_len(1, cols)];
        for (row, scale) in integers.chunks_exact(cols).zip(&of_rows) {
            let real: Vec<f32> = row.iter().map(|&q| f32::from(q) * scale).collect();
            let columns = quantize_rows(Isa::best(), &real, cols, None, &mut panel, &mut again);
            let scale_again = columns.scales.0[0];
            assert_eq!(
                (scale_again.to_bits(), &again[..]),
                (scale.to_bits(), row),
                "{place}"
            );
        }
        matrices += 1;
    }
    assert!(matrices >= 7, "{place}: {matrices} matrices");
}

#[test]
fn every_form_of_checkpoint_is_quantised() {
    let inputs = Inputs::new(1, 5, vec![2, 17, 4, 30, 3]);
    for case in [
        "masked_lm",
        "untied_decoder",
        "two_decoder_weights",
        "two_biases",
        "decoder_only",
        "old_names",
        "float16",
        "bfloat16",
        "sharded",
    ] {
        check::<albert::heads::MaskedLm<Cpu>>(&fixtures().join("model").join(case), |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .logits
                .data
        });
    }
    for case in [
        "model",
        "groups_l7_g3_n1",
        "groups_l2_g2_n2",
        "embedding_equals_hidden",
        "relative_key_query",
        "pruned_heads",
    ] {
        check::<albert::heads::Base>(&fixtures().join("model").join(case), |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .last_hidden_state
                .data
        });
    }
    for case in ["pretraining", "decoder_and_sources"] {
        check::<albert::heads::PreTraining<Cpu>>(&fixtures().join("model").join(case), |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .prediction_logits
                .data
        });
    }
    check::<albert::heads::SequenceClassification<Cpu>>(
        &fixtures().join("model/sequence_classification"),
        |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .logits
                .data
        },
    );
    check::<albert::heads::TokenClassification<Cpu>>(
        &fixtures().join("model/token_classification"),
        |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .logits
                .data
        },
    );
    check::<albert::heads::MultipleChoice<Cpu>>(
        &fixtures().join("model/multiple_choice"),
        |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .logits
                .data
        },
    );
    check::<albert::heads::QuestionAnswering<Cpu>>(
        &fixtures().join("model/question_answering"),
        |model| {
            model
                .forward(&inputs, None, Keep::default())
                .expect("run")
                .start_logits
                .data
        },
    );
}

#[test]
fn a_pickle_is_quantised_and_its_file_stays_behind() {
    let source = tempfile::tempdir().expect("a folder");
    let three = fixtures().join("pipelines/models/three");
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(three.join(name), source.path().join(name)).expect("copied");
    }
    let pickle = fixtures().join("pipelines/three_pytorch_model.bin");
    std::fs::copy(pickle, source.path().join("pytorch_model.bin")).expect("copied");
    std::fs::write(source.path().join("README.md"), "a model").expect("written");
    std::fs::write(source.path().join(".hidden"), "").expect("written");
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("int8");
    let written = quantize_folder(source.path(), &folder, false).expect("written");
    assert_eq!(
        names(&folder),
        [
            "README.md",
            "config.json",
            "model.safetensors",
            "tokenizer.json"
        ]
    );
    assert_eq!(
        written.left_out,
        [
            ".hidden: hidden",
            "pytorch_model.bin: weights in floating point"
        ]
    );
    let (_home, same) = quantized(&three);
    assert_eq!(tensors(&folder), tensors(&same));
}

#[test]
fn a_repeated_word_table_is_stored_once() {
    let (_home, folder) = quantized(&fixtures().join("model/decoder_and_sources"));
    let tensors = tensors(&folder);
    assert!(!tensors.contains_key("predictions.decoder.weight"));
    assert_eq!(
        tensors["albert.embeddings.word_embeddings.weight"].0,
        Dtype::I8
    );
}

#[test]
fn a_folder_of_sentence_transformers_keeps_its_modules() {
    let source = fixtures().join("pipelines/models/st6-mean-last");
    let (_home, folder) = quantized(&source);
    assert_eq!(names(&folder), names(&source));
    assert_eq!(
        names(&folder.join("1_Pooling")),
        names(&source.join("1_Pooling"))
    );
    let vector = |folder: &Path| {
        let (embed, _) = Embed::from_pretrained(folder, device()).expect("it");
        embed
            .run("the river", None, &EmbedOptions::default())
            .expect("a vector")
            .output
    };
    let (x, y) = (vector(&source), vector(&folder));
    let cosine = albert::pipeline::cosine_similarity(&x, &y);
    assert!(x.len() == y.len() && cosine > 0.999, "{cosine}");
}

/// Folders of older versions have the encoder in a folder of its own.
#[test]
fn an_encoder_in_a_folder_of_its_own_stays_there() {
    let source = tempfile::tempdir().expect("a folder");
    let encoder = source.path().join("0_Transformer");
    std::fs::create_dir_all(source.path().join("1_Pooling")).expect("made");
    std::fs::create_dir_all(&encoder).expect("made");
    let demo = fixtures().join("demo");
    for name in names(&demo) {
        std::fs::copy(demo.join(&name), encoder.join(&name)).expect("copied");
    }
    let write = |name: &str, text: &str| {
        std::fs::write(source.path().join(name), text).expect("written");
    };
    write(
        "modules.json",
        r#"[{"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#,
    );
    write(
        "1_Pooling/config.json",
        r#"{"word_embedding_dimension": 32, "pooling_mode_mean_tokens": true}"#,
    );
    // Not the encoder's: it is copied.
    write("model.safetensors", "other");
    let (_home, folder) = quantized(source.path());
    assert_eq!(
        names(&folder),
        [
            "0_Transformer",
            "1_Pooling",
            "model.safetensors",
            "modules.json"
        ]
    );
    assert_eq!(names(&folder.join("0_Transformer")), names(&demo));
    let precision = stored_precision(&folder.join("0_Transformer")).expect("a precision");
    assert_eq!(precision, Precision::Int8);
    let (embed, _) = Embed::from_pretrained(&folder, device()).expect("it");
    embed
        .run("the river", None, &EmbedOptions::default())
        .expect("a vector");
    quantize_folder(source.path(), &folder, true).expect("replaced");
}

/// Whoever removed a draft while it is written must not see it again.
#[test]
fn a_draft_that_was_removed_is_not_made_again() {
    let home = tempfile::tempdir().expect("a folder");
    let source = fixtures().join("demo");
    let draft = Draft::beside(&source, &home.path().join("int8"), false).expect("a draft");
    std::fs::remove_dir(draft.path()).expect("removed");
    assert!(albert::quantize::quantize_into(&source, draft.path()).is_err());
    assert_eq!(names(home.path()), Vec::<String>::new());
}

#[test]
fn base_takes_a_quarter_of_its_memory() {
    let config = AlbertConfig::base_v2();
    let of = |precision| memory_bytes(&config, precision) as f64 / 1e6;
    assert!(
        (of(Precision::F32) - 44.4).abs() < 0.1,
        "{}",
        of(Precision::F32)
    );
    assert!(
        (of(Precision::Int8) - 11.5).abs() < 0.1,
        "{}",
        of(Precision::Int8)
    );
    assert!(of(Precision::Bf16) * 2.0 - of(Precision::F32) < 0.5);
}

// ---------------------------------------------------------------------------------------------
// refusals

/// Words of the refusal; the folder around the destination is as it was.
#[track_caller]
fn refused(source: &Path, destination: &Path, replace: bool, words: &[&str]) {
    let home = destination.parent().expect("a folder");
    let before = names(home);
    let error = quantize_folder(source, destination, replace)
        .expect_err("refused")
        .to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
    assert_eq!(names(home), before);
}

#[test]
fn destinations_that_are_something_else_are_refused() {
    let source = fixtures().join("model/masked_lm");
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("file"), "x").expect("written");
    refused(&source, &path("file"), true, &["file", "found a file"]);
    std::fs::create_dir(path("full")).expect("made");
    std::fs::write(path("full/notes.txt"), "mine").expect("written");
    refused(
        &source,
        &path("full"),
        false,
        &["new or empty folder", "--force"],
    );
    refused(
        &source,
        &path("full"),
        true,
        &["a quantised model to replace"],
    );
    assert_eq!(names(&path("full")), ["notes.txt"]);
    // An empty one will do, and one that was written before if asked for.
    std::fs::create_dir(path("int8")).expect("made");
    quantize_folder(&source, &path("int8"), false).expect("into an empty folder");
    refused(&source, &path("int8"), false, &["new or empty folder"]);
    std::fs::write(path("int8/model.safetensors"), "x").expect("written");
    quantize_folder(&source, &path("int8"), true).expect("replaced");
    assert!(
        std::fs::read(path("int8/model.safetensors"))
            .expect("it")
            .len()
            > 1
    );
    assert_eq!(names(home.path()), ["file", "full", "int8"]);
    refused_draft(
        &source,
        &path("no/such"),
        &["expected the folder", "mkdir -p"],
    );
}

#[track_caller]
fn refused_draft(source: &Path, destination: &Path, words: &[&str]) {
    let error = Draft::beside(source, destination, false)
        .expect_err("refused")
        .to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
}

#[test]
fn what_is_not_of_the_quantised_model_is_never_removed() {
    let source = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "model.safetensors"] {
        let from = fixtures().join("model/masked_lm").join(name);
        std::fs::copy(from, source.path().join(name)).expect("copied");
    }
    std::fs::create_dir(source.path().join("more")).expect("made");
    std::fs::write(source.path().join("more/vocab.txt"), "a").expect("written");
    let source = source.path();
    let home = tempfile::tempdir().expect("a folder");
    let int8 = home.path().join("int8");
    quantize_folder(source, &int8, false).expect("written");
    quantize_folder(source, &int8, true).expect("replaced");
    for foreign in [
        "thesis.txt",
        "more/thesis.txt",
        ".hidden",
        "model.safetensors.bak",
    ] {
        std::fs::write(int8.join(foreign), "mine").expect("written");
        refused(source, &int8, true, &[foreign, "move it away"]);
        assert_eq!(std::fs::read(int8.join(foreign)).expect("it"), b"mine");
        // Also what comes while the program works.
        std::fs::remove_file(int8.join(foreign)).expect("removed");
        let draft = Draft::beside(source, &int8, true).expect("a draft");
        std::fs::write(int8.join(foreign), "mine").expect("written");
        let error = draft.publish().expect_err("refused").to_string();
        assert!(error.contains(foreign), "{error}");
        assert_eq!(std::fs::read(int8.join(foreign)).expect("it"), b"mine");
        assert_eq!(names(home.path()), ["int8"]);
        std::fs::remove_file(int8.join(foreign)).expect("removed");
    }
    std::fs::create_dir(int8.join("thesis")).expect("made");
    refused(source, &int8, true, &["thesis"]);
}

#[test]
fn a_destination_that_appears_meanwhile_stays() {
    let source = fixtures().join("model/masked_lm");
    let home = tempfile::tempdir().expect("a folder");
    let int8 = home.path().join("int8");
    let draft = Draft::beside(&source, &int8, false).expect("a draft");
    // A quantised model even, of somebody else.
    quantize_folder(&source, &int8, false).expect("written");
    std::fs::write(int8.join("thesis.txt"), "mine").expect("written");
    let error = draft.publish().expect_err("refused").to_string();
    assert!(error.contains("new or empty folder"), "{error}");
    assert_eq!(std::fs::read(int8.join("thesis.txt")).expect("it"), b"mine");
    assert_eq!(names(home.path()), ["int8"]);
    // With `replace` nothing but a quantised model is replaced.
    let other = home.path().join("other");
    let draft = Draft::beside(&source, &other, true).expect("a draft");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("thesis.txt"), "mine").expect("written");
    let error = draft.publish().expect_err("refused").to_string();
    assert!(error.contains("a quantised model to replace"), "{error}");
    assert_eq!(names(home.path()), ["int8", "other"]);
    // An empty one is taken.
    let empty = home.path().join("empty");
    let draft = Draft::beside(&source, &empty, false).expect("a draft");
    std::fs::create_dir(&empty).expect("made");
    draft.publish().expect("published");
}

fn copied(source: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(source.join(name), folder.path().join(name)).expect("copied");
    }
    folder
}

fn with_config(folder: &Path, change: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).expect("it");
    let mut config: serde_json::Map<_, _> = serde_json::from_str(&text).expect("JSON");
    change(&mut config);
    std::fs::write(path, serde_json::to_vec(&config).expect("JSON")).expect("written");
}

#[test]
fn what_config_and_tensors_say_of_the_precision_must_agree() {
    let load = |folder: &Path| {
        AlbertForMaskedLM::from_pretrained(folder, device(), LoadOptions::default())
    };
    let refused = |folder: &Path, words: &[&str]| {
        let error = load(folder).err().expect("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error}");
        }
    };
    // Integers that the configuration does not know: they are read, with a note.
    let (_home, int8) = quantized(&fixtures().join("model/masked_lm"));
    let (_, loaded) = load(&int8).expect("loaded");
    assert_eq!(loaded.tensors.notes, Vec::<String>::new());
    with_config(&int8, |config| {
        config.remove("quantization_config");
    });
    let (_, loaded) = load(&int8).expect("loaded");
    assert!(
        loaded
            .tensors
            .notes
            .iter()
            .any(|note| note.contains("no quantization_config")),
        "{:?}",
        loaded.tensors.notes
    );
    // Floating point that the configuration calls integers.
    let float = copied(&fixtures().join("model/masked_lm"));
    with_config(float.path(), |config| {
        let value = serde_json::json!({ "quant_method": "albert-int8", "version": 1, "bits": 8 });
        config.insert("quantization_config".to_owned(), value);
    });
    refused(
        float.path(),
        &["quantization_config", "is F32: expected I8"],
    );
    // A layout in the file's metadata that is not known.
    for (from, to, words) in [
        (
            "\"quant_version\":\"1\"",
            "\"quant_version\":\"7\"",
            ["quant_version \"7\"", "up to version 1"],
        ),
        (
            "\"quant_method\":\"albert-int8\"",
            "\"quant_method\":\"albert-int7\"",
            ["quant_method \"albert-int7\"", "another program"],
        ),
    ] {
        let (_home, int8) = quantized(&fixtures().join("model/masked_lm"));
        let file = int8.join("model.safetensors");
        let mut bytes = std::fs::read(&file).expect("it");
        let at = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes());
        let at = at.expect("the metadata");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&file, bytes).expect("written");
        refused(&int8, &words);
    }
}

#[test]
fn a_destination_is_never_the_source_nor_in_it_nor_around_it() {
    let home = tempfile::tempdir().expect("a folder");
    let source = home.path().join("around/model");
    std::fs::create_dir_all(&source).expect("made");
    for name in ["config.json", "model.safetensors"] {
        let from = fixtures().join("model/masked_lm").join(name);
        std::fs::copy(from, source.join(name)).expect("copied");
    }
    for destination in [
        source.clone(),
        source.join("int8"),
        home.path().join("around"),
    ] {
        refused(&source, &destination, true, &["apart from the source"]);
    }
    #[cfg(unix)]
    {
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&source, &link).expect("linked");
        refused(&source, &link, true, &["apart from the source"]);
    }
}

#[test]
fn what_is_quantised_already_is_refused() {
    let (home, folder) = quantized(&fixtures().join("model/masked_lm"));
    refused(
        &folder,
        &home.path().join("again"),
        false,
        &["quantised already", "config.json"],
    );
    // Without the word in its config.json too.
    let text = std::fs::read_to_string(folder.join("config.json")).expect("it");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    config
        .as_object_mut()
        .expect("an object")
        .remove("quantization_config");
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
    refused(
        &folder,
        &home.path().join("again"),
        false,
        &["quantised already", "of type I8"],
    );
}

/// A copy of a golden's folder with one element of a tensor changed.
fn damaged(tensor: &str, element: usize, value: f32) -> tempfile::TempDir {
    let source = fixtures().join("model/masked_lm");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(
        source.join("config.json"),
        folder.path().join("config.json"),
    )
    .expect("copied");
    let checkpoint = Checkpoint::open(&source).expect("it");
    let specs: Vec<TensorSpec<'_>> = checkpoint
        .tensors()
        .map(|info| TensorSpec {
            name: &info.name,
            dtype: Dtype::F32,
            shape: &info.shape,
        })
        .collect();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &BTreeMap::new(), &specs, |spec, sink| {
        let info = checkpoint.get(spec.name).expect("it");
        let mut values = vec![0.0; info.elements()];
        checkpoint.read_f32(info, 0, &mut values)?;
        if spec.name == tensor {
            values[element] = value;
        }
        sink.write_f32(&values)
    })
    .expect("written");
    folder
}

#[test]
fn weights_that_are_not_finite_are_refused_by_tensor_and_row() {
    let home = tempfile::tempdir().expect("a folder");
    let destination = home.path().join("int8");
    for (tensor, element, row) in [
        ("albert.embeddings.word_embeddings.weight", 12 * 7 + 3, 7),
        ("albert.embeddings.position_embeddings.weight", 12 * 5, 5),
        ("predictions.bias", 0, 0),
    ] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let source = damaged(tensor, element, value);
            let words = [
                &format!("tensor {tensor}, row {row}"),
                "expected finite numbers",
            ];
            refused(source.path(), &destination, false, &words);
        }
    }
    // Large numbers are numbers.
    let source = damaged("albert.embeddings.word_embeddings.weight", 3, 3e38);
    quantize_folder(source.path(), &destination, false).expect("written");
    AlbertModel::from_pretrained(&destination, device(), LoadOptions::default()).expect("it");
}

#[test]
fn shapes_and_folders_that_do_not_fit_are_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let destination = home.path().join("int8");
    let source = damaged("", 0, 0.0);
    let path = source.path().join("config.json");
    let text = std::fs::read_to_string(&path).expect("it");
    std::fs::write(
        &path,
        text.replace("\"vocab_size\": 61", "\"vocab_size\": 62"),
    )
    .expect("written");
    refused(
        source.path(),
        &destination,
        false,
        &["word_embeddings.weight", "[61, 12]", "[62, 12]"],
    );
    refused(&home.path().join("none"), &destination, false, &["none"]);
    let empty = tempfile::tempdir().expect("a folder");
    refused(empty.path(), &destination, false, &["config.json"]);
}
