//! A stream of lines through a tokenizer: any size of file in bounded memory, on several threads,
//! in order.
//!
//! Lines end at `\n` alone; a `\r` before it belongs to the text. A last line needs no `\n`. Big
//! blocks are read and cut behind their last `\n`, each thread turns whole blocks into output, and
//! the calling thread writes them in order. Memory is a few blocks for each thread, or a few times
//! the longest line where that is longer than a block.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError, mpsc};

use crate::error::Error;

/// Bytes read at once.
const BLOCK: usize = 1 << 18;

/// What to do with bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invalid {
    /// An error with the line and the byte.
    #[default]
    Refuse,
    /// Each run of wrong bytes becomes U+FFFD.
    Replace,
}

/// Applies `work` to every line of `input`, without its `\n`, and writes what it appends to the
/// buffer. `state` makes the memory of a thread.
///
/// # Errors
/// Reading or writing fails, a line is not UTF-8, or `work` fails; the error is that of the first
/// such line, and the lines before its block have been written.
pub fn for_each_line<S, E>(
    input: &mut dyn Read,
    output: &mut dyn Write,
    threads: NonZeroUsize,
    invalid: Invalid,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, u64, &str, &mut Vec<u8>) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    E: From<Error> + Send,
{
    let mut blocks = Blocks::new(input);
    let run = |own: &mut S, block: &Block, out: &mut Vec<u8>| -> Result<(), E> {
        block.lines(invalid, |number, line| work(own, number, line, out))
    };
    if threads.get() == 1 {
        let (mut own, mut out, mut bytes) = (state(), Vec::new(), Vec::new());
        while let Some(block) = blocks.next(bytes)? {
            out.clear();
            run(&mut own, &block, &mut out)?;
            output.write_all(&out).map_err(writing)?;
            bytes = block.bytes;
        }
        return Ok(output.flush().map_err(writing)?);
    }
    let (to_work, jobs) = mpsc::channel::<(usize, Block, Vec<u8>)>();
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        let (to_write, results) = mpsc::channel();
        let (state, run, jobs) = (&state, &run, &jobs);
        for _ in 0..threads.get() {
            let to_write = to_write.clone();
            scope.spawn(move || {
                let mut own = state();
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, block, mut out)) = job else {
                        return;
                    };
                    out.clear();
                    // A panic must reach the calling thread, which waits for this result.
                    let result = catch_unwind(AssertUnwindSafe(|| run(&mut own, &block, &mut out)));
                    if to_write.send((number, block.bytes, out, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_write);
        let (mut sent, mut written) = (0, 0);
        let mut waiting = BTreeMap::new();
        let mut spare: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut more = true;
        while more || written < sent {
            // Enough to keep every thread busy while one block is written.
            if more && sent - written < 2 * threads.get() {
                let (bytes, out) = spare.pop().unwrap_or_default();
                match blocks.next(bytes)? {
                    None => more = false,
                    Some(block) => {
                        // The threads only end after this sender is gone.
                        let _ = to_work.send((sent, block, out));
                        sent += 1;
                    }
                }
                continue;
            }
            let Ok((number, bytes, out, result)) = results.recv() else {
                break;
            };
            waiting.insert(number, (bytes, out, result));
            while let Some((bytes, out, result)) = waiting.remove(&written) {
                result.unwrap_or_else(|panic| resume_unwind(panic))?;
                output.write_all(&out).map_err(writing)?;
                spare.push((bytes, out));
                written += 1;
            }
        }
        drop(to_work);
        Ok(output.flush().map_err(writing)?)
    })
}

fn writing(source: std::io::Error) -> Error {
    Error::Stream {
        action: "write the output",
        source,
    }
}

/// Whole lines of the input.
struct Block {
    bytes: Vec<u8>,
    /// Lines before it.
    line: u64,
    /// Bytes before it.
    byte: u64,
}

impl Block {
    fn lines<E: From<Error>>(
        &self,
        invalid: Invalid,
        mut work: impl FnMut(u64, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        // Blocks end behind a line feed, so only whole lines are checked.
        let whole = std::str::from_utf8(&self.bytes);
        let mut start = 0;
        let mut number = self.line;
        while start < self.bytes.len() {
            let rest = &self.bytes[start..];
            let length = find_newline(rest).unwrap_or(rest.len());
            number += 1;
            let line = match &whole {
                Ok(text) => Cow::Borrowed(&text[start..start + length]),
                Err(_) => match (std::str::from_utf8(&rest[..length]), invalid) {
                    (Ok(line), _) => Cow::Borrowed(line),
                    (Err(_), Invalid::Replace) => String::from_utf8_lossy(&rest[..length]),
                    (Err(error), Invalid::Refuse) => {
                        let column = error.valid_up_to();
                        return Err(Error::Utf8 {
                            line: number,
                            byte: self.byte + (start + column) as u64,
                            column,
                        }
                        .into());
                    }
                },
            };
            work(number, &line)?;
            start += length + 1;
        }
        Ok(())
    }
}

fn find_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// Reads blocks.
struct Blocks<'a> {
    input: &'a mut dyn Read,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    line: u64,
    byte: u64,
    ended: bool,
}

impl<'a> Blocks<'a> {
    fn new(input: &'a mut dyn Read) -> Self {
        Self {
            input,
            rest: Vec::new(),
            line: 0,
            byte: 0,
            ended: false,
        }
    }

    /// The next block, in the memory of an old one.
    fn next(&mut self, mut bytes: Vec<u8>) -> Result<Option<Block>, Error> {
        bytes.clear();
        bytes.append(&mut self.rest);
        let mut searched = 0;
        let end = loop {
            if self.ended {
                break bytes.len();
            }
            let from = bytes.len();
            let read = (&mut *self.input)
                .take(BLOCK as u64)
                .read_to_end(&mut bytes);
            read.map_err(|source| Error::Stream {
                action: "read the input",
                source,
            })?;
            self.ended = bytes.len() - from < BLOCK;
            let newline = bytes[searched..].iter().rposition(|byte| *byte == b'\n');
            if let (Some(at), false) = (newline, self.ended) {
                break searched + at + 1;
            }
            searched = bytes.len();
        };
        self.rest.extend_from_slice(&bytes[end..]);
        bytes.truncate(end);
        if bytes.is_empty() {
            return Ok(None);
        }
        let block = Block {
            line: self.line,
            byte: self.byte,
            bytes,
        };
        self.line += block.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.byte += block.bytes.len() as u64;
        Ok(Some(block))
    }
}

/// Appends numbers in decimal, with a space between them and a line feed at the end.
pub(crate) fn write_ids(ids: &[u32], out: &mut Vec<u8>) {
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        write_number(*id, out);
    }
    out.push(b'\n');
}

fn write_number(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers each line and puts it into brackets.
    fn run(input: &[u8], threads: usize, invalid: Invalid) -> Result<String, Error> {
        let mut out = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        for_each_line(
            &mut &*input,
            &mut out,
            threads,
            invalid,
            || (),
            |(), number, line, out| {
                out.extend(format!("{number}[{line}]").bytes());
                Ok::<(), Error>(())
            },
        )?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn lines_end_at_line_feeds_alone() {
        let of = |text: &str| run(text.as_bytes(), 1, Invalid::Refuse).unwrap();
        assert_eq!(of(""), "");
        assert_eq!(of("a"), "1[a]");
        assert_eq!(of("a\n"), "1[a]");
        assert_eq!(
            of("a\r\n\nb\u{2028}\u{85}c"),
            "1[a\r]2[]3[b\u{2028}\u{85}c]"
        );
        assert_eq!(of("\n\n"), "1[]2[]");
    }

    #[test]
    fn every_number_of_threads_gives_the_same() {
        let text: String = (0..200_000)
            .map(|i| format!("line é {}\n", i * 7919))
            .collect();
        let long = format!("{text}{}\nend", "x".repeat(3 * BLOCK));
        let expected = run(long.as_bytes(), 1, Invalid::Refuse).unwrap();
        assert!(expected.ends_with("x]200002[end]"));
        for threads in [2, 3, 5] {
            assert_eq!(
                run(long.as_bytes(), threads, Invalid::Refuse).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn wrong_bytes_are_named_or_replaced() {
        let mut bytes = "ä\n".repeat(400_000).into_bytes();
        bytes.extend(b"ab\xFFc\nd\xC3");
        for threads in [1, 2] {
            let error = run(&bytes, threads, Invalid::Refuse).unwrap_err();
            let place = match error {
                Error::Utf8 { line, byte, column } => (line, byte, column),
                other => panic!("{other}"),
            };
            assert_eq!(place, (400_001, 1_200_002, 2));
            let lossy = run(&bytes, threads, Invalid::Replace).unwrap();
            assert!(lossy.ends_with("400001[ab\u{FFFD}c]400002[d\u{FFFD}]"));
        }
    }

    #[test]
    fn numbers_are_decimal() {
        let mut out = Vec::new();
        write_ids(&[0, 7, 10, 29_999, u32::MAX], &mut out);
        write_ids(&[], &mut out);
        assert_eq!(out, b"0 7 10 29999 4294967295\n\n");
    }
}
