//! What a user may write for a model: a path, or an id of the hub.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::names;

/// A model of the hub: `ORG/NAME`, or `NAME` alone for some old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId(String);

/// The branch that counts when none is named.
pub const DEFAULT_REVISION: &str = "main";

impl ModelId {
    /// Checks an id by the hub's rules.
    ///
    /// # Errors
    /// [`Error::Name`] if it is not one or two names of letters, digits, `-`, `_` and `.`, has `--` or `..`, or a name
    /// begins or ends with `-` or `.`.
    pub fn parse(id: &str) -> Result<Self> {
        let refuse = |problem: &str| {
            Err(Error::Name {
                given: id.to_owned(),
                problem: format!(
                    "{problem}: expected the id of a model, for instance albert/albert-base-v2"
                ),
            })
        };
        let parts: Vec<&str> = id.split('/').collect();
        if parts.len() > 2 {
            return refuse("more than one slash");
        }
        for part in &parts {
            let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if part.is_empty() || !part.chars().all(letters) {
                return refuse(
                    "an id has letters, digits, `-`, `_` and `.` only, at both sides of its slash",
                );
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return refuse("a name that begins or ends with `-` or `.`");
            }
        }
        if id.contains("--") || id.contains("..") || id.len() > 96 {
            return refuse("`--`, `..` or more than 96 letters");
        }
        Ok(Self(id.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder's name in a cache of the hub.
    pub(crate) fn folder_name(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the name of a branch, tag or commit.
pub(crate) fn check_revision(revision: &str) -> Result<()> {
    match names::problem_of_path(revision) {
        None => Ok(()),
        Some(problem) => Err(Error::Name {
            given: revision.to_owned(),
            problem: format!("{problem}: expected a branch, a tag or a commit, for instance main"),
        }),
    }
}

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder or file of this machine.
    Path(PathBuf),
    /// A model of the hub.
    Hub {
        /// Which one.
        id: ModelId,
        /// The revision, if it was given behind `@`.
        revision: Option<String>,
    },
}

/// Whether `path` is there: a file, a folder, a link (also one that leads nowhere: it is a broken path, not an id), or
/// the prefix of a TensorFlow checkpoint.
pub fn exists(path: &Path) -> bool {
    let mut index = path.as_os_str().to_owned();
    index.push(".index");
    path.symlink_metadata().is_ok() || Path::new(&index).is_file()
}

impl Source {
    /// What `given` means. What exists here is a path, whatever it looks like. `hf:ORG/NAME` and `hf://ORG/NAME` are
    /// always ids. Of the rest, `ORG/NAME` is an id unless ORG is a folder here; `@REVISION` may follow an id.
    /// Everything else is a path, also one that does not exist.
    ///
    /// # Errors
    /// [`Error::Name`] for an `hf:` with no id behind it, a revision that cannot be one, and an `ORG/NAME` whose ORG is
    /// a folder here, since nobody can tell which of the two was meant.
    pub fn parse(given: &Path) -> Result<Self> {
        let path = || Ok(Self::Path(given.to_owned()));
        let Some(text) = given.to_str() else {
            return path();
        };
        if exists(given) {
            return path();
        }
        if let Some(rest) = text.strip_prefix("hf:") {
            return Self::hub(rest.strip_prefix("//").unwrap_or(rest));
        }
        let name = text.split('@').next().unwrap_or_default();
        let Some((org, _)) = name.split_once('/') else {
            return path();
        };
        if ModelId::parse(name).is_err() {
            return path();
        }
        if Path::new(org).is_dir() {
            return Err(Error::Name {
                given: text.to_owned(),
                problem: format!(
                    "no such file or folder in the folder {org} here; for the model of that id write hf:{text}"
                ),
            });
        }
        Self::hub(text)
    }

    fn hub(text: &str) -> Result<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision.to_owned())),
            None => (text, None),
        };
        if let Some(revision) = &revision {
            check_revision(revision)?;
        }
        let id = ModelId::parse(name)?;
        Ok(Self::Hub { id, revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(id: &str, revision: Option<&str>) -> Source {
        Source::Hub {
            id: ModelId::parse(id).expect("an id"),
            revision: revision.map(str::to_owned),
        }
    }

    #[test]
    fn ids_and_paths_are_told_apart() {
        let parse = |text: &str| Source::parse(Path::new(text)).expect("something");
        for (text, id, revision) in [
            ("albert/albert-base-v2", "albert/albert-base-v2", None),
            ("hf:albert/albert-base-v2", "albert/albert-base-v2", None),
            ("hf://albert/albert-base-v2", "albert/albert-base-v2", None),
            ("hf:albert-base-v2", "albert-base-v2", None),
            ("a/b@v1.0", "a/b", Some("v1.0")),
            ("hf:a/b@refs/pr/1", "a/b", Some("refs/pr/1")),
        ] {
            assert_eq!(parse(text), hub(id, revision), "{text}");
        }
        for text in [
            "models",
            "albert-base-v2",
            "./a/b",
            "../a/b",
            "/a/b",
            "~/a",
            "a/b/",
            "a/b/c",
            "a\\b",
            "C:\\a",
            "a b/c",
            "",
            ".",
            "-a/b",
            "a//b",
            "a/b--c",
            "a/.hidden",
        ] {
            assert_eq!(parse(text), Source::Path(text.into()), "{text}");
        }
    }

    #[test]
    fn what_exists_is_a_path() {
        // The tests run in the crate's own folder.
        let here = Source::parse(Path::new("src/lib.rs")).expect("a path");
        assert_eq!(here, Source::Path("src/lib.rs".into()));
        let error = Source::parse(Path::new("src/albert-base-v2")).expect_err("which one?");
        let text = error.to_string();
        assert!(
            text.contains("no such file or folder in the folder src")
                && text.contains("hf:src/albert-base-v2"),
            "{text}"
        );
        // The prefix decides.
        let id = Source::parse(Path::new("hf:src/albert")).expect("an id");
        assert_eq!(id, hub("src/albert", None));
    }

    #[test]
    fn bad_ids_and_revisions_are_refused() {
        for text in [
            "hf:",
            "hf:a/b/c",
            "hf:../x",
            "hf:a b",
            "hf:a/b@",
            "hf:a/b@../x",
            "a/b@../x",
            "hf:a--b/c",
        ] {
            let error = Source::parse(Path::new(text)).expect_err(text);
            assert!(matches!(error, Error::Name { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn folders_in_a_cache_are_pythons() {
        let name = |id: &str| ModelId::parse(id).expect("an id").folder_name();
        assert_eq!(
            name("albert/albert-base-v2"),
            "models--albert--albert-base-v2"
        );
        assert_eq!(name("albert-base-v2"), "models--albert-base-v2");
    }
}
