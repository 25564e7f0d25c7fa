//! What is not random, against `create_pretraining_data.py` itself (tools/make_pretraining_counts.py).

use std::path::{Path, PathBuf};

use albert_tokenizer::{AlbertTokenizer, LoadOptions, Mode};
use serde_json::Value;

use super::masking::{Words, budget};
use super::pieces::{Pieces, is_start_of_sentencepiece, is_start_of_wordpiece};
use super::segments::truncate;
use crate::random::mix;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn golden() -> Value {
    let text = std::fs::read_to_string(fixtures().join("pretrain/words.json")).expect("the golden");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<usize> {
    let list = value.as_array().expect("a list").iter();
    list.map(|n| n.as_u64().expect("a number") as usize)
        .collect()
}

#[test]
fn pieces_that_begin_words() {
    let golden = golden();
    let pieces = golden["pieces"].as_array().expect("pieces");
    for (kind, is_start) in [
        (
            "sentencepiece",
            is_start_of_sentencepiece as fn(&str) -> bool,
        ),
        ("wordpiece", is_start_of_wordpiece),
    ] {
        let expected = golden[kind].as_str().expect("zeros and ones");
        let mut ones = 0;
        for (piece, expected) in pieces.iter().zip(expected.bytes()) {
            let piece = piece.as_str().expect("a piece");
            assert_eq!(is_start(piece), expected == b'1', "{kind}: {piece:?}");
            ones += usize::from(expected == b'1');
        }
        assert!(
            pieces.len() == 3000 && (500..2800).contains(&ones),
            "{ones} of {}",
            pieces.len()
        );
    }
}

#[test]
fn words_and_boundaries() {
    let model = fixtures().join("tokenizer/albert.model");
    let tokenizer = AlbertTokenizer::from_pretrained(model, LoadOptions::mode(Mode::Google))
        .expect("a tokenizer");
    let pieces = Pieces::of(&tokenizer).expect("pieces");
    let (mut joined, golden) = (0, golden());
    for sequence in golden["sequences"].as_array().expect("sequences") {
        let ids: Vec<u32> = numbers(&sequence["ids"])
            .into_iter()
            .map(|id| id as u32)
            .collect();
        let words = Words::of(&ids, &pieces, sequence["whole_word"] == true);
        let boundary: Vec<usize> = words.boundary.iter().map(|is| usize::from(*is)).collect();
        assert_eq!(boundary, numbers(&sequence["boundary"]));
        let expected: Vec<Vec<usize>> = sequence["words"]
            .as_array()
            .expect("words")
            .iter()
            .map(numbers)
            .collect();
        let found: Vec<Vec<usize>> = (0..words.len())
            .map(|word| {
                words
                    .run(word, 1)
                    .iter()
                    .map(|place| *place as usize)
                    .collect()
            })
            .collect();
        assert_eq!(found, expected);
        joined += expected.iter().filter(|word| word.len() > 1).count();
    }
    assert!(joined > 100, "{joined} words of several pieces");
}

#[test]
fn budgets() {
    let golden = golden();
    for case in golden["budgets"].as_array().expect("cases") {
        let probability = case["probability"].as_f64().expect("a number");
        let most = numbers(&Value::Array(vec![case["max_predictions"].clone()]))[0];
        let found: Vec<usize> = (1..=512)
            .map(|length| budget(length, probability, most))
            .collect();
        assert_eq!(found, numbers(&case["budgets"]), "{probability}");
    }
}

#[test]
fn truncations_by_the_same_draws() {
    let (mut cut, golden) = (0, golden());
    for case in golden["truncations"].as_array().expect("cases") {
        let [seed, a, b, most, expected @ ..] = &numbers(case)[..] else {
            panic!("{case}")
        };
        // The tool draws the two lengths and the limit first.
        let mut state = *seed as u64;
        let mut bits = || {
            let bits = mix(state);
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            bits
        };
        let drawn = [1 + bits() % 40, 1 + bits() % 40, 2 + bits() % 45];
        assert_eq!(drawn, [*a as u64, *b as u64, *most as u64]);
        let [left_a, left_b] = truncate(|| bits() >> 63 == 0, *a, *b, *most);
        assert_eq!(
            [left_a.start, left_a.end, left_b.start, left_b.end],
            expected,
            "{case}"
        );
        cut += usize::from(a + b > *most);
    }
    assert!((50..250).contains(&cut), "{cut} of 300 were cut");
}
