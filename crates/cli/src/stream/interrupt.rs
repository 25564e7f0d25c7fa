//! Ctrl-C and other signals that end the program: unfinished files and folders are removed, then the
//! program dies of the signal, as shells expect.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use albert::quantize::Draft;
use anyhow::Result;
use tempfile::TempPath;

/// Files and folders to remove.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Makes a file that is removed when the program is interrupted, at whatever moment that is.
pub(super) fn create(make: impl FnOnce() -> Result<(File, TempPath)>) -> Result<(File, TempPath)> {
    watch()?;
    // A signal waits for the lock.
    let mut files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, path) = make()?;
    files.push(path.to_path_buf());
    Ok((file, path))
}

/// Makes a folder that is removed in the same way.
pub(crate) fn create_folder(make: impl FnOnce() -> Result<Draft>) -> Result<Draft> {
    watch()?;
    let mut files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let draft = make()?;
    files.push(draft.path().to_owned());
    Ok(draft)
}

/// Gives a folder its name, or removes it. A signal waits until that is done.
pub(crate) fn finish_folder<T>(draft: Draft, finish: impl FnOnce(Draft) -> T) -> T {
    let mut files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = draft.path().to_owned();
    let result = finish(draft);
    files.retain(|known| *known != path);
    result
}

/// The file has got its name, or is gone.
pub(super) fn forget(file: &Path) {
    let mut files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|known| known != file);
}

#[cfg(unix)]
fn remove(path: &Path) {
    if !path.is_dir() {
        let _ = std::fs::remove_file(path);
        return;
    }
    // The program still writes to it, so that it may not be empty when its turn comes.
    for _ in 0..100 {
        if std::fs::remove_dir_all(path).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[cfg(unix)]
fn watch() -> Result<()> {
    use anyhow::Context;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    static ONCE: std::sync::Once = std::sync::Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        let mut watched = vec![SIGINT, SIGTERM];
        if !outlives_its_terminal() {
            watched.push(SIGHUP);
        }
        let signals = signal_hook::iterator::Signals::new(watched);
        result = signals
            .context("cannot watch for signals")
            .map(|mut signals| {
                std::thread::spawn(move || {
                    for signal in &mut signals {
                        let files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
                        for file in files.iter() {
                            remove(file);
                        }
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                });
            });
    });
    result
}

/// Whether the program goes on when its terminal is closed: started with `nohup`, it ignores SIGHUP, which a handler would
/// undo. Where that cannot be known it counts as so.
#[cfg(unix)]
fn outlives_its_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask >> (signal_hook::consts::SIGHUP - 1) & 1 == 1)
}

#[cfg(not(unix))]
fn watch() -> Result<()> {
    Ok(())
}
