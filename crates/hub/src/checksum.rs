//! Whether bytes are those that the server announced.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::names::is_hex;

/// What an etag of the hub says about the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Of large files: SHA-256 of the bytes.
    Sha256,
    /// Of small files: the name that git gives them, SHA-1 of `blob LENGTH\0` and the bytes.
    GitBlob,
    /// An etag of a mirror, which says nothing.
    None,
}

impl Checksum {
    pub(crate) fn of_etag(etag: &str) -> Self {
        match etag.len() {
            64 if is_hex(etag) => Self::Sha256,
            40 if is_hex(etag) => Self::GitBlob,
            _ => Self::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::GitBlob => "git blob SHA-1",
            Self::None => "checksum",
        }
    }

    /// The checksum of a file, in lower case; `None` if there is none to compare.
    pub(crate) fn of_file(self, path: &Path) -> Result<Option<String>> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let read = match self {
            Self::Sha256 => digest(Sha256::new(), &mut file),
            Self::GitBlob => digest(Sha1::new_with_prefix(format!("blob {length}\0")), &mut file),
            Self::None => return Ok(None),
        };
        read.map(Some).map_err(Error::io("read", path))
    }
}

/// Compares a file with its etag.
///
/// # Errors
/// [`Error::Checksum`] if they differ.
pub(crate) fn verify(path: &Path, etag: &str, url: &str) -> Result<()> {
    let checksum = Checksum::of_etag(etag);
    match checksum.of_file(path)? {
        Some(found) if found != etag.to_lowercase() => Err(Error::Checksum {
            url: url.to_owned(),
            kind: checksum.name(),
            expected: etag.to_lowercase(),
            found,
        }),
        _ => Ok(()),
    }
}

/// The SHA-256 of a text.
pub(crate) fn of_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest<D: Digest>(mut state: D, file: &mut impl Read) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => state.update(&buffer[..read]),
        }
    }
    Ok(hex(&state.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, "hello\n").expect("written");
        // `sha256sum` and `git hash-object`
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        for etag in [sha256, git, "any-other"] {
            verify(&path, etag, "u").expect("equal");
        }
        verify(&path, &git.to_uppercase(), "u").expect("equal");
        std::fs::write(&path, "hello!\n").expect("written");
        for etag in [sha256, git] {
            let error = verify(&path, etag, "https://h/x").expect_err("another file");
            assert!(matches!(error, Error::Checksum { .. }), "{error}");
            assert!(error.to_string().contains(etag), "{error}");
        }
    }
}
