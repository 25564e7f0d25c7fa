//! One file: what the server says about it, its bytes, and whether they are right.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::checksum::{self, Checksum};
use crate::client::{Client, Response, network};
use crate::error::{Error, Result};
use crate::names;
use crate::observer::Observer;
use crate::status::About;

/// The most bytes of a file whose length is not announced.
const LONGEST_UNANNOUNCED: u64 = 64 << 20;
/// Bytes after which a broken connection does not count as a failure.
const PROGRESS: u64 = 1 << 20;
/// A connection that brings less than this in this time counts as broken.
const SLOWEST: (u64, Duration) = (1 << 10, Duration::from_secs(30));

/// A file as the server announces it.
#[derive(Debug)]
pub(crate) struct Announced {
    url: Address,
    /// The name of its contents; safe as a file name.
    pub(crate) etag: String,
    pub(crate) size: Option<u64>,
}

/// Asks about a file.
pub(crate) fn announced(
    client: &Client<'_>,
    commit: &str,
    name: &str,
    about: &About<'_>,
) -> Result<Announced> {
    let path = format!(
        "/{}/resolve/{commit}/{}",
        about.id,
        names::escape_path(name)
    );
    let url = client.endpoint().below(&path);
    let answer = client.head(&url, about)?;
    let etag = answer
        .header("x-linked-etag")
        .or_else(|| answer.header("etag"));
    let Some(etag) = etag.map(|etag| etag.trim().trim_start_matches("W/").trim_matches('"')) else {
        return Err(Error::Answer {
            url: url.plain(),
            problem:
                "expected an ETag, which says what is in the file, found none: check HF_ENDPOINT"
                    .to_owned(),
        });
    };
    let size = answer
        .number("x-linked-size")
        .or_else(|| answer.number("content-length"));
    Ok(Announced {
        etag: blob_name(etag, &path),
        url,
        size,
    })
}

/// The name of a file's contents. An etag that is no checksum is unique for its address alone, and may hold anything.
fn blob_name(etag: &str, path: &str) -> String {
    match Checksum::of_etag(etag) {
        Checksum::None => format!("etag-{}", checksum::of_text(&format!("{path}\n{etag}"))),
        _ => etag.to_owned(),
    }
}

/// Brings the bytes of a file to `partial`, from where an earlier attempt ended, and checks them. The file is complete
/// and on the disk when this returns; after an error it holds what can be gone on from, or is gone.
pub(crate) fn fetch(
    client: &Client<'_>,
    file: &Announced,
    partial: &Path,
    about: &About<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let resumed = length(partial) > 0;
    bring(client, file, partial, about, observer)?;
    match checksum::verify(partial, &file.etag, &file.url.plain()) {
        // What an earlier run left may be wrong: once more from the beginning.
        Err(Error::Checksum { .. }) if resumed => {
            remove(partial)?;
            bring(client, file, partial, about, observer)?;
            checked(file, partial)
        }
        Err(error @ Error::Checksum { .. }) => {
            remove(partial)?;
            Err(error)
        }
        other => other,
    }?;
    let written = File::open(partial).and_then(|file| file.sync_all());
    written.map_err(Error::io("write", partial))
}

fn checked(file: &Announced, partial: &Path) -> Result<()> {
    let result = checksum::verify(partial, &file.etag, &file.url.plain());
    if result.is_err() {
        remove(partial)?;
    }
    result
}

/// Connections until all bytes are there.
fn bring(
    client: &Client<'_>,
    file: &Announced,
    partial: &Path,
    about: &About<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut failures = 0;
    loop {
        let start = length(partial);
        if file.size == Some(start) && partial.exists() {
            observer.at(start);
            return Ok(());
        }
        match connect(client, file, partial, start, about, observer) {
            Ok(()) => return Ok(()),
            // Nothing behind what is there: it is longer than the file.
            Err(Error::Status { status: 416, .. }) if start > 0 => remove(partial)?,
            Err(error) => {
                if length(partial) >= start + PROGRESS {
                    failures = 0;
                }
                failures = client.pause(failures, error)?;
            }
        }
    }
}

/// One connection.
fn connect(
    client: &Client<'_>,
    file: &Announced,
    partial: &Path,
    start: u64,
    about: &About<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let start = if start > file.size.unwrap_or(LONGEST_UNANNOUNCED) {
        0
    } else {
        start
    };
    let response = client.get(&file.url, start, about)?;
    let start = match response.status {
        206 => start,
        // The server sends all of it, whatever was asked for.
        _ => 0,
    };
    check_length(file, &response, start).inspect_err(|_| {
        let _ = fs::remove_file(partial);
    })?;
    let mut target = open(partial, start).map_err(Error::io("write", partial))?;
    observer.at(start);
    let end = copy(
        file,
        &mut response.reader(),
        &mut target,
        partial,
        start,
        observer,
    )?;
    match file.size {
        Some(size) if end < size => Err(Error::Network {
            url: file.url.plain(),
            problem: format!("the connection ended after {end} of {size} bytes"),
            attempts: 1,
        }),
        _ => Ok(()),
    }
}

/// Whether an answer is the part that was asked for, of the length that was announced.
fn check_length(file: &Announced, response: &Response, start: u64) -> Result<()> {
    let refuse = |found: String| {
        Err(Error::Size {
            url: file.url.plain(),
            expected: file.size.unwrap_or(LONGEST_UNANNOUNCED),
            found,
        })
    };
    if response.status == 206 {
        let range = response.header("content-range").unwrap_or_default();
        if !range.trim().starts_with(&format!("bytes {start}-")) {
            return refuse(format!(
                "the part {:?} instead of that from byte {start} on",
                crate::address::shown(range)
            ));
        }
    }
    match (file.size, response.number("content-length")) {
        (Some(size), Some(length)) if start.checked_add(length) != Some(size) => {
            refuse(format!("{length} bytes from byte {start} on"))
        }
        _ => Ok(()),
    }
}

/// Copies the body to the end of the file; gives the file's length.
fn copy(
    file: &Announced,
    body: &mut impl Read,
    target: &mut File,
    partial: &Path,
    start: u64,
    observer: &mut dyn Observer,
) -> Result<u64> {
    let limit = file.size.unwrap_or(LONGEST_UNANNOUNCED);
    let mut buffer = vec![0; 1 << 16];
    let (mut end, mut window) = (start, (start, Instant::now()));
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(end),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(network(&file.url, &ureq::Error::from(error))),
        };
        end += read as u64;
        if end > limit {
            remove(partial)?;
            return Err(Error::Size {
                url: file.url.plain(),
                expected: limit,
                found: "more".to_owned(),
            });
        }
        target
            .write_all(&buffer[..read])
            .map_err(Error::io("write", partial))?;
        observer.at(end);
        if window.1.elapsed() > SLOWEST.1 {
            if end - window.0 < SLOWEST.0 {
                return Err(Error::Network {
                    url: file.url.plain(),
                    problem: format!(
                        "only {} bytes in {} seconds",
                        end - window.0,
                        SLOWEST.1.as_secs()
                    ),
                    attempts: 1,
                });
            }
            window = (end, Instant::now());
        }
    }
}

/// The file from `start` on. One that begins anew is another file, so that a process that still writes to the old one,
/// on a file system without locks, spoils nothing.
fn open(partial: &Path, start: u64) -> std::io::Result<File> {
    if start == 0 {
        match fs::remove_file(partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {
                return OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(partial);
            }
        }
    }
    let mut file = OpenOptions::new().write(true).open(partial)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::io("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_blobs_are_safe_and_their_own() {
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(blob_name(git, "/a"), git);
        for etag in ["", "..", "../../evil", "a/b", "5f-1", "\u{e9}"] {
            let name = blob_name(etag, "/a");
            assert_eq!(names::problem_of_component(&name), None, "{name}");
            assert_ne!(name, blob_name(etag, "/b"));
            assert_eq!(Checksum::of_etag(&name), Checksum::None);
        }
    }
}
