//! TensorFlow: the library that was found, and how its sessions run.

use std::path::Path;

use prost::Message;

use crate::error::{Error, Result};
use crate::find::Environment;
use crate::library::{Library, Session};

/// TensorFlow's C library. A clone is the same library; it stays loaded until the process ends.
#[derive(Clone, Debug)]
pub struct TensorFlow {
    library: Library,
    version: String,
    threads: i32,
}

/// The fields of tensorflow/core/protobuf/config.proto that are used.
#[derive(Clone, PartialEq, Message)]
struct ConfigProto {
    #[prost(int32, tag = "2")]
    intra_op_parallelism_threads: i32,
    #[prost(int32, tag = "5")]
    inter_op_parallelism_threads: i32,
}

impl TensorFlow {
    /// Finds and loads the library: what `ALBERT_TENSORFLOW_LIBRARY` names (a file, or a folder: that of the wheel, of
    /// site-packages, of an environment or of libtensorflow's archive); without it the first of the active environment of
    /// Python (`VIRTUAL_ENV`, `CONDA_PREFIX`), the system's loader (`LD_LIBRARY_PATH` and its folders) and the Pythons below
    /// `~/.local`, `/usr/local` and `/usr`.
    ///
    /// # Errors
    /// There is none, the first that is there cannot be loaded, or it is not TensorFlow 2. The message says how to get one.
    pub fn load() -> Result<Self> {
        Self::from(&Environment::here())
    }

    fn from(environment: &Environment) -> Result<Self> {
        for path in environment.candidates()? {
            // A name without a folder is one for the loader, which may not know it.
            let by_name = path
                .parent()
                .is_none_or(|parent| parent.as_os_str().is_empty());
            match Self::open(&path) {
                Err(Error::Library { .. }) if by_name && environment.variable.is_none() => {}
                opened => return opened,
            }
        }
        Err(Error::NotFound {
            searched: environment.searched(),
        })
    }

    /// Loads this file, or what the system's loader finds by this name.
    ///
    /// # Errors
    /// It cannot be loaded, or is not TensorFlow 2.
    pub fn open(path: &Path) -> Result<Self> {
        let library = Library::open(path)?;
        let version = library.version();
        if !version.starts_with("2.") {
            return Err(Error::Version {
                path: path.to_owned(),
                version,
            });
        }
        Ok(Self {
            library,
            version,
            threads: 0,
        })
    }

    /// With this many threads for each operation, and as many operations at a time, in models that are loaded from now on;
    /// 0, the default, lets TensorFlow choose.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = i32::try_from(threads).unwrap_or(i32::MAX);
        self
    }

    /// As `2.21.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file of the library, or its name where the system's loader found it.
    pub fn path(&self) -> &Path {
        &self.library.path
    }

    pub(crate) fn session(&self, graph_def: &[u8]) -> Result<Session> {
        let config = ConfigProto {
            intra_op_parallelism_threads: self.threads,
            inter_op_parallelism_threads: self.threads,
        };
        self.library.session(graph_def, &config.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not there is passed over where the loader looks for a name, and reported where somebody named it.
    #[test]
    fn missing_and_damaged() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("lib/python3.12/site-packages/tensorflow");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("libtensorflow_cc.so.2"), "damaged").expect("written");
        let damaged = Environment {
            active: vec![root.path().to_owned()],
            ..Environment::default()
        };
        #[cfg(target_os = "linux")]
        assert!(matches!(
            TensorFlow::from(&damaged),
            Err(Error::Library { .. })
        ));
        let named = Environment {
            variable: Some(root.path().join("nothing").into()),
            ..damaged
        };
        let error = TensorFlow::from(&named).unwrap_err();
        assert!(matches!(error, Error::Variable { .. }), "{error:?}");
    }

    #[test]
    fn options_as_protobuf() {
        let config = ConfigProto {
            intra_op_parallelism_threads: 3,
            inter_op_parallelism_threads: 300,
        };
        assert_eq!(config.encode_to_vec(), [0x10, 3, 0x28, 0xac, 2]);
    }
}
