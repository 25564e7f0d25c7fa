//! Writing the arrays of a Flax model into one MessagePack file.

use super::{
    CHUNKED, MAX_DEPTH, MAX_KEY,
    array::{ARRAY, name_of},
};
use crate::{
    FormatError, TensorSpec,
    dtype::SUPPORTED,
    error::shown,
    plan::{Fill, Out, Plan, unwritable},
    sink::TensorSink,
};
use std::path::Path;

/// Bytes above which an array is cut into chunks, as Flax does.
const MAX_CHUNK: u64 = 1 << 30;

/// Writes a file that `flax.serialization.msgpack_restore` reads, as transformers' `flax_model.msgpack` is one.
///
/// A tensor's name is cut at each `.`; the parts are keys of maps in maps, in the order of their first tensor. `fill` is called
/// once per tensor, in the order of the file. Arrays of more than 2^30 bytes are cut into chunks. On an error the old file
/// stays and nothing new is left behind.
///
/// # Errors
/// As [`write_safetensors`](crate::write_safetensors); if a name has an empty part, too many parts or too long ones, or is a
/// part of another.
pub fn write_msgpack(
    path: &Path,
    tensors: &[TensorSpec<'_>],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    write_with(path, tensors, MAX_CHUNK, &mut fill)
}

fn write_with(
    path: &Path,
    tensors: &[TensorSpec<'_>],
    max_chunk: u64,
    fill: Fill<'_>,
) -> Result<(), FormatError> {
    let plan = Plan::new(path, tensors, &SUPPORTED, "to MessagePack")?;
    let mut root = Vec::new();
    for (number, spec) in tensors.iter().enumerate() {
        let parts: Vec<&str> = spec.name.split('.').collect();
        insert(&mut root, &parts, number).map_err(|problem| {
            unwritable(path, format!("tensor {}: {problem}", shown(spec.name)))
        })?;
    }
    plan.write(|out| write_map(out, &root, tensors, max_chunk, fill))
}

/// A map, or the number of a tensor.
enum Node<'a> {
    Map(Entries<'a>),
    Tensor(usize),
}

type Entries<'a> = Vec<(&'a str, Node<'a>)>;

fn insert<'a>(entries: &mut Entries<'a>, parts: &[&'a str], tensor: usize) -> Result<(), String> {
    let (Some((&key, rest)), true) = (parts.split_first(), parts.len() <= MAX_DEPTH) else {
        return Err(format!("it has more than {MAX_DEPTH} parts"));
    };
    if key.is_empty() || key.len() > MAX_KEY || key == CHUNKED {
        return Err(format!(
            "its part {} is empty, has more than {MAX_KEY} bytes, or means something else",
            shown(key)
        ));
    }
    // The last map is the likeliest.
    let found = entries.iter().rposition(|(known, _)| *known == key);
    let at = found.unwrap_or(entries.len());
    match (rest.is_empty(), found) {
        (true, None) => entries.push((key, Node::Tensor(tensor))),
        (false, None) => entries.push((key, Node::Map(Vec::new()))),
        _ => {}
    }
    match &mut entries[at].1 {
        Node::Map(inner) if !rest.is_empty() => insert(inner, rest, tensor),
        Node::Tensor(number) if *number == tensor => Ok(()),
        _ => Err(format!("{} is a tensor and a map", shown(key))),
    }
}

fn write_map(
    out: &mut Out<'_>,
    entries: &Entries<'_>,
    tensors: &[TensorSpec<'_>],
    max_chunk: u64,
    fill: Fill<'_>,
) -> Result<(), FormatError> {
    out.put(&map(entries.len()))?;
    for (key, node) in entries {
        out.put(&text(key))?;
        match node {
            Node::Map(entries) => write_map(out, entries, tensors, max_chunk, &mut *fill)?,
            Node::Tensor(number) => {
                write_array(out, &tensors[*number], max_chunk, &mut *fill)?;
            }
        }
    }
    Ok(())
}

fn write_array(
    out: &mut Out<'_>,
    spec: &TensorSpec<'_>,
    max_chunk: u64,
    fill: Fill<'_>,
) -> Result<(), FormatError> {
    let item = spec.dtype.size();
    let elements: usize = spec.shape.iter().product();
    let bytes = (elements * item) as u64;
    if bytes <= max_chunk {
        out.put(&array(spec, spec.shape, bytes))?;
        return out.tensor(spec, fill);
    }
    let each = (max_chunk / item as u64).max(1);
    let chunks = (elements as u64).div_ceil(each);
    let mut head = map(3);
    head.extend(text(CHUNKED));
    head.push(0xc3);
    head.extend(text("shape"));
    head.extend(map(spec.shape.len()));
    for (axis, size) in spec.shape.iter().enumerate() {
        head.extend(text(&axis.to_string()));
        head.extend(number(*size as u64));
    }
    head.extend(text("chunks"));
    head.extend(map(chunks as usize));
    out.put(&head)?;
    let chunk = each * item as u64;
    let before = |written: u64, length: &mut usize| {
        let inside = written % chunk;
        *length = (*length).min((chunk - inside) as usize);
        if inside > 0 {
            return Vec::new();
        }
        let count = each.min((bytes - written) / item as u64);
        let mut head = text(&(written / chunk).to_string());
        head.extend(array(spec, &[count as usize], count * item as u64));
        head
    };
    out.tensor_through(spec, fill, before, |_| {})
}

/// What stands before the bytes of an array.
fn array(spec: &TensorSpec<'_>, shape: &[usize], bytes: u64) -> Vec<u8> {
    let mut inner = vec![0x93];
    match u8::try_from(shape.len()) {
        Ok(rank @ 0..16) => inner.push(0x90 | rank),
        _ => inner.extend([&[0xdc][..], &(shape.len() as u16).to_be_bytes()].concat()),
    }
    for size in shape {
        inner.extend(number(*size as u64));
    }
    inner.extend(text(name_of(spec.dtype)));
    inner.extend(sized([0xc4, 0xc5, 0xc6], bytes));
    let mut out = sized([0xc7, 0xc8, 0xc9], inner.len() as u64 + bytes);
    out.push(ARRAY.cast_unsigned());
    out.extend(inner);
    out
}

/// A code for a length of 1, 2 or 4 bytes, and the length.
fn sized(codes: [u8; 3], length: u64) -> Vec<u8> {
    match length {
        0..=0xff => vec![codes[0], length as u8],
        0x100..=0xffff => [&[codes[1]][..], &(length as u16).to_be_bytes()].concat(),
        // Chunks keep it below 2^32.
        _ => [&[codes[2]][..], &(length as u32).to_be_bytes()].concat(),
    }
}

fn number(value: u64) -> Vec<u8> {
    match value {
        0..=0x7f => vec![value as u8],
        0x80..=0xff => vec![0xcc, value as u8],
        0x100..=0xffff => [&[0xcd][..], &(value as u16).to_be_bytes()].concat(),
        0x1_0000..=0xffff_ffff => [&[0xce][..], &(value as u32).to_be_bytes()].concat(),
        _ => [&[0xcf][..], &value.to_be_bytes()].concat(),
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut out = match text.len() {
        length @ 0..32 => vec![0xa0 | length as u8],
        length => sized([0xd9, 0xda, 0xdb], length as u64),
    };
    out.extend(text.as_bytes());
    out
}

fn map(entries: usize) -> Vec<u8> {
    match entries {
        0..16 => vec![0x80 | entries as u8],
        16..=0xffff => [&[0xde][..], &(entries as u16).to_be_bytes()].concat(),
        _ => [&[0xdf][..], &(entries as u32).to_be_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Dtype};

    #[test]
    fn arrays_are_cut_into_chunks_and_read_as_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("flax_model.msgpack");
        let shape = [5, 7];
        let spec = TensorSpec {
            name: "a.kernel",
            dtype: Dtype::F32,
            shape: &shape,
        };
        let values: Vec<f32> = (0..35).map(|n| n as f32).collect();
        for chunk in [1, 4, 12, 40, 139, 140] {
            let mut fill = |_: &TensorSpec<'_>, sink: &mut dyn TensorSink| {
                sink.write_f32(&values[..9])?;
                sink.write_f32(&values[9..])
            };
            write_with(&path, &[spec], chunk, &mut fill).expect("written");
            let checkpoint = Checkpoint::open(&path).expect("valid");
            let tensor = checkpoint.get("a.kernel").expect("listed");
            assert_eq!((tensor.shape.as_slice(), tensor.bytes()), (&shape[..], 140));
            for first in 0..35 {
                for count in 0..=35 - first {
                    let mut out = vec![0.0; count];
                    checkpoint.read_f32(tensor, first, &mut out).expect("read");
                    assert_eq!(out, values[first..first + count], "{chunk} {first}");
                }
            }
            let mut turned = vec![0.0; 35];
            checkpoint
                .read_f32_transposed(tensor, 1, 0, &mut turned)
                .expect("read");
            for (at, value) in turned.iter().enumerate() {
                assert_eq!(*value, values[at % 5 * 7 + at / 5]);
            }
        }
    }
}
