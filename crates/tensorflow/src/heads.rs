//! What each class adds to the encoder: its outputs by name, and its loss.

use albert::config::ModelClass;
use albert::heads::{
    Base, ClassLabels, MaskedLm, MultipleChoice, PreTraining, PreTrainingLabels, QuestionAnswering,
    QuestionLabels, SequenceClassification, TokenClassification,
};
use albert::output::{
    Array, BaseOutput, LogitsOutput, PreTrainingOutput, QuestionAnsweringOutput, Trace,
};
use albert::{AlbertConfig, Cpu, Head};

use crate::error::{Result, input};
use crate::loss;

/// A class that transformers has for TensorFlow.
pub trait TfHead: Head<Cpu> {
    /// The class of the graph.
    const MODEL: ModelClass;
    /// Its name in transformers.
    const TF_CLASS: &'static str;
    /// Its outputs. Of `TFAlbertModel` the second is there where the checkpoint has a pooler.
    const OUTPUTS: &'static [&'static str];

    /// The loss of these outputs `[1]` or `[B]`; `None` where the labels ask for none.
    ///
    /// # Errors
    /// Labels that do not fit.
    fn loss(
        config: &AlbertConfig,
        outputs: &[Array],
        labels: &Self::Labels,
    ) -> Result<Option<Array>>;

    /// The class's output of its arrays, those of [`TfHead::OUTPUTS`].
    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> Self::Output;
}

/// The arrays by their order.
fn take<const N: usize>(outputs: Vec<Array>) -> [Array; N] {
    <[Array; N]>::try_from(outputs).expect("as many as the class names")
}

impl TfHead for Base {
    const MODEL: ModelClass = ModelClass::Model;
    const TF_CLASS: &'static str = "TFAlbertModel";
    const OUTPUTS: &'static [&'static str] = &["last_hidden_state", "pooler_output"];

    fn loss(_: &AlbertConfig, _: &[Array], (): &()) -> Result<Option<Array>> {
        Ok(None)
    }

    fn output(_: Option<Array>, mut outputs: Vec<Array>, trace: Trace) -> BaseOutput {
        let pooler_output = (outputs.len() > 1).then(|| outputs.remove(1));
        let [last_hidden_state] = take(outputs);
        BaseOutput {
            last_hidden_state,
            pooler_output,
            trace,
        }
    }
}

impl TfHead for PreTraining<Cpu> {
    const MODEL: ModelClass = ModelClass::PreTraining;
    const TF_CLASS: &'static str = "TFAlbertForPreTraining";
    const OUTPUTS: &'static [&'static str] = &["prediction_logits", "sop_logits"];

    /// Where both kinds of labels were given.
    fn loss(
        config: &AlbertConfig,
        outputs: &[Array],
        labels: &PreTrainingLabels,
    ) -> Result<Option<Array>> {
        let both = labels
            .labels
            .as_ref()
            .zip(labels.sentence_order_label.as_ref());
        both.map(|(words, orders)| {
            loss::pretraining(config, &outputs[0], &outputs[1], words, orders)
        })
        .transpose()
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> PreTrainingOutput {
        let [prediction_logits, sop_logits] = take(outputs);
        PreTrainingOutput {
            loss,
            prediction_logits,
            sop_logits,
            trace,
        }
    }
}

/// The output of the classes with one array of logits.
fn logits(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> LogitsOutput {
    let [logits] = take(outputs);
    LogitsOutput {
        loss,
        logits,
        trace,
    }
}

impl TfHead for MaskedLm<Cpu> {
    const MODEL: ModelClass = ModelClass::MaskedLM;
    const TF_CLASS: &'static str = "TFAlbertForMaskedLM";
    const OUTPUTS: &'static [&'static str] = &["logits"];

    fn loss(config: &AlbertConfig, outputs: &[Array], labels: &Vec<i64>) -> Result<Option<Array>> {
        loss::masked_lm(config, &outputs[0], labels).map(Some)
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> LogitsOutput {
        logits(loss, outputs, trace)
    }
}

impl TfHead for SequenceClassification<Cpu> {
    const MODEL: ModelClass = ModelClass::SequenceClassification;
    const TF_CLASS: &'static str = "TFAlbertForSequenceClassification";
    const OUTPUTS: &'static [&'static str] = &["logits"];

    /// With one label the squared error, else the cross-entropy, of each example; `problem_type` means nothing here.
    fn loss(_: &AlbertConfig, outputs: &[Array], labels: &ClassLabels) -> Result<Option<Array>> {
        let logits = &outputs[0];
        let loss = match (logits.shape[1], labels) {
            (1, ClassLabels::Classes(classes)) => {
                let targets: Vec<f64> = classes.iter().map(|&x| x as f64).collect();
                loss::squared(logits, &targets)
            }
            (1, ClassLabels::Values(values)) => {
                let targets: Vec<f64> = values.iter().copied().map(f64::from).collect();
                loss::squared(logits, &targets)
            }
            (_, ClassLabels::Classes(classes)) => loss::each(logits, ("labels", classes), "[B]"),
            (classes, ClassLabels::Values(_)) => Err(input(
                "labels",
                format!(
                    "whole class numbers, 0 to {}: TensorFlow's class knows no other labels",
                    classes - 1
                ),
                "floating-point values",
            )),
        };
        loss.map(Some)
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> LogitsOutput {
        logits(loss, outputs, trace)
    }
}

impl TfHead for TokenClassification<Cpu> {
    const MODEL: ModelClass = ModelClass::TokenClassification;
    const TF_CLASS: &'static str = "TFAlbertForTokenClassification";
    const OUTPUTS: &'static [&'static str] = &["logits"];

    fn loss(config: &AlbertConfig, outputs: &[Array], labels: &Vec<i64>) -> Result<Option<Array>> {
        loss::tokens(config, &outputs[0], labels).map(Some)
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> LogitsOutput {
        logits(loss, outputs, trace)
    }
}

impl TfHead for QuestionAnswering<Cpu> {
    const MODEL: ModelClass = ModelClass::QuestionAnswering;
    const TF_CLASS: &'static str = "TFAlbertForQuestionAnswering";
    const OUTPUTS: &'static [&'static str] = &["start_logits", "end_logits"];

    /// Positions are 0 to S−1: none is clamped or ignored.
    fn loss(_: &AlbertConfig, outputs: &[Array], labels: &QuestionLabels) -> Result<Option<Array>> {
        let starts = ("start_positions", labels.start_positions.as_slice());
        let ends = ("end_positions", labels.end_positions.as_slice());
        let starts = loss::each(&outputs[0], starts, "[B]")?;
        let ends = loss::each(&outputs[1], ends, "[B]")?;
        Ok(Some(loss::half_sum(&starts, &ends)))
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> QuestionAnsweringOutput {
        let [start_logits, end_logits] = take(outputs);
        QuestionAnsweringOutput {
            loss,
            start_logits,
            end_logits,
            trace,
        }
    }
}

impl TfHead for MultipleChoice<Cpu> {
    const MODEL: ModelClass = ModelClass::MultipleChoice;
    const TF_CLASS: &'static str = "TFAlbertForMultipleChoice";
    const OUTPUTS: &'static [&'static str] = &["logits"];

    fn loss(_: &AlbertConfig, outputs: &[Array], labels: &Vec<i64>) -> Result<Option<Array>> {
        let shape = "one for each question";
        loss::each(&outputs[0], ("labels", labels), shape).map(Some)
    }

    fn output(loss: Option<Array>, outputs: Vec<Array>, trace: Trace) -> LogitsOutput {
        logits(loss, outputs, trace)
    }
}
