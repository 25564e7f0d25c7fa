//! A hub with one small model, a cache for it, and who watches.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use albert_hub::{Environment, Hub, ModelId, Observer, Pulled, Result, Want};
use albert_testing::{HubFile, HubRepository, HubRequest, HubServer, Reply};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const NEXT: &str = "fedcba9876543210fedcba9876543210fedcba98";
/// More than the buffers on the way hold, so that cuts and pauses fall into it.
pub(crate) const WEIGHTS: usize = 3 << 20;

/// Bytes that differ everywhere.
pub(crate) fn weights(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..WEIGHTS).map(step).collect()
}

pub(crate) fn file(name: &str, bytes: impl Into<Vec<u8>>, large: bool) -> HubFile {
    HubFile {
        name: name.to_owned(),
        bytes: bytes.into(),
        large,
    }
}

/// A model as the hub has them: more files than are needed.
pub(crate) fn model(id: &str) -> HubRepository {
    HubRepository {
        id: id.to_owned(),
        revision: "main".to_owned(),
        commit: COMMIT.to_owned(),
        files: vec![
            file(".gitattributes", "*.bin filter=lfs\n", false),
            file("README.md", "# A model\n", false),
            file("config.json", "{\"model_type\": \"albert\"}\n", false),
            file("model.safetensors", weights(1), true),
            file("pytorch_model.bin", weights(2), true),
            file("spiece.model", "not really\n", true),
            file("tokenizer_config.json", "{}", false),
        ],
    }
}

pub(crate) const NEEDED: [&str; 4] = [
    "model.safetensors",
    "spiece.model",
    "tokenizer_config.json",
    "config.json",
];

/// Two machines' worth of folders and variables.
pub(crate) struct Place {
    pub(crate) home: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Place {
    pub(crate) fn new(server: &HubServer) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut place = Self {
            home,
            variables: BTreeMap::new(),
        };
        place.set("HF_ENDPOINT", &server.endpoint());
        place.set(
            "HF_HOME",
            place
                .path("hf")
                .to_str()
                .expect("UTF-8")
                .to_owned()
                .as_str(),
        );
        place.set("HF_HUB_DOWNLOAD_TIMEOUT", "1");
        place.set("HF_HUB_ETAG_TIMEOUT", "1");
        place
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The model's folder in the cache.
    pub(crate) fn cached(&self, name: &str) -> PathBuf {
        self.path("hf/hub/models--albert--tiny").join(name)
    }

    pub(crate) fn environment(&self) -> Environment {
        let get = |name: &str| self.variables.get(name).map(OsString::from);
        Environment::read(&get, Some(self.path("home")))
            .expect("an environment")
            .with_first_pause(Duration::from_millis(5))
    }

    pub(crate) fn hub(&self) -> Hub {
        Hub::new(self.environment())
    }

    pub(crate) fn pull(&self) -> Result<Pulled> {
        self.hub()
            .pull(&id(), None, Want::Model, &mut Watch::default())
    }

    pub(crate) fn folder(&self) -> Result<PathBuf> {
        self.hub()
            .folder(&id(), None, Want::Model, &mut Watch::default())
    }

    pub(crate) fn pull_into(&self, name: &str) -> Result<Pulled> {
        self.hub().pull_into(
            &self.path(name),
            &id(),
            None,
            Want::Model,
            &mut Watch::default(),
        )
    }
}

pub(crate) fn id() -> ModelId {
    ModelId::parse("albert/tiny").expect("an id")
}

/// Remembers what it was told.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) files: Vec<String>,
    /// Where the bytes of the present file began.
    pub(crate) starts: Vec<u64>,
    pub(crate) notes: Vec<String>,
    fresh: bool,
}

impl Observer for Watch {
    fn begin(&mut self, name: &str, _: Option<u64>) {
        self.files.push(name.to_owned());
        self.fresh = true;
    }

    fn at(&mut self, bytes: u64) {
        if std::mem::take(&mut self.fresh) {
            self.starts.push(bytes);
        }
    }

    fn end(&mut self) {}

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// A server with one model, whose answers `twist` changes.
pub(crate) fn server(
    twist: impl Fn(&HubRequest, Reply) -> Reply + Send + Sync + 'static,
) -> HubServer {
    HubServer::twisted(vec![model("albert/tiny")], twist)
}

/// Whether this asks for the bytes of the weights where they are stored.
pub(crate) fn is_weights(request: &HubRequest) -> bool {
    static ETAG: LazyLock<String> = LazyLock::new(|| file("", weights(1), true).etag());
    request.storage && request.method == "GET" && request.target.contains(&*ETAG)
}

/// The names below a folder, sorted; those that start with a dot too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        found.push(
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8"),
        );
    }
    found.sort();
    found
}

/// Fails unless a folder holds the model, byte by byte.
#[track_caller]
pub(crate) fn is_whole(folder: &Path) {
    for file in model("albert/tiny").files {
        if NEEDED.contains(&file.name.as_str()) {
            let found = std::fs::read(folder.join(&file.name)).expect(&file.name);
            assert!(found == file.bytes, "{} differs", file.name);
        }
    }
}
