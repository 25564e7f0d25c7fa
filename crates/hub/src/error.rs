//! What can go wrong between an id and a folder, and what to do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use albert_formats::FormatError;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given names no model, or no revision.
    #[error("{given:?}: {problem}")]
    Name {
        /// The id or revision, as it was given.
        given: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// An environment variable has a value that cannot be used.
    #[error("{variable}: {problem}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What was expected; no secret is repeated.
        problem: String,
    },
    /// The network may not be used, and the cache does not have the model.
    #[error(
        "{id}: not complete in the cache {}, and {variable} forbids to ask {endpoint}: unset it, or give a folder \
         (`albert pull {id} --to DIR` where there is a network writes one)",
        cache.display()
    )]
    Offline {
        /// The model.
        id: String,
        /// The cache that was looked in.
        cache: PathBuf,
        /// The variable that is set.
        variable: &'static str,
        /// The server that was not asked.
        endpoint: String,
    },
    /// The server refused.
    #[error("{url}: the server answers {status}: {problem}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it means here, and what to do.
        problem: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that ended early, after all attempts.
    #[error(
        "{url}: {problem} ({attempts} attempts): check the network, and HTTPS_PROXY if there is a proxy; what has arrived is kept, and the next run goes on from there"
    )]
    Network {
        /// What was asked for.
        url: String,
        /// What happened last.
        problem: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// No secure connection can be made: the certificate or the processor.
    #[error("{url}: {problem}")]
    Secure {
        /// What was asked for.
        url: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The server sends us where we do not go.
    #[error(
        "{url}: the server redirects to {to}, {problem}: nothing was asked there; check HF_ENDPOINT"
    )]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it points.
        to: String,
        /// Why we do not go there.
        problem: &'static str,
    },
    /// The answer is not what a hub says.
    #[error("{url}: {problem}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What was expected and found.
        problem: String,
    },
    /// The server sends another number of bytes than it announced.
    #[error(
        "{url}: expected {expected} bytes, as announced, found {found}: nothing is kept; try again, and ask the server's owner if it stays so"
    )]
    Size {
        /// What was asked for.
        url: String,
        /// As announced.
        expected: u64,
        /// What it says or sends now.
        found: String,
    },
    /// The bytes are not those that were announced.
    #[error(
        "{url}: wrong {kind}: expected {expected}, found {found}: nothing is kept; try again, and if it stays so, trust neither the server nor the proxy"
    )]
    Checksum {
        /// What was asked for.
        url: String,
        /// The kind of the checksum.
        kind: &'static str,
        /// As announced.
        expected: String,
        /// Of what arrived.
        found: String,
    },
    /// The repository holds no model that can be read.
    #[error("{id} at {revision} has no {missing}: found {found}")]
    Unusable {
        /// The model.
        id: String,
        /// The revision or commit.
        revision: String,
        /// What was looked for.
        missing: String,
        /// What is there.
        found: String,
    },
    /// A file that is not ours stands in the way.
    #[error("{}: it is there already and differs from the file of {id}: give another folder, or remove it", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
        /// The model.
        id: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What helps against an error of the system.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            ": make room, or set HF_HOME to a folder of another disk; what has arrived is kept, and the next run goes on \
             from there"
        }
        PermissionDenied | ReadOnlyFilesystem => ": set HF_HOME to a folder that you may write",
        _ => "",
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether another attempt may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io("write", Path::new("blobs/x.incomplete"))(full).to_string();
        assert!(
            error.starts_with("cannot write blobs/x.incomplete: "),
            "{error}"
        );
        assert!(
            error.contains("make room, or set HF_HOME") && error.contains("is kept"),
            "{error}"
        );
        let other = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::io("write", Path::new("x"))(other).to_string();
        assert!(!error.contains("HF_HOME"), "{error}");
    }
}
