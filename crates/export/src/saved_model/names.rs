//! The variables of a model under the names of transformers' TensorFlow classes.

use albert::Parameter;
use albert::config::ModelClass;
use albert::names::{BlockSite, Field, Site};

/// A variable of the model.
pub(super) struct Variable<'a> {
    /// As transformers calls it in the first model of a program, without `:0`.
    pub(super) name: String,
    /// Row-major shape.
    pub(super) shape: Vec<usize>,
    /// Whether it is the transpose [K, N] of the tensor [N, K].
    pub(super) transposed: bool,
    pub(super) tensor: &'a Parameter<'a>,
}

impl<'a> Variable<'a> {
    /// Its name in the files of the variables, of which `tf.saved_model.load` expects this end.
    pub(super) fn key(&self) -> String {
        format!("{}/.ATTRIBUTES/VARIABLE_VALUE", self.name)
    }

    pub(super) fn new(class: ModelClass, tensor: &'a Parameter<'a>) -> Self {
        let leaf = leaf(tensor);
        let transposed = leaf == "kernel";
        let mut shape = tensor.shape.clone();
        if transposed {
            shape.reverse();
        }
        Self {
            name: format!("{}/{}/{leaf}", model(class), module(tensor)),
            shape,
            transposed,
            tensor,
        }
    }
}

/// The class in small letters.
fn model(class: ModelClass) -> &'static str {
    match class {
        ModelClass::Model | ModelClass::ModelWithoutPooler => "tf_albert_model",
        ModelClass::PreTraining => "tf_albert_for_pre_training",
        ModelClass::MaskedLM => "tf_albert_for_masked_lm",
        ModelClass::SequenceClassification => "tf_albert_for_sequence_classification",
        ModelClass::TokenClassification => "tf_albert_for_token_classification",
        ModelClass::QuestionAnswering => "tf_albert_for_question_answering",
        ModelClass::JointQuestionAnswering => "tf_albert_for_joint_question_answering",
        ModelClass::MultipleChoice => "tf_albert_for_multiple_choice",
    }
}

/// Where the tensor stands: `a.b.0.c` is `a/b_._0/c`.
fn module(tensor: &Parameter<'_>) -> String {
    if tensor.site == Site::MlmBias {
        // The one that the graph adds, which transformers' TensorFlow classes call so.
        return "predictions/decoder".to_owned();
    }
    let name = tensor.name.strip_prefix("albert.").unwrap_or(&tensor.name);
    let (module, _) = name.rsplit_once('.').unwrap_or((name, ""));
    let base = ["embeddings", "encoder", "pooler"].contains(&name.split('.').next().unwrap_or(""));
    let mut out = if base { "albert" } else { "" }.to_owned();
    for part in module.split('.') {
        let separator = match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => "_._",
            false if out.is_empty() => "",
            false => "/",
        };
        out += separator;
        out += part;
    }
    out
}

fn leaf(tensor: &Parameter<'_>) -> &'static str {
    use BlockSite::{AttentionNorm, Distance, LayerNorm};
    let norm = matches!(
        tensor.site,
        Site::EmbeddingNorm
            | Site::MlmNorm
            | Site::EndNorm
            | Site::Block(AttentionNorm | LayerNorm, _)
    );
    match (tensor.site, tensor.field) {
        (_, Field::Weight) if norm => "gamma",
        (_, Field::Bias) if norm => "beta",
        (_, Field::Bias) => "bias",
        (Site::WordEmbeddings, Field::Weight) => "weight",
        (
            Site::PositionEmbeddings | Site::TokenTypeEmbeddings | Site::Block(Distance, _),
            Field::Weight,
        ) => "embeddings",
        (_, Field::Weight) => "kernel",
    }
}
