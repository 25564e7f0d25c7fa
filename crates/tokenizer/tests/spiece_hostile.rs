//! No model file may crash the program, hang it, or make it allocate without bound; refusals say why.

use albert_tokenizer::{Sampling, SpieceModel, SpieceOptions, raw::Raw};
use proptest::prelude::*;

const FIXTURES: [&[u8]; 3] = [
    include_bytes!("../../../fixtures/tokenizer/albert.model"),
    include_bytes!("../../../fixtures/tokenizer/bytes.model"),
    include_bytes!("../../../fixtures/tokenizer/crossing.model"),
];

const TEXT: &str =
    "the (small) river\u{3000}counts 2000, e\u{301} \u{7f} THE [CLS] ½…字\0 aaaaaaaaaaaaaaaaaaaaa";

type Entry<'a> = (&'a str, f32, &'a str);

const PIECES: [Entry; 4] = [
    ("<unk>", 0.0, "unknown"),
    ("▁", -1.0, "normal"),
    ("a", -2.0, "normal"),
    ("▁a", -2.5, "normal"),
];

fn use_it(bytes: &[u8]) {
    let Ok(model) = SpieceModel::parse(bytes) else {
        return;
    };
    for mode in ["sentencepiece", "hf-slow", "google"] {
        let Ok(mut raw) = Raw::new(mode, model.clone()) else {
            continue;
        };
        let mut ids = Vec::new();
        raw.ids(TEXT, &mut ids);
        assert_eq!(raw.pieces(TEXT).ids, ids);
        let _ = raw.decode(&ids, false);
        let sampling = Sampling {
            nbest_size: -1,
            alpha: 0.5,
            seed: 1,
        };
        let _ = raw.sample(TEXT, sampling, 1);
        let _ = raw.n_best(&TEXT[..30], 5);
    }
}

fn refusal(pieces: &[Entry], options: &SpieceOptions) -> String {
    match SpieceModel::build(pieces, options) {
        Ok(_) => panic!("{pieces:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn with<'a>(entry: Entry<'a>) -> Vec<Entry<'a>> {
    PIECES.iter().copied().chain([entry]).collect()
}

#[test]
fn refusals_say_what_is_wrong() {
    let none = SpieceOptions::default();
    let long = "x".repeat(8000);
    for (entry, expected) in [
        (("", -1.0, "normal"), "piece 4 is empty"),
        (
            (long.as_str(), -1.0, "normal"),
            "piece 4 has 8000 bytes, expected at most 7999",
        ),
        (("a", -1.0, "normal"), "piece 4 (\"a\") occurs twice"),
        (
            ("b", f32::NAN, "normal"),
            "has the score NaN, expected a finite number",
        ),
        (("b", f32::NEG_INFINITY, "normal"), "has the score -inf"),
        (("<u>", 0.0, "unknown"), "is a second unknown piece"),
        (("a\0", 0.0, "normal"), "holds the character NUL"),
        (("<0x00>", 0.0, "byte"), "byte_fallback is off"),
    ] {
        let message = refusal(&with(entry), &none);
        assert!(message.contains(expected), "{message}");
    }
    assert!(refusal(&PIECES[1..], &none).contains("there is no unknown piece"));
    assert!(refusal(&PIECES[..1], &none).contains("no piece that a text could hold"));
    let bytes = SpieceOptions {
        byte_fallback: true,
        ..SpieceOptions::default()
    };
    assert!(refusal(&PIECES, &bytes).contains("there is no piece <0x00>"));
    assert!(refusal(&with(("<0xGG>", 0.0, "byte")), &bytes).contains("a text like <0x0A>"));
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (b"not a protobuf", "protobuf"),
        (
            b"\x0a\x05\x0a\x03\xff\xfe\xfd",
            "piece 0 is not UTF-8 at byte 0",
        ),
        (
            b"\x12\x02\x18\x02",
            "model_type is 2 (BPE), expected 1 (UNIGRAM)",
        ),
        (b"\x12\x02\x18\x03", "model_type is 3 (WORD)"),
        (b"\x12\x02\x18\x04", "model_type is 4 (CHAR)"),
        (b"\x0a\x05\x0a\x01a\x18\x09", "has type 9, expected 1 to 6"),
    ] {
        let message = match SpieceModel::parse(bytes) {
            Ok(_) => panic!("{bytes:?} was accepted"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(expected), "{message}");
    }
}

/// A charsmap of one block of 256 units: `units` are (place, value), the rest is empty.
fn charsmap(units: &[(usize, u32)], replacements: &[u8]) -> Vec<u8> {
    let mut array = vec![0_u32; 256];
    for &(place, value) in units {
        array[place] = value;
    }
    let mut out = 1024_u32.to_le_bytes().to_vec();
    out.extend(array.iter().flat_map(|unit| unit.to_le_bytes()));
    out.extend(replacements);
    out
}

/// A unit with this label, offset, and perhaps a leaf below it.
fn unit(label: u8, offset: u32, leaf: bool) -> u32 {
    u32::from(label) | offset << 10 | u32::from(leaf) << 8
}

#[test]
fn charsmaps() {
    let build = |map: Vec<u8>| {
        let options = SpieceOptions {
            charsmap: map,
            ..SpieceOptions::default()
        };
        SpieceModel::build(&PIECES, &options)
    };
    let root = (0, unit(0, 1, false));
    // Rule b -> a: the root's family starts at 1, so b (0x62) is unit 0x63, its leaf at 0x63 ^ 2.
    let rule = (0x63, unit(b'b', 2, true));
    let leaf = (0x61, 1 << 31);
    let model = build(charsmap(&[root, rule, leaf], b"a\0")).expect("a good charsmap");
    let mut raw = Raw::new("sentencepiece", model).expect("usable");
    assert_eq!(raw.pieces("b").ids, [3]);
    assert_eq!(raw.pieces("xb").ids, [1, 0, 2]);

    let circle = (0x63, unit(b'b', 0x63 ^ 1, false));
    for (map, expected) in [
        (charsmap(&[root, rule, leaf], b"a"), "not ended by NUL"),
        (
            charsmap(&[root, rule, (0x61, 1 << 31 | 9)], b"a\0"),
            "has its replacement at byte 9",
        ),
        (
            charsmap(&[root, rule, (0x61, 1 << 31 | 1)], "é\0".as_bytes()),
            "at byte 1",
        ),
        (charsmap(&[root, rule], b"a\0"), "points to no replacement"),
        (
            charsmap(&[root, (0x63, unit(b'b', 1 << 20, true))], b"a\0"),
            "points to no replacement",
        ),
        (charsmap(&[root, circle], b"a\0"), "go in a circle"),
        (
            charsmap(&[root, rule, leaf], b"\xff\0"),
            "not UTF-8 at byte 0",
        ),
        (
            charsmap(&[root, rule, leaf], &[b"a".repeat(5000), vec![0]].concat()),
            "at most 4096",
        ),
        (vec![1, 2], "2 bytes, expected at least 5"),
        (
            vec![0xFF, 0xFF, 0xFF, 0xFF, 0],
            "expected a multiple of 4 and at most 1",
        ),
    ] {
        let message = match build(map) {
            Ok(_) => panic!("accepted instead of {expected:?}"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_million_empty_pieces_are_counted_before_they_are_read() {
    let bytes = b"\x0a\x00".repeat((1 << 20) + 1);
    let message = SpieceModel::parse(&bytes)
        .expect_err("too many")
        .to_string();
    assert!(message.contains("more than 1048576 pieces"), "{message}");
}

#[test]
fn huge_scores_do_no_harm() {
    let pieces = with(("aa", f32::MAX, "normal"));
    let model = SpieceModel::build(&pieces, &SpieceOptions::default()).expect("finite");
    use_it(model.bytes());
    let pieces = with(("aa", f32::MIN, "normal"));
    let model = SpieceModel::build(&pieces, &SpieceOptions::default()).expect("finite");
    use_it(model.bytes());
}

#[test]
fn sampling_draws_in_proportion() {
    let pieces = [
        ("<unk>", 0.0, "unknown"),
        ("▁", -1.0, "normal"),
        ("a", -2.0, "normal"),
        ("b", -2.5, "normal"),
        ("ab", -3.0, "normal"),
        ("▁a", -2.2, "normal"),
    ];
    let model = SpieceModel::build(&pieces, &SpieceOptions::default()).expect("a model");
    // The segmentations of ▁ab and their scores.
    let paths = [
        (vec![1, 2, 3], -5.5),
        (vec![1, 4], -4.0),
        (vec![5, 3], -4.7),
    ];
    for nbest_size in [-1, 3] {
        for alpha in [0.5_f32, 1.0] {
            let mut raw = Raw::new("sentencepiece", model.clone()).expect("usable");
            let weights: Vec<f64> = paths
                .iter()
                .map(|(_, score)| (f64::from(alpha) * score).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            let draws = 20_000;
            let mut counts = [0; 3];
            for number in 0..draws {
                let sampling = Sampling {
                    nbest_size,
                    alpha,
                    seed: 7,
                };
                let ids = &raw.sample("ab", sampling, number).ids;
                let path = paths.iter().position(|(path, _)| path == ids);
                counts[path.expect("one of the paths")] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                let expected = weight / total * draws as f64;
                // Five standard deviations of a binomial distribution.
                let allowed = 5.0 * (expected * (1.0 - weight / total)).sqrt();
                assert!(
                    (f64::from(*count) - expected).abs() < allowed,
                    "nbest {nbest_size} alpha {alpha}: {count}, expected {expected:.0} ± {allowed:.0}"
                );
            }
            let sampling = Sampling {
                nbest_size,
                alpha,
                seed: 7,
            };
            let once = raw.sample("ab ab ab", sampling, 3).ids.clone();
            assert_eq!(raw.sample("ab ab ab", sampling, 3).ids, once);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_models_never_crash(
        fixture in 0..FIXTURES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = FIXTURES[fixture].to_vec();
        for (place, value) in edits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            // Half of the cuts near the end, where most of the file is still there.
            bytes.truncate(if length % 2 == 0 { length } else { bytes.len() - length / 64 });
        }
        use_it(&bytes);
    }

    #[test]
    fn what_is_built_is_read(
        texts in proptest::collection::btree_set("[a-f▁]{1,4}", 1..20),
        scores in proptest::collection::vec(-20.0_f32..0.0, 20),
        line in "[a-g ▁\u{301}]{0,40}",
    ) {
        let mut pieces: Vec<Entry> = vec![("<unk>", 0.0, "unknown")];
        pieces.extend(texts.iter().zip(&scores).map(|(text, &score)| (text.as_str(), score, "normal")));
        let model = SpieceModel::build(&pieces, &SpieceOptions::default()).expect("valid");
        let again = SpieceModel::parse(model.bytes()).expect("what was written can be read");
        prop_assert_eq!(&again, &model);
        let mut raw = Raw::new("sentencepiece", model).expect("usable");
        let spans = raw.pieces(&line).offsets.clone();
        for span in spans {
            prop_assert!(line.get(span.0..span.1).is_some());
        }
    }
}
