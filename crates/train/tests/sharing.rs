//! Layers that share a part: with both parts tied a model learns as one with a single group, copies have equal bits in memory
//! and in files, and a run that is interrupted keeps the tie.

mod common;
#[allow(dead_code, reason = "models by name are not needed here")]
#[path = "../../albert/tests/common/run.rs"]
mod run;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use albert::heads::{PreTraining, PreTrainingLabels};
use albert::names::{BlockSite, Site};
use albert::{Albert, AlbertConfig, Cpu, CpuOptions, DropoutPlan, Inputs, Variable};
use albert_formats::Checkpoint;
use albert_testing::Golden;
use albert_train::dataset::Dataset;
use albert_train::learner::Learner;
use albert_train::model::{ModelLearner, ModelOptions};
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::state;
use albert_train::tie::Tied;
use albert_train::trainer::Trainer;
use albert_train::trainer::observer::Observer;
use albert_train::trainer::options::{Cadence, Length, TrainOptions};

const STEPS: u64 = 8;

/// The batch of a golden, over and over.
struct Batch(Inputs, PreTrainingLabels);

impl Batch {
    fn new() -> (Self, AlbertConfig) {
        let golden = Golden::read(&albert_testing::fixtures().join("gradients/pretraining"));
        let labels = run::labels(&golden);
        let labels = PreTrainingLabels {
            labels: labels.whole,
            sentence_order_label: labels.order,
        };
        let config = run::config(&golden.folder);
        (Self(run::inputs(&golden), labels), config)
    }
}

impl Dataset<PreTrainingLabels> for Batch {
    fn len(&self) -> usize {
        1
    }

    fn tokens(&self, _: usize) -> usize {
        self.0.batch * self.0.length
    }

    fn batch(&self, _: &[usize]) -> albert_train::Result<(Inputs, PreTrainingLabels)> {
        Ok((self.0.clone(), self.1.clone()))
    }
}

/// Stops a run after a step.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn stepped(&mut self, step: u64, _: u64) {
        self.1.store(step == self.0, Ordering::Relaxed);
    }
}

/// How a run ended.
struct Ended {
    /// Loss and norm of the gradient of each step.
    steps: Vec<[f64; 2]>,
    variables: Vec<Variable>,
    values: Vec<f32>,
}

/// Trains a new model with so many groups, or goes on with it.
fn train(
    output: &Path,
    groups: usize,
    tied: &[Tied],
    threads: usize,
    stop_after: u64,
) -> Result<Ended, albert_train::trainer::error::TrainError> {
    let (data, config) = Batch::new();
    let config = AlbertConfig {
        num_hidden_groups: groups,
        ..config
    };
    let device = Cpu::new(CpuOptions {
        threads,
        ..CpuOptions::default()
    });
    let how = ModelOptions {
        dropout: DropoutPlan {
            hidden: 0.1,
            ..DropoutPlan::of(&config, 5)
        },
        checkpointing: false,
        files: Vec::new(),
        kept_bytes: 1 << 24,
    };
    let model = Albert::<PreTraining<Cpu>, Cpu>::from_config(config, device.expect("threads"), 1);
    let learner = ModelLearner::new(model.expect("a model"), None, &data, None, how);
    let mut options = TrainOptions::new(output);
    options.length = Length::Steps(STEPS);
    options.learning_rate = 0.01;
    options.optimizer = OptimizerOptions::new(Method::Lamb, Form::Google);
    // So low that every gradient is clipped.
    options.optimizer.max_grad_norm = Some(0.1);
    options.save = Cadence::Steps(STEPS);
    options.log_every = 1;
    options.threads = threads;
    options.tied = tied.to_vec();
    let mut trainer = Trainer::new(learner, options)?;
    let stop = AtomicBool::new(false);
    trainer.run(&mut StopAfter(stop_after, &stop), &stop)?;
    let history = trainer.state().history.iter();
    let number = |entry: &state::Entry, name: &str| entry[name].as_f64().expect("a number");
    Ok(Ended {
        steps: history
            .map(|entry| [number(entry, "loss"), number(entry, "grad_norm")])
            .collect(),
        variables: trainer.learner().variables().to_vec(),
        values: trainer.learner().values().to_vec(),
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

impl Ended {
    /// The weights of a part in each group.
    fn copies(&self, part: BlockSite) -> Vec<Vec<u32>> {
        let is_it = |v: &&Variable| matches!(v.site, Site::Block(found, _) if found == part);
        let variables = self.variables.iter().filter(is_it);
        let all: Vec<_> = variables
            .filter(|v| v.name.ends_with("weight"))
            .map(|v| bits(&self.values[v.range.clone()]))
            .collect();
        assert_eq!(all.len(), 3, "groups");
        all
    }
}

fn are_equal(copies: &[Vec<u32>]) -> bool {
    copies.iter().all(|copy| *copy == copies[0])
}

#[test]
fn with_both_parts_tied_a_model_learns_as_one_of_a_single_group() {
    let folder = common::folder(&[]);
    let run = |name: &str, groups, tied: &[Tied]| {
        train(&folder.path().join(name), groups, tied, 2, 99).expect("an end")
    };
    let one = run("one", 1, &[]);
    let both = run("both", 3, &[Tied::Attention, Tied::Ffn]);
    let free = run("free", 3, &[]);
    let farthest = |other: &Ended, what: usize| {
        let pairs = one.steps.iter().zip(&other.steps);
        let far = pairs.map(|(a, b)| (a[what] - b[what]).abs() / a[what]);
        far.fold(0.0, f64::max)
    };
    assert_eq!(one.steps.len(), STEPS as usize);
    assert!(one.steps[7][0] < one.steps[0][0], "{:?}", one.steps);
    for (what, name) in ["loss", "norm"].into_iter().enumerate() {
        let (near, far) = (farthest(&both, what), farthest(&free, what));
        println!("{name}: {near:e} with both parts tied, {far:e} with none");
        // The sums over the layers are added in another order: a few roundings of f32.
        assert!(near <= 1e-6 && far > 1e-3, "{name}: {near:e}, {far:e}");
    }
}

#[test]
fn tied_tensors_have_equal_bits_and_the_others_differ() {
    use BlockSite::{AttentionNorm, AttentionOutput, Ffn, FfnOutput, Key, LayerNorm, Query, Value};
    let attention = [Query, Key, Value, AttentionOutput, AttentionNorm];
    let ffn = [Ffn, FfnOutput, LayerNorm];
    let folder = common::folder(&[]);
    for (tied, equal, other) in [
        (Tied::Attention, &attention[..], &ffn[..]),
        (Tied::Ffn, &ffn, &attention),
    ] {
        let output = folder.path().join(format!("{tied:?}"));
        let ended = train(&output, 3, &[tied], 1, 99).expect("an end");
        for part in equal {
            assert!(are_equal(&ended.copies(*part)), "{tied:?}: {part:?}");
        }
        for part in other {
            assert!(!are_equal(&ended.copies(*part)), "{tied:?}: {part:?}");
        }
        // The model's file holds the copies, as any model with three groups.
        let file = Checkpoint::open(&output).expect("the result");
        for variable in &ended.variables {
            let Some(tensor) = file.get(&variable.name) else {
                continue;
            };
            let mut found = vec![0.0; variable.range.len()];
            file.read_f32(tensor, 0, &mut found).expect("read");
            let expected = bits(&ended.values[variable.range.clone()]);
            assert!(bits(&found) == expected, "{}", variable.name);
        }
        let name = "albert.encoder.albert_layer_groups.2.albert_layers.0.ffn.weight";
        assert!(file.get(name).is_some());
    }
}

#[test]
fn a_run_that_goes_on_keeps_the_tie() {
    let folder = common::folder(&[]);
    let path = |name: &str| folder.path().join(name);
    let tied = [Tied::Attention];
    let whole = train(&path("whole"), 3, &tied, 1, 99).expect("an end");
    train(&path("pieces"), 3, &tied, 1, 3).expect("a stop");
    let pieces = train(&path("pieces"), 3, &tied, 2, 99).expect("an end");
    assert!(bits(&whole.values) == bits(&pieces.values));
    assert_eq!(whole.steps, pieces.steps);
    for other in [&[Tied::Ffn][..], &[]] {
        let refused = train(&path("pieces"), 3, other, 1, 99);
        let refused = refused.err().expect("another tie").to_string();
        assert!(refused.contains("tied"), "{refused}");
    }
}
