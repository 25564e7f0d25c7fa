//! A model that several ranks train gives the bits of one process: with dropout, sequences of all lengths, questions with
//! three and with four choices; and pre-training with both of its losses, samples in an order of their own, by LAMB.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use albert::heads::{MultipleChoice, PreTraining, PreTrainingLabels, Trainable};
use albert::{Albert, AlbertConfig, Cpu, CpuOptions, DropoutPlan, Inputs, LoadOptions};
use albert_formats::Checkpoint;
use albert_train::dataset::Dataset;
use albert_train::exchange::{Ranks, Threads};
use albert_train::learner::Learner;
use albert_train::model::{ModelLearner, ModelOptions};
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::state;
use albert_train::trainer::observer::Observer;
use albert_train::trainer::options::{Cadence, Length, Micro, Order, TrainOptions};
use albert_train::trainer::{End, Trainer};

/// Questions with three and with four choices of 2 to 17 tokens each.
struct Questions(Vec<(Vec<Vec<i64>>, i64)>);

impl Questions {
    fn new() -> Self {
        let mut random = common::Random(5);
        let mut below = |n: u64| random.below(n) as i64;
        let question = |i: i64| {
            let count = 3 + i % 2;
            let choices = (0..count).map(|_| {
                let length = 2 + below(16);
                (0..length).map(|_| 5 + below(80)).collect()
            });
            (choices.collect(), i % count)
        };
        Self((0..27).map(question).collect())
    }
}

impl Dataset<Vec<i64>> for Questions {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.0[sample].0.iter().map(Vec::len).sum()
    }

    fn group(&self, sample: usize) -> usize {
        self.0[sample].0.len()
    }

    fn batch(&self, samples: &[usize]) -> albert_train::Result<(Inputs, Vec<i64>)> {
        let questions = samples.iter().map(|&sample| &self.0[sample]);
        let choices: Vec<Vec<i64>> = questions.clone().flat_map(|(c, _)| c.clone()).collect();
        let inputs = Inputs {
            choices: samples.first().map(|&first| self.group(first)),
            ..Inputs::from_sequences(&choices, 0)
        };
        Ok((inputs, questions.map(|(_, label)| *label).collect()))
    }
}

/// Two segments of 6 to 20 tokens in all. Every third has no label of a word, every fourth none of the order.
struct Segments(Vec<(Vec<i64>, Vec<i64>, i64)>);

impl Segments {
    fn new() -> Self {
        let mut random = common::Random(6);
        let mut below = |n: u64| random.below(n) as i64;
        let sample = |i: i64| {
            let length = 6 + below(15);
            let ids: Vec<i64> = (0..length).map(|_| 5 + below(80)).collect();
            let label = |(at, &id): (i64, &i64)| match i % 3 != 0 && at % 4 == 1 {
                true => id,
                false => -100,
            };
            let labels = (0..).zip(&ids).map(label).collect();
            (ids, labels, if i % 4 == 0 { -100 } else { i % 2 })
        };
        Self((0..80).map(sample).collect())
    }
}

impl Dataset<PreTrainingLabels> for Segments {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.0[sample].0.len()
    }

    fn batch(&self, samples: &[usize]) -> albert_train::Result<(Inputs, PreTrainingLabels)> {
        let samples: Vec<_> = samples.iter().map(|&sample| &self.0[sample]).collect();
        let ids: Vec<Vec<i64>> = samples.iter().map(|sample| sample.0.clone()).collect();
        let inputs = Inputs::from_sequences(&ids, 0);
        let mut labels = Vec::new();
        for (_, own, _) in &samples {
            labels.extend(own);
            labels.resize(labels.len() + inputs.length - own.len(), -100);
        }
        let labels = PreTrainingLabels {
            labels: Some(labels),
            sentence_order_label: Some(samples.iter().map(|sample| sample.2).collect()),
        };
        Ok((inputs, labels))
    }
}

/// Stops a run after a step.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn stepped(&mut self, step: u64, _: u64) {
        if step == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

/// Trains with `size` ranks; rank 0 is told to stop after a step. How it ended, and the number of parameters.
fn train<H: Trainable<Cpu>>(
    data: &impl Dataset<H::Labels>,
    output: &Path,
    size: usize,
    parts: usize,
    stop_after: u64,
) -> (End, usize) {
    let rank = |exchange: Threads, number: usize| {
        let folder = common::fixtures().join("demo");
        let (config, _) = AlbertConfig::from_file(&folder.join("config.json")).expect("a model");
        let checkpoint = Checkpoint::open(&folder).expect("a checkpoint");
        let device = Cpu::new(CpuOptions {
            threads: 1 + number % 2,
            ..CpuOptions::default()
        });
        let fresh = LoadOptions {
            fresh_head: Some(1),
            ..LoadOptions::default()
        };
        let dropout = DropoutPlan {
            hidden: 0.1,
            attention: 0.1,
            classifier: 0.1,
            ..DropoutPlan::of(&config, 5)
        };
        let device = device.expect("threads");
        let (model, _) =
            Albert::<H, Cpu>::from_checkpoint(config, &checkpoint, &folder, device, fresh)
                .expect("loads");
        let how = ModelOptions {
            dropout,
            checkpointing: false,
            files: Vec::new(),
            kept_bytes: 1 << 24,
        };
        let learner = ModelLearner::new(model, None, data, None, how);
        let len = learner.values().len();
        let mut options = TrainOptions::new(output);
        // Batches of 12, 12 and 3.
        (options.length, options.batch) = (Length::Steps(7), 12);
        (options.parts, options.micro) = (parts, Micro::Tokens(60));
        (options.learning_rate, options.save) = (1e-3, Cadence::Steps(3));
        if H::CLASS == "AlbertForPreTraining" {
            options.order = Order::AsGiven;
            options.optimizer = OptimizerOptions::new(Method::Lamb, Form::Google);
        }
        let trainer = Trainer::with_ranks(
            learner,
            options,
            Ranks::new(Box::new(exchange)).expect("ranks"),
        );
        let (mut trainer, stop) = (trainer.expect("a trainer"), AtomicBool::new(false));
        let at = if number == 0 { stop_after } else { u64::MAX };
        let outcome = trainer.run(&mut StopAfter(at, &stop), &stop);
        (outcome.expect("an end").end, len)
    };
    let rank = &rank;
    std::thread::scope(|scope| {
        let ranks: Vec<_> = Threads::new(size)
            .into_iter()
            .enumerate()
            .map(|(number, exchange)| scope.spawn(move || rank(exchange, number)))
            .collect();
        let ends: Vec<_> = ranks
            .into_iter()
            .map(|rank| rank.join().expect("no panic"))
            .collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        ends[0]
    })
}

/// Parameters, both means, and the file of the model.
fn result(output: &Path, len: usize) -> ([Vec<u32>; 3], Vec<u8>) {
    let saved = state::read(&output.join("checkpoint-7"), len).expect("the end");
    let bits = [saved.parameters, saved.m, saved.v]
        .map(|values| values.iter().map(|x| x.to_bits()).collect());
    let model = std::fs::read(output.join("model.safetensors")).expect("the result");
    (bits, model)
}

#[test]
fn any_number_of_ranks_gives_the_model_of_one() {
    any_number_of_ranks::<MultipleChoice<Cpu>>(&Questions::new());
}

#[test]
fn any_number_of_ranks_pre_trains_the_model_of_one() {
    any_number_of_ranks::<PreTraining<Cpu>>(&Segments::new());
}

fn any_number_of_ranks<H: Trainable<Cpu>>(data: &impl Dataset<H::Labels>) {
    let home = common::folder(&[]);
    let run = |name: &str, size, parts| {
        let output = home.path().join(name);
        let (end, len) = train::<H>(data, &output, size, parts, u64::MAX);
        assert_eq!(end, End::Finished);
        result(&output, len)
    };
    let alone = run("1", 1, 8);
    for size in [2, 4, 8] {
        assert!(run(&size.to_string(), size, 8) == alone, "{size} ranks");
    }
    assert!(run("other", 2, 2).0 != alone.0);
    // With interruptions, and another number of ranks each time.
    let output = home.path().join("pieces");
    for (size, stop_after) in [(4, 2), (1, 5)] {
        let (end, _) = train::<H>(data, &output, size, 8, stop_after);
        assert_eq!(end, End::Interrupted);
    }
    let (end, len) = train::<H>(data, &output, 2, 8, u64::MAX);
    assert_eq!(end, End::Finished);
    assert!(result(&output, len) == alone);
}
