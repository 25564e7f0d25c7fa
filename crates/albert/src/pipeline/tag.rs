//! Token classification: the entities of a text, or a label for every token.

mod aggregate;
mod words;

use std::path::Path;

use albert_tokenizer::{AlbertTokenizer, CharIndex, Encoding, Input, Strategy};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::batch::{self, Row};
use super::scores::softmax;
use super::span::Span;
use super::text::{Texts, Windows, load};
use super::{Answer, Limits, Long, Results, only};
use crate::error::Result;
use crate::ops::{Backend, Cpu};
use crate::{AlbertForTokenClassification, Loaded};
use aggregate::{Token, aggregate, without_overlaps};

/// How tokens become entities. A word here is a run of tokens without a space before them, as transformers guesses
/// it for SentencePiece; with WordPiece the tokens tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// They do not: every token has its label.
    None,
    /// Neighbours with labels of one kind are joined.
    #[default]
    Simple,
    /// As `Simple`, after every word got the label of its first token.
    First,
    /// As `Simple`, after every word got the label with the best mean score of its tokens.
    Average,
    /// As `Simple`, after every word got the label of its surest token.
    Max,
}

/// How to tag.
#[derive(Clone, Debug)]
pub struct TagOptions {
    /// How tokens become entities.
    pub aggregation: Aggregation,
    /// Labels that are left out of the answer; by default `O`, which means no entity.
    pub ignore_labels: Vec<String>,
    /// By default windows slide over long texts. Of entities of two windows that overlap, the longer one counts,
    /// or else the surer one; without aggregation each token is labelled by the window that shows most text on both
    /// of its sides.
    pub limits: Limits,
}

impl Default for TagOptions {
    fn default() -> Self {
        Self {
            aggregation: Aggregation::default(),
            ignore_labels: vec!["O".to_owned()],
            limits: Limits::long(Long::Slide),
        }
    }
}

/// What to tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagInput<'a> {
    /// A text.
    Text(&'a str),
    /// Words that were split before; positions count in the words joined with single spaces.
    Words(&'a [&'a str]),
}

/// A tagged part of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// The label; without `B-` and `I-` if tokens were joined.
    pub label: String,
    /// Probability; of joined tokens or words the mean.
    pub score: f64,
    /// Place of the token in its sequence, `[CLS]` being 0; none if tokens were joined.
    pub index: Option<usize>,
    /// The token, or the text of the joined tokens as the tokenizer decodes them.
    pub word: String,
    /// Where it is. A token's span begins with the space before it.
    pub span: Span,
}

impl Serialize for Entity {
    /// As transformers' dictionaries: `entity` and `index` of a token, `entity_group` of joined tokens.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let key = if self.index.is_some() {
            "entity"
        } else {
            "entity_group"
        };
        map.serialize_entry(key, &self.label)?;
        map.serialize_entry("score", &self.score)?;
        if let Some(index) = self.index {
            map.serialize_entry("index", &index)?;
        }
        map.serialize_entry("word", &self.word)?;
        map.serialize_entry("start", &self.span.chars.start)?;
        map.serialize_entry("end", &self.span.chars.end)?;
        map.end()
    }
}

/// A token classifier with its tokenizer.
pub struct Tag<B: Backend = Cpu> {
    model: AlbertForTokenClassification<B>,
    texts: Texts,
}

impl<B: Backend> Tag<B> {
    /// Loads a model folder.
    ///
    /// # Errors
    /// The model or the tokenizer cannot be read, the model has no classifier of tokens.
    pub fn from_pretrained(folder: &Path, device: B) -> Result<(Self, Loaded)> {
        let (model, tokenizer, loaded) = load(folder, device)?;
        Ok((Self::new(model, tokenizer), loaded))
    }

    /// Joins a model and its tokenizer.
    pub fn new(model: AlbertForTokenClassification<B>, tokenizer: AlbertTokenizer) -> Self {
        let texts = Texts::new(tokenizer, model.config(), model.device());
        Self { model, texts }
    }

    /// The model.
    pub fn model(&self) -> &AlbertForTokenClassification<B> {
        &self.model
    }

    /// Tags one text, in the order of its parts.
    ///
    /// # Errors
    /// Too many tokens where windows do not slide.
    pub fn run(&self, input: TagInput<'_>, options: &TagOptions) -> Result<Answer<Vec<Entity>>> {
        only(self.run_batch(&[input], options)?)
    }

    /// Tags many texts; each has its own result.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn run_batch(
        &self,
        inputs: &[TagInput<'_>],
        options: &TagOptions,
    ) -> Result<Results<Vec<Entity>>> {
        let (limit, stride) = (
            self.texts.limit(&options.limits)?,
            self.texts.stride(&options.limits)?,
        );
        let room = limit.saturating_sub(self.texts.tokenizer.num_special_tokens_to_add(false));
        let sources: Vec<Source<'_>> = inputs.iter().map(|&input| Source::new(input)).collect();
        let encodable: Vec<Input<'_>> = inputs
            .iter()
            .map(|input| match input {
                TagInput::Text(text) => (*text).into(),
                TagInput::Words(words) => Input::words(words),
            })
            .collect();
        let windows = self
            .texts
            .encode(&encodable, &options.limits, Strategy::OnlyFirst)?;
        let prepared = windows.into_iter().zip(sources).map(|(windows, source)| {
            let windows = windows?;
            Ok((windows.rows(), (windows, source)))
        });
        Ok(batch::answer(
            prepared.collect(),
            options.limits.batch_tokens,
            |rows| self.scores(rows),
            |(windows, source), scores| {
                let entities =
                    self.entities(&windows, &source, scores, options, room - stride.min(room));
                Ok(Answer {
                    output: entities,
                    tokens: windows.tokens,
                    truncated: windows.truncated,
                })
            },
        ))
    }

    /// For each token of each row its probabilities `[C]`.
    fn scores(&self, rows: &[&Row]) -> Result<Vec<Vec<Vec<f64>>>> {
        let inputs = batch::padded(rows);
        let output = self.model.forward(&inputs, None, Default::default())?;
        let c = output.logits.shape[2];
        let of = |b: usize| {
            let row = &output.logits.data[b * inputs.length * c..][..rows[b].ids.len() * c];
            row.chunks_exact(c)
                .map(|logits| Ok(softmax(&batch::numbers(logits)?)))
                .collect()
        };
        (0..rows.len()).map(of).collect()
    }

    /// The entities of all windows. `step`: tokens of text from the beginning of a window to that of the next.
    fn entities(
        &self,
        windows: &Windows,
        source: &Source<'_>,
        scores: Vec<Vec<Vec<f64>>>,
        options: &TagOptions,
        step: usize,
    ) -> Vec<Entity> {
        let index = CharIndex::new(source.text());
        let tokens: Vec<Vec<Token>> = windows
            .encodings
            .iter()
            .zip(scores)
            .map(|(encoding, scores)| self.tokens(encoding, source, &index, scores))
            .collect();
        let tokenizer = &self.texts.tokenizer;
        let labels = &self.model.config().id2label;
        let several = tokens.len() > 1;
        if options.aggregation == Aggregation::None {
            let tokens = if several {
                central(tokens, step)
            } else {
                tokens.concat()
            };
            return aggregate(tokens, options.aggregation, labels, tokenizer)
                .into_iter()
                .filter(|entity| !options.ignore_labels.contains(&entity.label))
                .collect();
        }
        let entities = tokens
            .into_iter()
            .flat_map(|tokens| aggregate(tokens, options.aggregation, labels, tokenizer))
            .filter(|entity| !options.ignore_labels.contains(&entity.label))
            .collect();
        if several {
            without_overlaps(entities)
        } else {
            entities
        }
    }

    /// The tokens of a window that come from the text.
    fn tokens(
        &self,
        encoding: &Encoding,
        source: &Source<'_>,
        index: &CharIndex<'_>,
        scores: Vec<Vec<f64>>,
    ) -> Vec<Token> {
        let (tokenizer, text) = (&self.texts.tokenizer, source.text());
        let mut tokens = Vec::with_capacity(scores.len());
        for (i, scores) in scores.into_iter().enumerate() {
            if encoding.special_tokens_mask[i] == 1 {
                continue;
            }
            let (start, end) = encoding.offsets[i];
            let base = source.base(encoding.word_ids[i]);
            let span = Span::new(text, index, base + start..base + end);
            let name = tokenizer.id_to_token(encoding.ids[i]).unwrap_or_default();
            let unknown = Some(encoding.ids[i]) == tokenizer.unk_token_id();
            let goes_on = if unknown {
                false
            } else if tokenizer.is_wordpiece() {
                name.chars().count() != span.chars.len()
            } else {
                goes_on(text, span.bytes.start)
            };
            let word = if unknown { span.of(text) } else { name };
            tokens.push(Token {
                index: i,
                word: word.to_owned(),
                span,
                goes_on,
                scores,
            });
        }
        tokens
    }
}

/// Whether there is no space at this place of the text nor right before it.
fn goes_on(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    before.is_some_and(|c| c != ' ') && !text[at..].starts_with(' ')
}

/// Each token of the text once, from the window where its nearer end is farthest away; numbered as without windows.
fn central(windows: Vec<Vec<Token>>, step: usize) -> Vec<Token> {
    let mut best: Vec<(usize, Token)> = Vec::new();
    for (w, tokens) in windows.into_iter().enumerate() {
        let (first, count) = (w * step, tokens.len());
        for (i, token) in tokens.into_iter().enumerate() {
            let room = i.min(count - 1 - i);
            let place = first + i;
            let token = Token {
                index: place + token.index - i,
                ..token
            };
            match best.get_mut(place) {
                Some(known) if room > known.0 => *known = (room, token),
                Some(_) => (),
                None => best.push((room, token)),
            }
        }
    }
    best.into_iter().map(|(_, token)| token).collect()
}

/// The text in which positions count.
enum Source<'a> {
    Text(&'a str),
    /// Words joined with spaces, and where each begins.
    Words(String, Vec<usize>),
}

impl<'a> Source<'a> {
    fn new(input: TagInput<'a>) -> Self {
        match input {
            TagInput::Text(text) => Self::Text(text),
            TagInput::Words(words) => {
                let mut starts = Vec::with_capacity(words.len());
                let mut at = 0;
                for word in words {
                    starts.push(at);
                    at += word.len() + 1;
                }
                Self::Words(words.join(" "), starts)
            }
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Words(text, _) => text,
        }
    }

    /// Where the offsets of a word's tokens count from.
    fn base(&self, word: Option<u32>) -> usize {
        match (self, word) {
            (Self::Words(_, starts), Some(word)) => starts[word as usize],
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_after_a_space_or_with_one() {
        let text = "né to wo";
        let of = |at: usize| goes_on(text, at);
        assert!(!of(0), "the text's beginning");
        assert!(of("n".len()), "inside a word");
        assert!(!of("né".len()), "a space");
        assert!(!of("né ".len()), "after a space");
    }

    #[test]
    fn tokens_of_windows_are_taken_where_they_are_central() {
        let window = |first: usize, count: usize, mark: &str| -> Vec<Token> {
            (0..count)
                .map(|i| Token {
                    index: i + 1,
                    word: format!("{mark}{}", first + i),
                    span: Span::default(),
                    goes_on: false,
                    scores: vec![1.0],
                })
                .collect()
        };
        // Eight tokens in windows of four that share two.
        let tokens = central(
            vec![window(0, 4, "a"), window(2, 4, "b"), window(4, 4, "c")],
            2,
        );
        let words: Vec<&str> = tokens.iter().map(|t| t.word.as_str()).collect();
        assert_eq!(words, ["a0", "a1", "a2", "b3", "b4", "c5", "c6", "c7"]);
        let indexes: Vec<usize> = tokens.iter().map(|t| t.index).collect();
        assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
