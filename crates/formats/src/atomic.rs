//! Files that appear complete or not at all: temporary file in the same folder, fsync, rename.

use crate::FormatError;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Writes `contents` to `path`, replacing what was there; an error leaves the old file untouched and
/// nothing new behind.
///
/// # Errors
/// If the folder is missing or cannot be written, or the disk is full.
pub fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), FormatError> {
    let pending = Pending::create(path)?;
    pending
        .file()
        .write_all(contents)
        .map_err(FormatError::io("write", path))?;
    pending.sync()?;
    pending.publish()
}

/// A file on its way: dropped without [`publish`](Self::publish), it is removed.
///
/// Write to [`file`](Self::file), [`sync`](Self::sync), then publish.
#[derive(Debug)]
pub struct Pending {
    file: NamedTempFile,
    target: PathBuf,
}

impl Pending {
    /// A link is followed to the file that it names; a folder, a pipe or a device is refused, since renaming would
    /// replace it.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn create(target: &Path) -> Result<Self, FormatError> {
        let target = &match target.canonicalize() {
            Ok(there) if there.is_file() => there,
            Ok(_) => {
                let problem = std::io::Error::other("it is not a regular file: name a file");
                return Err(FormatError::io("replace", target)(problem));
            }
            Err(_) => target.to_owned(),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".albert-").suffix(".tmp");
        // The default is 0600, and rename would keep it: nobody else could read the checkpoint.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .tempfile_in(folder_of(target))
            .map_err(FormatError::io("create", target))?;
        Ok(Self {
            file,
            target: target.to_owned(),
        })
    }

    /// The temporary file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the contents on the disk, so that the name never stands for a file that a power cut
    /// emptied.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn sync(&self) -> Result<(), FormatError> {
        self.file()
            .sync_all()
            .map_err(FormatError::io("write", &self.target))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The system refuses.
    pub fn publish(self) -> Result<(), FormatError> {
        let Self { file, target } = self;
        file.persist(&target)
            .map_err(|error| FormatError::io("replace", &target)(error.error))?;
        sync_folder(&target)
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts the new name on the disk. Windows has no such call.
fn sync_folder(target: &Path) -> Result<(), FormatError> {
    if cfg!(unix) {
        let folder = folder_of(target);
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(FormatError::io("write", folder))?;
    }
    Ok(())
}
