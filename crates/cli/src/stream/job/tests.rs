//! The loop over a task that is cheap: order, alignment, failures.

use anyhow::bail;

use super::super::flags::Format;
use super::super::read::testing::input;
use super::super::read::{Source, open};
use super::super::task::Output;
use super::*;

/// Answers with the length of a text, and refuses the text `bad`.
struct Lengths {
    windows: Vec<usize>,
}

impl Task for Lengths {
    fn run(&mut self, inputs: &[Record]) -> Vec<Result<Reply>> {
        self.windows.push(inputs.len());
        let answer = |input: &Record| {
            let text = input.text(0).unwrap_or_default();
            if text == "bad" {
                bail!("it is bad");
            }
            Ok(Reply {
                output: Output::value(text.len()),
                truncated: false,
                tokens: 1,
            })
        };
        inputs.iter().map(answer).collect()
    }
}

fn lines(bytes: &[u8]) -> Box<dyn Source> {
    open(input(bytes, &[Field::TEXT], &[]), Format::Text, true, false).expect("a reader")
}

/// What is written, what the run says, and the windows of the task.
fn run(
    bytes: &[u8],
    form: Form,
    on_error: OnError,
    records: usize,
) -> (Option<String>, String, Vec<usize>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let job = Job {
        input: Opened {
            source: lines(bytes),
            total: None,
            live: false,
        },
        form,
        target: Target::open(Some(&path)).expect("a file"),
        on_error,
        voice: Voice::default(),
        limits: Limits {
            records,
            bytes: 1 << 20,
        },
    };
    let mut task = Lengths {
        windows: Vec::new(),
    };
    let said = job
        .run(&mut task)
        .err()
        .map_or_else(String::new, |error| format!("{error:#}"));
    (std::fs::read_to_string(path).ok(), said, task.windows)
}

#[test]
fn answers_come_in_order_whatever_the_windows() {
    let bytes = (0..100)
        .map(|n| format!("{}\n", "x".repeat(n)))
        .collect::<String>();
    let expected = (0..100).map(|n| format!("{n}\n")).collect::<String>();
    for records in [1, 7, 100, 1000] {
        let (out, said, windows) = run(bytes.as_bytes(), Form::Text, OnError::Stop, records);
        assert_eq!((out.as_deref(), &said[..]), (Some(&expected[..]), ""));
        assert_eq!(windows.iter().sum::<usize>(), 100);
        assert!(
            windows.iter().all(|&window| window < 2 * records.max(1)),
            "{windows:?}"
        );
    }
}

#[test]
fn failures_keep_their_lines() {
    let bytes = b"a\nb\xff\n\nbad\nabc\n";
    for records in [1, 2, 100] {
        let (out, said, _) = run(bytes, Form::Text, OnError::Skip, records);
        assert_eq!(out.as_deref(), Some("1\n\n0\n\n3\n"));
        assert_eq!(said, "2 of 5 inputs failed");
    }
    let (out, _, _) = run(bytes, Form::Json, OnError::Skip, 100);
    let out = out.expect("written");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(
        lines[1].starts_with("{\"error\":\"byte 2 of the line, 0xff")
            && lines[1].ends_with("\"line\":2}")
    );
    assert_eq!(lines[3], "{\"error\":\"it is bad\",\"line\":4}");
    assert_eq!(lines[4], "{\"output\":3,\"truncated\":false,\"tokens\":1}");
}

#[test]
fn a_failure_stops_and_leaves_no_file() {
    let (out, said, windows) = run(b"a\nbad\nc\n", Form::Text, OnError::Stop, 100);
    assert_eq!((out, &said[..]), (None, "line 2 of FILE: it is bad"));
    assert_eq!(windows, [3]);
    // What cannot be read stops before what stands behind it is computed.
    let (out, said, windows) = run(b"a\n\xff\nc\n", Form::Text, OnError::Stop, 100);
    assert!(
        out.is_none() && said.starts_with("line 2 of FILE: byte 1"),
        "{said}"
    );
    assert_eq!(windows, [1]);
}
