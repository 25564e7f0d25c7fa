//! Rows, cells and lists; quotes against the crate `csv`.

use proptest::prelude::*;

use super::super::testing::{all, input};
use super::*;
use crate::stream::record::Field;

const CSV: Dialect = Dialect {
    separator: b',',
    quotes: true,
    header: true,
};
const TSV: Dialect = Dialect {
    separator: b'\t',
    quotes: false,
    header: true,
};
const CHOICES: Field = Field {
    name: "choices",
    also: &["endings"],
    kind: Kind::Texts,
    required: true,
};
const PAIR: [Field; 2] = [Field::TEXT, Field::PAIR];

fn rows(fields: &[Field], columns: &[(&str, &str)], dialect: Dialect, bytes: &[u8]) -> Vec<String> {
    all(Box::new(Table::new(input(bytes, fields, columns), dialect))).expect("rows")
}

#[test]
fn tabs_separate_and_quotes_are_letters() {
    let table = b"\xef\xbb\xbfid\tsentence\r\n1\t\"open\r\n2\ta \"b\" c\n\n3\t\n4\n5\ta\tb\n";
    let found = rows(&[Field::TEXT], &[], TSV, table);
    assert_eq!(
        found,
        [
            "2: \"open",
            "3: a \"b\" c",
            "4: ",
            "5: ",
            "6: error: expected 2 cells, as the header has, found 1",
            "7: error: expected 2 cells, as the header has, found 3"
        ]
    );
    // With quotes, where asked for.
    let quotes = Dialect {
        quotes: true,
        ..TSV
    };
    assert_eq!(
        rows(&[Field::TEXT], &[], quotes, b"text\n\"a\tb\"\n"),
        ["2: a\tb"]
    );
}

#[test]
fn without_a_header_columns_have_numbers() {
    let bare = Dialect {
        header: false,
        ..TSV
    };
    let table = b"a\tb\tc\nd\te\n";
    assert_eq!(rows(&PAIR, &[], bare, table), ["1: a|-", "2: d|-"]);
    let columns = [("text", "3"), ("pair", "1")];
    assert_eq!(
        rows(&PAIR, &columns, bare, table),
        ["1: c|a", "2: error: no column 3 for `text`: the row has 2"]
    );
}

#[test]
fn quotes_hold_commas_line_feeds_and_quotes() {
    let table = b"pair,text\r\n\"a,b\",\"one\r\ntwo\"\"\"\r\n\r\nx,y\"z\n\"\",\"\"\n";
    assert_eq!(
        rows(&PAIR, &[], CSV, table),
        ["2: one\r\ntwo\"|a,b", "4: |-", "5: y\"z|x", "6: |"]
    );
    let open = rows(&[Field::TEXT], &[], CSV, b"text\na\n\"b\nc\n");
    assert_eq!(open.len(), 2);
    assert!(
        open[1].starts_with("3: error: a quote in this row is never closed"),
        "{open:?}"
    );
    // The bound of a row, not of a line.
    let long = [&b"text\n\""[..], &b"0123456789\n".repeat(200), b"\"\nc\n"].concat();
    let long = rows(&[Field::TEXT], &[], CSV, &long);
    assert!(
        long[0].starts_with("2: error: longer than 1000 bytes"),
        "{long:?}"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_told() {
    for dialect in [TSV, CSV] {
        let found = rows(&[Field::TEXT], &[], dialect, b"text\na\n\xe9\nb\n");
        assert_eq!(
            (&found[0][..], &found[2][..], found.len()),
            ("2: a", "4: b", 3)
        );
        assert!(found[1].starts_with("3: error: byte 1"), "{found:?}");
    }
}

#[test]
fn lists_are_json_or_columns() {
    assert_eq!(
        rows(&[CHOICES], &[], TSV, b"choices\n[\"a\", \"b\"]\n[1]\n")[..1],
        ["2: [\"a\", \"b\"]"]
    );
    let wrong = rows(&[CHOICES], &[], TSV, b"choices\n[1]\n");
    assert!(
        wrong[0].contains("expected a JSON list of strings"),
        "{wrong:?}"
    );
    assert_eq!(
        rows(&[CHOICES], &[], CSV, b"ending0,x,ending1\na,b,c\n"),
        ["2: [\"a\", \"c\"]"]
    );
}

#[test]
fn an_empty_table_has_no_inputs_and_a_header_alone_is_checked() {
    assert_eq!(rows(&[Field::TEXT], &[], CSV, b""), Vec::<String>::new());
    assert_eq!(
        rows(&[Field::TEXT], &[], CSV, b"text\n"),
        Vec::<String>::new()
    );
    let wrong = all(Box::new(Table::new(
        input(b"a,b\n", &[Field::TEXT], &[]),
        CSV,
    )));
    assert!(
        wrong
            .expect_err("no column")
            .to_string()
            .contains("no column for `text`")
    );
}

proptest! {
    /// Whatever bytes, the cells are those of the crate `csv`, which knows no blank lines and no
    /// error: what it makes of an open quote is left out.
    #[test]
    fn cells_are_those_of_the_crate_csv(table in "[ab,\"\r\n]{0,40}") {
        // A lone \r ends a row there and is a letter here.
        let table = table.replace('\r', "\r\n");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true)
            .from_reader(table.as_bytes());
        let expected: Vec<Vec<String>> = reader.records()
            .map(|row| row.expect("text").iter().map(str::to_owned).collect())
            .collect();
        let bare = Dialect { header: false, ..CSV };
        let mut ours = Table::new(input(table.as_bytes(), &[Field::TEXT], &[]), bare);
        let mut found = Vec::new();
        let mut open = false;
        while let Some((_, row)) = ours.row().expect("memory") {
            match row {
                Ok(Some(cells)) => found.push(cells),
                Ok(None) => {}
                Err(_) => open = true,
            }
        }
        if open {
            prop_assert_eq!(&found[..], &expected[..found.len()]);
        } else {
            prop_assert_eq!(found, expected);
        }
    }
}
