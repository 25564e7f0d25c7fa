//! A file that is being written: checked tensors, a counted stream, a name once it is complete.

use crate::{
    Dtype, FormatError, TensorSpec,
    atomic::Pending,
    dtype::{Extent, extent},
    error::shown,
    layout::check_names,
    sink::{Encoder, TensorSink},
};
use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

/// What hands over a tensor's elements.
pub(crate) type Fill<'a> =
    &'a mut dyn FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>;

pub(crate) fn unwritable(path: &Path, problem: impl Into<String>) -> FormatError {
    FormatError::Unwritable {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// Tensors that can be written to a file.
pub(crate) struct Plan<'a> {
    path: &'a Path,
    extents: Vec<Extent>,
}

impl<'a> Plan<'a> {
    /// Checks names, types and sizes; `what` is where types but `dtypes` are not written.
    pub(crate) fn new(
        path: &'a Path,
        tensors: &[TensorSpec<'_>],
        dtypes: &[Dtype],
        what: &str,
    ) -> Result<Self, FormatError> {
        check_names(tensors).map_err(|problem| unwritable(path, problem))?;
        let check = |spec: &TensorSpec<'_>| {
            if !dtypes.contains(&spec.dtype) {
                return Err(format!("{}, which is not written {what}", spec.dtype));
            }
            extent(spec.dtype, spec.shape)
        };
        let mut extents = Vec::with_capacity(tensors.len());
        for spec in tensors {
            let extent = check(spec).map_err(|problem| {
                unwritable(path, format!("tensor {}: {problem}", shown(spec.name)))
            })?;
            extents.push(extent);
        }
        Ok(Self { path, extents })
    }

    /// The sizes of tensor `number`.
    pub(crate) fn extent(&self, number: usize) -> Extent {
        self.extents[number]
    }

    /// Writes the file by `fill`, and gives it its name.
    pub(crate) fn write(
        &self,
        fill: impl FnOnce(&mut Out<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        self.write_pending(fill)?.publish()
    }

    /// Writes the file by `fill`, without giving it its name.
    pub(crate) fn write_pending(
        &self,
        fill: impl FnOnce(&mut Out<'_>) -> Result<(), FormatError>,
    ) -> Result<Pending, FormatError> {
        let pending = Pending::create(self.path)?;
        let position = {
            let mut out = Out {
                path: self.path,
                stream: BufWriter::with_capacity(1 << 16, pending.file()),
                position: 0,
            };
            fill(&mut out)?;
            let flushed = out.stream.flush();
            flushed.map_err(FormatError::io("write", self.path))?;
            out.position
        };
        // A `fill` that swallowed a failed write would otherwise leave shifted tensors.
        let length = pending
            .file()
            .metadata()
            .map_err(FormatError::io("write", self.path))?
            .len();
        if length != position {
            let source = io::Error::other(format!("{length} bytes arrived of {position}"));
            return Err(FormatError::io("write", self.path)(source));
        }
        pending.sync()?;
        Ok(pending)
    }
}

/// The stream of a file that is being written, and its position.
pub(crate) struct Out<'a> {
    path: &'a Path,
    stream: BufWriter<&'a File>,
    position: u64,
}

impl Out<'_> {
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.stream
            .write_all(bytes)
            .map_err(FormatError::io("write", self.path))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Zeros up to the next multiple of `alignment`.
    pub(crate) fn pad_to(&mut self, alignment: u64) -> Result<(), FormatError> {
        let missing = self.position.next_multiple_of(alignment) - self.position;
        self.put(&vec![0; missing as usize])
    }

    /// The elements of a checked tensor.
    pub(crate) fn tensor(
        &mut self,
        spec: &TensorSpec<'_>,
        fill: Fill<'_>,
    ) -> Result<(), FormatError> {
        self.tensor_through(spec, fill, |_, _| Vec::new(), |_| {})
    }

    /// As [`tensor`](Self::tensor): `before` gives what stands before the next bytes of the tensor, and
    /// may make them fewer; `see` gets the bytes of the tensor on the way.
    pub(crate) fn tensor_through(
        &mut self,
        spec: &TensorSpec<'_>,
        fill: Fill<'_>,
        before: impl FnMut(u64, &mut usize) -> Vec<u8>,
        see: impl FnMut(&[u8]),
    ) -> Result<(), FormatError> {
        let elements = spec.shape.iter().product();
        let path = self.path;
        let mut through = Through {
            out: self,
            written: 0,
            before,
            see,
        };
        let mut encoder = Encoder {
            out: &mut through,
            path,
            spec: *spec,
            elements,
            written: 0,
        };
        fill(spec, &mut encoder)?;
        encoder.finish()?;
        let expected = (elements * spec.dtype.size()) as u64;
        if through.written != expected {
            let source = io::Error::other(format!(
                "{} bytes of a tensor arrived of {expected}",
                through.written
            ));
            return Err(FormatError::io("write", path)(source));
        }
        Ok(())
    }

    /// Changes what was written before; the stream goes on at its end.
    pub(crate) fn patch(
        &mut self,
        change: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> Result<(), FormatError> {
        change(&mut self.stream)
            .and_then(|()| self.stream.seek(SeekFrom::Start(self.position)))
            .map_err(FormatError::io("write", self.path))?;
        Ok(())
    }
}

struct Through<'o, 'a, B, S> {
    out: &'o mut Out<'a>,
    /// Bytes of the tensor so far.
    written: u64,
    before: B,
    see: S,
}

impl<B: FnMut(u64, &mut usize) -> Vec<u8>, S: FnMut(&[u8])> Write for Through<'_, '_, B, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut length = bytes.len();
        let before = (self.before)(self.written, &mut length);
        self.out.stream.write_all(&before)?;
        self.out.position += before.len() as u64;
        self.out.stream.write_all(&bytes[..length])?;
        self.out.position += length as u64;
        self.written += length as u64;
        (self.see)(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.stream.flush()
    }
}
