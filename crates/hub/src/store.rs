//! Where files go: into the cache, or into a folder of plain files.

use std::path::{Path, PathBuf};

use crate::cache::{self, Repository};
use crate::checksum::Checksum;
use crate::client::Client;
use crate::download::{self, Announced};
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::observer::Observer;
use crate::status::About;

/// What all files of a pull have in common.
pub(crate) struct Job<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) repository: &'a Repository,
    pub(crate) about: About<'a>,
    pub(crate) commit: &'a str,
    /// Plain files go here; without it, into the cache.
    pub(crate) folder: Option<&'a Path>,
}

impl Job<'_> {
    /// Where all of them are.
    pub(crate) fn place(&self) -> PathBuf {
        match self.folder {
            None => self.repository.snapshot(self.commit),
            Some(folder) => folder.to_owned(),
        }
    }

    /// Puts a file there, if it is not there yet, and gives its path.
    pub(crate) fn put(&self, name: &str, observer: &mut dyn Observer) -> Result<PathBuf> {
        match self.folder {
            None => self.put_into_cache(name, observer),
            Some(folder) => self.put_into_folder(folder, name, observer),
        }
    }

    fn announced(&self, name: &str) -> Result<Announced> {
        download::announced(self.client, self.commit, name, &self.about)
    }

    fn fetch(
        &self,
        name: &str,
        file: &Announced,
        partial: &Path,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        observer.begin(name, file.size);
        download::fetch(self.client, file, partial, &self.about, observer)?;
        observer.end();
        if Checksum::of_etag(&file.etag) == Checksum::None {
            observer.note(&format!(
                "{name}: the server gives no checksum, only its length was compared"
            ));
        }
        Ok(())
    }

    /// Into the cache: a blob, and its name in the snapshot.
    fn put_into_cache(&self, name: &str, observer: &mut dyn Observer) -> Result<PathBuf> {
        let (repository, commit) = (self.repository, self.commit);
        let pointer = repository.snapshot(commit).join(name);
        if pointer.exists() {
            return Ok(pointer);
        }
        let file = self.announced(name)?;
        repository.prepare()?;
        let _lock = Lock::acquire(&repository.lock(&file.etag), || {
            observer.note(&format!("{name}: another process downloads it, waiting"));
        })?;
        let blob = repository.blob(&file.etag);
        let new = !blob.exists();
        if new {
            let partial = repository.partial(&file.etag);
            self.fetch(name, &file, &partial, observer)?;
            std::fs::rename(&partial, &blob).map_err(Error::io("write", &blob))?;
        }
        if !pointer.exists() {
            repository.publish(commit, name, &file.etag, new)?;
        }
        Ok(pointer)
    }

    /// Into a folder of plain files.
    fn put_into_folder(
        &self,
        folder: &Path,
        name: &str,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf> {
        let file = self.announced(name)?;
        let target = folder.join(name);
        if target.symlink_metadata().is_ok() {
            return match is_same(&target, &file)? {
                true => Ok(target),
                false => Err(Error::Occupied {
                    path: target,
                    id: self.about.id.to_string(),
                }),
            };
        }
        cache::create(target.parent().unwrap_or(folder))?;
        let blob = self.repository.blob(&file.etag);
        if blob.exists() {
            cache::copy(&blob, &target)?;
            return Ok(target);
        }
        let partial = folder.join(format!(".{}.incomplete", file.etag));
        let lock = folder.join(format!(".{}.lock", file.etag));
        let _lock = Lock::acquire(&lock, || {
            observer.note(&format!("{name}: another process downloads it, waiting"))
        })?;
        let done = match target.exists() {
            true => Ok(()),
            false => self.fetch(name, &file, &partial, observer).and_then(|()| {
                std::fs::rename(&partial, &target).map_err(Error::io("write", &target))
            }),
        };
        let _ = std::fs::remove_file(lock);
        done.map(|()| target)
    }
}

/// Whether a file has the announced contents, as far as that can be known.
fn is_same(path: &Path, file: &Announced) -> Result<bool> {
    let length = path.metadata().map_err(Error::io("read", path))?.len();
    if file.size.is_some_and(|size| size != length) {
        return Ok(false);
    }
    let found = Checksum::of_etag(&file.etag).of_file(path)?;
    Ok(found.is_none_or(|found| found == file.etag.to_lowercase()))
}
