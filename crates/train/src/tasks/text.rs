//! Texts and pairs of texts with a class, several labels or a value.

use albert::evaluate::Texts;
use albert::heads::ClassLabels;
use albert::ops::Backend;
use albert::{AlbertForSequenceClassification, IGNORE_INDEX, Inputs, ProblemType};
use albert_tokenizer::{AlbertTokenizer, Input};

use super::rows::{Rows, cut_to_fit};
use super::{Encode, Skipped};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::measure::{self, best, binary_cross_entropy, cross_entropy, mean, numbers, outputs};

/// Examples of a file.
#[derive(Clone, Debug, Default)]
pub struct TextExamples {
    /// Texts, or pairs of texts.
    pub texts: Vec<Texts>,
    /// What the file calls each example; its place from 0 where it has no name.
    pub ids: Vec<String>,
    /// Labels of all examples; absent where the file has none.
    pub labels: Option<ClassLabels>,
    /// Rows that are no examples.
    pub skipped: Vec<Skipped>,
}

impl TextExamples {
    /// Keeps the first `most` examples; `columns`: values of each, where there are values.
    pub fn truncate(&mut self, most: usize, columns: usize) {
        self.texts.truncate(most);
        self.ids.truncate(most);
        match &mut self.labels {
            Some(ClassLabels::Classes(classes)) => classes.truncate(most),
            Some(ClassLabels::Values(values)) => values.truncate(most.saturating_mul(columns)),
            None => {}
        }
    }
}

/// Tokenized texts with their labels.
pub struct TextDataset {
    rows: Rows,
    labels: Option<ClassLabels>,
    problem: ProblemType,
    names: Vec<String>,
}

impl TextDataset {
    /// Tokenizes examples. `names`: those of the labels in the order of their numbers; of a value, one.
    ///
    /// # Errors
    /// Labels of another kind than the problem's, texts that cannot be tokenized, a length without room for them.
    pub fn new<S: AsRef<str>>(
        tokenizer: &AlbertTokenizer,
        examples: &TextExamples,
        problem: ProblemType,
        names: &[S],
        encode: &Encode,
    ) -> Result<Self> {
        let expected = match (problem, &examples.labels) {
            (_, None) => examples.texts.len(),
            (ProblemType::SingleLabelClassification, Some(ClassLabels::Classes(list))) => {
                list.len()
            }
            (ProblemType::SingleLabelClassification, Some(ClassLabels::Values(_)))
            | (_, Some(ClassLabels::Classes(_))) => {
                return Err(Error::input(
                    "labels",
                    format!("those of {problem:?}"),
                    "another kind",
                ));
            }
            (_, Some(ClassLabels::Values(list))) => list.len() / names.len().max(1),
        };
        if expected != examples.texts.len() {
            return Err(Error::input(
                "labels",
                format!("some for each of {} examples", examples.texts.len()),
                expected,
            ));
        }
        let inputs: Vec<Input<'_>> = examples
            .texts
            .iter()
            .map(|(first, second)| match second {
                None => first.into(),
                Some(second) => Input::pair(first, second),
            })
            .collect();
        Ok(Self {
            rows: cut_to_fit(tokenizer, &inputs, encode)?,
            labels: examples.labels.clone(),
            problem,
            names: names.iter().map(|name| name.as_ref().to_owned()).collect(),
        })
    }

    /// Examples that lost tokens at their end.
    pub fn cut(&self) -> usize {
        self.rows.cut
    }

    /// What kind of labels there are.
    pub fn problem_type(&self) -> ProblemType {
        self.problem
    }

    /// The labels, where there are any.
    pub fn labels(&self) -> Option<&ClassLabels> {
        self.labels.as_ref()
    }

    /// Logits [n, C] of all examples, and the mean loss where they have labels. The C labels are in the order of the data; a
    /// model that has the same names in another order is read by name. `tokens`: most tokens of a batch;
    /// results do not depend on it.
    ///
    /// # Errors
    /// A model with other labels, or whose outputs are no numbers; samples that do not fit it.
    pub fn logits<B: Backend>(
        &self,
        model: &AlbertForSequenceClassification<B>,
        tokens: usize,
    ) -> Result<(Vec<Vec<f64>>, Option<f64>)> {
        let places = outputs(model.config(), &self.names)?;
        let mut all = vec![Vec::new(); self.len()];
        measure::run(model, self, tokens, |batch, _, output| {
            let logits = numbers(&output.logits.data)?;
            for (&i, logits) in batch.iter().zip(logits.chunks_exact(places.len())) {
                all[i] = places.iter().map(|&place| logits[place]).collect();
            }
            Ok(())
        })?;
        let loss = self.labels.as_ref().map(|labels| self.loss(&all, labels));
        Ok((all, loss))
    }

    fn loss(&self, logits: &[Vec<f64>], labels: &ClassLabels) -> f64 {
        let losses: Vec<f64> = match labels {
            ClassLabels::Classes(classes) => {
                let known = logits.iter().zip(classes);
                known
                    .filter_map(|(logits, &class)| {
                        let class = usize::try_from(class).ok()?;
                        (class < logits.len()).then(|| cross_entropy(logits, class))
                    })
                    .collect()
            }
            ClassLabels::Values(values) => {
                let one = |(&x, &y): (&f64, &f32)| match self.problem {
                    ProblemType::Regression => (x - f64::from(y)).powi(2),
                    _ => binary_cross_entropy(x, f64::from(y)),
                };
                logits.iter().flatten().zip(values).map(one).collect()
            }
        };
        mean(&losses)
    }
}

/// The likeliest class of each row of logits.
pub(super) fn classes(logits: &[Vec<f64>]) -> Vec<usize> {
    logits.iter().map(|logits| best(logits)).collect()
}

impl Dataset<ClassLabels> for TextDataset {
    fn len(&self) -> usize {
        self.rows.rows.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.rows.rows[sample].ids.len()
    }

    /// Samples without labels get ones that take no part in a loss, or values of 0.
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, ClassLabels)> {
        let columns = self.names.len();
        let labels = match (&self.labels, self.problem) {
            (Some(ClassLabels::Classes(classes)), _) => {
                ClassLabels::Classes(samples.iter().map(|&i| classes[i]).collect())
            }
            (Some(ClassLabels::Values(values)), _) => {
                let rows = samples.iter();
                let rows = rows.flat_map(|&i| &values[i * columns..][..columns]);
                ClassLabels::Values(rows.copied().collect())
            }
            (None, ProblemType::SingleLabelClassification) => {
                ClassLabels::Classes(vec![IGNORE_INDEX; samples.len()])
            }
            (None, _) => ClassLabels::Values(vec![0.0; samples.len() * columns]),
        };
        Ok((self.rows.batch(samples.iter().copied()), labels))
    }
}
