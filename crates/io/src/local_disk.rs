//! A directory of the local file system as a [`Disk`], by either way to the kernel.

use crate::directory::Directory;
use crate::open_file::{Findings, OpenFile};
use crate::pool::{self, Pool};
use crate::ring::{self, ThreadRing};
use crate::{Buffer, Completion, Disk, DiskLock, File, OpenMode, Operation, Pending, Request, Result};
use aquifer_sync::Arc;
use std::rc::Rc;

/// How batches get to the kernel; everything else is plain system calls either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Plain system calls, by a few threads.
    Threads,
    /// io_uring, one ring per thread.
    Rings,
}

/// A disk on the local file system.
#[derive(Debug)]
pub(crate) struct LocalDisk {
    directory: Directory,
    way: Way,
    findings: Arc<Findings>,
    pool: Arc<Pool>,
}

impl LocalDisk {
    pub(crate) fn new(directory: Directory, way: Way) -> LocalDisk {
        LocalDisk { directory, way, findings: Arc::new(Findings::new()), pool: Arc::new(Pool::new()) }
    }
}

impl Disk for LocalDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let path = self.directory.entry("open", name)?;
        let file = OpenFile::open(&path, name, mode, Arc::clone(&self.findings))?;
        Ok(shared_file(LocalFile { file: Arc::new(file), way: self.way, pool: Arc::clone(&self.pool) }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.directory.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.directory.rename(from, to)
    }

    fn list(&self, directory: &str) -> Result<Vec<String>> {
        self.directory.list(directory)
    }

    fn create_directory(&self, directory: &str) -> Result<()> {
        self.directory.create_directory(directory)
    }

    fn sync_directory(&self, directory: &str) -> Result<()> {
        self.directory.sync_directory(directory)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        self.directory.lock(name)
    }

    fn backend(&self) -> String {
        let way = match self.way {
            Way::Threads => "posix",
            Way::Rings => "uring",
        };
        match self.findings.caching() {
            Some(caching) => format!("{way}, {caching}"),
            None => way.to_owned(),
        }
    }
}

/// A file on the local file system.
#[derive(Debug)]
struct LocalFile {
    file: Arc<OpenFile>,
    way: Way,
    pool: Arc<Pool>,
}

impl File for LocalFile {
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_> {
        if self.way == Way::Rings
            && let Ok(ring) = ring::of_this_thread()
        {
            let batch = ring.borrow_mut().submit(&self.file, requests);
            return Box::new(InRing { ring, batch: Some(batch) });
        }
        // No ring for this thread (too many open files, say): the other way is always there.
        Box::new(InPool { batch: Some(self.pool.submit(&self.file, requests)) })
    }

    fn transfer(&self, requests: Vec<Request>) -> Vec<Completion> {
        // One request has nothing to overlap with: the plain call, which the pool makes on this thread, is as fast, and
        // a thread that reads single pages needs no ring.
        if self.way == Way::Rings
            && requests.len() > 1
            && let Ok(ring) = ring::of_this_thread()
        {
            return ring.borrow_mut().transfer(&self.file, requests);
        }
        self.pool.transfer(&self.file, requests)
    }

    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion {
        self.file.write_durable(Request { operation: Operation::Write, offset, buffer })
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> Result<()> {
        self.file.sync_all()
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.file.allocate(offset, len)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.truncate(len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        self.file.punch_hole(offset, len)
    }

    fn forget_cached(&self) -> Result<()> {
        self.file.forget_cached()
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }
}

/// A batch that the pool's threads work on.
struct InPool {
    batch: Option<Arc<pool::Batch>>,
}

impl Pending for InPool {
    fn wait(mut self: Box<Self>) -> Vec<Completion> {
        self.batch.take().expect("waited for once").wait()
    }
}

impl Drop for InPool {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            drop(batch.wait());
        }
    }
}

/// A batch in the calling thread's ring.
struct InRing {
    ring: ThreadRing,
    batch: Option<Rc<ring::Batch>>,
}

impl Pending for InRing {
    fn wait(mut self: Box<Self>) -> Vec<Completion> {
        let batch = self.batch.take().expect("waited for once");
        self.ring.borrow_mut().wait(&batch)
    }
}

impl Drop for InRing {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            drop(self.ring.borrow_mut().wait(&batch));
        }
    }
}

#[cfg(not(loom))]
fn shared_file(file: LocalFile) -> Arc<dyn File> {
    Arc::new(file)
}

/// The model checker's `Arc` does not turn into one of a trait object by itself.
#[cfg(loom)]
fn shared_file(file: LocalFile) -> Arc<dyn File> {
    let boxed: Box<dyn File> = Box::new(file);
    Arc::from_std(boxed.into())
}

/// As a trait object.
#[cfg(not(loom))]
pub(crate) fn shared_disk(disk: LocalDisk) -> Arc<dyn Disk> {
    Arc::new(disk)
}

/// As `shared_file`.
#[cfg(loom)]
pub(crate) fn shared_disk(disk: LocalDisk) -> Arc<dyn Disk> {
    let boxed: Box<dyn Disk> = Box::new(disk);
    Arc::from_std(boxed.into())
}
