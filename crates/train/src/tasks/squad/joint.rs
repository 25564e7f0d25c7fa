//! SQuAD for the joint head: labels that say where there is no answer, and answers as google-research/albert decodes them.

use std::collections::HashMap;

use albert::heads::JointLabels;
use albert::ops::Backend;
use albert::output::JointSpan;
use albert::{AlbertForJointQuestionAnswering, Inputs, Keep};

use super::answers::{AnswerChoice, Answered, Candidate, softmax};
use super::{SquadDataset, SquadFile, Window, measure};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::learner::Metrics;
use crate::measure::{numbers, plan};
use crate::tasks::Evaluation;

/// Windows with the labels of [`AlbertForJointQuestionAnswering`].
pub struct JointSquad<'a>(pub &'a SquadDataset);

/// What the model says about a window.
struct Scored {
    spans: Vec<JointSpan>,
    /// Logit of "no answer".
    none: f64,
}

impl JointSquad<'_> {
    /// As [`SquadDataset::evaluate`], with the answers of `run_squad_v2`: the best of the spans that the head tried, where
    /// each token counts in the window that shows most around it; "no answer", where there may be none, if the smallest of
    /// the windows' logits for it is larger than `null_score_diff_threshold`. `null_odds` is that logit; `start_logit` and
    /// `end_logit` of a candidate are log-probabilities.
    ///
    /// # Errors
    /// As [`SquadDataset::logits`].
    pub fn evaluate<B: Backend>(
        &self,
        model: &AlbertForJointQuestionAnswering<B>,
        file: &SquadFile,
        choice: &AnswerChoice,
        batch_tokens: usize,
    ) -> Result<Evaluation<Vec<Answered>>> {
        let mut scored: Vec<Option<Scored>> = (0..self.len()).map(|_| None).collect();
        let mut loss = 0.0;
        for batch in plan(self, batch_tokens) {
            let (inputs, labels) = self.batch(&batch)?;
            let labels = self.0.labelled.then_some(labels);
            let output = model.forward(&inputs, labels.as_ref(), Keep::default())?;
            let none = numbers(&output.cls_logits.data)?;
            for ((&i, spans), none) in batch.iter().zip(output.spans()).zip(none) {
                scored[i] = Some(Scored { spans, none });
            }
            if let Some(mean) = output.loss {
                loss += numbers(&mean.data)?[0] * batch.len() as f64 / self.len() as f64;
            }
        }
        let scored: Vec<Scored> = scored.into_iter().flatten().collect();
        let predictions = answers(file, self.0.windows(), &scored, choice);
        let mut metrics = Metrics::new();
        if self.0.labelled {
            metrics = measure(file, &predictions, choice.no_answer);
            metrics.insert("loss".to_owned(), loss);
        }
        Ok(Evaluation {
            metrics,
            predictions,
        })
    }
}

/// The answer to each question of `file`.
fn answers(
    file: &SquadFile,
    windows: &[Window],
    scored: &[Scored],
    choice: &AnswerChoice,
) -> Vec<Answered> {
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); file.questions.len()];
    for (i, window) in windows.iter().enumerate() {
        own[window.question].push(i);
    }
    let each = file.questions.iter().zip(own);
    each.map(|(question, own)| {
        let own: Vec<(&Window, &Scored)> = own.iter().map(|&i| (&windows[i], &scored[i])).collect();
        answer(&file.contexts[question.context], &own, choice)
    })
    .collect()
}

fn answer(context: &str, own: &[(&Window, &Scored)], choice: &AnswerChoice) -> Answered {
    let home = homes(own);
    let mut spans: Vec<(f64, Candidate)> = Vec::new();
    let mut null_odds = f64::INFINITY;
    for (number, (window, scored)) in own.iter().enumerate() {
        null_odds = null_odds.min(scored.none);
        for span in &scored.spans {
            let (start, end) = (span.start, span.end);
            let place = |token: usize| window.offsets.get(token).copied().flatten();
            let (Some(first), Some(last)) = (place(start), place(end)) else {
                continue;
            };
            if home.get(&first) != Some(&number)
                || end < start
                || end - start + 1 > choice.max_answer_length
            {
                continue;
            }
            let text = context.get(first.0..last.1).unwrap_or_default().trim();
            let candidate = Candidate {
                start_logit: span.start_log_prob,
                end_logit: span.end_log_prob,
                text: text.to_owned(),
                probability: 0.0,
            };
            spans.push((span.log_prob(), candidate));
        }
    }
    spans.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut candidates: Vec<Candidate> = Vec::new();
    for (_, one) in spans {
        let known = candidates.iter().any(|other| other.text == one.text);
        if !known && !one.text.is_empty() && candidates.len() < choice.n_best_size {
            candidates.push(one);
        }
    }
    if candidates.is_empty() {
        candidates.push(Candidate {
            start_logit: -1e6,
            end_logit: -1e6,
            text: String::new(),
            probability: 0.0,
        });
    }
    softmax(&mut candidates);
    let none = choice.no_answer && null_odds > choice.null_score_diff_threshold;
    let text = if none {
        String::new()
    } else {
        candidates[0].text.clone()
    };
    Answered {
        text,
        null_odds,
        candidates,
    }
}

/// For each token of the context the window, by its place in `own`, that shows most on the token's poorer side; of equal
/// ones, counted with 0.01 for each token of the window, the first.
fn homes(own: &[(&Window, &Scored)]) -> HashMap<(usize, usize), usize> {
    let mut best: HashMap<(usize, usize), (f64, usize)> = HashMap::new();
    for (number, (window, _)) in own.iter().enumerate() {
        let tokens: Vec<(usize, usize)> = window.offsets.iter().copied().flatten().collect();
        for (left, &token) in tokens.iter().enumerate() {
            let side = left.min(tokens.len() - 1 - left) as f64;
            let score = side + 0.01 * tokens.len() as f64;
            if best.get(&token).is_none_or(|(known, _)| score > *known) {
                best.insert(token, (score, number));
            }
        }
    }
    let each = best.into_iter();
    each.map(|(token, (_, number))| (token, number)).collect()
}

impl Dataset<JointLabels> for JointSquad<'_> {
    fn len(&self) -> usize {
        self.0.windows.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.0.rows.rows[sample].ids.len()
    }

    fn batch(&self, samples: &[usize]) -> Result<(Inputs, JointLabels)> {
        let (inputs, labels) = self.0.batch(samples)?;
        let answers = samples.iter().map(|&i| self.0.windows[i].answer);
        let labels = JointLabels {
            start_positions: labels.start_positions,
            end_positions: labels.end_positions,
            is_impossible: answers.map(|answer| answer == (0, 0)).collect(),
        };
        Ok((inputs, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "the old city of rome" in two windows that share "city".
    fn windows() -> [Window; 2] {
        let words = [(0, 3), (4, 7), (8, 12), (13, 15), (16, 20)];
        let window = |words: &[(usize, usize)]| Window {
            question: 0,
            offsets: [None, None]
                .into_iter()
                .chain(words.iter().copied().map(Some))
                .chain([None])
                .collect(),
            answer: (0, 0),
        };
        [window(&words[..3]), window(&words[2..])]
    }

    fn of(spans: [&[(usize, usize, f64)]; 2], none: [f64; 2], choice: &AnswerChoice) -> Answered {
        let windows = windows();
        let scored = [0, 1].map(|i| Scored {
            spans: spans[i]
                .iter()
                .map(|&(start, end, log)| JointSpan {
                    start,
                    end,
                    start_log_prob: log / 4.0,
                    end_log_prob: log * 0.75,
                })
                .collect(),
            none: none[i],
        });
        let own: Vec<_> = windows.iter().zip(&scored).collect();
        answer("the old city of rome", &own, choice)
    }

    #[test]
    fn the_best_span_of_all_windows_that_is_one() {
        let choice = AnswerChoice {
            max_answer_length: 2,
            no_answer: true,
            ..AnswerChoice::default()
        };
        // [CLS] and the question, an end before its start, three tokens: no answers. "city" (token 4 of the first window and
        // 2 of the second) counts where it was seen first, since both windows show nothing on one of its sides.
        let first: &[_] = &[
            (0, 0, -0.1),
            (1, 3, -0.1),
            (4, 3, -0.1),
            (2, 4, -0.1),
            (3, 4, -0.7),
        ];
        let second: &[_] = &[(2, 2, -0.2), (4, 4, -0.9), (4, 4, -2.0)];
        let found = of([first, second], [-1.0, 0.5], &choice);
        let texts: Vec<&str> = found
            .candidates
            .iter()
            .map(|one| one.text.as_str())
            .collect();
        assert_eq!(texts, ["old city", "rome"]);
        assert_eq!((found.text.as_str(), found.null_odds), ("old city", -1.0));
        let sum: f64 = found.candidates.iter().map(|one| one.probability).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let share = found.candidates[0].probability / found.candidates[1].probability;
        assert!((share - (0.2_f64).exp()).abs() < 1e-12, "{share}");
    }

    #[test]
    fn no_answer_above_the_threshold_and_where_nothing_fits() {
        let mut choice = AnswerChoice {
            no_answer: true,
            ..AnswerChoice::default()
        };
        let spans: [&[_]; 2] = [&[(3, 3, -0.5)], &[]];
        assert_eq!(of(spans, [0.3, 0.2], &choice).text, "");
        choice.null_score_diff_threshold = 0.2;
        assert_eq!(of(spans, [0.3, 0.2], &choice).text, "old");
        choice.no_answer = false;
        assert_eq!(of(spans, [9.0, 9.0], &choice).text, "old");
        let nothing = of([&[], &[]], [-3.0, -2.0], &choice);
        assert_eq!((nothing.text.as_str(), nothing.null_odds), ("", -3.0));
        assert_eq!(nothing.candidates.len(), 1);
    }
}
