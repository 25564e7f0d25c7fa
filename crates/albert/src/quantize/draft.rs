//! A folder that appears when it is complete.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{encoder_folder, stored_precision};
use crate::error::{Error, Result};
use crate::ops::Precision;

/// An empty folder beside a destination, on its way to become it. Dropped without [`Draft::publish`], it is removed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    destination: PathBuf,
    done: bool,
}

impl Draft {
    /// Makes the folder. The destination must be new or an empty folder, or, with `replace`, a quantised model; it may
    /// not be the source, within it or around it.
    ///
    /// # Errors
    /// Says which of these it is not; folders that cannot be made.
    pub fn beside(source: &Path, destination: &Path, replace: bool) -> Result<Self> {
        let source = fs::canonicalize(source).map_err(Error::file("open", source))?;
        let destination = resolved(destination)?;
        let refuse = |problem: String| Error::Folder {
            path: destination.clone(),
            problem,
        };
        if destination.starts_with(&source) || source.starts_with(&destination) {
            return Err(refuse(format!(
                "expected a destination apart from the source, {}; give another name",
                source.display()
            )));
        }
        match destination.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("open", &destination)(error)),
            Ok(known) if !known.is_dir() => {
                return Err(refuse(
                    "expected a folder, found a file; give another name".to_owned(),
                ));
            }
            Ok(_) if is_empty(&destination)? => {}
            Ok(_) if !replace => {
                return Err(refuse(
                    "expected a new or empty folder, found one with files; give another name, or replace it (--force)"
                        .to_owned(),
                ));
            }
            Ok(_) if !is_quantized(&destination) => {
                return Err(refuse(
                    "expected a quantised model to replace, found other files; remove them, or give another name"
                        .to_owned(),
                ));
            }
            Ok(_) => {}
        }
        let path = beside(&destination, "tmp", |path| fs::create_dir(path))?;
        Ok(Self {
            path,
            destination,
            done: false,
        })
    }

    /// The folder while it is not complete.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// When the system refuses; then the destination is as it was.
    pub fn publish(mut self) -> Result<()> {
        let destination = &self.destination;
        let failed = Error::file("replace", destination);
        let mut old = None;
        if destination.is_dir() {
            if is_empty(destination)? {
                fs::remove_dir(destination).map_err(&failed)?;
            } else {
                old = Some(beside(destination, "old", |path| {
                    // A folder takes the place of an empty one alone.
                    fs::create_dir(path)?;
                    fs::remove_dir(path)?;
                    fs::rename(destination, path)
                })?);
            }
        }
        if let Err(error) = fs::rename(&self.path, destination) {
            if let Some(old) = &old {
                let _ = fs::rename(old, destination);
            }
            return Err(failed(error));
        }
        self.done = true;
        if let Some(old) = &old {
            fs::remove_dir_all(old).map_err(Error::file("remove", old))?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The path with its links followed; its last part need not be there.
fn resolved(path: &Path) -> Result<PathBuf> {
    if path.symlink_metadata().is_ok() {
        return fs::canonicalize(path).map_err(Error::file("open", path));
    }
    let name = path.file_name().ok_or_else(|| Error::Folder {
        path: path.to_owned(),
        problem: "expected the name of a folder".to_owned(),
    })?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = fs::canonicalize(parent).map_err(Error::file("open", parent))?;
    Ok(parent.join(name))
}

fn is_empty(folder: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    Ok(entries.next().is_none())
}

fn is_quantized(folder: &Path) -> bool {
    let encoder = encoder_folder(folder).unwrap_or_default();
    matches!(stored_precision(&folder.join(encoder)), Ok(Precision::Int8))
}

/// A free name beside `path`, as `make` takes it.
fn beside(path: &Path, kind: &str, make: impl Fn(&Path) -> std::io::Result<()>) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0;
    loop {
        let path = path.with_file_name(format!(".{name}.albert-{number}.{kind}"));
        match make(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(error) => return Err(Error::file("create", &path)(error)),
        }
    }
}

/// Makes the folders of a path below `home`, never `home` itself: an interrupted program may have removed it, for good.
pub(super) fn make(home: &Path, path: &Path) -> Result<()> {
    let mut folder = home.to_owned();
    for part in path {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::file("create", &folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Copies everything but the encoder's configuration and weights, hidden files, and links to folders.
pub(super) fn copy_others(
    from: &Path,
    to: &Path,
    encoder: &Path,
    left_out: &mut Vec<String>,
) -> Result<()> {
    copy(from, to, Path::new(""), encoder, left_out)
}

/// Folders within one another, at most: those of models are two deep.
const DEPTH: usize = 16;

fn copy(
    from: &Path,
    to: &Path,
    below: &Path,
    encoder: &Path,
    left_out: &mut Vec<String>,
) -> Result<()> {
    let home = from.join(below);
    let read = |error| Error::file("read", &home)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(&home).map_err(read)? {
        names.push(entry.map_err(read)?.file_name());
    }
    names.sort();
    for name in names {
        let path = below.join(&name);
        let (source, target) = (from.join(&path), to.join(&path));
        let name = name.to_string_lossy();
        let mut leave = |why: &str| left_out.push(format!("{}: {why}", path.display()));
        if below == encoder && (name == "config.json" || is_weights(&name)) {
            if name != "config.json" && name != "model.safetensors" {
                leave("weights in floating point");
            }
            continue;
        }
        let known = fs::metadata(&source).map_err(Error::file("open", &source))?;
        let link = source.is_symlink();
        if name.starts_with('.') {
            leave("hidden");
        } else if known.is_dir() && (link || path.components().count() > DEPTH) {
            leave("a link to a folder, or a folder too deep");
        } else if known.is_dir() {
            make(to, &path)?;
            copy(from, to, &path, encoder, left_out)?;
        } else if known.is_file() {
            copy_file(&source, &target)?;
        } else {
            leave("not a regular file");
        }
    }
    Ok(())
}

/// The contents, not the permissions: a copy of a read-only file can be changed.
fn copy_file(source: &Path, target: &Path) -> Result<()> {
    let mut from = File::open(source).map_err(Error::file("open", source))?;
    let mut to = File::create(target).map_err(Error::file("create", target))?;
    std::io::copy(&mut from, &mut to).map_err(Error::file("write", target))?;
    to.sync_all().map_err(Error::file("write", target))
}

/// Files that hold the encoder's weights, in any form that transformers knows.
fn is_weights(name: &str) -> bool {
    let model = name.starts_with("model") || name.starts_with("pytorch_model");
    let ends = [
        ".safetensors",
        ".safetensors.index.json",
        ".bin",
        ".bin.index.json",
    ];
    let others = [".h5", ".msgpack", ".ot", ".onnx"];
    model && ends.iter().any(|end| name.ends_with(end))
        || others.iter().any(|end| name.ends_with(end))
        || name.starts_with("model.ckpt")
}
