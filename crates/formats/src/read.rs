//! A checkpoint's elements, converted.

use crate::{
    Checkpoint, Dtype, FormatError, TensorInfo, bundle,
    checkpoint::Shard,
    placement::{CHUNK, Placement, read_run},
    strided::Strided,
};
use half::{bf16, f16};
use std::io;

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

    /// Reads the elements `first..first + out.len()` of the transpose of `tensor` as `f32`: of the matrix whose columns are the
    /// first `inputs` dimensions of `tensor` and whose rows are the others. With `inputs` 1 a kernel [in, out] is read as the
    /// weight [out, in], and [in, heads, size] as [heads · size, in]; with 2, [heads, size, out] as [out, heads · size].
    ///
    /// Values are those of [`read_f32`](Self::read_f32). It is made for pieces of 2^16 elements or more, or the whole tensor:
    /// each call reads all rows that its piece has a part of. Checksums are not looked at (see [`verify`](Self::verify)).
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32).
    ///
    /// # Panics
    /// If `tensor` has fewer than `inputs` dimensions.
    pub fn read_f32_transposed(
        &self,
        tensor: &TensorInfo,
        inputs: usize,
        first: usize,
        out: &mut [f32],
    ) -> Result<(), FormatError> {
        match tensor.dtype {
            Dtype::F32 => self.read_transposed(tensor, inputs, first, out, f32::from_le_bytes),
            Dtype::F16 => self.read_transposed(tensor, inputs, first, out, |bytes| {
                f16::from_le_bytes(bytes).to_f32()
            }),
            Dtype::BF16 => self.read_transposed(tensor, inputs, first, out, |bytes| {
                bf16::from_le_bytes(bytes).to_f32()
            }),
            Dtype::F64 => self.read_transposed(tensor, inputs, first, out, |bytes| {
                f64::from_le_bytes(bytes) as f32
            }),
            _ => Err(self.wrong_dtype(tensor, "F64, F32, F16, BF16")),
        }
    }

    /// Whether the bytes of `tensor` have the checksum that the file states; `false` if it states none, as all formats but
    /// TensorFlow's. Reading a whole tensor at once checks it, reading a part cannot.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if they do not; as [`read_f32`](Self::read_f32).
    pub fn verify(&self, tensor: &TensorInfo) -> Result<bool, FormatError> {
        let shard = self.shard_of(tensor, 0, 0)?;
        let Some(expected) = shard.checksums.get(&tensor.name) else {
            return Ok(false);
        };
        let (mut at, end) = tensor.place;
        let (mut crc, mut buffer) = (0, Vec::new());
        while at < end {
            let length = (end - at).min(CHUNK as u64);
            let bytes = shard.source.view(&mut buffer, at, length as usize);
            let bytes = bytes.map_err(|source| FormatError::Read {
                path: shard.path.clone(),
                tensor: tensor.name.clone(),
                source,
            })?;
            crc = crc32c::crc32c_append(crc, bytes);
            at += length;
        }
        self.check_sum(tensor, *expected, crc)?;
        Ok(true)
    }

    fn check_sum(&self, tensor: &TensorInfo, expected: u32, crc: u32) -> Result<(), FormatError> {
        let found = bundle::masked(crc);
        if found == expected {
            return Ok(());
        }
        Err(FormatError::Checksum {
            path: self.shards[tensor.shard].path.clone(),
            tensor: tensor.name.clone(),
            expected,
            found,
        })
    }

    /// The file of a tensor of this checkpoint that has `count` elements from `first`.
    fn shard_of(
        &self,
        tensor: &TensorInfo,
        first: usize,
        count: usize,
    ) -> Result<&Shard, FormatError> {
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
            .checked_add(count)
            .is_none_or(|end| end > tensor.elements())
        {
            return Err(FormatError::Range {
                path: shard.path.clone(),
                tensor: tensor.name.clone(),
                elements: tensor.elements(),
                first,
                count,
            });
        }
        Ok(shard)
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
        let shard = self.shard_of(tensor, first, out.len())?;
        let failed = |source| FormatError::Read {
            path: shard.path.clone(),
            tensor: tensor.name.clone(),
            source,
        };
        let (source, start) = (&shard.source, tensor.place.0);
        if let Some(placement) = shard.placements.get(&tensor.name) {
            let read = placement.read(source, start, &tensor.shape, first, out, convert);
            return read.map_err(failed);
        }
        let whole = out.len() == tensor.elements();
        let expected = shard.checksums.get(&tensor.name).filter(|_| whole);
        let mut crc = 0;
        let see = |bytes: &[u8]| {
            if expected.is_some() {
                crc = crc32c::crc32c_append(crc, bytes);
            }
        };
        let offset = start + first as u64 * N as u64;
        read_run(source, offset, out, &convert, see).map_err(failed)?;
        match expected {
            Some(expected) => self.check_sum(tensor, *expected, crc),
            None => Ok(()),
        }
    }

    fn read_transposed<const N: usize, T: Copy + Default>(
        &self,
        tensor: &TensorInfo,
        inputs: usize,
        first: usize,
        out: &mut [T],
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<(), FormatError> {
        if tensor.shape.is_empty() {
            return self.read(tensor, first, out, convert);
        }
        let shard = self.shard_of(tensor, first, out.len())?;
        let failed = |source| FormatError::Read {
            path: shard.path.clone(),
            tensor: tensor.name.clone(),
            source,
        };
        let (rows, columns) = tensor.shape.split_at(inputs);
        let placement = shard.placements.get(&tensor.name);
        let strides = match placement {
            None => row_major(&tensor.shape),
            Some(Placement::Strides(strides)) => strides.clone(),
            Some(placement) => {
                let [rows, columns] = [rows, columns].map(|sizes| sizes.iter().product::<usize>());
                let mut turn = |from: usize, block: &mut [T]| {
                    let (source, start) = (&shard.source, tensor.place.0);
                    placement.read(source, start, &tensor.shape, from, block, &convert)
                };
                return turned(rows, columns, first, out, &mut turn).map_err(failed);
            }
        };
        let strided = Strided {
            source: &shard.source,
            start: tensor.place.0,
            shape: &[columns, rows].concat(),
            strides: &[&strides[inputs..], &strides[..inputs]].concat(),
        };
        strided.read(first, out, convert).map_err(failed)
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

/// Elements of the rows that are turned at once.
const TURNED: usize = 1 << 18;

fn row_major(shape: &[usize]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        // A size of 0 leaves nothing to be read.
        strides[axis - 1] = strides[axis] * shape[axis] as u64;
    }
    strides
}

/// Elements from `first` of the transpose of a matrix that `read` gives row-major runs of.
fn turned<T: Copy + Default>(
    rows: usize,
    columns: usize,
    first: usize,
    out: &mut [T],
    read: &mut dyn FnMut(usize, &mut [T]) -> io::Result<()>,
) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let end = first + out.len();
    let wanted = first / rows..end.div_ceil(rows);
    let together = (TURNED / columns).clamp(1, rows);
    let mut block = vec![T::default(); together * columns];
    for from in (0..rows).step_by(together) {
        let count = together.min(rows - from);
        let block = &mut block[..count * columns];
        read(from * columns, block)?;
        for row in 0..count {
            for column in wanted.clone() {
                let at = column * rows + from + row;
                if (first..end).contains(&at) {
                    out[at - first] = block[row * columns + column];
                }
            }
        }
    }
    Ok(())
}
