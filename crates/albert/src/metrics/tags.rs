//! Labels of words: entities as seqeval and conlleval find them, or the words themselves.

/// An entity: kind, first word, last word.
pub type Entity<'a> = (&'a str, usize, usize);

/// The prefix (`B`, `I`, `E`, `S`; `O` for none) and the kind of a label such as `B-person`.
fn parts(label: &str) -> (char, &str) {
    let prefix = label.chars().next().unwrap_or('O');
    let kind = label.get(prefix.len_utf8()..).unwrap_or_default();
    let kind = kind.split_once('-').map_or(kind, |(_, kind)| kind);
    (prefix, if kind.is_empty() { "_" } else { kind })
}

/// The entities of a sentence, by labels in IOB1, IOB2, IOE or IOBES: as seqeval in its default mode, whose rules are
/// those of the CoNLL script. An entity also begins where the kind changes.
pub fn entities<'a>(labels: &[&'a str]) -> Vec<Entity<'a>> {
    let (mut found, mut first) = (Vec::new(), 0);
    let mut last = ('O', "_");
    for (i, label) in labels.iter().copied().chain(["O"]).enumerate() {
        let (prefix, kind) = parts(label);
        let (before, old) = last;
        let inside = !matches!(before, 'O' | '.');
        let ends = matches!(before, 'E' | 'S')
            || matches!(before, 'B' | 'I') && matches!(prefix, 'B' | 'S' | 'O')
            || inside && old != kind;
        if ends {
            found.push((old, first, i - 1));
        }
        let begins = matches!(prefix, 'B' | 'S')
            || matches!(before, 'E' | 'S' | 'O') && matches!(prefix, 'E' | 'I')
            || !matches!(prefix, 'O' | '.') && old != kind;
        if begins {
            first = i;
        }
        last = (prefix, kind);
    }
    found
}

/// How well entities were found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntityScores {
    /// Share of the predicted entities that are right; 0 where none is predicted.
    pub precision: f64,
    /// Share of the expected entities that were found; 0 where none is expected.
    pub recall: f64,
    /// Their harmonic mean; 0 where both are 0.
    pub f1: f64,
}

/// Micro-averaged scores of entities: one counts where kind, first and last word are right.
///
/// # Panics
/// When the numbers of sentences differ.
pub fn entity_scores<'a>(predicted: &[Vec<&'a str>], expected: &[Vec<&'a str>]) -> EntityScores {
    assert_eq!(predicted.len(), expected.len(), "labels for each sentence");
    let (mut hits, mut p, mut e) = (0, 0, 0);
    for (predicted, expected) in predicted.iter().zip(expected) {
        let (predicted, expected) = (entities(predicted), entities(expected));
        hits += predicted
            .iter()
            .filter(|one| expected.contains(one))
            .count();
        (p, e) = (p + predicted.len(), e + expected.len());
    }
    let share = |of: usize| hits as f64 / of.max(1) as f64;
    EntityScores {
        precision: share(p),
        recall: share(e),
        f1: super::f1_of_counts(hits, p, e),
    }
}

/// Micro-averaged F1 of entities: one counts where kind, first and last word are right.
///
/// # Panics
/// When the numbers of sentences differ.
pub fn entity_f1<'a>(predicted: &[Vec<&'a str>], expected: &[Vec<&'a str>]) -> f64 {
    entity_scores(predicted, expected).f1
}

/// Micro-averaged F1 of words whose label is not `O`.
///
/// # Panics
/// When the lengths differ.
pub fn micro_f1(predicted: &[&str], expected: &[&str]) -> f64 {
    assert_eq!(
        predicted.len(),
        expected.len(),
        "a prediction for each label"
    );
    let some = |list: &[&str]| list.iter().filter(|label| **label != "O").count();
    let both = predicted
        .iter()
        .zip(expected)
        .filter(|(p, e)| p == e && **e != "O");
    super::f1_of_counts(both.count(), some(predicted), some(expected))
}

#[cfg(test)]
mod tests {
    //! Expected entities: `get_entities` of seqeval 1.2.2, whose rules were followed by hand.

    use super::*;

    #[test]
    fn entities_begin_and_end_as_the_conll_script_says() {
        let of = |text: &str| -> Vec<(String, usize, usize)> {
            let labels: Vec<&str> = text.split(' ').collect();
            let found = entities(&labels).into_iter();
            found
                .map(|(kind, first, last)| (kind.to_owned(), first, last))
                .collect()
        };
        let one = |kind: &str, first, last| (kind.to_owned(), first, last);
        assert_eq!(of("B-a I-a O B-b"), [one("a", 0, 1), one("b", 3, 3)]);
        assert_eq!(of("I-a I-a"), [one("a", 0, 1)], "IOB1");
        assert_eq!(of("B-a B-a"), [one("a", 0, 0), one("a", 1, 1)]);
        assert_eq!(of("B-a I-b I-b"), [one("a", 0, 0), one("b", 1, 2)]);
        assert_eq!(of("O I-a-b O"), [one("a-b", 1, 1)]);
        assert_eq!(of("S-a B-a E-a"), [one("a", 0, 0), one("a", 1, 2)]);
        assert_eq!(of("O O"), []);
        assert_eq!(entities(&[]), []);
    }

    #[test]
    fn f1_counts_whole_entities_or_words() {
        // 1 of 2 predicted is one of the 3 that are expected.
        let predicted = vec![vec!["B-a", "I-a", "O", "O"], vec!["B-b", "I-b"]];
        let expected = vec![vec!["B-a", "I-a", "O", "B-b"], vec!["B-b", "O"]];
        assert_eq!(entity_f1(&predicted, &expected), 2.0 / 5.0);
        assert_eq!(entity_f1(&[vec!["O"]], &[vec!["O"]]), 0.0);
        // scikit-learn: f1_score(["a","O","b","b"], ["a","b","b","O"], labels=["a","b"], average="micro")
        let (predicted, expected) = (["a", "b", "b", "O"], ["a", "O", "b", "b"]);
        assert!((micro_f1(&predicted, &expected) - 2.0 / 3.0).abs() < 1e-15);
    }
}
