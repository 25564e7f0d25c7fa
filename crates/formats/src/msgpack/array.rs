//! Flax' extension type: an array as MessagePack of its shape, the name of its type, and its bytes.

use super::token::{Token, Tokens};
use crate::{Dtype, document::MAX_RANK, dtype::extent, error::shown, fault::Fault};

/// Extensions of Flax: an array, a complex number of Python, a scalar of NumPy.
pub(super) const ARRAY: i8 = 1;
pub(super) const COMPLEX: i8 = 2;
pub(super) const SCALAR: i8 = 3;

const fn other(name: &'static str, bits: usize) -> Dtype {
    Dtype::Other { name, bits }
}

/// Types by NumPy's names.
const DTYPES: [(&str, Dtype); 17] = [
    ("float32", Dtype::F32),
    ("float64", Dtype::F64),
    ("float16", Dtype::F16),
    ("bfloat16", Dtype::BF16),
    ("int64", Dtype::I64),
    ("int32", Dtype::I32),
    ("int16", Dtype::I16),
    ("int8", Dtype::I8),
    ("uint8", Dtype::U8),
    ("bool", Dtype::Bool),
    ("uint16", other("U16", 16)),
    ("uint32", other("U32", 32)),
    ("uint64", other("U64", 64)),
    ("complex64", other("C64", 64)),
    ("complex128", other("C128", 128)),
    ("float8_e4m3fn", other("F8_E4M3", 8)),
    ("float8_e5m2", other("F8_E5M2", 8)),
];

pub(super) fn name_of(dtype: Dtype) -> &'static str {
    let found = DTYPES.iter().find(|(_, known)| *known == dtype);
    found.map_or("float32", |(name, _)| name)
}

/// An array in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) elements: usize,
    /// Where its bytes begin, and end.
    pub(super) place: (u64, u64),
}

/// Reads an extension of `length` bytes, whose head is read already; `name` is that of the tensor.
pub(super) fn read(tokens: &mut Tokens<'_>, length: u64, name: &str) -> Result<Array, Fault> {
    let start = tokens.at;
    let wrong = |problem: String| Fault::tensor(name, problem);
    let end = start
        .checked_add(length)
        .filter(|end| *end <= tokens.length);
    let Some(end) = end else {
        return Err(wrong(format!(
            "its {length} bytes from byte {start} lie beyond the file's {}: it was cut short",
            tokens.length
        )));
    };
    let not_an_array = || wrong(format!("there is no array at byte {start}"));
    if tokens.next()? != Token::Array(3) {
        return Err(not_an_array());
    }
    let Token::Array(rank) = tokens.next()? else {
        return Err(not_an_array());
    };
    if rank > MAX_RANK as u64 {
        return Err(wrong(format!("it has more than {MAX_RANK} dimensions")));
    }
    let mut shape = Vec::new();
    for _ in 0..rank {
        match tokens.next()? {
            Token::Int(size) if size >= 0 => shape.push(size as usize),
            other => return Err(wrong(format!("a size of its shape is {other:?}"))),
        }
    }
    let (Token::Text(size) | Token::Binary(size)) = tokens.next()? else {
        return Err(not_an_array());
    };
    let dtype = tokens.text(size, "the name of a type")?;
    let Some((_, dtype)) = DTYPES.iter().find(|(known, _)| *known == dtype) else {
        return Err(Fault::unsupported(format!(
            "tensor {} is of type {}, which is not known",
            shown(name),
            shown(&dtype)
        )));
    };
    let (Token::Binary(size) | Token::Text(size)) = tokens.next()? else {
        return Err(not_an_array());
    };
    let extent = extent(*dtype, &shape).map_err(&wrong)?;
    let data = tokens.skip(size)?;
    if extent.bytes != size || tokens.at != end {
        return Err(wrong(format!(
            "it has {size} bytes in an extension that ends at byte {end}, but shape {shape:?} in {dtype} \
             has {}",
            extent.bytes
        )));
    }
    Ok(Array {
        dtype: *dtype,
        shape,
        elements: extent.elements,
        place: (data, end),
    })
}
