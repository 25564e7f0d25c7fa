//! Tensors and records in files. This crate knows bytes, never ALBERT: it lists what a checkpoint holds, reads
//! any run of elements as `f32`, `f64`, `i64` or `i8`, and writes checkpoints that other tools read.
//!
//! It reads and writes safetensors, PyTorch's `pytorch_model.bin` (the zip archives of torch 1.6 and later;
//! the pickles before are read), TensorFlow's checkpoints (`model.ckpt-best.index` with its data), Keras'
//! `tf_model.h5` (HDF5) and Flax' `flax_model.msgpack`, in one file, in several with an index, or in memory.
//! `docs/formats.md` says what of each.
//!
//! ```
//! use albert_formats::{Checkpoint, Dtype, TensorSpec, write_safetensors};
//! use std::collections::BTreeMap;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let path = folder.join("model.safetensors");
//! let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
//! let specs = [TensorSpec { name: "pooler.bias", dtype: Dtype::BF16, shape: &[4] }];
//! write_safetensors(&path, &metadata, &specs, |_spec, sink| sink.write_f32(&[1.0, -2.0, 0.5, 3.0]))?;
//!
//! let checkpoint = Checkpoint::open(folder)?; // a file or a folder
//! let tensor = checkpoint.get("pooler.bias").expect("just written");
//! assert_eq!((tensor.dtype, tensor.shape.as_slice()), (Dtype::BF16, &[4][..]));
//! let mut last_two = [0.0; 2];
//! checkpoint.read_f32(tensor, 2, &mut last_two)?;
//! assert_eq!(last_two, [0.5, 3.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files are hostile
//! A checkpoint is data: no file may crash the program, make it hang, or make it allocate more than
//! a small multiple of its own header (measured: 12 times, for 100 MB of nothing but metadata keys) or
//! pickle (at most 32 MB, and 200 MB for what it describes).
//! Every offset is checked against the file before anything is allocated or read, tensors are read
//! by position (no memory map: a file truncated under a map kills the process), and every refusal
//! names the file, the tensor, what was expected and what was found.
//!
//! The header reader is our own and not the `safetensors` crate's, because that one needs the whole
//! file in memory, lets the last of two equal names win, and reports errors without names or
//! numbers; the crate stays as the reference that the tests and the fuzz target compare with.
//!
//! A PyTorch file is a program: its pickle may call any function of Python. Ours is a machine without
//! functions. The dozen names that tensors need are symbols to it, and a pickle that holds another name
//! or another instruction is refused; such a file must be converted where it is trusted.
//!
//! # Modules in reading order
//! 1. `dtype`: element types, their names and sizes.
//! 2. `error`: [`FormatError`], the only error.
//! 3. `json`: JSON objects whose keys must be unique.
//! 4. `document`: the JSON of a safetensors header; `header`: from bytes to checked tensor extents.
//! 5. `index`: `model.safetensors.index.json`, and which shard names are acceptable.
//! 6. `positional`: reading a file or memory at an offset from several threads.
//! 7. `torch`: `pytorch_model.bin`. In it `zip` and `directory`, or `legacy`: the containers; `opcodes`,
//!    `globals`, `object`, `machine` and `calls`: what the pickle describes; `tensors`: checked extents.
//! 8. `fault`: why a file of the formats 7 to 9 is refused; `trust`: checksums, for fuzzing. `bundle`: TensorFlow's checkpoints. In it `table` and
//!    `block`: the sorted table; `messages`: its entries; `find`: files by prefix or folder.
//! 9. `hdf5`: its file lists its modules. `msgpack`: Flax. In it `token`, `array`, `tree`.
//! 10. `contents`: one file of any format.
//! 11. `placement`: tensors that are not one run of bytes; `strided`, `chunked`: two forms of them.
//! 12. `checkpoint`: [`Checkpoint`], one file or many; `read`: its elements, converted.
//! 13. `atomic`: temporary file, fsync, rename.
//! 14. `layout`: the order of tensors in a written safetensors file, and its header; `plan`: files of other formats.
//! 15. `sink`: elements on their way out, converted; `write`: one file; `sharded`: several. Writers of other
//!     formats stand beside their readers.
//! 16. `tfrecord`, `example`: TensorFlow's files of records, and the messages in those of training data.

mod atomic;
mod bundle;
mod checkpoint;
mod chunked;
mod contents;
mod document;
mod dtype;
mod error;
mod example;
mod fault;
mod hdf5;
mod header;
mod index;
mod json;
mod layout;
mod msgpack;
mod placement;
mod plan;
mod positional;
mod read;
mod sharded;
mod sink;
mod strided;
mod tfrecord;
mod torch;
mod trust;
mod write;

pub use atomic::{Pending, write_atomically};
pub use bundle::{write_tf_bundle, write_tf_variables};
pub use checkpoint::{CHECKPOINT_NAMES, Checkpoint, TensorInfo};
pub use crc32c::{crc32c, crc32c_append};
pub use dtype::Dtype;
pub use error::FormatError;
pub use example::{Example, Values};
pub use hdf5::write_hdf5;
pub use layout::TensorSpec;
pub use msgpack::write_msgpack;
pub use positional::PositionalFile;
pub use sharded::write_safetensors_sharded;
pub use sink::TensorSink;
pub use tfrecord::{RecordReader, RecordWriter, frame_record};
pub use torch::write_torch;
pub use write::write_safetensors;

/// Entries for the fuzz targets (`fuzz/`): all checks of one file's bytes, without a file.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::bundle::check_bytes as bundle_index;
    pub use crate::header::check_bytes as safetensors;
}
