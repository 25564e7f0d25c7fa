//! One sample: its sentences read from the disk, its segments, its masks.

use std::sync::Arc;

use super::cache::{Reading, TokenCache};
use super::masking::{self, Words};
use super::options::{PretrainOptions, Split, Stage};
use super::pieces::Pieces;
use super::segments::{Purpose, Second, chunk, plan, target, truncate};
use crate::error::{Error, Result};
use crate::random::Stream;

/// One sample, as Google's `TrainingInstance`: `[CLS] A [SEP] B [SEP]`, or `[CLS] A [SEP]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Tokens with masks `[S]`.
    pub input_ids: Vec<u32>,
    /// The first token of type 1; S where there is one segment.
    pub second: usize,
    /// 1 where the segments are swapped or the second is foreign, else 0; `None` where there is one segment.
    pub sentence_order_label: Option<u8>,
    /// Places that are predicted, rising, with the tokens that stood there.
    pub masked: Vec<(u32, u32)>,
    /// Whether a token is special or a start piece that opens a word `[S]` (Google's `token_boundary`).
    pub boundary: Vec<bool>,
}

/// What samples are made from.
#[derive(Debug)]
pub(super) struct Corpus {
    pub(super) cache: Arc<TokenCache>,
    pub(super) pieces: Pieces,
    pub(super) options: PretrainOptions,
    /// Numbers of the documents that are held out, where they alone take part: too few to be found by trying.
    held_out: Vec<u64>,
}

impl Corpus {
    /// Checks that all fit together.
    pub(super) fn new(
        cache: Arc<TokenCache>,
        pieces: Pieces,
        options: PretrainOptions,
    ) -> Result<Self> {
        options.check()?;
        cache.check(&pieces.tokenizer)?;
        let mut members = (0..cache.documents()).filter(|number| options.split.has(*number));
        let held_out = match options.split {
            Split::HeldOut(_) => members.by_ref().collect(),
            Split::All | Split::Train(_) => Vec::new(),
        };
        if held_out.is_empty() && members.next().is_none() {
            let expected = format!(
                "a split that leaves some of the {} documents",
                cache.documents()
            );
            return Err(Error::input(
                "split",
                expected,
                format!("{:?}", options.split),
            ));
        }
        Ok(Self {
            cache,
            pieces,
            options,
            held_out,
        })
    }

    fn random_document(&self, draw: &mut Stream) -> u64 {
        if !self.held_out.is_empty() {
            return self.held_out[draw.below(self.held_out.len() as u64) as usize];
        }
        loop {
            let number = draw.below(self.cache.documents());
            // At most half of the documents are held out, and some are not.
            if self.options.split.has(number) {
                return number;
            }
        }
    }

    /// A second segment of `wanted` tokens or more, if its document has them, from a random sentence of a random document;
    /// another one than `document`, if ten tries find one. Its place as [`Reading::until`] gives it.
    pub(super) fn foreign(
        &self,
        draw: &mut Stream,
        document: u64,
        wanted: usize,
    ) -> Result<(Reading, Vec<u32>)> {
        let mut other = document;
        for _ in 0..10 {
            other = self.random_document(draw);
            if other != document {
                break;
            }
        }
        let other = self.cache.document(other);
        let start = draw.below(u64::from(other.len())) as u32;
        let reading = other.open()?;
        let bounds = reading.until(start, wanted)?;
        Ok((reading, bounds))
    }

    /// The sample of a pass that begins with this sentence.
    pub(super) fn instance(&self, stage: &Stage, pass: u64, sentence: u64) -> Result<Instance> {
        let (seed, objective) = (self.options.seed, self.options.objective);
        let max_tokens = stage.max_tokens(objective);
        let (document, place) = self.cache.document_of(sentence);
        let mut draw = Purpose::Target.stream(seed, pass, document.number);
        let wanted = target(&mut draw, max_tokens, self.options.short_seq_prob);
        let reading = document.open()?;
        let mut bounds = reading.until(place, wanted)?;
        let lengths = bounds.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        let sentences = chunk(lengths, wanted, self.options.whole_sentences);
        bounds.truncate(sentences + 1);

        let mut draw = Purpose::Segments.stream(seed, pass, sentence);
        let plan = plan(&mut draw, bounds.len() - 1, objective);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let used = plan.used(bounds.len() - 1);
        reading.tokens(bounds[0]..bounds[used], &mut a)?;
        match plan.second {
            Second::None => {}
            Second::Foreign => {
                let (reading, bounds) =
                    self.foreign(&mut draw, document.number, wanted.saturating_sub(a.len()))?;
                reading.tokens(bounds[0]..bounds[bounds.len() - 1], &mut b)?;
            }
            Second::Follows | Second::Swapped => {
                b = a.split_off((bounds[plan.a_end] - bounds[0]) as usize)
            }
        }
        if plan.second == Second::Swapped {
            std::mem::swap(&mut a, &mut b);
        }
        let [keep_a, keep_b] = truncate(|| draw.chance(0.5), a.len(), b.len(), max_tokens);

        let mut input_ids = Vec::with_capacity(stage.max_seq_length);
        input_ids.push(self.pieces.cls);
        input_ids.extend_from_slice(&a[keep_a]);
        input_ids.push(self.pieces.sep);
        let second = input_ids.len();
        if plan.second != Second::None {
            input_ids.extend_from_slice(&b[keep_b]);
            input_ids.push(self.pieces.sep);
        }
        let mut draw = Purpose::Masks.stream(seed, pass, sentence);
        let (masked, boundary) = self.mask(&mut draw, &mut input_ids, stage.max_predictions);
        Ok(Instance {
            input_ids,
            second,
            sentence_order_label: match plan.second {
                Second::None => None,
                Second::Follows => Some(0),
                Second::Swapped | Second::Foreign => Some(1),
            },
            masked,
            boundary,
        })
    }

    fn mask(
        &self,
        draw: &mut Stream,
        ids: &mut [u32],
        most: usize,
    ) -> (Vec<(u32, u32)>, Vec<bool>) {
        let how = &self.options.masking;
        let words = Words::of(ids, &self.pieces, how.whole_word);
        let budget = masking::budget(ids.len(), how.probability, most);
        let chosen = masking::choose(draw, &words, how, budget);
        (
            masking::mask(draw, chosen, &self.pieces, ids),
            words.boundary,
        )
    }
}
