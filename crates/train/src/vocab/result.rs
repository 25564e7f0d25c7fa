//! What was learned: pieces with ids, scores and kinds, and their files.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use albert_formats::write_atomically;
use albert_tokenizer::{
    AlbertTokenizer, LoadOptions, Mode, SpieceModel, SpieceOptions, SpieceTraining,
};

use super::alphabet::Corpus;
use super::options::{Reserved, VocabOptions};
use super::pieces::Pieces;
use crate::error::{Error, Result};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A learned one.
    Normal,
    /// `<unk>`
    Unknown,
    /// One that no text holds.
    Control,
    /// A symbol that is found whole wherever it stands.
    UserDefined,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Unknown => "unknown",
            Self::Control => "control",
            Self::UserDefined => "user_defined",
        }
    }
}

/// A vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// Text, score (logarithm of the probability in nats; 0 for reserved pieces) and kind, by id.
    pub pieces: Vec<(String, f32, Kind)>,
    /// Lines of the text that were not blank.
    pub sentences: u64,
    /// Those that were drawn.
    pub drawn: u64,
    options: VocabOptions,
}

/// Scores of required characters that were not learned differ by so much, in nats, as SentencePiece's do.
const APART: f64 = 1e-4;

/// Takes all characters and the pieces with the highest scores, and gives them ids.
pub(super) fn finish(
    corpus: &Corpus,
    learned: &Pieces,
    reserved: &Reserved,
    options: &VocabOptions,
    (sentences, drawn): (u64, u64),
) -> Result<Vocabulary> {
    let room = options.vocab_size - reserved.len();
    let scores: HashMap<&[u32], f64> = (0..learned.len())
        .map(|index| (learned.piece(index), learned.scores[index]))
        .collect();
    let known = |symbol: u32| scores.get(&[symbol][..]).copied();
    let symbols = 0..corpus.characters.len() as u32;
    let unlearned = symbols
        .clone()
        .filter(|symbol| known(*symbol).is_none())
        .count();
    let mut low = learned.lowest() + APART * unlearned as f64;
    // More frequent ones stand before rarer ones.
    let mut chosen: Vec<(String, f32)> = symbols
        .map(|symbol| {
            let score = known(symbol).unwrap_or_else(|| {
                low -= APART;
                low
            });
            (corpus.text(&[symbol]), score as f32)
        })
        .collect();
    let mut others: Vec<(String, f32)> = (0..learned.len())
        .filter(|index| learned.piece(*index).len() > 1)
        .map(|index| {
            (
                corpus.text(learned.piece(index)),
                learned.scores[index] as f32,
            )
        })
        .collect();
    others.sort_unstable_by(by_score);
    if chosen.len() + others.len() < room {
        let most = chosen.len() + others.len() + reserved.len();
        return Err(Error::input(
            "vocab_size",
            format!(
                "at most {most}, which is what this text gives; take fewer pieces or more text"
            ),
            options.vocab_size,
        ));
    }
    others.truncate(room - chosen.len());
    chosen.append(&mut others);
    chosen.sort_unstable_by(by_score);
    let mut chosen = chosen.into_iter();
    let pieces = (0..options.vocab_size).filter_map(|id| match reserved.get(&id) {
        Some((symbol, kind)) => Some((symbol.clone(), 0.0, *kind)),
        None => chosen
            .next()
            .map(|(text, score)| (text, score, Kind::Normal)),
    });
    Ok(Vocabulary {
        pieces: pieces.collect(),
        sentences,
        drawn,
        options: options.clone(),
    })
}

/// The highest score first, equal ones in the order of their bytes.
fn by_score(a: &(String, f32), b: &(String, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0))
}

/// SentencePiece's rules `nmt_nfkc`, as the published English ALBERT models have them.
pub(super) fn charsmap() -> Vec<u8> {
    let packed = include_bytes!("../../assets/nmt_nfkc.charsmap.gz");
    let mut rules = Vec::new();
    let read = flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut rules);
    debug_assert!(read.is_ok(), "{read:?}");
    rules
}

impl Vocabulary {
    /// The file `spiece.model`, which SentencePiece reads too. The same vocabulary gives the same bytes.
    ///
    /// # Errors
    /// None that [`train`](super::train) would not have reported.
    pub fn spiece(&self) -> Result<SpieceModel> {
        let options = &self.options;
        let pieces: Vec<(&str, f32, &str)> = self
            .pieces
            .iter()
            .map(|(text, score, kind)| (text.as_str(), *score, kind.name()))
            .collect();
        let id = |id: Option<usize>| id.map_or(-1, |id| id as i32);
        let training = SpieceTraining {
            normalizer: "nmt_nfkc".to_owned(),
            vocab_size: options.vocab_size as i32,
            character_coverage: options.character_coverage as f32,
            input_sentence_size: options.input_sentence_size,
            seed_sentencepiece_size: options.seed_sentencepiece_size as i32,
            shrinking_factor: options.shrinking_factor as f32,
            num_sub_iterations: options.num_sub_iterations as i32,
            max_sentencepiece_length: options.max_sentencepiece_length as i32,
            split_digits: options.split_digits,
            control_symbols: options.control_symbols.clone(),
            user_defined_symbols: options.user_defined_symbols.clone(),
            unk_id: id(Some(options.unk_id)),
            bos_id: id(options.bos_id),
            eos_id: id(options.eos_id),
            pad_id: id(Some(options.pad_id)),
        };
        let options = SpieceOptions {
            charsmap: charsmap(),
            training: Some(training),
            ..SpieceOptions::default()
        };
        Ok(SpieceModel::build(&pieces, &options)?)
    }

    /// A line for each piece, text, tab and score, as `spm_train` writes it.
    pub fn lines(&self) -> String {
        let lines = self.pieces.iter();
        lines
            .map(|(text, score, _)| format!("{text}\t{}\n", short(*score)))
            .collect()
    }

    /// The tokenizer of this vocabulary.
    ///
    /// # Errors
    /// As [`spiece`](Self::spiece).
    pub fn tokenizer(&self, mode: Mode) -> Result<AlbertTokenizer> {
        let options = LoadOptions {
            do_lower_case: Some(self.options.do_lower_case),
            keep_accents: Some(self.options.keep_accents),
            ..LoadOptions::mode(mode)
        };
        Ok(AlbertTokenizer::from_spiece(self.spiece()?, options)?)
    }

    /// Writes `spiece.model`, `spiece.vocab`, `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.tokenizer(Mode::HfFast)?.save_pretrained(folder)?;
        write_atomically(&folder.join("spiece.vocab"), self.lines().as_bytes())?;
        Ok(())
    }
}

/// Six digits, without zeros at the end, as C++ prints a number.
fn short(score: f32) -> String {
    let score = f64::from(score);
    let digits = format!("{score:.5e}");
    let exponent = digits
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        Some(exponent @ -4..=5) => trimmed(&format!("{score:.*}", (5 - exponent) as usize)),
        Some(exponent) => {
            let mantissa = digits.split('e').next().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
        }
        None => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn scores_are_printed_as_by_a_stream_of_cpp() {
        let cases = [
            (0.0, "0"),
            (-2.188_97, "-2.18897"),
            (-13.532_3, "-13.5323"),
            (-9.5, "-9.5"),
            (-10.0, "-10"),
            (-100.0, "-100"),
            (-0.000_012_345, "-1.2345e-05"),
            (-1_234_567.0, "-1.23457e+06"),
            (-9.999_999, "-10"),
        ];
        for (score, expected) in cases {
            assert_eq!(short(score), expected);
        }
    }
}
