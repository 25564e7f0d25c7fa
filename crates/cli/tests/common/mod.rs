//! A folder in which the program runs as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A folder that goes when it is dropped.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }

    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albert"));
        command
            .args(arguments.split(' ').map(|word| match word.split_once('/') {
                Some(("fixtures", rest)) => fixtures().join(rest).into_os_string(),
                _ => word.into(),
            }))
            .current_dir(self.0.path())
            .env_remove("ALBERT_ISA")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    /// Exit code, stdout and stderr. Arguments stand between single blanks.
    pub(crate) fn run(&self, arguments: &str) -> (Option<i32>, String, String) {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    #[track_caller]
    pub(crate) fn done(&self, arguments: &str) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments}\n{out}{err}");
        out
    }

    /// A run that fails, prints nothing, says all these words, and leaves the folder `none` unmade.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &str, code: i32, words: &[&str]) {
        let (found, out, err) = self.run(arguments);
        assert_eq!(
            (found, out.as_str()),
            (Some(code), ""),
            "{arguments}\n{err}"
        );
        for word in words {
            assert!(
                err.contains("error: ") && err.contains(word),
                "{arguments}: {word:?} is not in\n{err}"
            );
        }
        assert!(!self.path("none").exists(), "{arguments}: written\n{err}");
    }
}

/// The committed fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .canonicalize()
        .expect("fixtures/")
}
