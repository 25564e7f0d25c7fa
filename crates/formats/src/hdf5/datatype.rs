//! Types of elements in HDF5: which of ours they are, and their bytes.

use super::file::{Cursor, number};
use crate::{Dtype, fault::Fault};

/// A type as it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    /// Numbers.
    Number(Dtype),
    /// Texts of this many bytes.
    Text(usize),
    /// Texts of any length, in the global heap: their length, an address and a number, 16 bytes.
    Texts,
    /// Anything else, of so many bytes.
    Other(usize),
}

const FIXED: u8 = 0;
const FLOAT: u8 = 1;
const STRING: u8 = 3;
const ENUM: u8 = 8;
const VARIABLE: u8 = 9;

/// Floating-point types: bytes of the type, place of the sign, then as in the message: first bit, bits,
/// place and size of the exponent, place and size of the mantissa, bias of the exponent.
const FLOATS: [(Dtype, u8, [u32; 7]); 4] = [
    (Dtype::F64, 63, [0, 64, 52, 11, 0, 52, 1023]),
    (Dtype::F32, 31, [0, 32, 23, 8, 0, 23, 127]),
    (Dtype::F16, 15, [0, 16, 10, 5, 0, 10, 15]),
    (Dtype::BF16, 15, [0, 16, 7, 8, 0, 7, 127]),
];
/// Bytes of the seven numbers.
const WIDTHS: [usize; 7] = [2, 2, 1, 1, 1, 1, 4];
/// Bits of a float's first byte: little-endian, and the mantissa's first bit is not stored.
const PLAIN_FLOAT: u8 = 0x20;
const BIG_ENDIAN: u8 = 1;
const SIGNED: u8 = 8;

impl Datatype {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let class = cursor.u8()?;
        let bits = [cursor.u8()?, cursor.u8()?, cursor.u8()?];
        let size = cursor.u32()? as usize;
        let number = match class & 15 {
            FIXED if bits[0] & BIG_ENDIAN == 0 => {
                let (first, precision) = (cursor.u16()?, cursor.u16()?);
                let whole = first == 0 && usize::from(precision) == size * 8;
                whole
                    .then(|| integer(size, bits[0] & SIGNED != 0))
                    .flatten()
            }
            FLOAT if bits[0] == PLAIN_FLOAT => float(cursor, size, bits[1])?,
            STRING => return Ok(Self::Text(size)),
            ENUM => boolean(cursor, class >> 4, number(&bits[..2]), size)?,
            VARIABLE if bits[0] & 15 == 1 && size == 16 => return Ok(Self::Texts),
            _ => None,
        };
        Ok(number.map_or(Self::Other(size), Self::Number))
    }

    /// Bytes of one element in the file.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Number(dtype) => dtype.size(),
            Self::Text(size) | Self::Other(size) => size,
            Self::Texts => 16,
        }
    }

    /// The type under which elements are listed.
    pub(super) fn listed(self) -> Dtype {
        const BIG: Dtype = Dtype::Other {
            name: "a type of HDF5 that is not read",
            bits: 8,
        };
        const STRING: Dtype = Dtype::Other {
            name: "STRING",
            bits: 8,
        };
        match self {
            Self::Number(dtype) => dtype,
            Self::Text(_) | Self::Texts => STRING,
            Self::Other(_) => BIG,
        }
    }

    /// The bytes of a message of this type, which is one that is written.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let head = |out: &mut Vec<u8>, class: u8, bits: [u8; 3], size: usize| {
            out.push(0x10 | class);
            out.extend(bits);
            out.extend((size as u32).to_le_bytes());
        };
        let fixed = |out: &mut Vec<u8>, dtype: Dtype, signed: bool| {
            head(
                out,
                FIXED,
                [if signed { SIGNED } else { 0 }, 0, 0],
                dtype.size(),
            );
            out.extend([0, 0]);
            out.extend((dtype.size() as u16 * 8).to_le_bytes());
        };
        match self {
            Self::Number(Dtype::Bool) => {
                head(out, ENUM, [2, 0, 0], 1);
                fixed(out, Dtype::I8, true);
                out.extend(b"FALSE\0\0\0TRUE\0\0\0\0\0\x01");
            }
            Self::Number(dtype) => {
                let Some((_, sign, numbers)) = FLOATS.iter().find(|(known, ..)| *known == dtype)
                else {
                    return fixed(out, dtype, dtype != Dtype::U8);
                };
                head(out, FLOAT, [PLAIN_FLOAT, *sign, 0], dtype.size());
                for (number, width) in numbers.iter().zip(WIDTHS) {
                    out.extend(&number.to_le_bytes()[..width]);
                }
            }
            // Padded with zeros, as NumPy's texts are.
            Self::Text(size) => head(out, STRING, [1, 0, 0], size),
            Self::Texts | Self::Other(_) => unreachable!("not written"),
        }
    }
}

fn integer(size: usize, signed: bool) -> Option<Dtype> {
    const fn other(name: &'static str, bits: usize) -> Dtype {
        Dtype::Other { name, bits }
    }
    Some(match (size, signed) {
        (1, true) => Dtype::I8,
        (2, true) => Dtype::I16,
        (4, true) => Dtype::I32,
        (8, true) => Dtype::I64,
        (1, false) => Dtype::U8,
        (2, false) => other("U16", 16),
        (4, false) => other("U32", 32),
        (8, false) => other("U64", 64),
        _ => return None,
    })
}

fn float(cursor: &mut Cursor<'_>, size: usize, sign: u8) -> Result<Option<Dtype>, Fault> {
    let mut numbers = [0; 7];
    for (number, width) in numbers.iter_mut().zip(WIDTHS) {
        *number = cursor.number(width)? as u32;
    }
    let same = |(dtype, place, known): &&(Dtype, u8, [u32; 7])| {
        dtype.size() == size && *place == sign && *known == numbers
    };
    Ok(FLOATS.iter().find(same).map(|(dtype, ..)| *dtype))
}

/// `h5py`'s truth values: an enumeration of one byte, FALSE = 0 and TRUE = 1.
fn boolean(
    cursor: &mut Cursor<'_>,
    version: u8,
    members: u64,
    size: usize,
) -> Result<Option<Dtype>, Fault> {
    let base = Datatype::read(cursor)?;
    let names: &[u8] = if version < 3 {
        b"FALSE\0\0\0TRUE\0\0\0\0\0\x01"
    } else {
        b"FALSE\0TRUE\0\0\x01"
    };
    let is_boolean = members == 2
        && size == 1
        && matches!(base, Datatype::Number(Dtype::I8 | Dtype::U8))
        && cursor.rest.starts_with(names);
    Ok(is_boolean.then_some(Dtype::Bool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip() {
        for dtype in crate::dtype::SUPPORTED {
            let mut bytes = Vec::new();
            Datatype::Number(dtype).encode(&mut bytes);
            let mut cursor = Cursor::new(&bytes, "type");
            let found = Datatype::read(&mut cursor).expect("valid");
            assert_eq!(found, Datatype::Number(dtype));
        }
    }
}
