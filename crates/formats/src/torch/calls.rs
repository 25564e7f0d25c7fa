//! The machine's calls: what the few known globals would give, of what they are given.

use super::{
    Fault,
    globals::Global,
    machine::{Machine, damaged, too_many},
    object::{Storage, Tensor, Value},
};
use crate::{Dtype, error::shown};

/// Tensors of one file, and storages.
const MAX_TENSORS: usize = 1 << 16;

impl<'a> Machine<'a> {
    /// A name of Python, which must be one that tensors need.
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let Some(global) = Global::find(module, name) else {
            return Err(super::unsupported(format!(
                "its pickle asks for the global {}, which tensors do not need and which could run \
                 any code; nothing was run",
                shown(&format!("{module}.{name}"))
            )));
        };
        self.push(Value::Global(global))
    }

    /// A storage from `("storage", class, key, location, count)`; the location, a device, is of no
    /// use here. The older format has a sixth value, `None` unless the storage is a part of another.
    pub(super) fn storage(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let values = match id {
            Value::Tuple(run) => self.object.tuple(run),
            _ => &[],
        };
        let (dtype, key, count) = match *values {
            [Value::Text("module"), ..] => {
                return Err(super::unsupported(
                    "its pickle is of a whole module with its code, not of a state_dict",
                ));
            }
            [
                Value::Text("storage"),
                class,
                Value::Text(key),
                _,
                Value::Int(count),
            ]
            | [
                Value::Text("storage"),
                class,
                Value::Text(key),
                _,
                Value::Int(count),
                Value::None,
            ] => match class {
                Value::Global(Global::Storage(dtype)) => (Some(dtype), key, count),
                Value::Global(Global::UntypedStorage) => (None, key, count),
                _ => return Err(damaged("has a storage of an unknown class")),
            },
            [Value::Text("storage"), _, _, _, _, Value::Tuple(_)] => {
                return Err(super::unsupported(
                    "its pickle has a storage that is a part of another",
                ));
            }
            _ => return Err(damaged("has a persistent id that is not a storage's")),
        };
        let Ok(count) = u64::try_from(count) else {
            return Err(Fault::deceives(format!(
                "its pickle has a storage of {count} elements"
            )));
        };
        let storage = Storage { key, dtype, count };
        let storages = &mut self.object.storages;
        let number = *self.by_key.entry(key).or_insert_with(|| {
            storages.push(storage);
            storages.len() as u32 - 1
        });
        let known = storages[number as usize];
        if known != storage {
            return Err(Fault::deceives(format!(
                "its pickle describes storage {} in two ways",
                shown(key)
            )));
        }
        if storages.len() > MAX_TENSORS {
            return Err(too_many(MAX_TENSORS, "storages"));
        }
        self.push(Value::Storage(number))
    }

    /// What a call would give, of the few that are known.
    pub(super) fn reduce(&mut self) -> Result<(), Fault> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let (Value::Tuple(run), Value::Global(global)) = (arguments, callable) else {
            return Err(damaged("calls something that is not a global"));
        };
        let arguments = self.object.tuple(run);
        match (global, arguments) {
            (Global::OrderedDict, []) => self.push_dict(true),
            (Global::Size, &[sizes @ Value::Tuple(_)]) => self.push(sizes),
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => self.push(tensor),
            (Global::RebuildTensor, &[storage, offset, shape, strides]) => {
                self.tensor(storage, offset, shape, strides, None)
            }
            (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, ..]) => {
                self.tensor(storage, offset, shape, strides, None)
            }
            (
                Global::RebuildTensorV3,
                &[
                    storage,
                    offset,
                    shape,
                    strides,
                    _,
                    _,
                    Value::Global(Global::Dtype(dtype)),
                    ..,
                ],
            ) => self.tensor(storage, offset, shape, strides, Some(dtype)),
            _ => Err(damaged(&format!(
                "calls {global:?} with {} arguments that it does not take",
                arguments.len()
            ))),
        }
    }

    fn tensor(
        &mut self,
        storage: Value<'a>,
        offset: Value<'a>,
        shape: Value<'a>,
        strides: Value<'a>,
        dtype: Option<&'static Dtype>,
    ) -> Result<(), Fault> {
        let (
            Value::Storage(storage),
            Value::Int(offset),
            Value::Tuple(shape),
            Value::Tuple(strides),
        ) = (storage, offset, shape, strides)
        else {
            return Err(damaged(
                "has a tensor without a storage, an offset, a shape and strides",
            ));
        };
        let number = self.object.tensors.len();
        if number == MAX_TENSORS {
            return Err(too_many(MAX_TENSORS, "tensors"));
        }
        self.object.tensors.push(Tensor {
            storage,
            dtype,
            offset,
            shape,
            strides,
        });
        self.push(Value::Tensor(number as u32))
    }

    /// Attributes of an object: a state_dict has `_metadata`, the versions of its modules.
    pub(super) fn build(&mut self) -> Result<(), Fault> {
        match (self.pop()?, self.top()?) {
            (Value::Dict { .. }, Value::Dict { ordered: true, .. }) => Ok(()),
            _ => Err(damaged("sets attributes of something that has none")),
        }
    }
}
