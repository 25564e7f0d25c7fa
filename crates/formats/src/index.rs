//! `model.safetensors.index.json`, and which shard names are acceptable.

use crate::{
    FormatError,
    error::shown,
    json::{self, UniqueMap},
};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// An index maps every tensor to a header entry too, so it gets a header's limit.
const MAX_INDEX: u64 = crate::header::MAX_HEADER;
/// Tensors of an index.
const MAX_TENSORS: usize = 1 << 20;

/// Reads the index: for each tensor the name of its shard, a plain file name.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>, FormatError> {
    let refuse = |problem| FormatError::Index {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(FormatError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_INDEX + 1)
        .read_to_end(&mut bytes)
        .map_err(FormatError::io("read", path))?;
    if bytes.len() as u64 > MAX_INDEX {
        return Err(refuse(format!(
            "it is longer than the {MAX_INDEX} bytes that are allowed"
        )));
    }
    let document: Document = json::parse(&bytes)
        .map_err(|problem| refuse(format!("it is not a valid index: {problem}")))?;
    let Some(weight_map) = document.weight_map else {
        return Err(refuse(
            "it has no key \"weight_map\", which maps each tensor to its shard".to_owned(),
        ));
    };
    for (tensor, shard) in &weight_map {
        if let Err(problem) = check_file_name(shard) {
            let problem = format!(
                "the shard {} of tensor {} {problem}",
                shown(shard),
                shown(tensor)
            );
            return Err(refuse(problem));
        }
    }
    Ok(weight_map)
}

/// A name that means a file of this very folder on every system.
pub(crate) fn check_file_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Err("is not a file name");
    }
    if name.contains(['/', '\\', ':']) {
        return Err("is a path: expected a plain file name without `/`, `\\` and `:`");
    }
    if name.contains(char::is_control) {
        return Err("holds control characters");
    }
    Ok(())
}

/// The path of a shard, which must be there and must not be a link that leaves the folder.
///
/// One place outside is allowed: `blobs/` of the Hugging Face cache, where
/// `models--x/snapshots/<commit>/<file>` is a link to `models--x/blobs/<hash>`.
pub(crate) fn shard_path(index: &Path, folder: &Path, shard: &str) -> Result<PathBuf, FormatError> {
    let refuse = |problem| FormatError::Index {
        path: index.to_owned(),
        problem,
    };
    let path = folder.join(shard);
    let canonical = match path.canonicalize() {
        Ok(canonical) => canonical,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let problem = format!(
                "its shard {} is missing from {}",
                shown(shard),
                folder.display()
            );
            return Err(refuse(problem));
        }
        Err(source) => {
            return Err(FormatError::Io {
                action: "find",
                path,
                source,
            });
        }
    };
    let home = folder
        .canonicalize()
        .map_err(FormatError::io("find", folder))?;
    let snapshots = home.parent().filter(|parent| parent.ends_with("snapshots"));
    let blobs = snapshots
        .and_then(Path::parent)
        .map(|model| model.join("blobs"));
    if canonical.starts_with(&home) || blobs.is_some_and(|blobs| canonical.starts_with(blobs)) {
        Ok(path)
    } else {
        Err(refuse(format!(
            "its shard {} is a link that leaves the folder",
            shown(shard)
        )))
    }
}

struct Document {
    weight_map: Option<BTreeMap<String, String>>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a weight_map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Document, A::Error> {
                let mut document = Document { weight_map: None };
                let taken = |document: &Document, key: &str| {
                    key == "weight_map" && document.weight_map.is_some()
                };
                while let Some(key) = json::next_key(&mut object, |key| taken(&document, key))? {
                    if key == "weight_map" {
                        let map: UniqueMap<MAX_TENSORS> = json::next_value(&mut object, &key)?;
                        document.weight_map = Some(map.0);
                    } else {
                        // `metadata.total_size` of published indexes is often wrong; files count.
                        let _: IgnoredAny = json::next_value(&mut object, &key)?;
                    }
                }
                Ok(document)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
