//! What a pickle describes: values, storages and tensors, as symbols without code.

use super::{Fault, globals::Global};
use crate::{Dtype, error::shown};

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Value<'a> {
    /// What no tensor depends on.
    Other,
    #[default]
    None,
    Bool(bool),
    Int(i64),
    Long(&'a [u8]),
    Text(&'a str),
    Global(Global),
    Tuple(Run),
    List(u32),
    Dict {
        number: u32,
        ordered: bool,
    },
    Storage(u32),
    Tensor(u32),
}

/// The values of a tuple: a part of [`Object::tuples`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// A storage, as the pickle describes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    /// None for a storage of bytes.
    pub(super) dtype: Option<&'static Dtype>,
    pub(super) count: u64,
}

impl Storage<'_> {
    pub(super) fn item(&self) -> u64 {
        self.dtype.map_or(1, |dtype| dtype.size() as u64)
    }

    pub(super) fn bytes(&self) -> Result<u64, Fault> {
        self.count.checked_mul(self.item()).ok_or_else(|| {
            let Self { key, count, .. } = self;
            Fault::deceives(format!(
                "the size of storage {} with {count} elements overflows",
                shown(key)
            ))
        })
    }
}

/// A tensor, as the pickle describes it; nothing of it is checked yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tensor {
    pub(super) storage: u32,
    /// Where a storage of bytes does not tell.
    pub(super) dtype: Option<&'static Dtype>,
    pub(super) offset: i64,
    pub(super) shape: Run,
    pub(super) strides: Run,
}

/// A tensor, a dictionary or a truth value under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) dict: u32,
    pub(super) key: Value<'a>,
    pub(super) value: Value<'a>,
}

/// What a pickle describes.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) value: Value<'a>,
    /// Where the pickle ends.
    pub(super) end: usize,
    pub(super) tuples: Vec<Value<'a>>,
    /// The items of all lists, each with the list's number.
    pub(super) items: Vec<(u32, Value<'a>)>,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<Tensor>,
}

impl<'a> Object<'a> {
    pub(super) fn tuple(&self, run: Run) -> &[Value<'a>] {
        &self.tuples[run.start as usize..][..run.length as usize]
    }
}
