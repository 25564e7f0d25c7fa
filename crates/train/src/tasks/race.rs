//! Multiple choice: RACE in its folders, and questions as JSON lines.
//!
//! A batch holds questions with one number of choices ([`Dataset::group`]), so that a question with three is measured over
//! its three and no filling takes part in the loss.

mod file;

use std::path::Path;

use albert::ops::Backend;
use albert::{AlbertForMultipleChoice, IGNORE_INDEX, Inputs, metrics};
use albert_tokenizer::AlbertTokenizer;

use super::rows::{Row, Rows, options};
use super::{Encode, Evaluation, Skipped};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::learner::Metrics;
use crate::measure::{self, best, cross_entropy, mean, numbers};

/// The schools of RACE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `middle`
    Middle,
    /// `high`
    High,
}

impl Level {
    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Middle => "middle",
            Self::High => "high",
        }
    }
}

/// A text and what may follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceExample {
    /// What the file calls it.
    pub id: String,
    /// The text that all choices share, by its place.
    pub article: usize,
    /// For each choice what is read after the text: question and option.
    pub choices: Vec<String>,
    /// The place of the right one, where the file says it.
    pub answer: Option<usize>,
    /// Of RACE.
    pub level: Option<Level>,
}

/// Questions of a file or folder.
#[derive(Clone, Debug, Default)]
pub struct ChoiceExamples {
    /// Texts.
    pub articles: Vec<String>,
    /// Questions.
    pub questions: Vec<ChoiceExample>,
    /// What gave no question.
    pub skipped: Vec<Skipped>,
}

/// Tokenized questions: K sequences `[CLS] article [SEP] question and option [SEP]` for each.
pub struct ChoiceDataset {
    rows: Rows,
    /// The first row of each question, and behind the last one.
    first: Vec<usize>,
    answers: Vec<Option<usize>>,
    levels: Vec<Option<Level>>,
}

impl ChoiceExamples {
    /// Reads the questions of `folder/{middle,high}`, where `folder` is `train`, `dev` or `test` of RACE: `all.txt` with an
    /// article on each line where there is one, else every `*.txt` with an article each, in the order of their names.
    ///
    /// # Errors
    /// No such folders, no files in them; files that are not RACE's JSON, with their line.
    pub fn race(folder: &Path) -> Result<Self> {
        file::race(folder)
    }

    /// Reads a question on each line: `article` (or `context`, `passage`, `text`, `sentence1`), `choices` (or `options`,
    /// `endings`), and where they are there `question` (or `sentence2`), `label` (or `answer`: the place from 0, the letter
    /// from A, or the choice itself) and `id`. `ending0`, `ending1`, … of SWAG are choices too.
    ///
    /// # Errors
    /// Other JSON, fewer than two choices, a label that is none of them: with the line.
    pub fn json_lines(path: &Path) -> Result<Self> {
        file::json_lines(path)
    }

    /// Keeps the first `most` questions.
    pub fn truncate(&mut self, most: usize) {
        self.questions.truncate(most);
    }
}

impl ChoiceDataset {
    /// Tokenizes questions. Of question and option the last `max_qa_length` tokens are kept, and the end of the article gives
    /// way. A question of which tokens were left out counts in [`ChoiceDataset::cut`].
    ///
    /// # Errors
    /// Lengths without room for an article; a tokenizer without `[CLS]` and `[SEP]`.
    pub fn new(
        tokenizer: &AlbertTokenizer,
        examples: &ChoiceExamples,
        max_qa_length: usize,
        encode: &Encode,
    ) -> Result<Self> {
        if encode.max_seq_length < max_qa_length.saturating_add(4) {
            let expected = format!(
                "at least 4 more than max_query_length {max_qa_length}: special tokens and some of the text; make that smaller"
            );
            return Err(Error::input(
                "max_seq_length",
                expected,
                encode.max_seq_length,
            ));
        }
        let special = tokenizer.cls_token_id().zip(tokenizer.sep_token_id());
        let (cls, sep) = special
            .ok_or_else(|| Error::input("tokenizer", "one with [CLS] and [SEP]", "none of them"))?;
        let typed = options(tokenizer).return_token_type_ids == Some(true);
        let articles = tokenizer.encode_batch_ids(&examples.articles, false, encode.threads);
        let mut data = Self {
            rows: Rows::new(tokenizer),
            first: vec![0],
            answers: examples.questions.iter().map(|one| one.answer).collect(),
            levels: examples.questions.iter().map(|one| one.level).collect(),
        };
        for questions in examples.questions.chunks(4096) {
            let texts: Vec<&String> = questions.iter().flat_map(|one| &one.choices).collect();
            let mut tails = tokenizer
                .encode_batch_ids(&texts, false, encode.threads)
                .into_iter();
            for question in questions {
                let article = &articles[question.article];
                let mut lost = false;
                for whole in tails.by_ref().take(question.choices.len()) {
                    let tail = &whole[whole.len().saturating_sub(max_qa_length)..];
                    let room = encode.max_seq_length - 3 - tail.len();
                    lost |= article.len() > room || whole.len() > tail.len();
                    let article = &article[..article.len().min(room)];
                    let parts: [&[u32]; 5] = [&[cls], article, &[sep], tail, &[sep]];
                    let ids = parts.concat();
                    data.rows.rows.push(Row {
                        second: if typed { article.len() + 2 } else { ids.len() },
                        ids,
                    });
                }
                data.rows.cut += usize::from(lost);
                data.first.push(data.rows.rows.len());
            }
        }
        Ok(data)
    }

    /// Questions that lost tokens.
    pub fn cut(&self) -> usize {
        self.rows.cut
    }

    /// K: the number of a question's choices.
    pub fn choices(&self, question: usize) -> usize {
        self.first[question + 1] - self.first[question]
    }

    /// Token numbers of the sequences of a question.
    pub fn ids(&self, question: usize) -> impl Iterator<Item = &[u32]> {
        let rows = &self.rows.rows[self.first[question]..self.first[question + 1]];
        rows.iter().map(|row| row.ids.as_slice())
    }

    /// Runs a model over all questions: its choices, and `accuracy`, of RACE `accuracy_middle` and `accuracy_high`, and
    /// `loss`, over the questions whose answer is known.
    ///
    /// # Errors
    /// Samples that do not fit the model, outputs that are no numbers.
    pub fn evaluate<B: Backend>(
        &self,
        model: &AlbertForMultipleChoice<B>,
        batch_tokens: usize,
    ) -> Result<Evaluation<Vec<usize>>> {
        let mut predictions = vec![0; self.len()];
        let mut losses = vec![None; self.len()];
        measure::run(model, self, batch_tokens, |batch, _, output| {
            let logits = numbers(&output.logits.data)?;
            let k = logits.len() / batch.len();
            for (&i, logits) in batch.iter().zip(logits.chunks_exact(k)) {
                predictions[i] = best(logits);
                losses[i] = self.answers[i].map(|answer| cross_entropy(logits, answer));
            }
            Ok(())
        })?;
        let losses: Vec<f64> = losses.into_iter().flatten().collect();
        let mut measured = Metrics::new();
        if !losses.is_empty() {
            measured.insert("loss".to_owned(), mean(&losses));
        }
        let levels = [Level::Middle, Level::High].map(|level| {
            let name = format!("accuracy_{}", level.name());
            (name, Some(level))
        });
        for (name, level) in [("accuracy".to_owned(), None)].into_iter().chain(levels) {
            let chosen = (0..self.len()).filter(|&i| level.is_none() || self.levels[i] == level);
            let known = chosen.filter_map(|i| Some((predictions[i], self.answers[i]?)));
            let (found, expected): (Vec<usize>, Vec<usize>) = known.unzip();
            if !found.is_empty() {
                measured.insert(name, metrics::accuracy(&found, &expected));
            }
        }
        Ok(Evaluation {
            metrics: measured,
            predictions,
        })
    }
}

impl Dataset<Vec<i64>> for ChoiceDataset {
    fn len(&self) -> usize {
        self.answers.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.ids(sample).map(<[u32]>::len).sum()
    }

    /// K
    fn group(&self, sample: usize) -> usize {
        self.choices(sample)
    }

    /// [B·K, S], the choices of a question one after the other.
    ///
    /// # Panics
    /// When the samples have different numbers of choices.
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, Vec<i64>)> {
        let choices = samples.first().map(|&first| self.choices(first));
        assert!(
            samples.iter().all(|&i| Some(self.choices(i)) == choices),
            "a batch of questions with one number of choices: samples of one group"
        );
        let rows = samples
            .iter()
            .flat_map(|&i| self.first[i]..self.first[i + 1]);
        let label = |&i: &usize| self.answers[i].map_or(IGNORE_INDEX, |answer| answer as i64);
        let inputs = Inputs {
            choices,
            ..self.rows.batch(rows)
        };
        Ok((inputs, samples.iter().map(label).collect()))
    }
}
