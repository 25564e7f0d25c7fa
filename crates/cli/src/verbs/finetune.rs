//! `albert finetune`: trains a model for a task, from the task's original files to a folder that every verb reads.

mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use albert::heads::{
    MultipleChoice, QuestionAnswering, SequenceClassification, TokenClassification, Trainable,
};
use albert::{Albert, AlbertConfig, Cpu, DropoutPlan, LoadOptions, Precision, ProblemType};
use albert_formats::Checkpoint;
use albert_tokenizer::AlbertTokenizer;
use albert_train::dataset::Dataset;
use albert_train::exchange::Exchange;
use albert_train::learner::{Learner, Metrics};
use albert_train::memory::{DEFAULT_ACTIVATIONS, Memory};
use albert_train::model::{Evaluate, ModelLearner, ModelOptions};
use albert_train::recipe::Recipe;
use albert_train::report::card::Card;
use albert_train::report::tensorboard::TensorBoard;
use albert_train::report::{eval_results, train_results, write_card, write_results};
use albert_train::tasks::glue;
use albert_train::tasks::race::ChoiceDataset;
use albert_train::tasks::squad::{AnswerChoice, SquadDataset};
use albert_train::tasks::table::TableTask;
use albert_train::tasks::tagging::{TaggedDataset, label_names};
use albert_train::trainer::options::{Best, Cadence, Micro, Resume, TrainOptions};
use albert_train::trainer::{End, Trainer};
use anyhow::{Context, Result, anyhow, bail};

use crate::device::ComputeFlags;
use crate::ranks;
use crate::stream::Voice;
use crate::training::{
    DataFlags, EVALUATION_TOKENS, Show, Split, TaskName, metrics_line, read_glue,
};
use settings::Settings;

/// Train a model for a task: GLUE, SQuAD, RACE, tagging, or your own labelled texts
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert finetune sst2 --model DIR --data GLUE --output sst2
  albert finetune classification --model DIR --train-file train.csv --output mine
  albert finetune squad2 --model DIR --train-file train-v2.0.json --output qa --recipe readme",
    after_help = "\
A run that was stopped goes on when the same command is given again. Exit code 130: stopped by Ctrl-C, after a checkpoint."
)]
pub(crate) struct Finetune {
    /// What to learn
    #[arg(value_enum)]
    task: TaskName,
    /// Model folder to begin from
    #[arg(long, short, value_name = "DIR", alias = "model_name_or_path")]
    model: PathBuf,
    /// Folder of checkpoints and of the result: new, empty, or that of a run to go on with
    #[arg(long, short, value_name = "DIR", alias = "output_dir")]
    output: PathBuf,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    settings: Settings,
    /// Say what would be done and how much memory it needs, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the results as one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: ComputeFlags,
    #[command(flatten)]
    voice: Voice,
}

/// A task's data, ready to learn from.
struct Prepared<'a, H: Trainable<Cpu>> {
    labels: Option<Vec<String>>,
    problem: Option<ProblemType>,
    data: &'a dyn Dataset<H::Labels>,
    evaluate: Option<(Box<Evaluate<'a, H>>, usize)>,
}

impl Finetune {
    pub(crate) fn run(self) -> Result<()> {
        ranks::together(|exchange| self.learn(exchange))
    }

    /// As one of the ranks of a run; without mpirun, the only one.
    fn learn(mut self, exchange: Box<dyn Exchange>) -> Result<()> {
        if exchange.rank() > 0 {
            self.voice = Voice::silenced();
        }
        let (config, _) = AlbertConfig::from_file(&self.model.join("config.json"))
            .map_err(albert::Error::from)?;
        let recipe = self.settings.recipe(self.task, &config)?;
        let length = recipe.max_seq_length;
        let windows = self.data.windowing(length);
        let tokenizer = AlbertTokenizer::from_pretrained(
            &self.model,
            albert_tokenizer::LoadOptions::default(),
        )?;
        let (data, voice, has_dev) = (&self.data, self.voice, self.data.has_dev(self.task));
        let tokens = EVALUATION_TOKENS;
        match self.task {
            TaskName::Classification | TaskName::MultiLabel | TaskName::Regression => {
                let table = data.table(self.task, Split::Train, voice)?;
                let task = TableTask::of(&table)?;
                let train = task.dataset(&tokenizer, &table, &windows.encode)?;
                self.tell_cut(train.cut(), train.len());
                let dev = has_dev
                    .then(|| data.table(self.task, Split::Dev, voice))
                    .transpose()?;
                let dev = dev
                    .map(|dev| task.dataset(&tokenizer, &dev, &windows.encode))
                    .transpose()?;
                let prepared = Prepared {
                    labels: Some(task.labels().to_vec()),
                    problem: Some(task.problem_type()),
                    data: &train,
                    evaluate: dev.as_ref().map(|dev| {
                        evaluation(dev.len(), |model| {
                            Ok(task.evaluate(model, dev, tokens)?.metrics)
                        })
                    }),
                };
                self.train::<SequenceClassification<Cpu>>(config, recipe, prepared, exchange)
            }
            TaskName::Squad | TaskName::Squad2 => {
                let file = data.squad(Split::Train, voice)?;
                let train = SquadDataset::new(&tokenizer, &file, &windows.squad())?;
                let dev = has_dev.then(|| data.squad(Split::Dev, voice)).transpose()?;
                let dev = match dev {
                    Some(file) => Some((
                        SquadDataset::new(&tokenizer, &file, &windows.squad())?,
                        file,
                    )),
                    None => None,
                };
                let choice = AnswerChoice {
                    no_answer: self.task == TaskName::Squad2,
                    ..AnswerChoice::default()
                };
                let prepared = Prepared {
                    labels: None,
                    problem: None,
                    data: &train,
                    evaluate: dev.as_ref().map(|(dev, file)| {
                        evaluation(file.questions.len(), move |model| {
                            Ok(dev.evaluate(model, file, &choice, tokens)?.metrics)
                        })
                    }),
                };
                self.train::<QuestionAnswering<Cpu>>(config, recipe, prepared, exchange)
            }
            TaskName::Race | TaskName::Choices => {
                let make = |split| -> Result<ChoiceDataset> {
                    let examples = data.choices(self.task, split, voice)?;
                    Ok(ChoiceDataset::new(
                        &tokenizer,
                        &examples,
                        windows.qa(),
                        &windows.encode,
                    )?)
                };
                let train = make(Split::Train)?;
                self.tell_cut(train.cut(), train.len());
                let dev = has_dev.then(|| make(Split::Dev)).transpose()?;
                let prepared = Prepared {
                    labels: None,
                    problem: None,
                    data: &train,
                    evaluate: dev.as_ref().map(|dev| {
                        evaluation(dev.len(), |model| Ok(dev.evaluate(model, tokens)?.metrics))
                    }),
                };
                self.train::<MultipleChoice<Cpu>>(config, recipe, prepared, exchange)
            }
            TaskName::Tagging => {
                let file = data.tagged(Split::Train)?;
                let dev = has_dev.then(|| data.tagged(Split::Dev)).transpose()?;
                let names = label_names([&file].into_iter().chain(&dev));
                let stride = windows.stride.min(length / 4);
                let make =
                    |file| TaggedDataset::new(&tokenizer, file, &names, stride, &windows.encode);
                let train = make(&file)?;
                let dev = dev.as_ref().map(make).transpose()?;
                let prepared = Prepared {
                    labels: Some(names.clone()),
                    problem: None,
                    data: &train,
                    evaluate: dev.as_ref().map(|dev| {
                        evaluation(dev.len(), |model| Ok(dev.evaluate(model, tokens)?.metrics))
                    }),
                };
                self.train::<TokenClassification<Cpu>>(config, recipe, prepared, exchange)
            }
            glue => {
                let task = glue.glue().expect("the rest are GLUE's");
                let make = |split| -> Result<_> {
                    let examples = read_glue(task, data, split, voice)?;
                    Ok(task.dataset(&tokenizer, &examples, &windows.encode)?)
                };
                let train = make(glue::Split::Train)?;
                self.tell_cut(train.cut(), train.len());
                let splits = task.dev_splits().iter();
                let devs: Vec<_> = splits
                    .map(|&split| Ok((split, make(split)?)))
                    .collect::<Result<_>>()?;
                let samples = devs.iter().map(|(_, dev)| dev.len()).sum();
                let prepared = Prepared {
                    labels: Some(task.labels().iter().map(|&name| name.to_owned()).collect()),
                    problem: Some(task.problem_type()),
                    data: &train,
                    evaluate: Some(evaluation(samples, |model| {
                        let mut all = Metrics::new();
                        for (split, dev) in &devs {
                            all.extend(task.evaluate(model, dev, *split, tokens)?.metrics);
                        }
                        Ok(all)
                    })),
                };
                self.train::<SequenceClassification<Cpu>>(config, recipe, prepared, exchange)
            }
        }
    }

    fn tell_cut(&self, cut: usize, all: usize) {
        if cut > 0 {
            self.voice.note(format_args!(
                "{cut} of {all} training samples are longer than --max-seq-length and were cut"
            ));
        }
    }

    fn train<H: Trainable<Cpu>>(
        &self,
        mut config: AlbertConfig,
        recipe: Recipe,
        prepared: Prepared<'_, H>,
        exchange: Box<dyn Exchange>,
    ) -> Result<()> {
        let (rank, size) = (exchange.rank(), exchange.size());
        let (device, precision) = self.device.open(Some(&self.model))?;
        if precision == Precision::Int8 {
            bail!(
                "{}: expected weights in f32 or bf16, found int8, which has no gradient; begin from the folder that it was \
                 quantised from, without --dtype int8, and quantise the result",
                self.model.display()
            );
        }
        let checkpoint = Checkpoint::open(&self.model)?;
        if let Some(labels) = &prepared.labels {
            self.check_labels(&checkpoint, &config, labels)?;
            config.set_labels(labels.clone());
        }
        config.problem_type = prepared.problem.or(config.problem_type);
        let threads = device.threads();
        let plan = self.settings.dropout(&config, &recipe);
        let options = self.options(&config, &recipe, &plan, prepared.data, precision, threads)?;
        let Prepared { data, evaluate, .. } = prepared;
        let (evaluate, eval_samples) = evaluate.unzip();
        let (memory, tokens) = self.memory(&config, data, &options, size);
        if self.dry_run && rank > 0 {
            return Ok(());
        }
        if self.dry_run {
            return self.tell_plan(&options, memory.total(tokens), data.len());
        }
        let load = |device| {
            let fresh = LoadOptions {
                fresh_head: Some(self.settings.seed),
                ..LoadOptions::default()
            };
            Albert::<H, Cpu>::from_checkpoint(
                config.clone(),
                &checkpoint,
                &self.model,
                device,
                fresh,
            )
        };
        // Weights in bfloat16 would have forgotten what they were read from.
        let exact = match precision {
            Precision::F32 => None,
            _ => {
                let options = albert::CpuOptions {
                    isa: device.isa(),
                    threads,
                    precision: Precision::F32,
                };
                Some(load(Cpu::new(options)?)?.0.parameters().1)
            }
        };
        let (model, report) = load(device)?;
        self.tell_loaded(&report);
        let model_options = ModelOptions {
            dropout: plan,
            checkpointing: self.settings.gradient_checkpointing,
            files: tokenizer_files(&self.model),
            kept_bytes: usize::try_from(memory.activations(tokens)).unwrap_or(usize::MAX),
        };
        let learner = ModelLearner::new(model, exact, data, evaluate, model_options);
        let mut trainer = Trainer::with_ranks(learner, options, exchange)?;
        if let Some(from) = trainer.resumed_from() {
            self.voice
                .note(format_args!("going on from {}", from.display()));
        }
        let stop = Arc::new(AtomicBool::new(false));
        watch_signals(&stop, size > 1)?;
        let outcome = if rank == 0 {
            let show = Show::new(self.voice, trainer.state().step);
            let mut observer = TensorBoard::create(&self.output, trainer.state().step, show)?;
            let outcome = trainer.run(&mut observer, &stop)?;
            observer.finish()?;
            outcome
        } else {
            trainer.run(&mut (), &stop)?
        };
        if outcome.end == End::Interrupted {
            return Err(anyhow!(super::Interrupted)).with_context(|| {
                let step = outcome.step;
                format!("stopped at step {step}; the same command goes on from there")
            });
        }
        if rank > 0 {
            return Ok(());
        }
        let traffic = trainer.traffic();
        let (options, state) = (trainer.options().clone(), trainer.state().clone());
        let samples = data.len();
        let mut all = train_results(&outcome, &options, &state, samples);
        write_results(&self.output, "train", &all)?;
        let mut learner = trainer.into_learner();
        let start = Instant::now();
        let metrics = learner.evaluate()?;
        if let Some(samples) = eval_samples {
            let seconds = start.elapsed().as_secs_f64();
            let results = eval_results(&metrics, samples, seconds, &options, &state);
            write_results(&self.output, "eval", &results)?;
            all.extend(results);
        }
        write_card(&self.output, &self.card(), &options, &state, &metrics)?;
        let mut out = std::io::stdout().lock();
        use std::io::Write;
        if self.json {
            writeln!(out, "{}", serde_json::Value::Object(all))?;
        } else {
            let seconds = outcome.elapsed.as_secs_f64();
            let rate = outcome.tokens_now as f64 / seconds.max(1e-9);
            let line = metrics_line(&metrics);
            let separator = if line.is_empty() { "" } else { ": " };
            writeln!(out, "{}{separator}{line}", self.output.display())?;
            self.voice.note(format_args!(
                "{} steps in {seconds:.0} s, {rate:.0} tokens/s, mean training loss {:.4}",
                outcome.steps_now, outcome.train_loss
            ));
            if size > 1 {
                self.voice
                    .note(ranks::traffic_line(size, traffic, &outcome));
            }
        }
        Ok(())
    }

    /// Refuses a model that already tells other labels apart, where their number differs; tells where only names do.
    fn check_labels(
        &self,
        checkpoint: &Checkpoint,
        config: &AlbertConfig,
        labels: &[String],
    ) -> Result<()> {
        let classifier = checkpoint.get("classifier.weight");
        let Some(&found) = classifier.and_then(|tensor| tensor.shape.first()) else {
            return Ok(());
        };
        let own = &config.id2label;
        if found != labels.len() {
            bail!(
                "{}: expected a classifier of {} labels, those of the data ({}), found one of {} ({}); begin from the model \
                 that it was fine-tuned from, which has no classifier, or give data with these labels",
                self.model.display(),
                labels.len(),
                few(labels),
                found,
                few(own),
            );
        }
        if own != labels {
            self.voice.note(format_args!(
                "the classifier of {} is kept, and its labels ({}) get the names of the data's ({})",
                self.model.display(),
                few(own),
                few(labels),
            ));
        }
        Ok(())
    }

    fn options<L>(
        &self,
        config: &AlbertConfig,
        recipe: &Recipe,
        plan: &DropoutPlan,
        data: &dyn Dataset<L>,
        precision: Precision,
        threads: usize,
    ) -> Result<TrainOptions> {
        let settings = &self.settings;
        let mut options = TrainOptions::new(&self.output);
        recipe.apply(&mut options);
        settings.apply(&mut options);
        options.resume = Resume::Last;
        options.threads = threads;
        let has_dev = self.data.has_dev(self.task);
        if !has_dev {
            options.evaluate = Cadence::Never;
        }
        let metric = settings.metric.clone();
        if has_dev && matches!(options.evaluate, Cadence::Steps(_) | Cadence::Epochs) {
            let name = metric.unwrap_or_else(|| self.task.metric().to_owned());
            options.best = Some(Best {
                greater_is_better: !name.ends_with("loss") && name != "mse",
                metric: name,
            });
        }
        options.micro = match settings.micro_batch {
            Some(samples) => Micro::Samples(samples),
            None => {
                let longest = (0..data.len()).map(|i| data.tokens(i)).max().unwrap_or(1);
                let bytes = settings
                    .activation_memory
                    .map_or(DEFAULT_ACTIVATIONS, |mib| mib << 20);
                let memory = Memory::of(config, 0, 0.0, settings.gradient_checkpointing);
                Micro::Tokens(memory.tokens(bytes, longest))
            }
        };
        let facts = [
            ("task", format!("{:?}", self.task)),
            ("model", self.model.display().to_string()),
            ("dtype", crate::device::name(precision).to_owned()),
            ("max_seq_length", recipe.max_seq_length.to_string()),
            (
                "dropout",
                format!("{} and {} of attention", plan.hidden, plan.attention),
            ),
            ("classifier dropout", plan.classifier.to_string()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        options.facts = facts
            .into_iter()
            .chain(self.data.facts())
            .collect::<BTreeMap<_, _>>();
        Ok(options)
    }

    /// What the run needs, and the tokens of its largest micro-batch.
    fn memory<L>(
        &self,
        config: &AlbertConfig,
        data: &dyn Dataset<L>,
        options: &TrainOptions,
        ranks: usize,
    ) -> (Memory, usize) {
        let longest = (0..data.len()).map(|i| data.tokens(i)).max().unwrap_or(1);
        let parameters = config.parameter_count(self.task.class());
        let mut memory = Memory::of(
            config,
            parameters,
            0.0,
            self.settings.gradient_checkpointing,
        );
        // Sums of parts that are to be added.
        let sums = (options.parts / ranks).max(1).ilog2();
        memory.fixed += u64::from(sums) * parameters * size_of::<f32>() as u64;
        let all: usize = (0..data.len()).map(|i| data.tokens(i)).sum();
        // A batch of longest samples is rare: twice the mean, at most what the micro-batch allows.
        let part = options.batch.div_ceil(options.parts.max(1));
        let batch = (2 * part * all.div_ceil(data.len().max(1))).max(longest);
        let tokens = match options.micro {
            Micro::Tokens(most) => batch.min(most),
            Micro::Samples(samples) => batch.min(samples * longest),
        };
        (memory, tokens)
    }

    fn tell_plan(&self, options: &TrainOptions, memory: u64, samples: usize) -> Result<()> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        let micro = match options.micro {
            Micro::Samples(n) => format!("{n} samples"),
            Micro::Tokens(n) => format!("{n} tokens"),
        };
        writeln!(
            out,
            "{samples} samples, {} steps of {}, micro-batches of {micro}, learning rate {:e}; about {} MB of memory",
            options.total_steps(samples),
            options.batch,
            options.learning_rate,
            memory / 1_000_000,
        )?;
        Ok(())
    }

    fn tell_loaded(&self, report: &albert::LoadReport) {
        let fresh = report.fresh.len();
        self.voice.note(format_args!(
            "{} tensors loaded, {fresh} drawn at random{}{}",
            report.loaded.len(),
            if fresh > 0 { ": " } else { "" },
            report.fresh.join(", ")
        ));
    }

    fn card(&self) -> Card {
        Card {
            name: file_name(&self.output),
            base_model: Some(file_name(&self.model)),
            task: Some(self.task.hub().to_owned()),
            dataset: Some(file_name(Path::new(&self.data.origin()))),
            versions: vec![("albert".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
            ..Card::default()
        }
    }
}

fn evaluation<'a, H: Trainable<Cpu>>(
    samples: usize,
    run: impl Fn(&Albert<H, Cpu>) -> Result<Metrics, Box<dyn std::error::Error + Send + Sync>> + 'a,
) -> (Box<Evaluate<'a, H>>, usize) {
    (Box::new(run), samples)
}

/// A list that fits into a message.
fn few(labels: &[String]) -> String {
    let more = if labels.len() > 8 { ", …" } else { "" };
    labels[..labels.len().min(8)].join(", ") + more
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The files of a folder that make its tokenizer.
fn tokenizer_files(folder: &Path) -> Vec<PathBuf> {
    const NAMES: [&str; 6] = [
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
    ];
    let files = NAMES.iter().map(|name| folder.join(name));
    files.filter(|path| path.is_file()).collect()
}

/// SIGUSR1 too where mpirun passes it on: what it does at SIGINT leaves its processes a second.
#[cfg(unix)]
fn watch_signals(stop: &Arc<AtomicBool>, distributed: bool) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    let signals = [SIGINT, SIGTERM, SIGUSR1];
    for &signal in &signals[..if distributed { 3 } else { 2 }] {
        signal_hook::flag::register(signal, Arc::clone(stop))
            .context("cannot watch for signals")?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(_: &Arc<AtomicBool>, _: bool) -> Result<()> {
    Ok(())
}
