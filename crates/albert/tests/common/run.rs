//! A model of any class, chosen by its name, whose results are named arrays.

use std::path::Path;

use albert::heads::{self, ClassLabels, JointLabels, PreTrainingLabels, QuestionLabels};
use albert::ops::Backend;
use albert::output::{Array, Output};
use albert::{Albert, AlbertConfig, Head, Inputs, Keep, LoadOptions, LoadReport, Result};
use albert_formats::{Checkpoint, Dtype};
use albert_testing::Golden;

/// Keeps all there is to keep.
pub(crate) const ALL: Keep = Keep {
    hidden_states: true,
    attentions: true,
};

/// Labels of whatever class, under transformers' names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    /// `labels` that are whole numbers.
    pub(crate) whole: Option<Vec<i64>>,
    /// `labels` that are not.
    pub(crate) real: Option<Vec<f32>>,
    /// `sentence_order_label`
    pub(crate) order: Option<Vec<i64>>,
    /// `start_positions` and `end_positions`
    pub(crate) answer: Option<(Vec<i64>, Vec<i64>)>,
    /// `is_impossible`
    pub(crate) impossible: Option<Vec<bool>>,
}

impl Labels {
    /// Those of the joint head.
    pub(crate) fn joint(&self) -> Option<JointLabels> {
        let (start_positions, end_positions) = self.answer.clone()?;
        Some(JointLabels {
            start_positions,
            end_positions,
            is_impossible: self.impossible.clone()?,
        })
    }
}

/// Named arrays of one forward pass.
pub(crate) type Arrays<T> = Vec<(String, Array<T>)>;

/// A model and what loading it found.
pub(crate) type Loaded<T> = (Box<dyn AnyModel<T>>, LoadReport);

/// A loaded model of some class.
pub(crate) trait AnyModel<T>: Sync {
    /// `forward`
    fn run(&self, inputs: &Inputs, labels: &Labels, keep: Keep) -> Result<Arrays<T>>;
    /// `save_sharded`
    fn save(&self, folder: &Path, dtype: Dtype, max_shard_bytes: u64) -> Result<()>;
    /// `resize_token_embeddings`
    fn resize(&mut self, vocab_size: usize, seed: u64) -> Result<()>;
}

struct Model<H: Head<B>, B: Backend> {
    model: Albert<H, B>,
    labels: fn(&Labels) -> Option<H::Labels>,
}

impl<B, H> AnyModel<B::Scalar> for Model<H, B>
where
    B: Backend + Send,
    H: Head<B, Output: Output<B::Scalar>> + Sync,
{
    fn run(&self, inputs: &Inputs, labels: &Labels, keep: Keep) -> Result<Arrays<B::Scalar>> {
        let labels = (self.labels)(labels);
        let output = self.model.forward(inputs, labels.as_ref(), keep)?;
        let arrays = output.arrays().into_iter();
        Ok(arrays.map(|(name, array)| (name, array.clone())).collect())
    }

    fn save(&self, folder: &Path, dtype: Dtype, max_shard_bytes: u64) -> Result<()> {
        self.model.save_sharded(folder, dtype, max_shard_bytes)
    }

    fn resize(&mut self, vocab_size: usize, seed: u64) -> Result<()> {
        self.model.resize_token_embeddings(vocab_size, seed)
    }
}

/// A model of whichever class, and what loading found.
type Opened<B> = (Box<dyn AnyModel<<B as Backend>::Scalar>>, LoadReport);

/// Loads a model of the class of this name; the configuration replaces that of the folder.
///
/// # Panics
/// When there is no such class.
pub(crate) fn load<B: Backend + Send + 'static>(
    class: &str,
    folder: &Path,
    config: AlbertConfig,
    device: B,
    options: LoadOptions,
) -> Result<Opened<B>> {
    let checkpoint = Checkpoint::open(folder)?;
    macro_rules! load {
        ($head:ty, $labels:expr) => {{
            let loaded =
                Albert::<$head, B>::from_checkpoint(config, &checkpoint, folder, device, options);
            let (model, report) = loaded?;
            let labels = $labels;
            Ok((Box::new(Model { model, labels }), report))
        }};
    }
    match class {
        "AlbertModel" => load!(heads::Base, |_: &Labels| None),
        "AlbertForPreTraining" => load!(heads::PreTraining<B>, |given: &Labels| {
            let (labels, sentence_order_label) = (given.whole.clone(), given.order.clone());
            let any = labels.is_some() || sentence_order_label.is_some();
            any.then_some(PreTrainingLabels {
                labels,
                sentence_order_label,
            })
        }),
        "AlbertForMaskedLM" => load!(heads::MaskedLm<B>, |given: &Labels| given.whole.clone()),
        "AlbertForSequenceClassification" => {
            load!(heads::SequenceClassification<B>, |given: &Labels| {
                let classes = given.whole.clone().map(ClassLabels::Classes);
                classes.or_else(|| given.real.clone().map(ClassLabels::Values))
            })
        }
        "AlbertForTokenClassification" => {
            load!(heads::TokenClassification<B>, |given: &Labels| given
                .whole
                .clone())
        }
        "AlbertForQuestionAnswering" => load!(heads::QuestionAnswering<B>, |given: &Labels| {
            let (start_positions, end_positions) = given.answer.clone()?;
            Some(QuestionLabels {
                start_positions,
                end_positions,
            })
        }),
        "AlbertForJointQuestionAnswering" => {
            load!(heads::JointQuestionAnswering<B>, Labels::joint)
        }
        "AlbertForMultipleChoice" => {
            load!(heads::MultipleChoice<B>, |given: &Labels| given
                .whole
                .clone())
        }
        other => panic!("no class {other}"),
    }
}

/// The configuration of a folder.
pub(crate) fn config(folder: &Path) -> AlbertConfig {
    let read = AlbertConfig::from_file(&folder.join("config.json"));
    read.unwrap_or_else(|error| panic!("{error}")).0
}

/// The inputs of a golden as ours.
pub(crate) fn inputs(golden: &Golden) -> Inputs {
    let known = [
        "input_ids",
        "inputs_embeds",
        "attention_mask",
        "token_type_ids",
        "position_ids",
        "head_mask",
        "labels",
        "sentence_order_label",
        "start_positions",
        "end_positions",
        "is_impossible",
    ];
    for name in golden.inputs.keys() {
        assert!(
            known.contains(&name.as_str()),
            "{}: unknown input {name}",
            golden.name
        );
    }
    let whole = |name: &str| golden.inputs.get(name).map(|tensor| tensor.whole());
    let real = |name: &str| golden.inputs.get(name).map(|tensor| tensor.real());
    let shape = match golden.inputs.get("inputs_embeds") {
        Some(embeds) => &embeds.shape[..2],
        None => &golden.inputs["input_ids"].shape[..],
    };
    let (&length, batch) = shape.split_last().expect("an axis of tokens");
    Inputs {
        batch: batch.iter().product(),
        length,
        input_ids: whole("input_ids"),
        inputs_embeds: real("inputs_embeds"),
        attention_mask: real("attention_mask"),
        token_type_ids: whole("token_type_ids"),
        position_ids: whole("position_ids"),
        head_mask: real("head_mask"),
        choices: (batch.len() == 2).then(|| batch[1]),
    }
}

/// The labels of a golden as ours.
pub(crate) fn labels(golden: &Golden) -> Labels {
    let whole = |name: &str| golden.inputs.get(name).map(|tensor| tensor.whole());
    let labels = golden.inputs.get("labels");
    let real = labels.filter(|labels| matches!(labels.numbers, albert_testing::Numbers::Real(_)));
    Labels {
        whole: labels
            .filter(|_| real.is_none())
            .map(|labels| labels.whole()),
        real: real.map(|labels| labels.real()),
        order: whole("sentence_order_label"),
        answer: whole("start_positions").zip(whole("end_positions")),
        impossible: whole("is_impossible").map(|list| list.iter().map(|x| *x != 0).collect()),
    }
}
