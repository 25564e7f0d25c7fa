//! Every golden of `fixtures/model` on every device: the processor with each instruction set, and the reference.
//!
//! `cargo test -p albert --test goldens -- --nocapture` prints how far each output is from transformers' f64 run.
//!
//! One file, because every class goes through the same comparison on the same list of devices.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;

use std::collections::BTreeMap;

use albert::ops::{AttentionInput, Backend, Care, Embedding, Epilogue, Norm, ReadRows, Reference};
use albert::output::Array;
use albert::params::Linear;
use albert::{
    Activation, AlbertConfig, AlbertForMaskedLM, AlbertForPreTraining, AlbertModel, Cpu,
    CpuOptions, Keep, LoadOptions, LoadReport, MlmBias,
};
use albert_kernels::{Isa, activation::Activation as Kernel};
use albert_testing::{Array64, Golden, Precision, case_names, measure, read_f64};
use run::{ALL, Arrays, inputs, labels};

/// What a case needs besides loading its folder as its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Plain,
    /// The head is missing: refused, unless a fresh one is asked for.
    FreshHead,
    /// The pooler is missing: there is no pooled output.
    NoPooler,
    /// Several forwards, each with its own `hidden_act`.
    Activations,
    /// One right variant and several wrong ones.
    Sensitivity,
}

/// Every case there is: a folder that is not listed here fails, and so does a line without its folder.
const CASES: &[(&str, Kind)] = &[
    ("activations", Kind::Activations),
    ("base_file_in_head", Kind::FreshHead),
    ("bfloat16", Kind::Plain),
    ("decoder_and_sources", Kind::Plain),
    ("decoder_only", Kind::Plain),
    ("embedding_equals_hidden", Kind::Plain),
    ("float16", Kind::Plain),
    ("groups_l2_g1_n2", Kind::Plain),
    ("groups_l2_g2_n2", Kind::Plain),
    ("groups_l3_g1_n1", Kind::Plain),
    ("groups_l4_g2_n1", Kind::Plain),
    ("groups_l7_g3_n1", Kind::Plain),
    ("head_file_in_base", Kind::Plain),
    ("head_mask_heads", Kind::Plain),
    ("head_mask_layers", Kind::Plain),
    ("head_size_26", Kind::Plain),
    ("inputs_embeds", Kind::Plain),
    ("intermediates", Kind::Plain),
    ("layer_norm_eps", Kind::Plain),
    ("length_1", Kind::Plain),
    ("length_max", Kind::Plain),
    ("mask_fractional", Kind::Plain),
    ("masked_lm", Kind::Plain),
    ("masked_lm_all_ignored", Kind::Plain),
    ("masked_lm_file_in_base", Kind::NoPooler),
    ("masks", Kind::Plain),
    ("model", Kind::Plain),
    ("multi_label", Kind::Plain),
    ("multi_label_inferred", Kind::Plain),
    ("multiple_choice", Kind::Plain),
    ("old_names", Kind::Plain),
    ("position_ids", Kind::Plain),
    ("position_ids_broadcast", Kind::Plain),
    ("pretraining", Kind::Plain),
    ("pretraining_without_order", Kind::Plain),
    ("pruned_heads", Kind::Plain),
    ("question_answering", Kind::Plain),
    ("question_answering_all_ignored", Kind::Plain),
    ("question_answering_clamp", Kind::Plain),
    ("question_answering_column", Kind::Plain),
    ("regression", Kind::Plain),
    ("regression_many", Kind::Plain),
    ("relative_key", Kind::Plain),
    ("relative_key_query", Kind::Plain),
    ("sensitivity", Kind::Sensitivity),
    ("sequence_classification", Kind::Plain),
    ("sharded", Kind::Plain),
    ("single_label", Kind::Plain),
    ("token_classification", Kind::Plain),
    ("two_biases", Kind::Plain),
    ("two_decoder_weights", Kind::Plain),
    ("untied_decoder", Kind::Plain),
];

fn wide<T: Copy + Into<f64>>(array: &Array<T>) -> Array64 {
    Array64::new(&array.shape, &array.data)
}

/// Every processor of this machine, by the name of its instruction set.
fn processors() -> Vec<(&'static str, Cpu)> {
    let available = Isa::available();
    for name in albert_kernels::ISA_NAMES {
        if available.iter().all(|isa| isa.name() != *name) {
            println!("this machine has no {name}: not tested");
        }
    }
    let cpu = |isa: Isa| {
        (
            isa.name(),
            Cpu::new(CpuOptions {
                isa,
                threads: 2,
                ..Default::default()
            })
            .expect("threads"),
        )
    };
    available.into_iter().map(cpu).collect()
}

/// Our name of a recorded output: transformers 4 records a hidden state after each layer, transformers 5 and we after
/// each of its N blocks.
fn our_name(golden: &Golden, output: &str) -> String {
    let inner = run::config(&golden.folder).inner_group_num;
    let version = golden.description["versions"]["transformers"].as_str();
    match output.strip_prefix("hidden_states.") {
        Some(layer) if version.expect("a version").starts_with("4.") => {
            let layer: usize = layer.parse().expect("a number");
            format!("hidden_states.{}", layer * inner)
        }
        _ => output.to_owned(),
    }
}

/// What comparing has found.
#[derive(Default)]
struct Findings {
    failures: Vec<String>,
    /// Ours over transformers' deviation, both f32, of every output.
    ratios: Vec<f64>,
}

/// Compares every recorded output of a variant; collects what does not agree.
fn compare<T: Copy + Into<f64>>(
    device: &str,
    golden: &Golden,
    variant: &str,
    arrays: &Arrays<T>,
    precision: Precision,
    findings: &mut Findings,
) {
    let outputs = golden.outputs(variant);
    for output in &outputs {
        let place = format!("{} {variant} {output} on {device}", golden.name);
        let ours = our_name(golden, output);
        let Some((_, array)) = arrays.iter().find(|(name, _)| *name == ours) else {
            findings.failures.push(format!("{place}: not there"));
            continue;
        };
        match golden.check(variant, output, &wide(array), precision) {
            Err(error) => findings.failures.push(format!("{place}: {error}")),
            Ok(deviation) => {
                let name = if variant.is_empty() {
                    output.clone()
                } else {
                    format!("{variant}.{output}")
                };
                let theirs = golden.hf_f32_error[&name];
                if theirs > 0.0 {
                    findings.ratios.push(deviation.max_abs / theirs);
                }
                println!(
                    "{device:9} {:31} {name:34} ours {:8.2e}   transformers f32 {:8.2e}   scale {:8.2e}",
                    golden.name, deviation.max_abs, golden.hf_f32_error[&name], deviation.scale
                );
            }
        }
    }
    // Of what is not recorded, a loss and a pooled output must not be there.
    for (name, _) in arrays {
        if matches!(name.as_str(), "loss" | "pooler_output") && !outputs.contains(name) {
            findings.failures.push(format!(
                "{} on {device}: {name} although transformers has none",
                golden.name
            ));
        }
    }
}

/// What loading must say, from transformers' own account.
fn check_report(golden: &Golden, kind: Kind, report: &LoadReport, failures: &mut Vec<String>) {
    let prefix = |name: &String| name.replacen("albert.", "", 1);
    let sorted = |names: &mut dyn Iterator<Item = String>| {
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let missing = golden.loading("missing_keys");
    let fresh = sorted(&mut report.fresh.iter().map(prefix));
    let expected_fresh = if kind == Kind::FreshHead {
        missing
    } else {
        Vec::new()
    };
    let not_used = sorted(&mut report.unused.iter().chain(&report.unexpected).map(prefix));
    let unexpected = golden.loading("unexpected_keys");
    for (what, ours, theirs) in [
        ("fresh", fresh, expected_fresh),
        ("not used", not_used, unexpected),
    ] {
        if ours != theirs {
            failures.push(format!(
                "{}: {what}: {ours:?}, transformers {theirs:?}",
                golden.name
            ));
        }
    }
    if (kind == Kind::NoPooler) != report.notes.iter().any(|note| note.contains("no pooler")) {
        failures.push(format!("{}: notes {:?}", golden.name, report.notes));
    }
}

/// Runs one variant of a case.
fn forward<B: Backend + Clone + Send + 'static>(
    device: &B,
    golden: &Golden,
    config: AlbertConfig,
    options: LoadOptions,
) -> (Arrays<B::Scalar>, LoadReport) {
    let loaded = run::load(
        &golden.class,
        &golden.folder,
        config,
        device.clone(),
        options,
    );
    let (model, report) = loaded.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    let arrays = model.run(&inputs(golden), &labels(golden), ALL);
    (
        arrays.unwrap_or_else(|error| panic!("{}: {error}", golden.name)),
        report,
    )
}

/// The configuration of a variant: the case's own with fields replaced.
fn variant_config(golden: &Golden, variant: &str) -> AlbertConfig {
    let mut config = run::config(&golden.folder);
    let fields = golden.description["variants"][variant].as_object();
    for (field, value) in fields.into_iter().flatten() {
        match field.as_str() {
            "hidden_act" => {
                let name = value.as_str().expect("a name");
                config.hidden_act = Activation::from_name(name).expect("a known activation");
            }
            "layer_norm_eps" => config.layer_norm_eps = value.as_f64().expect("a number"),
            other => panic!("{} {variant}: unknown field {other}", golden.name),
        }
    }
    config
}

/// Every case on one device.
fn all_cases<B: Backend + Clone + Send + 'static>(
    name: &str,
    device: &B,
    precision: Precision,
) -> Findings {
    let mut findings = Findings::default();
    for &(case, kind) in CASES {
        let golden = Golden::open(case);
        let options = LoadOptions {
            fresh_head: (kind == Kind::FreshHead).then_some(1),
            ..LoadOptions::default()
        };
        for variant in golden.variants() {
            // Our API has no additive mask: `wrong_variants_are_caught` covers it.
            if kind == Kind::Sensitivity && variant == "mask_-10000" {
                continue;
            }
            let config = variant_config(&golden, &variant);
            let (arrays, report) = forward(device, &golden, config, options);
            compare(name, &golden, &variant, &arrays, precision, &mut findings);
            check_report(&golden, kind, &report, &mut findings.failures);
        }
    }
    findings
}

fn expect_none(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_case_is_known() {
    let listed: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(case_names(), listed);
}

/// Each output within its tolerance, and all together no further from f64 than transformers' f32 run: one output may be
/// unlucky, the geometric mean over some hundred is not.
#[test]
fn every_case_on_the_processor() {
    let mut failures = Vec::new();
    for (name, cpu) in processors() {
        let findings = all_cases(name, &cpu, Precision::F32);
        failures.extend(findings.failures);
        let ratios = findings.ratios;
        assert!(ratios.len() > 300, "{} outputs", ratios.len());
        // An output without any error counts as a thousandth of transformers' error.
        let logs = ratios.iter().map(|ratio| ratio.max(1e-3).ln());
        let mean = (logs.sum::<f64>() / ratios.len() as f64).exp();
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "{name}: {mean:.3} times transformers' f32 error on average, {worst:.2} times at most"
        );
        if mean > 1.1 {
            failures.push(format!(
                "{name}: {mean} times transformers' f32 error on average"
            ));
        }
    }
    expect_none(&failures);
}

#[test]
fn every_case_on_the_reference() {
    expect_none(&all_cases("reference", &Reference, Precision::F64).failures);
}

/// Results asked for without hidden states and attentions are the same, and neither is there.
#[test]
fn keeping_less_changes_nothing() {
    for case in ["model", "pretraining", "multiple_choice", "masks"] {
        let golden = Golden::open(case);
        let config = run::config(&golden.folder);
        let (all, _) = forward(&Reference, &golden, config.clone(), LoadOptions::default());
        let loaded = run::load(
            &golden.class,
            &golden.folder,
            config,
            Reference,
            LoadOptions::default(),
        );
        let (model, _) = loaded.expect("loads");
        let some = model
            .run(&inputs(&golden), &labels(&golden), Keep::default())
            .expect("runs");
        let kept = |(name, _): &&(String, Array<f64>)| {
            !name.starts_with("hidden_states") && !name.starts_with("attentions")
        };
        assert!(some.iter().eq(all.iter().filter(kept)), "{case}");
    }
}

#[test]
fn wrong_variants_are_caught() {
    let golden = Golden::open("sensitivity");
    let distance = golden.description["distance"]
        .as_object()
        .expect("distances");
    assert_eq!(distance.len(), 3);
    for (name, cpu) in processors() {
        let config = variant_config(&golden, "right");
        let (arrays, _) = forward(&cpu, &golden, config, LoadOptions::default());
        for (variant, outputs) in distance {
            let mut caught = 0;
            for (output, distance) in outputs.as_object().expect("outputs") {
                let distance = distance.as_f64().expect("a number");
                let ours = arrays
                    .iter()
                    .find(|(name, _)| name == output)
                    .expect("the output");
                let ours = wide(&ours.1);
                let right = golden.check("right", output, &ours, Precision::F32);
                let right = right.unwrap_or_else(|error| panic!("{name} {output}: {error}"));
                let wrong = golden.measure(variant, output, &ours).expect("comparable");
                let tolerance = golden.tolerance("right", output, Precision::F32, right.scale);
                // As far from the wrong variant as transformers' right result is.
                assert!(
                    (wrong.max_abs - distance).abs() <= tolerance,
                    "{name} {variant} {output}: {wrong}"
                );
                if distance > 0.0 {
                    assert!(
                        wrong.max_abs > 10.0 * tolerance,
                        "{name} {variant} {output}: {wrong}, {tolerance:e}"
                    );
                    caught += 1;
                }
            }
            assert!(caught > 0, "nothing tells {variant} from right");
        }
    }
}

/// The two different biases of the MLM head: transformers adds one, Google's code the other.
#[test]
fn either_of_two_mlm_biases() {
    let golden = Golden::open("two_biases");
    let file = read_f64(&golden.folder.join("model.safetensors"));
    let (decoder, google) = (&file["predictions.decoder.bias"], &file["predictions.bias"]);
    let v = google.data.len();
    let mut expected = golden.clone();
    let logits = expected.expected.get_mut("logits").expect("logits");
    for (i, x) in logits.data.iter_mut().enumerate() {
        *x += google.data[i % v] - decoder.data[i % v];
    }
    let moved = measure(&golden.expected["logits"], logits)
        .expect("comparable")
        .max_abs;
    assert!(moved > 0.1, "the biases hardly differ: {moved}");
    let choices = [(MlmBias::Decoder, &golden), (MlmBias::Google, &expected)];
    for (mlm_bias, golden) in choices {
        let options = LoadOptions {
            mlm_bias,
            ..LoadOptions::default()
        };
        let config = run::config(&golden.folder);
        let (arrays, report) = forward(&Reference, golden, config.clone(), options);
        let mut findings = Findings::default();
        compare(
            "reference",
            golden,
            "",
            &arrays,
            Precision::F64,
            &mut findings,
        );
        assert!(
            report
                .notes
                .iter()
                .any(|note| note.contains("mlm_bias chooses")),
            "{:?}",
            report.notes
        );
        assert!(
            report.unused.is_empty() && report.unexpected.is_empty(),
            "{report:?}"
        );
        for (name, cpu) in processors() {
            let (arrays, _) = forward(&cpu, golden, config.clone(), options);
            compare(name, golden, "", &arrays, Precision::F32, &mut findings);
        }
        expect_none(&findings.failures);
    }
}

/// With one bias, or two that agree, the choice makes no difference and is not mentioned.
#[test]
fn one_mlm_bias_leaves_no_choice() {
    for case in [
        "masked_lm",
        "decoder_only",
        "decoder_and_sources",
        "old_names",
    ] {
        let golden = Golden::open(case);
        let config = run::config(&golden.folder);
        let [decoder, google] = [MlmBias::Decoder, MlmBias::Google].map(|mlm_bias| {
            let options = LoadOptions {
                mlm_bias,
                ..LoadOptions::default()
            };
            forward(&Reference, &golden, config.clone(), options)
        });
        assert_eq!(decoder.0, google.0, "{case}");
        assert_eq!(decoder.1.notes, google.1.notes);
        assert!(decoder.1.notes.is_empty(), "{case}: {:?}", decoder.1.notes);
    }
}

#[test]
fn a_missing_head_is_refused_by_name() {
    let golden = Golden::open("base_file_in_head");
    let config = run::config(&golden.folder);
    let refused = run::load(
        &golden.class,
        &golden.folder,
        config,
        Reference,
        LoadOptions::default(),
    );
    let message = refused.err().expect("the head is missing").to_string();
    for part in [
        "base_file_in_head",
        "AlbertForSequenceClassification needs 2 tensors that are not there: classifier.weight, classifier.bias",
        "The checkpoint holds pooler",
        "fresh head",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// `logits_at` gives the rows of `forward`, bit by bit.
#[test]
fn logits_at_places_are_those_of_forward() {
    let golden = Golden::open("masked_lm");
    let inputs = inputs(&golden);
    for (name, cpu) in processors() {
        let loaded =
            AlbertForMaskedLM::from_pretrained(&golden.folder, cpu, LoadOptions::default());
        let (model, _) = loaded.expect("loads");
        let all = model
            .forward(&inputs, None, Keep::default())
            .expect("runs")
            .logits;
        let v = all.shape[2];
        let places = [(1, 0), (0, 6), (0, 1), (0, 1)];
        let some = model.logits_at(&inputs, &places).expect("kept places");
        assert_eq!(some.shape, [4, v]);
        for (row, (b, s)) in some.data.chunks_exact(v).zip(places) {
            let expected = &all.data[(b * all.shape[1] + s) * v..][..v];
            albert_testing::same_bits(row, expected)
                .unwrap_or_else(|error| panic!("{name} ({b}, {s}): {error}"));
        }
        for place in [(1, 6), (2, 0), (0, 7)] {
            let message = model
                .logits_at(&inputs, &[place])
                .expect_err("hidden or outside")
                .to_string();
            assert!(message.contains(&format!("{place:?}")), "{message}");
        }
        let (packed, encoded) = model.encode_at(&inputs, &[(0, 1)]).expect("runs");
        let message = model
            .logits_of(&inputs, &packed, &encoded, &[(0, 1), (1, 0)])
            .expect_err("not encoded")
            .to_string();
        assert!(
            message.contains("encode_at") && message.contains("(1, 0)"),
            "{message}"
        );
    }
}

/// Named values of one step, [B, S, …] or [B, A, S, D].
struct Steps<'a, B: Backend> {
    device: &'a B,
    batch: usize,
    length: usize,
    found: BTreeMap<String, Array64>,
}

impl<B: Backend> Steps<'_, B> {
    /// Rows [B·S, C] as [B, S, C].
    fn keep(&mut self, name: &str, buffer: &B::Buffer) {
        let values = self.device.values(buffer);
        let cols = values.len() / (self.batch * self.length);
        self.found.insert(
            name.to_owned(),
            Array64::new(&[self.batch, self.length, cols], &values),
        );
    }

    /// Columns `part` of `parts`·A heads in rows [B·S, parts·A·D] as [B, A, S, D].
    fn keep_heads(
        &mut self,
        name: &str,
        buffer: &B::Buffer,
        (part, parts): (usize, usize),
        heads: usize,
    ) {
        let values: Vec<f64> = self
            .device
            .values(buffer)
            .into_iter()
            .map(Into::into)
            .collect();
        let width = values.len() / (self.batch * self.length);
        let d = width / parts / heads;
        let length = self.length;
        let mut data = Vec::with_capacity(values.len() / parts);
        for b in 0..self.batch {
            for (a, s) in (0..heads).flat_map(|a| (0..length).map(move |s| (a, s))) {
                let first = (b * length + s) * width + (part * heads + a) * d;
                data.extend_from_slice(&values[first..][..d]);
            }
        }
        self.found.insert(
            name.to_owned(),
            Array64::new(&[self.batch, heads, self.length, d], &data),
        );
    }

    fn linear(
        &self,
        x: &B::Buffer,
        linear: &Linear<B>,
        rows: usize,
        then: Epilogue<'_, B>,
    ) -> B::Buffer {
        let (n, _) = self.device.weight_shape(&linear.weight);
        let mut out = self.device.buffer(rows, n);
        self.device.linear(x, &linear.weight, then, &mut out);
        out
    }
}

fn bias<B: Backend>(linear: &Linear<B>) -> Epilogue<'_, B> {
    Epilogue {
        bias: Some(&linear.bias),
        activation: Kernel::Linear,
        residual: None,
        norm: None,
        dropout: None,
        kept: None,
    }
}

/// Every operation of the seam, one after the other, as the model applies them to an AlbertForPreTraining.
fn steps<B: Backend + Clone>(device: &B, golden: &Golden) -> BTreeMap<String, Array64> {
    let loaded = AlbertForPreTraining::<B>::from_pretrained(
        &golden.folder,
        device.clone(),
        LoadOptions::default(),
    );
    let (model, _) = loaded.expect("loads");
    // Every position is a row, as in the golden; the keys are those that the mask keeps.
    let mut inputs = inputs(golden);
    let kept = inputs.attention_mask.take().expect("a mask");
    let (packed, _) = model.encode(&inputs).expect("runs");
    let mut layout = packed.layout.clone();
    layout.key_rows = (0..kept.len() as u32)
        .filter(|&row| kept[row as usize] != 0.0)
        .collect();
    let mut first = 0;
    for sequence in &mut layout.sequences {
        let count = sequence
            .rows
            .clone()
            .filter(|&row| kept[row] != 0.0)
            .count();
        sequence.keys = first..first + count;
        first += count;
    }

    let (config, encoder) = (model.config(), model.encoder());
    let (batch, length, heads) = (inputs.batch, inputs.length, config.num_attention_heads);
    let t = batch * length;
    let mut steps = Steps {
        device,
        batch,
        length,
        found: BTreeMap::new(),
    };
    let tables = &encoder.embeddings;
    let x = device.embed(Embedding {
        words: Some((&tables.word, &packed.ids)),
        embeds: None,
        types: (&tables.token_type, &packed.types),
        positions: Some((&tables.position, &packed.position_ids)),
        norm: &tables.norm,
        dropout: None,
        kept: None,
    });
    steps.keep("embeddings.LayerNorm", &x);
    let mut h = steps.linear(&x, &encoder.mapping, t, bias(&encoder.mapping));
    steps.keep("encoder.embedding_hidden_mapping_in", &h);
    let block = &encoder.blocks[0];
    for i in 0..config.num_hidden_layers {
        let name = |part: &str| format!("block.{i}.{part}");
        let qkv = steps.linear(&h, &block.qkv, t, bias(&block.qkv));
        for (part, label) in ["query", "key", "value"].into_iter().enumerate() {
            steps.keep_heads(&name(label), &qkv, (part, 3), heads);
        }
        let input = AttentionInput {
            heads,
            head_size: config.head_size(),
            layout: &layout,
            relative: None,
            head_mask: None,
            dropout: None,
        };
        let mut context = device.buffer(t, config.hidden_size);
        let mut probabilities = device.buffer(t, heads * length);
        device.attention(&qkv, input, &mut context, Some(&mut probabilities));
        steps.keep(&name("context"), &context);
        steps.keep_heads(&name("probs"), &probabilities, (0, 1), heads);
        let dense = steps.linear(&context, &block.output, t, bias(&block.output));
        steps.keep(&name("attention.dense"), &dense);
        let after = Epilogue {
            residual: Some(&h),
            norm: Some(&block.attention_norm),
            ..bias(&block.output)
        };
        let u = steps.linear(&context, &block.output, t, after);
        steps.keep(&name("attention.LayerNorm"), &u);
        let ffn = steps.linear(&u, &block.ffn, t, bias(&block.ffn));
        steps.keep(&name("ffn"), &ffn);
        let act = Epilogue {
            activation: config.hidden_act.kernel(),
            ..bias(&block.ffn)
        };
        let f = steps.linear(&u, &block.ffn, t, act);
        steps.keep(&name("activation"), &f);
        let ffn_output = steps.linear(&f, &block.ffn_output, t, bias(&block.ffn_output));
        steps.keep(&name("ffn_output"), &ffn_output);
        let after = Epilogue {
            residual: Some(&u),
            norm: Some(&block.norm),
            ..bias(&block.ffn_output)
        };
        h = steps.linear(&f, &block.ffn_output, t, after);
        steps.keep(&name("output"), &h);
    }
    let pooler = encoder.pooler.as_ref().expect("a pooler");
    let starts: Vec<u32> = (0..batch as u32).map(|b| b * length as u32).collect();
    let first = device.gather_rows(&h, &starts);
    for (name, activation) in [
        ("pooler.preactivation", Kernel::Linear),
        ("pooler.output", Kernel::Tanh),
    ] {
        let pooled = steps.linear(
            &first,
            pooler,
            batch,
            Epilogue {
                activation,
                ..bias(pooler)
            },
        );
        let values = device.values(&pooled);
        steps.found.insert(
            name.to_owned(),
            Array64::new(&[batch, config.hidden_size], &values),
        );
    }
    steps.found
}

/// Every operation against its own golden. The masked rows count too: here each operation sees the same rows.
#[test]
fn every_intermediate() {
    let golden = Golden::open("intermediates");
    let expected = read_f64(&golden.folder.join("intermediates.safetensors"));
    // Before the LayerNorm of the embeddings, before the softmax, and inside the heads there is no public value;
    // the losses and the logits are outputs of the case.
    let inside = |name: &str| {
        name == "embeddings.sum"
            || name.ends_with(".scores")
            || name.starts_with("predictions.")
            || name.starts_with("loss")
            || name == "sop_classifier.logits"
    };
    // transformers' f32 error is recorded for the outputs only: the largest, relative to its output, for all steps.
    let relative = |output: &String| {
        let scale = golden.expected[output]
            .data
            .iter()
            .fold(0.0_f64, |m, x| m.max(x.abs()));
        golden.hf_f32_error[output] / scale
    };
    let relative = golden.outputs("").iter().map(relative).fold(0.0, f64::max);
    let check = |device: &str, precision: Precision, found: &BTreeMap<String, Array64>| {
        let mut failures = Vec::new();
        for (name, expected) in &expected {
            let Some(actual) = found.get(name) else {
                assert!(inside(name), "{name} is not compared");
                continue;
            };
            let verdict = measure(actual, expected).and_then(|deviation| {
                let tolerance = precision.tolerance(relative * deviation.scale, deviation.scale);
                println!(
                    "{device:9} {name:40} ours {:8.2e}   allowed {tolerance:8.2e}",
                    deviation.max_abs
                );
                deviation.within(tolerance)
            });
            failures.extend(
                verdict
                    .err()
                    .map(|error| format!("{name} on {device}: {error}")),
            );
        }
        assert!(found.keys().all(|name| expected.contains_key(name)));
        expect_none(&failures);
    };
    check("reference", Precision::F64, &steps(&Reference, &golden));
    for (name, cpu) in processors() {
        check(name, Precision::F32, &steps(&cpu, &golden));
    }
}

/// An activation of a row of numbers, through the epilogue of a product that is 0.
fn activated<B: Backend>(device: &B, activation: Kernel, x: &[f32]) -> Vec<f64> {
    let zero = || device.vector(vec![0.0]);
    let norm = Norm {
        gamma: zero(),
        beta: zero(),
        epsilon: 1e-12,
    };
    let nothing = device.embed(Embedding {
        words: None,
        embeds: Some(&[0.0]),
        types: (&zero(), &[0]),
        positions: None,
        norm: &norm,
        dropout: None,
        kept: None,
    });
    let zeros: &ReadRows<'_, std::convert::Infallible> = &|_, out| {
        out.fill(0.0);
        Ok(())
    };
    let Ok(weight) = device.weight(x.len(), 1, Care::Plain, zeros);
    let bias = device.vector(x.to_vec());
    let mut out = device.buffer(1, x.len());
    let epilogue = Epilogue {
        bias: Some(&bias),
        activation,
        residual: None,
        norm: None,
        dropout: None,
        kept: None,
    };
    device.linear(&nothing, &weight, epilogue, &mut out);
    device.values(&out).into_iter().map(Into::into).collect()
}

/// Every activation alone, far sharper than through a model: f32 against f64 over −16 … 16 and into the tails.
/// Four roundings of 2⁻²⁴ are allowed, of the largest number on the way: the value itself, 1 (1 + erf, 1 − tanh, …), or,
/// up to 16, x, which multiplies such a sum. Measured: 2.6.
#[test]
fn every_activation_alone() {
    let mut x: Vec<f32> = (-4096..=4096).map(|i| i as f32 / 256.0).collect();
    x.extend(
        [30.0, 80.0, 100.0, 1e4, 1e18]
            .iter()
            .flat_map(|&x: &f32| [x, -x, 1.0 / x, -1.0 / x]),
    );
    let mut failures = Vec::new();
    for activation in Activation::ALL {
        let function = activation.kernel();
        let expected = activated(&Reference, function, &x);
        for (name, cpu) in processors() {
            let found = activated(&cpu, function, &x);
            let mut worst = (0, 0.0);
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let scale = expected.abs().max(1.0).max(f64::from(x[i].abs().min(16.0)));
                let roundings = (found - expected).abs() / scale * f64::from(1 << 24);
                // A NaN is worst, and stays it.
                if !(roundings <= worst.1 || worst.1.is_nan()) {
                    worst = (i, roundings);
                }
            }
            let (at, worst) = worst;
            println!(
                "{name:9} {activation:18} {worst:5.2} roundings, at {:e}",
                x[at]
            );
            if worst.is_nan() || worst > 4.0 {
                failures.push(format!(
                    "{activation} on {name}: {worst} roundings: {:e} instead of {:e} at {:e}",
                    found[at], expected[at], x[at]
                ));
            }
        }
    }
    expect_none(&failures);
}

/// Fully masked rows, exact zeros, and the uniform attention behind them.
#[test]
fn a_fully_masked_row_attends_uniformly() {
    let golden = Golden::open("masks");
    let (model, _) = AlbertModel::<Reference>::from_pretrained(
        &golden.folder,
        Reference,
        LoadOptions::default(),
    )
    .expect("loads");
    let inputs = inputs(&golden);
    let output = model.forward(&inputs, None, ALL).expect("runs");
    let width = output.last_hidden_state.data.len() / inputs.batch;
    assert!(
        output.last_hidden_state.data[5 * width..][..width]
            .iter()
            .all(|x| *x == 0.0)
    );
    let pooled = output.pooler_output.expect("a pooler");
    let pooled = &pooled.data[5 * pooled.shape[1]..][..pooled.shape[1]];
    assert!(
        pooled.iter().all(|x| *x != 0.0),
        "position 0 of a masked row is pooled as computed"
    );
}
