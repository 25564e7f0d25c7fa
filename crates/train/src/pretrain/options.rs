//! What the samples of a run are like.

use crate::error::{Error, Result};
use crate::random::mix;

/// What the second label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Whether the two segments, which follow each other in a document, were swapped (ALBERT).
    SentenceOrder,
    /// Whether the second segment is from another document (BERT; Google's `random_next_sentence`).
    NextSentence,
    /// There is one segment and no second label.
    None,
}

impl Objective {
    /// What the second label is called in measures; that of swapped sentences where there is none.
    pub fn second_label(self) -> &'static str {
        match self {
            Self::NextSentence => "next_sentence",
            Self::SentenceOrder | Self::None => "sentence_order",
        }
    }

    /// The names of the two losses.
    pub fn losses(self) -> [&'static str; 2] {
        let second = match self {
            Self::NextSentence => "next_sentence_loss",
            Self::SentenceOrder | Self::None => "sentence_order_loss",
        };
        ["masked_lm_loss", second]
    }
}

/// How tokens are masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masking {
    /// Share of the tokens that are predicted; 0: none is.
    pub probability: f64,
    /// Words that are masked together, at most.
    pub max_ngram: usize,
    /// n words are masked together with a probability proportional to 1/n; else to 1/(`max_ngram` + 1 − n).
    pub favor_shorter_ngram: bool,
    /// Words are masked as a whole; else single tokens.
    pub whole_word: bool,
}

/// Which documents take part. A document's number decides, not the seed, so that every run holds out the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// All.
    All,
    /// All but this share.
    Train(f64),
    /// This share.
    HeldOut(f64),
}

/// A part of a run with samples of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Number of samples.
    pub samples: u64,
    /// Tokens of a sample, at most, special tokens included.
    pub max_seq_length: usize,
    /// Predictions of a sample, at most.
    pub max_predictions: usize,
}

/// What the samples of a run are like.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainOptions {
    /// Of all random choices.
    pub seed: u64,
    /// Of the second label.
    pub objective: Objective,
    /// Probability with which a document is cut into shorter samples in a pass.
    pub short_seq_prob: f64,
    /// Samples hold the sentences of one document that fit, and none is cut. A sentence beside which none fits has no order and
    /// is left out. Else as Google's script: the last sentence is the first that does not fit, and is cut; a sentence that is
    /// alone takes a second segment from another document. Then lengths, cut ends and topics tell the order of many samples.
    pub whole_sentences: bool,
    /// Of the first label.
    pub masking: Masking,
    /// Of the documents.
    pub split: Split,
}

impl PretrainOptions {
    /// The defaults of `create_pretraining_data.py`, over all documents.
    pub fn google(seed: u64) -> Self {
        Self {
            seed,
            objective: Objective::SentenceOrder,
            short_seq_prob: 0.1,
            whole_sentences: false,
            masking: Masking {
                probability: 0.15,
                max_ngram: 3,
                favor_shorter_ngram: true,
                whole_word: true,
            },
            split: Split::All,
        }
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    /// The option that is out of range.
    pub fn check(&self) -> Result<()> {
        let probability = |what: &str, value: f64, limit: f64| match (0.0..=limit).contains(&value)
        {
            true => Ok(()),
            false => Err(Error::input(what, format!("0 to {limit}"), value)),
        };
        probability("short_seq_prob", self.short_seq_prob, 1.0)?;
        probability("masking.probability", self.masking.probability, 1.0)?;
        if let Split::Train(share) | Split::HeldOut(share) = self.split {
            probability("the share of documents that are held out", share, 0.5)?;
        }
        if !(1..=16).contains(&self.masking.max_ngram) {
            return Err(Error::input(
                "masking.max_ngram",
                "1 to 16",
                self.masking.max_ngram,
            ));
        }
        Ok(())
    }
}

impl Stage {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// A length out of range.
    pub fn check(&self) -> Result<()> {
        // Google draws short lengths from 2 to max_seq_length − 3.
        if !(5..=65_535).contains(&self.max_seq_length) {
            return Err(Error::input(
                "max_seq_length",
                "5 to 65535",
                self.max_seq_length,
            ));
        }
        if self.max_predictions > 65_535 {
            return Err(Error::input(
                "max_predictions",
                "0 to 65535",
                self.max_predictions,
            ));
        }
        Ok(())
    }

    /// Tokens beside the special ones, at most.
    pub(super) fn max_tokens(&self, objective: Objective) -> usize {
        self.max_seq_length - if objective == Objective::None { 2 } else { 3 }
    }
}

impl Split {
    /// Whether a document takes part.
    pub(super) fn has(self, document: u64) -> bool {
        // A constant of its own, so that no seed draws the same.
        let held_out = |share: f64| {
            ((mix(mix(0x6865_6c64) ^ document) >> 11) as f64) < share * (1u64 << 53) as f64
        };
        match self {
            Self::All => true,
            Self::Train(share) => !held_out(share),
            Self::HeldOut(share) => held_out(share),
        }
    }
}

/// Stages by their shares of `samples`, as (share, `max_seq_length`, `max_predictions`); the shares add up to 1, and the last
/// stage takes what rounding leaves.
///
/// # Errors
/// Shares that do not add up to 1.
pub fn stages_of_shares(samples: u64, shares: &[(f64, usize, usize)]) -> Result<Vec<Stage>> {
    let sum: f64 = shares.iter().map(|(share, ..)| share).sum();
    let good = (sum - 1.0).abs() <= 1e-9 && shares.iter().all(|(share, ..)| *share > 0.0);
    if !good {
        return Err(Error::input(
            "shares of the stages",
            "numbers above 0 that add up to 1",
            sum,
        ));
    }
    let (mut before, mut end) = (0, 0.0);
    let stage = |(i, &(share, max_seq_length, max_predictions)): (usize, &(f64, usize, usize))| {
        end += share;
        let last = i + 1 == shares.len();
        let until = if last {
            samples
        } else {
            (end * samples as f64).round() as u64
        };
        let stage = Stage {
            samples: until - before,
            max_seq_length,
            max_predictions,
        };
        before = until;
        stage
    };
    Ok(shares.iter().enumerate().map(stage).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_samples() {
        let stages = stages_of_shares(1001, &[(0.9, 128, 20), (0.1, 512, 76)]).expect("stages");
        let of = |samples, max_seq_length, max_predictions| Stage {
            samples,
            max_seq_length,
            max_predictions,
        };
        assert_eq!(stages, [of(901, 128, 20), of(100, 512, 76)]);
        assert!(stages_of_shares(10, &[(0.5, 128, 20)]).is_err());
        assert!(stages_of_shares(10, &[(1.5, 128, 20), (-0.5, 128, 20)]).is_err());
        assert!(stages_of_shares(10, &[(f64::NAN, 128, 20)]).is_err());
    }

    #[test]
    fn every_document_is_on_one_side() {
        let held = (0..100_000)
            .filter(|&n| Split::HeldOut(0.01).has(n))
            .count();
        // 1000; standard deviation √(10⁵·0.01·0.99) = 31; five of them.
        assert!(held.abs_diff(1000) < 157, "{held}");
        for n in 0..1000 {
            assert!(Split::HeldOut(0.3).has(n) != Split::Train(0.3).has(n) && Split::All.has(n));
            assert!(!Split::HeldOut(0.01).has(n) || Split::HeldOut(0.02).has(n));
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let good = PretrainOptions::google(1);
        good.check().expect("good");
        let with = |change: &dyn Fn(&mut PretrainOptions)| {
            let mut options = good.clone();
            change(&mut options);
            options.check().expect_err("refused").to_string()
        };
        assert!(
            with(&|o| o.short_seq_prob = 1.1)
                .contains("short_seq_prob: expected 0 to 1, found 1.1")
        );
        assert!(with(&|o| o.masking.probability = f64::NAN).contains("masking.probability"));
        assert!(with(&|o| o.masking.max_ngram = 0).contains("max_ngram"));
        assert!(with(&|o| o.split = Split::Train(0.6)).contains("held out"));
        let stage = Stage {
            samples: 1,
            max_seq_length: 4,
            max_predictions: 1,
        };
        assert!(stage.check().is_err());
    }
}
