//! The configuration: presets, parameter counts, both dialects, every refusal, the lint.
//!
//! Expected values were taken from transformers 5.23.0 and 4.57.6 by running them; the JSON texts
//! marked so are their output. One file, because nearly every test varies the same few valid texts by a field.

use std::collections::BTreeMap;

use albert::config::{
    Activation, AlbertConfig, ConfigDialect, ConfigError, Lint, LintKind, MAX_BLOCK_APPLICATIONS,
    MAX_CONFIG_BYTES, MAX_LABELS, MAX_PARAMETERS, ModelClass, PRESETS, PositionEmbeddingType,
    ProblemType,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use ConfigDialect::{Google, HuggingFace};

/// `AlbertConfig().to_json_string()` of transformers 5.23.0.
const V5_DEFAULT: &str = r#"{
  "attention_probs_dropout_prob": 0.0,
  "bos_token_id": 2,
  "classifier_dropout_prob": 0.1,
  "embedding_size": 128,
  "eos_token_id": 3,
  "hidden_act": "gelu_new",
  "hidden_dropout_prob": 0.0,
  "hidden_size": 4096,
  "initializer_range": 0.02,
  "inner_group_num": 1,
  "intermediate_size": 16384,
  "layer_norm_eps": 1e-12,
  "max_position_embeddings": 512,
  "model_type": "albert",
  "num_attention_heads": 64,
  "num_hidden_groups": 1,
  "num_hidden_layers": 12,
  "pad_token_id": 0,
  "tie_word_embeddings": true,
  "transformers_version": "5.23.0",
  "type_vocab_size": 2,
  "vocab_size": 30000
}
"#;

/// A classifier saved by transformers 5.23.0, with twelve classes so that the order of their
/// numbers shows.
const V5_CLASSIFIER: &str = r#"{
  "architectures": [
    "AlbertForTokenClassification"
  ],
  "attention_probs_dropout_prob": 0.0,
  "bos_token_id": 2,
  "classifier_dropout_prob": 0.1,
  "dtype": "float32",
  "embedding_size": 128,
  "eos_token_id": 3,
  "hidden_act": "gelu_new",
  "hidden_dropout_prob": 0.0,
  "hidden_size": 312,
  "id2label": {
    "0": "O",
    "1": "B-corporation",
    "2": "B-creative-work",
    "3": "B-group",
    "4": "B-location",
    "5": "B-person",
    "6": "B-product",
    "7": "I-corporation",
    "8": "I-creative-work",
    "9": "I-group",
    "10": "I-location",
    "11": "I-person"
  },
  "initializer_range": 0.02,
  "inner_group_num": 1,
  "intermediate_size": 1248,
  "label2id": {
    "B-corporation": 1,
    "B-creative-work": 2,
    "B-group": 3,
    "B-location": 4,
    "B-person": 5,
    "B-product": 6,
    "I-corporation": 7,
    "I-creative-work": 8,
    "I-group": 9,
    "I-location": 10,
    "I-person": 11,
    "O": 0
  },
  "layer_norm_eps": 1e-12,
  "max_position_embeddings": 512,
  "model_type": "albert",
  "num_attention_heads": 12,
  "num_hidden_groups": 1,
  "num_hidden_layers": 4,
  "pad_token_id": 0,
  "tie_word_embeddings": true,
  "transformers_version": "5.23.0",
  "type_vocab_size": 2,
  "vocab_size": 30000
}
"#;

/// Saved by transformers 4.57.6, with pruned heads and a key of the user's own.
const V4_PRUNED: &str = r#"{"architectures": ["AlbertForSequenceClassification"],
  "attention_probs_dropout_prob": 0, "bos_token_id": 2, "classifier_dropout_prob": 0.1,
  "custom": {"a": [1, 2.5], "b": 1}, "embedding_size": 8, "eos_token_id": 3,
  "hidden_act": "gelu_new", "hidden_dropout_prob": 0, "hidden_size": 24,
  "id2label": {"0": "a", "1": "\u00e4", "2": "\u65e5", "3": "x", "4": "y"},
  "initializer_range": 0.02, "inner_group_num": 3, "intermediate_size": 40,
  "label2id": {"a": 0, "x": 3, "y": 4, "\u00e4": 1, "\u65e5": 2},
  "layer_norm_eps": 1e-12, "max_position_embeddings": 16, "model_type": "albert",
  "num_attention_heads": 3, "num_hidden_groups": 2, "num_hidden_layers": 4,
  "output_hidden_states": true, "pad_token_id": 0, "position_embedding_type": "absolute",
  "problem_type": "multi_label_classification", "pruned_heads": {"0": [1], "3": [0, 2]},
  "transformers_version": "4.57.6", "type_vocab_size": 3, "vocab_size": 50}"#;

/// The form of the published v2 files, with their leftovers.
const PUBLISHED_V2: &str = r#"{"architectures": ["AlbertForMaskedLM"],
  "attention_probs_dropout_prob": 0, "bos_token_id": 2, "classifier_dropout_prob": 0.1,
  "down_scale_factor": 1, "embedding_size": 128, "eos_token_id": 3, "gap_size": 0,
  "hidden_act": "gelu_new", "hidden_dropout_prob": 0, "hidden_size": 768,
  "initializer_range": 0.02, "inner_group_num": 1, "intermediate_size": 3072,
  "layer_norm_eps": 1e-12, "layers_to_keep": [], "max_position_embeddings": 512,
  "model_type": "albert", "net_structure_type": 0, "num_attention_heads": 12,
  "num_hidden_groups": 1, "num_hidden_layers": 12, "num_memory_blocks": 0, "pad_token_id": 0,
  "type_vocab_size": 2, "vocab_size": 30000}"#;

/// The form of Google's `albert_config.json` (base).
const GOOGLE_BASE: &str = r#"{"attention_probs_dropout_prob": 0, "hidden_act": "gelu",
  "hidden_dropout_prob": 0, "embedding_size": 128, "hidden_size": 768,
  "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 512,
  "num_attention_heads": 12, "num_hidden_layers": 12, "num_hidden_groups": 1,
  "net_structure_type": 0, "gap_size": 0, "num_memory_blocks": 0, "inner_group_num": 1,
  "down_scale_factor": 1, "type_vocab_size": 2, "vocab_size": 30000}"#;

/// The form of albert_zh's tiny: no groups, BERT's pooler options.
const ZH_TINY: &str = r#"{"attention_probs_dropout_prob": 0.0, "directionality": "bidi",
  "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "hidden_size": 312, "embedding_size": 128,
  "initializer_range": 0.02, "intermediate_size": 1248, "max_position_embeddings": 512,
  "num_attention_heads": 12, "num_hidden_layers": 4, "pooler_fc_size": 768,
  "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3, "pooler_size_per_head": 128,
  "pooler_type": "first_token_transform", "type_vocab_size": 2, "vocab_size": 21128,
  "ln_type": "postln"}"#;

fn small() -> AlbertConfig {
    AlbertConfig {
        vocab_size: 50,
        embedding_size: 8,
        hidden_size: 24,
        num_hidden_layers: 4,
        num_attention_heads: 3,
        intermediate_size: 40,
        num_hidden_groups: 2,
        inner_group_num: 3,
        max_position_embeddings: 16,
        type_vocab_size: 3,
        id2label: ["a", "b", "c", "d", "e"].map(String::from).to_vec(),
        ..AlbertConfig::base_v2()
    }
}

/// [`V5_DEFAULT`] with one key set, or removed for `null`-less `None`.
fn with(key: &str, value: Option<Value>) -> String {
    let mut object: Value = serde_json::from_str(V5_DEFAULT).unwrap();
    let map = object.as_object_mut().unwrap();
    match value {
        Some(value) => map.insert(key.into(), value),
        None => map.remove(key),
    };
    object.to_string()
}

fn read(text: &str) -> AlbertConfig {
    AlbertConfig::from_json(text, None).unwrap().0
}

fn refusal(text: &str) -> String {
    AlbertConfig::from_json(text, None).unwrap_err().to_string()
}

#[track_caller]
fn assert_refused(key: &str, value: Value, expected: &str) {
    assert_eq!(
        refusal(&with(key, Some(value))),
        format!("configuration: {expected}")
    );
}

/// JSON equality with 0 equal to 0.0, as in Python, and floats equal to their last bits: without
/// its feature `float_roundtrip`, serde_json reads some numbers an ulp or two off.
fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-14 * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => a == b,
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

// ---------------------------------------------------------------------------------------------

#[test]
fn xxlarge_v2_is_what_transformers_calls_albert_config() {
    let config = AlbertConfig::xxlarge_v2();
    let mut from_transformers = read(V5_DEFAULT);
    assert_eq!(
        from_transformers.extra.remove("transformers_version"),
        Some(json!("5.23.0"))
    );
    assert_eq!(config, from_transformers);
    assert_eq!(config.hidden_size, 4096);
    assert_eq!(config.num_attention_heads, 64);
    assert_eq!(config.intermediate_size, 16384);
    assert_eq!(config.hidden_act, Activation::GeluNew);
    assert_eq!(config.classifier_dropout_prob, Some(0.1));
    assert_eq!(config.id2label, ["LABEL_0", "LABEL_1"]);
    assert_eq!(
        (
            config.pad_token_id,
            config.bos_token_id,
            config.eos_token_id
        ),
        (Some(0), Some(2), Some(3))
    );
}

#[test]
fn presets_have_the_published_shapes() {
    // name, V, H, L, A, D, F, activation, dropout, initializer_range
    #[rustfmt::skip]
    let rows = [
        ("albert-base-v1", 30000, 768, 12, 12, 64, 3072, "gelu", 0.1, 0.02),
        ("albert-large-v1", 30000, 1024, 24, 16, 64, 4096, "gelu", 0.1, 0.02),
        ("albert-xlarge-v1", 30000, 2048, 24, 16, 128, 8192, "gelu", 0.1, 0.02),
        ("albert-xxlarge-v1", 30000, 4096, 12, 64, 64, 16384, "gelu", 0.0, 0.02),
        ("albert-base-v2", 30000, 768, 12, 12, 64, 3072, "gelu_new", 0.0, 0.02),
        ("albert-large-v2", 30000, 1024, 24, 16, 64, 4096, "gelu_new", 0.0, 0.02),
        ("albert-xlarge-v2", 30000, 2048, 24, 16, 128, 8192, "gelu_new", 0.0, 0.02),
        ("albert-xxlarge-v2", 30000, 4096, 12, 64, 64, 16384, "gelu_new", 0.0, 0.02),
        ("albert-base-zh", 21128, 768, 12, 12, 64, 3072, "relu", 0.0, 0.02),
        ("albert-large-zh", 21128, 1024, 24, 16, 64, 4096, "relu", 0.0, 0.02),
        ("albert-xlarge-zh", 21128, 2048, 24, 16, 128, 8192, "relu", 0.0, 0.014),
        ("albert-xxlarge-zh", 21128, 4096, 12, 16, 256, 16384, "relu", 0.0, 0.01),
        ("albert-tiny-zh", 21128, 312, 4, 12, 26, 1248, "gelu_new", 0.0, 0.02),
        ("albert-small-zh", 21128, 384, 6, 12, 32, 1536, "gelu_new", 0.0, 0.02),
    ];
    assert_eq!(rows.len(), PRESETS.len());
    for ((name, v, h, l, a, d, f, act, dropout, range), preset) in rows.into_iter().zip(PRESETS) {
        assert_eq!(preset.name, name);
        let config = AlbertConfig::preset(name).unwrap();
        config.validate().unwrap();
        assert_eq!(config.vocab_size, v, "{name}");
        assert_eq!(config.hidden_size, h, "{name}");
        assert_eq!(config.num_hidden_layers, l, "{name}");
        assert_eq!(config.num_attention_heads, a, "{name}");
        assert_eq!(config.head_size(), d, "{name}");
        assert_eq!(config.intermediate_size, f, "{name}");
        assert_eq!(config.hidden_act.name(), act, "{name}");
        assert_eq!(config.hidden_dropout_prob, dropout, "{name}");
        assert_eq!(config.attention_probs_dropout_prob, dropout, "{name}");
        assert_eq!(config.initializer_range, range, "{name}");
        assert_eq!(config.family(), Some(preset.title), "{name}");
        assert_eq!(config.lint([]), [], "{name}");
    }
}

#[test]
fn presets_are_found_by_their_short_and_long_names() {
    type Preset = fn() -> AlbertConfig;
    let functions: [(&str, Preset); 8] = [
        ("base-v1", AlbertConfig::base_v1),
        ("large-v1", AlbertConfig::large_v1),
        ("xlarge-v1", AlbertConfig::xlarge_v1),
        ("xxlarge-v1", AlbertConfig::xxlarge_v1),
        ("base-v2", AlbertConfig::base_v2),
        ("large-v2", AlbertConfig::large_v2),
        ("xlarge-v2", AlbertConfig::xlarge_v2),
        ("xxlarge-v2", AlbertConfig::xxlarge_v2),
    ];
    for (name, function) in functions {
        let expected = Some(function());
        assert_eq!(AlbertConfig::preset(name), expected);
        assert_eq!(AlbertConfig::preset(&format!("albert-{name}")), expected);
        assert_eq!(
            AlbertConfig::preset(&format!("albert/albert-{name}")),
            expected
        );
    }
    assert_eq!(AlbertConfig::preset("bert-base"), None);
    assert_eq!(AlbertConfig::preset(""), None);
}

#[test]
fn parameter_counts_equal_transformers() {
    use ModelClass::*;
    #[rustfmt::skip]
    let rows = [
        (AlbertConfig::base_v2(), [11_683_584, 11_092_992, 11_221_680, 11_813_810, 11_685_122, 11_094_530]),
        (AlbertConfig::large_v2(), [17_683_968, 16_634_368, 16_795_824, 17_847_474, 17_686_018, 16_636_418]),
        (AlbertConfig::xlarge_v1(), [58_724_864, 54_528_512, 54_821_040, 59_021_490, 58_728_962, 54_532_610]),
        (AlbertConfig::xxlarge_v1(), [222_595_584, 205_814_272, 206_368_944, 223_158_450, 222_603_778, 205_822_466]),
    ];
    let classes = [
        Model,
        ModelWithoutPooler,
        MaskedLM,
        PreTraining,
        SequenceClassification,
        QuestionAnswering,
    ];
    for (config, counts) in rows {
        let name = config.family();
        assert_eq!(
            classes.map(|class| config.parameter_count(class)),
            counts,
            "{name:?}"
        );
    }
    // Every class of a small model with 2 groups of 3 blocks and 5 classes, counted by PyTorch.
    let all = |config: &AlbertConfig| {
        let classes = [
            Model,
            MaskedLM,
            PreTraining,
            SequenceClassification,
            TokenClassification,
            QuestionAnswering,
            MultipleChoice,
            ModelWithoutPooler,
        ];
        classes.map(|class| config.parameter_count(class))
    };
    let mut config = small();
    assert_eq!(
        all(&config),
        [28264, 27930, 28655, 28389, 27789, 27789, 28289, 27664]
    );
    config.tie_word_embeddings = false;
    assert_eq!(
        all(&config),
        [28264, 28380, 29105, 28389, 27789, 27789, 28289, 27664]
    );
    config.tie_word_embeddings = true;
    config.position_embedding_type = PositionEmbeddingType::RelativeKey;
    assert_eq!(
        all(&config),
        [29752, 29418, 30143, 29877, 29277, 29277, 29777, 29152]
    );
    config.position_embedding_type = PositionEmbeddingType::Absolute;
    config.pruned_heads = BTreeMap::from([(0, vec![1]), (3, vec![0, 2])]);
    assert_eq!(
        all(&config),
        [25888, 25554, 26279, 26013, 25413, 25413, 25913, 25288]
    );
}

#[test]
fn layers_map_to_groups_in_integers() {
    let groups = |layers, groups| {
        let config = AlbertConfig {
            num_hidden_layers: layers,
            num_hidden_groups: groups,
            ..AlbertConfig::base_v2()
        };
        (0..layers)
            .map(|layer| config.group_of_layer(layer))
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(12, 1), vec![0; 12]);
    assert_eq!(groups(4, 2), [0, 0, 1, 1]);
    assert_eq!(groups(5, 2), [0, 0, 0, 1, 1]);
    // Where Google's floating-point form gives 14, and transformers' other form 6.
    assert_eq!(groups(22, 22)[15], 15);
    assert_eq!(groups(18, 14)[9], 7);
}

#[test]
#[should_panic(expected = "layer 12 of a model with 12 layers")]
fn a_layer_beyond_the_last_has_no_group() {
    AlbertConfig::base_v2().group_of_layer(12);
}

#[test]
fn labels_are_counted_named_and_found() {
    let mut config = AlbertConfig::base_v2();
    assert_eq!(config.num_labels(), 2);
    config.set_labels(["neg", "pos", "neg"]);
    assert_eq!(config.num_labels(), 3);
    assert_eq!(config.label_id("neg"), Some(0));
    assert_eq!(config.label_id("other"), None);
    config.set_num_labels(3);
    assert_eq!(config.id2label, ["neg", "pos", "neg"]);
    config.set_num_labels(1);
    assert_eq!(config.id2label, ["LABEL_0"]);
}

// ---------------------------------------------------------------------------------------------

#[test]
fn files_of_transformers_5_survive_byte_for_byte() {
    for text in [V5_DEFAULT, V5_CLASSIFIER] {
        let (config, report) = AlbertConfig::from_json(text, None).unwrap();
        assert_eq!(config.to_json(HuggingFace).unwrap(), text);
        assert_eq!(report.dialect, HuggingFace);
        assert_eq!(report.dialect_reason, "it has `model_type`");
        assert!(report.unknown.is_empty() && report.legacy.is_empty());
        assert!(report.defaults.is_empty() && report.notes.is_empty());
    }
}

#[test]
fn files_of_transformers_4_gain_the_key_that_transformers_5_adds_and_lose_nothing() {
    for text in [V4_PRUNED, PUBLISHED_V2] {
        let (config, report) = AlbertConfig::from_json(text, None).unwrap();
        assert_eq!(
            report.defaults,
            [("tie_word_embeddings", String::from("true"))]
        );
        let mut expected = parse(text);
        expected["tie_word_embeddings"] = json!(true);
        // Even the spelling of 0 stays.
        assert_eq!(parse(&config.to_json(HuggingFace).unwrap()), expected);
    }
    let config = read(V4_PRUNED);
    assert_eq!(
        config.pruned_heads,
        BTreeMap::from([(0, vec![1]), (3, vec![0, 2])])
    );
    assert_eq!(
        config.problem_type,
        Some(ProblemType::MultiLabelClassification)
    );
    assert_eq!(config.id2label, ["a", "ä", "日", "x", "y"]);
    assert!(config.output_hidden_states && !config.output_attentions);
    assert_eq!(config.architectures, ["AlbertForSequenceClassification"]);
}

#[test]
fn a_complete_file_with_every_default_survives() {
    // to_json_string(use_diff=False) of transformers 4.57.6, shortened by generation options.
    let mut text = parse(V5_DEFAULT);
    let all = json!({"_name_or_path": "", "add_cross_attention": false, "architectures": null,
        "bad_words_ids": null, "chunk_size_feed_forward": 3, "cross_attention_hidden_size": null,
        "dtype": null, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "is_decoder": false,
        "is_encoder_decoder": false, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "max_length": 20, "output_attentions": false, "output_hidden_states": false,
        "position_embedding_type": "absolute", "problem_type": null, "pruned_heads": {},
        "return_dict": true, "sep_token_id": null, "tie_encoder_decoder": false, "top_p": 1.0,
        "torchscript": false, "use_bfloat16": false});
    text.as_object_mut()
        .unwrap()
        .extend(all.as_object().unwrap().clone());
    let (config, report) = AlbertConfig::from_json(&text.to_string(), None).unwrap();
    assert_eq!(report.unknown, [] as [&str; 0]);
    assert_eq!(report.legacy, [] as [&str; 0]);
    assert_eq!(parse(&config.to_json(HuggingFace).unwrap()), text);
}

#[test]
fn a_kept_spelling_yields_to_a_changed_field() {
    let mut config = read(PUBLISHED_V2);
    config.hidden_dropout_prob = 0.1;
    config.tie_word_embeddings = false;
    config.pruned_heads.insert(0, vec![1]);
    let written = parse(&config.to_json(HuggingFace).unwrap());
    assert_eq!(written["hidden_dropout_prob"], json!(0.1));
    assert_eq!(written["attention_probs_dropout_prob"], json!(0));
    assert_eq!(written["tie_word_embeddings"], json!(false));
    assert_eq!(written["pruned_heads"], json!({"0": [1]}));

    let mut config = read(&with(
        "id2label",
        Some(json!({"1": "LABEL_1", "0": "LABEL_0"})),
    ));
    assert_eq!(
        parse(&config.to_json(HuggingFace).unwrap())["id2label"],
        json!({"0": "LABEL_0", "1": "LABEL_1"})
    );
    config.set_labels(["x"]);
    let written = parse(&config.to_json(HuggingFace).unwrap());
    assert_eq!(written["id2label"], json!({"0": "x"}));
    assert_eq!(written["label2id"], json!({"x": 0}));
}

#[test]
fn leftovers_are_kept_and_reported() {
    let (config, report) = AlbertConfig::from_json(PUBLISHED_V2, None).unwrap();
    assert_eq!(
        report.legacy,
        [
            "net_structure_type",
            "gap_size",
            "num_memory_blocks",
            "down_scale_factor",
            "layers_to_keep"
        ]
    );
    assert!(report.unknown.is_empty());
    assert_eq!(config.extra["layers_to_keep"], json!([]));
    assert_eq!(config.family(), Some("ALBERT base v2"));

    let (config, report) =
        AlbertConfig::from_json(&with("hiden_size", Some(json!(768))), None).unwrap();
    assert_eq!(report.unknown, ["hiden_size"]);
    assert_eq!(config.extra["hiden_size"], json!(768));
    assert_eq!(
        parse(&config.to_json(HuggingFace).unwrap())["hiden_size"],
        json!(768)
    );
}

#[test]
fn googles_file_means_the_tanh_form() {
    let (config, report) = AlbertConfig::from_json(GOOGLE_BASE, None).unwrap();
    assert_eq!(report.dialect, Google);
    assert_eq!(
        report.dialect_reason,
        "it has no key that only transformers writes"
    );
    assert_eq!(config.hidden_act, Activation::GeluNew);
    assert_eq!(config.layer_norm_eps, 1e-12);
    assert_eq!(config.classifier_dropout_prob, Some(0.1));
    assert_eq!(
        report
            .defaults
            .iter()
            .map(|(key, value)| format!("{key} {value}"))
            .collect::<Vec<_>>(),
        [
            "layer_norm_eps 1e-12",
            "classifier_dropout_prob 0.1",
            "pad_token_id 0",
            "bos_token_id 2",
            "eos_token_id 3",
            "tie_word_embeddings true"
        ]
    );
    assert_eq!(parse(&config.to_json(Google).unwrap()), parse(GOOGLE_BASE));
    let hugging_face = parse(&config.to_json(HuggingFace).unwrap());
    assert_eq!(hugging_face["hidden_act"], json!("gelu_new"));
    assert_eq!(hugging_face["model_type"], json!("albert"));
    // The same text read as Hugging Face's means the other function.
    let (config, report) = AlbertConfig::from_json(GOOGLE_BASE, Some(HuggingFace)).unwrap();
    assert_eq!(config.hidden_act, Activation::Gelu);
    assert_eq!(report.dialect_reason, "the caller said so");
}

#[test]
fn googles_activations_survive_in_their_spelling() {
    for (spelling, expected) in [
        (json!("gelu"), Activation::GeluNew),
        (json!("GELU"), Activation::GeluNew),
        (json!("relu"), Activation::Relu),
        (json!("tanh"), Activation::Tanh),
        (json!("linear"), Activation::Linear),
        (json!(""), Activation::Linear),
        (json!(null), Activation::Linear),
    ] {
        let mut text = parse(GOOGLE_BASE);
        text["hidden_act"] = spelling;
        let config = read(&text.to_string());
        assert_eq!(config.hidden_act, expected);
        assert_eq!(parse(&config.to_json(Google).unwrap()), text);
        let again = read(&config.to_json(HuggingFace).unwrap());
        assert_eq!(again.hidden_act, expected);
    }
    let mut text = parse(GOOGLE_BASE);
    text["hidden_act"] = json!("gelu_new");
    assert_eq!(
        refusal(&text.to_string()),
        "configuration: `hidden_act` is \"gelu_new\", which is not supported: a file of Google's \
         knows linear, relu, gelu (its tanh form) and tanh; add `\"model_type\": \"albert\"` if \
         transformers wrote it"
    );
}

#[test]
fn albert_zh_files_load_with_their_leftovers() {
    let (config, report) = AlbertConfig::from_json(ZH_TINY, None).unwrap();
    assert_eq!(report.dialect, Google);
    assert_eq!((config.num_hidden_groups, config.inner_group_num), (1, 1));
    assert_eq!(report.defaults[0], ("num_hidden_groups", String::from("1")));
    assert_eq!(report.defaults[1], ("inner_group_num", String::from("1")));
    assert_eq!(
        report.legacy,
        [
            "ln_type",
            "directionality",
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type"
        ]
    );
    assert_eq!(config.family(), Some("ALBERT tiny Chinese (albert_zh)"));
    let mut expected = parse(ZH_TINY);
    expected["num_hidden_groups"] = json!(1);
    expected["inner_group_num"] = json!(1);
    assert_eq!(parse(&config.to_json(Google).unwrap()), expected);
}

#[test]
fn every_preset_survives_both_dialects() {
    for preset in PRESETS {
        let config = preset.config();
        assert_eq!(
            read(&config.to_json(HuggingFace).unwrap()),
            config,
            "{}",
            preset.name
        );
        match config.to_json(Google) {
            Ok(text) => {
                let again = read(&text);
                assert_eq!(again.hidden_act, config.hidden_act, "{}", preset.name);
                assert_eq!(again.hidden_size, config.hidden_size, "{}", preset.name);
            }
            Err(error) => assert_eq!(
                error.to_string(),
                "configuration: `hidden_act` is \"gelu\", which is not supported: Google's code \
                 has linear, relu, the tanh form of gelu and tanh; write the Hugging Face dialect \
                 instead",
                "{}",
                preset.name
            ),
        }
    }
}

#[test]
fn google_cannot_express_everything() {
    let refuse = |change: fn(&mut AlbertConfig)| {
        let mut config = AlbertConfig::base_v2();
        change(&mut config);
        config.to_json(Google).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(|config| config.layer_norm_eps = 1e-5),
        "configuration: `layer_norm_eps` is 1e-5, which is not supported: Google's code always \
         uses 1e-12; write the Hugging Face dialect instead"
    );
    assert!(
        refuse(|config| config.position_embedding_type = PositionEmbeddingType::RelativeKey)
            .contains("`position_embedding_type` is \"relative_key\"")
    );
    assert!(
        refuse(|config| drop(config.pruned_heads.insert(0, vec![1])))
            .contains("`pruned_heads` is {0: [1]}")
    );
    assert!(
        refuse(|config| config.tie_word_embeddings = false)
            .contains("`tie_word_embeddings` is false")
    );
    // Nothing of transformers' leaks into the file, or it would be read as transformers'.
    let text = read(V5_CLASSIFIER).to_json(Google).unwrap();
    let (config, report) = AlbertConfig::from_json(&text, None).unwrap();
    assert_eq!(report.dialect, Google);
    assert_eq!(config.hidden_act, Activation::GeluNew);
    assert_eq!(config.num_labels(), 2);
}

#[test]
fn an_impossible_configuration_is_not_written() {
    let config = AlbertConfig {
        layer_norm_eps: f64::NAN,
        ..AlbertConfig::base_v2()
    };
    assert_eq!(
        config.to_json(HuggingFace).unwrap_err().to_string(),
        "configuration: `layer_norm_eps` is NaN; expected a number above 0 that f32 can hold; \
         published models have 1e-12"
    );
}

#[test]
fn every_activation_keeps_its_name() {
    // sorted(ACT2FN) of transformers 5.23.0 less prelu and xielu.
    let mut names: Vec<_> = Activation::ALL.iter().map(|act| act.name()).collect();
    names.sort_unstable();
    #[rustfmt::skip]
    assert_eq!(names, [
        "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python",
        "gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear",
        "mish", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "sqrtsoftplus", "swish",
        "tanh",
    ]);
    for &act in Activation::ALL {
        assert_eq!(Activation::from_name(act.name()), Some(act));
        assert_eq!(act.canonical().canonical(), act.canonical());
        let config = read(&with("hidden_act", Some(json!(act.name()))));
        assert_eq!(config.hidden_act, act);
        assert_eq!(
            parse(&config.to_json(HuggingFace).unwrap())["hidden_act"],
            json!(act.name())
        );
    }
    assert_eq!(Activation::Swish.canonical(), Activation::Silu);
    assert_eq!(Activation::GeluPytorchTanh.canonical(), Activation::GeluNew);
    assert_eq!(Activation::GeluPython.canonical(), Activation::Gelu);
    assert_eq!(Activation::GeluFast.canonical(), Activation::GeluFast);
    assert_eq!(Activation::from_name("GELU"), None);
}

#[test]
fn label_maps_may_be_permuted_partial_or_default() {
    let read = |id2label: Value, label2id: Value| {
        let mut text = parse(V5_DEFAULT);
        text["id2label"] = id2label;
        text["label2id"] = label2id;
        let (config, report) = AlbertConfig::from_json(&text.to_string(), None).unwrap();
        let written = parse(&config.to_json(HuggingFace).unwrap());
        (config.id2label, report.notes, written)
    };
    let (labels, notes, written) = read(
        json!({"2": "c", "0": "a", "1": "b"}),
        json!({"c": "2", "a": 0, "b": 1}),
    );
    assert_eq!(labels, ["a", "b", "c"]);
    assert!(notes.is_empty());
    assert_eq!(written["label2id"], json!({"a": 0, "b": 1, "c": "2"}));

    let (labels, notes, written) = read(
        json!({"0": "a", "1": "b", "2": "c"}),
        json!({"LABEL_0": 0, "LABEL_1": 1}),
    );
    assert_eq!(labels, ["a", "b", "c"]);
    assert_eq!(
        notes,
        ["`label2id` is transformers' default and disagrees with `id2label`, which was taken"]
    );
    assert_eq!(written["label2id"], json!({"LABEL_0": 0, "LABEL_1": 1}));

    let (labels, notes, written) = read(json!(null), json!({"pos": 1, "neg": 0}));
    assert_eq!(labels, ["neg", "pos"]);
    assert_eq!(
        notes,
        ["`label2id` is there without `id2label`; the class names were taken from it"]
    );
    assert_eq!(written["id2label"], json!({"0": "neg", "1": "pos"}));

    // Two classes of one name: Python's dict keeps the last.
    let (labels, _, written) = read(json!({"0": "a", "1": "a"}), json!({"a": 1}));
    assert_eq!(labels, ["a", "a"]);
    assert_eq!(written["label2id"], json!({"a": 1}));

    let config = self::read(&with("num_labels", Some(json!(3))));
    assert_eq!(config.id2label, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    assert!(!config.extra.contains_key("num_labels"));
}

#[test]
fn label_maps_that_cannot_be_right_are_refused() {
    assert_refused(
        "id2label",
        json!({"0": "a", "2": "c"}),
        "`id2label` is a map of 2 classes with the key \"2\"; expected the keys \"0\" to \"1\", \
         each once; number the classes without gaps, in the order of the classifier's rows",
    );
    assert_refused(
        "id2label",
        json!({"0": "a", "01": "c"}),
        "`id2label` is a map of 2 classes with the key \"01\"; expected the keys \"0\" to \"1\", \
         each once; number the classes without gaps, in the order of the classifier's rows",
    );
    assert_refused(
        "id2label",
        json!({"0": 7}),
        "`id2label[\"0\"]` is 7; expected a text; put the name in quotes",
    );
    assert_refused(
        "id2label",
        json!(["a", "b"]),
        "`id2label` is a list of 2; expected an object; write {\"0\": \"…\"}",
    );
    assert_refused(
        "id2label",
        json!({}),
        "`id2label` is a map of 0 classes; expected 1 to 1048576 classes; leave it out for a model \
         without a classifier",
    );
    assert_refused(
        "label2id",
        json!({"a": 0, "b": 2}),
        "`label2id[\"b\"]` is 2; expected an index below 2, each once; number the classes without \
         gaps, or add `id2label`",
    );
    assert_refused(
        "label2id",
        json!({"a": -1}),
        "`label2id[\"a\"]` is -1; expected an index from 0; correct the file",
    );
    assert_refused(
        "num_labels",
        json!(MAX_LABELS + 1),
        "`num_labels` is 1048577; expected 1 to 1048576 classes; correct the file",
    );
    let mut text = parse(V5_DEFAULT);
    text["id2label"] = json!({"0": "neg", "1": "pos"});
    text["label2id"] = json!({"neg": 1, "pos": 0});
    assert_eq!(
        refusal(&text.to_string()),
        "configuration: `label2id[\"neg\"]` is 1; expected 0, as in `id2label`; remove `label2id` \
         if `id2label` is right (it is derived), or correct one of them"
    );
    text["label2id"] = json!({"neg": 0});
    assert_eq!(
        refusal(&text.to_string()),
        "configuration: `label2id[\"pos\"]` is absent; expected 1, as in `id2label`; remove \
         `label2id` if `id2label` is right (it is derived), or correct one of them"
    );
    text["label2id"] = json!({"neg": 0, "pos": 1});
    text["num_labels"] = json!(3);
    assert_eq!(
        refusal(&text.to_string()),
        "configuration: `num_labels` is 3; expected 2, the number of classes that the label map \
         names; remove `num_labels`, or correct `id2label`"
    );
}

// ---------------------------------------------------------------------------------------------

#[test]
fn a_missing_shape_is_never_xxlarges() {
    for (field, default) in [
        ("vocab_size", "30000"),
        ("embedding_size", "128"),
        ("hidden_size", "4096"),
        ("num_hidden_layers", "12"),
        ("num_attention_heads", "64"),
        ("intermediate_size", "16384"),
        ("max_position_embeddings", "512"),
        ("type_vocab_size", "2"),
    ] {
        let error = AlbertConfig::from_json(&with(field, None), None).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { .. }));
        assert_eq!(error.field(), Some(field));
        assert_eq!(
            error.to_string(),
            format!(
                "configuration: `{field}` is missing; add it (transformers would take {default}, \
                 which is xxlarge's)"
            )
        );
    }
    // Everything else has a default that no published model contradicts, and the report says so.
    for (field, default) in [
        ("num_hidden_groups", "1"),
        ("inner_group_num", "1"),
        ("hidden_act", "\"gelu_new\""),
        ("hidden_dropout_prob", "0.0"),
        ("initializer_range", "0.02"),
        ("layer_norm_eps", "1e-12"),
        ("classifier_dropout_prob", "0.1"),
        ("pad_token_id", "0"),
    ] {
        let (_, report) = AlbertConfig::from_json(&with(field, None), None).unwrap();
        assert_eq!(report.defaults, [(field, String::from(default))]);
    }
}

#[test]
fn wrong_types_say_what_was_found() {
    let whole = |found: &str, fix: &str| {
        format!("`hidden_size` is {found}; expected a whole number, 0 or more; {fix}")
    };
    for (value, found, fix) in [
        (json!("768"), "the text \"768\"", "remove the quotes"),
        (json!(768.0), "768.0", "write it without a decimal point"),
        (json!(7.5), "7.5", "correct the file"),
        (json!(-768), "-768", "correct the file"),
        (json!(true), "true", "correct the file"),
        (json!(null), "null", "correct the file"),
        (json!([1, 2]), "a list of 2", "correct the file"),
        (json!({"a": 1}), "an object of 1", "correct the file"),
    ] {
        assert_refused("hidden_size", value, &whole(found, fix));
    }
    // 2^70 and 2^64, which no JSON library keeps as integers.
    let huge = V5_DEFAULT.replace(
        "\"hidden_size\": 4096",
        "\"hidden_size\": 1180591620717411303424",
    );
    assert!(
        refusal(&huge).contains("`hidden_size` is 1.1805916207174113e"),
        "{}",
        refusal(&huge)
    );
    let huge = V5_DEFAULT.replace(
        "\"hidden_size\": 4096",
        "\"hidden_size\": 18446744073709551616",
    );
    assert!(refusal(&huge).contains("expected a whole number"));
    assert_refused(
        "hidden_dropout_prob",
        json!("0.1"),
        "`hidden_dropout_prob` is the text \"0.1\"; expected a number; remove the quotes",
    );
    assert_refused(
        "layer_norm_eps",
        json!(null),
        "`layer_norm_eps` is null; expected a number; correct the file",
    );
    assert_refused(
        "tie_word_embeddings",
        json!(1),
        "`tie_word_embeddings` is 1; expected true or false; correct the file",
    );
    assert_refused(
        "hidden_act",
        json!(null),
        "`hidden_act` is null; expected a text; write \"gelu_new\" for a v2 model, \"gelu\" for a \
         v1 model",
    );
    assert_refused(
        "eos_token_id",
        json!([3, 4]),
        "`eos_token_id` is a list of 2; expected one token id or null; keep the first; several \
         ids are for text generation",
    );
    assert_refused(
        "architectures",
        json!("AlbertModel"),
        "`architectures` is the text \"AlbertModel\"; expected a list of texts; correct the file",
    );
    assert_refused(
        "problem_type",
        json!(1),
        "`problem_type` is 1; expected one of regression, single_label_classification, \
         multi_label_classification; correct the file",
    );
    assert_refused(
        "pruned_heads",
        json!({"x": [1]}),
        "`pruned_heads` is an object with \"x\"; expected an object from block numbers to lists of \
         heads, as {\"0\": [1, 5]}; correct the file",
    );
    assert_refused(
        "pruned_heads",
        json!({"0": [1.5]}),
        "`pruned_heads[0]` is 1.5; expected a whole number, 0 or more; correct the file",
    );
    assert_eq!(
        refusal("[1, 2, 3]"),
        "configuration: `the file` is a list of 3; expected an object of configuration keys; give \
         the config.json or albert_config.json that belongs to the model"
    );
    assert!(AlbertConfig::from_json(&with("output_attentions", Some(json!(null))), None).is_ok());
    assert_eq!(
        read(&with("classifier_dropout_prob", Some(json!(null)))).classifier_dropout_prob,
        None
    );
    assert_eq!(
        read(&with("pad_token_id", Some(json!(null)))).pad_token_id,
        None
    );
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    let encoder = "which is not supported: ALBERT is an encoder; set it to false";
    for key in [
        "is_decoder",
        "is_encoder_decoder",
        "add_cross_attention",
        "tie_encoder_decoder",
    ] {
        assert_refused(key, json!(true), &format!("`{key}` is true, {encoder}"));
        for harmless in [json!(false), json!(null)] {
            assert!(AlbertConfig::from_json(&with(key, Some(harmless)), None).is_ok());
        }
    }
    assert_refused(
        "cross_attention_hidden_size",
        json!(8),
        "`cross_attention_hidden_size` is 8, which is not supported: ALBERT is an encoder; remove it",
    );
    assert_refused(
        "quantization_config",
        json!({"quant_method": "bitsandbytes"}),
        "`quantization_config` is an object of 1, which is not supported: its weights are packed \
         by another library; take the original checkpoint",
    );
    assert_refused(
        "position_embedding_type",
        json!("rotary"),
        "`position_embedding_type` is the text \"rotary\", which is not supported: use one of \
         absolute, relative_key, relative_key_query",
    );
    assert_refused(
        "hidden_act",
        json!("prelu"),
        "`hidden_act` is \"prelu\", which is not supported: it has weights of its own, which no \
         ALBERT checkpoint holds; use an activation without",
    );
    assert!(
        refusal(&with("hidden_act", Some(json!("swiglu")))).starts_with(
            "configuration: `hidden_act` is \"swiglu\", which is not supported: use one of gelu,"
        )
    );
    assert_refused(
        "model_type",
        json!("bert"),
        "`model_type` is the text \"bert\", which is not supported: this is a bert model, not an \
         albert; give the configuration of an ALBERT",
    );
    assert_refused(
        "model_type",
        json!(7),
        "`model_type` is 7; expected \"albert\"; give the configuration of an ALBERT",
    );
    // Before any complaint about what a BERT lacks.
    let bert = r#"{"architectures": ["BertForMaskedLM"], "hidden_size": 768}"#;
    assert_eq!(
        refusal(bert),
        "configuration: `architectures` is \"BertForMaskedLM\", which is not supported: that is \
         not an ALBERT class, and there is no `model_type`; give the configuration of an ALBERT"
    );
    for (key, value, shown) in [
        ("net_structure_type", json!(1), "1"),
        ("gap_size", json!(2), "2"),
        ("num_memory_blocks", json!(1), "1"),
        ("down_scale_factor", json!(2), "2"),
        ("layers_to_keep", json!([0, 3]), "a list of 2"),
        ("ln_type", json!("preln"), "the text \"preln\""),
    ] {
        let message = refusal(&with(key, Some(value)));
        let start = format!("configuration: `{key}` is {shown}, which is not supported: ");
        assert!(message.starts_with(&start), "{message}");
    }
    assert!(AlbertConfig::from_json(&with("gap_size", Some(json!(0.0))), None).is_ok());
}

#[test]
fn impossible_values_name_the_field_and_the_way_out() {
    type Change = fn(&mut AlbertConfig);
    let cases: &[(Change, &str)] = &[
        (
            |c| c.num_hidden_layers = 0,
            "`num_hidden_layers` is 0; expected at least 1; take the value from the checkpoint's \
             own configuration or from a preset",
        ),
        (
            |c| c.num_attention_heads = 16,
            "`num_attention_heads` is 16; expected a divisor of `hidden_size` 312; use 13, or \
             change `hidden_size`",
        ),
        (
            |c| c.num_hidden_groups = 5,
            "`num_hidden_groups` is 5; expected at most `num_hidden_layers` 4; groups beyond the \
             layers would never be used; lower it",
        ),
        (
            |c| c.num_hidden_layers = MAX_BLOCK_APPLICATIONS + 1,
            "`num_hidden_layers` is 65537; expected at most 65536 blocks in all, times \
             `inner_group_num`; lower it; published models run 12 or 24 blocks",
        ),
        (
            |c| c.inner_group_num = usize::MAX,
            "`inner_group_num` is 18446744073709551615; expected at most 65536 blocks in all, times \
             `num_hidden_layers`; lower it; published models run 12 or 24 blocks",
        ),
        (
            |c| c.vocab_size = usize::MAX,
            "`vocab_size` is 18446744073709551615; expected sizes that together need at most \
             1099511627776 parameters; their product does not fit in 64 bits; lower it (the largest \
             model has 223 million)",
        ),
        (
            |c| c.hidden_dropout_prob = 1.0,
            "`hidden_dropout_prob` is 1; expected a probability from 0 up to but not including 1; \
             use 0 for no dropout; published models have 0 or 0.1",
        ),
        (
            |c| c.attention_probs_dropout_prob = f64::NAN,
            "`attention_probs_dropout_prob` is NaN; expected a probability from 0 up to but not \
             including 1; use 0 for no dropout; published models have 0 or 0.1",
        ),
        (
            |c| c.classifier_dropout_prob = Some(-0.1),
            "`classifier_dropout_prob` is -0.1; expected a probability from 0 up to but not \
             including 1; use 0 for no dropout; published models have 0 or 0.1",
        ),
        (
            |c| c.initializer_range = f64::INFINITY,
            "`initializer_range` is inf; expected a standard deviation: finite, 0 or more; \
             published models have 0.02",
        ),
        (
            |c| c.layer_norm_eps = 0.0,
            "`layer_norm_eps` is 0.0; expected a number above 0 that f32 can hold; published \
             models have 1e-12",
        ),
        (
            |c| c.layer_norm_eps = 1e-60,
            "`layer_norm_eps` is 1e-60; expected a number above 0 that f32 can hold; published \
             models have 1e-12",
        ),
        (
            |c| c.pad_token_id = Some(30000),
            "`pad_token_id` is 30000; expected an id of the vocabulary, 0 to 29999; published \
             models have 0; use null for a model without padding",
        ),
        (
            |c| c.pad_token_id = Some(-1),
            "`pad_token_id` is -1; expected an id of the vocabulary, 0 to 29999; published models \
             have 0; use null for a model without padding",
        ),
        (
            |c| {
                c.problem_type = Some(ProblemType::SingleLabelClassification);
                c.set_num_labels(1);
            },
            "`problem_type` is \"single_label_classification\" with one class; expected two or \
             more classes; name both classes in `id2label`, or use \"regression\" for one number",
        ),
        (
            |c| drop(c.pruned_heads.insert(1, vec![0])),
            "`pruned_heads[1]` is [0]; expected block numbers 0 to 0; blocks count distinct \
             weights, group · inner_group_num + inner index, not layers",
        ),
        (
            |c| drop(c.pruned_heads.insert(0, vec![3, 12])),
            "`pruned_heads[0]` is a list with head 12; expected heads 0 to 11; remove it from the \
             list",
        ),
        (
            |c| drop(c.pruned_heads.insert(0, vec![3, 1, 3])),
            "`pruned_heads[0]` is a list with head 3 twice; expected every head once; remove one \
             of them",
        ),
        (
            |c| drop(c.pruned_heads.insert(0, (0..12).collect())),
            "`pruned_heads[0]` is a list of all 12 heads; expected at least one head left; keep a \
             head",
        ),
    ];
    for (change, expected) in cases {
        let mut config = read(V5_CLASSIFIER);
        change(&mut config);
        let error = config.validate().unwrap_err();
        assert_eq!(error.to_string(), format!("configuration: {expected}"));
        // A size that is refused can still be asked for its count: no overflow, no panic.
        config.parameter_count(ModelClass::PreTraining);
    }
    // Within 64 bits and still absurd.
    let config = AlbertConfig {
        vocab_size: 1 << 40,
        ..AlbertConfig::base_v2()
    };
    assert!(config.parameter_count(ModelClass::Model) > MAX_PARAMETERS);
    assert!(
        config
            .validate()
            .unwrap_err()
            .to_string()
            .contains("`vocab_size` is 1099511627776")
    );
    let config = AlbertConfig {
        vocab_size: usize::MAX,
        ..AlbertConfig::base_v2()
    };
    assert_eq!(config.parameter_count(ModelClass::Model), u64::MAX);
}

#[test]
fn every_size_may_be_extreme_without_a_panic() {
    for key in [
        "vocab_size",
        "embedding_size",
        "hidden_size",
        "num_hidden_layers",
        "num_hidden_groups",
        "num_attention_heads",
        "intermediate_size",
        "inner_group_num",
        "max_position_embeddings",
        "type_vocab_size",
    ] {
        for value in [0, u64::MAX, u64::MAX / 2, 1 << 45] {
            let error = AlbertConfig::from_json(&with(key, Some(json!(value))), None).unwrap_err();
            assert!(error.field().is_some(), "{key} {value}: {error}");
        }
    }
}

// ---------------------------------------------------------------------------------------------

#[test]
fn bad_json_says_where_and_what_to_do() {
    let put = |literal: &str| {
        refusal(&V5_DEFAULT.replace(
            "\"layer_norm_eps\": 1e-12",
            &format!("\"layer_norm_eps\": {literal}"),
        ))
    };
    for literal in ["NaN", "Infinity", "-Infinity"] {
        let message = put(literal);
        assert!(
            message.starts_with("configuration: line 13, column "),
            "{message}"
        );
        assert!(
            message.ends_with("; JSON has no NaN and no Infinity: write a number"),
            "{message}"
        );
    }
    assert_eq!(
        put("1e400"),
        "configuration: line 13, column 25: number out of range; write a number that a 64-bit \
         float can hold"
    );
    assert_eq!(
        refusal("{\"vocab_size\": 1,\n \"vocab_size\": 2}"),
        "configuration: line 2, column 13: key \"vocab_size\" stands twice; keep one of the two"
    );
    assert_eq!(
        refusal("{\"custom\": {\"a\": [{\"b\": 1, \"b\": 1}]}}"),
        "configuration: line 1, column 30: key \"b\" stands twice; keep one of the two"
    );
    assert_eq!(
        refusal(""),
        "configuration: line 1, column 0: EOF while parsing a value; the text was cut off: copy or \
         download the file again"
    );
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let message = refusal(&deep);
        assert!(
            message.contains("recursion limit exceeded; a configuration is not nested"),
            "{message}"
        );
    }
    assert_eq!(
        refusal("{'vocab_size': 1}"),
        "configuration: line 1, column 2: key must be a string; correct the file at this place; it \
         must be plain JSON"
    );
    assert!(refusal("{} {}").contains("trailing characters"));
    assert!(AlbertConfig::from_json(&format!("\u{feff}{V5_DEFAULT}"), None).is_ok());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for text in [V5_CLASSIFIER, V4_PRUNED, GOOGLE_BASE] {
        let whole = text.trim_end().len();
        for end in (0..whole).filter(|&end| text.is_char_boundary(end)) {
            let error = AlbertConfig::from_json(&text[..end], None).unwrap_err();
            assert!(matches!(error, ConfigError::Json { .. }), "{end}: {error}");
            assert!(error.to_string().contains("cut off"), "{end}: {error}");
        }
    }
}

#[test]
fn a_text_or_file_of_ten_megabytes_is_refused() {
    let long = format!("{{\"custom\": \"{}\"}}", "x".repeat(10 << 20));
    let expected = format!(
        "larger than {MAX_CONFIG_BYTES} bytes, where a configuration has a few thousand; give the \
         config.json or albert_config.json that belongs to the model"
    );
    assert_eq!(refusal(&long), format!("configuration: {expected}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, &long).unwrap();
    let error = AlbertConfig::from_file(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}: {expected}", path.display()));
}

#[test]
fn files_name_themselves_in_errors_and_decide_the_dialect() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let path = write("config.json", V5_CLASSIFIER.as_bytes());
    let (config, report) = AlbertConfig::from_file(&path).unwrap();
    assert_eq!(config, read(V5_CLASSIFIER));
    assert_eq!(report.dialect, HuggingFace);

    let shown = path.display().to_string();
    let failure = |bytes: &[u8]| {
        write("config.json", bytes);
        AlbertConfig::from_file(&path).unwrap_err().to_string()
    };
    let message = failure(b"{\n\"vocab_size\" 1}");
    assert!(
        message.starts_with(&format!("{shown}: line 2, column 14: expected `:`")),
        "{message}"
    );
    let message = failure(with("hidden_size", None).as_bytes());
    assert!(
        message.starts_with(&format!("{shown}: `hidden_size` is missing")),
        "{message}"
    );
    let message = failure(with("model_type", Some(json!("roberta"))).as_bytes());
    assert!(
        message.starts_with(&format!("{shown}: `model_type` is")),
        "{message}"
    );
    let message = failure(with("hidden_size", Some(json!(0))).as_bytes());
    assert!(
        message.starts_with(&format!("{shown}: `hidden_size` is 0")),
        "{message}"
    );
    let message = failure(b"\xff\xfe{");
    assert!(message.starts_with(&format!(
        "{shown}: cannot read the configuration: invalid utf-8"
    )));
    assert!(
        message.ends_with("save it as UTF-8; is it a configuration at all?"),
        "{message}"
    );

    let message = AlbertConfig::from_file(folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("is a directory; name the config.json in it"),
        "{message}"
    );
    let absent = folder.path().join("absent.json");
    let message = AlbertConfig::from_file(&absent).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{}: cannot read", absent.display())),
        "{message}"
    );
    assert!(message.ends_with("check the path"), "{message}");

    // Someone added ε to Google's file: its name still tells. Under another name it does not.
    let mut google = parse(GOOGLE_BASE);
    google["layer_norm_eps"] = json!(1e-12);
    let path = write("albert_config.json", google.to_string().as_bytes());
    let (config, report) = AlbertConfig::from_file(&path).unwrap();
    assert_eq!(
        (report.dialect, config.hidden_act),
        (Google, Activation::GeluNew)
    );
    assert_eq!(report.dialect_reason, "it is called albert_config.json");
    let (config, report) = AlbertConfig::from_json(&google.to_string(), None).unwrap();
    assert_eq!(
        (report.dialect, config.hidden_act),
        (HuggingFace, Activation::Gelu)
    );
    assert_eq!(report.dialect_reason, "it has `layer_norm_eps`");
    // What transformers wrote stays transformers', whatever it is called.
    let path = write("albert_config_base.json", V5_DEFAULT.as_bytes());
    assert_eq!(
        AlbertConfig::from_file(&path).unwrap().1.dialect,
        HuggingFace
    );
}

// ---------------------------------------------------------------------------------------------

/// The tensors of a token classifier with this shape.
fn tensors(config: &AlbertConfig) -> Vec<(String, Vec<usize>)> {
    let (v, e, h, f) = (
        config.vocab_size,
        config.embedding_size,
        config.hidden_size,
        config.intermediate_size,
    );
    let (p, u, c) = (
        config.max_position_embeddings,
        config.type_vocab_size,
        config.num_labels(),
    );
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_string(), vec![v, e]),
        ("embeddings.position_embeddings.weight".into(), vec![p, e]),
        ("embeddings.position_ids".into(), vec![1, p]),
        ("embeddings.token_type_embeddings.weight".into(), vec![u, e]),
        ("embeddings.LayerNorm.weight".into(), vec![e]),
        (
            "encoder.embedding_hidden_mapping_in.weight".into(),
            vec![h, e],
        ),
        ("pooler.weight".into(), vec![h, h]),
        ("classifier.weight".into(), vec![c, h]),
        ("classifier.bias".into(), vec![c]),
    ];
    for g in 0..config.num_hidden_groups {
        for n in 0..config.inner_group_num {
            let block = format!("encoder.albert_layer_groups.{g}.albert_layers.{n}.");
            let pruned = config.pruned_heads.get(&(g * config.inner_group_num + n));
            let rows = h - pruned.map_or(0, Vec::len) * config.head_size();
            for (local, shape) in [
                ("attention.query.weight", vec![rows, h]),
                ("attention.query.bias", vec![rows]),
                ("attention.dense.weight", vec![h, rows]),
                ("ffn.weight", vec![f, h]),
                ("ffn_output.weight", vec![h, f]),
                ("full_layer_layer_norm.weight", vec![h]),
            ] {
                all.push((format!("{block}{local}"), shape));
            }
            if config.position_embedding_type != PositionEmbeddingType::Absolute {
                let shape = vec![2 * p - 1, config.head_size()];
                all.push((format!("{block}attention.distance_embedding.weight"), shape));
            }
        }
    }
    all
}

fn lint(config: &AlbertConfig, tensors: &[(String, Vec<usize>)]) -> Vec<Lint> {
    config.lint(
        tensors
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice())),
    )
}

fn lines(lints: &[Lint]) -> Vec<String> {
    lints.iter().map(Lint::to_string).collect()
}

#[test]
fn a_right_configuration_has_no_lint() {
    let pruned = BTreeMap::from([(1, vec![2])]);
    for config in [
        small(),
        AlbertConfig {
            pruned_heads: pruned,
            ..small()
        },
        AlbertConfig {
            position_embedding_type: PositionEmbeddingType::RelativeKey,
            ..small()
        },
        AlbertConfig::base_v2(),
    ] {
        let mut tensors = tensors(&config);
        assert_eq!(lint(&config, &tensors), []);
        for (name, _) in &mut tensors {
            *name = format!("albert.{name}");
        }
        assert_eq!(lint(&config, &tensors), []);
    }
}

#[test]
fn each_field_that_disagrees_is_named_once_with_what_the_tensors_say() {
    type Change = fn(&mut AlbertConfig);
    let cases: &[(Change, &str)] = &[
        (
            |c| c.vocab_size = 60,
            "`vocab_size` is 50, but embeddings.word_embeddings.weight [60, 8] says 60",
        ),
        (
            |c| c.embedding_size = 4,
            "`embedding_size` is 8, but embeddings.word_embeddings.weight [50, 4] says 4",
        ),
        (
            |c| c.hidden_size = 48,
            "`hidden_size` is 24, but encoder.embedding_hidden_mapping_in.weight [48, 8] says 48",
        ),
        (
            |c| c.intermediate_size = 41,
            "`intermediate_size` is 40, but encoder.albert_layer_groups.0.albert_layers.0.ffn.weight \
             [41, 24] says 41",
        ),
        (
            |c| c.max_position_embeddings = 32,
            "`max_position_embeddings` is 16, but embeddings.position_embeddings.weight [32, 8] says 32",
        ),
        (
            |c| c.type_vocab_size = 1,
            "`type_vocab_size` is 3, but embeddings.token_type_embeddings.weight [1, 8] says 1",
        ),
        (
            |c| c.num_hidden_groups = 4,
            "`num_hidden_groups` is 2, but the highest albert_layer_groups index 3 says 4",
        ),
        (
            |c| c.inner_group_num = 1,
            "`inner_group_num` is 3, but the highest albert_layers index 0 says 1",
        ),
        (
            |c| c.set_num_labels(1),
            "`id2label` is 5 classes, but classifier.weight [1, 24] says 1 class",
        ),
        (
            |c| drop(c.pruned_heads.insert(4, vec![0, 2])),
            "`pruned_heads` is 0 heads in block 4, but \
             encoder.albert_layer_groups.1.albert_layers.1.attention.query.weight [8, 24] says 2 \
             heads in block 4",
        ),
    ];
    for (change, expected) in cases {
        let mut true_config = small();
        change(&mut true_config);
        let lints = lint(&small(), &tensors(&true_config));
        assert_eq!(lines(&lints), [*expected]);
        assert_eq!(lints[0].kind, LintKind::Contradiction);
    }
}

#[test]
fn distances_show_the_heads() {
    let relative = AlbertConfig {
        position_embedding_type: PositionEmbeddingType::RelativeKey,
        ..small()
    };
    let wrong = AlbertConfig {
        num_attention_heads: 6,
        max_position_embeddings: 20,
        ..small()
    };
    assert_eq!(
        lines(&lint(&wrong, &tensors(&relative))),
        [
            "`max_position_embeddings` is 20, but embeddings.position_embeddings.weight [16, 8] says 16",
            "`position_embedding_type` is \"absolute\", but \
             encoder.albert_layer_groups.0.albert_layers.0.attention.distance_embedding.weight \
             [31, 8] says a relative type",
            "`num_attention_heads` is 6, but \
             encoder.albert_layer_groups.0.albert_layers.0.attention.distance_embedding.weight \
             [31, 8] says 3",
        ]
    );
}

#[test]
fn a_choice_has_one_score_whatever_the_classes() {
    let shapes = [("classifier.weight".to_string(), vec![1, 24])];
    assert_eq!(lint(&small(), &shapes).len(), 1);
    let architectures = vec![String::from("AlbertForMultipleChoice")];
    assert_eq!(
        lint(
            &AlbertConfig {
                architectures,
                ..small()
            },
            &shapes
        ),
        []
    );
}

#[test]
fn hostile_names_and_shapes_do_no_harm() {
    let block = "encoder.albert_layer_groups.";
    let shapes: Vec<(String, Vec<usize>)> = [
        (
            format!("{block}18446744073709551615.albert_layers.18446744073709551615.ffn.weight"),
            vec![0, usize::MAX],
        ),
        (
            format!("{block}99999999999999999999.albert_layers.0.ffn.weight"),
            vec![1, 2],
        ),
        (format!("{block}0"), vec![]),
        (
            format!("{block}0.albert_layers.0.attention.query.weight"),
            vec![usize::MAX, 24],
        ),
        (
            format!("{block}0.albert_layers.0.attention.key.weight"),
            vec![0, 24],
        ),
        (
            format!("{block}0.albert_layers.0.attention.value.weight"),
            vec![24],
        ),
        (
            format!("{block}0.albert_layers.0.attention.distance_embedding.weight"),
            vec![usize::MAX, 0],
        ),
        (
            "embeddings.word_embeddings.weight".into(),
            vec![usize::MAX, 0],
        ),
        (
            "albert.albert.embeddings.word_embeddings.weight".into(),
            vec![1, 1],
        ),
        (String::new(), vec![]),
    ]
    .into();
    assert!(!lint(&small(), &shapes).is_empty());
    let zero = AlbertConfig {
        hidden_size: 0,
        num_attention_heads: 0,
        inner_group_num: 0,
        ..small()
    };
    lint(&zero, &shapes);
    let many: Vec<_> = (0..10_000)
        .map(|v| ("predictions.bias".to_string(), vec![v + 1000]))
        .collect();
    assert_eq!(lint(&small(), &many).len(), 100);
}

#[test]
fn doubtful_combinations_are_named() {
    let config = AlbertConfig {
        num_attention_heads: 32,
        ..AlbertConfig::xlarge_v2()
    };
    let lints = config.lint([]);
    assert_eq!(
        lines(&lints),
        [
            "`num_attention_heads` is 32, not 16: every tensor has the shape of ALBERT xlarge, and no \
          tensor shows the number of heads; a wrong one gives wrong numbers without an error"
        ]
    );
    assert_eq!(lints[0].kind, LintKind::Doubt);
    assert_eq!(config.family(), None);
    let config = AlbertConfig {
        num_attention_heads: 16,
        ..AlbertConfig::xxlarge_v1()
    };
    assert_eq!(config.lint([])[0].implied, "64");
    // albert_zh's own xlarge.
    let zh = AlbertConfig::preset("xlarge-zh").unwrap();
    assert_eq!(
        AlbertConfig {
            num_attention_heads: 32,
            ..zh
        }
        .lint([]),
        []
    );

    let config = AlbertConfig {
        hidden_act: Activation::Gelu,
        ..AlbertConfig::base_v2()
    };
    assert_eq!(
        lines(&config.lint([])),
        [
            "`hidden_act` is \"gelu\", not \"gelu_new\": shape and dropout are a v2 model's, which was \
          trained with the tanh form (its first files on the hub said gelu by mistake)"
        ]
    );
    assert_eq!(config.family(), Some("ALBERT base"));
    let config = AlbertConfig {
        eos_token_id: Some(50),
        ..small()
    };
    assert_eq!(
        lines(&config.lint([])),
        [
            "`eos_token_id` is 50, not an id below 50: it is outside the vocabulary; the model itself \
          never reads it"
        ]
    );
}

#[test]
fn families_are_recognised_across_dialects() {
    // Google's v1 file: dropout 0.1 and, read by its own rules, the tanh form.
    let google_v1 = AlbertConfig {
        hidden_act: Activation::GeluNew,
        ..AlbertConfig::large_v1()
    };
    assert_eq!(google_v1.family(), Some("ALBERT large v1"));
    let same_maths = AlbertConfig {
        hidden_act: Activation::GeluPytorchTanh,
        ..AlbertConfig::base_v2()
    };
    assert_eq!(same_maths.family(), Some("ALBERT base v2"));
    let tuned = AlbertConfig {
        hidden_dropout_prob: 0.2,
        ..AlbertConfig::base_v2()
    };
    assert_eq!(tuned.family(), Some("ALBERT base"));
    assert_eq!(small().family(), None);
}

// ---------------------------------------------------------------------------------------------

/// Any JSON value a file might hold, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9_]{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "gelu",
            "relu",
            "absolute",
            "albert",
            "regression",
            "0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z0-9]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A key that means something, in a text that is otherwise whole.
fn any_key() -> impl Strategy<Value = String> {
    let mut keys: Vec<String> = Vec::new();
    for text in [V4_PRUNED, PUBLISHED_V2, ZH_TINY, V5_CLASSIFIER] {
        keys.extend(parse(text).as_object().unwrap().keys().cloned());
    }
    keys.extend(["num_labels", "is_decoder", "quantization_config"].map(String::from));
    prop::sample::select(keys)
}

/// Reading never panics; what is read can be written and read again as the same configuration.
fn check_any_text(text: &str) -> Result<(), TestCaseError> {
    for dialect in [None, Some(HuggingFace), Some(Google)] {
        let Ok((config, report)) = AlbertConfig::from_json(text, dialect) else {
            continue;
        };
        config.validate().unwrap();
        config.lint([]);
        config.family();
        for class in ModelClass::ALL {
            prop_assert!(config.parameter_count(*class) < 2 * MAX_PARAMETERS);
        }
        // The target may be unable to say it, but what it says must be the same.
        if let Ok(written) = config.to_json(report.dialect) {
            let (again, _) = AlbertConfig::from_json(&written, Some(report.dialect)).unwrap();
            let twice = again.to_json(report.dialect).unwrap();
            prop_assert!(
                same_json(&parse(&twice), &parse(&written)),
                "{written}{twice}"
            );
            let fields = |config: &AlbertConfig| {
                let bare = AlbertConfig {
                    extra: Default::default(),
                    ..config.clone()
                };
                parse(&bare.to_json(report.dialect).unwrap())
            };
            prop_assert!(same_json(&fields(&again), &fields(&config)), "{written}");
        } else {
            prop_assert_eq!(report.dialect, Google);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_under_any_key_is_read_or_refused(
        base in prop::sample::select(vec![V5_CLASSIFIER, V4_PRUNED, PUBLISHED_V2, GOOGLE_BASE, ZH_TINY]),
        changes in prop::collection::vec((any_key(), prop::option::of(any_json())), 1..4),
    ) {
        let mut text = parse(base);
        let map = text.as_object_mut().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        check_any_text(&text.to_string())?;
    }

    #[test]
    fn any_bytes_changed_anywhere_are_read_or_refused(
        base in prop::sample::select(vec![V5_CLASSIFIER, V4_PRUNED, GOOGLE_BASE]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, ".{0,4}"), 1..5),
    ) {
        let mut text: Vec<char> = base.chars().collect();
        for (at, removed, put) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, put.chars());
        }
        check_any_text(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC{0,60}") {
        check_any_text(&text)?;
    }

    #[test]
    fn written_json_is_the_read_json(
        drop in prop::sample::select(vec!["hidden_act", "layer_norm_eps", "pad_token_id", "dtype"]),
        key in "[a-z]{3,9}_x",
        value in any_json(),
    ) {
        let mut text = parse(V5_CLASSIFIER);
        text.as_object_mut().unwrap().remove(drop);
        text[key] = value;
        let config = read(&text.to_string());
        let written = parse(&config.to_json(HuggingFace).unwrap());
        for (key, value) in text.as_object().unwrap() {
            prop_assert!(same_json(&written[key], value), "{}: {} {}", key, written[key], value);
        }
    }
}
