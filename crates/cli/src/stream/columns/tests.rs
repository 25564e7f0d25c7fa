//! Which cells are chosen, and what is said of a column that is absent.

use super::*;

const CHOICES: Field = Field {
    name: "choices",
    also: &["endings"],
    kind: Kind::Texts,
    required: true,
};

fn header(names: &str) -> Vec<String> {
    names.split(' ').map(str::to_owned).collect()
}

fn chosen(fields: &[Field], columns: &[(&str, &str)], names: &str) -> Result<Vec<Cells>> {
    let columns: Vec<(String, String)> = columns
        .iter()
        .map(|&(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    let wanted = wanted(fields, vec![None; fields.len()], &columns)?;
    let header = (!names.is_empty()).then(|| header(names));
    choose(&wanted, header.as_deref(), "FILE")
}

fn refused(fields: &[Field], columns: &[(&str, &str)], names: &str) -> String {
    chosen(fields, columns, names)
        .expect_err("refused")
        .to_string()
}

#[test]
fn the_first_name_wins_over_the_first_column() {
    let both = [Field::TEXT, Field::PAIR];
    let found = |columns: &[(&str, &str)], names| chosen(&both, columns, names).expect("cells");
    assert_eq!(
        found(&[], "idx sentence text"),
        [Cells::One(2), Cells::None]
    );
    assert_eq!(
        found(&[], "hypothesis label premise"),
        [Cells::One(2), Cells::One(0)]
    );
    assert_eq!(
        found(&[("text", "idx"), ("pair", "text")], "idx sentence text"),
        [Cells::One(0), Cells::One(2)]
    );
    // Without a header an optional field is read where it is asked for alone.
    assert_eq!(found(&[], ""), [Cells::One(0), Cells::None]);
    assert_eq!(
        found(&[("text", "4"), ("pair", "1")], ""),
        [Cells::One(3), Cells::One(0)]
    );
}

#[test]
fn lists_are_one_cell_or_numbered_columns() {
    let found =
        |columns: &[(&str, &str)], names| chosen(&[CHOICES], columns, names).expect("cells");
    assert_eq!(found(&[], "a choices"), [Cells::One(1)]);
    assert_eq!(
        found(&[], "ending1 x ending10 ending2 ending0"),
        [Cells::Many(vec![4, 0, 3, 2])]
    );
    assert_eq!(
        found(&[("choices", "b+a")], "a b"),
        [Cells::Many(vec![1, 0])]
    );
    assert_eq!(found(&[("choices", "2+1")], ""), [Cells::Many(vec![1, 0])]);
}

#[test]
fn what_is_absent_is_named_with_what_is_there() {
    let message = refused(&[Field::TEXT], &[], "idx sentense");
    for part in [
        "line 1 of FILE: no column for `text`",
        "expected \"text\", \"sentence\"",
        "found \"idx\", \"sentense\"",
        "did you mean --columns text=sentense?",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let message = refused(&[Field::TEXT], &[], "x y");
    assert!(
        message.contains("--no-header") && !message.contains("did you mean"),
        "{message}"
    );
    assert!(refused(&[Field::TEXT], &[("text", "z")], "x y").contains("expected \"z\""));
    assert!(refused(&[Field::TEXT], &[], "text text").contains("two columns are named \"text\""));
    assert!(
        refused(&[Field::TEXT], &[("txt", "x")], "x")
            .contains("this verb reads \"text\"; did you mean \"text\"?")
    );
    assert!(refused(&[Field::TEXT], &[("text", "x"), ("text", "y")], "x").contains("twice"));
    for number in ["0", "x", "-1"] {
        assert!(refused(&[Field::TEXT], &[("text", number)], "").contains("a number from 1"));
    }
}
