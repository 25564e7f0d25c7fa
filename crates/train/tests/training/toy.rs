//! A learner without a model: least squares with noise, whose every number follows from step and sample.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use albert::{Variable, names};
use albert_train::learner::{Learner, Metrics};
use albert_train::optim::{Form, Method, OptimizerOptions};
use albert_train::trainer::options::{Cadence, Length, Micro, TrainOptions, Warmup};

/// More than one piece of the optimiser, so that threads share the work.
pub(crate) const WIDTH: usize = 20_000;
pub(crate) const SAMPLES: usize = 50;

type Evaluation = Box<dyn Fn(usize) -> Metrics>;

pub(crate) struct Toy {
    variables: Vec<Variable>,
    values: Vec<f32>,
    /// Pause between the pieces of the model's file, so that a kill meets it half written.
    pub(crate) pause: Duration,
    /// The step of which the gradient is NaN.
    pub(crate) nan_at: Option<u64>,
    /// The same, but only while the first parameter has these bits: no longer after another learning rate.
    pub(crate) nan_if: Option<(u64, u32)>,
    /// The first parameter's bits at the beginning of step 9.
    pub(crate) at_9: u32,
    /// Fails at this step.
    pub(crate) fail_at: Option<u64>,
    /// Saves until the disk is full.
    pub(crate) saves_left: Cell<usize>,
    /// Metrics of the n-th evaluation.
    pub(crate) metrics: Evaluation,
    evaluations: usize,
    /// Number of calls of `gradient`.
    pub(crate) parts: usize,
    /// Sets this flag in that call.
    pub(crate) interrupt: Option<(usize, &'static std::sync::atomic::AtomicBool)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(String);

fn uniform(a: u64, b: u64) -> f32 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 29;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 32;
    (x >> 40) as f32 / (1 << 24) as f32 - 0.5
}

impl Toy {
    pub(crate) fn new() -> Self {
        let variable = |name: &str, range: std::ops::Range<usize>| Variable {
            site: names::Site::Pooler,
            field: names::Field::Weight,
            name: name.to_owned(),
            shape: vec![range.len()],
            range,
        };
        Self {
            variables: vec![
                variable("w.weight", 0..WIDTH),
                variable("w.bias", WIDTH..WIDTH + 3),
            ],
            values: (0..WIDTH + 3)
                .map(|i| uniform(77, i as u64) * 0.01)
                .collect(),
            pause: Duration::ZERO,
            nan_at: None,
            nan_if: None,
            fail_at: None,
            at_9: 0,
            saves_left: Cell::new(usize::MAX),
            metrics: Box::new(|_| Metrics::new()),
            evaluations: 0,
            parts: 0,
            interrupt: None,
        }
    }

    pub(crate) fn bits(&self) -> Vec<u32> {
        self.values.iter().map(|x| x.to_bits()).collect()
    }
}

impl Learner for Toy {
    type Error = Failed;

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn assign(&mut self, values: &[f32]) {
        self.values.copy_from_slice(values);
    }

    fn samples(&self) -> usize {
        SAMPLES
    }

    fn tokens(&self, sample: usize) -> usize {
        3 + sample % 5
    }

    fn terms(&self, samples: &[usize]) -> Result<[usize; 2], Failed> {
        Ok([samples.len(), 0])
    }

    fn gradient(
        &mut self,
        samples: &[usize],
        terms: [usize; 2],
        step: u64,
        gradient: &mut [f32],
    ) -> Result<[f64; 2], Failed> {
        self.parts += 1;
        if let Some((call, flag)) = self.interrupt
            && call == self.parts
        {
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        if self.fail_at == Some(step) {
            return Err(Failed("no such word".to_owned()));
        }
        let mut loss = 0.0;
        for &sample in samples {
            let x = |i: usize| uniform(sample as u64 + 1, i as u64);
            let noise = uniform(step + 1000, sample as u64) * 0.1;
            let product: f32 = self.values.iter().enumerate().map(|(i, w)| w * x(i)).sum();
            let error = product - uniform(5, sample as u64) - noise;
            loss += f64::from(error * error) / terms[0] as f64;
            let slope = 2.0 * error / terms[0] as f32;
            for (i, g) in gradient.iter_mut().enumerate() {
                *g += slope * x(i);
            }
        }
        let first = self.values[0].to_bits();
        if step == 9 {
            self.at_9 = first;
        }
        if self.nan_at == Some(step) || self.nan_if == Some((step, first)) {
            gradient[WIDTH / 2] = f32::NAN;
        }
        Ok([loss / 2.0; 2])
    }

    fn evaluate(&mut self) -> Result<Metrics, Failed> {
        self.evaluations += 1;
        Ok((self.metrics)(self.evaluations - 1))
    }

    /// The values cut to bfloat16: whoever goes on from this file gets other numbers.
    fn save(&self, folder: &Path) -> Result<(), Failed> {
        let left = self.saves_left.get();
        let failed = |error: std::io::Error| Failed(error.to_string());
        let mut file = std::fs::File::create(folder.join("model.bin")).map_err(failed)?;
        for part in self.values.chunks(WIDTH / 4) {
            let bytes: Vec<u8> = part
                .iter()
                .flat_map(|x| x.to_be_bytes()[..2].to_vec())
                .collect();
            file.write_all(&bytes).map_err(failed)?;
            std::thread::sleep(self.pause);
            if left == 0 {
                return Err(Failed("No space left on device".to_owned()));
            }
        }
        self.saves_left.set(left - 1);
        Ok(())
    }
}

/// 40 updates of LAMB, seven to an epoch, a checkpoint after each fourth.
pub(crate) fn options(output: &Path) -> TrainOptions {
    let mut options = TrainOptions::new(output);
    options.length = Length::Steps(40);
    options.micro = Micro::Tokens(13);
    options.learning_rate = 0.01;
    options.warmup = Warmup::Ratio(0.1);
    options.optimizer = OptimizerOptions::new(Method::Lamb, Form::Standard);
    options.optimizer.weight_decay = 0.01;
    options.log_every = 3;
    options.save = Cadence::Steps(4);
    options.keep = Some(2);
    options
}
