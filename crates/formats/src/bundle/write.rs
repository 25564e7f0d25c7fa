//! Writing a bundle of one data file.

use super::{
    block::put_varint,
    data_path, find, index_path, masked,
    messages::{Entry, Header, STRING, Shape, Version, number_of},
    table,
};
use crate::{
    FormatError, TensorSpec,
    dtype::SUPPORTED,
    plan::{Fill, Plan, unwritable},
    sink::TensorSink,
    write_atomically,
};
use prost::Message;
use std::path::Path;

/// The name of the tensor that describes objects.
const OBJECTS: &[u8] = b"_CHECKPOINTABLE_OBJECT_GRAPH";

/// Writes a TensorFlow checkpoint: `prefix.data-00000-of-00001`, `prefix.index`, and `checkpoint` in the same folder, which
/// names it the latest. `tf.train.load_checkpoint` and the readers of TensorFlow 1 read it; there is no `.meta`, which holds
/// a graph.
///
/// `fill` is called once per tensor, in ascending order of the names' bytes, which is that of the file. All bytes have
/// checksums. The index appears after the data, so that an error leaves no checkpoint that is half new, unless the older one
/// has the same prefix and the process ends between the two.
///
/// # Errors
/// As [`write_safetensors`](crate::write_safetensors); if the last part of `prefix` is not a plain name in ASCII, or a tensor's
/// name is empty.
pub fn write_tf_bundle(
    prefix: &Path,
    tensors: &[TensorSpec<'_>],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let stem = write_files(prefix, tensors, None, &mut fill)?;
    let state = prefix.with_file_name("checkpoint");
    write_atomically(&state, find::state(stem).as_bytes())
}

/// Writes the variables of a TensorFlow SavedModel: a bundle as [`write_tf_bundle`] writes it, without `checkpoint`, and with
/// the objects to which the tensors belong: `objects`, an encoded `TrackableObjectGraph`.
///
/// # Errors
/// As [`write_tf_bundle`].
pub fn write_tf_variables(
    prefix: &Path,
    tensors: &[TensorSpec<'_>],
    objects: &[u8],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    write_files(prefix, tensors, Some(objects), &mut fill).map(|_| ())
}

/// Writes data and index; gives the last part of the prefix.
fn write_files<'p>(
    prefix: &'p Path,
    tensors: &[TensorSpec<'_>],
    objects: Option<&[u8]>,
    fill: Fill<'_>,
) -> Result<&'p str, FormatError> {
    let stem = prefix.file_name().and_then(|name| name.to_str());
    let stem = stem.ok_or_else(|| unwritable(prefix, "its prefix has no name"))?;
    find::check_stem(stem).map_err(|problem| unwritable(prefix, problem))?;
    let data = data_path(prefix, 0, 1);
    let mut sorted = tensors.to_vec();
    sorted.sort_by_key(|spec| spec.name);
    if sorted.first().is_some_and(|spec| spec.name.is_empty()) {
        return Err(unwritable(prefix, "a tensor has no name"));
    }
    if sorted.iter().any(|spec| spec.name.len() > super::MAX_NAME) {
        let problem = format!("a name has more than {} bytes", super::MAX_NAME);
        return Err(unwritable(prefix, problem));
    }
    let plan = Plan::new(&data, &sorted, &SUPPORTED, "to TensorFlow's checkpoints")?;
    let mut entries = Vec::with_capacity(sorted.len() + 1);
    let header = Header {
        num_shards: 1,
        endianness: 0,
        version: Some(Version {
            producer: 1,
            min_consumer: 0,
        }),
    };
    entries.push((&b""[..], header.encode_to_vec()));
    let pending = plan.write_pending(|out| {
        for (number, spec) in sorted.iter().enumerate() {
            let (offset, mut crc) = (out.position(), 0);
            let see = |bytes: &[u8]| crc = crc32c::crc32c_append(crc, bytes);
            out.tensor_through(spec, fill, |_, _| Vec::new(), see)?;
            let entry = Entry {
                dtype: number_of(spec.dtype).unwrap_or_default(),
                shape: Some(Shape::of(spec.shape)),
                shard_id: 0,
                offset: offset as i64,
                size: plan.extent(number).bytes as i64,
                crc32c: masked(crc),
                slices: Vec::new(),
            };
            entries.push((spec.name.as_bytes(), entry.encode_to_vec()));
        }
        if let Some(objects) = objects {
            let (bytes, crc) = text(objects);
            let entry = Entry {
                dtype: STRING,
                shape: Some(Shape::of(&[])),
                shard_id: 0,
                offset: out.position() as i64,
                size: bytes.len() as i64,
                crc32c: masked(crc),
                slices: Vec::new(),
            };
            out.put(&bytes)?;
            entries.push((OBJECTS, entry.encode_to_vec()));
        }
        Ok(())
    })?;
    entries.sort_unstable_by_key(|(name, _)| *name);
    let index = table::write(entries);
    pending.publish()?;
    write_atomically(&index_path(prefix), &index)?;
    Ok(stem)
}

/// A tensor that is one text: length, its checksum, text. Its own checksum is over the length as a number of 4 bytes and the
/// rest.
fn text(text: &[u8]) -> (Vec<u8>, u32) {
    let mut bytes = Vec::with_capacity(text.len() + 9);
    put_varint(&mut bytes, text.len() as u64);
    let crc = crc32c::crc32c(&(text.len() as u32).to_le_bytes());
    let check = masked(crc).to_le_bytes();
    bytes.extend(check);
    bytes.extend(text);
    let crc = crc32c::crc32c_append(crc, &check);
    (bytes, crc32c::crc32c_append(crc, text))
}
