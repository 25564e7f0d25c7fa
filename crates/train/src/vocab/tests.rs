//! Learning on small texts: what is decided by hand, and what is refused.

use std::path::PathBuf;

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn options(vocab_size: usize) -> VocabOptions {
    VocabOptions {
        vocab_size,
        ..VocabOptions::default()
    }
}

fn learn(text: &str, options: &VocabOptions) -> Result<Vocabulary> {
    let home = Home::new();
    train(&[home.file("a.txt", text)], options, 2, |_| {})
}

#[track_caller]
fn refused(text: &str, options: &VocabOptions, words: &[&str]) {
    let error = learn(text, options).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

/// Words that differ, of a few syllables.
fn text(words: usize) -> String {
    let syllables = [
        "ba", "ne", "tiro", "ku", "sal", "men", "do", "fi", "ga", "lo",
    ];
    let mut out = String::new();
    for i in 0..words {
        let x = (i * i + 7 * i) % 997;
        out += &format!(
            "{}{}{}",
            syllables[x % 10],
            syllables[x / 10 % 10],
            if x % 3 == 0 { "s" } else { "" }
        );
        out += if i % 9 == 8 { ".\n" } else { " " };
    }
    out
}

#[test]
fn ids_kinds_and_scores_are_those_of_albert() {
    let vocabulary = learn(&text(5_000), &options(60)).unwrap();
    assert_eq!(vocabulary.pieces.len(), 60);
    let head: Vec<(&str, Kind)> = vocabulary.pieces[..13]
        .iter()
        .map(|(text, _, kind)| (text.as_str(), *kind))
        .collect();
    use Kind::{Control, Unknown, UserDefined};
    let expected = [
        ("<pad>", Control),
        ("<unk>", Unknown),
        ("[CLS]", Control),
        ("[SEP]", Control),
        ("[MASK]", Control),
    ];
    assert_eq!(head[..5], expected);
    let symbols = ["(", ")", "\"", "-", ".", "–", "£", "€"];
    assert_eq!(head[5..], symbols.map(|symbol| (symbol, UserDefined)));
    let learned = &vocabulary.pieces[13..];
    assert!(
        learned
            .iter()
            .all(|(text, score, kind)| *kind == Kind::Normal
                && *score < 0.0
                && !text.contains('.'))
    );
    assert!(learned.is_sorted_by(|a, b| a.1 >= b.1));
    // Every character is a piece, so that every text of them can be cut.
    for character in "▁abdefgiklmnorstu".chars() {
        assert!(
            learned
                .iter()
                .any(|(text, ..)| *text == character.to_string()),
            "{character}"
        );
    }
    // What the words are made of was found: the ending, and the words without it.
    for piece in ["s", "▁salsal", "▁mentiro"] {
        assert!(
            learned.iter().any(|(text, ..)| text == piece),
            "{piece}: {learned:?}"
        );
    }
    let lines = vocabulary.lines();
    assert!(
        lines.starts_with("<pad>\t0\n<unk>\t0\n[CLS]\t0\n"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 60);
}

#[test]
fn ids_can_be_others() {
    let options = VocabOptions {
        pad_id: 3,
        unk_id: 0,
        bos_id: Some(5),
        eos_id: Some(40),
        user_defined_symbols: vec!["@x".to_owned()],
        do_lower_case: false,
        ..options(60)
    };
    let vocabulary = learn(&text(5_000).replace("ba", "B@x"), &options).unwrap();
    let text = |id: usize| vocabulary.pieces[id].0.as_str();
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 40].map(text),
        [
            "<unk>", "[CLS]", "[SEP]", "<pad>", "[MASK]", "<s>", "@x", "</s>"
        ]
    );
    assert!(
        vocabulary
            .pieces
            .iter()
            .any(|(text, _, kind)| text.contains('B') && *kind == Kind::Normal)
    );
    assert!(
        vocabulary
            .pieces
            .iter()
            .all(|(text, _, kind)| !text.contains('@') || *kind == Kind::UserDefined)
    );
}

#[test]
fn digits_can_stand_alone() {
    let numbers: String = (0..2_000)
        .map(|i| format!("in {} there {}\nthere in\nin there\n", 1900 + i % 40, i % 7))
        .collect();
    let has = |options: &VocabOptions| {
        let vocabulary = learn(&numbers, options).unwrap();
        let digits = |text: &str| {
            text.chars().filter(char::is_ascii_digit).count() > 0 && text.chars().count() > 1
        };
        vocabulary.pieces.iter().any(|(text, ..)| digits(text))
    };
    assert!(has(&options(36)));
    assert!(!has(&VocabOptions {
        split_digits: true,
        ..options(31)
    }));
}

#[test]
fn nothing_depends_on_threads_or_on_how_the_text_is_stored() {
    let home = Home::new();
    let text = text(40_000);
    let (first, second) =
        text.split_at(text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1);
    let whole = home.file("whole.txt", &text);
    let parts = [home.file("1.txt", first), home.file("2.txt", second)];
    let options = options(80);
    let expected = train(&[&whole], &options, 1, |_| {}).unwrap();
    for threads in [2, 3, 8] {
        assert_eq!(
            train(&[&whole], &options, threads, |_| {}).unwrap(),
            expected
        );
    }
    assert_eq!(train(&parts, &options, 2, |_| {}).unwrap(), expected);
    let bytes = expected.spiece().unwrap().bytes().to_vec();
    assert_eq!(
        train(&parts, &options, 3, |_| {})
            .unwrap()
            .spiece()
            .unwrap()
            .bytes(),
        bytes
    );
}

#[test]
fn sentences_are_drawn_by_the_seed() {
    let home = Home::new();
    let path = home.file("a.txt", &text(30_000));
    let with = |most: u64, seed: u64, threads: usize| {
        let options = VocabOptions {
            input_sentence_size: most,
            seed,
            ..options(70)
        };
        train(&[&path], &options, threads, |_| {}).unwrap()
    };
    let some = with(1_000, 5, 1);
    assert_eq!((some.sentences, some.drawn), (3_334, 1_000));
    assert_eq!(with(1_000, 5, 4).pieces, some.pieces);
    assert_ne!(with(1_000, 6, 1).pieces, some.pieces);
    let all = with(0, 5, 1);
    assert_eq!((all.sentences, all.drawn), (3_334, 3_334));
    assert_eq!(with(3_334, 6, 1).pieces, all.pieces);
}

#[test]
fn what_cannot_be_is_refused() {
    let words = text(3_000);
    refused("", &options(60), &["text", "words", "0 lines"]);
    refused("\n \n\t\n", &options(60), &["text", "words", "0 lines"]);
    refused("...\n(.)\n", &options(60), &["at most 14", "found 60"]);
    refused(
        &words,
        &options(100_000),
        &["vocab_size: expected at most ", "more text", "found 100000"],
    );
    refused(
        &words,
        &options(20),
        &[
            "vocab_size: expected at least ",
            "17 characters and 13 reserved",
            "character_coverage",
            "found 20",
        ],
    );
    refused(
        &words,
        &options(13),
        &["vocab_size", "more than the 13 reserved", "found 13"],
    );
    refused(&words, &options(0), &["vocab_size", "found 0"]);
    let base = options(60);
    let other = |change: fn(&mut VocabOptions)| {
        let mut options = base.clone();
        change(&mut options);
        options
    };
    refused(
        &words,
        &other(|o| o.pad_id = 1),
        &["pad_id", "of its own", "1, the id of <unk>"],
    );
    refused(
        &words,
        &other(|o| o.eos_id = Some(60)),
        &["eos_id", "below vocab_size, 60"],
    );
    refused(
        &words,
        &other(|o| o.control_symbols.push("[SEP]".into())),
        &["control_symbols", "once", "[SEP]"],
    );
    refused(
        &words,
        &other(|o| o.user_defined_symbols.push("[CLS]".into())),
        &["user_defined_symbols", "once", "[CLS]"],
    );
    refused(
        &words,
        &other(|o| o.user_defined_symbols.push("<unk>".into())),
        &["user_defined_symbols", "<unk>"],
    );
    refused(
        &words,
        &other(|o| o.user_defined_symbols.push(String::new())),
        &["user_defined_symbols", "empty"],
    );
    refused(
        &words,
        &other(|o| o.user_defined_symbols.push("a b".into())),
        &["user_defined_symbols", "a b"],
    );
    refused(
        &words,
        &other(|o| o.control_symbols.clear()),
        &["control_symbols", "[CLS]"],
    );
    refused(
        &words,
        &other(|o| o.character_coverage = 0.5),
        &["character_coverage", "0.98 to 1"],
    );
    refused(
        &words,
        &other(|o| o.character_coverage = f64::NAN),
        &["character_coverage"],
    );
    refused(
        &words,
        &other(|o| o.shrinking_factor = 1.0),
        &["shrinking_factor"],
    );
    refused(
        &words,
        &other(|o| o.num_sub_iterations = 0),
        &["num_sub_iterations"],
    );
    refused(
        &words,
        &other(|o| o.max_sentencepiece_length = 0),
        &["max_sentencepiece_length"],
    );
    let home = Home::new();
    let path = home.0.path().join("bad.txt");
    std::fs::write(&path, b"good\nb\xE4d\n").unwrap();
    let error = train(&[path], &base, 2, |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("bad.txt, line 2") && error.contains("0xE4 at byte 6"),
        "{error}"
    );
}

#[test]
fn rare_characters_cut_words() {
    let mut words = text(5_000);
    words.push_str("baneβba sal");
    let vocabulary = learn(
        &words,
        &VocabOptions {
            character_coverage: 0.999,
            ..options(60)
        },
    )
    .unwrap();
    assert!(
        vocabulary
            .pieces
            .iter()
            .all(|(text, ..)| !text.contains('β'))
    );
    let all = learn(
        &words,
        &VocabOptions {
            character_coverage: 1.0,
            ..options(60)
        },
    )
    .unwrap();
    let beta = all.pieces.iter().find(|(text, ..)| text == "β").unwrap();
    assert!(all.pieces[13..].iter().all(|piece| piece.1 >= beta.1));
}

#[test]
fn endless_words_are_cut() {
    let counted = corpus::Counted {
        words: vec![("ab".repeat(5_000).into(), [0, 0, 1])],
        breaks: 0,
        sentences: 1,
        drawn: 1,
    };
    let corpus = alphabet::build(counted, 1.0);
    let mut parts: Vec<_> = (0..corpus.len())
        .map(|i| (corpus.word(i).len(), corpus.followers(i)))
        .collect();
    parts.sort_unstable();
    assert_eq!(
        parts,
        [(1_808, [0, 0, 1]), (4_096, [0, 2, 0])],
        "both whole parts are the same word"
    );

    let mut words = text(2_000);
    words += &"ab".repeat(300_000);
    words += &"a".repeat(300_000);
    learn(&words, &options(60)).unwrap();
}
