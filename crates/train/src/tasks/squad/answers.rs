//! From logits to answers: the n best spans of all windows of a question, as transformers' `utils_qa.py` chooses them.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Window;
use super::file::SquadFile;
use crate::error::Result;
use crate::tasks::files::write_json;

/// What counts as an answer. The names are those of `run_qa.py`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerChoice {
    /// Spans that are kept, and places of a window that are tried as start and as end.
    pub n_best_size: usize,
    /// Most tokens of an answer.
    pub max_answer_length: usize,
    /// Whether there may be no answer, as in SQuAD 2.0 (`version_2_with_negative`).
    pub no_answer: bool,
    /// There is no answer where its score is larger than that of the best span by more than this.
    pub null_score_diff_threshold: f64,
}

impl Default for AnswerChoice {
    fn default() -> Self {
        Self {
            n_best_size: 20,
            max_answer_length: 30,
            no_answer: false,
            null_score_diff_threshold: 0.0,
        }
    }
}

/// A span that may be the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Logit of its first token.
    pub start_logit: f64,
    /// Logit of its last token.
    pub end_logit: f64,
    /// The part of the context; empty for "no answer", `empty` where there is no span at all.
    pub text: String,
    /// Softmax over the candidates of the sum of both logits.
    pub probability: f64,
}

/// What a model says to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The answer; empty for none.
    pub text: String,
    /// How much larger the score of "no answer" is than that of the best span; 0 where there always is an answer.
    pub null_odds: f64,
    /// The best spans, the best first.
    pub candidates: Vec<Candidate>,
}

/// A candidate with the bytes of the context that it covers.
struct Scored {
    score: f64,
    logits: [f64; 2],
    bytes: (usize, usize),
}

/// The answer to each question of `file`, from the start and end logits of the tokens of its windows.
pub fn answers(
    file: &SquadFile,
    windows: &[Window],
    logits: &[[Vec<f64>; 2]],
    choice: &AnswerChoice,
) -> Vec<Answered> {
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); file.questions.len()];
    for (i, window) in windows.iter().enumerate() {
        own[window.question].push(i);
    }
    let questions = file.questions.iter().zip(own);
    questions
        .map(|(question, own)| {
            let seen = own.iter().map(|&i| (&windows[i], &logits[i]));
            answer(&file.contexts[question.context], seen, choice)
        })
        .collect()
}

fn answer<'a>(
    context: &str,
    windows: impl Iterator<Item = (&'a Window, &'a [Vec<f64>; 2])>,
    choice: &AnswerChoice,
) -> Answered {
    let mut spans: Vec<Scored> = Vec::new();
    let mut null: Option<[f64; 2]> = None;
    for (window, [starts, ends]) in windows {
        let here = [starts[0], ends[0]];
        if null.is_none_or(|null| sum(here) < sum(null)) {
            null = Some(here);
        }
        let inside = |place: usize| window.offsets.get(place).copied().flatten();
        let last = best_places(ends, choice.n_best_size);
        for start in best_places(starts, choice.n_best_size) {
            let Some((first, _)) = inside(start) else {
                continue;
            };
            for &end in &last {
                let Some((_, behind)) = inside(end) else {
                    continue;
                };
                if end < start || end - start + 1 > choice.max_answer_length {
                    continue;
                }
                let logits = [starts[start], ends[end]];
                spans.push(Scored {
                    score: sum(logits),
                    logits,
                    bytes: (first, behind),
                });
            }
        }
    }
    let null = null.filter(|_| choice.no_answer);
    let no_answer = |logits| Scored {
        score: sum(logits),
        logits,
        bytes: (0, 0),
    };
    spans.extend(null.map(no_answer));
    // Of equal scores the earlier one stays in front.
    spans.sort_by(|a, b| b.score.total_cmp(&a.score));
    spans.truncate(choice.n_best_size);
    if !spans.iter().any(|span| span.bytes == (0, 0)) {
        spans.extend(null.map(no_answer));
    }
    let text = |span: &Scored| context.get(span.bytes.0..span.bytes.1).unwrap_or_default();
    let mut candidates: Vec<Candidate> = spans
        .iter()
        .map(|span| Candidate {
            start_logit: span.logits[0],
            end_logit: span.logits[1],
            text: text(span).to_owned(),
            probability: 0.0,
        })
        .collect();
    let blank = candidates.iter().all(|one| one.text.is_empty());
    if blank && (candidates.len() < 2 || choice.no_answer) {
        candidates.insert(
            0,
            Candidate {
                start_logit: 0.0,
                end_logit: 0.0,
                text: "empty".to_owned(),
                probability: 0.0,
            },
        );
    }
    softmax(&mut candidates);
    let best = candidates.iter().find(|one| !one.text.is_empty());
    let Some((best, null)) = best.zip(null) else {
        return Answered {
            text: candidates[0].text.clone(),
            null_odds: 0.0,
            candidates,
        };
    };
    let null_odds = sum(null) - best.start_logit - best.end_logit;
    let text = if null_odds > choice.null_score_diff_threshold {
        String::new()
    } else {
        best.text.clone()
    };
    Answered {
        text,
        null_odds,
        candidates,
    }
}

/// The places of the `count` largest numbers, the largest first; of equal ones the later first, as numpy's reversed
/// `argsort` has them.
fn best_places(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(b.cmp(&a)));
    order.truncate(count);
    order
}

fn sum(logits: [f64; 2]) -> f64 {
    logits[0] + logits[1]
}

pub(super) fn softmax(candidates: &mut [Candidate]) {
    let score = |one: &Candidate| one.start_logit + one.end_logit;
    let top = candidates
        .iter()
        .map(score)
        .fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = candidates.iter().map(|one| (score(one) - top).exp()).sum();
    for one in candidates {
        one.probability = (score(one) - top).exp() / total;
    }
}

pub(super) fn write(
    folder: &Path,
    prefix: &str,
    file: &SquadFile,
    predictions: &[Answered],
    no_answer: bool,
) -> Result<()> {
    let by_id = |value: &dyn Fn(&Answered) -> Value| -> Map<String, Value> {
        let ids = file.questions.iter().map(|question| question.id.clone());
        ids.zip(predictions.iter().map(value)).collect()
    };
    let path = |name: &str| folder.join(format!("{prefix}{name}"));
    let texts = by_id(&|one| Value::from(one.text.as_str()));
    write_json(&path("predictions.json"), &texts)?;
    let candidates = by_id(&|one| serde_json::to_value(&one.candidates).unwrap_or_default());
    write_json(&path("nbest_predictions.json"), &candidates)?;
    if no_answer {
        write_json(
            &path("null_odds.json"),
            &by_id(&|one| Value::from(one.null_odds)),
        )?;
    }
    Ok(())
}
