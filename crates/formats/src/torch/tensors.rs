//! From what a pickle describes to the tensors of a checkpoint, each checked against its storage.

use super::{
    Fault,
    object::{Object, Run, Tensor, Value},
};
use crate::{
    TensorInfo, contents::Contents, document::MAX_RANK, dtype::extent, error::shown,
    placement::Placement,
};

/// Elements that a tensor may always have. One whose strides visit elements repeatedly could have any
/// number of them in a tiny file; above this a tensor has no more than its storage.
const MAX_EXPANDED: u64 = 1 << 24;
/// Where training scripts put the model's tensors in a larger dictionary.
const NESTED: [&str; 2] = ["state_dict", "model_state_dict"];

/// The tensors of the dictionary `object`; `starts` are the places of its storages in the file.
pub(super) fn collect(object: &Object<'_>, starts: &[u64]) -> Result<Contents, Fault> {
    let dict = dictionary(object)?;
    let mut contents = Contents::default();
    for entry in object.entries.iter().filter(|entry| entry.dict == dict) {
        let Value::Tensor(number) = entry.value else {
            continue;
        };
        let Value::Text(name) = entry.key else {
            return Err(super::unsupported(
                "a key of its dictionary of tensors is not a text",
            ));
        };
        let checked = check(object, object.tensors[number as usize], starts);
        let (mut info, strides) = checked.map_err(|problem| Fault::Tensor {
            tensor: name.to_owned(),
            problem,
        })?;
        name.clone_into(&mut info.name);
        if let Some(strides) = strides {
            let placement = Placement::Strides(strides);
            contents.placements.insert(name.to_owned(), placement);
        }
        contents.tensors.push(info);
    }
    if contents.tensors.is_empty() {
        return Err(super::unsupported("its dictionary holds no tensor"));
    }
    let tensors = &mut contents.tensors;
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for pair in tensors.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(Fault::deceives(format!(
                "key {} occurs twice in its dictionary",
                shown(&pair[0].name)
            )));
        }
    }
    Ok(contents)
}

/// The dictionary that holds the tensors: the object itself, or the one under a known key of it.
fn dictionary(object: &Object<'_>) -> Result<u32, Fault> {
    let Value::Dict { number: outer, .. } = object.value else {
        return Err(super::unsupported(
            "it does not hold a dictionary of tensors",
        ));
    };
    let mut found = None;
    for entry in object.entries.iter().filter(|entry| entry.dict == outer) {
        let (Value::Text(key), Value::Dict { number, .. }) = (entry.key, entry.value) else {
            continue;
        };
        if !NESTED.contains(&key) {
            continue;
        }
        if found.is_some() {
            return Err(super::unsupported(
                "its dictionary holds more than one state_dict, and only you know which is meant",
            ));
        }
        found = Some(number);
    }
    Ok(found.unwrap_or(outer))
}

/// Checks that a tensor lies within its storage. Its strides are given where it is not row-major.
fn check(
    object: &Object<'_>,
    tensor: Tensor,
    starts: &[u64],
) -> Result<(TensorInfo, Option<Vec<u64>>), String> {
    let storage = &object.storages[tensor.storage as usize];
    let Some(&dtype) = storage.dtype.or(tensor.dtype) else {
        return Err("its storage has no element type".to_owned());
    };
    if tensor.dtype.is_some_and(|&own| own != dtype) {
        return Err(format!(
            "it and its storage, of {dtype}, differ in their types"
        ));
    }
    let shape = numbers::<usize>(object, tensor.shape, "shape")?;
    let mut strides = numbers::<u64>(object, tensor.strides, "strides")?;
    if shape.len() != strides.len() {
        return Err(format!(
            "it has {} sizes and {} strides",
            shape.len(),
            strides.len()
        ));
    }
    // One element makes no step: its stride may be anything, and must not overflow anything.
    for (stride, _) in strides
        .iter_mut()
        .zip(&shape)
        .filter(|(_, size)| **size == 1)
    {
        *stride = 0;
    }
    let extent = extent(dtype, &shape)?;
    let item = dtype.size() as u64;
    let held = storage.count.saturating_mul(storage.item()) / item;
    let offset = u64::try_from(tensor.offset).ok();
    let after = offset.and_then(|offset| past_the_end(offset, &shape, &strides));
    let (Some(offset), true) = (offset, after.is_some_and(|after| after <= held)) else {
        return Err(format!(
            "shape {shape:?} with strides {strides:?} from element {} does not lie within its storage \
             {}, which has {held} elements",
            tensor.offset,
            shown(storage.key)
        ));
    };
    if extent.elements as u64 > MAX_EXPANDED.max(held) {
        return Err(format!(
            "shape {shape:?} with strides {strides:?} is an expansion to more than {MAX_EXPANDED} \
             elements"
        ));
    }
    let start = starts[tensor.storage as usize] + offset * item;
    let row_major = is_row_major(&shape, &strides);
    let info = TensorInfo {
        name: String::new(),
        dtype,
        shape,
        shard: 0,
        place: (start, start + extent.bytes),
    };
    Ok((info, (!row_major).then_some(strides)))
}

/// The sizes or strides in a tuple, none of them negative.
fn numbers<T: TryFrom<i64>>(object: &Object<'_>, run: Run, what: &str) -> Result<Vec<T>, String> {
    let values = object.tuple(run);
    if values.len() > MAX_RANK {
        return Err(format!("it has more than {MAX_RANK} dimensions"));
    }
    let number = |value: &Value<'_>| match *value {
        Value::Int(number) => T::try_from(number)
            .map_err(|_| format!("its {what} hold {number}, expected no negative number")),
        _ => Err(format!("its {what} hold something that is not a number")),
    };
    values.iter().map(number).collect()
}

/// One more than the number of the last element in the storage; None if that overflows.
fn past_the_end(offset: u64, shape: &[usize], strides: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(offset);
    }
    let mut last = offset;
    for (&size, &stride) in shape.iter().zip(strides) {
        last = last.checked_add((size as u64 - 1).checked_mul(stride)?)?;
    }
    last.checked_add(1)
}

/// Whether the elements follow one another in the order of the shape.
fn is_row_major(shape: &[usize], strides: &[u64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut step = 1;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == step;
        step *= size as u64;
        fits
    })
}
