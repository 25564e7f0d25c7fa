//! An open checkpoint: one file or many, all of whose tensors are known and checked.

use crate::{
    Dtype, FormatError, bundle,
    contents::{self, Contents},
    error::shown,
    index,
    placement::Placement,
    positional::{PositionalFile, Source},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

/// What a folder's checkpoint may be called, the preferred first: one file, or an index (`.json`).
pub const CHECKPOINT_NAMES: [&str; 8] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "tf_model.h5.index.json",
    "flax_model.msgpack",
    "flax_model.msgpack.index.json",
];

/// One tensor of a [`Checkpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name, as in the file.
    pub name: String,
    /// The type of the elements in the file.
    pub dtype: Dtype,
    /// The sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    pub(crate) shard: usize,
    /// Start in the shard's file, and the end if the elements lie there in row-major order.
    pub(crate) place: (u64, u64),
}

impl TensorInfo {
    /// The number of elements: the product of the shape.
    pub fn elements(&self) -> usize {
        // Opening has checked that this does not overflow.
        self.shape.iter().product()
    }

    /// The number of bytes of all elements. PyTorch's tensors may share bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.place.1 - self.place.0
    }
}

/// An open checkpoint in any of the formats, of one file or of several with an index.
///
/// The descriptions of the tensors are read and checked when it is opened, the tensors' bytes when they are asked for.
/// Reads take `&self` and go by position, so that several threads can read at once.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) shards: Vec<Shard>,
    /// Sorted by name.
    tensors: Vec<TensorInfo>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    pub(crate) source: Source,
    /// Of the tensors that do not lie row-major in one run.
    pub(crate) placements: BTreeMap<String, Placement>,
    /// The masked CRC-32C of tensors, where the format has one.
    pub(crate) checksums: BTreeMap<String, u32>,
}

impl Checkpoint {
    /// Opens a checkpoint and checks everything but the tensors' values.
    ///
    /// `path` is a file in safetensors, PyTorch's format, HDF5 or Flax' MessagePack, whatever its name; an index (`….json`);
    /// a TensorFlow checkpoint by its prefix (`FOLDER/model.ckpt-best`) or one of its files; or a folder that holds one of
    /// these, of which the first is opened: `model.safetensors`, `pytorch_model.bin`, `tf_model.h5`, `flax_model.msgpack`,
    /// each before its `….index.json`, then the TensorFlow checkpoint that the file `checkpoint` names, or the only one.
    ///
    /// A PyTorch file is a program that builds the tensors. It is followed as far as tensors need and
    /// never run; a file that asks for more is refused.
    ///
    /// # Errors
    /// If a file is missing or cannot be opened; if a header is not valid, its tensors do not cover
    /// the file exactly, or the file was cut short; if a PyTorch file asks for anything but tensors, or
    /// they do not lie within it; if an index names a shard by anything but a plain file name, by a link
    /// that leaves the folder, or does not agree with the shards on what is in them; if a TensorFlow checkpoint is
    /// big-endian or has partitioned variables, an HDF5 file holds what is not read ([`FormatError::Container`]).
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        if let Some(prefix) = bundle::prefix_of(path) {
            return Self::open_bundle(&prefix);
        }
        let kind = fs::metadata(path).map_err(FormatError::io("open", path))?;
        if !kind.is_dir() {
            return Self::open_named(path);
        }
        for name in CHECKPOINT_NAMES {
            let path = path.join(name);
            // `symlink_metadata`: a dangling link is a broken checkpoint, not an absent one.
            if path.symlink_metadata().is_ok() {
                return Self::open_named(&path);
            }
        }
        match bundle::in_folder(path)? {
            Some(prefix) => Self::open_bundle(&prefix),
            None => Err(FormatError::NoCheckpoint {
                folder: path.to_owned(),
            }),
        }
    }

    /// A checkpoint of one file that is in memory, for instance a part of the program; `&'static [u8]`
    /// is not copied.
    ///
    /// Messages and [`files`](Self::files) show `name` in place of a path.
    ///
    /// # Errors
    /// As [`open`](Self::open) for a file.
    pub fn from_bytes(
        name: &str,
        bytes: impl Into<Cow<'static, [u8]>>,
    ) -> Result<Self, FormatError> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        let mut checkpoint = Self::empty();
        checkpoint.add(PathBuf::from(name), Source::Memory(bytes), length)?;
        Ok(checkpoint)
    }

    /// This checkpoint, and below it another one: of a tensor that both hold, this one's counts. A model that was
    /// fine-tuned in part need not store what it shares with the one that it came from.
    #[must_use]
    pub fn over(mut self, base: Self) -> Self {
        let first = self.shards.len();
        let missing: Vec<TensorInfo> = base
            .tensors
            .into_iter()
            .filter(|tensor| self.get(&tensor.name).is_none())
            .map(|tensor| TensorInfo {
                shard: tensor.shard + first,
                ..tensor
            })
            .collect();
        self.tensors.extend(missing);
        self.tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.shards.extend(base.shards);
        for (key, value) in base.metadata {
            self.metadata.entry(key).or_insert(value);
        }
        self
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &TensorInfo> {
        self.tensors.iter()
    }

    /// All tensors in the order in which their bytes lie in the files, which is that in which they were written.
    pub fn in_file_order(&self) -> Vec<&TensorInfo> {
        let mut tensors: Vec<&TensorInfo> = self.tensors.iter().collect();
        tensors.sort_by_key(|tensor| (tensor.shard, tensor.place));
        tensors
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        let found = self
            .tensors
            .binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        found.ok().map(|at| &self.tensors[at])
    }

    /// The strings under `__metadata__` of safetensors; of HDF5 the texts at the root, and Keras' lists `layer_names` and
    /// `GROUP/weight_names` as JSON. Of several files the entries of all, where the first file
    /// (by name) wins.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Bytes of all tensors together, headers not counted; bytes that tensors share count for each.
    pub fn total_bytes(&self) -> u64 {
        // Sparse files can pretend to be of any length.
        self.tensors
            .iter()
            .map(TensorInfo::bytes)
            .fold(0, u64::saturating_add)
    }

    /// The files that hold the tensors, sorted by name.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path.as_path())
    }

    fn open_named(path: &Path) -> Result<Self, FormatError> {
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            return Self::open_index(path);
        }
        let mut checkpoint = Self::empty();
        checkpoint.add_shard(path.to_owned())?;
        Ok(checkpoint)
    }

    fn open_bundle(prefix: &Path) -> Result<Self, FormatError> {
        let bundle::Bundle { index, files } = bundle::open(prefix)?;
        let mut checkpoint = Self::empty();
        checkpoint.tensors = index.tensors;
        let mut checksums = vec![BTreeMap::new(); files.len()];
        for tensor in &checkpoint.tensors {
            if let Some(crc) = index.checksums.get(&tensor.name) {
                checksums[tensor.shard].insert(tensor.name.clone(), *crc);
            }
        }
        for ((path, source), checksums) in files.into_iter().zip(checksums) {
            checkpoint.shards.push(Shard {
                path,
                source,
                placements: BTreeMap::new(),
                checksums,
            });
        }
        Ok(checkpoint)
    }

    fn open_index(path: &Path) -> Result<Self, FormatError> {
        require_regular_file(path)?;
        let mut weight_map = index::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let mut checkpoint = Self::empty();
        let names: BTreeSet<String> = weight_map.values().cloned().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            checkpoint.add_shard(index::shard_path(path, folder, name)?)?;
        }
        checkpoint
            .tensors
            .sort_unstable_by(|a, b| (&a.name, a.shard).cmp(&(&b.name, b.shard)));
        if path.to_string_lossy().ends_with(".h5.index.json") {
            weight_map = checkpoint.without_model(weight_map);
        }
        let agreed = checkpoint.agree(&weight_map, &names);
        agreed.map_err(|problem| FormatError::Index {
            path: path.to_owned(),
            problem,
        })?;
        Ok(checkpoint)
    }

    /// A checkpoint without tensors.
    pub fn empty() -> Self {
        Self {
            shards: Vec::new(),
            tensors: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    fn add_shard(&mut self, path: PathBuf) -> Result<(), FormatError> {
        require_regular_file(&path)?;
        let file = File::open(&path).map_err(FormatError::io("open", &path))?;
        let length = file
            .metadata()
            .map_err(FormatError::io("read", &path))?
            .len();
        self.add(path, Source::File(PositionalFile::new(file)), length)
    }

    fn add(&mut self, path: PathBuf, source: Source, length: u64) -> Result<(), FormatError> {
        let Contents {
            mut tensors,
            metadata,
            placements,
        } = contents::read(&source, length, &path)?;
        let shard = self.shards.len();
        for tensor in &mut tensors {
            tensor.shard = shard;
        }
        if self.tensors.is_empty() {
            // The table of a single file is not copied.
            self.tensors = tensors;
        } else {
            self.tensors.append(&mut tensors);
        }
        for (key, value) in metadata {
            self.metadata.entry(key).or_insert(value);
        }
        self.shards.push(Shard {
            path,
            source,
            placements,
            checksums: BTreeMap::new(),
        });
        Ok(())
    }

    /// The map of an index of HDF5 shards under the names of the datasets: transformers leaves the model's name out of
    /// those, and not out of the index.
    fn without_model(&self, map: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let short = |(name, shard): (String, String)| match name.split_once('/') {
            Some((_, rest)) if self.get(&name).is_none() && self.get(rest).is_some() => {
                (rest.to_owned(), shard)
            }
            _ => (name, shard),
        };
        map.into_iter().map(short).collect()
    }

    /// Checks that index and shards list the same tensors in the same places; `tensors` is sorted
    /// and `names` are the shards' names.
    fn agree(&self, weight_map: &BTreeMap<String, String>, names: &[&str]) -> Result<(), String> {
        for pair in self.tensors.windows(2) {
            if pair[0].name == pair[1].name {
                let (one, other) = (shown(names[pair[0].shard]), shown(names[pair[1].shard]));
                return Err(format!(
                    "tensor {} is in two shards, {one} and {other}",
                    shown(&pair[0].name)
                ));
            }
        }
        for (tensor, shard) in weight_map {
            if self
                .get(tensor)
                .is_none_or(|found| names[found.shard] != shard)
            {
                return Err(format!(
                    "its shard {} does not hold tensor {}",
                    shown(shard),
                    shown(tensor)
                ));
            }
        }
        for tensor in &self.tensors {
            if !weight_map.contains_key(&tensor.name) {
                let shard = shown(names[tensor.shard]);
                return Err(format!(
                    "tensor {} of shard {shard} is not in the weight_map",
                    shown(&tensor.name)
                ));
            }
        }
        Ok(())
    }
}

/// Opening a pipe would wait for a writer, reading a device may never end.
fn require_regular_file(path: &Path) -> Result<(), FormatError> {
    let kind = fs::metadata(path).map_err(FormatError::io("open", path))?;
    if kind.is_file() {
        Ok(())
    } else {
        Err(FormatError::NotAFile {
            path: path.to_owned(),
        })
    }
}
