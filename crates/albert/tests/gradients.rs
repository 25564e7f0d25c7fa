//! Gradients of every head against PyTorch's in f64 and against finite differences, on every device.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;

use albert::heads::{self, ClassLabels, PreTrainingLabels, QuestionLabels, Trainable};
use albert::ops::{Gradient, Reference};
use albert::{Albert, Cpu, CpuOptions, DropoutPlan, LoadOptions, Precision, Training, Variable};
use albert_formats::Checkpoint;
use albert_kernels::Isa;
use albert_testing::{Array64, Golden, fixtures, measure};
use run::{Labels, inputs, labels};

const CASES: [&str; 11] = [
    "groups",
    "joint_question_answering",
    "masked_lm",
    "multi_label",
    "multiple_choice",
    "pretraining",
    "question_answering",
    "regression",
    "single_label",
    "token_classification",
    "untied_decoder",
];

fn golden(case: &str) -> Golden {
    Golden::read(&fixtures().join("gradients").join(case))
}

/// Loss and gradient of a case.
struct Found {
    loss: f64,
    variables: Vec<Variable>,
    values: Vec<f32>,
    gradient: Vec<f64>,
}

/// How a case is run: of its loss at other parameters, with dropout, …
#[derive(Clone, Default)]
struct How {
    parameters: Option<Vec<f32>>,
    dropout: Option<DropoutPlan>,
    checkpointing: bool,
}

fn run<B: Gradient + Send + 'static>(golden: &Golden, device: B, how: &How) -> Found {
    let given = labels(golden);
    match golden.class.as_str() {
        "AlbertForPreTraining" => {
            let labels = PreTrainingLabels {
                labels: given.whole,
                sentence_order_label: given.order,
            };
            run_class::<B, heads::PreTraining<B>>(golden, device, &labels, how)
        }
        "AlbertForMaskedLM" => {
            run_class::<B, heads::MaskedLm<B>>(golden, device, &whole(given), how)
        }
        "AlbertForTokenClassification" => {
            run_class::<B, heads::TokenClassification<B>>(golden, device, &whole(given), how)
        }
        "AlbertForMultipleChoice" => {
            run_class::<B, heads::MultipleChoice<B>>(golden, device, &whole(given), how)
        }
        "AlbertForSequenceClassification" => {
            let labels = match given.real {
                Some(values) => ClassLabels::Values(values),
                None => ClassLabels::Classes(whole(given)),
            };
            run_class::<B, heads::SequenceClassification<B>>(golden, device, &labels, how)
        }
        "AlbertForQuestionAnswering" => {
            let (start_positions, end_positions) = given.answer.expect("positions");
            let labels = QuestionLabels {
                start_positions,
                end_positions,
            };
            run_class::<B, heads::QuestionAnswering<B>>(golden, device, &labels, how)
        }
        "AlbertForJointQuestionAnswering" => {
            let labels = given.joint().expect("labels");
            run_class::<B, heads::JointQuestionAnswering<B>>(golden, device, &labels, how)
        }
        other => panic!("no class {other}"),
    }
}

fn whole(labels: Labels) -> Vec<i64> {
    labels.whole.expect("labels")
}

fn run_class<B: Gradient, H: Trainable<B>>(
    golden: &Golden,
    device: B,
    labels: &H::Labels,
    how: &How,
) -> Found {
    let (config, folder) = (run::config(&golden.folder), &golden.folder);
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let options = LoadOptions::default();
    let (mut model, _) =
        Albert::<H, B>::from_checkpoint(config, &checkpoint, folder, device, options)
            .expect("loads");
    let inputs = inputs(golden);
    let (variables, mut values) = model.parameters();
    if let Some(parameters) = &how.parameters {
        values.copy_from_slice(parameters);
        model.assign(&variables, &values);
    }
    let training = Training {
        terms: H::terms(model.config(), &inputs, labels).expect("labels"),
        dropout: how.dropout.clone(),
        checkpointing: how.checkpointing,
    };
    let mut gradient = vec![B::Scalar::default(); values.len()];
    let loss = model
        .gradients(&inputs, labels, &training, &variables, &mut gradient)
        .expect("a gradient");
    Found {
        loss: loss[0] + loss[1],
        variables,
        values,
        gradient: gradient.into_iter().map(Into::into).collect(),
    }
}

fn cpu(isa: Isa, threads: usize, precision: Precision) -> Cpu {
    let options = CpuOptions {
        isa,
        threads,
        precision,
    };
    Cpu::new(options).expect("threads")
}

/// The largest deviation of each gradient from PyTorch's in f64, with PyTorch's own in f32.
fn deviations(golden: &Golden, found: &Found) -> Vec<(String, f64, f64, f64)> {
    let mut names: Vec<&String> = golden.expected.keys().collect();
    let mut all = Vec::new();
    for variable in &found.variables {
        names.retain(|name| **name != variable.name);
        let Some(expected) = golden.expected.get(&variable.name) else {
            // The other bias of a decoder that is not tied: PyTorch has no gradient for it.
            let gradient = &found.gradient[variable.range.clone()];
            assert!(variable.name == "predictions.bias" && gradient.iter().all(|g| *g == 0.0));
            continue;
        };
        let ours = Array64::new(&variable.shape, &found.gradient[variable.range.clone()]);
        let deviation = measure(&ours, expected).expect("the same shape, finite");
        let theirs = golden.hf_f32_error[&variable.name];
        all.push((
            variable.name.clone(),
            deviation.max_abs,
            theirs,
            deviation.scale,
        ));
    }
    assert!(
        names.is_empty(),
        "{}: no gradient for {names:?}",
        golden.name
    );
    all
}

#[test]
fn the_reference_agrees_with_pytorch_in_f64() {
    for case in CASES {
        let golden = golden(case);
        let found = run(&golden, Reference, &How::default());
        let expected = golden.description["loss"].as_f64().expect("a loss");
        assert!(
            (found.loss - expected).abs() < 1e-12 * expected.abs(),
            "{case}: loss {} for {expected}",
            found.loss
        );
        for (name, deviation, _, scale) in deviations(&golden, &found) {
            assert!(
                deviation <= 1e-10 * scale + 1e-14,
                "{case} {name}: {deviation:e} of {scale:e}"
            );
        }
    }
}

#[test]
fn the_processor_is_as_near_as_pytorch_in_f32() {
    let (mut ours, mut theirs) = (0.0, 0.0);
    for case in CASES {
        let golden = golden(case);
        let found = run(
            &golden,
            cpu(Isa::best(), 2, Precision::F32),
            &How::default(),
        );
        for (name, deviation, f32_error, scale) in deviations(&golden, &found) {
            println!(
                "{case:22} {name:80} ours {deviation:8.2e}   PyTorch f32 {f32_error:8.2e}   scale {scale:8.2e}"
            );
            ours += deviation / scale.max(1e-6);
            theirs += f32_error / scale.max(1e-6);
            // The gradient of the keys' bias is zero: its size is that of the rounding errors.
            assert!(
                deviation <= 2.0 * f32_error + 1e-7 * scale.max(1.0),
                "{case} {name}: {deviation:e}, PyTorch {f32_error:e}"
            );
        }
    }
    println!("sum of relative deviations: ours {ours:.3e}, PyTorch's {theirs:.3e}");
    assert!(ours <= 2.0 * theirs);
}

#[test]
fn gradients_have_equal_bits_on_all_instruction_sets_and_threads_and_with_checkpointing() {
    for case in CASES {
        let golden = golden(case);
        let first = run(
            &golden,
            cpu(Isa::best(), 1, Precision::F32),
            &How::default(),
        );
        for isa in Isa::available() {
            for (threads, checkpointing) in [(1, true), (2, false), (3, true)] {
                let how = How {
                    checkpointing,
                    ..How::default()
                };
                let found = run(&golden, cpu(isa, threads, Precision::F32), &how);
                assert_eq!(
                    found.loss.to_bits(),
                    first.loss.to_bits(),
                    "{case} on {isa:?}"
                );
                for (i, (a, b)) in found.gradient.iter().zip(&first.gradient).enumerate() {
                    assert_eq!(
                        a.to_bits(),
                        b.to_bits(),
                        "{case} on {isa:?}, {threads} threads, checkpointing {checkpointing}: element {i}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_loss_by_finite_differences_with_dropout_too() {
    for case in CASES {
        let golden = golden(case);
        let batch = inputs(&golden).batch as u64;
        let mut plan = DropoutPlan::of(&run::config(&golden.folder), 3);
        (plan.hidden, plan.attention, plan.classifier, plan.ffn) = (0.1, 0.2, 0.3, true);
        plan.samples = (0..batch).map(|b| 100 + b).collect();
        for dropout in [None, Some(plan)] {
            let how = How {
                dropout,
                ..How::default()
            };
            let found = run(&golden, Reference, &how);
            // On the processor, the same elements are dropped.
            let fast = run(&golden, cpu(Isa::best(), 2, Precision::F32), &how);
            assert!(
                (fast.loss - found.loss).abs() < 1e-5,
                "{case}: {} and {}",
                fast.loss,
                found.loss
            );
            for (i, (a, b)) in fast.gradient.iter().zip(&found.gradient).enumerate() {
                assert!((a - b).abs() < 1e-5, "{case}, element {i}: {a} and {b}");
            }
            for variable in &found.variables {
                // Two elements of each tensor: the one with the largest gradient and one in the middle.
                let range = variable.range.clone();
                let largest = range
                    .clone()
                    .max_by(|&i, &j| found.gradient[i].abs().total_cmp(&found.gradient[j].abs()));
                for i in [largest.expect("elements"), range.start + range.len() / 2] {
                    let at = |delta: f32| {
                        let mut parameters = found.values.clone();
                        parameters[i] += delta;
                        let x = f64::from(parameters[i]);
                        let how = How {
                            parameters: Some(parameters),
                            ..how.clone()
                        };
                        (x, run(&golden, Reference, &how).loss)
                    };
                    let h = 1.0 / 65536.0;
                    let ((right, up), (left, down)) = (at(h), at(-h));
                    let difference = (up - down) / (right - left);
                    let error = (difference - found.gradient[i]).abs();
                    assert!(
                        error < 3e-5,
                        "{case} {} element {i}: {difference} by differences, {} found",
                        variable.name,
                        found.gradient[i]
                    );
                }
            }
        }
    }
}

/// Labels at few tokens leave few rows behind the last attention: the gradient of all labels is the sum of those of any two
/// parts, also where hidden tokens have labels, and without labels it is 0.
#[test]
fn gradients_of_parts_of_the_labels_add_up() {
    fn check<H: Trainable<Reference>>(case: &str, labels: impl Fn(Vec<i64>) -> H::Labels) {
        let golden = golden(case);
        let inputs = inputs(&golden);
        let ids = inputs.input_ids.clone().expect("ids");
        let (config, folder) = (run::config(&golden.folder), &golden.folder);
        let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
        let options = LoadOptions::default();
        let loaded = Albert::<H, Reference>::from_checkpoint(
            config,
            &checkpoint,
            folder,
            Reference,
            options,
        );
        let (model, _) = loaded.expect("loads");
        let (variables, values) = model.parameters();
        let of = |chosen: &dyn Fn(usize) -> bool| {
            let label = |(i, &id): (usize, &i64)| if chosen(i) { id } else { -100 };
            let training = Training {
                terms: [ids.len(), 0],
                dropout: None,
                checkpointing: false,
            };
            let mut gradient = vec![0.0; values.len()];
            let labels = labels(ids.iter().enumerate().map(label).collect());
            let loss = model.gradients(&inputs, &labels, &training, &variables, &mut gradient);
            let [words, order] = loss.expect("a gradient");
            assert_eq!(order, 0.0, "{case}");
            (words, gradient)
        };
        let (loss, gradient) = of(&|_| true);
        let (first_loss, first) = of(&|i| i % 3 == 0);
        let (second_loss, second) = of(&|i| i % 3 != 0);
        assert!((loss - first_loss - second_loss).abs() < 1e-12, "{case}");
        for (i, all) in gradient.iter().enumerate() {
            let sum = first[i] + second[i];
            assert!(
                (all - sum).abs() < 1e-12,
                "{case}, element {i}: {all} and {sum}"
            );
        }
        let (none, gradient) = of(&|_| false);
        assert_eq!(none, 0.0, "{case}");
        assert!(gradient.iter().all(|x| *x == 0.0), "{case}");
    }
    check::<heads::MaskedLm<Reference>>("masked_lm", |labels| labels);
    check::<heads::PreTraining<Reference>>("pretraining", |labels| PreTrainingLabels {
        labels: Some(labels),
        sentence_order_label: None,
    });
}

#[test]
fn bfloat16_products_give_nearly_the_same_gradients_and_int8_is_refused() {
    for case in CASES {
        let golden = golden(case);
        let exact = run(&golden, Reference, &How::default()).gradient;
        let rounded = run(
            &golden,
            cpu(Isa::best(), 2, Precision::Bf16),
            &How::default(),
        )
        .gradient;
        let square = |x: f64| x * x;
        let error: f64 = exact.iter().zip(&rounded).map(|(a, b)| square(a - b)).sum();
        let size: f64 = exact.iter().map(|a| square(*a)).sum();
        let relative = (error / size).sqrt();
        println!("{case:22} relative RMS {relative:.4}");
        // A rounding is at most 2⁻⁹; about thirty of them follow one another.
        assert!(relative > 1e-4 && relative < 0.03, "{case}: {relative}");
    }
    let golden = golden("single_label");
    let options = LoadOptions::default();
    let device = cpu(Isa::best(), 1, Precision::Int8);
    let (model, _) = Albert::<heads::SequenceClassification<Cpu>, Cpu>::from_pretrained(
        &golden.folder,
        device,
        options,
    )
    .expect("loads");
    let (variables, values) = model.parameters();
    let training = Training {
        terms: [4, 0],
        dropout: None,
        checkpointing: false,
    };
    let labels = ClassLabels::Classes(whole(labels(&golden)));
    let mut gradient = vec![0.0; values.len()];
    let refused = model.gradients(
        &inputs(&golden),
        &labels,
        &training,
        &variables,
        &mut gradient,
    );
    let error = refused
        .expect_err("8-bit weights have no gradient")
        .to_string();
    assert!(error.contains("train in f32 or bf16"), "{error}");
}
