//! The pipelines answer as those of transformers: same labels, tokens and places, scores within 1e-5.
//!
//! `fixtures/pipelines/TASK/` holds for each set of parameters NAME the inputs (`NAME.input.jsonl`), the arguments of
//! the program (`NAME.args.json`), the model's folder (`NAME.model.txt`) and what transformers answered
//! (`NAME.expected.jsonl`). `tools/make_pipeline_fixtures.py` made them. One file, because all tasks share how these are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert::pipeline::{
    Aggregation, Answer, AnswerOptions, Apply, Choose, ChooseOptions, Classify, ClassifyOptions,
    Embed, EmbedOptions, Features, FeaturesOptions, FillMask, FillMaskOptions, Limits, Long,
    PoolingMode, QuestionAnswering, SentenceOrder, SentenceOrderOptions, Tag, TagInput, TagOptions,
    ZeroShot, ZeroShotOptions,
};
use albert::{Cpu, CpuOptions, Error};
use serde_json::{Value, json};

/// Largest deviation of a score.
const TOLERANCE: f64 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pipelines")
}

/// One set of parameters.
struct Case {
    name: String,
    model: PathBuf,
    /// Flags with their values; a switch has the value "".
    flags: BTreeMap<String, String>,
    inputs: Vec<Value>,
    expected: Vec<Value>,
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

const SWITCHES: [&str; 5] = [
    "--no-answer",
    "--no-align",
    "--multi-label",
    "--normalize",
    "--no-normalize",
];

/// All cases of a task.
fn cases(task: &str) -> Vec<Case> {
    let folder = fixtures().join(task);
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".args.json"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no cases in {}", folder.display());
    let case = |args: PathBuf| {
        let stem = args.to_string_lossy().replace(".args.json", "");
        let words = lines(&args).remove(0);
        let mut words = words
            .as_array()
            .expect("a list")
            .iter()
            .map(|word| word.as_str().expect("a word").to_owned());
        let verb = if task == "zero-shot" {
            "classify"
        } else {
            task
        };
        assert_eq!(words.next().as_deref(), Some(verb));
        let mut flags = BTreeMap::new();
        while let Some(flag) = words.next() {
            let value = if SWITCHES.contains(&flag.as_str()) {
                String::new()
            } else {
                words.next().expect("a value")
            };
            flags.insert(flag, value);
        }
        let model = std::fs::read_to_string(format!("{stem}.model.txt")).expect("a model");
        Case {
            name: Path::new(&stem)
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            model: fixtures().join(model.trim()),
            flags,
            inputs: lines(Path::new(&format!("{stem}.input.jsonl"))),
            expected: lines(Path::new(&format!("{stem}.expected.jsonl")))
                .into_iter()
                .map(|mut line| line["output"].take())
                .collect(),
        }
    };
    names.into_iter().map(case).collect()
}

impl Case {
    fn take(&mut self, flag: &str) -> Option<String> {
        self.flags.remove(flag)
    }

    fn number(&mut self, flag: &str) -> Option<usize> {
        self.take(flag)
            .map(|value| value.parse().expect("a number"))
    }

    fn limits(&mut self, long: Long) -> Limits {
        let stride = self.number("--stride");
        Limits {
            // transformers cuts long inputs unasked, but for question answering and where a stride is given.
            long: stride.map_or(long, |_| Long::Slide),
            max_tokens: self.number("--max-tokens"),
            stride,
            ..Limits::default()
        }
    }

    fn texts(&self, column: &str) -> Vec<&str> {
        self.inputs
            .iter()
            .map(|input| input[column].as_str().expect("a text"))
            .collect()
    }

    fn pairs(&self) -> Vec<(&str, Option<&str>)> {
        self.inputs
            .iter()
            .map(|input| {
                (
                    input["text"].as_str().expect("a text"),
                    input.get("pair").and_then(Value::as_str),
                )
            })
            .collect()
    }

    /// Compares the answers, and that every flag was understood.
    fn check<T>(&self, answers: Vec<Result<Answer<T>, Error>>, value: impl Fn(T) -> Value) {
        assert!(self.flags.is_empty(), "{}: {:?}", self.name, self.flags);
        assert_eq!(answers.len(), self.expected.len(), "{}", self.name);
        let mut worst = 0.0f64;
        let mut wrong = Vec::new();
        for (i, (answer, expected)) in answers.into_iter().zip(&self.expected).enumerate() {
            let answer = answer.unwrap_or_else(|e| panic!("{} {i}: {e}", self.name));
            // transformers' pipelines do not agree on whether a single answer is a list of one.
            let found = unwrapped(value(answer.output));
            let expected = &unwrapped(expected.clone());
            match deviation(&found, expected) {
                Ok(deviation) => worst = worst.max(deviation),
                Err(problem) => wrong.push(format!(
                    "{} {i}: {problem}\n  input    {}\n  found    {found}\n  expected {expected}",
                    self.name, self.inputs[i]
                )),
            }
        }
        println!(
            "{}: {} answers, {} wrong, deviation {worst:.1e}",
            self.name,
            self.expected.len(),
            wrong.len()
        );
        let shown: Vec<String> = wrong.iter().take(3).cloned().collect();
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            shown.join("\n")
        );
    }
}

/// The largest deviation of a number, or what differs.
fn deviation(found: &Value, expected: &Value) -> Result<f64, String> {
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut parts = a.iter().zip(b).map(|(a, b)| deviation(a, b));
            parts.try_fold(0.0, |worst, part| Ok(part?.max(worst)))
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            b.iter().try_fold(0.0, |worst, (key, b)| {
                let a = a.get(key).ok_or_else(|| format!("no {key:?}"))?;
                let part = deviation(a, b).map_err(|problem| format!("{key}: {problem}"))?;
                Ok(part.max(worst))
            })
        }
        (Value::Number(a), Value::Number(b)) if b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(0.0));
            // Not `>`, which NaN would pass.
            if (a - b).abs() <= TOLERANCE {
                Ok((a - b).abs())
            } else {
                Err(format!("{a} instead of {b}"))
            }
        }
        (a, b) if a == b => Ok(0.0),
        (a, b) => Err(format!("{a} instead of {b}")),
    }
}

#[test]
fn the_comparison_can_fail() {
    let expected = json!({"score": 0.5, "token": 3, "list": ["a"]});
    let with = |key: &str, value: Value| {
        let mut found = expected.clone();
        found[key] = value;
        deviation(&found, &expected)
    };
    assert_eq!(with("score", json!(0.5)), Ok(0.0));
    assert!(with("score", json!(0.500_009)).is_ok());
    assert!(with("score", json!(0.500_02)).is_err());
    assert!(with("score", json!(null)).is_err());
    assert!(with("token", json!(4)).is_err());
    assert!(with("list", json!(["b"])).is_err());
    assert!(with("list", json!(["a", "a"])).is_err());
    assert!(with("more", json!(1)).is_err());
}

fn device() -> Cpu {
    Cpu::new(CpuOptions::default()).expect("threads")
}

fn value<T: serde::Serialize>(output: T) -> Value {
    serde_json::to_value(output).expect("JSON")
}

/// A list of one as its element, as transformers does.
fn unwrapped(value: Value) -> Value {
    match value {
        Value::Array(mut list) if list.len() == 1 => list.remove(0),
        value => value,
    }
}

#[test]
fn masks_are_filled() {
    for mut case in cases("fill-mask") {
        let (fill, _) = FillMask::from_pretrained(&case.model, device()).expect("a model");
        let targets = case.take("--targets").map(|words| {
            let words: Vec<&str> = words.split(',').collect();
            fill.targets(&words).expect("targets")
        });
        let options = FillMaskOptions {
            top_k: case.number("--top-k").unwrap_or(5),
            targets,
            limits: case.limits(Long::Truncate),
        };
        let answers = fill
            .run_batch(&case.texts("text"), &options)
            .expect("options");
        case.check(answers, value);
    }
}

#[test]
fn texts_and_pairs_are_classified() {
    for mut case in cases("classify").into_iter().chain(cases("zero-shot")) {
        if let Some(labels) = case.take("--labels") {
            let (model, _) = ZeroShot::from_pretrained(&case.model, device()).expect("a model");
            let defaults = ZeroShotOptions::new(labels.split(','));
            let options = ZeroShotOptions {
                template: case.take("--template").unwrap_or(defaults.template.clone()),
                multi_label: case.take("--multi-label").is_some(),
                limits: case.limits(Long::Truncate),
                ..defaults
            };
            let answers = model
                .run_batch(&case.texts("text"), &options)
                .expect("options");
            case.check(answers, value);
            continue;
        }
        let (classify, _) = Classify::from_pretrained(&case.model, device()).expect("a model");
        let top_k = case.take("--top-k");
        let options = ClassifyOptions {
            apply: case.take("--apply").map(|apply| match apply.as_str() {
                "softmax" => Apply::Softmax,
                "sigmoid" => Apply::Sigmoid,
                "none" => Apply::None,
                other => panic!("--apply {other}"),
            }),
            top_k: match top_k.as_deref() {
                None => Some(1),
                Some("all") => None,
                Some(k) => Some(k.parse().expect("a number")),
            },
            limits: case.limits(Long::Truncate),
        };
        let answers = classify
            .run_batch(&case.pairs(), &options)
            .expect("options");
        case.check(answers, value);
    }
}

#[test]
fn entities_are_found() {
    for mut case in cases("tag") {
        let (tag, _) = Tag::from_pretrained(&case.model, device()).expect("a model");
        let defaults = TagOptions::default();
        let options = TagOptions {
            aggregation: match case.take("--aggregation").as_deref() {
                Some("none") => Aggregation::None,
                Some("first") => Aggregation::First,
                Some("average") => Aggregation::Average,
                Some("max") => Aggregation::Max,
                _ => Aggregation::Simple,
            },
            ignore_labels: match case.take("--ignore-labels") {
                None => defaults.ignore_labels,
                Some(labels) => labels.split(',').map(str::to_owned).collect(),
            },
            limits: case.limits(Long::Truncate),
        };
        let words: Vec<Option<Vec<&str>>> = case
            .inputs
            .iter()
            .map(|input| {
                let words = input.get("words")?.as_array()?.iter();
                Some(words.map(|w| w.as_str().expect("a word")).collect())
            })
            .collect();
        let inputs: Vec<TagInput<'_>> = case
            .inputs
            .iter()
            .zip(&words)
            .map(|(input, words)| match words {
                Some(words) => TagInput::Words(words),
                None => TagInput::Text(input["text"].as_str().expect("a text")),
            })
            .collect();
        let answers = tag.run_batch(&inputs, &options).expect("options");
        case.check(answers, value);
    }
}

#[test]
fn questions_are_answered() {
    for mut case in cases("answer") {
        let (model, _) =
            QuestionAnswering::from_pretrained(&case.model, device()).expect("a model");
        let defaults = AnswerOptions::default();
        let options = AnswerOptions {
            top_k: case.number("--top-k").unwrap_or(defaults.top_k),
            max_answer_tokens: case
                .number("--max-answer-tokens")
                .unwrap_or(defaults.max_answer_tokens),
            no_answer: case.take("--no-answer").is_some(),
            max_question_tokens: case.number("--max-question-tokens"),
            align_to_words: case.take("--no-align").is_none(),
            limits: case.limits(Long::Slide),
        };
        let (questions, contexts) = (case.texts("question"), case.texts("context"));
        let inputs: Vec<_> = questions.into_iter().zip(contexts).collect();
        let answers = model.run_batch(&inputs, &options).expect("options");
        case.check(answers, value);
    }
}

#[test]
fn choices_are_made() {
    for mut case in cases("choose") {
        let (choose, _) = Choose::from_pretrained(&case.model, device()).expect("a model");
        let options = ChooseOptions {
            limits: case.limits(Long::Truncate),
        };
        // The question stands before each choice.
        let seconds = |input: &Value| -> Vec<String> {
            let choices = input["choices"].as_array().expect("choices").iter();
            let choices = choices.map(|c| c.as_str().expect("a choice").to_owned());
            match input["question"].as_str() {
                Some(question) => choices.map(|c| format!("{question} {c}")).collect(),
                None => choices.collect(),
            }
        };
        let seconds: Vec<Vec<String>> = case.inputs.iter().map(seconds).collect();
        let inputs: Vec<(&str, Vec<&str>)> = case
            .inputs
            .iter()
            .zip(&seconds)
            .map(|(input, seconds)| {
                (
                    input["text"].as_str().expect("a text"),
                    seconds.iter().map(String::as_str).collect(),
                )
            })
            .collect();
        let answers = choose.run_batch(&inputs, &options).expect("options");
        case.check(answers, value);
    }
}

#[test]
fn sentence_order_is_judged() {
    for mut case in cases("sentence-order") {
        let (order, _) = SentenceOrder::from_pretrained(&case.model, device()).expect("a model");
        let options = SentenceOrderOptions {
            limits: case.limits(Long::Truncate),
        };
        let inputs: Vec<_> = case
            .pairs()
            .into_iter()
            .map(|(first, second)| (first, second.expect("a pair")))
            .collect();
        let answers = order.run_batch(&inputs, &options).expect("options");
        // transformers has no pipeline for it: probabilities in the order of the logits.
        case.check(answers, |labels| {
            let of = |name: &str| labels.iter().find(|l| l.label == name).map(|l| l.score);
            json!([of("in order"), of("swapped")])
        });
    }
}

#[test]
fn features_are_hidden_states() {
    for mut case in cases("features") {
        let (features, _) = Features::from_pretrained(&case.model, device()).expect("a model");
        let all = case.take("--layers").is_some_and(|layers| layers == "all");
        let options = FeaturesOptions {
            layers: if all {
                (0..features.layers()).collect()
            } else {
                Vec::new()
            },
            limits: case.limits(Long::Truncate),
        };
        let answers = features
            .run_batch(&case.pairs(), &options)
            .expect("options");
        // transformers' feature-extraction has a batch of one around it.
        case.check(answers, |output| {
            let layers: Vec<Value> = output
                .layers
                .into_iter()
                .map(|layer| {
                    let rows = layer.data.chunks_exact(layer.shape[1]);
                    rows.map(value).collect()
                })
                .collect();
            value(layers)
        });
    }
}

#[test]
fn texts_are_embedded() {
    for mut case in cases("embed") {
        let (embed, _) = Embed::from_pretrained(&case.model, device()).expect("a model");
        let options = EmbedOptions {
            pooling: case.take("--pooling").map(|mode| match mode.as_str() {
                "mean" => PoolingMode::Mean,
                "cls" => PoolingMode::Cls,
                "max" => PoolingMode::Max,
                "pooler" => PoolingMode::Pooler,
                other => panic!("--pooling {other}"),
            }),
            normalize: match (case.take("--normalize"), case.take("--no-normalize")) {
                (Some(_), _) => Some(true),
                (_, Some(_)) => Some(false),
                _ => None,
            },
            prompt: case.take("--prompt"),
            dimensions: case.number("--dimensions"),
            limits: case.limits(Long::Truncate),
        };
        let answers = embed.run_batch(&case.pairs(), &options).expect("options");
        case.check(answers, value);
    }
}

fn length(vector: &[f32]) -> f64 {
    let squares = vector.iter().map(|&x| f64::from(x) * f64::from(x));
    squares.sum::<f64>().sqrt()
}

/// A folder that ends with Normalize: its vectors have length 1 unless they are asked for as they are.
#[test]
fn normalisation_is_the_callers() {
    let folder = fixtures().join("models/st5-short");
    let (embed, _) = Embed::from_pretrained(&folder, device()).expect("a model");
    let of = |normalize, pooling| {
        let options = EmbedOptions {
            normalize,
            pooling,
            ..EmbedOptions::default()
        };
        let answer = embed.run("She was at the river.", None, &options);
        answer.expect("a vector").output
    };
    for pooling in [None, Some(PoolingMode::Max)] {
        let normalized = of(None, pooling);
        assert!((length(&normalized) - 1.0).abs() < 1e-6);
        assert_eq!(of(Some(true), pooling), normalized);
        let vector = of(Some(false), pooling);
        let long = length(&vector);
        assert!(long > 1.1, "{long}");
        for (x, y) in vector.iter().zip(&normalized) {
            assert!((f64::from(*x) / long - f64::from(*y)).abs() < 1e-6);
        }
    }
}

#[test]
fn a_template_has_one_place_for_the_label() {
    let folder = fixtures().join("models/three");
    let (model, _) = ZeroShot::from_pretrained(&folder, device()).expect("a model");
    let of = |template: &str| {
        let options = ZeroShotOptions {
            template: template.to_owned(),
            ..ZeroShotOptions::new(["city", "book"])
        };
        model.run("She was at the river.", &options)
    };
    of("It is a {}.").expect("a ranking");
    for template in ["It is.", "A {} is a {}."] {
        let message = of(template).expect_err("refused").to_string();
        assert!(
            message.contains("{} once") && message.contains(template),
            "{message}"
        );
    }
}

/// Twenty-eight words that are one token each.
const WORDS: &str = "the river of the city is long and old and she was at the capital of france in this \
    country that is great on one small bad book";
/// Most tokens in a window of text alone, [CLS] and [SEP] included, and those that neighbours share.
const WINDOW: usize = 12;
const STRIDE: usize = 3;

/// The windows over [`WORDS`], each as a text of its own, with the words that no earlier one has.
fn windows() -> Vec<(String, f64)> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let (mut windows, mut first) = (Vec::new(), 0);
    loop {
        let end = (first + WINDOW - 2).min(words.len());
        let shared = if first == 0 { 0 } else { STRIDE };
        let new = (end - first - shared) as f64;
        windows.push((words[first..end].join(" "), new));
        if end == words.len() {
            return windows;
        }
        first = end - STRIDE;
    }
}

/// How windows slide over [`WORDS`], alone or with a second text of so many tokens (and its [SEP]).
fn sliding(pair: Option<usize>) -> Limits {
    Limits {
        long: Long::Slide,
        max_tokens: Some(WINDOW + pair.map_or(0, |tokens| tokens + 1)),
        stride: Some(STRIDE),
        ..Limits::default()
    }
}

/// Σ weight·value / Σ weight
fn mean(values: &[(f64, Vec<f64>)]) -> Vec<f64> {
    let total: f64 = values.iter().map(|(weight, _)| weight).sum();
    (0..values[0].1.len())
        .map(|i| values.iter().map(|(w, v)| w * v[i]).sum::<f64>() / total)
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64], most: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= most, "{found:?} instead of {expected:?}");
    }
}

/// A second text, and its tokens.
const PAIRS: [Option<(&str, usize)>; 2] = [None, Some(("this is a good book", 5))];

#[test]
fn scores_of_windows_count_by_their_new_tokens() {
    let folder = fixtures().join("models/three");
    let (classify, _) = Classify::from_pretrained(&folder, device()).expect("a model");
    for apply in [Apply::None, Apply::Softmax, Apply::Sigmoid] {
        for pair in PAIRS {
            // By label, since the best one comes first.
            let of = |text: &str, limits| -> (Vec<f64>, usize) {
                let options = ClassifyOptions {
                    apply: Some(apply),
                    limits,
                    ..ClassifyOptions::default()
                };
                let answer = classify.run(text, pair.map(|pair| pair.0), &options);
                let answer = answer.expect("labels");
                let by_label: BTreeMap<String, f64> = answer
                    .output
                    .into_iter()
                    .map(|label| (label.label, label.score))
                    .collect();
                (by_label.into_values().collect(), answer.tokens)
            };
            let parts = windows();
            assert_eq!(parts.len(), 4);
            let parts: Vec<_> = parts
                .iter()
                .map(|(text, new)| (*new, of(text, Limits::default()).0))
                .collect();
            let (found, tokens) = of(WORDS, sliding(pair.map(|pair| pair.1)));
            assert_eq!(tokens, 28 + 2 + pair.map_or(0, |pair| pair.1 + 1));
            assert_close(&found, &mean(&parts), 1e-12);
        }
    }
}

#[test]
fn logits_of_windows_count_by_their_new_tokens() {
    let folder = fixtures().join("models/three");
    let (classify, _) = Classify::from_pretrained(&folder, device()).expect("a model");
    let (rank, _) = ZeroShot::from_pretrained(&folder, device()).expect("a model");
    // Five tokens each.
    let labels = ["good book", "great city"];
    let entailment = |label: &str| {
        let options = ClassifyOptions {
            apply: Some(Apply::None),
            ..ClassifyOptions::default()
        };
        let logit = |text: &str| {
            let hypothesis = format!("this is a {label}");
            let answer = classify.run(text, Some(&hypothesis), &options);
            let labels = answer.expect("labels").output;
            let entailment = labels.iter().find(|label| label.label == "entailment");
            entailment.expect("the label").score
        };
        let parts: Vec<_> = windows()
            .iter()
            .map(|(text, new)| (*new, vec![logit(text)]))
            .collect();
        mean(&parts)[0].exp()
    };
    let entailed = labels.map(entailment);
    let options = ZeroShotOptions {
        template: "this is a {}".to_owned(),
        limits: sliding(Some(5)),
        ..ZeroShotOptions::new(labels)
    };
    let ranking = rank.run(WORDS, &options).expect("a ranking").output;
    for (label, score) in ranking.labels.iter().zip(&ranking.scores) {
        let i = labels.iter().position(|known| known == label);
        let expected = entailed[i.expect("a label")] / entailed.iter().sum::<f64>();
        assert_close(&[*score], &[expected], 1e-12);
    }
}

#[test]
fn vectors_of_windows_count_by_their_new_tokens() {
    let folder = fixtures().join("models/three");
    let (embed, _) = Embed::from_pretrained(&folder, device()).expect("a model");
    for pooling in [PoolingMode::Mean, PoolingMode::Cls, PoolingMode::Max] {
        for pair in PAIRS {
            let of = |text: &str, limits| -> Vec<f64> {
                let options = EmbedOptions {
                    pooling: Some(pooling),
                    limits,
                    ..EmbedOptions::default()
                };
                let answer = embed.run(text, pair.map(|pair| pair.0), &options);
                let vector = answer.expect("a vector").output;
                vector.into_iter().map(f64::from).collect()
            };
            let parts: Vec<_> = windows()
                .iter()
                .map(|(text, new)| (*new, of(text, Limits::default())))
                .collect();
            let expected = if pooling == PoolingMode::Max {
                let highest = |i: usize| parts.iter().map(|(_, v)| v[i]).fold(f64::MIN, f64::max);
                (0..parts[0].1.len()).map(highest).collect()
            } else {
                mean(&parts)
            };
            // The parts were rounded to f32.
            let found = of(WORDS, sliding(pair.map(|pair| pair.1)));
            assert_close(&found, &expected, 1e-6);
        }
    }
}
