//! Where TensorFlow's C library may be: what the environment names, environments of Python, the system's loader.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The environment variable that names the library: its file, or a folder with it.
pub const VARIABLE: &str = "ALBERT_TENSORFLOW_LIBRARY";

/// Names of the library: that of the C API alone, and that of Python's wheel, which has it too.
#[cfg(not(any(target_os = "macos", windows)))]
const NAMES: [&str; 4] = [
    "libtensorflow.so.2",
    "libtensorflow_cc.so.2",
    "libtensorflow.so",
    "libtensorflow_cc.so",
];
#[cfg(target_os = "macos")]
const NAMES: [&str; 4] = [
    "libtensorflow.2.dylib",
    "libtensorflow_cc.2.dylib",
    "libtensorflow.dylib",
    "libtensorflow_cc.dylib",
];
#[cfg(windows)]
const NAMES: [&str; 2] = ["tensorflow.dll", "tensorflow_cc.dll"];

/// What of the environment says where the library is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// [`VARIABLE`].
    pub(crate) variable: Option<OsString>,
    /// `VIRTUAL_ENV` and `CONDA_PREFIX`.
    pub(crate) active: Vec<PathBuf>,
    /// `$HOME/.local`, `/usr/local` and `/usr`.
    pub(crate) others: Vec<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn here() -> Self {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"];
        let home = path("HOME").map(|home| Path::new(&home).join(".local"));
        let system = ["/usr/local", "/usr"].map(PathBuf::from);
        Self {
            variable: path(VARIABLE),
            active: active
                .into_iter()
                .filter_map(path)
                .map(PathBuf::from)
                .collect(),
            others: home.into_iter().chain(system).collect(),
        }
    }

    /// What to load, the best first: files, and names that the system's loader looks for (in `LD_LIBRARY_PATH` and its own
    /// folders). What the variable names is the only one.
    ///
    /// # Errors
    /// A variable that names neither a library nor a folder with one.
    pub(crate) fn candidates(&self) -> Result<Vec<PathBuf>> {
        if let Some(variable) = &self.variable {
            return Ok(vec![named(Path::new(variable))?]);
        }
        let found = |prefixes: &[PathBuf]| -> Vec<PathBuf> {
            prefixes
                .iter()
                .flat_map(|prefix| folders(prefix))
                .filter_map(|f| library_in(&f))
                .collect()
        };
        let mut all = found(&self.active);
        all.extend(NAMES.map(PathBuf::from));
        all.extend(found(&self.others));
        Ok(all)
    }

    /// For messages: where [`Environment::candidates`] looks.
    pub(crate) fn searched(&self) -> String {
        let prefixes = self.active.iter().chain(&self.others);
        let wheels = prefixes.map(|prefix| format!("{}/lib/python3*", prefix.display()));
        let mut places: Vec<String> = wheels.collect();
        places.push(format!("the loader's folders ({})", NAMES.join(", ")));
        places.join(", ")
    }
}

/// The library that the variable names.
fn named(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let wrong = |found| Error::Variable {
        path: path.to_owned(),
        found,
    };
    if !path.is_dir() {
        return Err(wrong("nothing"));
    }
    // The folder itself, one of site-packages, one of an environment or of libtensorflow's archive.
    let inside = [path.to_owned(), path.join("tensorflow")];
    let mut folders = inside.into_iter().chain(folders(path));
    folders
        .find_map(|folder| library_in(&folder))
        .ok_or_else(|| wrong("a folder without one"))
}

/// Folders of a prefix that may hold the library: its `lib`, and the wheel in each of its Pythons.
fn folders(prefix: &Path) -> Vec<PathBuf> {
    let lib = prefix.join("lib");
    let entries = fs::read_dir(&lib).into_iter().flatten().flatten();
    let pythons =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"));
    let mut pythons: Vec<PathBuf> = pythons.map(|entry| entry.path()).collect();
    // The newest last in the alphabet, but for 3.9 and older.
    pythons.sort();
    pythons.reverse();
    let wheels = pythons.into_iter().flat_map(|python| {
        ["site-packages", "dist-packages"].map(|packages| python.join(packages).join("tensorflow"))
    });
    std::iter::once(lib.clone()).chain(wheels).collect()
}

/// The library in this folder.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let files = NAMES.iter().map(|name| folder.join(name));
    files.into_iter().find(|file| file.is_file())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "").expect("written");
        path.to_owned()
    }

    #[test]
    fn active_environments_then_the_loader_then_the_rest() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        let wheel = "lib/python3.12/site-packages/tensorflow/libtensorflow_cc.so.2";
        let venv = touch(&at("venv").join(wheel));
        let conda = touch(&at("conda/lib/libtensorflow.so.2"));
        let debian = touch(&at(
            "usr/lib/python3/dist-packages/tensorflow/libtensorflow_cc.so.2",
        ));
        touch(&at(
            "usr/lib/perl/site-packages/tensorflow/libtensorflow.so.2",
        ));
        let environment = Environment {
            variable: None,
            active: vec![at("venv"), at("conda")],
            others: vec![at("nothing"), at("usr")],
        };
        let found = environment.candidates().expect("candidates");
        let mut expected = vec![venv, conda];
        expected.extend(NAMES.map(PathBuf::from));
        expected.push(debian);
        assert_eq!(found, expected);
        let searched = environment.searched();
        assert!(searched.contains("venv/lib/python3*"), "{searched}");
        assert!(searched.contains("libtensorflow_cc.so.2"), "{searched}");
    }

    #[test]
    fn the_library_alone_is_better_than_the_wheel() {
        let root = tempfile::tempdir().expect("a folder");
        touch(&root.path().join("libtensorflow_cc.so.2"));
        let alone = touch(&root.path().join("libtensorflow.so.2"));
        assert_eq!(library_in(root.path()), Some(alone));
    }

    #[test]
    fn the_variable_names_a_file_or_a_folder_and_nothing_else_is_tried() {
        let root = tempfile::tempdir().expect("a folder");
        let packages = root.path().join("lib/python3.9/site-packages");
        let file = touch(&packages.join("tensorflow/libtensorflow_cc.so.2"));
        let environment = |path: &Path| Environment {
            variable: Some(path.into()),
            active: vec![root.path().to_owned()],
            others: Vec::new(),
        };
        for path in [&file, &packages.join("tensorflow"), &packages, root.path()] {
            let found = environment(path).candidates().expect("found");
            assert_eq!(found, std::slice::from_ref(&file), "{}", path.display());
        }
        for (path, what) in [("absent", "nothing"), ("lib", "a folder without one")] {
            let error = environment(&root.path().join(path))
                .candidates()
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("ALBERT_TENSORFLOW_LIBRARY: expected"),
                "{error}"
            );
            assert!(
                error.contains(what) && error.contains("pip install"),
                "{error}"
            );
        }
    }
}
