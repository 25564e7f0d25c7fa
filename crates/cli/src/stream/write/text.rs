//! Lines for people, and JSON lines for programs.

use std::io::Write;

use anyhow::Result;

use super::{Failure, Record, Reply, Target, Writer};
use crate::stream::record::Place;
use crate::stream::task::Output;

pub(super) struct Text {
    target: Target,
    line: Vec<u8>,
    /// Whether the answer before had several lines; none before the first.
    several: Option<bool>,
}

impl Text {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            line: Vec::new(),
            several: None,
        }
    }
}

impl Writer for Text {
    fn answer(&mut self, _: &Record, reply: Reply) -> Result<()> {
        self.line.clear();
        match &reply.output {
            Output::Value(answer) => answer.text(&mut self.line)?,
            Output::Vector(vector) => {
                for (i, number) in vector.iter().enumerate() {
                    let space = if i == 0 { "" } else { " " };
                    write!(self.line, "{space}{number}")?;
                }
            }
        }
        // A blank line keeps an answer of several lines apart from its neighbours.
        let several = self.line.contains(&b'\n');
        if self.several.is_some_and(|before| before || several) {
            self.target.write_all(b"\n")?;
        }
        self.several = Some(several);
        self.line.push(b'\n');
        Ok(self.target.write_all(&self.line)?)
    }

    fn failure(&mut self, _: Option<&Record>, _: &Failure) -> Result<()> {
        Ok(self.target.write_all(b"\n")?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.target.flush()?)
    }

    fn finish(self: Box<Self>, _: usize) -> Result<()> {
        self.target.finish()
    }
}

pub(super) struct Json {
    target: Target,
    line: Vec<u8>,
}

impl Json {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            line: Vec::new(),
        }
    }
}

impl Writer for Json {
    fn answer(&mut self, _: &Record, reply: Reply) -> Result<()> {
        self.line.clear();
        self.line.extend(b"{\"output\":");
        match &reply.output {
            Output::Value(answer) => answer.json(&mut self.line)?,
            Output::Vector(vector) => serde_json::to_writer(&mut self.line, vector)?,
        }
        let (truncated, tokens) = (reply.truncated, reply.tokens);
        writeln!(
            self.line,
            ",\"truncated\":{truncated},\"tokens\":{tokens}}}"
        )?;
        Ok(self.target.write_all(&self.line)?)
    }

    fn failure(&mut self, _: Option<&Record>, failure: &Failure) -> Result<()> {
        let key = match failure.place {
            Place::Argument(_) => "argument",
            Place::Line(..) => "line",
        };
        let line = serde_json::json!({
            "error": format!("{:#}", failure.error),
            key: failure.place.number(),
        });
        Ok(writeln!(self.target, "{line}")?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.target.flush()?)
    }

    fn finish(self: Box<Self>, _: usize) -> Result<()> {
        self.target.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::Serialize;

    use super::super::Form;
    use super::super::testing::{failure, file, record, vector};
    use super::*;

    #[derive(Serialize)]
    struct Answer {
        label: &'static str,
    }

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "it is {}", self.label)
        }
    }

    fn written(form: Form) -> String {
        let (_folder, path) = file(form, 2, |writer| {
            let input = record(1, "a");
            writer
                .answer(&input, vector(&[0.1, -2.0]))
                .expect("written");
            writer.failure(None, &failure(2)).expect("written");
            let answer = Reply {
                output: Output::value(Answer { label: "\"x\"" }),
                truncated: false,
                tokens: 7,
            };
            writer.answer(&input, answer).expect("written");
        });
        std::fs::read_to_string(path).expect("text")
    }

    #[test]
    fn answers_and_failures_are_lines() {
        assert_eq!(written(Form::Text), "0.1 -2\n\nit is \"x\"\n");
        assert_eq!(
            written(Form::Json),
            "{\"output\":[0.1,-2.0],\"truncated\":true,\"tokens\":3}\n\
             {\"error\":\"effect: cause\",\"line\":2}\n\
             {\"output\":{\"label\":\"\\\"x\\\"\"},\"truncated\":false,\"tokens\":7}\n"
        );
    }
}
