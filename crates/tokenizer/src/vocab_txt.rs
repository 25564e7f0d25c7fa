//! `vocab.txt`: a WordPiece vocabulary, one entry a line, as BERT's and Chinese ALBERT's folders
//! have it.

use std::collections::HashMap;

use crate::config::{Config, SpecialTokens};
use crate::error::Error;
use crate::json::{
    AddedToken as JsonToken, BertNormalizer, Decoder, Model, Normalizer, PreTokenizer, Spec,
    Template, WordPieceSpec,
};
use crate::mode::Mode;

/// What stands before a piece that goes on in a word.
const PREFIX: &str = "##";

/// From the bytes of a file; the number of an entry is that of its line, and of equal entries the
/// last one counts. Google's reader counts entries instead of lines: the first of equal ones
/// counts, and the others take no number.
pub(crate) fn parse(bytes: &[u8], mode: Mode) -> Result<Vec<(String, u32)>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::Vocabulary {
        problem: format!(
            "byte {} is not UTF-8: expected a WordPiece vocabulary, one entry a line",
            error.valid_up_to()
        ),
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut ids: HashMap<&str, u32> = HashMap::new();
    for (id, line) in (0..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if mode == Mode::Google {
            // It takes the first field, so that listings with scores are read too.
            let entry = line.split_whitespace().next().unwrap_or(" ");
            let next = ids.len() as u32;
            ids.entry(entry).or_insert(next);
        } else {
            ids.insert(line, id);
        }
    }
    let mut vocab: Vec<(String, u32)> = ids.into_iter().map(|(t, id)| (t.to_owned(), id)).collect();
    vocab.sort_unstable_by_key(|(_, id)| *id);
    Ok(vocab)
}

/// BERT's pipeline over a vocabulary.
pub(crate) fn bert(
    vocab: Vec<(String, u32)>,
    special: &SpecialTokens,
    mode: Mode,
    config: &Config,
) -> Spec {
    let id = |content: &str| {
        vocab
            .iter()
            .find(|(token, _)| token == content)
            .map(|(_, id)| *id)
    };
    let lowercase = config.do_lower_case.unwrap_or(true);
    // Google's tokenizer knows no special tokens inside a text.
    let recognised = special.all().into_iter().filter(|_| mode != Mode::Google);
    let added = recognised.filter_map(|token| {
        Some(JsonToken {
            id: id(&token.content)?,
            content: token.content.clone(),
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
            special: true,
        })
    });
    let mut added_tokens: Vec<JsonToken> = added.collect();
    added_tokens.sort_by_key(|token| token.id);
    let named = |name: &str| {
        let content = special.part(name)?.content.as_str();
        Some((content, id(content)?))
    };
    let template = named("cls_token").zip(named("sep_token"));
    Spec {
        truncation: None,
        padding: None,
        template: template.map(|(cls, sep)| Template::bert(cls, sep)),
        added_tokens,
        normalizer: vec![Normalizer::Bert(BertNormalizer {
            clean_text: true,
            handle_chinese_chars: config.tokenize_chinese_chars.unwrap_or(true),
            strip_accents: config.strip_accents,
            lowercase,
        })],
        pre_tokenizer: vec![PreTokenizer::Bert],
        decoder: Some(vec![Decoder::WordPiece {
            prefix: PREFIX.to_owned(),
            cleanup: true,
        }]),
        model: Model::WordPiece(WordPieceSpec {
            unk_token: special
                .unk
                .as_ref()
                .map_or("[UNK]", |token| &token.content)
                .to_owned(),
            continuing_subword_prefix: PREFIX.to_owned(),
            max_input_chars_per_word: if mode == Mode::Google { 200 } else { 100 },
            vocab,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbers_and_the_last_of_equal_entries_counts() {
        let of = |text: &str, mode| parse(text.as_bytes(), mode).unwrap();
        let entry = |text: &str, id| (text.to_owned(), id);
        let plain = of("[PAD]\r\na b\na\n[PAD]\n", Mode::HfFast);
        assert_eq!(plain, [entry("a b", 1), entry("a", 2), entry("[PAD]", 3)]);
        let google = of("a\t-1.5\n\nb", Mode::Google);
        assert_eq!(google, [entry("a", 0), entry(" ", 1), entry("b", 2)]);
        let doubled = of("a\nb\na\nc", Mode::Google);
        assert_eq!(doubled, [entry("a", 0), entry("b", 1), entry("c", 2)]);
        assert!(parse(b"a\n\xFF", Mode::HfFast).is_err());
    }
}
