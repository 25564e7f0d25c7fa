//! The JSON of a safetensors header, before any arithmetic.
//!
//! A header of 100 MB may name two million tensors, so it is read straight into the table that stays,
//! which takes at most four times the text.

use crate::{
    Dtype, TensorInfo,
    error::shown,
    json::{self, UniqueMap},
};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeMap, fmt};

/// The key that is not a tensor.
pub(crate) const METADATA: &str = "__metadata__";
/// PyTorch and NumPy stop at 64 dimensions; it keeps a parsed header within a multiple of its text.
pub(crate) const MAX_RANK: usize = 64;
/// Entries of metadata, of which transformers writes one.
const MAX_METADATA: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Document {
    /// Sorted by name, each name once; the bytes of each as its `data_offsets` say, which count
    /// from the first byte after the header.
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Document, A::Error> {
        let mut tensors: Vec<TensorInfo> = Vec::new();
        let mut metadata: Option<UniqueMap<MAX_METADATA>> = None;
        // Equal names of tensors are neighbours when all are sorted: no set of names is needed.
        while let Some(key) =
            json::next_key(&mut object, |key| key == METADATA && metadata.is_some())?
        {
            if key == METADATA {
                metadata = Some(json::next_value(&mut object, &key)?);
                continue;
            }
            let raw: RawTensor = json::next_value(&mut object, &key)?;
            if tensors.len() == tensors.capacity() {
                // An eighth, where `push` would double.
                tensors.reserve_exact(tensors.len() / 8 + 64);
            }
            tensors.push(TensorInfo {
                name: key,
                dtype: raw.dtype,
                shape: raw.shape,
                shard: 0,
                place: raw.data_offsets,
            });
        }
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for pair in tensors.windows(2) {
            if pair[0].name == pair[1].name {
                return Err(json::repeated(&pair[0].name));
            }
        }
        let metadata = metadata.map(|map| map.0).unwrap_or_default();
        Ok(Document { tensors, metadata })
    }
}

/// What a header says of one tensor.
struct RawTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for RawTensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawTensorVisitor)
    }
}

struct RawTensorVisitor;

impl<'de> Visitor<'de> for RawTensorVisitor {
    type Value = RawTensor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<RawTensor, A::Error> {
        let mut dtype: Option<DtypeName> = None;
        let mut shape: Option<Shape> = None;
        let mut data_offsets = None;
        while let Some(key) = json::next_key(&mut object, |key| match key {
            "dtype" => dtype.is_some(),
            "shape" => shape.is_some(),
            "data_offsets" => data_offsets.is_some(),
            _ => false,
        })? {
            match key.as_str() {
                "dtype" => dtype = Some(json::next_value(&mut object, &key)?),
                "shape" => shape = Some(json::next_value(&mut object, &key)?),
                "data_offsets" => data_offsets = Some(json::next_value(&mut object, &key)?),
                // The reference reader ignores what a later version may add, too.
                _ => drop::<IgnoredAny>(json::next_value(&mut object, &key)?),
            }
        }
        Ok(RawTensor {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?.0,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?.0,
            data_offsets: data_offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

struct DtypeName(Dtype);

impl<'de> Deserialize<'de> for DtypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DtypeNameVisitor)
    }
}

struct DtypeNameVisitor;

impl Visitor<'_> for DtypeNameVisitor {
    type Value = DtypeName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a dtype")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<DtypeName, E> {
        // Without its size, the tensor's place in the file could not be checked.
        let unknown = || E::custom(format_args!("unknown dtype {}", shown(name)));
        Dtype::from_name(name).map(DtypeName).ok_or_else(unknown)
    }
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(size) = sizes.next_element()? {
            if shape.len() == MAX_RANK {
                let limit = format_args!("more than {MAX_RANK} dimensions");
                return Err(A::Error::custom(limit));
            }
            shape.push(size);
        }
        shape.shrink_to_fit();
        Ok(Shape(shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of one allocation: glibc's smallest has 32, with 8 of its own in each.
    fn allocation(bytes: usize) -> usize {
        match bytes {
            0 => 0,
            bytes => (bytes + 8).next_multiple_of(16).max(32),
        }
    }

    /// Short names and many sizes take the most memory for their text.
    #[test]
    fn the_table_takes_at_most_four_times_the_text() {
        // A little more than a power of 2, where a table that doubles is half empty.
        const COUNT: usize = 70_000;
        for (rank, limit) in [(0, 3.0), (1, 3.5), (8, 3.5), (MAX_RANK, 4.0)] {
            let shape = vec!["0"; rank].join(",");
            let entry = |i: usize| {
                format!(r#""{i:x}":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,0]}}"#)
            };
            let entries: Vec<String> = (0..COUNT).map(entry).collect();
            let text = format!("{{{}}}", entries.join(","));
            let table = json::parse::<Document>(text.as_bytes())
                .expect("valid")
                .tensors;
            assert_eq!(table.len(), COUNT);
            let held = |tensor: &TensorInfo| {
                allocation(tensor.name.capacity())
                    + allocation(tensor.shape.capacity() * size_of::<usize>())
            };
            let bytes =
                table.capacity() * size_of::<TensorInfo>() + table.iter().map(held).sum::<usize>();
            let ratio = bytes as f64 / text.len() as f64;
            assert!(ratio < limit, "rank {rank}: {ratio:.2} times the text");
        }
    }
}
