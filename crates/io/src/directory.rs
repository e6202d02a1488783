//! A directory of the local file system: names and entries, and the lock.

use crate::DiskLock;
use crate::error::{IoError, Result};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// As for files: for their owner alone.
const DIRECTORY_PERMISSIONS: u32 = 0o700;
const LOCK_PERMISSIONS: u32 = 0o600;

/// The root that all names are relative to.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Absolute, so that the host may change its working directory.
    root: PathBuf,
}

impl Directory {
    /// Finds the directory; with `create`, makes it and its parents if absent, each durable in its parent.
    pub(crate) fn open(root: &Path, create: bool) -> Result<Directory> {
        let name = root.display().to_string();
        if create {
            make_durably(root).map_err(|error| IoError::named("create", &name, &error))?;
        }
        let failed = |error: Error| IoError::named("open", &name, &error);
        let root = root.canonicalize().map_err(failed)?;
        if !root.is_dir() {
            return Err(failed(Error::from_raw_os_error(libc::ENOTDIR)));
        }
        Ok(Directory { root })
    }

    /// The path of a file or directory below the root; `""` is the root.
    ///
    /// Error of kind `InvalidInput` if the name could lead outside, or is not in its one normal form.
    pub(crate) fn path(&self, operation: &'static str, name: &str) -> Result<PathBuf> {
        if name.is_empty() {
            return Ok(self.root.clone());
        }
        let normal = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if !name.split('/').all(normal) {
            let message = "a name is relative, without empty parts, `.`, `..` or zero bytes";
            return Err(IoError::invalid(operation, name, 0, 0, message));
        }
        Ok(self.root.join(name))
    }

    /// As [`path`](Self::path), of something that is not the root.
    pub(crate) fn entry(&self, operation: &'static str, name: &str) -> Result<PathBuf> {
        if name.is_empty() {
            return Err(IoError::invalid(operation, name, 0, 0, "the name is empty"));
        }
        self.path(operation, name)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.entry("remove", name)?;
        fs::remove_file(path).map_err(|error| IoError::named("remove", name, &error))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.entry("rename", from)?, self.entry("rename", to)?);
        fs::rename(old, new).map_err(|error| IoError::named("rename", from, &error))
    }

    pub(crate) fn list(&self, directory: &str) -> Result<Vec<String>> {
        let path = self.path("list", directory)?;
        let failed = |error: Error| IoError::named("list", self.shown(directory), &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            // A name that is not UTF-8 is none of ours, but should not be hidden either.
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn create_directory(&self, directory: &str) -> Result<()> {
        let path = self.path("create directory", directory)?;
        match DirBuilder::new().mode(DIRECTORY_PERMISSIONS).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => {
                result.map_err(|error| IoError::named("create directory", self.shown(directory), &error))
            }
        }
    }

    pub(crate) fn sync_directory(&self, directory: &str) -> Result<()> {
        let path = self.path("sync directory", directory)?;
        sync(&path).map_err(|error| IoError::named("sync directory", self.shown(directory), &error))
    }

    /// Locks the file `name`, and writes this process's id into it.
    pub(crate) fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        let path = self.entry("lock", name)?;
        let failed = |error: Error| IoError::named("lock", name, &error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(LOCK_PERMISSIONS);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(name, &path)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Box::new(Held { _file: file }))
    }

    /// What errors call a directory: the root has no name of its own.
    fn shown<'a>(&'a self, directory: &'a str) -> &'a str {
        if directory.is_empty() { self.root.to_str().unwrap_or("/") } else { directory }
    }
}

/// A held lock. The kernel lets go when the file is closed, by dropping this or by the death of the process; the
/// file stays, because removing it would let two processes lock two files of one name.
#[derive(Debug)]
struct Held {
    _file: File,
}

impl DiskLock for Held {}

/// The refusal, with what the holder wrote.
fn held(name: &str, path: &Path) -> IoError {
    let pid = fs::read_to_string(path).unwrap_or_default();
    let pid = pid.trim();
    let message = if pid.is_empty() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        "held by a process that has not written its id".to_owned()
    } else if pid == std::process::id().to_string() {
        format!("held by this process (pid {pid}), which opened it before")
    } else {
        format!("held by the process with pid {pid}; end it, or wait until it closes")
    };
    IoError::named("lock", name, &Error::new(ErrorKind::WouldBlock, message))
}

fn make_durably(path: &Path) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if path.is_dir() {
        // Whoever made it may have died before it was durable. Where we may not ask, we did not make it either.
        return sync(parent).or_else(|error| match error.kind() {
            ErrorKind::PermissionDenied => Ok(()),
            _ => Err(error),
        });
    }
    make_durably(parent)?;
    match DirBuilder::new().mode(DIRECTORY_PERMISSIONS).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        result => result?,
    }
    sync(parent)
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(all(test, not(loom)))]
mod tests;
