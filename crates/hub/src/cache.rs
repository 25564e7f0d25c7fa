//! The folder of a model in a cache that Python's `huggingface_hub` shares:
//!
//! ```text
//! models--albert--albert-base-v2/
//! ├── refs/main                       the commit of a branch or tag
//! ├── snapshots/COMMIT/config.json -> ../../blobs/ETAG
//! ├── blobs/ETAG                      a file, named after its checksum
//! └── .no_exist/COMMIT/vocab.txt      a file that the repository does not have
//! .locks/models--albert--albert-base-v2/ETAG.lock
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use albert_formats::write_atomically;

use crate::error::{Error, Result};
use crate::files::Listing;
use crate::id::ModelId;
use crate::names;

/// Folders in folders of a snapshot that are looked into.
const DEPTH: usize = 4;

/// One model in the cache.
pub(crate) struct Repository {
    cache: PathBuf,
    folder: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl Repository {
    pub(crate) fn of(cache: &Path, id: &ModelId, symlinks: bool) -> Self {
        let name = id.folder_name();
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
            cache: cache.to_owned(),
            symlinks,
        }
    }

    /// The commit that a revision was when it was last asked for.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if names::is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| names::is_commit(commit))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The files of a snapshot; a link whose blob is gone is none.
    pub(crate) fn listing(&self, commit: &str) -> Listing {
        let mut found = Listing::new();
        list(&self.snapshot(commit), "", DEPTH, &mut found);
        found
    }

    /// Whether the repository is known not to have a file.
    pub(crate) fn is_absent(&self, commit: &str, name: &str) -> bool {
        self.folder
            .join(".no_exist")
            .join(commit)
            .join(name)
            .is_file()
    }

    /// Notes that it does not; a cache that cannot be written is asked again next time.
    pub(crate) fn note_absent(&self, commit: &str, name: &str) {
        let folder = self.folder.join(".no_exist").join(commit);
        if !folder.join(name).exists() && fs::create_dir_all(&folder).is_ok() {
            let _ = fs::write(folder.join(name), "");
        }
    }

    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where the blob is while it is on its way.
    pub(crate) fn partial(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(crate) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Makes the folders.
    pub(crate) fn prepare(&self) -> Result<()> {
        for folder in [&self.folder.join("blobs"), &self.locks] {
            create(folder)?;
        }
        let tag = self.cache.join("CACHEDIR.TAG");
        if !tag.exists() {
            // Backups leave such a folder out (https://bford.info/cachedir/).
            let _ = fs::write(
                tag,
                "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of models, shared with huggingface_hub.\n",
            );
        }
        Ok(())
    }

    /// Remembers the commit of a branch or tag.
    pub(crate) fn set_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        create(path.parent().unwrap_or(&self.folder))?;
        Ok(write_atomically(&path, commit.as_bytes())?)
    }

    /// Gives a blob its name in a snapshot: by a link, or where links do not work by the file itself, moved there if it
    /// is `new`.
    pub(crate) fn publish(&self, commit: &str, name: &str, etag: &str, new: bool) -> Result<()> {
        let pointer = self.snapshot(commit).join(name);
        create(pointer.parent().unwrap_or(&self.folder))?;
        let up = "../".repeat(2 + name.matches('/').count());
        let blob = self.blob(etag);
        if self.symlinks && link(&format!("{up}blobs/{etag}"), &pointer) {
            return Ok(());
        }
        if new {
            fs::rename(&blob, &pointer).map_err(Error::io("write", &pointer))
        } else {
            copy(&blob, &pointer)
        }
    }
}

/// Copies a file; it appears complete or not at all.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = fs::File::open(from).map_err(Error::io("open", from))?;
    let pending = albert_formats::Pending::create(to)?;
    std::io::copy(&mut source, &mut pending.file()).map_err(Error::io("write", to))?;
    pending.sync()?;
    Ok(pending.publish()?)
}

pub(crate) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))
}

/// Whether a link is there now. It replaces a broken one at once.
fn link(target: &str, at: &Path) -> bool {
    let beside = at.with_file_name(format!(
        ".link-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let _ = fs::remove_file(&beside);
    symlink(target, &beside).is_ok() && {
        let done = fs::rename(&beside, at).is_ok();
        let _ = fs::remove_file(&beside);
        done
    }
}

#[cfg(unix)]
fn symlink(target: &str, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(windows)]
fn symlink(target: &str, at: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), at)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn list(folder: &Path, prefix: &str, depth: usize, found: &mut Listing) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.path().metadata())
        else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if kind.is_file() {
            found.insert(name);
        } else if kind.is_dir() && depth > 0 {
            list(&entry.path(), &format!("{name}/"), depth - 1, found);
        }
    }
}
