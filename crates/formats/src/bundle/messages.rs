//! The protobuf messages of a bundle's index, and TensorFlow's numbers of types.
//!
//! Source: `tensorflow/core/protobuf/tensor_bundle.proto`, `framework/tensor_shape.proto`,
//! `framework/versions.proto`, `framework/types.proto`.

use crate::{Dtype, document::MAX_RANK};

/// `BundleHeaderProto`: the entry of the empty key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(int32, tag = "1")]
    pub(super) num_shards: i32,
    /// 0: little, 1: big.
    #[prost(int32, tag = "2")]
    pub(super) endianness: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) version: Option<Version>,
}

/// `VersionDef`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Version {
    #[prost(int32, tag = "1")]
    pub(super) producer: i32,
    #[prost(int32, tag = "2")]
    pub(super) min_consumer: i32,
}

/// `BundleEntryProto`: a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(int32, tag = "1")]
    pub(super) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
    #[prost(int32, tag = "3")]
    pub(super) shard_id: i32,
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
    #[prost(int64, tag = "5")]
    pub(super) size: i64,
    /// Masked.
    #[prost(fixed32, tag = "6")]
    pub(super) crc32c: u32,
    /// What parts of a partitioned variable there are; their bytes have entries of their own.
    #[prost(message, repeated, tag = "7")]
    pub(super) slices: Vec<Slice>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "2")]
    pub(super) dim: Vec<Dim>,
    #[prost(bool, tag = "3")]
    pub(super) unknown_rank: bool,
}

/// `TensorShapeProto.Dim`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Dim {
    #[prost(int64, tag = "1")]
    pub(super) size: i64,
}

/// `TensorSliceProto`, of which only that it is there counts.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Slice {}

impl Shape {
    pub(super) fn of(sizes: &[usize]) -> Self {
        let dim = |&size: &usize| Dim { size: size as i64 };
        Self {
            dim: sizes.iter().map(dim).collect(),
            unknown_rank: false,
        }
    }

    /// The sizes, or what is wrong with them.
    pub(super) fn sizes(&self) -> Result<Vec<usize>, String> {
        if self.unknown_rank {
            return Err("its shape is not known".to_owned());
        }
        if self.dim.len() > MAX_RANK {
            return Err(format!("it has more than {MAX_RANK} dimensions"));
        }
        let size = |dim: &Dim| {
            usize::try_from(dim.size).map_err(|_| format!("a size of its shape is {}", dim.size))
        };
        self.dim.iter().map(size).collect()
    }
}

const fn other(name: &'static str, bits: usize) -> Dtype {
    Dtype::Other { name, bits }
}

pub(super) const STRING: i32 = 7;
const RESOURCE: i32 = 20;
const VARIANT: i32 = 21;

const DTYPES: [(i32, Dtype); 21] = [
    (1, Dtype::F32),
    (2, Dtype::F64),
    (3, Dtype::I32),
    (4, Dtype::U8),
    (5, Dtype::I16),
    (6, Dtype::I8),
    (STRING, other("STRING", 8)),
    (8, other("C64", 64)),
    (9, Dtype::I64),
    (10, Dtype::Bool),
    (14, Dtype::BF16),
    (17, other("U16", 16)),
    (18, other("C128", 128)),
    (19, Dtype::F16),
    (RESOURCE, other("RESOURCE", 8)),
    (VARIANT, other("VARIANT", 8)),
    (22, other("U32", 32)),
    (23, other("U64", 64)),
    (24, other("F8_E5M2", 8)),
    (25, other("F8_E4M3", 8)),
    (11, other("QINT8", 8)),
];

/// The type with this number in `DataType`.
pub(super) fn dtype_of(number: i32) -> Option<Dtype> {
    let found = DTYPES.iter().find(|(known, _)| *known == number);
    found.map(|(_, dtype)| *dtype)
}

/// The number in `DataType` of a type that is written.
pub(super) fn number_of(dtype: Dtype) -> Option<i32> {
    let found = DTYPES.iter().find(|(_, known)| *known == dtype);
    found.map(|(number, _)| *number)
}

/// Whether the bytes of this type's elements have any number.
pub(super) fn is_object(number: i32) -> bool {
    [STRING, RESOURCE, VARIANT].contains(&number)
}
