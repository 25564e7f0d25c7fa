//! A checkpoint's tensors under our names and in our order of elements, whoever wrote it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use albert_formats::{Checkpoint, Dtype, FormatError, TensorInfo};

use super::equal;
use super::reader::Reader;
use crate::error::{Error, Result};
use crate::names::{BlockSite, Dialect, Field, Place, Places, Site};

/// The second factor of the word table in the first networks of albert_zh, [E, H], and what may stand before it.
const ZH_PROJECTION: [&str; 2] = [
    "bert/embeddings/word_embeddings_2",
    "module/bert/embeddings/word_embeddings_2",
];

/// The tensors of a checkpoint by their places in the model.
pub(crate) struct View<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    /// Whose names the tensors have.
    pub(crate) dialect: Dialect,
    /// By our name.
    known: BTreeMap<String, Stored<'a>>,
    /// Further tensors for the same place, by our name.
    repeats: Vec<(String, Stored<'a>)>,
    /// Buffers, counters, the state of an optimiser.
    pub(crate) ignored: Vec<&'a TensorInfo>,
    /// What no ALBERT has.
    pub(crate) unknown: Vec<&'a TensorInfo>,
}

/// How a tensor of ours lies in the file.
#[derive(Clone, Copy)]
pub(crate) enum Stored<'a> {
    /// As it is.
    Plain(&'a TensorInfo),
    /// As [in, out].
    Turned(&'a TensorInfo),
    /// As two factors [V, E] and [E, H], whose product it is.
    Product(&'a TensorInfo, &'a TensorInfo),
    /// Not at all: the identity matrix [n, n] …
    Identity(usize),
    /// … and zeros `[n]`.
    Zeros(usize),
}

impl<'a> Stored<'a> {
    /// The tensor of the file, the first of two.
    pub(crate) fn info(&self) -> Option<&'a TensorInfo> {
        self.infos().next()
    }

    /// The tensors of the file.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &'a TensorInfo> + use<'a> {
        let infos = match *self {
            Self::Plain(info) | Self::Turned(info) => [Some(info), None],
            Self::Product(words, projection) => [Some(words), Some(projection)],
            Self::Identity(_) | Self::Zeros(_) => [None, None],
        };
        infos.into_iter().flatten()
    }

    /// Whether it is a matrix of whole numbers.
    pub(crate) fn is_integer(&self) -> bool {
        self.info().is_some_and(|info| info.dtype == Dtype::I8)
    }

    /// Its shape in our order.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match *self {
            Self::Plain(info) => info.shape.clone(),
            Self::Turned(info) => turned(&info.shape),
            Self::Product(words, projection) => words.shape[..1]
                .iter()
                .chain(&projection.shape[1..])
                .copied()
                .collect(),
            Self::Identity(n) => vec![n, n],
            Self::Zeros(n) => vec![n],
        }
    }

    /// The error of a tensor whose shape, in our order, should be `expected`.
    pub(crate) fn misshapen(&self, path: &Path, expected: &[usize]) -> Error {
        let (expected, found) = match *self {
            Self::Turned(info) => (turned(expected), info.shape.clone()),
            _ => (expected.to_vec(), self.shape()),
        };
        Error::Shape {
            path: path.to_owned(),
            name: self
                .info()
                .map_or_else(String::new, |info| info.name.clone()),
            expected,
            found,
        }
    }
}

/// [in, out] as [out, in]; of more axes the first is taken for the inputs.
pub(super) fn turned(shape: &[usize]) -> Vec<usize> {
    match shape {
        [] | [_] => shape.to_vec(),
        [inputs, outputs @ ..] => vec![outputs.iter().product(), *inputs],
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(checkpoint: &'a Checkpoint) -> Self {
        let places = dialect_of(checkpoint);
        let mut view = Self {
            checkpoint,
            dialect: places.1,
            known: BTreeMap::new(),
            repeats: Vec::new(),
            ignored: Vec::new(),
            unknown: Vec::new(),
        };
        let projection = view.projection();
        for info in checkpoint.tensors() {
            let Some((site, field, turned)) = places.0.find(&info.name) else {
                match view.dialect.ignores(&info.name) {
                    true => view.ignored.push(info),
                    false if projection == Some(info) => {}
                    false => view.unknown.push(info),
                }
                continue;
            };
            let stored = match projection {
                Some(projection) if site == Site::WordEmbeddings => {
                    Stored::Product(info, projection)
                }
                _ if turned => Stored::Turned(info),
                _ => Stored::Plain(info),
            };
            let name = site.name(field);
            match view.known.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(stored);
                }
                Entry::Occupied(place) => view.repeats.push((place.key().clone(), stored)),
            }
        }
        view.add_identity();
        view
    }

    /// The second factor of the word table, where it fits the first.
    fn projection(&self) -> Option<&'a TensorInfo> {
        if self.dialect != Dialect::Zh {
            return None;
        }
        let mut names = ZH_PROJECTION.iter();
        let found = names.find_map(|name| self.checkpoint.get(name))?;
        let words = self.checkpoint.get(found.name.strip_suffix("_2")?)?;
        let fits = words.shape.len() == 2 && found.shape.len() == 2;
        (fits && words.shape[1] == found.shape[0]).then_some(found)
    }

    /// Google's code has no mapping where E = H, and the first networks of albert_zh have none at all.
    fn add_identity(&mut self) {
        let google = matches!(self.dialect, Dialect::Google | Dialect::Zh);
        let length = |site: Site| match self.get(&site.name(Field::Weight))?.shape()[..] {
            [length] => Some(length),
            _ => None,
        };
        let place = Place { group: 0, inner: 0 };
        let embedding = length(Site::EmbeddingNorm);
        let hidden = length(Site::Block(BlockSite::AttentionNorm, place));
        let [weight, bias] = [Field::Weight, Field::Bias].map(|field| Site::Mapping.name(field));
        let absent = !self.known.contains_key(&weight) && !self.known.contains_key(&bias);
        if let (true, true, Some(size)) = (google, absent, embedding)
            && hidden == embedding
        {
            self.known.insert(weight, Stored::Identity(size));
            self.known.insert(bias, Stored::Zeros(size));
        }
    }

    /// The tensor with this name of ours.
    pub(crate) fn get(&self, name: &str) -> Option<Stored<'a>> {
        self.known.get(name).copied()
    }

    /// All known tensors, by our names.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, Stored<'a>)> {
        self.known
            .iter()
            .map(|(name, stored)| (name.as_str(), *stored))
    }

    /// Other tensors of the file for the place of this name of ours.
    pub(crate) fn repeats(&self, name: &str) -> impl Iterator<Item = Stored<'a>> {
        let same = move |(known, _): &&(String, Stored<'a>)| known == name;
        self.repeats.iter().filter(same).map(|(_, stored)| *stored)
    }

    /// Every tensor of the file with this name of ours.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = Stored<'a>> {
        self.get(name).into_iter().chain(self.repeats(name))
    }

    /// All tensors whose place another one of the file has, by our names.
    pub(crate) fn all_repeats(&self) -> impl Iterator<Item = (&str, Stored<'a>)> {
        self.repeats
            .iter()
            .map(|(name, stored)| (name.as_str(), *stored))
    }

    /// Whether two tensors of the same shape have the same bits.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn same(&self, a: Stored<'a>, b: Stored<'a>) -> Result<bool> {
        let (x, y) = (self.reader(a)?, self.reader(b)?);
        let elements = a.shape().iter().product();
        let bits = |x: &f32, y: &f32| x.to_bits() == y.to_bits();
        equal(
            elements,
            |first, out| Ok(x.read(first, out)?),
            |first, out| Ok(y.read(first, out)?),
            bits,
        )
    }

    /// Whether any tensor stands in this module of ours, without `albert.`.
    pub(crate) fn holds(&self, module: &str) -> bool {
        self.known.keys().any(|name| super::is_in(name, module))
            || self
                .unknown
                .iter()
                .any(|info| super::is_in(&info.name, module))
    }

    /// Why these tensors are not an ALBERT's, where their names are another network's.
    pub(crate) fn refusal(&self) -> Option<String> {
        (self.dialect == Dialect::Zh && self.projection().is_none()).then(|| {
            format!(
                "expected an ALBERT, found tensors with the names of BERT and no {} [E, H], which those of albert_zh have; take an ALBERT's checkpoint",
                ZH_PROJECTION[0]
            )
        })
    }

    /// Refuses a checkpoint whose tensors do not have the names of transformers' PyTorch classes, for programs that keep
    /// names.
    ///
    /// # Errors
    /// Says whose names they are, and how to change that.
    pub(crate) fn require_torch(&self, path: &Path) -> Result<()> {
        if self.dialect == Dialect::Torch {
            return Ok(());
        }
        Err(Error::Folder {
            path: path.to_owned(),
            problem: format!(
                "expected tensors with the names of transformers' PyTorch classes, found those of {}; convert the model first: albert convert SOURCE DESTINATION --to safetensors",
                self.dialect.name()
            ),
        })
    }

    /// Elements of a tensor, in our order.
    ///
    /// # Errors
    /// A file that cannot be read, bytes that do not have their checksum.
    pub(crate) fn reader(
        &self,
        stored: Stored<'a>,
    ) -> std::result::Result<Reader<'a>, FormatError> {
        Reader::new(self.checkpoint, stored)
    }
}

/// Finds places, and the dialect whose names most tensors have.
fn dialect_of(checkpoint: &Checkpoint) -> (Places, Dialect) {
    let mut best = (0, (Places::new(Dialect::Torch), Dialect::Torch));
    for dialect in Dialect::ALL {
        let places = Places::new(dialect);
        let count = checkpoint
            .tensors()
            .filter(|info| places.find(&info.name).is_some())
            .count();
        if count > best.0 {
            best = (count, (places, dialect));
        }
    }
    best.1
}
