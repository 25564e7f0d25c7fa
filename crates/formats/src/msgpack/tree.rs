//! The maps of a Flax file, walked once.

use super::{
    CHUNKED, MAX_DEPTH,
    array::{self, ARRAY, Array, COMPLEX, SCALAR},
    token::{Token, Tokens},
};
use crate::{
    TensorInfo,
    contents::{Contents, repeated},
    document::MAX_RANK,
    dtype::extent,
    error::shown,
    fault::Fault,
    placement::Placement,
    positional::Source,
};
use std::collections::BTreeMap;

const MAX_TENSORS: usize = 1 << 16;
/// Chunks of one array.
const MAX_CHUNKS: usize = 1 << 16;
/// Bytes of all names.
const MAX_NAMES: usize = 16 << 20;

pub(super) fn read(source: &Source, length: u64) -> Result<Contents, Fault> {
    let mut walk = Walk {
        tokens: Tokens::new(source, length),
        contents: Contents::default(),
        names: 0,
    };
    let Token::Map(entries) = walk.tokens.next()? else {
        return Err(Fault::unsupported("it does not hold a map of tensors"));
    };
    walk.map(entries, "", 0)?;
    if walk.tokens.at != length {
        return Err(Fault::damaged(format!(
            "its map ends at byte {}, but it has {length} bytes",
            walk.tokens.at
        )));
    }
    let mut contents = walk.contents;
    if contents.tensors.is_empty() {
        return Err(Fault::unsupported("its map holds no array"));
    }
    contents
        .tensors
        .sort_unstable_by(|a, b| a.name.cmp(&b.name));
    match repeated(&contents.tensors) {
        Some(name) => Err(Fault::deceives(format!(
            "two arrays are named {}",
            shown(name)
        ))),
        None => Ok(contents),
    }
}

struct Walk<'a> {
    tokens: Tokens<'a>,
    contents: Contents,
    /// Bytes of all names so far.
    names: usize,
}

impl Walk<'_> {
    fn key(&mut self) -> Result<String, Fault> {
        let at = self.tokens.at;
        match self.tokens.next()? {
            Token::Text(length) => self.tokens.text(length, "a key"),
            _ => Err(Fault::unsupported(format!(
                "the key at byte {at} is not a text"
            ))),
        }
    }

    /// The entries of a map, whose head is read already.
    fn map(&mut self, entries: u64, path: &str, depth: usize) -> Result<(), Fault> {
        if depth == MAX_DEPTH {
            return Err(Fault::deceives(format!(
                "its maps are nested more than {MAX_DEPTH} deep"
            )));
        }
        for number in 0..entries {
            let key = self.key()?;
            if key == CHUNKED {
                if number > 0 || depth == 0 || entries != 3 {
                    return Err(Fault::deceives(format!(
                        "{CHUNKED} stands in a map that is no array in chunks"
                    )));
                }
                return self.chunked(path);
            }
            let path = if path.is_empty() {
                key
            } else {
                format!("{path}.{key}")
            };
            self.names += path.len();
            if self.names > MAX_NAMES {
                return Err(Fault::deceives(format!(
                    "its names have more than {MAX_NAMES} bytes"
                )));
            }
            self.value(&path, depth)?;
        }
        Ok(())
    }

    fn value(&mut self, path: &str, depth: usize) -> Result<(), Fault> {
        match self.tokens.next()? {
            Token::Map(entries) => self.map(entries, path, depth + 1),
            Token::Array(entries) => {
                if depth + 1 >= MAX_DEPTH {
                    return Err(Fault::deceives(format!(
                        "its lists are nested more than {MAX_DEPTH} deep"
                    )));
                }
                for number in 0..entries {
                    let path = format!("{path}.{number}");
                    self.names += path.len();
                    if self.names > MAX_NAMES {
                        return Err(Fault::deceives("its lists have too many entries"));
                    }
                    self.value(&path, depth + 1)?;
                }
                Ok(())
            }
            Token::Extension(ARRAY | SCALAR, length) => {
                let array = array::read(&mut self.tokens, length, path)?;
                self.push(path, array, None)
            }
            Token::Text(length) | Token::Binary(length) | Token::Extension(COMPLEX, length) => {
                self.tokens.skip(length)?;
                Ok(())
            }
            Token::Extension(kind, _) => Err(Fault::unsupported(format!(
                "{} is an extension of type {kind}, expected an array (1)",
                shown(path)
            ))),
            Token::Nil | Token::Bool(_) | Token::Int(_) | Token::Number => Ok(()),
        }
    }

    fn push(
        &mut self,
        name: &str,
        array: Array,
        placement: Option<Placement>,
    ) -> Result<(), Fault> {
        if self.contents.tensors.len() == MAX_TENSORS {
            return Err(Fault::deceives(format!(
                "it has more than {MAX_TENSORS} arrays"
            )));
        }
        if let Some(placement) = placement {
            let name = name.to_owned();
            self.contents.placements.insert(name, placement);
        }
        self.contents.tensors.push(TensorInfo {
            name: name.to_owned(),
            dtype: array.dtype,
            shape: array.shape,
            shard: 0,
            place: array.place,
        });
        Ok(())
    }

    /// An array in chunks, whose first key is read already: `true`, then `shape` and `chunks`, both maps
    /// from "0", "1", … .
    fn chunked(&mut self, name: &str) -> Result<(), Fault> {
        let wrong = |problem: &str| Fault::tensor(name, format!("it is in chunks, and {problem}"));
        if self.tokens.next()? != Token::Bool(true) {
            return Err(wrong("the mark of it is not true"));
        }
        let (mut shape, mut chunks) = (None, None);
        for _ in 0..2 {
            match self.key()?.as_str() {
                "shape" if shape.is_none() => {
                    let sizes =
                        self.numbered(MAX_RANK, &wrong, |tokens| match tokens.next()? {
                            Token::Int(size) if size >= 0 => Ok(size as usize),
                            _ => Err(wrong("a size of its shape is no number")),
                        })?;
                    shape = Some(sizes);
                }
                "chunks" if chunks.is_none() => {
                    let found =
                        self.numbered(MAX_CHUNKS, &wrong, |tokens| match tokens.next()? {
                            Token::Extension(ARRAY, length) => array::read(tokens, length, name),
                            _ => Err(wrong("a chunk is no array")),
                        })?;
                    chunks = Some(found);
                }
                _ => return Err(wrong("has other keys than shape and chunks")),
            }
        }
        let (Some(shape), Some(chunks)) = (shape, chunks) else {
            return Err(wrong("lacks its shape or its chunks"));
        };
        let Some(first) = chunks.first() else {
            return Err(wrong("has none"));
        };
        let dtype = first.dtype;
        let extent = extent(dtype, &shape).map_err(|problem| wrong(&problem))?;
        let (mut pieces, mut elements) = (Vec::new(), 0_usize);
        for chunk in &chunks {
            if chunk.dtype != dtype {
                return Err(wrong("they are of different types"));
            }
            if chunk.elements > 0 {
                pieces.push((elements, chunk.place.0));
            }
            // Each chunk lies within the file, so this cannot overflow.
            elements += chunk.elements;
        }
        if elements != extent.elements {
            return Err(wrong(&format!(
                "they have {elements} elements together, but its shape {shape:?} has {}",
                extent.elements
            )));
        }
        let start = first.place.0;
        let array = Array {
            dtype,
            shape,
            elements,
            place: (start, start + extent.bytes),
        };
        self.push(name, array, Some(Placement::Pieces(pieces)))
    }

    /// The values of a map from "0", "1", …, in this order.
    fn numbered<T>(
        &mut self,
        most: usize,
        wrong: &dyn Fn(&str) -> Fault,
        mut read: impl FnMut(&mut Tokens<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let Token::Map(count) = self.tokens.next()? else {
            return Err(wrong("its shape or chunks are no map"));
        };
        if count > most as u64 {
            return Err(wrong(&format!("it has {count} of what {most} are allowed")));
        }
        let mut found = BTreeMap::new();
        for _ in 0..count {
            let key = self.key()?;
            let number = key.parse::<u64>().ok().filter(|number| *number < count);
            let number = number.ok_or_else(|| wrong("they are not numbered from 0"))?;
            if found.insert(number, read(&mut self.tokens)?).is_some() {
                return Err(wrong("two have one number"));
            }
        }
        Ok(found.into_values().collect())
    }
}
