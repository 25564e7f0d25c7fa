//! Elements on their way out, converted to the tensor's type.

use crate::{Dtype, FormatError, TensorSpec};
use half::{bf16, f16};
use std::{fmt::Display, io::Write, path::Path};

/// Takes the elements of one tensor, in row-major order, in pieces of any length.
///
/// Floating-point values are rounded to nearest even; a finite value that would become infinite is
/// an error. Integers must fit exactly.
pub trait TensorSink {
    /// Takes the next elements of an `F64`, `F32`, `F16` or `BF16` tensor.
    ///
    /// # Errors
    /// If the tensor is of another type, has fewer elements, or cannot represent a value; if writing
    /// fails.
    fn write_f32(&mut self, values: &[f32]) -> Result<(), FormatError>;

    /// Takes the next elements of an `F64`, `F32`, `F16` or `BF16` tensor.
    ///
    /// # Errors
    /// As [`write_f32`](Self::write_f32).
    fn write_f64(&mut self, values: &[f64]) -> Result<(), FormatError>;

    /// Takes the next elements of an `I64`, `I32`, `I16`, `I8`, `U8` or `BOOL` tensor (0 and 1).
    ///
    /// # Errors
    /// As [`write_f32`](Self::write_f32).
    fn write_i64(&mut self, values: &[i64]) -> Result<(), FormatError>;
}

const CHUNK: usize = 1 << 16;

/// Writes one tensor's bytes to a stream.
pub(crate) struct Encoder<'a, W> {
    pub(crate) out: &'a mut W,
    /// The file that is being written, for messages.
    pub(crate) path: &'a Path,
    pub(crate) spec: TensorSpec<'a>,
    pub(crate) elements: usize,
    pub(crate) written: usize,
}

impl<W: Write> Encoder<'_, W> {
    /// Checks that the tensor is complete.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        if self.written == self.elements {
            Ok(())
        } else {
            Err(self.wrong_count(self.written))
        }
    }

    /// Writes `values`; `encode` gives `None` for a value that the type does not have.
    fn put<const N: usize, T: Copy + Display>(
        &mut self,
        values: &[T],
        encode: impl Fn(T) -> Option<[u8; N]>,
    ) -> Result<(), FormatError> {
        if values.len() > self.elements - self.written {
            return Err(self.wrong_count(self.written.saturating_add(values.len())));
        }
        let mut buffer = vec![0; values.len().saturating_mul(N).min(CHUNK)];
        for part in values.chunks(CHUNK / N) {
            let bytes = &mut buffer[..part.len() * N];
            for (at, (slot, &value)) in bytes
                .as_chunks_mut::<N>()
                .0
                .iter_mut()
                .zip(part)
                .enumerate()
            {
                *slot = encode(value).ok_or_else(|| self.wrong_value(at, &value))?;
            }
            self.out
                .write_all(bytes)
                .map_err(FormatError::io("write", self.path))?;
            self.written += part.len();
        }
        Ok(())
    }

    fn wrong_count(&self, found: usize) -> FormatError {
        let (path, tensor) = (self.path.to_owned(), self.spec.name.to_owned());
        FormatError::ElementCount {
            path,
            tensor,
            expected: self.elements,
            found,
        }
    }

    fn wrong_value(&self, at: usize, value: &dyn Display) -> FormatError {
        FormatError::Value {
            path: self.path.to_owned(),
            tensor: self.spec.name.to_owned(),
            element: self.written + at,
            value: value.to_string(),
            dtype: self.spec.dtype,
        }
    }

    fn wrong_dtype(&self, expected: &'static str) -> FormatError {
        let (path, tensor) = (self.path.to_owned(), self.spec.name.to_owned());
        FormatError::Dtype {
            path,
            tensor,
            dtype: self.spec.dtype,
            expected,
        }
    }
}

impl<W: Write> TensorSink for Encoder<'_, W> {
    fn write_f32(&mut self, values: &[f32]) -> Result<(), FormatError> {
        match self.spec.dtype {
            Dtype::F32 => self.put(values, |value| Some(value.to_le_bytes())),
            Dtype::F64 => self.put(values, |value| Some(f64::from(value).to_le_bytes())),
            Dtype::F16 => self.put(values, |value| {
                to_f16(value.is_finite(), f16::from_f32(value))
            }),
            Dtype::BF16 => self.put(values, |value| {
                to_bf16(value.is_finite(), bf16::from_f32(value))
            }),
            _ => Err(self.wrong_dtype("F64, F32, F16, BF16")),
        }
    }

    fn write_f64(&mut self, values: &[f64]) -> Result<(), FormatError> {
        match self.spec.dtype {
            Dtype::F64 => self.put(values, |value| Some(value.to_le_bytes())),
            Dtype::F32 => self.put(values, |value| {
                let narrow = value as f32;
                (narrow.is_finite() || !value.is_finite()).then_some(narrow.to_le_bytes())
            }),
            Dtype::F16 => self.put(values, |value| {
                to_f16(value.is_finite(), f16::from_f64(value))
            }),
            Dtype::BF16 => self.put(values, |value| {
                to_bf16(value.is_finite(), bf16::from_f64(value))
            }),
            _ => Err(self.wrong_dtype("F64, F32, F16, BF16")),
        }
    }

    fn write_i64(&mut self, values: &[i64]) -> Result<(), FormatError> {
        match self.spec.dtype {
            Dtype::I64 => self.put(values, |value| Some(value.to_le_bytes())),
            Dtype::I32 => self.put(values, |value| {
                i32::try_from(value).ok().map(i32::to_le_bytes)
            }),
            Dtype::I16 => self.put(values, |value| {
                i16::try_from(value).ok().map(i16::to_le_bytes)
            }),
            Dtype::I8 => self.put(values, |value| {
                i8::try_from(value).ok().map(i8::to_le_bytes)
            }),
            Dtype::U8 => self.put(values, |value| {
                u8::try_from(value).ok().map(u8::to_le_bytes)
            }),
            Dtype::Bool => self.put(values, |value| {
                u8::try_from(value).ok().filter(|&b| b < 2).map(|b| [b])
            }),
            _ => Err(self.wrong_dtype("I64, I32, I16, I8, U8, BOOL")),
        }
    }
}

fn to_f16(was_finite: bool, value: f16) -> Option<[u8; 2]> {
    (value.is_finite() || !was_finite).then_some(value.to_le_bytes())
}

fn to_bf16(was_finite: bool, value: bf16) -> Option<[u8; 2]> {
    (value.is_finite() || !was_finite).then_some(value.to_le_bytes())
}
