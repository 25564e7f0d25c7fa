//! What `finetune`, `pretrain` and `evaluate` share: the names of tasks, their data, and a run.

use albert::AlbertConfig;
use albert::config::ModelClass;
use albert_train::recipe::Kinds;
use albert_train::tasks::glue::GlueTask;
use anyhow::{Result, bail};

mod data;
mod run;
mod settings;
mod show;

pub(crate) use data::{DataFlags, Split, Windowing, read_glue};
pub(crate) use run::{Run, file_name, tokenizer_files};
pub(crate) use settings::UpdateFlags;
pub(crate) use show::{Show, metrics_line};

/// Tokens of a batch that is measured. No result depends on it; a larger one would need more memory than training does.
pub(crate) const EVALUATION_TOKENS: usize = 2048;

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TaskName {
    /// GLUE: acceptability
    Cola,
    /// GLUE: sentiment
    #[value(name = "sst2", alias = "sst-2")]
    Sst2,
    /// GLUE: paraphrase
    Mrpc,
    /// GLUE: similarity from 0 to 5
    #[value(name = "stsb", alias = "sts-b")]
    StsB,
    /// GLUE: duplicate questions
    Qqp,
    /// GLUE: entailment, matched and mismatched genres
    Mnli,
    /// GLUE: does the sentence answer the question
    Qnli,
    /// GLUE: entailment
    Rte,
    /// GLUE: pronouns
    Wnli,
    /// Any sentences or pairs with one class each
    Classification,
    /// Any sentences or pairs with any number of labels each
    MultiLabel,
    /// Any sentences or pairs with a number each
    Regression,
    /// SQuAD 1.1: each question has an answer
    Squad,
    /// SQuAD 2.0: a question may have none
    #[value(name = "squad2", alias = "squad-v2")]
    Squad2,
    /// RACE: folders middle and high
    Race,
    /// Any multiple choice, a JSON object on each line
    Choices,
    /// A label for each word, in the form of CoNLL
    #[value(alias = "ner")]
    Tagging,
}

impl TaskName {
    pub(crate) fn glue(self) -> Option<GlueTask> {
        Some(match self {
            Self::Cola => GlueTask::Cola,
            Self::Sst2 => GlueTask::Sst2,
            Self::Mrpc => GlueTask::Mrpc,
            Self::StsB => GlueTask::StsB,
            Self::Qqp => GlueTask::Qqp,
            Self::Mnli => GlueTask::Mnli,
            Self::Qnli => GlueTask::Qnli,
            Self::Rte => GlueTask::Rte,
            Self::Wnli => GlueTask::Wnli,
            _ => return None,
        })
    }

    pub(crate) fn kind(self) -> Kinds {
        match self {
            Self::Classification | Self::MultiLabel | Self::Regression => Kinds::Table,
            Self::Squad => Kinds::Squad { no_answers: false },
            Self::Squad2 => Kinds::Squad { no_answers: true },
            Self::Race => Kinds::Race,
            Self::Choices => Kinds::Choices,
            Self::Tagging => Kinds::Tagging,
            glue => Kinds::Glue(glue.glue().expect("the rest are GLUE's")),
        }
    }

    /// What is measured, beside the loss; the first, of which more is better, chooses the best checkpoint.
    pub(crate) fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Cola => &["matthews_correlation"],
            Self::Sst2 | Self::Qnli | Self::Rte | Self::Wnli | Self::Choices => &["accuracy"],
            Self::Mnli => &["accuracy", "accuracy_mm", "loss_mm"],
            Self::Mrpc | Self::Qqp => &["combined_score", "accuracy", "f1"],
            Self::StsB => &["combined_score", "pearson", "spearmanr"],
            Self::Classification => &["accuracy", "f1_macro"],
            Self::MultiLabel => &["f1", "f1_macro", "accuracy"],
            Self::Regression => &["pearson", "spearmanr", "mse"],
            Self::Squad => &["f1", "exact_match"],
            Self::Squad2 => &[
                "f1",
                "exact",
                "total",
                "HasAns_exact",
                "HasAns_f1",
                "HasAns_total",
                "NoAns_exact",
                "NoAns_f1",
                "NoAns_total",
                "best_exact",
                "best_exact_thresh",
                "best_f1",
                "best_f1_thresh",
            ],
            Self::Race => &["accuracy", "accuracy_middle", "accuracy_high"],
            Self::Tagging => &["f1", "precision", "recall", "accuracy"],
        }
    }

    /// The class that learns it, with Google's head for SQuAD where that is wanted.
    pub(crate) fn class(self, joint: bool) -> ModelClass {
        match self {
            Self::Squad | Self::Squad2 if joint => ModelClass::JointQuestionAnswering,
            Self::Squad | Self::Squad2 => ModelClass::QuestionAnswering,
            Self::Race | Self::Choices => ModelClass::MultipleChoice,
            Self::Tagging => ModelClass::TokenClassification,
            _ => ModelClass::SequenceClassification,
        }
    }

    /// The hub's name of the task.
    pub(crate) fn hub(self) -> &'static str {
        match self {
            Self::Squad | Self::Squad2 => "question-answering",
            Self::Race | Self::Choices => "multiple-choice",
            Self::Tagging => "token-classification",
            _ => "text-classification",
        }
    }
}

/// What the command line calls a value.
pub(crate) fn name(value: impl clap::ValueEnum) -> String {
    let known = value.to_possible_value();
    known.map_or_else(String::new, |known| known.get_name().to_owned())
}

/// A share of elements that is dropped.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..1.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("expected a number from 0 and below 1".to_owned())
    }
}

/// Most tokens of a sequence: what was asked for, or what is usual, as far as the model has positions.
pub(crate) fn max_seq_length(
    asked: Option<usize>,
    usual: usize,
    config: &AlbertConfig,
) -> Result<usize> {
    let most = config.max_position_embeddings;
    match asked {
        Some(asked) if asked > most => bail!(
            "--max-seq-length: expected at most {most}, the positions of the model (max_position_embeddings), found {asked}"
        ),
        Some(asked) => Ok(asked),
        None => Ok(usual.min(most)),
    }
}
