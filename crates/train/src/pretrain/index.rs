//! The samples of a pass over a corpus: eight bytes for each, in random order.

use std::ops::Range;

use super::instance::Corpus;
use super::options::{Objective, Stage};
use super::segments::{Purpose, Second, chunk, plan, target};
use crate::error::Result;

/// One pass.
#[derive(Debug)]
pub(super) struct PassIndex {
    pub(super) pass: u64,
    /// 48 bits: number of the first sentence; 16 bits: tokens, special ones included.
    entries: Vec<u64>,
}

impl PassIndex {
    /// Goes over the lengths of all sentences and shuffles what it finds.
    pub(super) fn build(corpus: &Corpus, stage: &Stage, pass: u64) -> Result<Self> {
        let mut entries = Vec::new();
        walk(corpus, stage, pass, true, |first, tokens| {
            entries.push(first << 16 | tokens as u64)
        })?;
        // Fisher and Yates' shuffle.
        let mut draw = Purpose::Order.stream(corpus.options.seed, pass, 0);
        for i in (1..entries.len()).rev() {
            entries.swap(i, draw.below(i as u64 + 1) as usize);
        }
        Ok(Self { pass, entries })
    }

    /// Number of samples.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Number of a sample's first sentence, and its tokens.
    pub(super) fn get(&self, sample: u64) -> (u64, usize) {
        let entry = self.entries[sample as usize];
        (entry >> 16, (entry & 0xffff) as usize)
    }
}

/// Samples of a pass.
pub(super) fn count(corpus: &Corpus, stage: &Stage, pass: u64) -> Result<u64> {
    let mut count = 0;
    walk(corpus, stage, pass, false, |_, _| count += 1)?;
    Ok(count)
}

/// Tells `each` the first sentence and the tokens of every sample of a pass; unless `is_measured` the tokens of a sample with a
/// foreign segment, which lie elsewhere, are not looked up.
fn walk(
    corpus: &Corpus,
    stage: &Stage,
    pass: u64,
    is_measured: bool,
    mut each: impl FnMut(u64, usize),
) -> Result<()> {
    let (cache, options) = (&corpus.cache, &corpus.options);
    let (seed, objective) = (options.seed, options.objective);
    let max_tokens = stage.max_tokens(objective);
    let special = stage.max_seq_length - max_tokens;
    for shard in 0..cache.shards() {
        let first = cache.first_sentence(shard);
        let sentences = cache.lengths(shard)?;
        for (number, document) in cache
            .documents_of(shard)
            .filter(|(number, _)| options.split.has(*number))
        {
            let mut draw = Purpose::Target.stream(seed, pass, number);
            let wanted = target(&mut draw, max_tokens, options.short_seq_prob);
            let mut start = document.start;
            while start < document.end {
                let lengths = |range: Range<usize>| sentences[range].iter().map(|n| *n as usize);
                let rest = lengths(start..document.end);
                let end = start + chunk(rest, wanted, options.whole_sentences);
                let mut tokens = lengths(start..end).sum::<usize>();
                let sentence = first + start as u64;
                let mut draw = Purpose::Segments.stream(seed, pass, sentence);
                let plan = plan(&mut draw, end - start, objective);
                let is_foreign = plan.second == Second::Foreign;
                if is_foreign && options.whole_sentences && objective == Objective::SentenceOrder {
                    start = end;
                    continue;
                }
                if is_foreign && is_measured {
                    let a = lengths(start..start + plan.a_end).sum();
                    let (_, bounds) =
                        corpus.foreign(&mut draw, number, wanted.saturating_sub(a))?;
                    tokens = a + (bounds[bounds.len() - 1] - bounds[0]) as usize;
                }
                each(sentence, tokens.min(max_tokens) + special);
                start += plan.used(end - start);
            }
        }
    }
    Ok(())
}
