//! Where bytes go: stdout, or a file that gets its name when it is complete.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::{NamedTempFile, TempPath};

use super::interrupt;

pub(crate) enum Target {
    Screen(BufWriter<std::io::Stdout>),
    /// A pipe or device, such as /dev/stderr: nothing to rename.
    Device(BufWriter<File>),
    Draft(Draft),
}

/// A temporary file beside its target.
pub(crate) struct Draft {
    file: BufWriter<File>,
    temporary: TempPath,
    path: PathBuf,
}

impl Target {
    /// Opens `path`, or stdout without one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Screen(BufWriter::new(std::io::stdout())));
        };
        let known = fs::metadata(path).ok();
        match &known {
            Some(known) if known.is_dir() => {
                bail!(
                    "cannot write {}: it is a folder; expected a file",
                    path.display()
                )
            }
            Some(known) if !known.is_file() => {
                let file = File::options().write(true).open(path);
                let file = file.with_context(|| format!("cannot write {}", path.display()))?;
                return Ok(Self::Device(BufWriter::new(file)));
            }
            _ => {}
        }
        // A link stays a link: what it points to is replaced.
        let path = if known.is_some() {
            fs::canonicalize(path).with_context(|| path.display().to_string())?
        } else {
            path.to_owned()
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".albert-").suffix(".tmp");
        // The default is 0600, and rename would keep it: nobody else could read the file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, temporary) = interrupt::create(|| {
            let made = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
            let made = made.map(NamedTempFile::into_parts);
            made.with_context(|| format!("cannot create {}", path.display()))
        })?;
        if let Some(known) = known {
            file.set_permissions(known.permissions())
                .with_context(|| format!("cannot set the permissions of {}", path.display()))?;
        }
        Ok(Self::Draft(Draft {
            file: BufWriter::new(file),
            temporary,
            path,
        }))
    }

    /// Replaces the first bytes of a file that is not complete yet.
    pub(super) fn rewrite_beginning(&mut self, bytes: &[u8]) -> Result<()> {
        let file = match self {
            Self::Screen(_) => bail!("stdout cannot be written twice: give --output FILE"),
            Self::Device(file) => file,
            Self::Draft(draft) => &mut draft.file,
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)?;
        file.flush()?;
        file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    pub(super) fn is_draft(&self) -> bool {
        matches!(self, Self::Draft(_))
    }

    /// Gives the file its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        if let Self::Draft(Draft {
            file,
            temporary,
            path,
        }) = self
        {
            drop(file);
            let temporary_path = temporary.to_path_buf();
            temporary
                .persist(&path)
                .map_err(|error| error.error)
                .with_context(|| format!("cannot replace {}", path.display()))?;
            interrupt::forget(&temporary_path);
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Screen(out) => out.write(bytes),
            Self::Device(file) => file.write(bytes),
            Self::Draft(draft) => draft.file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Screen(out) => out.flush(),
            Self::Device(file) => file.flush(),
            Self::Draft(draft) => draft.file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let names = || fs::read_dir(folder.path()).expect("a folder").count();
        let mut target = Target::open(Some(&path)).expect("opened");
        target.write_all(b"xbc").expect("written");
        target.rewrite_beginning(b"a").expect("written");
        assert!(!path.exists());
        target.finish().expect("renamed");
        assert_eq!(
            (fs::read(&path).expect("read"), names()),
            (b"abc".to_vec(), 1)
        );
        // One that is given up leaves the old file and nothing else.
        let mut target = Target::open(Some(&path)).expect("opened");
        target.write_all(b"new").expect("written");
        drop(target);
        assert_eq!(
            (fs::read(&path).expect("read"), names()),
            (b"abc".to_vec(), 1)
        );
        assert!(
            Target::open(Some(folder.path())).is_err(),
            "a folder is no file"
        );
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        symlink("out", &link).expect("linked");
        let mut target = Target::open(Some(&link)).expect("opened");
        target.write_all(b"new").expect("written");
        target.finish().expect("renamed");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&path).expect("read"), b"new");
    }
}
