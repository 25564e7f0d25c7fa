//! Flax' extension type: an array as MessagePack of its shape, the name of its type, and its bytes.

use super::token::{Token, Tokens};
use crate::dtype::{NAMED, extent, other};
use crate::{Dtype, document::MAX_RANK, error::shown, fault::Fault};

/// Extensions of Flax: an array, a complex number of Python, a scalar of NumPy.
pub(super) const ARRAY: i8 = 1;
pub(super) const COMPLEX: i8 = 2;
pub(super) const SCALAR: i8 = 3;

/// Types of NumPy that tensors of PyTorch's files do not have.
static COMPLEX_TYPES: [(&str, Dtype); 2] = [
    ("complex64", other("C64", 64)),
    ("complex128", other("C128", 128)),
];

/// Types by NumPy's names.
fn dtypes() -> impl Iterator<Item = &'static (&'static str, Dtype)> {
    NAMED.iter().chain(&COMPLEX_TYPES)
}

pub(super) fn name_of(dtype: Dtype) -> &'static str {
    let found = dtypes().find(|(_, known)| *known == dtype);
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
    let Some((_, dtype)) = dtypes().find(|(known, _)| *known == dtype) else {
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
