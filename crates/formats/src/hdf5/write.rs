//! Writing weights as Keras' `save_weights` does, into one HDF5 file.

use super::encode::{self, MAX_LIST, SUPERBLOCK};
use crate::{
    Dtype, FormatError, TensorSpec,
    dtype::SUPPORTED,
    error::shown,
    plan::{Fill, Plan, unwritable},
    sink::TensorSink,
};
use std::{
    collections::BTreeMap,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

/// Bytes of one name: it stands in a message with others.
const MAX_NAME: usize = 1 << 10;
const MAX_DEPTH: usize = 32;
/// Data begin at multiples of this.
const ALIGNMENT: u64 = 64;

/// Writes an HDF5 file with the weights of Keras layers, which `h5py` and Keras' `load_weights` read.
///
/// A tensor's name is the path of its dataset. `layers` are the names of the top-level layers in order, those without weights
/// too; the name of each tensor begins with that of its layer and `/`, for instance
/// `albert/tf_albert_model/albert/pooler/kernel:0` in layer `albert`. They become the attributes `layer_names` of the file and
/// `weight_names` of each layer, in the order of `tensors`; `attributes` become texts beside `layer_names`, of which Keras
/// writes `backend` and `keras_version`. An empty `layers` leaves out both lists.
///
/// `fill` is called once per tensor, in the order given. The file has a superblock of version 2 and is read by HDF5 1.8 (2008)
/// and later. On an error the old file stays and nothing new is left behind.
///
/// # Errors
/// As [`write_safetensors`](crate::write_safetensors); if a name is not a path, is too long, belongs to no layer, or is a part
/// of another; for type `BF16`, which `h5py` has no type for.
pub fn write_hdf5(
    path: &Path,
    attributes: &BTreeMap<String, String>,
    layers: &[&str],
    tensors: &[TensorSpec<'_>],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let dtypes: Vec<Dtype> = SUPPORTED
        .into_iter()
        .filter(|dtype| *dtype != Dtype::BF16)
        .collect();
    let plan = Plan::new(path, tensors, &dtypes, "in HDF5")?;
    let tree = tree(attributes, layers, tensors).map_err(|problem| unwritable(path, problem))?;
    plan.write(|out| {
        out.put(&[0; SUPERBLOCK as usize])?;
        let mut starts = Vec::with_capacity(tensors.len());
        for spec in tensors {
            out.pad_to(ALIGNMENT)?;
            starts.push(out.position());
            out.tensor(spec, &mut fill as Fill<'_>)?;
        }
        let mut headers = Vec::new();
        let root = tree.encode(tensors, &starts, out.position(), &mut headers);
        out.put(&headers)?;
        let end = out.position();
        let superblock = encode::superblock(end, root);
        out.patch(|file| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&superblock)
        })
    })
}

/// A group, or the number of a dataset.
enum Node {
    Group(Group),
    Dataset(usize),
}

#[derive(Default)]
struct Group {
    /// In the order of names, as HDF5 lists them.
    children: BTreeMap<String, Node>,
    attributes: Vec<(u16, Vec<u8>)>,
}

fn tree(
    attributes: &BTreeMap<String, String>,
    layers: &[&str],
    tensors: &[TensorSpec<'_>],
) -> Result<Group, String> {
    let mut root = Group::default();
    let mut weights: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for layer in layers {
        root.descend(layer)?;
        if weights.insert(layer, Vec::new()).is_some() {
            return Err(format!("two layers are named {}", shown(layer)));
        }
    }
    for (number, spec) in tensors.iter().enumerate() {
        let (folder, name) = spec.name.rsplit_once('/').unwrap_or(("", spec.name));
        check_part(name)?;
        if spec.name.starts_with('/') {
            check_part("")?;
        }
        let group = root.descend(folder)?;
        let dataset = Node::Dataset(number);
        if group.children.insert(name.to_owned(), dataset).is_some() {
            return Err(format!(
                "tensor {} has the name of a group",
                shown(spec.name)
            ));
        }
        if layers.is_empty() {
            continue;
        }
        let belongs = |layer: &&&str| {
            let rest = spec.name.strip_prefix(**layer);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let layer = layers
            .iter()
            .filter(belongs)
            .max_by_key(|layer| layer.len());
        let Some(layer) = layer else {
            return Err(format!(
                "tensor {} begins with the name of no layer",
                shown(spec.name)
            ));
        };
        let list = weights.entry(layer).or_default();
        list.push(&spec.name[layer.len() + 1..]);
    }
    for (name, value) in attributes {
        if name.len() > MAX_NAME || name.is_empty() || value.len() > MAX_LIST {
            return Err(format!("the attribute {} is too long", shown(name)));
        }
        root.attributes.push(encode::text(name, value));
    }
    if !layers.is_empty() {
        root.attributes.extend(encode::list("layer_names", layers));
        for (layer, names) in weights {
            let lists = encode::list("weight_names", &names);
            root.descend(layer)?.attributes.extend(lists);
        }
    }
    Ok(root)
}

fn check_part(part: &str) -> Result<(), String> {
    if part.is_empty() || part == "." || part == ".." || part.contains('\0') {
        return Err("a name has an empty part, `.` or `..`, or a zero".to_owned());
    }
    if part.len() > MAX_NAME {
        return Err(format!(
            "the part {} of a name has more than {MAX_NAME} bytes",
            shown(part)
        ));
    }
    Ok(())
}

impl Group {
    /// The group of this path, made where it is not there; "" is this one.
    fn descend(&mut self, path: &str) -> Result<&mut Self, String> {
        let mut group = self;
        let parts = path.split('/').filter(|_| !path.is_empty());
        for (depth, part) in parts.enumerate() {
            check_part(part)?;
            if depth + 2 > MAX_DEPTH {
                return Err(format!("a name has more than {MAX_DEPTH} parts"));
            }
            let child = group.children.entry(part.to_owned());
            match child.or_insert_with(|| Node::Group(Self::default())) {
                Node::Group(next) => group = next,
                Node::Dataset(_) => {
                    return Err(format!("{} is a tensor and a group", shown(path)));
                }
            }
        }
        Ok(group)
    }

    /// Appends the headers of all objects below, then this one's; `base` is where `out` begins in the
    /// file. Returns the address of this header.
    fn encode(
        &self,
        tensors: &[TensorSpec<'_>],
        starts: &[u64],
        base: u64,
        out: &mut Vec<u8>,
    ) -> u64 {
        let mut messages = encode::group();
        for (name, child) in &self.children {
            let at = match child {
                Node::Group(group) => group.encode(tensors, starts, base, out),
                Node::Dataset(number) => {
                    let spec = &tensors[*number];
                    let elements: usize = spec.shape.iter().product();
                    let bytes = (elements * spec.dtype.size()) as u64;
                    let at = base + out.len() as u64;
                    let messages = encode::dataset(spec.dtype, spec.shape, starts[*number], bytes);
                    out.extend(encode::header(&messages));
                    at
                }
            };
            messages.push(encode::link(name, at));
        }
        messages.extend(self.attributes.iter().cloned());
        let at = base + out.len() as u64;
        out.extend(encode::header(&messages));
        at
    }
}
