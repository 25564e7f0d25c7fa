//! One label for each word of a sentence that was split before, as models of entities are measured.

use albert_tokenizer::{Input, Strategy};

use super::Tag;
use crate::error::Result;
use crate::ops::Backend;
use crate::pipeline::scores::best;
use crate::pipeline::{Answer, Limits, Results, batch};

impl<B: Backend> Tag<B> {
    /// The label of each word, by its number: the likeliest one of its first token, in the first window that shows it.
    /// `None` for a word without tokens, or one that was cut off.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn label_words(
        &self,
        sentences: &[Vec<&str>],
        limits: &Limits,
    ) -> Result<Results<Vec<Option<usize>>>> {
        let inputs: Vec<Input<'_>> = sentences.iter().map(|words| Input::words(words)).collect();
        let windows = self.texts.encode(&inputs, limits, Strategy::OnlyFirst)?;
        let prepared = windows.into_iter().zip(sentences).map(|(windows, words)| {
            let windows = windows?;
            Ok((windows.rows(), (windows, words.len())))
        });
        Ok(batch::answer(
            prepared.collect(),
            limits.batch_tokens,
            |rows| self.scores(rows),
            |(windows, count), scores| {
                let mut labels = vec![None; count];
                for (encoding, scores) in windows.encodings.iter().zip(scores) {
                    for (word, scores) in encoding.word_ids.iter().zip(scores) {
                        let label = word.and_then(|word| labels.get_mut(word as usize));
                        if let Some(label @ None) = label {
                            *label = Some(best(&scores));
                        }
                    }
                }
                Ok(Answer {
                    output: labels,
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }
}
