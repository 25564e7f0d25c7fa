//! Which files of a repository make a model that can be read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use albert_formats::CHECKPOINT_NAMES;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::names;

/// What a folder is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Configuration, weights, tokenizer, and what sentence-transformers adds.
    Model,
    /// The tokenizer alone.
    Tokenizer,
}

/// Vocabularies, any of which makes a tokenizer.
const VOCABULARIES: [&str; 4] = [
    "spiece.model",
    "tokenizer.json",
    "vocab.txt",
    "30k-clean.model",
];
/// Settings of the tokenizer, and the model's configuration, which names its class.
const SETTINGS: [&str; 3] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];
const CONFIG: &str = "config.json";
/// What sentence-transformers' folders have besides.
const SENTENCE: [&str; 2] = [
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];
const MODULES: &str = "modules.json";
/// Files that change what a folder does, so that it must be known whether a repository has them.
const PROBES: [&str; 4] = [MODULES, VOCABULARIES[0], VOCABULARIES[1], VOCABULARIES[2]];
/// Bytes of an index or of `modules.json`.
const LONGEST: u64 = 100 << 20;

/// The names in a repository or snapshot, with slashes.
pub(crate) type Listing = BTreeSet<String>;

/// Goes over the files that are wanted: `put` brings each and gives its path, and what it asks for follows. Gives the
/// names, in order.
///
/// # Errors
/// Those of `put`, and those of [`behind`].
pub(crate) fn walk(
    listing: &Listing,
    want: Want,
    put: &mut dyn FnMut(&str) -> Result<PathBuf>,
) -> Result<Vec<String>> {
    let mut names = first(listing, want);
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        let path = put(&name)?;
        for more in behind(listing, &name, &path)? {
            if !names.contains(&more) {
                names.push(more);
            }
        }
        next += 1;
    }
    Ok(names)
}

/// What to take of a repository, as far as its list says. Weights come before the configuration beside them, so that a
/// folder with a configuration is complete.
fn first(listing: &Listing, want: Want) -> Vec<String> {
    let mut names = of_folder(listing, "", want);
    if want == Want::Model {
        names.extend(listing.get(MODULES).cloned());
    }
    names
}

/// The files of one folder of a repository.
fn of_folder(listing: &Listing, folder: &str, want: Want) -> Vec<String> {
    let weights = match want {
        Want::Model => weights(listing, folder),
        Want::Tokenizer => None,
    };
    let sentence = match want {
        Want::Model => &SENTENCE[..],
        Want::Tokenizer => &[],
    };
    let texts = [&VOCABULARIES[..], &SETTINGS, sentence, &[CONFIG]].concat();
    let texts = texts.into_iter().map(|name| join(folder, name));
    weights
        .into_iter()
        .chain(texts.filter(|name| listing.contains(name)))
        .collect()
}

/// The best checkpoint of a folder: a file of weights, or an index.
fn weights(listing: &Listing, folder: &str) -> Option<String> {
    let names = CHECKPOINT_NAMES.iter().map(|name| join(folder, name));
    names.into_iter().find(|name| listing.contains(name))
}

/// What a file that is there by now asks for besides: the shards of an index, the folders of `modules.json`.
///
/// # Errors
/// [`Error::Answer`] if it cannot be read or names files outside the folder.
fn behind(listing: &Listing, name: &str, path: &Path) -> Result<Vec<String>> {
    if name == MODULES {
        let folders = module_folders(path)?;
        let files = folders
            .iter()
            .flat_map(|(folder, _)| of_folder(listing, folder, Want::Model));
        return Ok(files.collect());
    }
    if name.ends_with(".index.json") {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        return Ok(shards(path)?
            .iter()
            .map(|shard| join(folder, shard))
            .collect());
    }
    Ok(Vec::new())
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// Folders of `modules.json` below its own, and the classes of their modules.
fn module_folders(path: &Path) -> Result<Vec<(String, String)>> {
    let modules: Vec<Module> = document(path)?;
    let mut folders = Vec::new();
    for module in modules {
        let folder = module.path.trim_end_matches('/');
        if folder.is_empty() {
            continue;
        }
        if let Some(problem) = names::problem_of_path(folder) {
            return Err(refuse(
                path,
                &format!("it names the folder {folder:?}: {problem}"),
            ));
        }
        folders.push((folder.to_owned(), module.kind));
    }
    Ok(folders)
}

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// The files of an index.
fn shards(path: &Path) -> Result<BTreeSet<String>> {
    let index: Index = document(path)?;
    for shard in index.weight_map.values() {
        if let Some(problem) = names::problem_of_component(shard) {
            return Err(refuse(
                path,
                &format!("it names the file {shard:?}: {problem}"),
            ));
        }
    }
    Ok(index.weight_map.into_values().collect())
}

fn document<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| refuse(path, &error.to_string()))
}

fn refuse(path: &Path, problem: &str) -> Error {
    Error::Answer {
        url: path.display().to_string(),
        problem: format!("the file of the repository is not valid: {problem}"),
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// What a repository lacks to be of use, whatever else is in its files.
pub(crate) fn hopeless(listing: &Listing, want: Want) -> Option<String> {
    if want == Want::Tokenizer {
        let found = VOCABULARIES.iter().any(|name| listing.contains(*name));
        return (!found).then(|| format!("tokenizer ({})", VOCABULARIES.join(", ")));
    }
    // Then the model may be in another folder.
    if listing.contains(MODULES) {
        return None;
    }
    lacking(listing, "")
}

/// What a folder lacks to be a model's.
fn lacking(listing: &Listing, folder: &str) -> Option<String> {
    if weights(listing, folder).is_none() {
        return Some(format!("weights ({})", CHECKPOINT_NAMES.join(", ")));
    }
    let config = join(folder, CONFIG);
    (!listing.contains(&config)).then_some(config)
}

/// What a list of files lacks to be of use, in words; `snapshot` is where they are, as far as they are there.
///
/// # Errors
/// As [`behind`].
pub(crate) fn missing(listing: &Listing, want: Want, snapshot: &Path) -> Result<Option<String>> {
    if want == Want::Tokenizer {
        return Ok(hopeless(listing, want));
    }
    let mut folders = vec![(String::new(), String::new())];
    if listing.contains(MODULES) {
        folders.extend(module_folders(&snapshot.join(MODULES))?);
    }
    for (folder, kind) in &folders[1..] {
        let config = join(folder, CONFIG);
        if !kind.ends_with(".Normalize") && !listing.contains(&config) {
            return Ok(Some(config));
        }
    }
    let is_encoder =
        |(folder, kind): &&(String, String)| folder.is_empty() || kind.ends_with(".Transformer");
    let mut encoders = folders
        .iter()
        .filter(is_encoder)
        .map(|(folder, _)| folder.as_str());
    let folder = encoders
        .find(|folder| weights(listing, folder).is_some())
        .unwrap_or_default();
    if let Some(missing) = lacking(listing, folder) {
        return Ok(Some(missing));
    }
    if let Some(name) = weights(listing, folder) {
        let needed = behind(listing, &name, &snapshot.join(&name))?;
        if let Some(shard) = needed.into_iter().find(|shard| !listing.contains(shard)) {
            return Ok(Some(shard));
        }
    }
    Ok(None)
}

/// Of the files that change what a folder does, those that a list lacks.
pub(crate) fn unknown(listing: &Listing) -> impl Iterator<Item = &'static str> {
    PROBES.into_iter().filter(|name| !listing.contains(*name))
}

/// A few names of a list, for messages.
pub(crate) fn shown(listing: &Listing) -> String {
    const SHOWN: usize = 8;
    if listing.is_empty() {
        return "no files".to_owned();
    }
    let mut names: Vec<String> = listing
        .iter()
        .take(SHOWN)
        .map(|name| crate::address::shown(name))
        .collect();
    if listing.len() > SHOWN {
        names.push(format!("and {} more", listing.len() - SHOWN));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const BASE: [&str; 11] = [
        ".gitattributes",
        "README.md",
        "config.json",
        "flax_model.msgpack",
        "model.safetensors",
        "pytorch_model.bin",
        "rust_model.ot",
        "spiece.model",
        "tf_model.h5",
        "tokenizer.json",
        "tokenizer_config.json",
    ];

    #[test]
    fn the_best_weights_and_all_of_the_tokenizer_are_taken() {
        assert_eq!(
            first(&listing(&BASE), Want::Model),
            [
                "model.safetensors",
                "spiece.model",
                "tokenizer.json",
                "tokenizer_config.json",
                "config.json"
            ]
        );
        assert_eq!(
            first(&listing(&BASE), Want::Tokenizer),
            [
                "spiece.model",
                "tokenizer.json",
                "tokenizer_config.json",
                "config.json"
            ]
        );
        let older = listing(&["config.json", "pytorch_model.bin", "tf_model.h5"]);
        assert_eq!(
            first(&older, Want::Model),
            ["pytorch_model.bin", "config.json"]
        );
    }

    #[test]
    fn an_index_asks_for_its_shards() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "model.safetensors.index.json";
        let path = folder.path().join(name);
        let two = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}"#;
        std::fs::write(&path, two).expect("written");
        let all = listing(&[
            "config.json",
            name,
            "model-1.safetensors",
            "model-2.safetensors",
        ]);
        assert_eq!(first(&all, Want::Model), [name, "config.json"]);
        let shards = behind(&all, name, &path).expect("shards");
        assert_eq!(shards, ["model-1.safetensors", "model-2.safetensors"]);
        assert_eq!(
            missing(&all, Want::Model, folder.path()).expect("readable"),
            None
        );
        let part = listing(&["config.json", name, "model-1.safetensors"]);
        assert_eq!(
            missing(&part, Want::Model, folder.path())
                .expect("readable")
                .as_deref(),
            Some("model-2.safetensors")
        );
        for hostile in ["../x", "/etc/passwd", "a\\\\b", "", "C:x"] {
            std::fs::write(&path, format!(r#"{{"weight_map": {{"a": "{hostile}"}}}}"#))
                .expect("written");
            let error = behind(&all, name, &path).expect_err(hostile);
            assert!(error.to_string().contains("it names the file"), "{error}");
        }
    }

    #[test]
    fn sentence_transformers_folders_are_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(MODULES);
        let modules = r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
            {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
        std::fs::write(&path, modules).expect("written");
        let mut all = listing(&[
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/pytorch_model.bin",
            "config.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "vocab.txt",
        ]);
        let names = first(&all, Want::Model);
        assert_eq!(names.last().map(String::as_str), Some(MODULES));
        assert_eq!(
            behind(&all, MODULES, &path).expect("modules"),
            [
                "1_Pooling/config.json",
                "2_Dense/pytorch_model.bin",
                "2_Dense/config.json"
            ]
        );
        assert_eq!(
            missing(&all, Want::Model, folder.path()).expect("readable"),
            None
        );
        all.remove("1_Pooling/config.json");
        assert_eq!(
            missing(&all, Want::Model, folder.path())
                .expect("readable")
                .as_deref(),
            Some("1_Pooling/config.json")
        );
        std::fs::write(&path, r#"[{"path": "../x", "type": "y"}]"#).expect("written");
        assert!(behind(&all, MODULES, &path).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let here = Path::new("");
        let missing =
            |names: &[&str], want| missing(&listing(names), want, here).expect("readable");
        assert_eq!(missing(&BASE, Want::Model), None);
        assert!(
            missing(&["config.json"], Want::Model)
                .expect("weights")
                .starts_with("weights (model.safetensors, ")
        );
        assert_eq!(
            missing(&["model.safetensors"], Want::Model).as_deref(),
            Some("config.json")
        );
        assert!(
            missing(&["config.json"], Want::Tokenizer)
                .expect("one")
                .starts_with("tokenizer (spiece.model, ")
        );
        assert_eq!(missing(&["vocab.txt"], Want::Tokenizer), None);
    }
}
