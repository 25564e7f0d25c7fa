//! The tree of groups, walked once: every dataset, and what Keras says of layers and weights.
//!
//! Metadata of the file are the texts at the root (`backend`, `keras_version`, …) under their names. The
//! lists `layer_names` at the root and `weight_names` at a group, which Keras cuts into `layer_names0`,
//! `layer_names1`, … where they are long, become JSON arrays under `layer_names` and
//! `GROUP/weight_names`. What they name must be there.

use super::{
    attribute::{self, Texts},
    dataset,
    file::File,
    group, header,
};
use crate::{
    contents::{Contents, overlapping, repeated},
    error::shown,
    fault::Fault,
};
use std::collections::{BTreeMap, BTreeSet};

const MAX_TENSORS: usize = 1 << 16;
const MAX_DEPTH: usize = 32;
/// Bytes of all paths, and of all metadata.
const MAX_TEXTS: usize = 16 << 20;

pub(super) fn read(file: &mut File<'_>) -> Result<Contents, Fault> {
    let mut walk = Walk::default();
    let root = file.root;
    walk.group(file, "", root, 0)?;
    walk.contents
        .tensors
        .sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let tensors = &walk.contents.tensors;
    if tensors.is_empty() {
        return Err(Fault::unsupported("it holds no dataset"));
    }
    if let Some(name) = repeated(tensors) {
        return Err(Fault::deceives(format!(
            "two datasets are named {}",
            shown(name)
        )));
    }
    let runs: Vec<_> = tensors
        .iter()
        .filter(|tensor| !walk.contents.placements.contains_key(&tensor.name))
        .filter(|tensor| !walk.linked_twice.contains(&tensor.place.0))
        .cloned()
        .collect();
    if let Some((one, other)) = overlapping(&runs) {
        let problem = format!("its bytes overlap those of {}", shown(one));
        return Err(Fault::tensor(other, problem));
    }
    for (list, item) in &walk.named {
        let found = walk.paths.contains(item);
        if !found {
            return Err(Fault::damaged(format!(
                "its {list} names {}, which is not there",
                shown(item)
            )));
        }
    }
    Ok(walk.contents)
}

#[derive(Default)]
struct Walk {
    contents: Contents,
    /// Groups and datasets that were seen.
    paths: BTreeSet<String>,
    /// Headers of groups that were seen.
    groups: BTreeSet<u64>,
    /// Headers of datasets, and where the data are.
    datasets: BTreeMap<u64, u64>,
    /// Where the data of datasets with two names begin.
    linked_twice: BTreeSet<u64>,
    /// What Keras' lists name, as paths.
    named: Vec<(String, String)>,
    texts: usize,
}

impl Walk {
    fn group(
        &mut self,
        file: &mut File<'_>,
        path: &str,
        at: u64,
        depth: usize,
    ) -> Result<(), Fault> {
        let messages = header::read(file, at)?;
        if group::is_dataset(&messages) {
            if depth == 0 {
                return Err(Fault::damaged("its root is not a group"));
            }
            return self.dataset(file, path, at, &messages);
        }
        let Some(links) = group::links(file, &messages)? else {
            // A type that has a name.
            return Ok(());
        };
        if !self.groups.insert(at) {
            return Err(Fault::deceives(format!(
                "the group {} has two names, or is inside itself",
                shown(path)
            )));
        }
        if depth == MAX_DEPTH {
            return Err(Fault::deceives(format!(
                "its groups are nested more than {MAX_DEPTH} deep"
            )));
        }
        let texts = attribute::texts(file, &messages)?;
        self.attributes(path, texts)?;
        for (name, at) in links {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            self.count(path.len())?;
            self.group(file, &path, at, depth + 1)?;
            self.paths.insert(path);
        }
        Ok(())
    }

    fn dataset(
        &mut self,
        file: &mut File<'_>,
        path: &str,
        at: u64,
        messages: &[header::Message],
    ) -> Result<(), Fault> {
        if self.contents.tensors.len() == MAX_TENSORS {
            return Err(Fault::deceives(format!(
                "it has more than {MAX_TENSORS} datasets"
            )));
        }
        let (tensor, placement) = dataset::read(file, path, messages)?;
        if let Some(start) = self.datasets.insert(at, tensor.place.0) {
            self.linked_twice.insert(start);
        }
        if let Some(placement) = placement {
            self.contents.placements.insert(path.to_owned(), placement);
        }
        self.contents.tensors.push(tensor);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.texts += bytes;
        if self.texts > MAX_TEXTS {
            return Err(Fault::deceives(format!(
                "its names and attributes have more than {MAX_TEXTS} bytes"
            )));
        }
        Ok(())
    }

    /// Keeps the attributes of a group that say something of weights.
    fn attributes(&mut self, path: &str, texts: BTreeMap<String, Texts>) -> Result<(), Fault> {
        let list = if path.is_empty() {
            "layer_names"
        } else {
            "weight_names"
        };
        if let Some(items) = listed(&texts, list) {
            let json = serde_json::to_string(&items).unwrap_or_default();
            let below = if path.is_empty() {
                String::new()
            } else {
                format!("{path}/")
            };
            self.count(json.len())?;
            for item in items {
                self.count(below.len() + item.len() + list.len())?;
                self.named.push((list.to_owned(), format!("{below}{item}")));
            }
            let key = format!("{below}{list}");
            self.contents.metadata.insert(key, json);
        }
        if path.is_empty() {
            for (name, value) in texts {
                if let Texts::One(value) = value {
                    self.count(name.len() + value.len())?;
                    self.contents.metadata.insert(name, value);
                }
            }
        }
        Ok(())
    }
}

/// A list of Keras', in one piece or several.
fn listed(texts: &BTreeMap<String, Texts>, name: &str) -> Option<Vec<String>> {
    if let Some(Texts::List(items)) = texts.get(name) {
        return Some(items.clone());
    }
    let pieces: Vec<&Vec<String>> = (0..)
        .map_while(|number| match texts.get(&format!("{name}{number}")) {
            Some(Texts::List(items)) => Some(items),
            _ => None,
        })
        .collect();
    (!pieces.is_empty()).then(|| pieces.into_iter().flatten().cloned().collect())
}
