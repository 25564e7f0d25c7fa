//! From an id to a folder: what the cache has, else what the server has.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::address::shown;
use crate::cache::{self, Repository};
use crate::checksum::Checksum;
use crate::client::Client;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::files::{self, Listing, Want};
use crate::id::{DEFAULT_REVISION, ModelId, check_revision};
use crate::names;
use crate::observer::Observer;
use crate::status::About;
use crate::store::Job;

/// Models of one server, in one cache.
#[derive(Clone, Debug)]
pub struct Hub {
    environment: Environment,
}

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Where its files are.
    pub folder: PathBuf,
    /// What the revision was.
    pub commit: String,
    /// The files that were wanted, with slashes, in order.
    pub files: Vec<String>,
}

/// What the server says about a revision.
#[derive(Deserialize)]
struct Revision {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// The server and cache that the environment names.
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// The folder of a model: from the cache if it is complete there, and then nobody is asked; else from the server.
    ///
    /// # Errors
    /// If the server refuses, has no such model, cannot be reached while the cache does not have enough, or sends what it
    /// did not announce; if the environment forbids the network ([`Error::Offline`]); if the cache cannot be written.
    pub fn folder(
        &self,
        id: &ModelId,
        revision: Option<&str>,
        want: Want,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        check_revision(revision)?;
        match self.cached(id, revision, want) {
            Cached::Complete(pulled) => Ok(pulled.folder),
            _ => Ok(self.pull(id, Some(revision), want, observer)?.folder),
        }
    }

    /// Asks the server which commit the revision is now, and brings the files that the cache lacks. Where the server
    /// cannot be reached, or must not, what the cache has is enough, and `observer` is told.
    ///
    /// # Errors
    /// As [`folder`](Self::folder).
    pub fn pull(
        &self,
        id: &ModelId,
        revision: Option<&str>,
        want: Want,
        observer: &mut dyn Observer,
    ) -> Result<Pulled> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        check_revision(revision)?;
        let cached = self.cached(id, revision, want);
        let error = match self.environment.offline {
            Some(variable) => self.offline(id, variable),
            None => match self.pull_to(id, revision, want, None, observer) {
                Err(error) if error.is_transient() || matches!(error, Error::Secure { .. }) => {
                    error
                }
                other => return other,
            },
        };
        match cached {
            Cached::Complete(pulled) | Cached::Usable(pulled) => {
                let commit = &pulled.commit[..8];
                match error {
                    Error::Offline { variable, .. } => observer.note(&format!("{variable} is set: {id} as the cache has it, commit {commit}")),
                    error => observer.note(&format!("{id} as the cache has it, commit {commit}, since the server cannot be asked: {error}")),
                }
                Ok(pulled)
            }
            Cached::Nothing => Err(error),
        }
    }

    /// As [`pull`](Self::pull), but writes plain files into `folder`, which is made; files of the same contents stay.
    /// What the cache has is copied, the cache is not written.
    ///
    /// # Errors
    /// As [`folder`](Self::folder), and [`Error::Occupied`] if another file has the name of one of the model's.
    pub fn pull_into(
        &self,
        folder: &Path,
        id: &ModelId,
        revision: Option<&str>,
        want: Want,
        observer: &mut dyn Observer,
    ) -> Result<Pulled> {
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        check_revision(revision)?;
        if self.environment.offline.is_none() {
            return self.pull_to(id, revision, want, Some(folder), observer);
        }
        let pulled = self.pull(id, Some(revision), want, observer)?;
        for name in &pulled.files {
            let (from, to) = (pulled.folder.join(name), folder.join(name));
            if to.symlink_metadata().is_ok() {
                if Checksum::Sha256.of_file(&from)? == Checksum::Sha256.of_file(&to)? {
                    continue;
                }
                return Err(Error::Occupied {
                    path: to,
                    id: id.to_string(),
                });
            }
            cache::create(to.parent().unwrap_or(folder))?;
            cache::copy(&from, &to)?;
        }
        Ok(Pulled {
            folder: folder.to_owned(),
            ..pulled
        })
    }

    fn offline(&self, id: &ModelId, variable: &'static str) -> Error {
        Error::Offline {
            id: id.to_string(),
            cache: self.environment.cache.clone(),
            variable,
            endpoint: self.environment.endpoint.plain(),
        }
    }

    fn repository(&self, id: &ModelId) -> Repository {
        Repository::of(&self.environment.cache, id, self.environment.symlinks)
    }

    /// What the cache has of a revision.
    fn cached(&self, id: &ModelId, revision: &str, want: Want) -> Cached {
        let repository = self.repository(id);
        let Some(commit) = repository.commit_of(revision) else {
            return Cached::Nothing;
        };
        let (folder, listing) = (repository.snapshot(&commit), repository.listing(&commit));
        // What cannot be read is brought anew.
        if !matches!(files::missing(&listing, want, &folder), Ok(None)) {
            return Cached::Nothing;
        }
        let Ok(files) = files::walk(&listing, want, &mut |name| Ok(folder.join(name))) else {
            return Cached::Nothing;
        };
        let known = files::unknown(&listing).all(|name| repository.is_absent(&commit, name));
        let pulled = Pulled {
            folder,
            commit,
            files,
        };
        if known {
            Cached::Complete(pulled)
        } else {
            Cached::Usable(pulled)
        }
    }

    fn pull_to(
        &self,
        id: &ModelId,
        revision: &str,
        want: Want,
        folder: Option<&Path>,
        observer: &mut dyn Observer,
    ) -> Result<Pulled> {
        let client = Client::new(&self.environment)?;
        let repository = self.repository(id);
        let about = About { id, revision };
        let found = list(&client, &about)?;
        let listing: Listing = found
            .siblings
            .into_iter()
            .map(|file| file.rfilename)
            .collect();
        let unusable = |missing| Error::Unusable {
            id: id.to_string(),
            revision: revision.to_owned(),
            missing,
            found: files::shown(&listing),
        };
        if let Some(missing) = files::hopeless(&listing, want) {
            return Err(unusable(missing));
        }
        let job = Job {
            client: &client,
            repository: &repository,
            about,
            commit: &found.sha,
            folder,
        };
        let names = files::walk(&listing, want, &mut |name| job.put(name, observer))?;
        let (there, place) = (names.iter().cloned().collect(), job.place());
        if let Some(missing) = files::missing(&there, want, &place)? {
            return Err(unusable(missing));
        }
        if folder.is_none() {
            for name in files::unknown(&listing) {
                repository.note_absent(&found.sha, name);
            }
            // Last: a branch never points to a part of a model.
            repository.set_ref(revision, &found.sha)?;
        }
        Ok(Pulled {
            folder: place,
            commit: found.sha,
            files: names,
        })
    }
}

enum Cached {
    /// Nothing changes when the server is asked about this commit.
    Complete(Pulled),
    /// It can be used, but the repository may have more.
    Usable(Pulled),
    Nothing,
}

/// Asks which commit a revision is, and for its files.
fn list(client: &Client<'_>, about: &About<'_>) -> Result<Revision> {
    let path = format!(
        "/api/models/{}/revision/{}",
        about.id,
        names::escape(about.revision)
    );
    let url = client.endpoint().below(&path);
    let found: Revision = client.json(&url, about)?;
    if !names::is_commit(&found.sha) {
        return Err(Error::Answer {
            url: url.plain(),
            problem: format!(
                "expected the name of a commit, found {:?}: check HF_ENDPOINT",
                shown(&found.sha)
            ),
        });
    }
    Ok(found)
}
