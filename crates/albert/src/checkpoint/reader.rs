//! The elements of a tensor in our order, however the file holds them.

use albert_formats::{Checkpoint, FormatError, TensorInfo};

use super::view::{Stored, turned};

/// What can go wrong with the elements of a tensor.
type Read<T> = std::result::Result<T, FormatError>;

/// Reads a tensor in our order, from several threads if need be.
pub(crate) struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    form: Form<'a>,
}

enum Form<'a> {
    File(&'a TensorInfo),
    /// [in, out] in memory; `rows` is out.
    Turned {
        rows: usize,
        values: Vec<f32>,
    },
    Product {
        words: &'a TensorInfo,
        /// [E, H]
        projection: Vec<f32>,
    },
    Identity(usize),
    Zeros,
}

impl<'a> Reader<'a> {
    /// Reads what must be in memory, and looks at checksums.
    ///
    /// # Errors
    /// A file that cannot be read, bytes that do not have their checksum.
    pub(super) fn new(checkpoint: &'a Checkpoint, stored: Stored<'a>) -> Read<Self> {
        let whole = |info: &TensorInfo| -> Read<Vec<f32>> {
            let mut values = vec![0.0; info.elements()];
            checkpoint.read_f32(info, 0, &mut values)?;
            Ok(values)
        };
        let form = match stored {
            Stored::Plain(info) => {
                checkpoint.verify(info)?;
                Form::File(info)
            }
            Stored::Turned(info) => Form::Turned {
                rows: turned(&info.shape).first().copied().unwrap_or(1),
                values: whole(info)?,
            },
            Stored::Product(words, projection) => {
                checkpoint.verify(words)?;
                Form::Product {
                    words,
                    projection: whole(projection)?,
                }
            }
            Stored::Identity(n) => Form::Identity(n),
            Stored::Zeros(_) => Form::Zeros,
        };
        Ok(Self { checkpoint, form })
    }

    /// Fills `out` with elements first, first + 1, …
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn read(&self, first: usize, out: &mut [f32]) -> Read<()> {
        match &self.form {
            Form::File(info) => self.checkpoint.read_f32(info, first, out)?,
            Form::Turned { rows, values } => {
                let cols = values.len() / (*rows).max(1);
                let (mut row, mut col) = (first / cols.max(1), first % cols.max(1));
                for x in out {
                    *x = values[col * rows + row];
                    col += 1;
                    if col == cols {
                        (row, col) = (row + 1, 0);
                    }
                }
            }
            Form::Product { words, projection } => self.product(words, projection, first, out)?,
            Form::Identity(n) => {
                for (at, x) in (first..).zip(out) {
                    *x = f32::from(u8::from(at / n == at % n));
                }
            }
            Form::Zeros => out.fill(0.0),
        }
        Ok(())
    }

    /// Σ word[e] · projection[e, h], summed in f64 and rounded once.
    fn product(
        &self,
        words: &TensorInfo,
        projection: &[f32],
        first: usize,
        out: &mut [f32],
    ) -> Read<()> {
        let narrow = words.shape[1];
        let wide = projection.len() / narrow.max(1);
        let (mut word, mut sums) = (vec![0.0; narrow], vec![0.0; wide]);
        let (mut at, mut out) = (first, out);
        while !out.is_empty() {
            let (row, column) = (at / wide, at % wide);
            self.checkpoint.read_f32(words, row * narrow, &mut word)?;
            sums.fill(0.0);
            for (x, factors) in word.iter().zip(projection.chunks_exact(wide)) {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum += f64::from(*x) * f64::from(*factor);
                }
            }
            let (now, rest) = out.split_at_mut(out.len().min(wide - column));
            for (x, sum) in now.iter_mut().zip(&sums[column..]) {
                *x = *sum as f32;
            }
            at += now.len();
            out = rest;
        }
        Ok(())
    }
}
