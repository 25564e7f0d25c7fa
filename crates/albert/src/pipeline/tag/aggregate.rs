//! Tokens to entities, as `TokenClassificationPipeline` of transformers joins them.

use albert_tokenizer::AlbertTokenizer;

use super::{Aggregation, Entity};
use crate::pipeline::scores::best;
use crate::pipeline::span::Span;

/// One token with its probabilities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Place in its sequence.
    pub(super) index: usize,
    /// Name in the vocabulary; the text itself where it is unknown.
    pub(super) word: String,
    pub(super) span: Span,
    /// Whether it goes on in the word of the token before it.
    pub(super) goes_on: bool,
    /// `[C]`
    pub(super) scores: Vec<f64>,
}

/// Labels the tokens of one window and joins them.
pub(super) fn aggregate(
    tokens: Vec<Token>,
    how: Aggregation,
    labels: &[String],
    tokenizer: &AlbertTokenizer,
) -> Vec<Entity> {
    let by_token = |token: Token| {
        let label = best(&token.scores);
        Entity {
            label: labels[label].clone(),
            score: token.scores[label],
            index: Some(token.index),
            word: token.word,
            span: token.span,
        }
    };
    match how {
        Aggregation::None => tokens.into_iter().map(by_token).collect(),
        Aggregation::Simple => join(tokens.into_iter().map(by_token).collect(), tokenizer),
        _ => {
            let words = tokens.chunk_by(|_, token| token.goes_on);
            let words = words.map(|tokens| word(tokens, how, labels, tokenizer));
            join(words.collect(), tokenizer)
        }
    }
}

/// One label for the tokens of a word.
fn word(
    tokens: &[Token],
    how: Aggregation,
    labels: &[String],
    tokenizer: &AlbertTokenizer,
) -> Entity {
    let scores = match how {
        Aggregation::Max => {
            let highest: Vec<f64> = tokens
                .iter()
                .map(|token| token.scores[best(&token.scores)])
                .collect();
            tokens[best(&highest)].scores.clone()
        }
        Aggregation::Average => {
            let count = tokens.len() as f64;
            let mean = |i: usize| tokens.iter().map(|token| token.scores[i]).sum::<f64>() / count;
            (0..labels.len()).map(mean).collect()
        }
        _ => tokens[0].scores.clone(),
    };
    let label = best(&scores);
    let names: Vec<&str> = tokens.iter().map(|token| token.word.as_str()).collect();
    Entity {
        label: labels[label].clone(),
        score: scores[label],
        index: None,
        word: tokenizer.tokens_to_string(&names),
        span: from_to(&tokens[0].span, &tokens[tokens.len() - 1].span),
    }
}

/// Joins neighbours with labels of one kind, where the second does not begin a new entity.
fn join(parts: Vec<Entity>, tokenizer: &AlbertTokenizer) -> Vec<Entity> {
    let groups = parts.chunk_by(|a, b| kind(&a.label).1 == kind(&b.label).1 && !kind(&b.label).0);
    let entity = |group: &[Entity]| {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let words: Vec<&str> = group.iter().map(|part| part.word.as_str()).collect();
        // transformers cuts at the first hyphen here, whatever is before it.
        let label = first.label.split_once('-').map(|(_, rest)| rest);
        Entity {
            label: label.unwrap_or(&first.label).to_owned(),
            score: group.iter().map(|part| part.score).sum::<f64>() / group.len() as f64,
            index: None,
            word: tokenizer.tokens_to_string(&words),
            span: from_to(&first.span, &last.span),
        }
    };
    groups.map(entity).collect()
}

/// Whether a label begins an entity, and of which kind it is. A label without `B-` or `I-` goes on.
fn kind(label: &str) -> (bool, &str) {
    match (label.strip_prefix("B-"), label.strip_prefix("I-")) {
        (Some(kind), _) => (true, kind),
        (_, Some(kind)) => (false, kind),
        _ => (false, label),
    }
}

fn from_to(first: &Span, last: &Span) -> Span {
    Span {
        bytes: first.bytes.start..last.bytes.end,
        chars: first.chars.start..last.chars.end,
    }
}

/// Of entities that overlap, as those of neighbouring windows do, the longer one, or else the surer one.
pub(super) fn without_overlaps(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.sort_by_key(|entity| entity.span.chars.start);
    let mut kept: Vec<Entity> = Vec::new();
    for entity in entities {
        let length = |entity: &Entity| entity.span.chars.len();
        match kept.last_mut() {
            Some(last) if entity.span.chars.start < last.span.chars.end => {
                let better = (length(&entity), entity.score) > (length(last), last.score);
                if better {
                    *last = entity;
                }
            }
            _ => kept.push(entity),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(range: std::ops::Range<usize>, score: f64) -> Entity {
        Entity {
            label: "X".to_owned(),
            score,
            index: None,
            word: String::new(),
            span: Span {
                bytes: range.clone(),
                chars: range,
            },
        }
    }

    #[test]
    fn labels_tell_beginning_and_kind() {
        assert_eq!(kind("B-LOC"), (true, "LOC"));
        assert_eq!(kind("I-LOC"), (false, "LOC"));
        assert_eq!(kind("LOC"), (false, "LOC"));
        assert_eq!(kind("O"), (false, "O"));
    }

    #[test]
    fn the_longer_of_two_wins_then_the_surer() {
        let kept = without_overlaps(vec![
            entity(10..14, 0.9),
            entity(0..4, 0.5),
            entity(0..4, 0.6),
            entity(12..20, 0.1),
            entity(20..21, 0.3),
        ]);
        let places: Vec<_> = kept.iter().map(|e| (e.span.chars.start, e.score)).collect();
        assert_eq!(places, [(0, 0.6), (12, 0.1), (20, 0.3)]);
    }
}
