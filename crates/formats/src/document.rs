//! The JSON of a safetensors header, before any arithmetic.

use crate::{
    Dtype,
    error::shown,
    json::{self, UniqueMap},
};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeMap, fmt};

/// The key that is not a tensor.
pub(crate) const METADATA: &str = "__metadata__";
/// PyTorch and NumPy stop at 64 dimensions; it keeps a parsed header within a multiple of its text.
const MAX_RANK: usize = 64;

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) tensors: BTreeMap<String, RawTensor>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What a header says of one tensor.
#[derive(Debug)]
pub(crate) struct RawTensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Start and end, from the first byte after the header.
    pub(crate) data_offsets: (u64, u64),
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
        let mut tensors = BTreeMap::new();
        let mut metadata: Option<UniqueMap<String>> = None;
        while let Some(key) = json::next_key(&mut object, |key| match key {
            METADATA => metadata.is_some(),
            tensor => tensors.contains_key(tensor),
        })? {
            if key == METADATA {
                metadata = Some(json::next_value(&mut object, &key)?);
            } else {
                let tensor: RawTensor = json::next_value(&mut object, &key)?;
                tensors.insert(key, tensor);
            }
        }
        let metadata = metadata.map(|map| map.0).unwrap_or_default();
        Ok(Document { tensors, metadata })
    }
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
