//! The heads as nodes: from the encoder's output to the outputs of each class, under transformers' names.

mod joint;

use albert::MlmBias;
use albert::config::ModelClass;
use albert::names::{Field, Site};

use super::builder::Builder;
use super::graph::{Attribute, Axis, Value};
use super::model::{BATCH, CHOICES, Encoded, LENGTH};
use super::proto::DataType;

/// Whether the class reads the pooled first token; `None`: it gives it away where there is one.
pub(super) fn has_pooler(class: ModelClass) -> Option<bool> {
    match class {
        ModelClass::Model => None,
        ModelClass::PreTraining
        | ModelClass::SequenceClassification
        | ModelClass::MultipleChoice => Some(true),
        ModelClass::ModelWithoutPooler
        | ModelClass::MaskedLM
        | ModelClass::TokenClassification
        | ModelClass::QuestionAnswering
        | ModelClass::JointQuestionAnswering => Some(false),
    }
}

/// Adds the head and declares the outputs.
pub(super) fn head(b: &mut Builder<'_>, class: ModelClass, encoded: &Encoded, bias: MlmBias) {
    b.graph.enter("head");
    let labels = b.config.num_labels();
    let Encoded { batch, hidden, .. } = encoded;
    match class {
        ModelClass::Model | ModelClass::ModelWithoutPooler => {
            let width = b.config.hidden_size;
            let hidden = batch.per_token(b, hidden, width);
            let axes = [BATCH, LENGTH, Axis::Fixed(width)];
            output(b, &hidden, "last_hidden_state", &axes);
            if let Some(pooled) = &encoded.pooled {
                let axes = [BATCH, Axis::Fixed(width)];
                output(b, pooled, "pooler_output", &axes);
            }
        }
        ModelClass::MaskedLM => masked_lm(b, encoded, "logits", bias),
        ModelClass::PreTraining => {
            masked_lm(b, encoded, "prediction_logits", bias);
            let logits = pooled(b, encoded, Site::SentenceOrder);
            output(b, &logits, "sop_logits", &[BATCH, Axis::Fixed(labels)]);
        }
        ModelClass::SequenceClassification => {
            let logits = pooled(b, encoded, Site::Classifier);
            output(b, &logits, "logits", &[BATCH, Axis::Fixed(labels)]);
        }
        ModelClass::MultipleChoice => {
            // [B·K, 1] → [B, K]
            let logits = pooled(b, encoded, Site::Classifier);
            let [zero, two] = [[0], [2]].map(|x| b.graph.int64s(&x));
            let shape = [&batch.outer, &zero, &two];
            let shape = b.graph.op("Slice", "questions", shape, &[]);
            let logits = b.graph.op("Reshape", "scores", [&logits, &shape], &[]);
            output(b, &logits, "logits", &[BATCH, CHOICES]);
        }
        ModelClass::TokenClassification => {
            let logits = b.linear("classifier", hidden, Site::Classifier);
            let logits = batch.per_token(b, &logits, labels);
            let axes = [BATCH, LENGTH, Axis::Fixed(labels)];
            output(b, &logits, "logits", &axes);
        }
        ModelClass::QuestionAnswering => {
            let logits = b.linear("qa_outputs", hidden, Site::QaOutputs);
            let logits = batch.per_token(b, &logits, 2);
            for (column, name) in [(0, "start_logits"), (1, "end_logits")] {
                let column = b.graph.int64(column);
                let axis = [Attribute::Int("axis", 2)];
                let logits = b.graph.op("Gather", "column", [&logits, &column], &axis);
                output(b, &logits, name, &[BATCH, LENGTH]);
            }
        }
        ModelClass::JointQuestionAnswering => joint::head(b, encoded),
    }
}

/// Declares what TensorFlow's classes give away of the encoder, and the word embeddings, which may be given instead.
pub(super) fn inner(b: &mut Builder<'_>, encoded: &Encoded) {
    b.graph.enter("inner");
    let (narrow, wide) = (b.config.embedding_size, b.config.hidden_size);
    let axes = [BATCH, LENGTH, Axis::Fixed(narrow)];
    output(b, &encoded.words, "inputs_embeds", &axes);
    let axes = [BATCH, LENGTH, Axis::Fixed(wide)];
    for (i, state) in encoded.states.iter().enumerate() {
        let state = encoded.batch.per_token(b, state, wide);
        output(b, &state, &format!("hidden_states.{i}"), &axes);
    }
    let axes = [
        BATCH,
        Axis::Fixed(b.config.num_attention_heads),
        LENGTH,
        LENGTH,
    ];
    for (i, attention) in encoded.attentions.iter().enumerate() {
        output(b, attention, &format!("attentions.{i}"), &axes);
    }
}

fn output(b: &mut Builder<'_>, value: &Value, name: &str, axes: &[Axis]) {
    b.graph.output(value, name, DataType::Float, axes);
}

/// A classifier over the pooled output [B, C].
fn pooled(b: &mut Builder<'_>, encoded: &Encoded, site: Site) -> Value {
    let pooled = encoded.pooled.as_ref().expect("the class has a pooler");
    b.linear("classifier", pooled, site)
}

/// LayerNorm(act(W_d·h + b_d))·Wordᵀ + bias [B, S, V]
fn masked_lm(b: &mut Builder<'_>, encoded: &Encoded, name: &str, bias: MlmBias) {
    let z = b.linear("dense", &encoded.hidden, Site::MlmDense);
    let z = b.activate(&z);
    let z = b.norm("norm", &z, Site::MlmNorm);
    let decoder = if b.has(Site::Decoder, Field::Weight) {
        Site::Decoder
    } else {
        Site::WordEmbeddings
    };
    // Where two differ the option chooses, else one is there.
    let (first, other) = match bias {
        MlmBias::Decoder => (Site::Decoder, Site::MlmBias),
        MlmBias::Google => (Site::MlmBias, Site::Decoder),
    };
    let site = if b.has(first, Field::Bias) {
        first
    } else {
        other
    };
    let bias = b.tensor(site, Field::Bias);
    let logits = b.product("decoder", &z, decoder, Some(&bias));
    let words = b.config.vocab_size;
    let logits = encoded.batch.per_token(b, &logits, words);
    output(b, &logits, name, &[BATCH, LENGTH, Axis::Fixed(words)]);
}
