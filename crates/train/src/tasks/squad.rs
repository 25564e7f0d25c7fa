//! SQuAD 1.1 and 2.0: questions and contexts as windows of tokens, answers as positions, positions as answers.

mod answers;
mod file;
mod joint;

use std::path::Path;

use albert::heads::QuestionLabels;
use albert::ops::Backend;
use albert::{AlbertForQuestionAnswering, Inputs, metrics};
use albert_tokenizer::{AlbertTokenizer, EncodeOptions, Encoding, Input, Strategy, Truncation};

use super::rows::{Row, Rows, check_length, options};
use super::{Encode, Evaluation};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::learner::Metrics;
use crate::measure::{self, cross_entropy, mean, numbers};
pub use answers::{AnswerChoice, Answered, Candidate, answers};
pub use file::{Gold, Question, SquadFile};
pub use joint::JointSquad;

/// Questions that are tokenized at once.
const AT_ONCE: usize = 256;

/// How questions and contexts become windows. The names are those of transformers' `run_qa.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Length of a window, and threads.
    pub encode: Encode,
    /// Tokens that a window shares with the one before it.
    pub doc_stride: usize,
    /// Most tokens of a question; what is behind them is cut off and counted. `None`: questions stay whole, as in
    /// `run_qa.py`.
    pub max_query_length: Option<usize>,
}

impl Default for Windows {
    /// 384 tokens, of which neighbours share 128; questions of at most 64.
    fn default() -> Self {
        Self {
            encode: Encode::to(384),
            doc_stride: 128,
            max_query_length: Some(64),
        }
    }
}

/// A part of the context that a model sees together with the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The question, by its place in the file.
    pub question: usize,
    /// For each token its bytes in the context; `None` for special tokens and those of the question.
    pub offsets: Vec<Option<(usize, usize)>>,
    /// First and last token of the first answer; 0 and 0, the token `[CLS]`, where this window does not hold it or there is
    /// none.
    pub answer: (usize, usize),
}

/// Tokenized questions.
pub struct SquadDataset {
    rows: Rows,
    windows: Vec<Window>,
    labelled: bool,
}

impl SquadDataset {
    /// Makes the windows of all questions, in their order. A question that lost tokens counts in [`SquadDataset::cut`].
    ///
    /// # Errors
    /// A question that leaves no room for the context; a mode of the tokenizer without windows (`hf-slow`, `google`).
    pub fn new(tokenizer: &AlbertTokenizer, file: &SquadFile, windows: &Windows) -> Result<Self> {
        let Windows {
            encode,
            doc_stride,
            max_query_length,
        } = *windows;
        check_length(
            encode.max_seq_length,
            tokenizer.num_special_tokens_to_add(true) + 2,
        )?;
        let options = EncodeOptions {
            truncation: Truncation {
                strategy: Strategy::OnlySecond,
                max_length: Some(encode.max_seq_length),
                stride: doc_stride,
                side: None,
            },
            return_overflowing_tokens: true,
            ..options(tokenizer)
        };
        let mut data = Self {
            rows: Rows::new(tokenizer),
            windows: Vec::new(),
            labelled: file.labelled,
        };
        for (chunk, first) in file.questions.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let mut texts = Vec::with_capacity(chunk.len());
            for question in chunk {
                // Blanks before a question are tokens that mean nothing.
                let text = question.question.trim_start();
                let kept = match max_query_length {
                    Some(most) => cut(tokenizer, text, most)?,
                    None => text,
                };
                data.rows.cut += usize::from(kept.len() < text.len());
                texts.push(kept);
            }
            let contexts = chunk.iter().map(|one| file.contexts[one.context].as_str());
            let pairs = texts.iter().zip(contexts);
            let inputs: Vec<Input<'_>> = pairs.map(|(q, c)| Input::pair(q, c)).collect();
            let encodings = tokenizer
                .encode_batch(&inputs, &options, encode.threads)
                .map_err(|error| {
                    Error::input(
                        "max_seq_length, doc_stride",
                        "room for each question and doc_stride tokens of its context; make max_seq_length larger, or doc_stride or max_query_length smaller",
                        error,
                    )
                })?;
            for ((mut encoding, question), place) in encodings.into_iter().zip(chunk).zip(first..) {
                let rest = std::mem::take(&mut encoding.overflowing);
                if !encoding.overflowing_tokens.is_empty() {
                    return Err(Error::input(
                        "tokenizer",
                        "a mode that makes windows: hf-fast or hf5",
                        tokenizer.mode(),
                    ));
                }
                for encoding in std::iter::once(encoding).chain(rest) {
                    data.windows.push(window(&encoding, place, question.span()));
                    data.rows.rows.push(Row::of(&encoding));
                }
            }
        }
        Ok(data)
    }

    /// The windows, in the order of the questions.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Token numbers of a window.
    pub fn ids(&self, window: usize) -> &[u32] {
        &self.rows.rows[window].ids
    }

    /// Questions that lost tokens.
    pub fn cut(&self) -> usize {
        self.rows.cut
    }

    /// Start and end logits of the tokens of every window, without padding; and the mean loss over all windows.
    ///
    /// # Errors
    /// Windows that do not fit the model, outputs that are no numbers.
    pub fn logits<B: Backend>(
        &self,
        model: &AlbertForQuestionAnswering<B>,
        batch_tokens: usize,
    ) -> Result<(Vec<[Vec<f64>; 2]>, f64)> {
        let mut all = vec![[Vec::new(), Vec::new()]; self.len()];
        measure::run(model, self, batch_tokens, |batch, inputs, output| {
            for (side, logits) in [&output.start_logits, &output.end_logits]
                .into_iter()
                .enumerate()
            {
                let logits = numbers(&logits.data)?;
                for (&i, logits) in batch.iter().zip(logits.chunks_exact(inputs.length)) {
                    all[i][side] = logits[..self.tokens(i)].to_vec();
                }
            }
            Ok(())
        })?;
        let losses: Vec<f64> = self
            .windows
            .iter()
            .zip(&all)
            .map(|(window, [starts, ends])| {
                let (start, end) = window.answer;
                (cross_entropy(starts, start) + cross_entropy(ends, end)) / 2.0
            })
            .collect();
        Ok((all, mean(&losses)))
    }

    /// Runs a model over the windows of `file`, chooses answers, and measures them as the official script of the version
    /// does: 1.1 `exact_match` and `f1`; 2.0 `exact`, `f1`, `total`, `HasAns_…`, `NoAns_…`, `best_exact`,
    /// `best_exact_thresh`, `best_f1`, `best_f1_thresh`; all in percent. For 2.0 the answers are those that the files hold,
    /// with the threshold of `choice` applied, and the best thresholds are those on `null_odds.json`, as the script finds
    /// them in these two files. `loss` is that of the first answers, over the tokens of each window without padding. A file
    /// in which no question has an answer or says that there is none has no metrics.
    ///
    /// # Errors
    /// As [`SquadDataset::logits`].
    pub fn evaluate<B: Backend>(
        &self,
        model: &AlbertForQuestionAnswering<B>,
        file: &SquadFile,
        choice: &AnswerChoice,
        batch_tokens: usize,
    ) -> Result<Evaluation<Vec<Answered>>> {
        let (logits, loss) = self.logits(model, batch_tokens)?;
        let predictions = answers(file, &self.windows, &logits, choice);
        let mut metrics = Metrics::new();
        if self.labelled {
            metrics = measure(file, &predictions, choice.no_answer);
            metrics.insert("loss".to_owned(), loss);
        }
        Ok(Evaluation {
            metrics,
            predictions,
        })
    }
}

/// The official measures of answers, of version 2.0 where `no_answer` says that there may be none.
fn measure(file: &SquadFile, predictions: &[Answered], no_answer: bool) -> Metrics {
    let texts: Vec<&str> = predictions.iter().map(|one| one.text.as_str()).collect();
    let expected: Vec<Vec<String>> = file
        .questions
        .iter()
        .map(|one| {
            one.answers
                .iter()
                .map(|answer| answer.text.clone())
                .collect()
        })
        .collect();
    let named = if no_answer {
        let odds: Vec<f64> = predictions.iter().map(|one| one.null_odds).collect();
        metrics::squad_v2(&texts, &expected, &odds, f64::INFINITY)
    } else {
        let [exact, f1] = metrics::squad_v1(&texts, &expected);
        vec![("exact_match", exact), ("f1", f1)]
    };
    named
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Writes `predictions.json`, `nbest_predictions.json` and, where there may be no answer, `null_odds.json` into `folder`,
/// as `run_qa.py` does: answers by question, with four blanks of indent. `prefix` stands before each name (`eval_`).
///
/// # Errors
/// Files that cannot be written.
pub fn write_predictions(
    folder: &Path,
    prefix: &str,
    file: &SquadFile,
    predictions: &[Answered],
    no_answer: bool,
) -> Result<()> {
    answers::write(folder, prefix, file, predictions, no_answer)
}

/// A question without what is behind its first `most` tokens.
fn cut<'a>(tokenizer: &AlbertTokenizer, text: &'a str, most: usize) -> Result<&'a str> {
    let alone = EncodeOptions {
        add_special_tokens: false,
        ..EncodeOptions::default()
    };
    let encoding = tokenizer.encode(text, &alone)?;
    let end = match encoding.offsets.get(most.saturating_sub(1)) {
        Some((_, end)) if encoding.len() > most => *end,
        _ => text.len(),
    };
    Ok(text.get(..end).unwrap_or(text))
}

/// A window and where the bytes `answer` of the context are in it, as `run_qa.py` finds them: from the last token that
/// begins at or before the first byte to the first token that ends at or after the last one.
/// Where an answer begins with the last token of a window, that is its start; `run_qa.py` then takes the closing `[SEP]`,
/// whose offsets (0, 0) it does not tell from those of the context.
fn window(encoding: &Encoding, question: usize, answer: Option<(usize, usize)>) -> Window {
    let sequences = encoding.sequence_ids();
    let inside = |(sequence, offsets): (&Option<usize>, &(usize, usize))| {
        (*sequence == Some(1)).then_some(*offsets)
    };
    let offsets: Vec<_> = sequences
        .iter()
        .zip(&encoding.offsets)
        .map(inside)
        .collect();
    let context = || {
        offsets
            .iter()
            .enumerate()
            .filter_map(|(i, o)| o.map(|o| (i, o)))
    };
    let place = answer.and_then(|(start, end)| {
        let (first, last) = (context().next()?.1, context().next_back()?.1);
        if first.0 > start || last.1 < end {
            return None;
        }
        // Offsets may go back where the normaliser reorders marks: the first run counts, from either side.
        let begins = context()
            .take_while(|(_, offsets)| offsets.0 <= start)
            .last()?;
        let tokens: Vec<_> = context().collect();
        let ends = tokens
            .iter()
            .rev()
            .take_while(|(_, offsets)| offsets.1 >= end)
            .last()?;
        Some((begins.0, ends.0))
    });
    Window {
        question,
        offsets,
        answer: place.unwrap_or((0, 0)),
    }
}

impl Dataset<QuestionLabels> for SquadDataset {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.rows.rows[sample].ids.len()
    }

    fn batch(&self, samples: &[usize]) -> Result<(Inputs, QuestionLabels)> {
        let answers = || samples.iter().map(|&i| self.windows[i].answer);
        let labels = QuestionLabels {
            start_positions: answers().map(|(start, _)| start as i64).collect(),
            end_positions: answers().map(|(_, end)| end as i64).collect(),
        };
        Ok((self.rows.batch(samples.iter().copied()), labels))
    }
}
