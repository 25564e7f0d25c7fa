//! The names of Python that a pickle of tensors may use; they stand for themselves, never for code.

use crate::{Dtype, dtype::NAMED};

/// A name that may stand in a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    /// A storage of elements of this type.
    Storage(&'static Dtype),
    /// A storage of bytes; its tensors tell their type.
    UntypedStorage,
    Dtype(&'static Dtype),
}

static STORAGES: [(&str, Dtype); 10] = [
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("DoubleStorage", Dtype::F64),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::Bool),
];

/// The class of a storage of elements of a type that is written.
pub(super) fn storage_of(dtype: Dtype) -> &'static str {
    let found = STORAGES.iter().find(|(_, known)| *known == dtype);
    found.map_or("UntypedStorage", |(name, _)| name)
}

impl Global {
    /// The global of this module and name, if a tensor may need it.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        let in_table = |table: &'static [(&str, Dtype)]| {
            let found = table.iter().find(|(known, _)| *known == name);
            found.map(|(_, dtype)| dtype)
        };
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::RebuildTensorV3),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch.storage", "UntypedStorage") => Some(Self::UntypedStorage),
            ("torch", _) => in_table(&STORAGES)
                .map(Self::Storage)
                .or_else(|| in_table(&NAMED).map(Self::Dtype)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_are_found() {
        assert_eq!(
            Global::find("torch", "CharStorage"),
            Some(Global::Storage(&Dtype::I8))
        );
        for (module, name) in [
            ("os", "system"),
            ("torch", "load"),
            ("torch", "OrderedDict"),
            ("torch.FloatStorage", ""),
            ("torch", "storage.UntypedStorage"),
            ("torch._utils", "FloatStorage"),
            ("collections", "OrderedDict.fromkeys"),
            ("", ""),
        ] {
            assert_eq!(Global::find(module, name), None, "{module}.{name}");
        }
        for (_, dtype) in &NAMED {
            assert_eq!(Dtype::from_name(dtype.name()), Some(*dtype));
        }
    }
}
