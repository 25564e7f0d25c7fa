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
    let mut hits = 0_u32;
    for word in predicted.split(' ') {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            hits += 1;
        }
    }
    if hits == 0 {
        return 0.0;
    }
    // The operations of the script, so that sums compare as there.
    let precision = f64::from(hits) / predicted.split(' ').count() as f64;
    let recall = f64::from(hits) / expected.split(' ').count() as f64;
    (2.0 * precision * recall) / (precision + recall)
}

/// `exact_match` and `f1` in percent over all questions, as evaluate-v1.1.py gives them; NaN of no questions.
///
/// # Panics
/// When the lengths differ.
pub fn squad_v1<S: AsRef<str>>(predicted: &[S], expected: &[Vec<String>]) -> [f64; 2] {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "an answer for each question"
    );
    let mut sums = [0.0; 2];
    for (predicted, expected) in predicted.iter().map(AsRef::as_ref).zip(expected) {
        // The script of 1.1 drops no expected answer, and answers without a common word score 0.
        let normal = normalize_answer(predicted);
        let same = expected.iter().any(|one| normalize_answer(one) == normal);
        sums[0] += f64::from(u8::from(same));
        if !normal.is_empty() {
            let scores = expected.iter().map(|one| words_f1(predicted, one));
            sums[1] += scores.fold(0.0, f64::max);
        }
    }
    sums.map(|sum| 100.0 * sum / predicted.len() as f64)
}

/// The measures of evaluate-v2.0.py under its names, in percent: `exact`, `f1`, `total`, the same for the questions
/// that have an answer (`HasAns_…`) and that have none (`NoAns_…`), where there are such, and the best of `exact` and
/// `f1` that a threshold on `null_odds` gives (`best_exact`, `best_exact_thresh`, …). `null_odds`: how much each question
/// seems to have no answer; above `threshold`, an answer counts as empty (the script's `--na-prob-thresh`).
///
/// # Panics
/// When the lengths differ.
pub fn squad_v2<S: AsRef<str>>(
    predicted: &[S],
    expected: &[Vec<String>],
    null_odds: &[f64],
    threshold: f64,
) -> Vec<(&'static str, f64)> {
    let total = predicted.len();
    assert_eq!(total, expected.len(), "an answer for each question");
    assert_eq!(total, null_odds.len(), "odds for each question");
    let scores = |measure: fn(&str, &[String]) -> f64| -> Vec<f64> {
        let pairs = predicted.iter().zip(expected);
        pairs.map(|(p, e)| measure(p.as_ref(), e)).collect()
    };
    let raw = [scores(exact_match), scores(answer_f1)];
    let has: Vec<bool> = expected.iter().map(|list| !list.is_empty()).collect();
    let percent = |scores: &[f64], chosen: &dyn Fn(usize) -> bool| {
        let (mut sum, mut count) = (0.0, 0_usize);
        for i in (0..total).filter(|&i| chosen(i)) {
            sum += if null_odds[i] > threshold {
                f64::from(u8::from(!has[i]))
            } else {
                scores[i]
            };
            count += 1;
        }
        (100.0 * sum / count as f64, count as f64)
    };
    let mut measures = Vec::new();
    type Chosen<'a> = &'a dyn Fn(usize) -> bool;
    let groups: [([&'static str; 3], Chosen<'_>); 3] = [
        (["exact", "f1", "total"], &|_| true),
        (["HasAns_exact", "HasAns_f1", "HasAns_total"], &|i| has[i]),
        (["NoAns_exact", "NoAns_f1", "NoAns_total"], &|i| !has[i]),
    ];
    for (names, chosen) in groups {
        if names[0] == "exact" || (0..total).any(chosen) {
            let (exact, count) = percent(&raw[0], chosen);
            let (f1, _) = percent(&raw[1], chosen);
            measures.extend(names.into_iter().zip([exact, f1, count]));
        }
    }
    let blank: Vec<bool> = predicted.iter().map(|p| p.as_ref().is_empty()).collect();
    for (names, scores) in [
        (["best_exact", "best_exact_thresh"], &raw[0]),
        (["best_f1", "best_f1_thresh"], &raw[1]),
    ] {
        let (best, thresh) = best_threshold(scores, null_odds, &has, &blank);
        measures.extend(names.into_iter().zip([best, thresh]));
    }
    measures
}

/// The best score in percent, and the threshold that gives it: questions whose odds are above it count as unanswered.
fn best_threshold(scores: &[f64], odds: &[f64], has: &[bool], blank: &[bool]) -> (f64, f64) {
    let mut score = has.iter().filter(|has| !**has).count() as f64;
    let (mut best, mut threshold) = (score, 0.0);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| odds[a].total_cmp(&odds[b]));
    for i in order {
        score += match (has[i], blank[i]) {
            (true, _) => scores[i],
            (false, true) => 0.0,
            (false, false) => -1.0,
        };
        if score > best {
            (best, threshold) = (score, odds[i]);
        }
    }
    (100.0 * best / scores.len() as f64, threshold)
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
