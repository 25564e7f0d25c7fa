//! A folder that appears when it is complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::write::WEIGHTS;
use super::{encoder_folder, stored_precision};
use crate::error::{Error, Result};
use crate::ops::Precision;

/// An empty folder beside a destination, on its way to become it. Dropped without [`Draft::publish`], it is removed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    destination: PathBuf,
    /// What the folder that is replaced may hold; `None`: nothing is replaced.
    own: Option<BTreeSet<PathBuf>>,
    /// Whether another wish could have replaced a folder, for messages.
    replaceable: bool,
    done: bool,
}

impl Draft {
    /// Makes the folder. The destination must be new or an empty folder.
    ///
    /// # Errors
    /// Says which of these it is not; folders that cannot be made.
    pub fn new(destination: &Path) -> Result<Self> {
        Self::of(resolved(destination)?, None, false)
    }

    /// As [`Draft::new`], for a destination that may not be `source`, within it or around it.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn apart(source: &Path, destination: &Path) -> Result<Self> {
        Self::of(apart(source, destination)?, None, false)
    }

    /// Makes the folder. The destination must be new or an empty folder, or, with `replace`, a quantised model that holds
    /// nothing but what quantising `source` writes; it may not be the source, within it or around it.
    ///
    /// # Errors
    /// Says which of these it is not; folders that cannot be made.
    pub fn beside(source: &Path, destination: &Path, replace: bool) -> Result<Self> {
        let destination = apart(source, destination)?;
        let own = if replace { Some(own(source)?) } else { None };
        Self::of(destination, own, true)
    }

    fn of(destination: PathBuf, own: Option<BTreeSet<PathBuf>>, replaceable: bool) -> Result<Self> {
        check(&destination, own.as_ref(), replaceable)?;
        let path = beside(&destination, "tmp", |path| fs::create_dir(path))?;
        Ok(Self {
            path,
            destination,
            own,
            replaceable,
            done: false,
        })
    }

    /// The folder while it is not complete.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, if the destination still is what [`Draft::beside`] expects.
    ///
    /// # Errors
    /// A destination that is something else by now, or when the system refuses; then the destination is as it was.
    pub fn publish(mut self) -> Result<()> {
        let destination = &self.destination;
        let failed = Error::file("replace", destination);
        check(destination, self.own.as_ref(), self.replaceable)?;
        let mut old = None;
        if self.own.is_some() && destination.is_dir() && !is_empty(destination)? {
            let moved = beside(destination, "old", |path| {
                // A folder takes the place of an empty one alone.
                fs::create_dir(path)?;
                fs::remove_dir(path)?;
                fs::rename(destination, path)
            })?;
            // What came between the check and the move would be removed with it.
            if let Err(error) = check(&moved, self.own.as_ref(), self.replaceable) {
                back(&moved, destination)?;
                return Err(error);
            }
            old = Some(moved);
        }
        #[cfg(not(unix))]
        if destination.is_dir() {
            fs::remove_dir(destination).map_err(&failed)?;
        }
        // A folder takes the place of an empty one alone: the system refuses what came meanwhile.
        if let Err(error) = fs::rename(&self.path, destination) {
            if let Some(old) = &old {
                back(old, destination)?;
            }
            return Err(match error.kind() {
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                    not_empty(destination.clone(), self.replaceable)
                }
                _ => failed(error),
            });
        }
        self.done = true;
        if let Some(old) = &old {
            fs::remove_dir_all(old).map_err(Error::file("remove", old))?;
        }
        Ok(())
    }
}

/// Gives the folder that should have been replaced its name again.
fn back(old: &Path, destination: &Path) -> Result<()> {
    fs::rename(old, destination).map_err(Error::file("give its name back to", old))
}

fn not_empty(destination: PathBuf, replaceable: bool) -> Error {
    let or = if replaceable {
        ", or replace it (--force)"
    } else {
        ""
    };
    Error::Folder {
        path: destination,
        problem: format!(
            "expected a new or empty folder, found one with files; give another name{or}"
        ),
    }
}

/// The destination with its links followed, which may not be the source, within it or around it.
fn apart(source: &Path, destination: &Path) -> Result<PathBuf> {
    let source = fs::canonicalize(source).map_err(Error::file("open", source))?;
    let destination = resolved(destination)?;
    if destination.starts_with(&source) || source.starts_with(&destination) {
        return Err(Error::Folder {
            path: destination,
            problem: format!(
                "expected a destination apart from the source, {}; give another name",
                source.display()
            ),
        });
    }
    Ok(destination)
}

/// Whether the destination may become the quantised model: new or empty, or one that holds nothing but `own`.
fn check(destination: &Path, own: Option<&BTreeSet<PathBuf>>, replaceable: bool) -> Result<()> {
    let refuse = |problem: String| {
        Err(Error::Folder {
            path: destination.to_owned(),
            problem,
        })
    };
    match destination.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("open", destination)(error)),
        Ok(known) if !known.is_dir() => {
            return refuse("expected a folder, found a file; give another name".to_owned());
        }
        Ok(_) if is_empty(destination)? => return Ok(()),
        Ok(_) => {}
    }
    let Some(own) = own else {
        return Err(not_empty(destination.to_owned(), replaceable));
    };
    if !is_quantized(destination) {
        return refuse(
            "expected a quantised model to replace, found other files; remove them, or give another name"
                .to_owned(),
        );
    }
    match foreign(destination, Path::new(""), own)? {
        Some(name) => refuse(format!(
            "expected nothing but the files of the quantised model to replace, found {}; move it away, or give another name",
            name.display()
        )),
        None => Ok(()),
    }
}

/// The first thing of a folder that is not among `own`.
fn foreign(folder: &Path, below: &Path, own: &BTreeSet<PathBuf>) -> Result<Option<PathBuf>> {
    for name in entries(&folder.join(below))? {
        let path = below.join(name);
        if !own.contains(&path) {
            return Ok(Some(path));
        }
        // A link is one name, whatever it leads to.
        let whole = folder.join(&path);
        let known = whole
            .symlink_metadata()
            .map_err(Error::file("open", &whole))?;
        if known.is_dir()
            && let Some(name) = foreign(folder, &path, own)?
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// What quantising a folder writes: files, and the folders that hold them.
fn own(source: &Path) -> Result<BTreeSet<PathBuf>> {
    let encoder = encoder_folder(source)?;
    let mut own: BTreeSet<PathBuf> = others(source, &encoder, &mut Vec::new())?
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let parents = encoder
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty());
    own.extend(parents.map(Path::to_owned));
    own.extend(["config.json", WEIGHTS].map(|name| encoder.join(name)));
    Ok(own)
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
    let parent = fs::canonicalize(parent).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::Folder {
            path: path.to_owned(),
            problem: format!(
                "expected the folder {}, in which it should be, found none; make it (mkdir -p), or give another name",
                parent.display()
            ),
        },
        _ => Error::file("open", parent)(error),
    })?;
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
pub(crate) fn make(home: &Path, path: &Path) -> Result<()> {
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

/// Copies everything but the encoder's configuration and weights, hidden files, what training left, and links to folders.
pub(crate) fn copy_others(
    from: &Path,
    to: &Path,
    encoder: &Path,
    left_out: &mut Vec<String>,
) -> Result<()> {
    for (path, folder) in others(from, encoder, left_out)? {
        if folder {
            make(to, &path)?;
        } else {
            copy_file(&from.join(&path), &to.join(&path))?;
        }
    }
    Ok(())
}

/// Folders within one another, at most: those of models are two deep.
const DEPTH: usize = 16;

/// What [`copy_others`] copies, a folder before its files, and whether it is a folder.
fn others(from: &Path, encoder: &Path, left_out: &mut Vec<String>) -> Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    list(from, Path::new(""), encoder, left_out, &mut found)?;
    Ok(found)
}

/// The names in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let read = |error| Error::file("read", folder)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        names.push(entry.map_err(read)?.file_name());
    }
    names.sort();
    Ok(names)
}

fn list(
    from: &Path,
    below: &Path,
    encoder: &Path,
    left_out: &mut Vec<String>,
    found: &mut Vec<(PathBuf, bool)>,
) -> Result<()> {
    for name in entries(&from.join(below))? {
        let path = below.join(&name);
        let source = from.join(&path);
        let name = name.to_string_lossy();
        let mut leave = |why: &str| left_out.push(format!("{}: {why}", path.display()));
        let configures =
            name == "config.json" || name.starts_with("albert_config") && name.ends_with(".json");
        if below == encoder && (configures || is_weights(&name)) {
            if name != "config.json" && name != WEIGHTS {
                leave(if configures {
                    "config.json says the same"
                } else {
                    "weights in floating point"
                });
            }
            continue;
        }
        let known = fs::metadata(&source).map_err(Error::file("open", &source))?;
        let link = source.is_symlink();
        if name.starts_with('.') {
            leave("hidden");
        } else if below == Path::new("") && is_of_training(&name) {
            leave("of the training of the other model");
        } else if known.is_dir() && (link || path.components().count() > DEPTH) {
            leave("a link to a folder, or a folder too deep");
        } else if known.is_dir() {
            found.push((path.clone(), true));
            list(from, &path, encoder, left_out, found)?;
        } else if known.is_file() {
            found.push((path, false));
        } else {
            leave("not a regular file");
        }
    }
    Ok(())
}

/// Checkpoints, logs and results, which are not those of the model that is written.
fn is_of_training(name: &str) -> bool {
    const FILES: [&str; 11] = [
        "trainer_state.json",
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "scaler.pt",
        "rng_state.pth",
        "all_results.json",
        "train_results.json",
        "eval_results.json",
        "curves.svg",
        "runs",
    ];
    let step = name.strip_prefix("checkpoint-").unwrap_or_default();
    FILES.contains(&name) || !step.is_empty() && step.bytes().all(|digit| digit.is_ascii_digit())
}

/// The contents, not the permissions: a copy of a read-only file can be changed.
fn copy_file(source: &Path, target: &Path) -> Result<()> {
    let mut from = File::open(source).map_err(Error::file("open", source))?;
    let mut to = File::create(target).map_err(Error::file("create", target))?;
    std::io::copy(&mut from, &mut to).map_err(Error::file("write", target))?;
    to.sync_all().map_err(Error::file("write", target))
}

/// Files that hold the encoder's weights, in any form that transformers or TensorFlow 1 knows, or that list them.
fn is_weights(name: &str) -> bool {
    let model = name.starts_with("model") || name.starts_with("pytorch_model");
    let ends = [".safetensors", ".bin"];
    let others = [".h5", ".msgpack", ".ot", ".onnx", ".index", ".meta"];
    let name = name.strip_suffix(".index.json").unwrap_or(name);
    model && ends.iter().any(|end| name.ends_with(end))
        || others.iter().any(|end| name.ends_with(end))
        || name.starts_with("model.ckpt")
        || name.contains(".data-0")
        || name == "checkpoint"
}
