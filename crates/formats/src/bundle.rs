//! TensorFlow's checkpoints, "tensor bundles": `PREFIX.index`, a table of what the tensors are, and
//! `PREFIX.data-00000-of-00001`, …, their bytes.
//!
//! The table is one of LevelDB's ([`table`], [`block`]); its entries are protobuf messages
//! ([`messages`]). The key of a tensor is its name; the entry of the empty key describes the bundle.
//! Source: `tensorflow/core/util/tensor_bundle`, `tensorflow/core/lib/io/format.h`.

mod block;
mod find;
mod messages;
mod table;
mod write;

use crate::{
    FormatError, TensorInfo,
    contents::{overlapping, repeated},
    dtype::extent,
    error::shown,
    fault::Fault,
    positional::{PositionalFile, Source},
};
use messages::{Entry, Header, dtype_of};
use prost::Message;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

pub(crate) use find::{data_path, in_folder, index_path, prefix_of};
pub use write::{write_tf_bundle, write_tf_variables};

const FORMAT: &str = "a TensorFlow checkpoint";
/// Data files of one bundle.
const MAX_SHARDS: i32 = 1 << 12;
/// Tensors of one bundle.
const MAX_TENSORS: usize = 1 << 16;
/// Bytes of all names: a table may share them with the name before, so that they can be many more than its own.
const MAX_NAMES: usize = 16 << 20;
/// Bytes of one name.
const MAX_NAME: usize = 1 << 12;
/// Bytes of what is said of one tensor.
const MAX_ENTRY: usize = 1 << 12;

/// What an index says.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Sorted by name; places count from the start of the data file whose number is `shard`.
    pub(crate) tensors: Vec<TensorInfo>,
    /// The masked CRC-32C of the bytes of each.
    pub(crate) checksums: BTreeMap<String, u32>,
    /// Data files.
    pub(crate) shards: usize,
}

/// A bundle's data files, open.
pub(crate) struct Bundle {
    pub(crate) index: Index,
    pub(crate) files: Vec<(PathBuf, Source)>,
}

/// Whether a file ends like a table.
pub(crate) fn is_table(source: &Source, length: u64) -> std::io::Result<bool> {
    table::is_table(source, length)
}

/// The error of a table that does not stand where a bundle's index does.
pub(crate) fn not_an_index(path: &Path) -> FormatError {
    Fault::file(
        "it is a table of TensorFlow, but its name does not end with .index, so that its data files \
         cannot be found; or it is a checkpoint of the format V1, from before 2017",
        "give it its name back, or convert it with TensorFlow (tf.compat.v1.train.Saver)",
    )
    .at(FORMAT, path)
}

/// Opens the bundle with this prefix: `prefix.index` and the data files beside it.
pub(crate) fn open(prefix: &Path) -> Result<Bundle, FormatError> {
    let path = index_path(prefix);
    let (source, length) = open_file(&path)?;
    let index = read_index(&source, length).map_err(|fault| fault.at(FORMAT, &path))?;
    let mut files = Vec::with_capacity(index.shards);
    let mut lengths = Vec::with_capacity(index.shards);
    for shard in 0..index.shards {
        let path = data_path(prefix, shard, index.shards);
        let (source, length) = open_file(&path)?;
        files.push((path, source));
        lengths.push(length);
    }
    for tensor in &index.tensors {
        let (start, end) = tensor.place;
        let length = lengths[tensor.shard];
        if end > length {
            let problem = format!(
                "its bytes {start} to {end} lie beyond the file's {length}: it was cut short"
            );
            return Err(Fault::tensor(&tensor.name, problem).at(FORMAT, &files[tensor.shard].0));
        }
    }
    Ok(Bundle { index, files })
}

fn open_file(path: &Path) -> Result<(Source, u64), FormatError> {
    let kind = std::fs::metadata(path).map_err(FormatError::io("open", path))?;
    if !kind.is_file() {
        return Err(FormatError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(FormatError::io("open", path))?;
    let length = file
        .metadata()
        .map_err(FormatError::io("read", path))?
        .len();
    Ok((Source::File(PositionalFile::new(file)), length))
}

/// Reads and checks an index, but for the lengths of the data files.
pub(crate) fn read_index(source: &Source, length: u64) -> Result<Index, Fault> {
    let mut header = None;
    let mut index = Index::default();
    let mut bytes_of_names = 0;
    table::read(source, length, &mut |key, value| {
        if key.is_empty() {
            header = Some(check_header(value)?);
            return Ok(());
        }
        if key.starts_with(&[0]) {
            return Err(Fault::unsupported(
                "it has slices of partitioned variables, which are not joined here",
            ));
        }
        let name = std::str::from_utf8(key)
            .map_err(|_| Fault::damaged("a name in its table is not UTF-8"))?;
        bytes_of_names += key.len();
        if index.tensors.len() == MAX_TENSORS || bytes_of_names > MAX_NAMES {
            return Err(Fault::deceives(format!(
                "it has more than {MAX_TENSORS} tensors, or names of more than {MAX_NAMES} bytes"
            )));
        }
        let (tensor, checksum) = check_entry(name, value)?;
        index
            .checksums
            .extend(checksum.map(|crc| (name.to_owned(), crc)));
        index.tensors.push(tensor);
        Ok(())
    })?;
    // The empty key is the smallest, so that it was seen before all others.
    let Some(shards) = header else {
        return Err(Fault::damaged("its table has no header"));
    };
    index.shards = shards;
    for tensor in &index.tensors {
        if tensor.shard >= shards {
            let problem = format!("it is in data file {} of {shards}", tensor.shard);
            return Err(Fault::tensor(&tensor.name, problem));
        }
    }
    if let Some(name) = repeated(&index.tensors) {
        return Err(Fault::deceives(format!(
            "name {} occurs twice",
            shown(name)
        )));
    }
    if let Some((one, other)) = overlapping(&index.tensors) {
        let problem = format!("its bytes overlap those of {}", shown(one));
        return Err(Fault::tensor(other, problem));
    }
    Ok(index)
}

/// The number of data files.
fn check_header(value: &[u8]) -> Result<usize, Fault> {
    let header = Header::decode(value)
        .map_err(|error| Fault::damaged(format!("the header of its table is wrong: {error}")))?;
    if header.endianness != 0 {
        return Err(Fault::unsupported(
            "its numbers are big-endian, expected little-endian",
        ));
    }
    let newest = header.version.unwrap_or_default().min_consumer;
    if newest > 0 {
        return Err(Fault::unsupported(format!(
            "it asks for readers of version {newest}, and this one is of version 0"
        )));
    }
    let shards = header.num_shards;
    if !(1..=MAX_SHARDS).contains(&shards) {
        return Err(Fault::deceives(format!(
            "it has {shards} data files, expected 1 to {MAX_SHARDS}"
        )));
    }
    Ok(shards as usize)
}

/// A tensor and its checksum, which that of texts is no plain one of their bytes; whether it lies within its data file is not known yet.
fn check_entry(name: &str, value: &[u8]) -> Result<(TensorInfo, Option<u32>), Fault> {
    let wrong = |problem: String| Fault::tensor(name, problem);
    if value.len() > MAX_ENTRY {
        return Err(wrong(format!("its entry has {} bytes", value.len())));
    }
    let entry =
        Entry::decode(value).map_err(|error| wrong(format!("its entry is wrong: {error}")))?;
    if !entry.slices.is_empty() {
        return Err(Fault::unsupported(format!(
            "tensor {} is stored in {} slices (a partitioned variable), which are not joined here",
            shown(name),
            entry.slices.len()
        )));
    }
    let Some(dtype) = dtype_of(entry.dtype) else {
        return Err(wrong(format!("its type is number {}", entry.dtype)));
    };
    let shape = entry.shape.unwrap_or_default().sizes().map_err(&wrong)?;
    let number = |value: i64, what: &str| {
        u64::try_from(value).map_err(|_| wrong(format!("its {what} is {value}")))
    };
    let (start, size) = (number(entry.offset, "offset")?, number(entry.size, "size")?);
    let shard = number(entry.shard_id.into(), "data file")? as usize;
    // Texts and other objects have any size.
    if !messages::is_object(entry.dtype) {
        let bytes = extent(dtype, &shape).map_err(&wrong)?.bytes;
        if bytes != size {
            return Err(wrong(format!(
                "it has {size} bytes, but shape {shape:?} in {dtype} has {bytes}"
            )));
        }
    } else if shape
        .iter()
        .try_fold(1_usize, |n, &size| n.checked_mul(size))
        .is_none()
    {
        return Err(wrong(format!("the size of shape {shape:?} overflows")));
    }
    let end = start
        .checked_add(size)
        .ok_or_else(|| wrong(format!("its place {start} with {size} bytes overflows")))?;
    let tensor = TensorInfo {
        name: name.to_owned(),
        dtype,
        shape,
        shard,
        place: (start, end),
    };
    let is_plain = !messages::is_object(entry.dtype);
    Ok((tensor, is_plain.then_some(entry.crc32c)))
}

/// The checksum as it stands in files: those of bytes that hold checksums themselves would be weak.
pub(crate) fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// All checks of an index's bytes; the number of its tensors.
///
/// # Errors
/// Those of [`Checkpoint::open`](crate::Checkpoint::open) with the path `memory`.
pub fn check_bytes(bytes: &[u8]) -> Result<usize, FormatError> {
    let source = Source::Memory(bytes.to_vec().into());
    let index = read_index(&source, bytes.len() as u64);
    let index = index.map_err(|fault| fault.at(FORMAT, Path::new("memory")))?;
    Ok(index.tensors.len())
}
