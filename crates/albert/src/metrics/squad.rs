//! Answers to questions, compared as SQuAD's official script (v2.0) does.

use std::collections::HashMap;

/// Lower case, without ASCII punctuation, without the articles a, an and the, with single spaces.
pub fn normalize_answer(text: &str) -> String {
    let text = text.to_lowercase();
    let text: String = text.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut without = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let word = c.is_alphanumeric();
        let end = rest
            .find(|c: char| c.is_alphanumeric() != word)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        without.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        rest = after;
    }
    without.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// 1 where the normalised answers are equal, else 0; the best of several expected answers, of which none means that
/// there is no answer.
pub fn exact_match<S: AsRef<str>>(predicted: &str, expected: &[S]) -> f64 {
    best(expected, |expected| {
        f64::from(u8::from(
            normalize_answer(predicted) == normalize_answer(expected),
        ))
    })
}

/// F1 of the words of the normalised answers; the best of several expected answers.
pub fn answer_f1<S: AsRef<str>>(predicted: &str, expected: &[S]) -> f64 {
    best(expected, |expected| words_f1(predicted, expected))
}

fn best<S: AsRef<str>>(expected: &[S], measure: impl Fn(&str) -> f64) -> f64 {
    let some = expected
        .iter()
        .map(AsRef::as_ref)
        .filter(|text| !normalize_answer(text).is_empty());
    some.map(&measure)
        .reduce(f64::max)
        .unwrap_or_else(|| measure(""))
}

fn words_f1(predicted: &str, expected: &str) -> f64 {
    let (predicted, expected) = (normalize_answer(predicted), normalize_answer(expected));
    if predicted.is_empty() || expected.is_empty() {
        return f64::from(u8::from(predicted == expected));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in expected.split(' ') {
        *left.entry(word).or_default() += 1;
    }
    let mut hits = 0;
    for word in predicted.split(' ') {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            hits += 1;
        }
    }
    super::f1_of_counts(
        hits,
        predicted.split(' ').count(),
        expected.split(' ').count(),
    )
}

#[cfg(test)]
mod tests {
    //! Expected values: `normalize_answer`, `compute_exact` and `compute_f1` of SQuAD's evaluate-v2.0.py.

    use super::*;

    #[test]
    fn answers_are_normalised_as_the_script_does() {
        for (text, expected) in [
            ("The  Quick, brown-fox!", "quick brownfox"),
            ("an apple a day", "apple day"),
            ("Theatre of the–end", "theatre of –end"),
            ("U.S. Army's", "us armys"),
            ("The", ""),
            ("é the é", "é é"),
        ] {
            assert_eq!(normalize_answer(text), expected);
        }
    }

    #[test]
    fn words_are_counted() {
        for (predicted, expected, f1) in [
            ("the quick brown fox", "quick fox jumps", 0.6666666666666666),
            ("a b b c", "b b c d", 0.8571428571428571),
            ("x", "y", 0.0),
        ] {
            assert!(
                (answer_f1(predicted, &[expected]) - f1).abs() < 1e-15,
                "{predicted}"
            );
        }
    }

    #[test]
    fn the_best_of_several_counts_and_none_means_no_answer() {
        assert_eq!(exact_match("Paris", &["London", "the Paris!"]), 1.0);
        assert_eq!(answer_f1("in Paris", &["London", "Paris"]), 2.0 / 3.0);
        let none: [&str; 0] = [];
        assert_eq!((exact_match("", &none), answer_f1("x", &none)), (1.0, 0.0));
        // An expected answer of which normalising leaves nothing is none.
        assert_eq!(exact_match("", &["the"]), 1.0);
    }
}
