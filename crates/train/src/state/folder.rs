//! The output folder: checkpoints that appear complete or not at all, and go the same way.
//!
//! `.checkpoint-N.tmp` is on its way to `checkpoint-N`, `.checkpoint-N.old` is one that is being replaced (and comes back if
//! its successor did not arrive), `.checkpoint-N.gone` is one that is being removed. A rename decides; everything is on the
//! disk before it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::trainer::error::{Result, TrainError};

/// An output folder that one process writes, and the other ranks of a run read.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Of the process that writes: held until this is dropped, or the process ends in any way.
    lock: Option<File>,
}

impl Drop for Folder {
    /// Said, since a program that is being started may hold a copy of the file for a moment.
    fn drop(&mut self) {
        let _ = self.lock.as_ref().map(File::unlock);
    }
}

const LOCK: &str = ".lock";
const PREFIX: &str = "checkpoint-";

impl Folder {
    /// Refuses a folder that a run may not have, before anything is made for it; one that is not there will do.
    ///
    /// # Errors
    /// A folder that holds files but no checkpoint, or that is none.
    pub fn check(path: &Path) -> Result<()> {
        if !path.try_exists().map_err(TrainError::io("open", path))? {
            return Ok(());
        }
        let found = names(path)?;
        let checkpoint = found.iter().any(|name| number(name).is_some());
        let strangers: Vec<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|name| *name != LOCK && *name != "runs" && !name.starts_with(".checkpoint-"))
            .collect();
        let old = found.iter().any(|name| name.ends_with(".old"));
        if !checkpoint && !old && !strangers.is_empty() {
            let more = if strangers.len() > 3 { ", …" } else { "" };
            return Err(TrainError::Occupied {
                path: path.to_owned(),
                found: strangers[..strangers.len().min(3)].join(", ") + more,
            });
        }
        Ok(())
    }

    /// Makes the folder where it is missing, takes its lock, and removes what a killed run left half done.
    ///
    /// # Errors
    /// A folder that cannot be made or written, that another process trains into, or that holds files but no checkpoint.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
        Self::check(path)?;
        let found = names(path)?;
        let lock = path.join(LOCK);
        let file = File::create(&lock).map_err(TrainError::io("create", &lock))?;
        match file.try_lock() {
            // A file system without locks is no reason not to train.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::Locked {
                    path: path.to_owned(),
                });
            }
        }
        let folder = Self {
            path: path.to_owned(),
            lock: Some(file),
        };
        folder.recover(&found)?;
        Ok(folder)
    }

    /// The folder that another rank opened, to be read alone.
    pub fn follow(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            lock: None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a checkpoint, whether it is there or not.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.path.join(format!("{PREFIX}{step}"))
    }

    /// Steps of the checkpoints by name, in order. A copy that was cut short may be among them: [`super::read_state`] tells.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let mut steps: Vec<u64> = names(&self.path)?
            .iter()
            .filter_map(|name| number(name))
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Makes a checkpoint of what `fill` writes. On an error nothing of it stays, and what was there before is untouched.
    ///
    /// # Errors
    /// Those of `fill`; files that cannot be written.
    pub fn publish(&self, step: u64, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let target = self.checkpoint(step);
        let draft = self.hidden(step, "tmp");
        remove(&draft)?;
        fs::create_dir(&draft).map_err(TrainError::io("create", &draft))?;
        let filled = fill(&draft).and_then(|()| sync(&draft));
        if let Err(error) = filled {
            // The first error says more than one of cleaning up.
            let _ = fs::remove_dir_all(&draft);
            return Err(error);
        }
        let old = self.hidden(step, "old");
        if target.exists() {
            fs::rename(&target, &old).map_err(TrainError::io("replace", &target))?;
        }
        if let Err(error) = fs::rename(&draft, &target) {
            let _ = fs::rename(&old, &target);
            let _ = fs::remove_dir_all(&draft);
            return Err(TrainError::io("create", &target)(error));
        }
        sync_folder(&self.path)?;
        remove(&old)?;
        Ok(target)
    }

    /// Removes a checkpoint: first its name, then its files.
    ///
    /// # Errors
    /// Files that cannot be removed.
    pub fn discard(&self, step: u64) -> Result<()> {
        let (target, gone) = (self.checkpoint(step), self.hidden(step, "gone"));
        remove(&gone)?;
        fs::rename(&target, &gone).map_err(TrainError::io("remove", &target))?;
        remove(&gone)
    }

    /// Writes as many bytes as a checkpoint will take, and removes them again.
    ///
    /// # Errors
    /// A folder that cannot be written, a disk that is too full.
    pub fn probe(&self, bytes: u64) -> Result<()> {
        let path = self.path.join(".checkpoint-probe.tmp");
        let write = || {
            let mut file = File::create(&path)?;
            let block = vec![0; 1 << 20];
            let mut left = bytes;
            while left > 0 {
                let now = left.min(block.len() as u64);
                file.write_all(&block[..usize::try_from(now).unwrap_or(block.len())])?;
                left -= now;
            }
            Ok(())
        };
        let written: std::io::Result<()> = write();
        let _ = fs::remove_file(&path);
        written.map_err(|source| TrainError::Io {
            action: "write a checkpoint's worth of bytes in",
            path: self.path.clone(),
            source,
        })
    }

    fn hidden(&self, step: u64, kind: &str) -> PathBuf {
        self.path.join(format!(".{PREFIX}{step}.{kind}"))
    }

    fn recover(&self, names: &[String]) -> Result<()> {
        for name in names {
            let path = self.path.join(name);
            let Some((stem, kind)) = name
                .strip_prefix('.')
                .and_then(|name| name.rsplit_once('.'))
            else {
                continue;
            };
            match kind {
                "old" if number(stem).is_some() && !self.path.join(stem).exists() => {
                    let target = self.path.join(stem);
                    fs::rename(&path, &target).map_err(TrainError::io("restore", &target))?;
                }
                "tmp" | "old" | "gone" if stem.starts_with(PREFIX) => remove(&path)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// N of `checkpoint-N`.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The step that a checkpoint's folder is named by.
pub(super) fn step_of(path: &Path) -> Option<u64> {
    number(path.file_name()?.to_str()?)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = TrainError::io("read", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        names.push(
            entry
                .map_err(&failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

/// Removes a folder or file that may not be there.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(known) if known.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(TrainError::io("remove", path))
}

/// All files below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) -> Result<()> {
    folders.push(folder.to_owned());
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            walk(&path, found, folders)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Sizes of all files below a folder, by path with `/`.
pub(super) fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    walk(folder, &mut files, &mut folders)?;
    let size = |path: PathBuf| {
        let known = fs::metadata(&path).map_err(TrainError::io("read", &path))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        Ok((parts.join("/"), known.len()))
    };
    files.into_iter().map(size).collect()
}

/// Puts all files and folders below a folder on the disk.
fn sync(folder: &Path) -> Result<()> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    walk(folder, &mut files, &mut folders)?;
    for path in files {
        let file = fs::OpenOptions::new().write(true).open(&path);
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(TrainError::io("write", &path))?;
    }
    folders.iter().rev().try_for_each(|path| sync_folder(path))
}

/// Windows has no such call.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(TrainError::io("write", path))?;
    }
    Ok(())
}
