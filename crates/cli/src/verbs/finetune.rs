//! `albert finetune`: trains a model for a task, from the task's original files to a folder that every verb reads.

mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert::config::PositionEmbeddingType;
use albert::heads::{
    JointQuestionAnswering, MultipleChoice, QuestionAnswering, SequenceClassification,
    TokenClassification, Trainable,
};
use albert::{
    Albert, AlbertConfig, Cpu, DropoutPlan, LoadOptions, ModelFolder, Precision, ProblemType,
};
use albert_formats::Checkpoint;
use albert_hub::Want;
use albert_tokenizer::AlbertTokenizer;
use albert_train::dataset::Dataset;
use albert_train::exchange::Ranks;
use albert_train::learner::Metrics;
use albert_train::model::Evaluate;
use albert_train::recipe::Recipe;
use albert_train::report::card::Card;
use albert_train::tasks::glue;
use albert_train::tasks::race::ChoiceDataset;
use albert_train::tasks::squad::{AnswerChoice, JointSquad, SquadDataset};
use albert_train::tasks::table::TableTask;
use albert_train::tasks::tagging::{TaggedDataset, label_names};
use albert_train::trainer::options::{Best, Cadence, Micro, Resume, TrainOptions};
use anyhow::{Result, bail};

use crate::device::ComputeFlags;
use crate::hub::RevisionFlag;
use crate::ranks;
use crate::stream::Voice;
use crate::training::{
    DataFlags, EVALUATION_TOKENS, Run, Split, TaskName, file_name, read_glue, tokenizer_files,
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
    /// Model to begin from: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(long, short, value_name = "DIR|ID", alias = "model_name_or_path")]
    model: PathBuf,
    #[command(flatten)]
    revision: RevisionFlag,
    /// The name of the model, and where it came from.
    #[arg(skip)]
    base: (String, String),
    /// Folder of checkpoints and of the result: new, empty, or that of a run to go on with
    #[arg(long, short, value_name = "DIR", alias = "output_dir")]
    output: PathBuf,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    settings: Settings,
    /// Google's head for SQuAD 2.0: an end for each start, and a score of its own for "no answer"
    #[arg(long)]
    joint: bool,
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
        ranks::together(|ranks| self.learn(ranks))
    }

    /// As one of the ranks of a run; without mpirun, the only one.
    fn learn(mut self, ranks: Ranks) -> Result<()> {
        if ranks.rank() > 0 {
            self.voice = Voice::silenced();
        }
        if self.joint && !matches!(self.task, TaskName::Squad | TaskName::Squad2) {
            bail!(
                "--joint: expected the task squad or squad2, found {}",
                crate::training::name(self.task)
            );
        }
        let located = self.revision.locate(&self.model, Want::Model, self.voice)?;
        self.base = (located.name, located.origin);
        self.model = located.folder;
        let config = ModelFolder::open(&self.model)?.config;
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
                self.train::<SequenceClassification<Cpu>>(config, recipe, prepared, ranks)
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
                if self.joint {
                    let train = JointSquad(&train);
                    let prepared = Prepared {
                        labels: None,
                        problem: None,
                        data: &train,
                        evaluate: dev.as_ref().map(|(dev, file)| {
                            evaluation(file.questions.len(), move |model| {
                                let found = JointSquad(dev).evaluate(model, file, &choice, tokens);
                                Ok(found?.metrics)
                            })
                        }),
                    };
                    return self
                        .train::<JointQuestionAnswering<Cpu>>(config, recipe, prepared, ranks);
                }
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
                self.train::<QuestionAnswering<Cpu>>(config, recipe, prepared, ranks)
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
                self.train::<MultipleChoice<Cpu>>(config, recipe, prepared, ranks)
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
                self.train::<TokenClassification<Cpu>>(config, recipe, prepared, ranks)
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
                self.train::<SequenceClassification<Cpu>>(config, recipe, prepared, ranks)
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
        ranks: Ranks,
    ) -> Result<()> {
        let (device, precision) = self.device.open(Some(&self.model))?;
        if precision == Precision::Int8 {
            bail!(
                "{}: expected weights in f32 or bf16, found int8, which has no gradient; begin from the folder that it was \
                 quantised from, without --dtype int8, and quantise the result",
                self.model.display()
            );
        }
        if config.position_embedding_type != PositionEmbeddingType::Absolute {
            bail!(
                "{}: expected position_embedding_type absolute, found {}, whose gradient is not built",
                self.model.display(),
                config.position_embedding_type
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
        let told = std::cell::Cell::new(false);
        let model = |device| {
            let fresh = LoadOptions {
                fresh_head: Some(self.settings.updates.seed),
                ..LoadOptions::default()
            };
            let (config, path) = (config.clone(), &self.model);
            let (model, report) =
                Albert::from_checkpoint(config, &checkpoint, path, device, fresh)?;
            if !told.replace(true) {
                self.tell_loaded(&report);
            }
            Ok(model)
        };
        let parameters = config.parameter_count(self.task.class(self.joint));
        let updates = &self.settings.updates;
        let largest = self.largest(prepared.data, &options);
        let run = Run::<H> {
            model: &model,
            device,
            precision,
            data: prepared.data,
            evaluate: prepared.evaluate,
            dropout: plan,
            checkpointing: updates.gradient_checkpointing,
            files: tokenizer_files(&self.model),
            memory: updates.memory(&config, parameters, 0.0),
            parameters,
            largest,
            options,
            card: self.card(),
            ranks,
            json: self.json,
            voice: self.voice,
        };
        if self.dry_run {
            run.tell_plan()
        } else {
            run.train()
        }
    }

    /// Refuses a model that already tells other labels apart, where their number differs; tells where only names do.
    fn check_labels(
        &self,
        checkpoint: &Checkpoint,
        config: &AlbertConfig,
        labels: &[String],
    ) -> Result<()> {
        let Some(found) = albert::classifier_labels(checkpoint) else {
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
            let known = self.task.metrics();
            let name = metric.unwrap_or_else(|| known[0].to_owned());
            let bare = name.strip_prefix("eval_").unwrap_or(&name);
            if bare != "loss" && !known.contains(&bare) {
                bail!(
                    "--metric: expected loss or one of {} for {}, found {name}",
                    known.join(", "),
                    crate::training::name(self.task)
                );
            }
            options.best = Some(Best {
                greater_is_better: !name.ends_with("loss") && name != "mse",
                metric: name,
            });
        }
        let longest = (0..data.len()).map(|i| data.tokens(i)).max().unwrap_or(1);
        options.micro = settings
            .updates
            .micro(settings.updates.memory(config, 0, 0.0), longest);
        let facts = [
            ("task", format!("{:?}", self.task)),
            ("model", self.base.1.clone()),
            ("dtype", crate::device::name(precision).to_owned()),
            ("max_seq_length", recipe.max_seq_length.to_string()),
            (
                "dropout",
                format!("{} and {} of attention", plan.hidden, plan.attention),
            ),
            ("classifier dropout", plan.classifier.to_string()),
            ("joint head", self.joint.to_string()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        options.facts = facts
            .into_iter()
            .chain(self.data.facts())
            .collect::<BTreeMap<_, _>>();
        Ok(options)
    }

    /// Tokens of the largest micro-batch that is usual.
    fn largest<L>(&self, data: &dyn Dataset<L>, options: &TrainOptions) -> usize {
        let lengths = || (0..data.len()).map(|i| data.tokens(i) as f64);
        let longest = (0..data.len()).map(|i| data.tokens(i)).max().unwrap_or(1);
        let mean = lengths().sum::<f64>() / data.len().max(1) as f64;
        let spread =
            lengths().map(|length| (length - mean).powi(2)).sum::<f64>() / data.len().max(1) as f64;
        // A batch is a sum of lengths: three standard deviations above the mean, at most what the micro-batch allows.
        let part = options.batch.div_ceil(options.parts.max(1)) as f64;
        let batch = ((part * mean + 3.0 * (part * spread).sqrt()) as usize).max(longest);
        match options.micro {
            Micro::Tokens(most) => batch.min(most),
            Micro::Samples(samples) => batch.min(samples * longest),
        }
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
            base_model: Some(self.base.0.clone()),
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
