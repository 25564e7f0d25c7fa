//! Embeddings as NumPy's .npy: one array [inputs, H] of little-endian f32.
//!
//! The header stands at the beginning and holds the number of rows, so it is written last. An input
//! that failed is a row of NaN.

use std::io::Write;

use anyhow::{Result, bail};

use super::{Failure, Record, Reply, Target, Writer};
use crate::stream::task::Output;

/// Bytes of the header: a multiple of 64, as the format asks for, with room for any two numbers.
const HEADER: usize = 128;

pub(super) struct Npy {
    target: Target,
    rows: usize,
    width: Option<usize>,
    /// Failures before the first vector, whose length is not known yet.
    owed: usize,
}

impl Npy {
    pub(super) fn new(mut target: Target) -> Result<Self> {
        if !target.is_draft() {
            bail!("a .npy file cannot be written to a pipe or a device: expected a file");
        }
        target.write_all(&[0; HEADER])?;
        Ok(Self {
            target,
            rows: 0,
            width: None,
            owed: 0,
        })
    }

    fn row(&mut self, numbers: impl Iterator<Item = f32>) -> Result<()> {
        for number in numbers {
            self.target.write_all(&number.to_le_bytes())?;
        }
        Ok(())
    }

    /// The length of a row, and the rows that waited for it.
    fn settle(&mut self, width: usize) -> Result<()> {
        match self.width {
            Some(known) => assert_eq!(known, width, "vectors of one length"),
            None => {
                self.width = Some(width);
                for _ in 0..std::mem::take(&mut self.owed) {
                    self.row(std::iter::repeat_n(f32::NAN, width))?;
                }
            }
        }
        Ok(())
    }
}

fn header(rows: usize, width: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(u16::try_from(HEADER - 10).expect("small").to_le_bytes());
    let array = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    header.extend(array.bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

impl Writer for Npy {
    fn answer(&mut self, _: &Record, reply: Reply) -> Result<()> {
        let Output::Vector(vector) = reply.output else {
            unreachable!("the form was chosen for embeddings")
        };
        self.settle(vector.len())?;
        self.rows += 1;
        self.row(vector.into_iter())
    }

    fn failure(&mut self, _: Option<&Record>, _: &Failure) -> Result<()> {
        self.rows += 1;
        match self.width {
            Some(width) => self.row(std::iter::repeat_n(f32::NAN, width)),
            None => {
                self.owed += 1;
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>, width: usize) -> Result<()> {
        let width = self.width.unwrap_or(width);
        self.settle(width)?;
        self.target.rewrite_beginning(&header(self.rows, width))?;
        self.target.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::super::testing::{failure, file, record, vector};
    use super::*;

    fn written(width: usize, write: impl FnOnce(&mut dyn Writer)) -> Vec<u8> {
        let (_folder, path) = file(Form::Npy, width, write);
        std::fs::read(path).expect("read")
    }

    fn array(shape: &str, numbers: &[f32]) -> Vec<u8> {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let head = [
            b"\x93NUMPY\x01\x00\x76\x00",
            format!("{text:<117}\n").as_bytes(),
        ]
        .concat();
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes());
        head.into_iter().chain(bytes).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let input = record(1, "a");
        let found = written(9, |writer| {
            writer
                .answer(&input, vector(&[1.5, -0.0]))
                .expect("written");
            writer
                .answer(&input, vector(&[f32::MIN_POSITIVE, 3.0]))
                .expect("written");
        });
        assert_eq!(found, array("(2, 2)", &[1.5, -0.0, f32::MIN_POSITIVE, 3.0]));
        assert_eq!(
            (found.len() - 16) % 64,
            0,
            "the header is a multiple of 64 bytes"
        );
        assert_eq!(written(9, |_| {}), array("(0, 9)", &[]));
        assert_eq!(
            header(usize::MAX, usize::MAX).len(),
            HEADER,
            "any shape fits"
        );
    }

    #[test]
    fn failures_are_rows_of_nan() {
        let found = written(2, |writer| {
            writer.failure(None, &failure(1)).expect("written");
            writer
                .answer(&record(2, "a"), vector(&[1.0, 2.0]))
                .expect("written");
            writer.failure(None, &failure(3)).expect("written");
        });
        let nan = f32::NAN;
        assert_eq!(found, array("(3, 2)", &[nan, nan, 1.0, 2.0, nan, nan]));
        let alone = written(1, |writer| {
            writer.failure(None, &failure(1)).expect("written")
        });
        assert_eq!(alone, array("(1, 1)", &[nan]));
    }
}
