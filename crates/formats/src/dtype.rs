//! Element types, their names and sizes.

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 64-bit IEEE floating point.
    F64,
    /// 32-bit IEEE floating point.
    F32,
    /// 16-bit IEEE floating point.
    F16,
    /// The upper half of an `F32`.
    BF16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// A type that the file format has and we neither read nor write; it is listed by its name.
    Other {
        /// The format's name, for example `F8_E4M3`.
        name: &'static str,
        /// Bits per element; 4 and 6 occur.
        bits: usize,
    },
}

/// A type by its name, where we do not compute with it.
pub(crate) const fn other(name: &'static str, bits: usize) -> Dtype {
    Dtype::Other { name, bits }
}

/// Types by the names that NumPy and PyTorch share.
pub(crate) static NAMED: [(&str, Dtype); 15] = [
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
    // In PyTorch without a storage class of their own: they come with `_rebuild_tensor_v3`.
    ("uint16", other("U16", 16)),
    ("uint32", other("U32", 32)),
    ("uint64", other("U64", 64)),
    ("float8_e4m3fn", other("F8_E4M3", 8)),
    ("float8_e5m2", other("F8_E5M2", 8)),
];

/// The types we read and write, in the order of their tensors in a written file: size descending,
/// and within a size the order of the `safetensors` library, so that both write the same bytes.
pub(crate) const SUPPORTED: [Dtype; 10] = [
    Dtype::I64,
    Dtype::F64,
    Dtype::F32,
    Dtype::I32,
    Dtype::BF16,
    Dtype::F16,
    Dtype::I16,
    Dtype::I8,
    Dtype::U8,
    Dtype::Bool,
];

const OTHERS: [(&str, usize); 12] = [
    ("U64", 64),
    ("C64", 64),
    ("U32", 32),
    ("U16", 16),
    ("F8_E5M2FNUZ", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F6_E3M2", 6),
    ("F6_E2M3", 6),
    ("F4", 4),
];

impl Dtype {
    /// The name in a safetensors header: `F32`, `BF16`, `BOOL`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
            Self::Other { name, .. } => name,
        }
    }

    /// Bytes per element. The 4- and 6-bit [`Dtype::Other`] types are rounded up to 1.
    pub const fn size(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// The type with this name in a safetensors header.
    pub fn from_name(name: &str) -> Option<Self> {
        let other = |&(name, bits)| Self::Other { name, bits };
        SUPPORTED
            .into_iter()
            .chain(OTHERS.iter().map(other))
            .find(|dtype| dtype.name() == name)
    }

    const fn bits(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 64,
            Self::F32 | Self::I32 => 32,
            Self::F16 | Self::BF16 | Self::I16 => 16,
            Self::I8 | Self::U8 | Self::Bool => 8,
            Self::Other { bits, .. } => bits,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a shape holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) elements: usize,
    pub(crate) bytes: u64,
}

/// Elements and bytes of a tensor, or what is wrong with its shape.
pub(crate) fn extent(dtype: Dtype, shape: &[usize]) -> Result<Extent, String> {
    let elements = shape
        .iter()
        .try_fold(1_usize, |product, &n| product.checked_mul(n));
    let bits = elements.and_then(|n| u64::try_from(n).ok()?.checked_mul(dtype.bits() as u64));
    let (Some(elements), Some(bits)) = (elements, bits) else {
        return Err(format!("the size of shape {shape:?} in {dtype} overflows"));
    };
    if bits % 8 != 0 {
        return Err(format!(
            "shape {shape:?} in {dtype} is not a whole number of bytes"
        ));
    }
    Ok(Extent {
        elements,
        bytes: bits / 8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for dtype in SUPPORTED {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        for (name, bits) in OTHERS {
            assert_eq!(Dtype::from_name(name), Some(Dtype::Other { name, bits }));
        }
        assert_eq!(Dtype::from_name("f32"), None);
        assert_eq!(Dtype::from_name(""), None);
    }

    #[test]
    fn supported_types_are_in_descending_size() {
        assert!(SUPPORTED.is_sorted_by_key(|dtype| std::cmp::Reverse(dtype.size())));
    }

    #[test]
    fn extents() {
        let of = |elements, bytes| Ok(Extent { elements, bytes });
        assert_eq!(extent(Dtype::F32, &[]), of(1, 4));
        assert_eq!(extent(Dtype::F32, &[3, 0, 5]), of(0, 0));
        assert_eq!(extent(Dtype::BF16, &[3, 5]), of(15, 30));
        let f4 = Dtype::from_name("F4").expect("listed");
        assert_eq!(extent(f4, &[4]), of(4, 2));
        assert!(extent(f4, &[3]).is_err_and(|e| e.contains("whole number of bytes")));
        assert!(extent(Dtype::U8, &[usize::MAX, 2]).is_err_and(|e| e.contains("overflows")));
        assert!(extent(Dtype::F64, &[1 << 58]).is_err_and(|e| e.contains("overflows")));
    }
}
