//! Choosing a backend.

use crate::directory::Directory;
use crate::local_disk::{LocalDisk, Way, shared_disk};
use crate::{Disk, IoError, Result, ring};
use aquifer_sync::Arc;
use std::io;
use std::path::Path;

/// Which way to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// io_uring where the kernel allows it, else plain system calls.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// pread, pwrite, fdatasync.
    Posix,
}

/// Opens the directory `root` (made, and synced into its parent, if absent and `create`; so are its parents).
///
/// # Errors
///
/// `NotFound` if it is absent, `NotADirectory` if it is something else, and what the system says if it cannot be made.
/// With [`Backend::Uring`], the kernel's refusal of io_uring, usually of kind `PermissionDenied` or `Unsupported`.
///
/// ```
/// use aquifer_io::{Backend, open_disk};
///
/// # let dir = tempfile::tempdir()?;
/// let disk = open_disk(&dir.path().join("files"), Backend::Auto, true)?;
/// assert!(disk.list("")?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_disk(root: &Path, backend: Backend, create: bool) -> Result<Arc<dyn Disk>> {
    let directory = Directory::open(root, create)?;
    let way = choose(backend, ring::probe).map_err(|error| {
        let message = format!(
            "the kernel refuses io_uring: {error}; choose the posix backend, or allow it \
             (sysctl kernel.io_uring_disabled, the container's seccomp profile)"
        );
        IoError::named("open io_uring", &root.display().to_string(), &io::Error::new(error.kind(), message))
    })?;
    Ok(shared_disk(LocalDisk::new(directory, way)))
}

/// The way to the kernel, given what `probe` says about io_uring, if it needs to be asked.
fn choose(backend: Backend, probe: impl FnOnce() -> io::Result<()>) -> io::Result<Way> {
    match backend {
        Backend::Posix => Ok(Way::Threads),
        Backend::Uring => probe().map(|()| Way::Rings),
        // Whatever the reason: what works here is the other one.
        Backend::Auto => Ok(if probe().is_ok() { Way::Rings } else { Way::Threads }),
    }
}

#[cfg(all(test, not(loom)))]
mod refusal;
#[cfg(all(test, not(loom)))]
mod tests;
