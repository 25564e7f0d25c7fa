//! Published settings of fine-tuning: the one table.
//!
//! `paper`: Lan et al. 2019, table 14, trained with Google's AdamW, dropout of the body as listed for models of version 1 and
//! none for version 2. `readme`: the commands of google-research/albert (its `run_glue.sh` has the paper's numbers, with
//! the model's own dropout; SQuAD and RACE differ). `default`: the examples of transformers.

use albert::AlbertConfig;

use crate::optim::{Form, Method, OptimizerOptions};
use crate::schedule::Kind;
use crate::tasks::glue::GlueTask;
use crate::trainer::options::{Length, TrainOptions, Warmup};

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The paper's appendix.
    Paper,
    /// Google's commands.
    Readme,
    /// transformers' examples.
    Default,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// A task of GLUE.
    Glue(GlueTask),
    /// Any sentences or pairs.
    Table,
    /// SQuAD, with or without questions that have no answer.
    Squad {
        /// Version 2.0.
        no_answers: bool,
    },
    /// RACE.
    Race,
    /// Any multiple choice.
    Choices,
    /// Labels of words.
    Tagging,
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Samples of an update.
    pub batch: usize,
    /// How long.
    pub length: Length,
    /// Rise of the learning rate.
    pub warmup: Warmup,
    /// Most tokens of a sequence.
    pub max_seq_length: usize,
    /// Dropout of the body (embeddings, attention, outputs); `None`: as the configuration says.
    pub dropout: Option<f64>,
    /// Dropout before the classifier; `None`: as the configuration says.
    pub classifier_dropout: Option<f64>,
    /// Google's formulas and places of dropout.
    pub google: bool,
}

/// Learning rate, batch, steps, warm-up steps, longest sequence, dropout of version 1.
type Row = (f64, usize, u64, u64, usize, f64);

/// Table 14 of the paper.
const PAPER: [(GlueTask, Row); 9] = [
    (GlueTask::Cola, (1e-5, 16, 5336, 320, 512, 0.0)),
    (GlueTask::StsB, (2e-5, 16, 3598, 214, 512, 0.0)),
    (GlueTask::Sst2, (1e-5, 32, 20935, 1256, 512, 0.0)),
    (GlueTask::Mnli, (3e-5, 128, 10000, 1000, 512, 0.0)),
    (GlueTask::Qnli, (1e-5, 32, 33112, 1986, 512, 0.0)),
    (GlueTask::Qqp, (5e-5, 128, 14000, 1000, 512, 0.1)),
    (GlueTask::Rte, (3e-5, 32, 800, 200, 512, 0.1)),
    (GlueTask::Mrpc, (2e-5, 32, 800, 200, 512, 0.0)),
    (GlueTask::Wnli, (2e-5, 16, 2000, 250, 512, 0.1)),
];
const PAPER_SQUAD1: Row = (5e-5, 48, 3649, 365, 384, 0.0);
const PAPER_SQUAD2: Row = (3e-5, 48, 8144, 814, 512, 0.0);
const PAPER_RACE: Row = (2e-5, 32, 12000, 1000, 512, 0.1);

/// Whether a configuration is one of version 2: these were trained without dropout, and fine-tuning with it fails.
pub fn is_version_2(config: &AlbertConfig) -> bool {
    config.hidden_dropout_prob == 0.0 && config.attention_probs_dropout_prob == 0.0
}

impl Recipe {
    /// The settings of a task; `None` where the source has none.
    pub fn of(source: Source, task: Kinds, config: &AlbertConfig) -> Option<Self> {
        match source {
            Source::Default => Some(Self::default_of(task)),
            Source::Paper => {
                let row = match task {
                    Kinds::Glue(task) => PAPER.iter().find(|(name, _)| *name == task)?.1,
                    Kinds::Squad { no_answers: false } => PAPER_SQUAD1,
                    Kinds::Squad { no_answers: true } => PAPER_SQUAD2,
                    Kinds::Race => PAPER_RACE,
                    _ => return None,
                };
                let dropout = if is_version_2(config) { 0.0 } else { row.5 };
                Some(Self::google(row, Some(dropout)))
            }
            Source::Readme => {
                let mut recipe = match task {
                    Kinds::Glue(GlueTask::Wnli) => return None,
                    Kinds::Glue(task) => {
                        Self::google(PAPER.iter().find(|(name, _)| *name == task)?.1, None)
                    }
                    Kinds::Squad { .. } => Self {
                        length: Length::Epochs(2.0),
                        warmup: Warmup::Ratio(0.1),
                        ..Self::google(PAPER_SQUAD1, None)
                    },
                    Kinds::Race => Self::google((1e-5, 32, 12000, 1000, 512, 0.0), None),
                    _ => return None,
                };
                if task == Kinds::Race && is_version_2(config) {
                    recipe.dropout = Some(0.0);
                }
                Some(recipe)
            }
        }
    }

    fn google(
        (learning_rate, batch, steps, warmup, max_seq_length, _): Row,
        dropout: Option<f64>,
    ) -> Self {
        Self {
            learning_rate,
            batch,
            length: Length::Steps(steps),
            warmup: Warmup::Steps(warmup),
            max_seq_length,
            dropout,
            classifier_dropout: Some(0.1),
            google: true,
        }
    }

    /// `run_glue.py`, `run_qa.py`, `run_ner.py`, `run_swag.py` as their READMEs call them.
    fn default_of(task: Kinds) -> Self {
        let (learning_rate, batch, epochs, max_seq_length) = match task {
            Kinds::Glue(_) | Kinds::Table => (2e-5, 32, 3.0, 128),
            Kinds::Squad { .. } => (3e-5, 12, 2.0, 384),
            Kinds::Race | Kinds::Choices => (5e-5, 16, 3.0, 512),
            Kinds::Tagging => (5e-5, 8, 3.0, 512),
        };
        Self {
            learning_rate,
            batch,
            length: Length::Epochs(epochs),
            warmup: Warmup::Steps(0),
            max_seq_length,
            dropout: None,
            classifier_dropout: None,
            google: false,
        }
    }

    /// Puts the settings into the options of a run.
    pub fn apply(&self, options: &mut TrainOptions) {
        options.learning_rate = self.learning_rate;
        options.batch = self.batch;
        options.length = self.length;
        options.warmup = self.warmup;
        if self.google {
            options.optimizer = OptimizerOptions::new(Method::AdamW, Form::Google);
            options.schedule = Kind::Google {
                power: 1.0,
                start: 0,
            };
        }
    }
}

/// Samples of an update of pre-training.
pub const PRETRAINING_BATCH: usize = 4096;

/// Puts the paper's settings of pre-training (`run_pretraining.py`: LAMB at 0.00176 for batches of 4,096, 125,000 updates of which
/// 3,125 warm up) into the options of a run whose batch is set. The learning rate is scaled by √(batch/4096), as LAMB's authors do
/// (You et al. 2019), and the warm-up stays the same share.
pub fn pretraining(options: &mut TrainOptions) {
    options.learning_rate = 0.00176 * (options.batch as f64 / PRETRAINING_BATCH as f64).sqrt();
    options.length = Length::Steps(125_000);
    options.warmup = Warmup::Ratio(3_125.0 / 125_000.0);
    options.optimizer = OptimizerOptions::new(Method::Lamb, Form::Google);
    options.schedule = Kind::Google {
        power: 1.0,
        start: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_training_is_the_papers_at_its_batch_and_scaled_by_the_root_at_others() {
        let of = |batch| {
            let mut options = TrainOptions::new("out");
            options.batch = batch;
            pretraining(&mut options);
            options
        };
        let (paper, small) = (of(PRETRAINING_BATCH), of(1024));
        assert_eq!(paper.learning_rate, 0.00176);
        assert_eq!(small.learning_rate, 0.00088);
        // run_pretraining.py: 125,000 updates, 3,125 of them warm up; the rate behind them is that of a line from 0.
        let schedule = paper.schedule(usize::MAX);
        assert_eq!((schedule.total, schedule.warmup), (125_000, 3_125));
        assert_eq!(schedule.rate(0.00176, 0), 0.0);
        assert!((schedule.rate(1.0, 62_500) - 0.5).abs() < 1e-12);
        assert_eq!(
            (small.optimizer.method, small.optimizer.form),
            (Method::Lamb, Form::Google)
        );
    }

    #[test]
    fn version_2_is_trained_without_dropout_and_version_1_with_the_papers() {
        let v1 = AlbertConfig::preset("albert-base-v1").expect("a preset");
        let v2 = AlbertConfig::preset("albert-base-v2").expect("a preset");
        let of = |config| Recipe::of(Source::Paper, Kinds::Glue(GlueTask::Rte), config);
        let (first, second) = (of(&v1).expect("a row"), of(&v2).expect("a row"));
        assert_eq!((first.dropout, second.dropout), (Some(0.1), Some(0.0)));
        assert_eq!((first.learning_rate, first.batch), (3e-5, 32));
        assert_eq!(first.classifier_dropout, Some(0.1));
        assert_eq!(Recipe::of(Source::Paper, Kinds::Tagging, &v2), None);
    }
}
