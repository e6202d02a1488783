//! A disk whose kernel reports a failed sync once, to whoever comes first.

use crate::test_pager::disk;
use crate::{Pager, PagerOptions};
use aquifer_io::{Buffer, Completion, Disk, DiskLock, File, IoError, OpenMode, Pending, Request, Result};
use aquifer_pools::Budget;
use aquifer_sync::atomic::{AtomicBool, AtomicU32, Ordering};
use aquifer_sync::{Arc, thread};
use std::io::ErrorKind;
use std::time::Duration;

/// What the next sync of a file meets.
#[derive(Debug, Default)]
struct Fault {
    armed: AtomicBool,
    /// Syncs that have begun since.
    begun: AtomicU32,
    /// The first one may go on, and fail.
    released: AtomicBool,
}

#[derive(Debug)]
struct FaultyDisk {
    inner: Arc<dyn Disk>,
    fault: Arc<Fault>,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    fault: Arc<Fault>,
}

impl Disk for FaultyDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        Ok(Arc::new(FaultyFile { inner: self.inner.open(name, mode)?, fault: Arc::clone(&self.fault) }))
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }
    fn list(&self, directory: &str) -> Result<Vec<String>> {
        self.inner.list(directory)
    }
    fn create_directory(&self, directory: &str) -> Result<()> {
        self.inner.create_directory(directory)
    }
    fn sync_directory(&self, directory: &str) -> Result<()> {
        self.inner.sync_directory(directory)
    }
    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        self.inner.lock(name)
    }
    fn backend(&self) -> String {
        self.inner.backend()
    }
}

impl File for FaultyFile {
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_> {
        self.inner.submit(requests)
    }
    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion {
        self.inner.write_durable(offset, buffer)
    }
    fn sync_data(&self) -> Result<()> {
        if self.fault.armed.load(Ordering::SeqCst) && self.fault.begun.fetch_add(1, Ordering::SeqCst) == 0 {
            while !self.fault.released.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            return Err(IoError {
                operation: "sync",
                file: "data".into(),
                offset: 0,
                len: 0,
                kind: ErrorKind::Other,
                message: "the device has failed".into(),
            });
        }
        self.inner.sync_data()
    }
    fn sync_all(&self) -> Result<()> {
        self.inner.sync_all()
    }
    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.allocate(offset, len)
    }
    fn truncate(&self, len: u64) -> Result<()> {
        self.inner.truncate(len)
    }
    fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.punch_hole(offset, len)
    }
    fn forget_cached(&self) -> Result<()> {
        self.inner.forget_cached()
    }
    fn len(&self) -> Result<u64> {
        self.inner.len()
    }
}

#[test]
fn a_sync_that_failed_fails_those_that_came_meanwhile() {
    for second in ["a large value", "a checkpoint"] {
        let directory = tempfile::tempdir().unwrap();
        let fault = Arc::new(Fault::default());
        let disk = Arc::new(FaultyDisk { inner: disk(&directory), fault: Arc::clone(&fault) });
        let options = PagerOptions { page_bytes: 4096, budget: Budget::new(4 << 20) };
        let pager = Pager::create(disk, options, [1; 16]).unwrap();
        fault.armed.store(true, Ordering::SeqCst);
        let sync = |pager: &Arc<Pager>| {
            let pager = Arc::clone(pager);
            thread::spawn(move || pager.sync_direct())
        };
        let first = sync(&pager);
        while fault.begun.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let other = match second {
            "a large value" => sync(&pager),
            _ => {
                let pager = Arc::clone(&pager);
                thread::spawn(move || {
                    let mut flip = pager.flip(|| 1);
                    let written = pager.write_checkpoint(&mut flip);
                    pager.abandon(flip);
                    written
                })
            }
        };
        thread::sleep(Duration::from_millis(50)); // the other one has reached its sync, or waits before it
        fault.released.store(true, Ordering::SeqCst);
        assert!(first.join().unwrap().is_err());
        assert!(other.join().unwrap().is_err(), "{second}: its pages may be lost as well");
    }
}
