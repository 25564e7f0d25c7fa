//! A label for each word: files of the CoNLL tasks, samples with labels on the first piece of each word, entity metrics.

mod file;

use albert::ops::Backend;
use albert::{AlbertForTokenClassification, IGNORE_INDEX, Inputs, metrics};
use albert_tokenizer::{AlbertTokenizer, EncodeOptions, Input, Strategy, Truncation};

use super::rows::{Row, Rows, check_length, options};
use super::{Encode, Evaluation};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::learner::Metrics;
use crate::measure::{self, best, cross_entropy, mean, numbers, outputs};
pub use file::{Scheme, Sentence, TaggedFile, label_names};

/// Sentences that are tokenized at once.
const AT_ONCE: usize = 1024;

/// Tokenized sentences. One with too many tokens is several samples, windows that share `stride` tokens; each word has its
/// label in the first window that shows its first piece, so that it counts once.
pub struct TaggedDataset {
    rows: Rows,
    /// For each row the labels of its tokens.
    labels: Vec<Vec<i64>>,
    /// For each row the labelled tokens: place, sentence, word.
    places: Vec<Vec<(usize, usize, usize)>>,
    names: Vec<String>,
    /// For each sentence its labels by number.
    expected: Vec<Vec<usize>>,
    split: usize,
    unseen: usize,
}

impl TaggedDataset {
    /// Tokenizes sentences for a model with the labels `names` ([`label_names`] of the training data). `stride`: tokens
    /// that the windows of a long sentence share.
    ///
    /// # Errors
    /// A label that is not in `names`, with file and line; a long sentence in a mode of the tokenizer without windows
    /// (`hf-slow`, `google`); a stride that is no shorter than a window.
    pub fn new(
        tokenizer: &AlbertTokenizer,
        file: &TaggedFile,
        names: &[String],
        stride: usize,
        encode: &Encode,
    ) -> Result<Self> {
        let special = tokenizer.num_special_tokens_to_add(false);
        check_length(encode.max_seq_length, special.saturating_add(stride) + 1)?;
        let whole = options(tokenizer);
        let windows = EncodeOptions {
            truncation: Truncation {
                strategy: Strategy::OnlyFirst,
                max_length: Some(encode.max_seq_length),
                stride,
                side: None,
            },
            return_overflowing_tokens: true,
            ..whole
        };
        let mut data = Self {
            rows: Rows::new(tokenizer),
            labels: Vec::new(),
            places: Vec::new(),
            names: names.to_vec(),
            expected: file.numbers(names)?,
            split: 0,
            unseen: 0,
        };
        for (sentences, first) in file.sentences.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let inputs: Vec<Input<'_>> = sentences
                .iter()
                .map(|one| Input::words(&one.words))
                .collect();
            let encodings = tokenizer.encode_batch(&inputs, &whole, encode.threads)?;
            for ((encoding, input), sentence) in encodings.into_iter().zip(&inputs).zip(first..) {
                let mut list = vec![encoding];
                if list[0].len() > encode.max_seq_length {
                    data.split += 1;
                    list[0] = tokenizer.encode(input, &windows)?;
                    let rest = std::mem::take(&mut list[0].overflowing);
                    if rest.is_empty() {
                        return Err(Error::input(
                            "tokenizer",
                            "a mode that makes windows for long sentences: hf-fast or hf5",
                            tokenizer.mode(),
                        ));
                    }
                    list.extend(rest);
                }
                let mut seen = vec![false; data.expected[sentence].len()];
                for encoding in list {
                    let (mut labels, mut places) = (vec![IGNORE_INDEX; encoding.len()], Vec::new());
                    for (token, word) in encoding.word_ids.iter().enumerate() {
                        let Some(word) = word.map(|word| word as usize) else {
                            continue;
                        };
                        if !std::mem::replace(&mut seen[word], true) {
                            labels[token] = data.expected[sentence][word] as i64;
                            places.push((token, sentence, word));
                        }
                    }
                    data.rows.rows.push(Row::of(&encoding));
                    data.labels.push(labels);
                    data.places.push(places);
                }
                data.unseen += seen.iter().filter(|seen| !**seen).count();
            }
        }
        Ok(data)
    }

    /// Sentences that are several samples.
    pub fn split(&self) -> usize {
        self.split
    }

    /// Words of which the tokenizer leaves nothing: they are learned from in no sample, and predicted as `O`.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Token numbers and labels of a sample; −100 where there is none.
    pub fn sample(&self, sample: usize) -> (&[u32], &[i64]) {
        (&self.rows.rows[sample].ids, &self.labels[sample])
    }

    /// Runs a model over all sentences: the label of each word, and `precision`, `recall` and `f1` of entities as seqeval
    /// has them in its default mode, `accuracy` of words, `loss` of words.
    ///
    /// # Errors
    /// A model with other labels (the same names may have another order), or whose outputs are no numbers.
    pub fn evaluate<B: Backend>(
        &self,
        model: &AlbertForTokenClassification<B>,
        batch_tokens: usize,
    ) -> Result<Evaluation<Vec<Vec<String>>>> {
        let count = self.names.len();
        let order = outputs(model.config(), &self.names)?;
        let mut found: Vec<Vec<&str>> = self
            .expected
            .iter()
            .map(|sentence| vec!["O"; sentence.len()])
            .collect();
        let mut losses = vec![Vec::new(); self.len()];
        measure::run(model, self, batch_tokens, |batch, inputs, output| {
            let logits = numbers(&output.logits.data)?;
            for (&i, rows) in batch.iter().zip(logits.chunks_exact(inputs.length * count)) {
                for &(token, sentence, word) in &self.places[i] {
                    let scores = &rows[token * count..][..count];
                    let scores: Vec<f64> = order.iter().map(|&place| scores[place]).collect();
                    found[sentence][word] = &self.names[best(&scores)];
                    losses[i].push(cross_entropy(&scores, self.expected[sentence][word]));
                }
            }
            Ok(())
        })?;
        let name = |&number: &usize| self.names[number].as_str();
        let expected: Vec<Vec<&str>> = self
            .expected
            .iter()
            .map(|sentence| sentence.iter().map(name).collect())
            .collect();
        let mut measured = tag_metrics(&found, &expected);
        measured.insert("loss".to_owned(), mean(&losses.concat()));
        let owned = |sentence: Vec<&str>| sentence.into_iter().map(str::to_owned).collect();
        Ok(Evaluation {
            metrics: measured,
            predictions: found.into_iter().map(owned).collect(),
        })
    }
}

/// `precision`, `recall` and `f1` of entities and `accuracy` of words.
///
/// # Panics
/// When there are different numbers of sentences or words.
pub fn tag_metrics<'a>(found: &[Vec<&'a str>], expected: &[Vec<&'a str>]) -> Metrics {
    let entities = metrics::entity_scores(found, expected);
    let accuracy = metrics::accuracy(&found.concat(), &expected.concat());
    [
        ("precision", entities.precision),
        ("recall", entities.recall),
        ("f1", entities.f1),
        ("accuracy", accuracy),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

impl Dataset<Vec<i64>> for TaggedDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn tokens(&self, sample: usize) -> usize {
        self.labels[sample].len()
    }

    /// Labels [B, S].
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, Vec<i64>)> {
        let inputs = self.rows.batch(samples.iter().copied());
        let mut labels = vec![IGNORE_INDEX; inputs.batch * inputs.length];
        for (&i, row) in samples
            .iter()
            .zip(labels.chunks_exact_mut(inputs.length.max(1)))
        {
            row[..self.labels[i].len()].copy_from_slice(&self.labels[i]);
        }
        Ok((inputs, labels))
    }
}
