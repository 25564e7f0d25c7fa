//! Results under the names that transformers gives them.

use crate::inputs::{Inputs, Packed};
use crate::model::Encoded;
use crate::ops::{Backend, Layout};

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T = f32> {
    /// Sizes of the axes; none for a single number.
    pub shape: Vec<usize>,
    /// Π shape elements.
    pub data: Vec<T>,
}

impl<T: Copy> Array<T> {
    /// A single number.
    pub fn number(value: T) -> Self {
        Self {
            shape: Vec::new(),
            data: vec![value],
        }
    }

    pub(crate) fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        debug_assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "array of {shape:?}"
        );
        Self { shape, data }
    }
}

/// What was kept on the way, when asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace<T = f32> {
    /// L·N + 1 arrays [B, S, H]: the mapped embeddings, then the output of every block. Masked positions are 0.
    pub hidden_states: Vec<Array<T>>,
    /// L·N arrays [B, A, S, S]: softmax weights. Rows of masked positions are 0.
    pub attentions: Vec<Array<T>>,
}

/// Results with their names, in transformers' order.
pub trait Output<T> {
    /// Every array that is there.
    fn arrays(&self) -> Vec<(String, &Array<T>)>;
}

/// A field of an output: there, or perhaps there.
trait Listed<T> {
    fn array(&self) -> Option<&Array<T>>;
}

impl<T> Listed<T> for Array<T> {
    fn array(&self) -> Option<&Array<T>> {
        Some(self)
    }
}

impl<T> Listed<T> for Option<Array<T>> {
    fn array(&self) -> Option<&Array<T>> {
        self.as_ref()
    }
}

macro_rules! outputs {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name<T = f32> {
            $($(#[$field_meta])* pub $field: $kind,)+
            /// Hidden states and attentions, when asked for.
            pub trace: Trace<T>,
        }

        impl<T> Output<T> for $name<T> {
            fn arrays(&self) -> Vec<(String, &Array<T>)> {
                let mut arrays = Vec::new();
                $(arrays.extend(Listed::array(&self.$field).map(|array| (stringify!($field).to_owned(), array)));)+
                let kept = [("hidden_states", &self.trace.hidden_states), ("attentions", &self.trace.attentions)];
                for (name, list) in kept {
                    arrays.extend(list.iter().enumerate().map(|(i, array)| (format!("{name}.{i}"), array)));
                }
                arrays
            }
        }
    )+};
}

outputs! {
    /// Of `AlbertModel`.
    BaseOutput {
        /// [B, S, H]; masked positions are 0.
        last_hidden_state: Array<T>,
        /// [B, H], where the checkpoint has a pooler.
        pooler_output: Option<Array<T>>,
    }
    /// Of `AlbertForMaskedLM` [B, S, V], `AlbertForTokenClassification` [B, S, C], `AlbertForSequenceClassification`
    /// [B, C] and `AlbertForMultipleChoice` [B, K].
    LogitsOutput {
        /// Where labels were given.
        loss: Option<Array<T>>,
        /// Scores before any softmax; per-token scores at masked positions are 0.
        logits: Array<T>,
    }
    /// Of `AlbertForPreTraining`.
    PreTrainingOutput {
        /// Masked LM + sentence order, where both labels were given.
        loss: Option<Array<T>>,
        /// [B, S, V]; masked positions are 0.
        prediction_logits: Array<T>,
        /// [B, C]: in order, swapped.
        sop_logits: Array<T>,
    }
    /// Of `AlbertForQuestionAnswering`.
    QuestionAnsweringOutput {
        /// Where both positions were given.
        loss: Option<Array<T>>,
        /// [B, S]; masked positions are 0.
        start_logits: Array<T>,
        /// [B, S]; masked positions are 0.
        end_logits: Array<T>,
    }
    /// Of `AlbertForJointQuestionAnswering`, under the names of google-research/albert. A sequence with fewer than five
    /// places for an answer has log-probability −10³⁰ and position 0 in the rest.
    JointQuestionAnsweringOutput {
        /// Where positions and answerability were given.
        loss: Option<Array<T>>,
        /// [B, 5]: ln of the probabilities of the likeliest starts, over the places where an answer may be.
        start_top_log_probs: Array<T>,
        /// [B, 5]: their positions.
        start_top_index: Array<T>,
        /// [B, 25]: ln of the probabilities of the five likeliest ends of each of these starts.
        end_top_log_probs: Array<T>,
        /// [B, 25]: their positions.
        end_top_index: Array<T>,
        /// `[B]`: the larger, the more likely there is no answer.
        cls_logits: Array<T>,
    }
}

/// A span of tokens that the joint head tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointSpan {
    /// Position of the first token.
    pub start: usize,
    /// Position of the last token; may stand before the first.
    pub end: usize,
    /// ln of the probability of the start.
    pub start_log_prob: f64,
    /// ln of the probability of the end, given the start.
    pub end_log_prob: f64,
}

impl JointSpan {
    /// ln of the probability of both.
    pub fn log_prob(&self) -> f64 {
        self.start_log_prob + self.end_log_prob
    }
}

impl<T: Copy + Into<f64>> JointQuestionAnsweringOutput<T> {
    /// The spans that were tried in each sequence.
    pub fn spans(&self) -> Vec<Vec<JointSpan>> {
        let (starts, ends) = (
            self.start_top_index.shape[1],
            self.end_top_index.shape[1] / self.start_top_index.shape[1],
        );
        let span = |start: usize, end: usize| JointSpan {
            start: self.start_top_index.data[start].into() as usize,
            end: self.end_top_index.data[end].into() as usize,
            start_log_prob: self.start_top_log_probs.data[start].into(),
            end_log_prob: self.end_top_log_probs.data[end].into(),
        };
        let of = |start: usize| (start * ends..(start + 1) * ends).map(move |end| (start, end));
        let sequence = |b: usize| {
            let all = (b * starts..(b + 1) * starts).flat_map(of);
            all.map(|(start, end)| span(start, end)).collect()
        };
        (0..self.cls_logits.data.len()).map(sequence).collect()
    }
}

/// Spreads packed rows [T, C] to [B, S, C]; masked positions become 0.
pub(crate) fn unpack<T: Copy + Default>(
    inputs: &Inputs,
    packed: &Packed,
    values: &[T],
) -> Array<T> {
    let cols = values.len() / packed.rows.len();
    let mut data = vec![T::default(); inputs.batch * inputs.length * cols];
    for (&(b, s), row) in packed.rows.iter().zip(values.chunks_exact(cols)) {
        if inputs.keeps(b, s) {
            data[(b * inputs.length + s) * cols..][..cols].copy_from_slice(row);
        }
    }
    Array::new(vec![inputs.batch, inputs.length, cols], data)
}

/// Probabilities [T, A·S] to [B, A, S, S].
fn unpack_attention<T: Copy + Default>(inputs: &Inputs, packed: &Packed, values: &[T]) -> Array<T> {
    let Layout { length: s, .. } = packed.layout;
    let width = values.len() / packed.rows.len();
    let heads = width / s;
    let mut data = vec![T::default(); inputs.batch * width * s];
    for (&(b, query), row) in packed.rows.iter().zip(values.chunks_exact(width)) {
        if inputs.keeps(b, query) {
            for (head, weights) in row.chunks_exact(s).enumerate() {
                data[((b * heads + head) * s + query) * s..][..s].copy_from_slice(weights);
            }
        }
    }
    Array::new(vec![inputs.batch, heads, s, s], data)
}

/// What the encoder kept, unpacked.
pub(crate) fn trace<B: Backend>(
    device: &B,
    inputs: &Inputs,
    packed: &Packed,
    encoded: &Encoded<B>,
) -> Trace<B::Scalar> {
    Trace {
        hidden_states: encoded
            .hidden_states
            .iter()
            .map(|states| unpack(inputs, packed, &device.values(states)))
            .collect(),
        attentions: encoded
            .attentions
            .iter()
            .map(|weights| unpack_attention(inputs, packed, &device.values(weights)))
            .collect(),
    }
}
