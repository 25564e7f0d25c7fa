//! The bound on remembered words, against the plain search.
use super::*;
use crate::{
    SpieceModel,
    engine::{Cache, Pieces},
    sentencepiece::SentencePiece,
    unigram::Scratch,
};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

fn engine() -> &'static SentencePiece {
    static ENGINE: OnceLock<SentencePiece> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let bytes = include_bytes!("../../../../fixtures/tokenizer/albert.model");
        let model = SpieceModel::parse(bytes).expect("the fixture is a model");
        SentencePiece::new(Arc::new(model)).expect("the fixture is usable")
    })
}

/// Letters that the fixture's words have, so that many segmentations compete.
fn word() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&b"abeinrtuwdg"[..]), 1..14)
        .prop_map(|bytes| format!("▁{}", String::from_utf8_lossy(&bytes)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Right below the limit, where rounding is worst, f32 sums still choose the stored path.
    #[test]
    fn certain_words_are_certain(word in word(), below in 0.0_f64..1.0, near in any::<bool>()) {
        let model = &engine().model;
        let (limit, path) = exact_path(word.as_bytes(), model, &mut Vec::new());
        prop_assume!(limit > 0.0);
        let share = if near { 1.0 - below * 1e-3 } else { below };
        let sum = -(f64::from(limit) * share) as f32;
        prop_assume!(sum.abs() < limit);
        let mut scratch = Scratch::default();
        let end = model.encode_f32(word.as_bytes(), sum, &mut scratch);
        let mut found = scratch.path.clone();
        found.reverse();
        prop_assert_eq!(&found, &path);
        let added = path.iter().fold(sum, |sum, step| sum + model.score_f32(step.id));
        prop_assert_eq!(end.to_bits(), added.to_bits());
    }

    /// The fast way gives what the plain way gives.
    #[test]
    fn fast_is_plain(
        parts in proptest::collection::vec(prop_oneof![
            word().prop_map(|word| word.replace('▁', " ")),
            word(),
            any::<String>(),
            proptest::sample::select(vec![
                " ", "  ", "\t", "\u{3000}", "\u{7f}", "e\u{301}", "a", "(", ".", "-", "THE ", "…",
                "▁", "\0", "字", "\u{200b}", "½", "2000,", "ﬁ", "river ", "the ",
            ]).prop_map(str::to_owned),
        ], 0..12),
    ) {
        let text = parts.concat();
        let engine = engine();
        prop_assert!(engine.is_fast());
        let mut cache = Cache::default();
        let (mut fast, mut plain, mut ids) = (Pieces::default(), Pieces::default(), Vec::new());
        engine.pieces(&text, &mut cache, &mut fast);
        engine.pieces_plain(&text, &mut cache, &mut plain);
        engine.ids(&text, &mut cache, &mut ids);
        prop_assert_eq!(&fast, &plain);
        prop_assert_eq!(&ids, &plain.ids);
        // Once more, with all words known.
        fast.clear();
        engine.pieces(&text, &mut cache, &mut fast);
        prop_assert_eq!(&fast, &plain);
    }
}

#[test]
fn the_table_is_bounded_and_forgets_gently() {
    let engine = engine();
    let mut cache = Cache::default();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let text = |number: u32| format!("the{} riven{number:x} tab{}", number % 977, number % 33);
    for number in 0..200_000 {
        first.clear();
        engine.ids(&text(number), &mut cache, &mut first);
        if number % 997 == 0 {
            second.clear();
            engine.ids(&text(number), &mut Cache::default(), &mut second);
            assert_eq!(first, second, "{}", text(number));
        }
    }
    assert_eq!(cache.words.slots.len(), SETS * WAYS);
    assert!(cache.words.arena.len() <= MAX_ARENA + 16);
}

#[test]
fn long_words_take_linear_time() {
    let engine = engine();
    for word in ["a", "ab", "字", "é", "x"] {
        let text = word.repeat(100_000);
        let mut pieces = Pieces::default();
        engine.pieces(&text, &mut Cache::default(), &mut pieces);
        let mut ids = Vec::new();
        engine.ids(&text, &mut Cache::default(), &mut ids);
        assert_eq!(pieces.ids, ids);
        assert_eq!(pieces.offsets.last().map(|span| span.1), Some(text.len()));
    }
}
