//! A server on this machine that speaks the protocol of the Hugging Face Hub, well or badly.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::http::{HubRequest, Reply, ranged, serve};

/// A file of a repository.
#[derive(Clone, Debug)]
pub struct HubFile {
    /// Its path in the repository.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Whether it is stored as a large file: by SHA-256, on another host.
    pub large: bool,
}

impl HubFile {
    /// The name of the contents: what the hub gives as ETag.
    pub fn etag(&self) -> String {
        if self.large {
            hex(&Sha256::digest(&self.bytes))
        } else {
            let header = format!("blob {}\0", self.bytes.len());
            hex(&Sha1::new_with_prefix(header)
                .chain_update(&self.bytes)
                .finalize())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One commit of a model.
#[derive(Clone, Debug)]
pub struct HubRepository {
    /// `ORG/NAME`
    pub id: String,
    /// The branch or tag that points to it.
    pub revision: String,
    /// Forty hexadecimal digits.
    pub commit: String,
    /// Its files.
    pub files: Vec<HubFile>,
}

/// What a test wants to be answered instead; `None`: what the hub answers, which is given.
type Twist = dyn Fn(&HubRequest, Reply) -> Reply + Send + Sync;

/// A hub on two ports of the loopback: its own, and that of the large files.
pub struct HubServer {
    shared: Arc<Shared>,
    addresses: [SocketAddr; 2],
}

struct Shared {
    repositories: Mutex<Vec<HubRepository>>,
    seen: Mutex<Vec<HubRequest>>,
    twist: Box<Twist>,
    storage: String,
    stopped: AtomicBool,
}

impl HubServer {
    /// A server that behaves.
    pub fn start(repositories: Vec<HubRepository>) -> Self {
        Self::twisted(repositories, |_, reply| reply)
    }

    /// A server whose answers `twist` changes: it is given the request and the right answer.
    pub fn twisted(
        repositories: Vec<HubRepository>,
        twist: impl Fn(&HubRequest, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let addresses = [0, 1].map(|i: usize| listeners[i].local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            repositories: Mutex::new(repositories),
            seen: Mutex::default(),
            twist: Box::new(twist),
            storage: format!("http://{}", addresses[1]),
            stopped: AtomicBool::new(false),
        });
        for (i, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        // A client that goes away ends its connection.
                        let _ = serve(stream, i == 1, &|request| shared.reply(request));
                    });
                }
            });
        }
        Self { shared, addresses }
    }

    /// For `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addresses[0])
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<HubRequest> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("no panic").clear();
    }

    /// Other repositories from now on.
    pub fn change(&self, repositories: Vec<HubRepository>) {
        *self.shared.repositories.lock().expect("no panic") = repositories;
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for address in self.addresses {
            // Wakes the listener up.
            let _ = TcpStream::connect(address);
        }
    }
}

impl Shared {
    fn reply(&self, request: &HubRequest) -> Reply {
        self.seen.lock().expect("no panic").push(request.clone());
        let right = if request.storage {
            self.stored(request)
        } else {
            self.answer(request)
        };
        (self.twist)(request, right)
    }

    /// What the hub's own host answers.
    fn answer(&self, request: &HubRequest) -> Reply {
        let repositories = self.repositories.lock().expect("no panic");
        let target = request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .replace("%2F", "/");
        let of = |path: &str, word: &str| -> Option<(String, String)> {
            let (id, rest) = path.split_once(word)?;
            Some((id.to_owned(), rest.to_owned()))
        };
        let (id, rest, is_list) = if let Some((id, revision)) = target
            .strip_prefix("/api/models/")
            .and_then(|path| of(path, "/revision/"))
        {
            (id, revision, true)
        } else if let Some((id, rest)) = of(&target[1..], "/resolve/") {
            (id, rest, false)
        } else {
            return Reply::status(404);
        };
        if !repositories.iter().any(|repository| repository.id == id) {
            return Reply::status(401).with("X-Error-Code", "RepoNotFound");
        }
        let found = repositories.iter().find(|repository| {
            let names = [&repository.revision, &repository.commit];
            let is = |name: &String| {
                rest == **name || (!is_list && rest.starts_with(&format!("{name}/")))
            };
            repository.id == id && names.into_iter().any(is)
        });
        let Some(repository) = found else {
            return Reply::status(404).with("X-Error-Code", "RevisionNotFound");
        };
        if is_list {
            return repository.list();
        }
        let name = [&repository.revision, &repository.commit]
            .into_iter()
            .find_map(|revision| rest.strip_prefix(&format!("{revision}/")))
            .unwrap_or_default();
        let Some(file) = repository.files.iter().find(|file| file.name == name) else {
            return Reply::status(404)
                .with("X-Error-Code", "EntryNotFound")
                .with("X-Repo-Commit", &repository.commit);
        };
        if !file.large {
            return ranged(request, &file.bytes)
                .with("X-Repo-Commit", &repository.commit)
                .with("ETag", format!("\"{}\"", file.etag()));
        }
        Reply::status(302)
            .with("X-Repo-Commit", &repository.commit)
            .with("X-Linked-Etag", format!("\"{}\"", file.etag()))
            .with("X-Linked-Size", file.bytes.len())
            .with(
                "Location",
                format!("{}/{}?X-Signature=secret", self.storage, file.etag()),
            )
    }

    /// What the host of the large files answers. As the real one, it refuses a token beside a signature.
    fn stored(&self, request: &HubRequest) -> Reply {
        if request.header("authorization").is_some() {
            return Reply::status(400);
        }
        let repositories = self.repositories.lock().expect("no panic");
        let etag = request.target[1..].split('?').next().unwrap_or_default();
        let mut files = repositories.iter().flat_map(|repository| &repository.files);
        match files.find(|file| file.large && file.etag() == etag) {
            Some(file) => ranged(request, &file.bytes).with("ETag", "\"another-7\""),
            None => Reply::status(403),
        }
    }
}

impl HubRepository {
    /// The files of a folder, its weights as large files, as `main` of `id`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn of_folder(id: &str, commit: &str, folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<HubFile> = paths
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                let large = name.ends_with(".safetensors");
                HubFile {
                    bytes: std::fs::read(&path).expect("a file"),
                    name,
                    large,
                }
            })
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            id: id.to_owned(),
            revision: "main".to_owned(),
            commit: commit.to_owned(),
            files,
        }
    }

    fn list(&self) -> Reply {
        let files: Vec<serde_json::Value> = self
            .files
            .iter()
            .map(|file| serde_json::json!({ "rfilename": file.name }))
            .collect();
        let list = serde_json::json!({ "id": self.id, "sha": self.commit, "private": false, "siblings": files });
        Reply::body(list.to_string()).with("Content-Type", "application/json")
    }
}
