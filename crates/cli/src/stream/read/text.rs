//! Plain text: every line is an input, an empty one too.

use anyhow::Result;

use super::{Input, Item, Source};
use crate::stream::columns::quoted;
use crate::stream::line::{Fetched, text, without_end};
use crate::stream::record::{Record, Value};
use crate::stream::usage;

pub(super) struct Texts {
    input: Input,
    /// The field that the lines are.
    field: usize,
    line: Vec<u8>,
}

impl Texts {
    pub(super) fn new(input: Input) -> Result<Self> {
        let open = |(_, want): &(usize, &crate::stream::columns::Wanted)| {
            want.constant.is_none() && want.field.required
        };
        let open: Vec<_> = input.wanted.iter().enumerate().filter(open).collect();
        let field = match open[..] {
            [(field, want)] if !want.field.kind.is_list() => field,
            // Everything is given: the lines are the first field all the same.
            [] => 0,
            _ => {
                let names: Vec<&str> = open.iter().map(|(_, want)| want.field.name).collect();
                return Err(usage(format!(
                    "{} is read as lines of text, one input each, but this verb reads {}: give --format jsonl, tsv or csv",
                    input.file,
                    quoted(&names)
                )));
            }
        };
        if input.wanted.iter().any(|want| want.column.is_some()) {
            return Err(usage(
                "--columns: lines of text have no columns: give --format jsonl, tsv or csv",
            ));
        }
        Ok(Self {
            input,
            field,
            line: Vec::new(),
        })
    }
}

impl Source for Texts {
    fn next(&mut self) -> Result<Option<Item>> {
        let fetched = self.input.lines.next(&mut self.line);
        match fetched.map_err(|error| self.input.broken(error))? {
            Fetched::End => return Ok(None),
            Fetched::TooLong => return Ok(Some(self.input.failure(self.input.lines.too_long()))),
            Fetched::Whole => {}
        }
        let text = match text(without_end(&self.line)) {
            Ok(text) => text.to_owned(),
            Err(error) => return Ok(Some(self.input.failure(error))),
        };
        let constants = self.input.wanted.iter().map(|want| want.constant.clone());
        let mut values: Vec<Option<Value>> = constants.collect();
        values[self.field] = Some(Value::Text(text));
        Ok(Some(Ok(Record {
            place: self.input.place(),
            values,
        })))
    }

    fn ready(&self) -> bool {
        self.input.lines.ready()
    }

    fn position(&self) -> u64 {
        self.input.lines.position
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all, input};
    use super::*;
    use crate::stream::record::Field;

    const CONTEXT: Field = Field {
        name: "context",
        ..Field::TEXT
    };

    #[test]
    fn every_line_is_an_input() {
        let bytes = b"\xef\xbb\xbfone\r\n\n  two \nb\xffd\nthree";
        let texts = Texts::new(input(bytes, &[Field::TEXT, Field::PAIR], &[])).expect("text");
        let found = all(Box::new(texts)).expect("lines");
        assert_eq!(found[..3], ["1: one|-", "2: |-", "3:   two |-"]);
        assert!(
            found[3].starts_with("4: error: byte 2 of the line, 0xff"),
            "{found:?}"
        );
        assert_eq!(found[4..], ["5: three|-"]);
    }

    #[test]
    fn a_line_too_long_is_one_failure() {
        let bytes = [b"a\n".to_vec(), vec![b'x'; 2000], b"\nb\n".to_vec()].concat();
        let texts = Texts::new(input(&bytes, &[Field::TEXT], &[])).expect("text");
        let found = all(Box::new(texts)).expect("lines");
        assert_eq!(
            (&found[0][..], &found[2][..], found.len()),
            ("1: a", "3: b", 3)
        );
        assert!(
            found[1].starts_with("2: error: longer than 1000 bytes"),
            "{found:?}"
        );
    }

    #[test]
    fn lines_are_the_field_that_the_flags_leave_open() {
        let mut two = input(b"q\n", &[Field::TEXT, CONTEXT], &[]);
        two.wanted[1].constant = Some(Value::Text("c".to_owned()));
        assert_eq!(
            all(Box::new(Texts::new(two).expect("text"))).expect("lines"),
            ["1: q|c"]
        );
        let mut two = input(b"c\n", &[Field::TEXT, CONTEXT], &[]);
        two.wanted[0].constant = Some(Value::Text("q".to_owned()));
        assert_eq!(
            all(Box::new(Texts::new(two).expect("text"))).expect("lines"),
            ["1: q|c"]
        );
        let two = Texts::new(input(b"", &[Field::TEXT, CONTEXT], &[]))
            .err()
            .expect("refused");
        assert!(
            two.to_string()
                .contains("this verb reads \"text\", \"context\""),
            "{two}"
        );
        let columns = Texts::new(input(b"", &[Field::TEXT], &[("text", "a")]));
        assert!(
            columns
                .err()
                .expect("refused")
                .to_string()
                .contains("no columns")
        );
    }
}
