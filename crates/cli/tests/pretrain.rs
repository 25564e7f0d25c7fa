//! `albert pretrain` as a user runs it: from text to a model that other verbs read, runs that go on, files of samples, and
//! what is refused.

#[allow(dead_code, reason = "each file of tests uses a part")]
mod common;

use common::{Home, fixtures};
use serde_json::{Value, json};

/// A folder with a text, a configuration and a tokenizer.
fn home() -> Home {
    let home = Home::empty();
    let copy = |from: &str, to: &str| {
        std::fs::copy(fixtures().join(from), home.path(to)).expect("copied");
    };
    copy("pretrain/corpus.txt", "corpus.txt");
    copy("pretrain/config.json", "small.json");
    std::fs::create_dir(home.path("words")).expect("a folder");
    copy("demo/tokenizer.json", "words/tokenizer.json");
    home
}

const NEW: &str = "pretrain corpus.txt --tokenizer words --config small.json --batch-size 16 --learning-rate 1e-2 --held-out 0.2 --eval-steps 10 --save-steps 10 --log-steps 5";

#[test]
fn a_model_is_made_from_text_and_other_verbs_read_it() {
    let home = home();
    let length = "--max-seq-length 32:0.5,64:0.5 --max-steps 40";
    let (code, out, err) = home.run(&format!("{NEW} {length} --output model"));
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("model: ") && out.contains("masked_lm_accuracy"),
        "{out}"
    );
    assert!(err.contains("documents"), "{err}");
    let config = home.json("model/config.json");
    assert_eq!(config["architectures"], json!(["AlbertForPreTraining"]));
    // No dropout unless it is asked for, as version 2; the vocabulary is the tokenizer's.
    assert_eq!(config["hidden_dropout_prob"], 0.0);
    assert!(config["vocab_size"].as_u64() > Some(20));
    let results = home.json("model/eval_results.json");
    for name in [
        "masked_lm_accuracy",
        "masked_lm_loss",
        "sentence_order_accuracy",
        "sentence_order_loss",
        "loss",
    ] {
        assert!(
            results[format!("eval_{name}")].is_number(),
            "{name}: {results}"
        );
    }
    let state = home.json("model/checkpoint-40/trainer_state.json");
    let losses: Vec<f64> = state["log_history"]
        .as_array()
        .expect("a history")
        .iter()
        .filter_map(|entry| entry["eval_masked_lm_loss"].as_f64())
        .collect();
    assert!(
        losses.len() == 4 && losses[3] < losses[0] - 0.1,
        "{losses:?}"
    );
    // The two losses of training are logged apart.
    let logged = state["log_history"].as_array().expect("a history").iter();
    let parts: Vec<f64> = logged
        .filter_map(|entry| {
            let part = |name: &str| entry[name].as_f64();
            let (words, order) = (part("masked_lm_loss")?, part("sentence_order_loss")?);
            Some((part("loss")? - words - order).abs())
        })
        .collect();
    assert!(
        parts.len() == 8 && parts.iter().all(|x| *x < 1e-9),
        "{parts:?}"
    );
    assert!(err.contains("(masked_lm_loss "), "{err}");
    // What the program measures is what the model answers: the loss of a text is near.
    home.done("fill-mask the[MASK]of --model model");
    home.done("sentence-order one two --model model");
    home.done("embed text --model model --output vectors.npy");
    home.done("inspect model");
    // It can go on with the model, from other weights than random ones: less loss at once.
    let out = home.done(
        "pretrain corpus.txt --model model --batch-size 16 --learning-rate 1e-4 --held-out 0.2 --max-seq-length 64 --max-steps 2 --output more --cache model.tokens --json",
    );
    let more: Value = serde_json::from_str(&out).expect("JSON");
    let after = more["eval_masked_lm_loss"].as_f64().expect("a loss");
    assert!((after - losses[3]).abs() < 0.2, "{after} after {losses:?}");
}

#[test]
fn a_run_goes_on_with_the_same_bits() {
    let home = home();
    let length = "--max-seq-length 32 --max-steps 20 --parts 2";
    home.done(&format!("{NEW} {length} --output whole"));
    // As if it had been stopped behind step 10.
    home.done(&format!("{NEW} {length} --output cut --cache whole.tokens"));
    for name in ["checkpoint-20", "model.safetensors", "config.json"] {
        let path = home.path("cut").join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).expect("removed");
        } else {
            std::fs::remove_file(path).expect("removed");
        }
    }
    let (code, _, err) = home.run(&format!(
        "{NEW} {length} --output cut --cache whole.tokens --threads 1"
    ));
    assert!(code == Some(0) && err.contains("going on from"), "{err}");
    let bytes = |name: &str| std::fs::read(home.path(name)).expect("read");
    assert_eq!(
        bytes("cut/model.safetensors"),
        bytes("whole/model.safetensors")
    );
    home.refused(
        &format!("{NEW} {length} --output cut --cache whole.tokens --ngram 1"),
        1,
        &["samples", "max_ngram: 3", "max_ngram: 1"],
    );
    // Nor does a run go on with another text, whose cache is another one …
    let text = home.read("corpus.txt") + "\n\nthe book\n";
    home.file("other.txt", &text);
    let other = NEW.replace("corpus.txt", "other.txt");
    home.refused(
        &format!("{other} {length} --output cut --cache other"),
        1,
        &["made with text"],
    );
    // … and does not slip into this one.
    home.refused(
        &format!("{other} {length} --output new --cache whole.tokens"),
        1,
        &["whole.tokens", "other.txt"],
    );
}

#[test]
fn samples_are_written_as_tfrecords_and_read_again() {
    let home = home();
    home.done(
        "pretrain corpus.txt --tokenizer words --prepare-only --tfrecords 2 --dupe-factor 3 --max-seq-length 32 --max-predictions 5 --cache tokens --output records --config small.json",
    );
    let mut names: Vec<_> = std::fs::read_dir(home.path("records"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["00000-of-00002.tfrecord", "00001-of-00002.tfrecord"]
    );
    let files = "records/00000-of-00002.tfrecord records/00001-of-00002.tfrecord";
    let start = format!("pretrain {files} --tokenizer words --config small.json --batch-size 8");
    let out = home.done(&format!(
        "{start} --validation-file corpus.txt --max-seq-length 32 --max-steps 3 --output model"
    ));
    assert!(out.contains("masked_lm_loss"), "{out}");
    assert!(home.read("model/README.md").contains("(corpus.txt)"));
    // Without a length what is measured is as long as the records, not as the model's positions.
    home.done(&format!(
        "{start} --validation-file corpus.txt --max-steps 3 --output same"
    ));
    let samples =
        |model: &str| home.json(&format!("{model}/eval_results.json"))["eval_samples"].clone();
    assert_eq!(samples("same"), samples("model"));
    home.refused(
        &format!("{start} --held-out 0.1 --max-steps 3 --output none"),
        1,
        &["--held-out", "--validation-file"],
    );
    // Files of samples are known by the names that Google's script and TensorFlow's writers give.
    for name in ["x.tfrecord-00000-of-00001", "x.tf_record", "x.TFRecords"] {
        std::fs::copy(
            home.path("records/00000-of-00002.tfrecord"),
            home.path(name),
        )
        .expect("copied");
        let start = start.replace(files, name);
        let out = home.done(&format!(
            "{start} --max-steps 1 --output {name}.out --dry-run"
        ));
        assert!(out.contains("182 samples, 1 steps"), "{out}");
    }
    // How samples are made is said when they are made.
    for flag in ["--objective none", "--ngram 1", "--max-seq-length 32"] {
        let name = flag.split(' ').next().expect("a flag");
        home.refused(
            &format!("{start} {flag} --max-steps 3 --output none"),
            1,
            &[name, "expected text files"],
        );
    }
    // Another file is no file to go on with.
    home.done(
        "pretrain corpus.txt --tokenizer words --prepare-only --tfrecords 1 --dupe-factor 3 --max-seq-length 32 --max-predictions 5 --cache tokens --output others --config small.json --held-out 0.2",
    );
    let other = start.replace(files, "others/00000-of-00001.tfrecord");
    home.refused(
        &format!("{other} --validation-file corpus.txt --max-steps 3 --output same"),
        1,
        &["it was made with"],
    );
}

#[test]
fn flags_of_other_programs_are_understood() {
    let home = home();
    home.done(
        "pretrain --input_file corpus.txt --tokenizer words --albert_config_file small.json --output_dir model --train_batch_size 8 --num_train_steps 2 --num_warmup_steps 1 --random_seed 3 --save_checkpoints_steps 1 --max_seq_length 32 --held-out 0",
    );
    assert!(home.path("model/checkpoint-1").exists() && home.path("model/checkpoint-2").exists());
    let (code, _, err) = home.run("pretrain --tokenizer words --config small.json --output none");
    assert!(code == Some(2) && err.contains("FILES"), "{err}");
    home.done("vocab train corpus.txt --output pieces --vocab_size 60 --character_coverage 1.0");
}

/// The second label's head drops nothing, whatever the configuration says of classifiers; the optimiser's rule is chosen
/// without the recipe's weight decay being lost.
#[test]
fn settings_are_googles() {
    let home = home();
    let mut models = Vec::new();
    for rate in ["0.0", "0.5"] {
        let mut config = home.json("small.json");
        config["classifier_dropout_prob"] = rate.parse::<f64>().expect("a number").into();
        home.file(&format!("{rate}.json"), &config.to_string());
        let output = format!("model{rate}");
        home.done(&format!(
            "pretrain corpus.txt --tokenizer words --config {rate}.json --batch-size 16 --held-out 0 --max-seq-length 64 --max-steps 3 --learning-rate 1e-2 --optimizer adamw --cache tokens --output {output}"
        ));
        assert_eq!(
            home.json(&format!("{output}/config.json"))["classifier_dropout_prob"],
            config["classifier_dropout_prob"]
        );
        let state = home.json(&format!("{output}/checkpoint-3/training_state.json"));
        assert_eq!(state["options"]["optimizer weight_decay"], 0.01);
        models
            .push(std::fs::read(home.path(&format!("{output}/model.safetensors"))).expect("read"));
    }
    assert!(models[0] == models[1]);
}

#[test]
fn a_preparation_makes_all_caches_and_nothing_else() {
    let home = home();
    let start = "pretrain corpus.txt --tokenizer words --cache tokens --prepare-only";
    home.done(&format!("{start} --validation-file corpus.txt"));
    assert!(home.path("tokens").exists() && home.path("tokens.validation").exists());
    for flags in [
        "--dry-run",
        "--json",
        "--dupe-factor 3",
        "--tfrecords 1 --output records --validation-file corpus.txt",
    ] {
        let (code, ..) = home.run(&format!("{start} {flags}"));
        assert_eq!(code, Some(2), "{flags}");
    }
}

/// What a run writes at its end, and what the same command changes when it is given again: nothing.
#[test]
fn a_finished_run_is_finished() {
    let home = home();
    let command = format!("{NEW} --max-seq-length 32 --max-steps 3 --output model");
    home.done(&command);
    // No step was measured or logged but the last.
    let card = home.read("model/README.md");
    assert!(!card.contains("There was no evaluation"), "{card}");
    let curves = home.read("model/curves.svg");
    assert!(curves.contains("eval_masked_lm_loss"), "{curves}");
    let names = ["train_results.json", "model.safetensors", "tokenizer.json"];
    let read = || names.map(|name| std::fs::read(home.path("model").join(name)).expect("read"));
    let before = read();
    // Its own tokenizer does not become empty by being copied onto itself.
    home.done(&command.replace("--tokenizer words", "--tokenizer model"));
    assert!(read() == before && !before[2].is_empty());
    let (code, _, error) = home.run(&format!("{command} --max-eval-samples 2"));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("validation data"), "{error}");
    // A copy with more tokens is another model: nothing of this run goes with it.
    home.done("vocab add model --tokens riverbank --output grown");
    let grown = home.names("grown");
    let training = |name: &&String| name.contains("checkpoint") || name.contains("trainer_state");
    assert_eq!(grown.iter().find(training), None, "{grown:?}");
    assert!(grown.contains(&"tokenizer.json".to_owned()), "{grown:?}");
}

/// A classifier of three labels has a head for two things again.
#[test]
fn a_classifier_is_pre_trained_on() {
    let home = home();
    home.done(
        "pretrain corpus.txt --model fixtures/pipelines/models/three --batch-size 4 --max-steps 2 --max-seq-length 16 --held-out 0.2 --output model",
    );
    let config = home.json("model/config.json");
    let labels = config.get("id2label").and_then(Value::as_object);
    assert!(labels.is_none_or(|labels| labels.len() == 2), "{config}");
    home.done("sentence-order one two --model model");
}

/// `out/` is `out`.
#[test]
fn a_name_may_end_with_a_slash() {
    let home = home();
    let command = format!("{NEW} --max-seq-length 32 --max-steps 2 --output model/");
    home.done(&command);
    assert!(home.path("model.tokens").exists() && !home.path("model/.tokens").exists());
    home.done(&command);
}

/// Damage is made good, and not learned from.
#[test]
fn a_damaged_cache_is_made_again() {
    let home = home();
    let prepare =
        "pretrain corpus.txt --tokenizer words --config small.json --prepare-only --cache tokens";
    home.done(prepare);
    let shard = home.path("tokens/shard-00000.tokens");
    let whole = std::fs::read(&shard).expect("read");
    let mut damaged = whole.clone();
    damaged[120] ^= 1;
    for rebuild in ["", " --rebuild-cache"] {
        std::fs::write(&shard, &damaged).expect("written");
        home.done(&format!("{prepare}{rebuild}"));
        assert!(std::fs::read(&shard).expect("read") == whole, "{rebuild}");
    }
    // A file that is not there leaves nothing behind.
    home.refused(
        "pretrain nowhere.txt --tokenizer words --config small.json --prepare-only --cache unread",
        1,
        &["nowhere.txt"],
    );
    assert!(!home.path("unread").exists());
}

/// Numbers that are none are not saved, and what was damaged is not gone on from.
#[test]
fn a_checkpoint_is_what_was_written() {
    let home = home();
    let start = NEW.replace(
        "--held-out 0.2",
        "--held-out 0 --max-seq-length 32 --cache tokens",
    );
    let wild = start.replace("--learning-rate 1e-2", "--learning-rate 1e300");
    let (code, _, error) = home.run(&format!("{wild} --max-steps 3 --output wild"));
    assert!(code == Some(1) && error.contains("not finite"), "{error}");
    assert!(!home.path("wild/model.safetensors").exists());
    let command = format!("{start} --max-steps 20 --output model");
    home.done(&command);
    let path = home.path("model/checkpoint-20/training_state.safetensors");
    let mut bytes = std::fs::read(&path).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let (code, _, error) = home.run(&command);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        error.contains("is damaged") && error.contains("going on from model/checkpoint-10"),
        "{error}"
    );
    // Nor from one that has another's name.
    let rename = |from: &str, to: &str| std::fs::rename(home.path(from), home.path(to));
    rename("model/checkpoint-20", "model/checkpoint-30").expect("renamed");
    let (code, _, error) = home.run(&command);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        error.contains("is of step 20") && error.contains("checkpoint-10"),
        "{error}"
    );
}

/// Nobody reads what is told; the work goes on.
#[test]
fn a_closed_stderr_stops_nothing() {
    let home = home();
    let command = format!("{NEW} --max-seq-length 32 --max-steps 10 --log-steps 1 --output model");
    let mut run = home.command(&command.replace("--log-steps 5 ", ""));
    let mut child = run
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert!(home.path("model/model.safetensors").exists());
}

#[test]
fn one_segment_and_words_of_other_documents() {
    let home = home();
    for (objective, second) in [("none", false), ("next-sentence", true)] {
        let length = "--max-seq-length 32 --max-steps 2 --no-whole-word";
        home.done(&format!(
            "{NEW} {length} --objective {objective} --output {objective} --cache tokens"
        ));
        let results = home.json(&format!("{objective}/eval_results.json"));
        assert_eq!(
            results.get("eval_next_sentence_loss").is_some(),
            second,
            "{results}"
        );
        assert!(results.get("eval_sentence_order_loss").is_none());
    }
}

/// What is written loads as a model with a group for each layer, and says nothing that such a model does not say.
#[test]
fn layers_share_what_is_asked_for() {
    let home = home();
    let length = "--max-seq-length 32 --max-steps 2 --cache tokens";
    let parameters = |share: &str| -> u64 {
        let out = home.done(&format!(
            "{NEW} {length} --share {share} --output none --dry-run"
        ));
        let (before, after) = out.split_once(" parameters").expect("their number");
        let shared = match share {
            "attention" => " (attention is shared); about ",
            "ffn" => " (the feed-forward part is shared); about ",
            _ => "; about ",
        };
        assert!(after.starts_with(shared), "{out}");
        let number = before.rsplit(' ').next().expect("a word");
        number.parse().expect("a number")
    };
    // H 32, F 64, two layers.
    let (attention, ffn) = (4 * 33 * 32 + 64, 33 * 64 + 65 * 32 + 64);
    let all = parameters("all");
    assert_eq!(parameters("attention"), all + ffn);
    assert_eq!(parameters("ffn"), all + attention);
    assert_eq!(parameters("none"), all + attention + ffn);
    let keys = |config: &Value| -> Vec<String> {
        let fields = config.as_object().expect("an object");
        fields.keys().cloned().collect()
    };
    for share in ["none", "ffn"] {
        home.done(&format!("{NEW} {length} --share {share} --output {share}"));
        home.done(&format!("inspect {share}"));
    }
    let (none, ffn) = (home.json("none/config.json"), home.json("ffn/config.json"));
    assert_eq!(ffn["num_hidden_groups"], 2);
    assert_eq!(keys(&ffn), keys(&none));
    let (code, _, error) = home.run(&format!("{NEW} {length} --share attention --output ffn"));
    assert_eq!(code, Some(1));
    let expected = "it was made with tied [\"ffn\"], found [\"attention\"]";
    assert!(error.contains(expected), "{error}");
    let (code, ..) = home.run("pretrain corpus.txt --model none --share all --output more");
    assert_eq!(code, Some(2));
}

#[test]
fn what_cannot_be_is_refused() {
    let home = home();
    home.file("empty.txt", "\n\n");
    std::fs::write(home.path("latin.txt"), b"caf\xe9\n").expect("written");
    let start =
        "pretrain corpus.txt --tokenizer words --config small.json --max-steps 2 --batch-size 4";
    for (arguments, words) in [
        (
            format!("{start} --max-seq-length 128 --output none"),
            vec!["--max-seq-length", "at most 64", "128"],
        ),
        (
            format!("{start} --max-seq-length 32:0.5 --output none"),
            vec!["add up to 1", "0.5"],
        ),
        (
            format!("{start} --max-seq-length long --output none"),
            vec!["--max-seq-length", "long"],
        ),
        (
            format!("{start} --max-seq-length 32 --output none --dtype int8"),
            vec!["int8", "f32 or bf16"],
        ),
        (
            format!("{start} --max-seq-length 32 --held-out 0.001 --output none"),
            vec!["--held-out 0.001 of 36 documents", "larger share"],
        ),
        (
            "pretrain empty.txt --tokenizer words --config small.json --output none --cache empty"
                .to_owned(),
            vec!["empty.txt"],
        ),
        (
            "pretrain latin.txt --tokenizer words --config small.json --output none --cache latin"
                .to_owned(),
            vec!["latin.txt", "UTF-8"],
        ),
        (
            "pretrain nowhere.txt --tokenizer words --config small.json --output none".to_owned(),
            vec!["nowhere.txt"],
        ),
        (
            "pretrain corpus.txt --tokenizer words --config albert-huge --output none".to_owned(),
            vec!["--config", "albert-base-v2", "albert-huge"],
        ),
        (
            "pretrain corpus.txt x.tfrecord --tokenizer words --config small.json --output none"
                .to_owned(),
            vec!["both"],
        ),
    ] {
        home.refused(&arguments, 1, &words);
    }
    // Wrong flags are found before the text is read; a text that was empty may be filled, and the same command given again.
    #[cfg(target_os = "linux")]
    {
        let mut config = home.json("small.json");
        config["max_position_embeddings"] = json!(1_u64 << 34);
        home.file("huge.json", &config.to_string());
        let huge = start.replace("small.json", "huge.json");
        home.refused(
            &format!("{huge} --max-seq-length 32 --output none"),
            1,
            &["MB of memory are needed"],
        );
    }
    home.refused(
        &format!("{start} --output words --cache unread"),
        1,
        &["words", "tokenizer.json"],
    );
    assert!(!home.path("unread").exists());
    let (code, ..) = home.run(&format!(
        "{start} --held-out 0.1 --validation-file corpus.txt --output none"
    ));
    assert_eq!(code, Some(2));
    home.refused(
        "pretrain corpus.txt --tokenizer words --config small.json --max-steps 1 --batch-size 100000000000 --output none --cache unread",
        1,
        &["batch size", "16777216"],
    );
    for wrong in [
        "--parts 1073741824",
        "--max-predictions 2000000000",
        "--objective none --masked-lm-prob 0",
        "--max-seq-length 3",
        "--held-out 0.9",
        "--parts 3",
        "--ngram 0",
    ] {
        home.refused(
            &format!("{start} {wrong} --output none --cache unread"),
            1,
            &[],
        );
        assert!(!home.path("unread").exists(), "{wrong}");
    }
    home.file("empty.txt", &home.read("corpus.txt"));
    home.done(
        "pretrain empty.txt --tokenizer words --config small.json --batch-size 4 --max-steps 1 --output filled --cache empty",
    );
    for (arguments, word) in [
        (start, "--output is missing"),
        (
            "pretrain corpus.txt --config small.json --output none",
            "--tokenizer is missing",
        ),
        (
            "pretrain corpus.txt --tokenizer words --prepare-only",
            "--cache is missing",
        ),
        (
            "pretrain corpus.txt --tokenizer words --prepare-only --tfrecords 1",
            "--output is missing",
        ),
    ] {
        home.refused(arguments, 2, &[word]);
    }
    // Neither a configuration nor a model.
    let (code, ..) = home.run("pretrain corpus.txt --tokenizer words --output none");
    assert_eq!(code, Some(2));
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let home = home();
    let out = home.done(&format!(
        "{NEW} --max-seq-length 64 --max-steps 1000 --output none --dry-run"
    ));
    assert!(
        out.starts_with("16000 samples, 1000 steps of 16, micro-batches of ")
            && out.contains("MB of memory"),
        "{out}"
    );
    let out = home.done(&format!(
        "{NEW} --max-seq-length 64 --max-steps 1000 --output none --dry-run --json"
    ));
    let plan: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&plan["samples"], &plan["steps"], &plan["batch_size"]),
        (&json!(16000), &json!(1000), &json!(16)),
        "{plan}"
    );
    assert!(plan["memory_bytes"].as_u64() > Some(0), "{plan}");
    // A run that meets the same samples again and again is told so.
    for (steps, is_told) in [(20, false), (100_000, true)] {
        let (code, _, err) = home.run(&format!(
            "{NEW} --max-seq-length 64 --max-steps {steps} --output none --dry-run"
        ));
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(err.contains("learn them by heart"), is_told, "{err}");
    }
    // Text that gives no sample is refused before a run is planned.
    std::fs::write(home.path("lone.txt"), "the river\n\nthe book\n").expect("written");
    let (code, out, err) = home.run(
        "pretrain lone.txt --tokenizer words --config small.json --whole-sentences --max-seq-length 16 --max-steps 10 --held-out 0 \
         --cache lone --output none --dry-run",
    );
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("sentences that follow each other"), "{err}");
    assert!(!home.path("none").exists());
}
