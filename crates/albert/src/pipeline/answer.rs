//! Question answering: the parts of a context that answer a question.
//!
//! As the question-answering pipeline of transformers 4.57, which 5 dropped.

mod spans;

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, CharIndex, EncodeOptions, Encoding, Strategy};
use serde::Serialize;

use super::batch::{self, Row};
use super::span::Span;
use super::text::{Texts, Windows, load};
use super::{Answer, Limits, Long, Results, only};
use crate::error::{Error, Result};
use crate::ops::{Backend, Cpu};
use crate::pretrained::Head;
use crate::{
    AlbertConfig, AlbertForJointQuestionAnswering, AlbertForQuestionAnswering, Loaded, ModelFolder,
    heads,
};
use spans::{Candidates, Scores};

/// What counts as an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOptions {
    /// Answers to give, the most likely first. There may be fewer.
    pub top_k: usize,
    /// Most tokens of an answer.
    pub max_answer_tokens: usize,
    /// Whether "no answer" may be one, as for SQuAD 2.0: an empty text at 0, whose score is the smallest of the
    /// windows' probabilities that `[CLS]` is start and end. A model with Google's joint head says itself how likely
    /// it is that there is no answer: that is the score, and from ½ on it comes first, below ½ behind the best span.
    pub no_answer: bool,
    /// Most tokens of a question; a longer one is cut, and the answer says so. `None`: questions stay whole, as
    /// transformers leaves them with a fast tokenizer, whatever its `max_question_len` says.
    pub max_question_tokens: Option<usize>,
    /// Widen answers to whole words.
    pub align_to_words: bool,
    /// By default windows of at most 384 tokens slide over the context; they share `stride` tokens, by default 128
    /// or half a window where that is less.
    pub limits: Limits,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            top_k: 1,
            max_answer_tokens: 15,
            no_answer: false,
            max_question_tokens: None,
            align_to_words: true,
            limits: Limits::long(Long::Slide),
        }
    }
}

/// Tokens of a window, unless something else is asked for.
const WINDOW: usize = 384;
/// Tokens that windows share, unless something else is asked for.
const STRIDE: usize = 128;

/// A part of the context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerSpan {
    /// Probability that the answer starts here times probability that it ends here; of equal texts the sum.
    pub score: f64,
    /// Where it begins, in code points.
    pub start: usize,
    /// Where it ends, in code points.
    pub end: usize,
    /// The part of the context; empty for "no answer".
    pub answer: String,
    /// The same place in bytes and in code points.
    #[serde(skip)]
    pub span: Span,
}

/// A model that finds answers, with its tokenizer.
pub struct QuestionAnswering<B: Backend = Cpu> {
    model: Model<B>,
    texts: Texts,
}

/// Either head.
enum Model<B: Backend> {
    Spans(AlbertForQuestionAnswering<B>),
    Joint(AlbertForJointQuestionAnswering<B>),
}

impl<B: Backend> QuestionAnswering<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no head for answers.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let config = ModelFolder::open(folder)?.config;
        if Self::is_joint(&config) {
            let (model, tokenizer, loaded) = load(folder, device)?;
            return Ok((Self::joint(model, tokenizer), loaded));
        }
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Whether a configuration is that of a model with the joint head.
    pub fn is_joint(config: &AlbertConfig) -> bool {
        let class = <heads::JointQuestionAnswering<B> as Head<B>>::CLASS;
        config.architectures.iter().any(|name| name == class)
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertForQuestionAnswering<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        let model = Model::Spans(model);
        Self { model, texts }
    }

    /// Joins a model with the joint head and its tokenizer.
    pub fn joint(model: AlbertForJointQuestionAnswering<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        let model = Model::Joint(model);
        Self { model, texts }
    }

    /// Answers one question from its context.
    ///
    /// # Errors
    /// An empty question or context, a question that leaves no room for the context, too many tokens where windows
    /// do not slide.
    pub fn run(
        &self,
        question: &str,
        context: &str,
        options: &AnswerOptions,
    ) -> Result<Answer<Vec<AnswerSpan>>> {
        only(self.run_batch(&[(question, context)], options)?)
    }

    /// Answers many questions, each given with its context; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[(&str, &str)],
        options: &AnswerOptions,
    ) -> Result<Results<Vec<AnswerSpan>>> {
        let limits = self.limits(options)?;
        let questions: Vec<&str> = inputs
            .iter()
            .map(|(question, _)| self.cut(question, options.max_question_tokens))
            .collect::<Result<_>>()?;
        let pairs: Vec<_> = questions
            .iter()
            .zip(inputs)
            .map(|(question, (_, context))| (*question, *context).into())
            .collect();
        let windows = self.texts.encode(&pairs, &limits, Strategy::OnlySecond)?;
        let prepared = windows.into_iter().zip(inputs).zip(&questions);
        let prepared = prepared.map(|((windows, input), question)| {
            for (name, text) in [("question", input.0), ("context", input.1)] {
                if text.is_empty() {
                    return Err(Error::input(name, "a text", "an empty one"));
                }
            }
            let mut windows = windows?;
            windows.truncated |= question.len() < input.0.len();
            Ok((windows.rows(), (windows, input.1)))
        });
        Ok(batch::answer(
            prepared.collect(),
            limits.batch_tokens,
            |rows| self.scores(rows),
            |(windows, context), scores| Ok(answers(&windows, context, &scores, options)),
        ))
    }

    /// A question without what is behind its first `most` tokens.
    fn cut<'a>(&self, question: &'a str, most: Option<usize>) -> Result<&'a str> {
        let Some(most) = most else {
            return Ok(question);
        };
        let alone = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let encoding = self.texts.tokenizer.encode(question, &alone)?;
        let end = match encoding.offsets.get(most.saturating_sub(1)) {
            Some((_, end)) if encoding.len() > most => *end,
            _ => question.len(),
        };
        Ok(question.get(..end).unwrap_or(question))
    }

    /// The limits with this task's defaults, checked.
    fn limits(&self, options: &AnswerOptions) -> Result<Limits> {
        for (what, value) in [
            ("top_k", Some(options.top_k)),
            ("max_answer_tokens", Some(options.max_answer_tokens)),
            ("max_question_tokens", options.max_question_tokens),
        ] {
            if value == Some(0) {
                return Err(Error::input(what, "at least 1", 0));
            }
        }
        let limit = match options.limits.max_tokens {
            Some(_) => self.texts.limit(&options.limits)?,
            None => self.texts.limit(&options.limits)?.min(WINDOW),
        };
        let stride = options.limits.stride.unwrap_or(STRIDE.min(limit / 2));
        if stride >= limit {
            return Err(Error::input(
                "stride",
                format!("less than the {limit} tokens of a window"),
                stride,
            ));
        }
        Ok(Limits {
            max_tokens: Some(limit),
            stride: Some(stride),
            ..options.limits
        })
    }

    /// What the model says to each row.
    fn scores(&self, rows: &[&Row]) -> Result<Vec<Scores>> {
        let inputs = batch::padded(rows);
        match &self.model {
            Model::Spans(model) => {
                let output = model.forward(&inputs, None, Default::default())?;
                let of = |b: usize, data: &[B::Scalar]| -> Result<Vec<f64>> {
                    batch::numbers(&data[b * inputs.length..][..rows[b].ids.len()])
                };
                let (starts, ends) = (&output.start_logits.data, &output.end_logits.data);
                (0..rows.len())
                    .map(|b| Ok(Scores::Ends([of(b, starts)?, of(b, ends)?])))
                    .collect()
            }
            Model::Joint(model) => {
                let output = model.forward(&inputs, None, Default::default())?;
                let none = batch::numbers(&output.cls_logits.data)?;
                let spans = output.spans();
                let each = spans.into_iter().zip(none);
                Ok(each
                    .map(|(spans, none)| Scores::Joint { spans, none })
                    .collect())
            }
        }
    }
}

/// The best answers of all windows.
fn answers(
    windows: &Windows,
    context: &str,
    scores: &[Scores],
    options: &AnswerOptions,
) -> Answer<Vec<AnswerSpan>> {
    let index = CharIndex::new(context);
    // Several candidates may become one when they are widened to words, so more are looked at.
    let wanted = if options.align_to_words {
        options.top_k.saturating_mul(2).saturating_add(10)
    } else {
        options.top_k
    };
    let mut found: Vec<(String, AnswerSpan)> = Vec::new();
    let mut null_score = f64::INFINITY;
    for (encoding, scores) in windows.encodings.iter().zip(scores) {
        let inside: Vec<bool> = encoding
            .sequence_ids()
            .iter()
            .map(|sequence| *sequence == Some(1))
            .collect();
        let Candidates { spans, null } =
            scores.candidates(&inside, wanted, options.max_answer_tokens);
        null_score = null_score.min(null);
        for (first, last, score) in spans {
            let bytes = place(encoding, first, last, options.align_to_words);
            let span = Span::new(context, &index, bytes);
            let answer = span.of(context).to_owned();
            let key = answer.to_lowercase();
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.score += score,
                None => found.push((
                    key,
                    AnswerSpan {
                        score,
                        start: span.chars.start,
                        end: span.chars.end,
                        answer,
                        span,
                    },
                )),
            }
        }
    }
    let mut output: Vec<AnswerSpan> = found.into_iter().map(|(_, answer)| answer).collect();
    // Stable: of equal scores the one found first.
    output.sort_by(|a, b| b.score.total_cmp(&a.score));
    if options.no_answer {
        let place = match scores.first() {
            Some(Scores::Joint { .. }) if null_score >= 0.5 => 0,
            Some(Scores::Joint { .. }) => output.len().min(1),
            _ => output.partition_point(|span| span.score >= null_score),
        };
        let none = AnswerSpan {
            score: null_score,
            start: 0,
            end: 0,
            answer: String::new(),
            span: Span::default(),
        };
        output.insert(place, none);
    }
    output.truncate(options.top_k);
    Answer {
        output,
        tokens: windows.tokens,
        truncated: windows.truncated,
    }
}

/// Bytes of the context from token `first` to token `last`, both included.
fn place(
    encoding: &Encoding,
    first: usize,
    last: usize,
    align_to_words: bool,
) -> std::ops::Range<usize> {
    let word = |token: usize| {
        let (sequence, word) = encoding.token_to_word(token)?;
        encoding.word_to_chars(word, sequence)
    };
    if let (true, Some(start), Some(end)) = (align_to_words, word(first), word(last)) {
        return start.0..end.1;
    }
    encoding.offsets[first].0..encoding.offsets[last].1
}
