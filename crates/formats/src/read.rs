//! A checkpoint's elements, converted.

use crate::{Checkpoint, Dtype, FormatError, TensorInfo, strided::Strided};
use half::{bf16, f16};

/// Bytes per read: large enough that system calls do not count, small enough to stay in the L2 cache
/// between the read and the conversion.
const CHUNK: usize = 1 << 17;

impl Checkpoint {
    /// Reads the elements `first..first + out.len()` of `tensor`, in row-major order, as `f32`.
    ///
    /// `F32`, `F16` and `BF16` arrive exactly (a signalling NaN of 16 bits arrives quiet), `F64` is
    /// rounded to the nearest, beyond the range of `f32` to infinity.
    ///
    /// # Errors
    /// If `tensor` is of another type or from another checkpoint, does not have these elements, or
    /// if reading fails; `out` may then hold some of them.
    pub fn read_f32(
        &self,
        tensor: &TensorInfo,
        first: usize,
        out: &mut [f32],
    ) -> Result<(), FormatError> {
        match tensor.dtype {
            Dtype::F32 => self.read(tensor, first, out, f32::from_le_bytes),
            Dtype::F16 => self.read(tensor, first, out, |bytes| {
                f16::from_le_bytes(bytes).to_f32()
            }),
            Dtype::BF16 => self.read(tensor, first, out, |bytes| {
                bf16::from_le_bytes(bytes).to_f32()
            }),
            Dtype::F64 => self.read(tensor, first, out, |bytes| f64::from_le_bytes(bytes) as f32),
            _ => Err(self.wrong_dtype(tensor, "F64, F32, F16, BF16")),
        }
    }

    /// Reads the elements `first..first + out.len()` of `tensor`, in row-major order, as `f64`.
    ///
    /// All four floating-point types arrive exactly (a signalling NaN arrives quiet).
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32).
    pub fn read_f64(
        &self,
        tensor: &TensorInfo,
        first: usize,
        out: &mut [f64],
    ) -> Result<(), FormatError> {
        match tensor.dtype {
            Dtype::F64 => self.read(tensor, first, out, f64::from_le_bytes),
            Dtype::F32 => self.read(tensor, first, out, |bytes| {
                f64::from(f32::from_le_bytes(bytes))
            }),
            Dtype::F16 => self.read(tensor, first, out, |bytes| {
                f16::from_le_bytes(bytes).to_f64()
            }),
            Dtype::BF16 => self.read(tensor, first, out, |bytes| {
                bf16::from_le_bytes(bytes).to_f64()
            }),
            _ => Err(self.wrong_dtype(tensor, "F64, F32, F16, BF16")),
        }
    }

    /// Reads the elements `first..first + out.len()` of `tensor`, in row-major order, as `i64`.
    ///
    /// Any byte but 0 in a `BOOL` tensor is 1.
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32), for the types `I64`, `I32`, `I16`, `I8`, `U8` and `BOOL`.
    pub fn read_i64(
        &self,
        tensor: &TensorInfo,
        first: usize,
        out: &mut [i64],
    ) -> Result<(), FormatError> {
        match tensor.dtype {
            Dtype::I64 => self.read(tensor, first, out, i64::from_le_bytes),
            Dtype::I32 => self.read(tensor, first, out, |bytes| {
                i64::from(i32::from_le_bytes(bytes))
            }),
            Dtype::I16 => self.read(tensor, first, out, |bytes| {
                i64::from(i16::from_le_bytes(bytes))
            }),
            Dtype::I8 => self.read(tensor, first, out, |bytes| {
                i64::from(i8::from_le_bytes(bytes))
            }),
            Dtype::U8 => self.read(tensor, first, out, |[byte]| i64::from(byte)),
            Dtype::Bool => self.read(tensor, first, out, |[byte]| i64::from(byte != 0)),
            _ => Err(self.wrong_dtype(tensor, "I64, I32, I16, I8, U8, BOOL")),
        }
    }

    /// Reads the elements `first..first + out.len()` of an `I8` tensor, in row-major order, as they are.
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32), for the type `I8` alone.
    pub fn read_i8(
        &self,
        tensor: &TensorInfo,
        first: usize,
        out: &mut [i8],
    ) -> Result<(), FormatError> {
        match tensor.dtype {
            Dtype::I8 => self.read(tensor, first, out, i8::from_le_bytes),
            _ => Err(self.wrong_dtype(tensor, "I8")),
        }
    }

    /// Reads elements of `N` bytes. Opening has checked that the tensor lies within its file, so no
    /// sum below can overflow.
    fn read<const N: usize, T>(
        &self,
        tensor: &TensorInfo,
        first: usize,
        out: &mut [T],
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<(), FormatError> {
        if self.get(&tensor.name) != Some(tensor) {
            let path = self
                .shards
                .first()
                .map(|shard| shard.path.clone())
                .unwrap_or_default();
            return Err(FormatError::ForeignTensor {
                path,
                tensor: tensor.name.clone(),
            });
        }
        let shard = &self.shards[tensor.shard];
        if first
            .checked_add(out.len())
            .is_none_or(|end| end > tensor.elements())
        {
            return Err(FormatError::Range {
                path: shard.path.clone(),
                tensor: tensor.name.clone(),
                elements: tensor.elements(),
                first,
                count: out.len(),
            });
        }
        let failed = |source| FormatError::Read {
            path: shard.path.clone(),
            tensor: tensor.name.clone(),
            source,
        };
        if let Some(strides) = shard.strides.get(&tensor.name) {
            let strided = Strided {
                source: &shard.source,
                start: tensor.place.0,
                shape: &tensor.shape,
                strides,
            };
            return strided.read(first, out, convert).map_err(failed);
        }
        let mut offset = tensor.place.0 + first as u64 * N as u64;
        let mut buffer = Vec::new();
        for part in out.chunks_mut(CHUNK / N) {
            let bytes = shard.source.view(&mut buffer, offset, part.len() * N);
            let bytes = bytes.map_err(failed)?;
            for (value, bytes) in part.iter_mut().zip(bytes.as_chunks::<N>().0) {
                *value = convert(*bytes);
            }
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    fn wrong_dtype(&self, tensor: &TensorInfo, expected: &'static str) -> FormatError {
        let path = self
            .shards
            .get(tensor.shard)
            .map(|shard| shard.path.clone())
            .unwrap_or_default();
        FormatError::Dtype {
            path,
            tensor: tensor.name.clone(),
            dtype: tensor.dtype,
            expected,
        }
    }
}
