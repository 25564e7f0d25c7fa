//! A model through every format and back has the same bits; what a format cannot hold is refused, and leaves nothing behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert::config::ModelClass;
use albert::convert::{ConvertOptions, Converted, Target, convert_folder, save_keras};
use albert::{Albert, AlbertConfig, AlbertModel, Cpu, CpuOptions, Head, LoadOptions, MlmBias};
use albert_formats::{Checkpoint, Dtype, TensorSpec, write_safetensors};
use albert_testing::fixtures;

fn device() -> Cpu {
    let threads = 2;
    let options = CpuOptions {
        threads,
        ..CpuOptions::default()
    };
    Cpu::new(options).expect("threads")
}

/// Converts into a new folder, of which the first one is the home.
fn convert(source: &Path, options: &ConvertOptions) -> (tempfile::TempDir, PathBuf, Converted) {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("converted");
    let converted = convert_folder(source, &folder, options, &device());
    let converted = converted.unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    (home, folder, converted)
}

/// What a conversion says that must not be; nothing may be left behind.
fn refusal(source: &Path, options: &ConvertOptions) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("converted");
    let refused = convert_folder(source, &folder, options, &device());
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("the home").collect();
    assert!(left.is_empty(), "{left:?}");
    refused.expect_err("refused").to_string()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn dialect_cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures().join("dialects")).expect("fixtures/dialects");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.sort();
    found
}

/// Bytes of the files that matter.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    ["config.json", "model.safetensors"]
        .map(|name| {
            let bytes = std::fs::read(folder.join(name)).expect("a file");
            (name.to_owned(), bytes)
        })
        .into()
}

/// The class of a case whose heads leave it open.
fn options(source: &Path, to: Target) -> ConvertOptions {
    let race = source.ends_with("google_race");
    ConvertOptions {
        class: race.then_some(ModelClass::MultipleChoice),
        ..ConvertOptions::to(to)
    }
}

/// Whether a format has a place for the class.
fn expressible(converted: &Converted, to: Target) -> bool {
    let joint = converted.class == ModelClass::JointQuestionAnswering.name();
    !joint || !matches!(to, Target::Hdf5 | Target::Flax)
}

#[test]
fn through_every_format_and_back() {
    let mut models = dialect_cases();
    let folders = [
        "pretraining",
        "masked_lm",
        "groups_l4_g2_n1",
        "embedding_equals_hidden",
        "token_classification",
    ];
    models.extend(folders.map(|case| fixtures().join("model").join(case)));
    for source in models {
        let own = convert(&source, &options(&source, Target::Safetensors));
        let (_home, folder, converted) = &own;
        let first = files(folder);
        assert_eq!(converted.check.tensors, converted.tensors.len());
        for to in Target::ALL {
            // Google's code computes GELU by tanh alone, and has no mapping where E = H.
            let erf = AlbertConfig::from_folder(folder)
                .expect("a configuration")
                .0
                .hidden_act
                == albert::Activation::Gelu;
            let mapped = source.ends_with("embedding_equals_hidden");
            if to == Target::Tf1 && (erf || mapped) {
                let said = refusal(folder, &ConvertOptions::to(to));
                assert!(
                    said.contains(if mapped { "identity" } else { "gelu" }),
                    "{said}"
                );
                continue;
            }
            let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
            let two_biases = checkpoint.get("predictions.decoder.bias").is_some();
            if two_biases && matches!(to, Target::Tf1 | Target::Flax) {
                assert_says(&refusal(folder, &ConvertOptions::to(to)), &["--mlm-bias"]);
                continue;
            }
            if !expressible(converted, to) {
                let said = refusal(folder, &ConvertOptions::to(to));
                assert_says(&said, &["has no place", "safetensors"]);
                continue;
            }
            let (_there, there, report) = convert(folder, &ConvertOptions::to(to));
            assert!(
                there
                    .join(match to {
                        Target::Tf1 => "model.ckpt-best.index",
                        _ => to.file(),
                    })
                    .is_file()
            );
            assert_eq!(report.class, converted.class);
            let (_back, back, _) = convert(&there, &ConvertOptions::to(Target::Safetensors));
            assert!(
                files(&back) == first,
                "{} by {}",
                source.display(),
                to.name()
            );
        }
    }
}

/// Names in the destination are those of the program, and nothing of the source is forgotten.
#[test]
fn the_report_accounts_for_every_tensor() {
    for source in dialect_cases() {
        let (_home, folder, converted) = convert(&source, &options(&source, Target::Torch));
        let from: usize = converted
            .tensors
            .iter()
            .map(|tensor| tensor.from.len())
            .sum();
        let accounted = from + converted.repeated.len() + converted.ignored.len();
        let held = Checkpoint::open(&source)
            .expect("a checkpoint")
            .tensors()
            .len();
        // One of Google's biases is one tensor there and here; a copy is counted with what it repeats.
        assert_eq!(accounted, held, "{}", source.display());
        let written = Checkpoint::open(&folder).expect("pytorch_model.bin");
        // The decoder's matrix and bias stand there under both names, unless they are others.
        let named = |name: &str| converted.tensors.iter().any(|tensor| tensor.to == name);
        let ties = ["predictions.decoder.weight", "predictions.decoder.bias"];
        let ties = ties
            .iter()
            .filter(|name| named("predictions.bias") && !named(name));
        assert_eq!(
            written.tensors().len(),
            converted.tensors.len() + ties.count()
        );
        for tensor in &converted.tensors {
            let found = written.get(&tensor.to).expect("its new name");
            assert_eq!(found.shape, tensor.shape);
        }
    }
}

/// Types are kept where PyTorch reads the file.
#[test]
fn types() {
    for (case, dtype, name) in [
        ("float16", Dtype::F16, "float16"),
        ("bfloat16", Dtype::BF16, "bfloat16"),
    ] {
        let source = fixtures().join("model").join(case);
        for (to, expected, config) in [
            (Target::Torch, dtype, name),
            (Target::Hdf5, Dtype::F32, "float32"),
            (Target::Flax, Dtype::F32, "float32"),
        ] {
            let (_home, folder, _) = convert(&source, &ConvertOptions::to(to));
            let checkpoint = Checkpoint::open(&folder).expect("a checkpoint");
            assert!(
                checkpoint.tensors().all(|info| info.dtype == expected),
                "{case}"
            );
            let text = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
            assert!(text.contains(&format!("\"dtype\": \"{config}\"")), "{text}");
        }
    }
}

#[test]
fn two_biases() {
    let source = fixtures().join("model/two_biases");
    for to in [Target::Flax, Target::Tf1] {
        let said = refusal(&source, &ConvertOptions::to(to));
        assert_says(
            &said,
            &["predictions.bias", "predictions.decoder.bias", "--mlm-bias"],
        );
    }
    let bias = |folder: &Path, name: &str| {
        let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
        let info = checkpoint.get(name).expect("a bias");
        let mut values = vec![0.0; info.elements()];
        checkpoint.read_f32(info, 0, &mut values).expect("numbers");
        values
    };
    for (choice, name) in [
        (MlmBias::Decoder, "predictions.decoder.bias"),
        (MlmBias::Google, "predictions.bias"),
    ] {
        let options = ConvertOptions {
            mlm_bias: Some(choice),
            ..ConvertOptions::to(Target::Flax)
        };
        let (_home, folder, converted) = convert(&source, &options);
        assert_eq!(bias(&folder, "predictions.bias"), bias(&source, name));
        assert!(
            converted
                .notes
                .iter()
                .any(|note| note.contains("two biases"))
        );
    }
    // Keras has both.
    let (_home, folder, _) = convert(&source, &ConvertOptions::to(Target::Hdf5));
    let (_back, back, _) = convert(&folder, &ConvertOptions::to(Target::Safetensors));
    for name in ["predictions.decoder.bias", "predictions.bias"] {
        assert_eq!(bias(&back, name), bias(&source, name));
    }
}

#[test]
fn decoders_of_their_own() {
    for case in ["untied_decoder", "two_decoder_weights"] {
        let source = fixtures().join("model").join(case);
        for to in [Target::Hdf5, Target::Tf1] {
            let said = refusal(&source, &ConvertOptions::to(to));
            assert!(
                said.contains("predictions.decoder.weight") || said.contains("tie_word_embeddings"),
                "{said}"
            );
        }
        let (_home, folder, _) = convert(&source, &ConvertOptions::to(Target::Torch));
        convert(&folder, &ConvertOptions::to(Target::Safetensors));
    }
}

/// What programs other than PyTorch's have no place for.
#[test]
fn what_cannot_be_expressed() {
    for (case, part) in [
        ("relative_key", "distance_embedding"),
        ("pruned_heads", "pruned"),
    ] {
        let source = fixtures().join("model").join(case);
        for to in [Target::Tf1, Target::Hdf5, Target::Flax] {
            assert_says(&refusal(&source, &ConvertOptions::to(to)), &[part]);
        }
        convert(&source, &ConvertOptions::to(Target::Torch));
    }
    let said = refusal(
        &fixtures().join("model/layer_norm_eps"),
        &ConvertOptions::to(Target::Tf1),
    );
    assert_says(&said, &["layer_norm_eps", "1e-12"]);
    let said = refusal(
        &fixtures().join("dialects/google_race"),
        &ConvertOptions::to(Target::Torch),
    );
    assert_says(&said, &["--class"]);
    let said = refusal(
        &fixtures().join("quantized"),
        &ConvertOptions::to(Target::Hdf5),
    );
    assert_says(&said, &["floating point", "quantization_config"]);
}

/// Copies a case, to change it.
fn copy(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(fixtures().join(case)).expect("a case") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, folder.path().join(name)).expect("copied");
    }
    folder
}

/// Writes the tensors of a model once more, with others.
fn rewrite(folder: &Path, more: &[(&str, &[usize])], without: &str) {
    let path = folder.join("model.safetensors");
    let old =
        Checkpoint::from_bytes("old", std::fs::read(&path).expect("a file")).expect("tensors");
    let mut specs: Vec<TensorSpec<'_>> = old
        .tensors()
        .filter(|info| info.name != without)
        .map(|info| TensorSpec {
            name: &info.name,
            dtype: info.dtype,
            shape: &info.shape,
        })
        .collect();
    specs.extend(more.iter().map(|(name, shape)| TensorSpec {
        name,
        dtype: Dtype::F32,
        shape,
    }));
    write_safetensors(&path, &BTreeMap::new(), &specs, |spec, sink| {
        match old.get(spec.name) {
            Some(info) => {
                let mut values = vec![0.0; info.elements()];
                old.read_f32(info, 0, &mut values)?;
                sink.write_f32(&values)
            }
            None => sink.write_f32(&vec![0.5; spec.shape.iter().product()]),
        }
    })
    .expect("written");
}

#[test]
fn unknown_and_missing_tensors() {
    let folder = copy("model/masked_lm");
    rewrite(folder.path(), &[("adapter.weight", &[3])], "");
    let said = refusal(folder.path(), &ConvertOptions::to(Target::Hdf5));
    assert_says(&said, &["adapter.weight", "--ignore-unknown"]);
    let options = ConvertOptions {
        ignore_unknown: true,
        ..ConvertOptions::to(Target::Hdf5)
    };
    let (_home, _, converted) = convert(folder.path(), &options);
    assert_eq!(converted.unknown, ["adapter.weight"]);

    let folder = copy("model/masked_lm");
    rewrite(folder.path(), &[], "predictions.dense.bias");
    let said = refusal(folder.path(), &ConvertOptions::to(Target::Hdf5));
    assert_says(&said, &["predictions.dense.bias", "AlbertForMaskedLM"]);

    // Two tensors for one place.
    let folder = copy("model/masked_lm");
    let name = "embeddings.token_type_embeddings.weight";
    let checkpoint = Checkpoint::open(folder.path()).expect("a model");
    let shape = checkpoint
        .get(&format!("albert.{name}"))
        .expect("a table")
        .shape
        .clone();
    rewrite(folder.path(), &[(name, &shape)], "");
    let said = refusal(folder.path(), &ConvertOptions::to(Target::Hdf5));
    assert_says(&said, &["token_type_embeddings", "differ"]);
}

/// Files beside the weights go along, and Google's vocabulary gets the name that transformers looks for.
#[test]
fn other_files_go_along() {
    let folder = copy("dialects/google_classifier");
    for name in ["30k-clean.model", "notes.txt"] {
        std::fs::write(folder.path().join(name), name).expect("written");
    }
    let (_home, there, converted) = convert(folder.path(), &ConvertOptions::to(Target::Torch));
    let mut names: Vec<String> = std::fs::read_dir(&there)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("one")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "config.json",
            "expected.json",
            "expected.safetensors",
            "inputs.safetensors",
            "notes.txt",
            "pytorch_model.bin",
            "spiece.model"
        ]
    );
    assert!(
        converted
            .left_out
            .iter()
            .any(|text| text.starts_with("albert_config.json: "))
    );
    assert_eq!(converted.left_out.len(), 1, "{:?}", converted.left_out);
    let (_home, there, _) = convert(&there, &ConvertOptions::to(Target::Tf1));
    for name in [
        "albert_config.json",
        "config.json",
        "checkpoint",
        "model.ckpt-best.index",
        "spiece.model",
    ] {
        assert!(there.join(name).is_file(), "{name}");
    }
    let (google, report) = AlbertConfig::from_file(&there.join("albert_config.json")).expect("it");
    assert_eq!(report.dialect, albert::ConfigDialect::Google);
    assert_eq!(google.hidden_act, albert::Activation::GeluNew);
}

/// A fine-tuned model of Google's programs lies in a folder without a configuration.
#[test]
fn a_checkpoint_by_its_prefix_with_a_configuration_elsewhere() {
    let folder = copy("dialects/google_classifier");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let config = elsewhere.path().join("albert_config.json");
    std::fs::rename(folder.path().join("albert_config.json"), &config).expect("moved");
    let source = folder.path().join("model.ckpt-30");
    let said = refusal(&source, &ConvertOptions::to(Target::Safetensors));
    assert_says(&said, &["config.json"]);
    let options = ConvertOptions {
        config: Some(config),
        ..ConvertOptions::to(Target::Safetensors)
    };
    let (_home, there, _) = convert(&source, &options);
    let (config, _) = AlbertConfig::from_folder(&there).expect("a configuration");
    assert_eq!(config.num_labels(), 3);
    assert_eq!(config.architectures, ["AlbertForSequenceClassification"]);
}

#[test]
fn albert_zh_where_its_mathematics_are_others() {
    // Layers that normalise before they add have the same tensors; the configuration tells.
    let folder = copy("dialects/zh_pretraining");
    let path = folder.path().join("albert_config_tiny.json");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    std::fs::write(&path, text.replace("postln", "preln")).expect("written");
    let said = refusal(folder.path(), &ConvertOptions::to(Target::Safetensors));
    assert_says(&said, &["ln_type", "preln", "another architecture"]);
}

#[test]
fn destinations() {
    let source = fixtures().join("model/masked_lm");
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("file"), "").expect("written");
    let options = ConvertOptions::to(Target::Hdf5);
    let into = |destination: &Path| {
        let refused = convert_folder(&source, destination, &options, &device());
        refused.expect_err("refused").to_string()
    };
    assert_says(&into(home.path()), &["new or empty", "files"]);
    assert_says(&into(&home.path().join("file")), &["expected a folder"]);
    assert_says(&into(&home.path().join("a/b")), &["mkdir"]);
    assert_says(&into(&source.join("h5")), &["apart from the source"]);
    assert!(!source.join("h5").exists());
}

/// All tensors of a checkpoint, bit for bit.
fn bits(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u32>)> {
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let read = |tensor: &albert_formats::TensorInfo| {
        let mut values = vec![0.0_f32; tensor.elements()];
        let read = checkpoint.read_f32(tensor, 0, &mut values);
        read.expect("numbers");
        let bits = values.into_iter().map(f32::to_bits).collect();
        (tensor.name.clone(), (tensor.shape.clone(), bits))
    };
    checkpoint.tensors().map(read).collect()
}

/// Loads a file of transformers' TensorFlow class, writes it from memory, and compares the two.
fn saved_from_memory<H: Head<Cpu>>(case: &str) {
    let source = fixtures().join(case);
    let loaded = Albert::<H>::from_pretrained(&source, device(), LoadOptions::default());
    let (model, _) = loaded.unwrap_or_else(|error| panic!("{case}: {error}"));
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("new");
    let class = ModelClass::from_name(H::CLASS).expect("a class");
    save_keras(&folder, class, model.config(), &model.tensors()).expect("saved");
    assert_eq!(bits(&folder), bits(&source), "{case}");

    let (mut config, _) = AlbertConfig::from_folder(&folder).expect("a configuration");
    assert_eq!(config.architectures, [H::CLASS]);
    let (mut wanted, _) = AlbertConfig::from_folder(&source).expect("a configuration");
    for config in [&mut config, &mut wanted] {
        config.extra.remove("dtype");
        config.extra.remove("torch_dtype");
    }
    assert_eq!(config, wanted, "{case}");
}

#[test]
fn a_model_in_memory_as_transformers_tensorflow_class_writes_it() {
    use albert::heads;
    saved_from_memory::<heads::Base>("dialects/keras_model");
    saved_from_memory::<heads::MaskedLm<Cpu>>("dialects/keras_masked_lm");
    saved_from_memory::<heads::PreTraining<Cpu>>("dialects/keras_pretraining");
    saved_from_memory::<heads::SequenceClassification<Cpu>>("dialects/keras_classifier");
    saved_from_memory::<heads::TokenClassification<Cpu>>("dialects/keras_tagger");
    saved_from_memory::<heads::QuestionAnswering<Cpu>>("dialects/keras_answers");
    saved_from_memory::<heads::MultipleChoice<Cpu>>("dialects/keras_choice");
}

#[test]
fn keras_has_no_place_for_relative_positions() {
    let source = fixtures().join("model/relative_key");
    let loaded = AlbertModel::from_pretrained(&source, device(), LoadOptions::default());
    let (model, _) = loaded.expect("loaded");
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("new");
    let saved = save_keras(&folder, ModelClass::Model, model.config(), &model.tensors());
    let error = saved.expect_err("refused").to_string();
    assert_says(&error, &["distance_embedding", "has no place in"]);
    assert!(!folder.exists());
}
