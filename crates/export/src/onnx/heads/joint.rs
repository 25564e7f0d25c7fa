//! Google's head for SQuAD 2.0 as nodes: starts, ends that depend on them, and whether there is no answer.
//!
//! It mirrors `albert::heads::JointQuestionAnswering`, whose words these are: places are the tokens where an answer may be,
//! [CLS] and the second text without the closing [SEP], or all tokens where there is no second text.

use albert::names::Site;

use super::super::builder::Builder;
use super::super::graph::{Attribute, Axis, Value};
use super::super::model::{BATCH, Encoded};
use super::super::proto::DataType;

/// Starts that are tried for each sequence, and ends for each start.
const TOP: usize = 5;
/// Log-probability of what fills the places of a sequence with fewer candidates.
const NEVER: f64 = -1e30;
/// What no log-probability of a place is below.
const LOWEST: f64 = -1e29;

pub(super) fn head(b: &mut Builder<'_>, encoded: &Encoded) {
    let h = b.config.hidden_size;
    let Encoded { batch, hidden, .. } = encoded;
    let hidden_by_token = batch.per_token(b, hidden, h);
    let (places, first) = places(b, encoded);

    // ln p of the starts [B, S], and the best of them [B, TOP]
    let scores = b.linear("start", hidden, Site::StartLogits);
    let scores = b.graph.op("Reshape", "start", [&scores, &batch.shape], &[]);
    let logs = log_softmax(b, &scores, &places);
    let (start_logs, start_index) = best(b, &logs, &[0, 0, 0, TOP as i64]);

    // [h_t; h_s] for every token t and best start s [B·TOP·S, 2H]
    let last = b.graph.int64s(&[-1]);
    let graph = &mut b.graph;
    let index = graph.op("Unsqueeze", "starts", [&start_index, &last], &[]);
    let of_batch = [Attribute::Int("batch_dims", 1)];
    let starts = graph.op("GatherND", "starts", [&hidden_by_token, &index], &of_batch);
    let two = graph.int64s(&[2]);
    let starts = graph.op("Unsqueeze", "starts", [&starts, &two], &[]);
    let one = graph.int64s(&[1]);
    let tokens = graph.op("Unsqueeze", "tokens", [&hidden_by_token, &one], &[]);
    let by_start = by_start(b, encoded);
    let wide = wide(b, &by_start);
    let graph = &mut b.graph;
    let starts = graph.op("Expand", "starts", [&starts, &wide], &[]);
    let tokens = graph.op("Expand", "tokens", [&tokens, &wide], &[]);
    let axis = [Attribute::Int("axis", -1)];
    let pairs = graph.op("Concat", "pairs", [&tokens, &starts], &axis);
    let shape = graph.int64s(&[-1, 2 * h as i64]);
    let pairs = graph.op("Reshape", "pairs", [&pairs, &shape], &[]);

    // w₁·LayerNorm(tanh(W₀·[h_t; h_s])) as [B, TOP, S]
    let z = b.linear("end_dense", &pairs, Site::EndDense);
    let z = b.graph.op("Tanh", "end_tanh", [&z], &[]);
    let z = b.norm("end_norm", &z, Site::EndNorm);
    let scores = b.linear("end", &z, Site::EndLogits);
    let scores = b.graph.op("Reshape", "end", [&scores, &by_start], &[]);
    let places = b.graph.op("Unsqueeze", "places", [&places, &one], &[]);
    let logs_of_ends = log_softmax(b, &scores, &places);
    let (end_logs, end_index) = best(b, &logs_of_ends, &[0, 0, 0, 0, 0, TOP as i64]);
    let (end_logs, end_index) = of_real_starts(b, &start_logs, &end_logs, &end_index);

    // w₁·tanh(W₀·[Σ p_t·h_t; h_CLS]) `[B]`
    let graph = &mut b.graph;
    let p = graph.op("Exp", "p", [&logs], &[]);
    let p = graph.op("Unsqueeze", "p", [&p, &one], &[]);
    let mean = graph.op("MatMul", "mean", [&p, &hidden_by_token], &[]);
    let mean = graph.op("Squeeze", "mean", [&mean, &one], &[]);
    let cls = graph.op("GatherND", "cls", [&hidden_by_token, &first], &of_batch);
    let pair = graph.op("Concat", "answer", [&mean, &cls], &axis);
    let z = b.linear("answer_dense", &pair, Site::AnswerDense);
    let z = b.graph.op("Tanh", "answer_tanh", [&z], &[]);
    let none = b.product("answer", &z, Site::AnswerLogit, None);
    let none = b.graph.op("Squeeze", "answer", [&none, &one], &[]);

    let (reals, whole) = (DataType::Float, DataType::Int64);
    let (starts, ends) = (Axis::Fixed(TOP), Axis::Fixed(TOP * TOP));
    for (value, name, kind, axes) in [
        (
            &start_logs,
            "start_top_log_probs",
            reals,
            &[BATCH, starts][..],
        ),
        (&start_index, "start_top_index", whole, &[BATCH, starts]),
        (&end_logs, "end_top_log_probs", reals, &[BATCH, ends]),
        (&end_index, "end_top_index", whole, &[BATCH, ends]),
        (&none, "cls_logits", reals, &[BATCH]),
    ] {
        b.graph.output(value, name, kind, axes);
    }
}

/// Where an answer may be, as truth values [B, S], and the first place of each sequence [B, 1].
fn places(b: &mut Builder<'_>, encoded: &Encoded) -> (Value, Value) {
    let batch = &encoded.batch;
    let positions = batch.positions(b);
    let graph = &mut b.graph;
    let keep = &batch.keep;
    let to = [Attribute::Int("to", DataType::Int64 as i64)];
    let over_tokens = [Attribute::Ints("axes", &[1]), Attribute::Int("keepdims", 1)];
    let [none, farthest, one] = [-1, i64::MAX, 1].map(|x| graph.int64(x));

    let last = graph.op("Where", "last", [keep, &positions, &none], &[]);
    let last = graph.op("ReduceMax", "last", [&last], &over_tokens);
    let first = graph.op("Where", "first", [keep, &positions, &farthest], &[]);
    let first = graph.op("ReduceMin", "first", [&first], &over_tokens);
    let is_last = graph.op("Equal", "is_last", [&positions, &last], &[]);
    let is_first = graph.op("Equal", "is_first", [&positions, &first], &[]);

    let second = graph.op("Equal", "second", [&batch.types, &one], &[]);
    let second = graph.op("And", "second", [keep, &second], &[]);
    let some = graph.op("Cast", "some", [&second], &to);
    let some = graph.op("ReduceMax", "some", [&some], &over_tokens);
    let bool = [Attribute::Int("to", DataType::Bool as i64)];
    let some = graph.op("Cast", "some", [&some], &bool);

    let inner = graph.op("Not", "inner", [&is_last], &[]);
    let inner = graph.op("And", "inner", [&second, &inner], &[]);
    let pair = graph.op("Or", "pair", [&inner, &is_first], &[]);
    let pair = graph.op("And", "pair", [&some, &pair], &[]);
    let none = graph.op("Not", "one_text", [&some], &[]);
    let all = graph.op("And", "one_text", [&none, keep], &[]);
    let places = graph.op("Or", "places", [&pair, &all], &[]);
    // A sequence that the mask hides whole has no first token: take position 0.
    let zero = graph.int64(0);
    let known = graph.op("Equal", "hidden", [&first, &farthest], &[]);
    let first = graph.op("Where", "first", [&known, &zero, &first], &[]);
    (places, first)
}

/// ln of the softmax over the places; NEVER elsewhere.
fn log_softmax(b: &mut Builder<'_>, scores: &Value, places: &Value) -> Value {
    let never = b.graph.float(NEVER);
    let scores = b.graph.op("Where", "scores", [places, scores, &never], &[]);
    let axis = [Attribute::Int("axis", -1)];
    b.graph.op("LogSoftmax", "log_probs", [&scores], &axis)
}

/// The TOP largest along the last axis, which `pads` lengthens by TOP, and where they are; 0 for those that are no places.
fn best(b: &mut Builder<'_>, logs: &Value, pads: &[i64]) -> (Value, Value) {
    let graph = &mut b.graph;
    let (pads, never) = (graph.int64s(pads), graph.float(NEVER));
    let padded = graph.op("Pad", "candidates", [logs, &pads, &never], &[]);
    let top = graph.int64s(&[TOP as i64]);
    let axis = [Attribute::Int("axis", -1)];
    let [logs, index] = graph.op_many("TopK", ["best", "best_index"], [&padded, &top], &axis);
    let (zero, lowest) = (graph.int64(0), graph.float(LOWEST));
    let real = graph.op("Greater", "real", [&logs, &lowest], &[]);
    let index = graph.op("Where", "best_index", [&real, &index, &zero], &[]);
    let logs = graph.op("Where", "best", [&real, &logs, &never], &[]);
    (logs, index)
}

/// The ends [B, TOP·TOP]; those of starts that are no places never are.
fn of_real_starts(
    b: &mut Builder<'_>,
    start_logs: &Value,
    end_logs: &Value,
    end_index: &Value,
) -> (Value, Value) {
    let graph = &mut b.graph;
    let (zero, lowest) = (graph.int64(0), graph.float(LOWEST));
    let never = graph.float(NEVER);
    let real = graph.op("Greater", "real", [start_logs, &lowest], &[]);
    let last = graph.int64s(&[-1]);
    let real = graph.op("Unsqueeze", "real", [&real, &last], &[]);
    let logs = graph.op("Where", "ends", [&real, end_logs, &never], &[]);
    let index = graph.op("Where", "ends_index", [&real, end_index, &zero], &[]);
    let shape = graph.int64s(&[-1, (TOP * TOP) as i64]);
    let logs = graph.op("Reshape", "ends", [&logs, &shape], &[]);
    let index = graph.op("Reshape", "ends_index", [&index, &shape], &[]);
    (logs, index)
}

/// B, TOP and S `[3]`.
fn by_start(b: &mut Builder<'_>, encoded: &Encoded) -> Value {
    let graph = &mut b.graph;
    let shape = &encoded.batch.shape;
    let [zero, one, two] = [[0], [1], [2]].map(|x| graph.int64s(&x));
    let rows = graph.op("Slice", "rows", [shape, &zero, &one], &[]);
    let length = graph.op("Slice", "length", [shape, &one, &two], &[]);
    let top = graph.int64s(&[TOP as i64]);
    let axis = [Attribute::Int("axis", 0)];
    graph.op("Concat", "by_start", [&rows, &top, &length], &axis)
}

/// B, TOP, S and H `[4]`.
fn wide(b: &mut Builder<'_>, by_start: &Value) -> Value {
    let width = b.graph.int64s(&[b.config.hidden_size as i64]);
    let axis = [Attribute::Int("axis", 0)];
    b.graph.op("Concat", "by_start", [by_start, &width], &axis)
}
